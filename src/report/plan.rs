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
    /// int8, float or unchanged.
    pub becomes: &'static str,
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
            o.becomes.into(),
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
    let of = |becomes: &str| {
        let chosen = p.operators.iter().filter(|o| o.becomes == becomes);
        chosen.fold((0, 0), |(n, sum), o| (n + 1, sum + o.operations))
    };
    let [(int8, integer), (float, real), (rest, _)] = ["int8", "float", "unchanged"].map(of);
    let share = 100.0 * integer as f64 / (integer + real).max(1) as f64;
    let bytes = |k: usize| p.operators.iter().map(|o| o.constant_bytes[k]).sum::<u64>();
    format!(
        "{}\n{int8} operators int8 with {share:.1} % of the operations, {float} float, {rest} unchanged; \
         {} conversions added\nconstants {} -> {} bytes\n",
        table.text(),
        p.conversions,
        grouped(bytes(0)),
        grouped(bytes(1)),
    )
}
