//! What `quantize` did.

use super::table::{Table, grouped};
use crate::model::{Model, TensorType};
use crate::quantize::{FloatReason, OperatorPlan};
use std::collections::BTreeMap;

/// Size of a model and its tensors by type.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ModelSize {
    /// File.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Number of tensors of each type, all subgraphs.
    pub tensors: BTreeMap<String, usize>,
}

impl ModelSize {
    /// Counts a model's tensors.
    pub fn new(file: &str, model: &Model, bytes: u64) -> Self {
        let mut tensors = BTreeMap::new();
        for tensor in model
            .subgraphs
            .iter()
            .flatten()
            .flat_map(|s| s.tensors.iter().flatten())
        {
            *tensors.entry(type_name(tensor.type_)).or_insert(0) += 1;
        }
        Self {
            file: file.into(),
            bytes,
            tensors,
        }
    }

    /// `float32 50, int32 4`
    pub(super) fn types(&self) -> String {
        self.tensors
            .iter()
            .map(|(name, n)| format!("{name} {n}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// A table of the operators that stay float, by kind and reason.
fn float(operators: &[OperatorPlan]) -> String {
    let mut kinds: BTreeMap<(&str, FloatReason), Vec<usize>> = BTreeMap::new();
    for operator in operators {
        if let Some(reason) = operator.float {
            let kind = (operator.name.as_str(), reason);
            kinds.entry(kind).or_default().push(operator.index);
        }
    }
    if kinds.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["stays float", ">count", "why", "operators"]);
    for ((name, reason), places) in kinds {
        let shown: Vec<String> = places.iter().take(8).map(ToString::to_string).collect();
        let more = if places.len() > 8 { " …" } else { "" };
        table.row(vec![
            name.to_owned(),
            places.len().to_string(),
            reason.to_string(),
            shown.join(" ") + more,
        ]);
    }
    table.text() + "\n"
}

/// The type's name, also one newer than the schema.
pub(super) fn type_name(code: i8) -> String {
    TensorType::try_from(code).map_or_else(
        |_| format!("type {code}"),
        |t| format!("{t:?}").to_lowercase(),
    )
}

/// The result in a few lines: what was done, what stays float, sizes.
pub fn quantize(done: &str, operators: &[OperatorPlan], sizes: &[ModelSize; 2]) -> String {
    let mut text = format!("{done}\n\n{}", float(operators));
    let mut table = Table::new(&["model", ">bytes", "tensors"]);
    for size in sizes {
        table.row(vec![size.file.clone(), grouped(size.bytes), size.types()]);
    }
    text += &table.text();
    let [float, quantized] = sizes;
    let ratio = float.bytes as f64 / quantized.bytes.max(1) as f64;
    text += &match ratio < 1.0 {
        true => format!("\n{:.2} times larger\n", 1.0 / ratio.max(1e-9)),
        false => format!("\n{ratio:.2} times smaller\n"),
    };
    text
}
