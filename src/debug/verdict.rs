//! What it comes to, in sentences: how bad, who, why, and what to do.

use super::at_output::{AtOutput, AtOutputs};
use super::report::{Level, OpReport, Report};
use crate::graph::Graph;
use crate::num::DType;

/// A loss below this is none: 30 dB.
const NO_LOSS: f64 = 1e-3;
/// A remedy has to win back this share of what the best one does.
const AS_GOOD: f64 = 0.9;
/// Or this share, for less than half the work, where the work is most of the model's.
const MOST_OF_IT: f64 = 0.6;
/// An operator that loses less than this share of the whole, alone, is innocent.
const INNOCENT: f64 = 0.1;

pub(super) fn verdict(report: &Report, graph: &Graph) -> Vec<String> {
    let mut all = vec![how_bad(report)];
    if let Some(answers) = &report.at_output {
        if answers.quantized.loss < NO_LOSS {
            all.push(
                "Nothing is to be done: leaving operators in float would win nothing worth having."
                    .into(),
            );
        } else {
            all.extend(who(answers));
            all.extend(remedy(answers, graph));
        }
    }
    all.extend(why(report));
    if !report.unmatched.is_empty() {
        let n = report.unmatched.len();
        all.push(format!(
            "{n} operator{} of the quantized model {} no counterpart in the float one and could not be compared: {}.",
            if n == 1 { "" } else { "s" },
            if n == 1 { "has" } else { "have" },
            list(report.unmatched.iter().map(String::as_str), 5)
        ));
    }
    all
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:.2} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn how_bad(report: &Report) -> String {
    let worst = report.outputs.iter().filter(|o| !o.figures.exact);
    let worst = worst.filter_map(|o| Some((o.figures.sqnr_db?, &o.name)));
    let worst = worst.min_by(|a, b| a.0.total_cmp(&b.0));
    let mut text = match (&report.decisions, &worst) {
        (Some(d), _) => {
            let agreeing = percent(d.agreeing, report.samples);
            let scored = d.correct.map(|[float, quantized]| {
                format!(
                    ", and its accuracy is {} where the float model has {}",
                    percent(quantized, report.samples),
                    percent(float, report.samples)
                )
            });
            format!(
                "The quantized model decides as the float model for {agreeing} of {} samples{}",
                report.samples,
                scored.unwrap_or_default()
            )
        }
        (None, _) => format!("{} samples were compared", report.samples),
    };
    text += &match worst {
        Some((sqnr, name)) if report.outputs.len() > 1 => {
            format!("; its worst output, '{name}', has an SQNR of {sqnr:.1} dB.")
        }
        Some((sqnr, _)) => format!("; the SQNR of its output is {sqnr:.1} dB."),
        None => "; its outputs equal the float model's.".into(),
    };
    text
}

fn who(answers: &AtOutputs) -> Option<String> {
    let whole = answers.quantized.loss;
    let guilty: Vec<&AtOutput> = answers
        .ops
        .iter()
        .filter(|o| o.alone_loss.max(o.left_float_gain.unwrap_or(0.0)) >= INNOCENT * whole)
        .collect();
    let innocent = answers.ops.len() - guilty.len();
    if guilty.is_empty() {
        return Some(format!(
            "No single operator is to blame: of {} that were asked, none loses a tenth of the whole alone (loss {whole:.3} of the \
             outputs' signal).",
            answers.ops.len()
        ));
    }
    let names = list(guilty.iter().map(|o| o.name.as_str()), 6);
    let figures = guilty
        .iter()
        .take(6)
        .map(|o| format!("{:.0} %", 100.0 * o.alone_loss / whole));
    let figures: Vec<String> = figures.collect();
    let others = match innocent {
        0 => String::new(),
        n => format!(" The other {n} lose less than a tenth each."),
    };
    Some(format!(
        "To blame: {names}. Quantized alone, they lose {} of what the whole model loses.{others}",
        figures.join(", ")
    ))
}

