//! What `quantize` did.

use super::table::{Table, grouped, shorten};
use crate::model::{Model, TensorType};
use crate::num::Range;
use crate::quantize::{FloatReason, OperatorPlan};
use crate::tune::Search;
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

/// A range that is not all that was seen.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ChosenRange {
    /// Number of the tensor.
    pub tensor: usize,
    /// Its name.
    pub name: String,
    /// How the range was chosen.
    pub method: String,
    /// What is kept.
    pub kept: Range,
    /// What was seen.
    pub seen: Range,
    /// Share of the values that lie outside what is kept, where histograms tell.
    pub clipped: Option<f64>,
}

/// Rows of a table of ranges at most; the plan has them all.
const MOST_RANGES: usize = 24;

/// How a search went, and what it chose.
fn search(search: &Search, chosen: &[ChosenRange]) -> String {
    let Search {
        judged_on,
        candidates,
        before,
        after,
        ..
    } = search;
    if *judged_on == 0 {
        return "too few samples to judge ranges by the outputs: minimum and maximum\n\n".into();
    }
    let stopped = if search.stopped { ", then stopped" } else { "" };
    let mut text = format!(
        "{candidates} candidates judged by the outputs of {judged_on} samples{stopped}: {before:.2} dB to the float model with \
         minimum and maximum, now {after:.2} dB\n\n"
    );
    if !search.steps.is_empty() {
        let mut table = Table::new(&["what was changed", ">gain dB"]);
        for step in &search.steps {
            table.row(vec![step.what.clone(), format!("{:+.2}", step.gain)]);
        }
        text += &(table.text() + "\n");
    }
    text + &ranges(chosen)
}

/// A table of ranges that are not all that was seen.
fn ranges(chosen: &[ChosenRange]) -> String {
    if chosen.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["tensor", "name", "range by", ">kept", ">of", ">clipped"]);
    let interval = |r: &Range| format!("{:.4} … {:.4}", r.min, r.max);
    for range in chosen.iter().take(MOST_RANGES) {
        table.row(vec![
            range.tensor.to_string(),
            shorten(&range.name, 40),
            range.method.clone(),
            interval(&range.kept),
            interval(&range.seen),
            range
                .clipped
                .map_or("–".into(), |share| format!("{:.4} %", 100.0 * share)),
        ]);
    }
    let more = match chosen.len().saturating_sub(MOST_RANGES) {
        0 => String::new(),
        more => format!("  and {more} more; the plan lists them all\n"),
    };
    table.text() + &more + "\n"
}

/// The result in a few lines: what was done, how ranges were chosen, what stays float, sizes.
pub fn quantize(
    done: &str,
    searched: Option<&Search>,
    chosen: &[ChosenRange],
    operators: &[OperatorPlan],
    sizes: &[ModelSize; 2],
) -> String {
    let ranges = match searched {
        Some(searched) => search(searched, chosen),
        None => ranges(chosen),
    };
    let mut text = format!("{done}\n\n{ranges}{}", float(operators));
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
