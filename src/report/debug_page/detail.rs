//! What is known of one tensor, folded away until somebody asks.

use super::chart;
use super::metric::{Metric, Scale, decibel, faults, overall, sqnr, step, word};
use super::table::{clamped, percent, share, used, whole};
use crate::debug::{Channel, ErrorStats, Health, Level, OpReport, Part, Report};
use crate::report::detail::number;
use crate::report::page::escaped;
use crate::report::table::{grouped, shorten};

/// So many operators have pictures, the worst ones; a page with more would be slow to open.
pub(super) const PICTURED: usize = 100;
/// Channels that are drawn.
const CHANNELS: usize = 48;
/// Channels that a sentence names.
const NAMED: usize = 6;
/// A channel whose own range is less of the shared one has fewer than 5 of 8 bits.
const NARROW: f64 = 1.0 / 8.0;

/// The section with all details.
pub(super) fn section(report: &Report, scales: &[Scale]) -> String {
    if report.ops.is_empty() {
        return String::new();
    }
    let mut order: Vec<usize> = (0..report.ops.len()).collect();
    order.sort_by(|&a, &b| {
        let bad = |i: usize| overall(scales, &report.ops[i]);
        bad(b).total_cmp(&bad(a))
    });
    let mut pictured = vec![false; report.ops.len()];
    order
        .iter()
        .take(PICTURED)
        .for_each(|&i| pictured[i] = true);
    let note = match report.ops.len() > PICTURED {
        true => format!(
            " Pictures are drawn for the {PICTURED} worst of {} tensors; the others have figures alone.",
            report.ops.len()
        ),
        false => String::new(),
    };
    let mut html = format!(
        "<section><h2 id=\"details\">Every tensor</h2>\n<p class=\"hint\">In the order of execution. \
         <span class=\"key local\"></span>local, <span class=\"key cumulative\"></span>cumulative.{note}</p>\n\
         <div class=\"bar\"><button type=\"button\" data-open=\"1\">open all</button>\
         <button type=\"button\" data-open=\"0\">close all</button></div>\n"
    );
    for (i, op) in report.ops.iter().enumerate() {
        html += &details(i, op, report, scales, pictured[i]);
    }
    html + "</section>\n"
}

fn details(i: usize, op: &OpReport, report: &Report, scales: &[Scale], pictured: bool) -> String {
    let bad = step(overall(scales, op));
    let local = op.local.as_ref().and_then(sqnr).map(decibel);
    let local = local.map_or(String::new(), |db| {
        format!("<span>local <b>{db}</b></span>")
    });
    let db = sqnr(&op.cumulative).map_or("–".into(), decibel);
    let badges: String = faults(op)
        .map(|h| {
            format!(
                "<span class=\"badge {}\">{}</span>",
                word(h.level),
                escaped(h.rule)
            )
        })
        .collect();
    let mut html = format!(
        "<details id=\"o{i}\" class=\"op\"><summary><i class=\"b{bad}\"></i><b>{} {}</b> <code>{}</code>\
         <span class=\"figures\">{local}<span>cumulative <b>{db}</b></span>{badges}</span></summary>\n<div class=\"body\">\n",
        op.op_index,
        escaped(&shorten(&op.op_name, 40)),
        escaped(&shorten(&op.tensor_name, 90)),
    );
    html += &facts(op, report);
    html += &figures(op);
    html += &health(op);
    if pictured {
        html += &pictures(op);
    }
    html += &gates(&op.by_gate);
    html + "</div></details>\n"
}

