//! What is to become of a model, operator by operator.

use super::table::{Table, grouped, shorten};
use crate::num::Affine;

/// A plan with what it costs.
#[derive(Clone, Debug)]
pub struct PlanReport {
    /// Operators in order.
    pub operators: Vec<PlannedOperator>,
    /// QUANTIZE and DEQUANTIZE that are added, those at the end included.
    pub conversions: usize,
}

/// What becomes of one operator.
#[derive(Clone, Debug)]
pub struct PlannedOperator {
    /// Number in the file.
    pub index: usize,
    /// Name.
    pub name: String,
    /// A scheme, or unchanged.
    pub becomes: String,
    /// Why it stays float, or where its output's parameters come from.
    pub why: String,
    /// Name of its output.
    pub output: String,
    /// Parameters of its output.
    pub affine: Option<Affine>,
    /// Bytes of the constants that it reads, before and after.
    pub constant_bytes: [u64; 2],
    /// Operations of one sample.
    pub operations: u64,
    /// QUANTIZE and DEQUANTIZE that come before it.
    pub conversions: usize,
}

/// A row for each operator, then the sums.
pub fn plan(p: &PlanReport) -> String {
    let mut table = Table::new(&[
        ">op",
        "name",
        "becomes",
        "output",
        ">scale",
        ">zero point",
        "why",
        ">operations",
        ">bytes",
        ">→ bytes",
        ">conversions",
    ]);
    for o in &p.operators {
        let number = |n: u64| if n == 0 { String::new() } else { grouped(n) };
        table.row(vec![
            o.index.to_string(),
            shorten(&o.name, 30),
            o.becomes.clone(),
            shorten(&o.output, 32),
            o.affine
                .map_or(String::new(), |a| format!("{:.4e}", a.scale)),
            o.affine.map_or(String::new(), |a| a.zero_point.to_string()),
            shorten(&o.why, 60),
            number(o.operations),
            number(o.constant_bytes[0]),
            number(o.constant_bytes[1]),
            number(o.conversions as u64),
        ]);
    }
    let mut kinds: Vec<(&str, usize, u64)> = Vec::new();
    for o in &p.operators {
        match kinds.iter_mut().find(|(kind, ..)| *kind == o.becomes) {
            Some((_, n, operations)) => (*n, *operations) = (*n + 1, *operations + o.operations),
            None => kinds.push((&o.becomes, 1, o.operations)),
        }
    }
    let all: u64 = kinds.iter().map(|(_, _, operations)| operations).sum();
    let kinds: Vec<String> = kinds
        .iter()
        .enumerate()
        .map(|(i, (kind, n, operations))| {
            let share = 100.0 * *operations as f64 / all.max(1) as f64;
            match (i, n) {
                (0, 1) => format!("1 operator {kind} ({share:.1} % of the operations)"),
                (0, n) => format!("{n} operators {kind} ({share:.1} % of the operations)"),
                (_, n) => format!("{n} {kind} ({share:.1} %)"),
            }
        })
        .collect();
    let bytes = |k: usize| p.operators.iter().map(|o| o.constant_bytes[k]).sum::<u64>();
    format!(
        "{}\n{}; {} conversions added\nconstants {} -> {} bytes\n",
        table.text(),
        kinds.join(", "),
        p.conversions,
        grouped(bytes(0)),
        grouped(bytes(1)),
    )
}
