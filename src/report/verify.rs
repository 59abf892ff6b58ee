//! The verdict of `verify`.

use super::table::{Table, grouped, shorten};
use crate::evaluate::{Equality, Figures};
use crate::num::DType;
use serde::Serialize;

/// Result of a verification.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// Samples run.
    pub samples: usize,
    /// The device under test.
    pub judged: String,
    /// The device it is compared with.
    pub judge: String,
    /// Every tensor of the quantized model that has a value.
    pub tensors: Vec<TensorEquality>,
    /// Distance of each output to the float model's.
    pub outputs: Vec<OutputDistance>,
}

/// One tensor on both devices.
#[derive(Clone, Debug, Serialize)]
pub struct TensorEquality {
    /// Number.
    pub tensor: usize,
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Whether it must be equal: nothing before it computes in float.
    pub exact: bool,
    /// What was compared and what differs.
    #[serde(flatten)]
    pub equality: Equality,
}

/// One output against the float model.
#[derive(Clone, Debug, Serialize)]
pub struct OutputDistance {
    /// Number in the quantized model.
    pub tensor: usize,
    /// Name.
    pub name: String,
    /// The distance.
    #[serde(flatten)]
    pub distance: Figures,
}

impl Verification {
    /// Elements that differ in tensors that must be equal.
    pub fn differing(&self) -> u64 {
        let exact = self.tensors.iter().filter(|t| t.exact);
        exact.map(|t| t.equality.differing).sum()
    }
}

/// The verdict, the tensors that differ, and the distances.
pub fn verify(v: &Verification) -> String {
    let (exact, behind): (Vec<_>, Vec<_>) = v.tensors.iter().partition(|t| t.exact);
    let elements: u64 = exact.iter().map(|t| t.equality.elements).sum();
    let mut text = format!(
        "{} samples, {} tensors, {} elements: {} against {}\n",
        v.samples,
        exact.len(),
        grouped(elements),
        v.judged,
        v.judge
    );
    text += &match v.differing() {
        0 if exact.is_empty() => "no integers to compare\n".to_owned(),
        0 => "every element is equal\n".to_owned(),
        n => format!("{} elements DIFFER\n\n", grouped(n)),
    };
    let mut table = Table::new(&[
        ">tensor",
        "name",
        "type",
        ">elements",
        ">differing",
        "first (sample, element)",
    ]);
    for t in exact.iter().filter(|t| t.equality.differing > 0) {
        table.row(vec![
            t.tensor.to_string(),
            shorten(&t.name, 48),
            t.dtype.to_string(),
            grouped(t.equality.elements),
            grouped(t.equality.differing),
            t.equality
                .first
                .map(|f| format!("{f:?}"))
                .unwrap_or_default(),
        ]);
    }
    if !table.is_empty() {
        text += &table.text();
    }
    if !behind.is_empty() {
        let of = |f: fn(&Equality) -> u64| behind.iter().map(|t| f(&t.equality)).sum::<u64>();
        text += &format!(
            "not judged: {} tensors behind operators that stay float, which devices round differently; {} of their {} elements differ\n",
            behind.len(),
            grouped(of(|e| e.differing)),
            grouped(of(|e| e.elements)),
        );
    }
    text += "\ndistance to the float model\n";
    let mut table = Table::new(&[
        "output",
        ">max |error|",
        ">mean |error|",
        ">rmse",
        ">SQNR dB",
        ">arg max agrees",
    ]);
    for o in &v.outputs {
        let d = &o.distance;
        let sqnr = match d.sqnr_db {
            Some(db) => format!("{db:.2}"),
            None if d.exact => "exact".into(),
            None => "–".into(),
        };
        table.row(vec![
            shorten(&o.name, 40),
            format!("{:.6}", d.max_abs_error),
            format!("{:.6}", d.mean_abs_error),
            format!("{:.6}", d.rmse),
            sqnr,
            format!("{:.2} %", 100.0 * d.arg_max_agreement),
        ]);
    }
    text + &table.text()
}
