//! What a debug run found as a page of HTML that needs nothing but itself: figures, the model as a graph, tables that sort,
//! and details of every tensor.
//!
//! Everything is in the page before a script runs; the script sorts, filters, colours anew and opens what is linked to. Parts
//! of the address behind `#` do the same: `#sort=local_rmse:desc&filter=CONV&metric=alone_loss`, `#o12`.

mod blocks;
#[cfg(test)]
mod browser;
mod chart;
mod detail;
mod drawing;
#[cfg(test)]
mod example;
mod explorer;
mod graph;
mod metric;
mod table;
#[cfg(test)]
mod tests;

pub use explorer::{model_explorer, model_explorer_files};

use super::detail::number;
use super::page::escaped;
use super::table::grouped;
use crate::debug::Report;
use metric::{DARK, LIGHT, Scale, decibel};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Nothing is fetched, whatever a name in a model says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The page.
pub fn debug_page(report: &Report) -> String {
    let scales = metric::scales(report);
    let title = format!("Debugging {}", escaped(name(&report.quantized)));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{}{STYLE}</style></head>\n<body>\n",
        colours()
    );
    html += &head(report);
    html += &key_figures(report);
    html += &along(report, &scales);
    html += &drawing::section(report, &scales);
    html += &table::section(report, &scales);
    if let Some(at) = &report.at_output {
        html += &blocks::at_output(at);
    }
    html += &blocks::waterfalls(&report.waterfalls);
    html += &blocks::hybrid(report);
    if let Some(d) = &report.decisions {
        html += &blocks::decisions(d, report);
    }
    html += &blocks::numerics(report);
    html += &blocks::unmatched(report);
    html += &detail::section(report, &scales);
    html + &format!("<script>\n{SCRIPT}</script>\n</body></html>\n")
}

/// The file without its folders.
fn name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Colours of severities, for light and dark pages: as variables, fills, backgrounds.
fn colours() -> String {
    let of = |colours: &[&str]| -> String {
        let one = |(i, c): (usize, &&str)| format!("--h{i}:{c};");
        colours.iter().enumerate().map(one).collect()
    };
    let classes: String = (0..metric::STEPS)
        .map(|i| format!(".f{i} rect{{fill:var(--h{i})}}.b{i}{{background:var(--h{i})}}.g{i}{{--c:var(--h{i})}}\n"))
        .collect();
    format!(
        ":root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n{classes}",
        of(&LIGHT),
        of(&DARK)
    )
}

fn head(report: &Report) -> String {
    let mut sentences = report.verdict.iter();
    let first = sentences
        .next()
        .map_or("There is no verdict.", String::as_str);
    let others: String = sentences
        .map(|s| format!("<p>{}</p>\n", escaped(s)))
        .collect();
    format!(
        "<header><p class=\"files\"><code>{}</code> against <code>{}</code></p>\n<h1 id=\"verdict\">{}</h1>\n{others}</header>\n",
        escaped(&report.quantized),
        escaped(&report.float),
        escaped(first),
    )
}

fn key_figures(report: &Report) -> String {
    let mut cards: Vec<(String, String, String)> = Vec::new();
    let mut card =
        |what: &str, figure: String, more: String| cards.push((what.into(), figure, more));
    for o in &report.outputs {
        let f = &o.figures;
        let db = match (f.exact, f.sqnr_db) {
            (true, _) => "exact".into(),
            (_, Some(db)) => decibel(db),
            (_, None) => "–".into(),
        };
        let cosine = f
            .cosine
            .map_or(String::new(), |c| format!("cosine {c:.5}, "));
        let more = format!("{cosine}largest error {}", number(f.max_abs_error));
        card(&format!("SQNR of {}", table_name(&o.name)), db, more);
    }
    if let Some(d) = &report.decisions {
        let all = report.samples.max(1);
        let part = |n: usize| format!("{:.2} %", 100.0 * n as f64 / all as f64);
        let flips = report.samples.saturating_sub(d.agreeing);
        card(
            "agreement",
            part(d.agreeing),
            format!(
                "{} of {} samples flip",
                grouped(flips as u64),
                grouped(report.samples as u64)
            ),
        );
        if let Some([float, quantized]) = d.correct {
            let change = 100.0 * (quantized as f64 - float as f64) / all as f64;
            card(
                "accuracy",
                part(quantized),
                format!("float {} ({change:+.2} points)", part(float)),
            );
        }
    }
    if let Some(at) = &report.at_output {
        let samples = grouped(at.samples as u64);
        card(
            "loss at the outputs",
            number(at.quantized.loss),
            format!("noise to signal, {samples} samples"),
        );
    }
    let quantized = report.ops.iter().filter(|op| op.scheme != "float").count();
    let broken = report
        .ops
        .iter()
        .filter(|op| metric::worst(op).is_some())
        .count();
    for m in &report.metrics {
        let value = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{x:.4}"));
        card(
            &m.name,
            value(m.quantized),
            format!("{} in float", value(m.float)),
        );
    }
    card(
        "tensors compared",
        grouped(report.ops.len() as u64),
        format!("{quantized} quantized, {broken} with findings"),
    );
    card(
        "samples",
        grouped(report.samples as u64),
        report.device.clone(),
    );
    let cards = cards.iter().map(|(what, figure, more)| {
        format!(
            "<div class=\"card\"><span>{}</span><b>{}</b><small>{}</small></div>\n",
            escaped(what),
            escaped(figure),
            escaped(more)
        )
    });
    format!(
        "<div class=\"cards\">\n{}</div>\n",
        cards.collect::<String>()
    )
}

/// Names of outputs may be long.
fn table_name(name: &str) -> String {
    super::table::shorten(name, 34)
}

fn along(report: &Report, scales: &[Scale]) -> String {
    let value = |op: &crate::debug::OpReport| {
        (
            metric::Metric::LocalSqnr.value(op),
            metric::Metric::CumulativeSqnr.value(op),
        )
    };
    let values: Vec<_> = report.ops.iter().map(value).collect();
    let picture = chart::along(&values);
    if picture.is_empty() || scales.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2>Along the model</h2>\n<p class=\"hint\">SQNR of every tensor in the order of execution (places, not indices in \
         the file): <span class=\"key local\"></span>what the operator itself adds, <span class=\"key cumulative\"></span>what \
         has come together. A step down of the line is where quality is lost.</p>\n<figure class=\"chart wide\">{picture}</figure></section>\n"
    )
}