/// The cheapest operators that win back nearly all that can be won.
fn remedy(answers: &AtOutputs, graph: &Graph) -> Option<String> {
    let all = || answers.ops.iter().chain(&answers.groups);
    let best = all().filter_map(|o| o.left_float_gain).fold(0.0, f64::max);
    if best < INNOCENT * answers.quantized.loss {
        let integers = graph.inputs.iter().any(|&id| {
            graph.tensors[id].dtype != DType::F32 && graph.tensors[id].affine().is_some()
        });
        let inputs = match integers {
            true => {
                " The model's inputs are integers: what they lose in rounding, no operator inside can win back."
            }
            false => "",
        };
        return Some(format!(
            "Leaving operators in float, alone or by kind, wins back little; another scheme or other ranges may.{inputs}"
        ));
    }
    let cheapest = |share: f64| {
        let enough = all().filter(move |o| o.left_float_gain.is_some_and(|g| g >= share * best));
        enough.min_by(|a, b| a.work.total_cmp(&b.work))
    };
    let chosen = cheapest(AS_GOOD)?;
    // Most of the gain for little of the work is better than all of it for nearly all work.
    let chosen = cheapest(MOST_OF_IT)
        .filter(|o| chosen.work > 0.5 && o.work < chosen.work / 2.0)
        .unwrap_or(chosen);
    let left = chosen.left_float.as_ref()?;
    let n = answers.samples;
    let was = &answers.quantized;
    let agreeing = match (left.agreeing, was.agreeing) {
        (Some(now), Some(was)) => {
            format!(", agreement with the float model from {was} to {now} of {n} samples")
        }
        _ => String::new(),
    };
    let correct = match (left.correct, was.correct, answers.float.correct) {
        (Some(now), Some(was), Some(float)) => {
            format!(", right answers from {was} to {now} (float: {float})")
        }
        _ => String::new(),
    };
    let members = chosen.nodes.iter().map(|&i| graph.nodes[i].describe());
    let members: Vec<String> = members.collect();
    Some(format!(
        "Leaving {} in float or 16x8, {:.0} % of the multiplications, takes the loss from {:.3} to {:.3}{agreeing}{correct}: \
         zeropoint quantize … {} --skip-scheme int16x8",
        list(members.iter().map(String::as_str), 6),
        100.0 * chosen.work,
        was.loss,
        left.loss,
        options(chosen, graph)
    ))
}

/// The options of `quantize` that choose these operators: by kind where they are all of it, else by name.
fn options(chosen: &AtOutput, graph: &Graph) -> String {
    let kind = |i: usize| graph.nodes[i].op.name();
    let first = kind(chosen.nodes[0]);
    let of_kind = graph.nodes.iter().filter(|n| n.op.name() == first).count();
    if chosen.nodes.iter().all(|&i| kind(i) == first) && of_kind == chosen.nodes.len() {
        return format!("--skip-op {first}");
    }
    let names = chosen.float_names.iter().map(|name| {
        // The first of the names that a converter has joined.
        let name = name.split(';').next().unwrap_or(name);
        format!("--skip-node '^{}(;|$)'", regex_literal(name))
    });
    names.collect::<Vec<_>>().join(" ")
}

/// A name as a regular expression that matches it alone.
fn regex_literal(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            let special = r"\.+*?()|[]{}^$#&-~".contains(c);
            special.then_some('\\').into_iter().chain([c])
        })
        .collect()
}

/// Findings about the operators that are worst at the outputs, or locally.
fn why(report: &Report) -> Vec<String> {
    let mut ops: Vec<&OpReport> = report.ops.iter().collect();
    let harm = |op: &OpReport| match (&op.at_output, &op.local) {
        (Some(o), _) => o.alone_loss.max(o.left_float_gain.unwrap_or(0.0)),
        (None, Some(local)) => local.sqnr_db.map_or(0.0, |db| 10f64.powf(-db / 10.0)),
        (None, None) => 0.0,
    };
    ops.sort_by(|a, b| harm(b).total_cmp(&harm(a)));
    let worst = ops.into_iter().take(3);
    worst
        .flat_map(|op| {
            let findings = op.health.iter().filter(|h| h.level >= Level::Warning);
            findings.map(|h| format!("{} (operator {}): {}.", op.op_name, op.op_index, h.found))
        })
        .collect()
}

/// The first few of a list.
fn list<'a>(names: impl Iterator<Item = &'a str>, most: usize) -> String {
    let names: Vec<&str> = names.collect();
    let shown = &names[..names.len().min(most)];
    let more = names.len() - shown.len();
    match (shown, more) {
        ([one], 0) => (*one).to_owned(),
        ([first @ .., last], 0) => format!("{} and {last}", first.join(", ")),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}
