//! Figures for Google's Model Explorer, as *custom node data*.
//!
//! A file of node data holds one value for a node, so each metric is a file of its own, which Model Explorer shows under the
//! file's name. The form without graph ids, `{"name": …, "results": {key: {"value": …, "bgColor": …}}}`, belongs to the graph
//! that is open when the file is loaded; graph ids would be names of subgraphs (or of signatures, or `main`), which a report
//! does not have. A key is the id of a node, which Model Explorer's adapter for TFLite makes of the operator's index, or the
//! name of an output tensor. We use ids: names of tensors need not be unique.

use super::metric::{LIGHT, Metric, scales, step};
use crate::debug::Report;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Node data of the local SQNR: the first of [`model_explorer_files`].
pub fn model_explorer(report: &Report) -> String {
    node_data(report, Metric::LocalSqnr)
}

/// Node data of every metric of which there are values, each with its short name: one file each.
pub fn model_explorer_files(report: &Report) -> Vec<(&'static str, String)> {
    let metrics = scales(report).into_iter().map(|s| s.metric);
    metrics.map(|m| (m.key(), node_data(report, m))).collect()
}

fn node_data(report: &Report, metric: Metric) -> String {
    let scale = super::metric::Scale::new(metric, report);
    // Of several outputs the worst one counts.
    let mut worst: BTreeMap<usize, (f64, &crate::debug::OpReport)> = BTreeMap::new();
    for op in &report.ops {
        if let Some(severity) = scale.of(op) {
            let entry = worst.entry(op.op_index).or_insert((severity, op));
            if severity > entry.0 {
                *entry = (severity, op);
            }
        }
    }
    let results = worst.into_iter().map(|(index, (severity, op))| {
        let value = match metric.value(op) {
            // JSON has no infinity, and rules are words.
            Some(v) if v.is_finite() && metric != Metric::Health => json!(rounded(v)),
            _ => json!(metric.text(op)),
        };
        let data = json!({"value": value, "bgColor": LIGHT[step(severity)]});
        (index.to_string(), data)
    });
    let results: Map<String, Value> = results.collect();
    json!({"name": metric.title(), "results": results}).to_string()
}

/// Digits that a label has room for.
fn rounded(x: f64) -> f64 {
    format!("{x:.4e}").parse().unwrap_or(x)
}