fn facts(op: &OpReport, report: &Report) -> String {
    let shape: Vec<String> = op.shape.iter().map(ToString::to_string).collect();
    let mut facts: Vec<(&str, String)> = vec![
        (
            "tensor",
            format!("{} (float model: {})", op.tensor, op.float_tensor),
        ),
        ("shape", shape.join("×")),
        ("type", format!("{}, {}", op.dtype, escaped(op.scheme))),
    ];
    if let Some(a) = op.affine {
        let step = number(a.scale.into());
        facts.push(("scale", format!("{step}, zero point {}", a.zero_point)));
    }
    if let Some((low, high)) = whole(op) {
        facts.push((
            "its integers reach",
            format!("{} … {}", number(low), number(high)),
        ));
    }
    if let (Some([low, high]), Some(n)) = (clamped(op), used(op)) {
        facts.push((
            "codes",
            format!(
                "{n} of {} used, {} clamped",
                op.codes.len(),
                share(low + high)
            ),
        ));
    }
    if let Some(e) = op.extremes {
        let (min, max) = (number(e.min.0), number(e.max.0));
        facts.push((
            "range",
            format!(
                "min {min} by sample {} (others {}), max {max} by sample {} (others {})",
                e.min.1,
                number(e.next_min),
                e.max.1,
                number(e.next_max)
            ),
        ));
        let (factor, sample) = e.widening();
        if factor > 1.0 && factor.is_finite() {
            // A range of nothing but one sample has no sensible factor.
            let factor = if factor > 1e6 {
                "vast".into()
            } else {
                format!("{factor:.2} times as wide")
            };
            facts.push((
                "one sample",
                format!("sample {sample} alone makes the range {factor}"),
            ));
        }
    }
    if let Some(at) = op.at_output {
        let whole = report.at_output.as_ref().map_or(0.0, |a| a.quantized.loss);
        let of = |x: f64| match whole > 0.0 {
            true => format!("{} ({} of the model's loss)", number(x), share(x / whole)),
            false => number(x),
        };
        facts.push(("alone it loses", of(at.alone_loss)));
        if let Some(gain) = at.left_float_gain {
            facts.push(("left float it wins back", of(gain)));
        }
    }
    let nan = op.cumulative.nan_samples;
    if nan > 0 {
        facts.push((
            "NaN",
            format!("in {} samples, which are left out", grouped(nan)),
        ));
    }
    let items = facts
        .iter()
        .map(|(word, value)| format!("<div><dt>{word}</dt><dd>{value}</dd></div>"));
    format!("<dl class=\"facts\">{}</dl>\n", items.collect::<String>())
}

fn figures(op: &OpReport) -> String {
    let row = |name: &str, class: &str, s: &ErrorStats| {
        let ratio = s
            .rmse_over_scale
            .map_or("–".into(), |r| Metric::RmseOverScale.figure(r));
        format!(
            "<tr><td class=\"l\"><span class=\"key {class}\"></span>{name}</td><td>{ratio}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            sqnr(s).map_or("–".into(), decibel),
            s.cosine.map_or("–".into(), |c| format!("{c:.6}")),
            s.equal_codes.map_or("–".into(), share),
            number(s.mean_error),
            number(s.stddev),
            number(s.max_abs_error),
            number(s.largest_error),
        )
    };
    let local = op
        .local
        .as_ref()
        .map_or(String::new(), |s| row("local", "local", s));
    format!(
        "<div class=\"scroll\"><table><tr><th class=\"l\">error</th><th>RMSE / scale</th><th>SQNR</th><th>cosine</th>\
         <th>equal codes</th><th>mean</th><th>std</th><th>max |error|</th><th>largest</th></tr>\n{local}{}</table></div>\n",
        row("cumulative", "cumulative", &op.cumulative)
    )
}

fn health(op: &OpReport) -> String {
    let mut all: Vec<&Health> = op.health.iter().collect();
    all.sort_by_key(|h| std::cmp::Reverse(h.level));
    let item = |h: &&Health| {
        // What is fine needs no remedy.
        let remedy = match h.level > Level::Fine {
            true => format!(" <em>{}</em>", escaped(&h.remedy)),
            false => String::new(),
        };
        let level = word(h.level);
        let (rule, found) = (escaped(h.rule), escaped(&h.found));
        format!("<li><span class=\"badge {level}\">{rule}</span> {found}{remedy}</li>\n")
    };
    let items: String = all.iter().map(item).collect();
    match items.is_empty() {
        true => items,
        false => format!("<ul class=\"health\">\n{items}</ul>\n"),
    }
}

