//! What the figures of `compare` mean, in sentences.

use super::compare::{Compared, Comparison, MetricColumn, shown};
use crate::evaluate::Unit;

/// A hundredth.
pub(super) const POINT: f64 = 0.01;
/// Samples below which one of them is worth telling.
const FEW: usize = 500;

/// What the figures mean, in sentences.
pub(super) fn verdict(c: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    let names = c.names();
    let models: Vec<(&Compared, &String)> = c.models.iter().zip(&names[1..]).collect();
    if let Some(metric) = c.metrics.first() {
        lines.extend(smallest(c, metric, &models));
    }
    let shares = c.metrics.first().is_some_and(|m| m.unit == Unit::Share);
    if shares && c.samples < FEW {
        lines.push(format!(
            "One sample of {} is {:.2} points; more samples tell files apart better.",
            c.samples,
            100.0 / c.samples.max(1) as f64
        ));
    }
    let time = |m: &Compared| m.time.seconds_per_sample;
    let fastest = models.iter().min_by(|a, b| time(a.0).total_cmp(&time(b.0)));
    if let Some((model, name)) = fastest {
        let (ms, float) = (1e3 * time(model), 1e3 * time(&c.float));
        lines.push(match ms < float {
            true => format!("Fastest here: {name}, {ms:.3} ms a sample; the float model takes {float:.3} ms."),
            false => format!(
                "None is faster here than the float model, {float:.3} ms a sample; the nearest is {name}, {ms:.3} ms."
            ),
        });
        lines.push(format!(
            "Times are of zeropoint's own kernels on this device, in batches of {}, not of the runtime that is deployed.",
            c.time.batch
        ));
    }
    lines
}

/// The smallest file that is as good as the float model, or the best one.
fn smallest(
    c: &Comparison,
    metric: &MetricColumn,
    models: &[(&Compared, &String)],
) -> Option<String> {
    let name = &metric.name;
    let sign = if metric.larger_is_better { 1.0 } else { -1.0 };
    let scored = models.iter();
    let scored = scored.filter_map(|&(m, file)| Some((m, file, m.value(metric)?)));
    let mut scored: Vec<(&Compared, &String, f64)> = scored.collect();
    // The best first, of equals the smaller.
    scored.sort_by(|a, b| {
        let order = (sign * b.2).total_cmp(&(sign * a.2));
        order.then(a.0.bytes.cmp(&b.0.bytes))
    });
    let (best, file, value) = *scored.first()?;
    let told = |value| shown(metric.unit, Some(value));
    let size = best.size();
    let float = match metric.unit {
        Unit::Share => c.float.value(metric)?,
        Unit::Decibel | Unit::Real => {
            return Some(format!("Best by {name}: {file}, {}, {size}.", told(value)));
        }
    };
    let against = told(float);
    // Room for the last bit: 0.81 is within a point of 0.82.
    let near = scored.iter();
    let near = near.filter(|s| sign * (s.2 - float) >= -POINT - 1e-12);
    Some(match near.min_by_key(|s| s.0.bytes) {
        Some((model, file, value)) => format!(
            "The smallest within one point of float by {name}: {file}, {} against {against}, {}.",
            told(*value),
            model.size()
        ),
        None => format!(
            "None is within one point of float by {name} ({against}); the best is {file}, {}, {size}.",
            told(value)
        ),
    })
}