fn pictures(op: &OpReport) -> String {
    let mut html = String::new();
    let mut figure = |picture: String, caption: &str| {
        if !picture.is_empty() {
            html += &format!(
                "<figure class=\"chart\">{picture}<figcaption>{caption}</figcaption></figure>\n"
            );
        }
    };
    if op.codes.len() > 1 {
        let [low, high] = op.at_ends.map(share);
        let caption = format!(
            "Elements by code; {low} at the lowest and {high} at the highest; what is cut off is red"
        );
        figure(chart::codes(op, clamped(op).unwrap_or_default()), &caption);
    }
    figure(
        chart::steps(op.local.as_ref(), &op.cumulative),
        "Share of elements by their error in steps: local (area), cumulative (line)",
    );
    let stats = op
        .local
        .as_ref()
        .filter(|l| !l.channels.is_empty())
        .unwrap_or(&op.cumulative);
    let kind = if op.local.as_ref().is_some_and(|l| !l.channels.is_empty()) {
        "Local"
    } else {
        "Cumulative"
    };
    let shown = worst_channels(&stats.channels);
    if !shown.is_empty() {
        let which = match stats.channels.len() > shown.len() {
            true => format!("the {} worst of {}", shown.len(), stats.channels.len()),
            false => "the worst first".into(),
        };
        figure(
            chart::errors(&shown),
            &format!("{kind} RMSE by channel, {which}"),
        );
        if let Some(whole) = whole(op) {
            figure(
                chart::ranges(&shown, whole),
                &format!(
                    "Ranges of the same channels in the shared range (grey). {}",
                    narrow(&stats.channels, whole)
                ),
            );
        }
    }
    if op.by_time.len() > 1 {
        figure(chart::by_time(&op.by_time), "Local RMSE by time step");
    }
    match html.is_empty() {
        true => html,
        false => format!("<div class=\"pictures\">\n{html}</div>\n"),
    }
}

fn worst_channels(all: &[Channel]) -> Vec<(usize, Channel)> {
    let mut channels: Vec<(usize, Channel)> = all.iter().copied().enumerate().collect();
    channels.sort_by(|a, b| b.1.mean_squared_error.total_cmp(&a.1.mean_squared_error));
    channels.truncate(CHANNELS);
    channels
}

/// Channels whose own range is a small part of the shared one, in a sentence.
fn narrow(channels: &[Channel], (low, high): (f64, f64)) -> String {
    let own = |c: &Channel| (c.max.max(0.0) - c.min.min(0.0)) / (high - low);
    let mut few: Vec<(usize, f64)> = channels.iter().map(own).enumerate().collect();
    few.retain(|&(_, part)| part < NARROW);
    few.sort_by(|a, b| a.1.total_cmp(&b.1));
    let named = few.iter().take(NAMED);
    let named: Vec<String> = named
        .map(|&(i, part)| format!("{i} ({})", share(part)))
        .collect();
    match few.len() {
        0 => "Every channel uses at least an eighth of it.".into(),
        n => format!(
            "{n} of {} channels use less than an eighth of it: {}{}",
            channels.len(),
            named.join(", "),
            if n > NAMED { ", …" } else { "." }
        ),
    }
}

/// What the rounding of each gate adds, as bars.
fn gates(parts: &[Part]) -> String {
    let most = parts.iter().map(|p| p.error.abs()).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let rows: String = parts
        .iter()
        .map(|p| {
            let width = percent(p.error.abs(), most);
            format!(
                "<tr><td class=\"l\">{}</td><td class=\"track\"><i style=\"left:0;width:{width:.1}%\"></i></td><td>{}</td></tr>\n",
                escaped(&shorten(&p.source, 60)),
                number(p.error)
            )
        })
        .collect();
    format!(
        "<h4>What the rounding of each gate's weights adds</h4>\n<table class=\"flow\">\n{rows}</table>\n"
    )
}
