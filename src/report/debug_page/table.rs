//! The table of all operators, and the cells that tables of the page are made of.
//!
//! A cell carries its number for the script, which sorts by it, and its severity, which is the length and colour of the bar
//! behind the figure.

use super::drawing::scale;
use super::metric::{Metric, Scale, decibel, faults, sqnr, step, word, worst};
use crate::debug::{ErrorStats, OpReport, Report};
use crate::num::DType;
use crate::report::detail::number;
use crate::report::page::escaped;
use crate::report::table::shorten;

/// A cell: what is shown, what it is sorted by, and how bad it is.
pub(super) struct Cell {
    text: String,
    value: Option<f64>,
    severity: Option<f64>,
    class: &'static str,
}

impl Cell {
    /// Words, aligned to the left; `html` is shown as it is.
    pub fn words(html: String) -> Cell {
        Cell {
            text: html,
            value: None,
            severity: None,
            class: "l",
        }
    }

    /// A number; a dash where there is none.
    pub fn figure(value: Option<f64>, text: impl Fn(f64) -> String) -> Cell {
        let value = value.filter(|v| !v.is_nan());
        Cell {
            text: value.map_or("–".into(), text),
            value,
            severity: None,
            class: "",
        }
    }

    /// With a bar behind it.
    pub fn bar(mut self, severity: impl Fn(f64) -> f64) -> Cell {
        self.severity = self.value.map(severity);
        self
    }

    /// Its HTML.
    pub fn html(&self) -> String {
        let value = match (self.value, self.class) {
            (_, "l") => String::new(),
            // As the script reads numbers.
            (Some(v), _) if v.is_infinite() => {
                format!(" data-v=\"{}Infinity\"", if v < 0.0 { "-" } else { "" })
            }
            (Some(v), _) => format!(" data-v=\"{v:e}\""),
            (None, _) => " data-v=\"\"".into(),
        };
        let (class, style) = match self.severity {
            Some(s) if s > 0.0 => (
                format!("h g{}", step(s)),
                format!(" style=\"--w:{:.1}%\"", 100.0 * s),
            ),
            _ => (self.class.to_owned(), String::new()),
        };
        let class = if class.is_empty() {
            class
        } else {
            format!(" class=\"{class}\"")
        };
        format!("<td{class}{value}{style}>{}</td>", self.text)
    }
}

/// A heading that sorts by a click; `down` is whether the largest come first then.
pub(super) fn heading(key: &str, title: &str, help: &str, down: bool) -> String {
    let first = if down { " data-first=\"desc\"" } else { "" };
    format!(
        "<th data-key=\"{key}\"{first} scope=\"col\" title=\"{}\"><button type=\"button\">{title}</button></th>",
        escaped(help)
    )
}

/// Percent with as many digits as a small share needs.
pub(super) fn share(x: f64) -> String {
    match 100.0 * x {
        0.0 => "0 %".into(),
        p if p.is_nan() => "–".into(),
        p if p < 0.01 => "< 0.01 %".into(),
        p if p < 1.0 => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// The width of a bar: a part of the whole in percent, from 0 to 100 whatever they are.
pub(super) fn percent(part: f64, whole: f64) -> f64 {
    match 100.0 * (part / whole) {
        x if x.is_nan() => 0.0,
        x => x.clamp(0.0, 100.0),
    }
}

/// Codes of an 8-bit tensor that occur.
pub(super) fn used(op: &OpReport) -> Option<usize> {
    (!op.codes.is_empty()).then(|| op.codes.iter().filter(|&&n| n > 0).count())
}

/// The range that the integers of a tensor can hold.
pub(super) fn whole(op: &OpReport) -> Option<(f64, f64)> {
    let a = op.affine?;
    let (low, high) = match op.dtype {
        DType::I8 => (-128, 127),
        DType::I16 => (-32768, 32767),
        _ => return None,
    };
    let real = |q: i32| f64::from(a.scale) * f64::from(q - a.zero_point);
    Some((real(low), real(high)))
}

/// Shares of the elements at the lowest and at the highest code, where the float tensor goes beyond: zeros behind a RELU are
/// at an end and rightly so.
pub(super) fn clamped(op: &OpReport) -> Option<[f64; 2]> {
    let (a, (low, high)) = (op.affine?, whole(op)?);
    let half = 0.5 * f64::from(a.scale);
    let beyond = match op.extremes {
        Some(e) => [e.min.0 < low - half, e.max.0 > high + half],
        // One sample tells nothing of the range; an end that stands for 0 is no limit.
        None => [low < 0.0, high > 0.0],
    };
    let share = |i: usize| if beyond[i] { op.at_ends[i] } else { 0.0 };
    Some([share(0), share(1)])
}

/// Linear between what is harmless and what is bad in logarithms.
fn between(good: f64, bad: f64) -> impl Fn(f64) -> f64 {
    move |x| ((x.max(good) / good).ln() / (bad / good).ln()).clamp(0.0, 1.0)
}

/// The section with the table.
pub(super) fn section(report: &Report, scales: &[Scale]) -> String {
    let asked = report.ops.iter().any(|op| op.at_output.is_some());
    let outputs = match asked {
        true => "<th colspan=\"2\">at the outputs</th>",
        false => "",
    };
    let mut html = format!(
        "<section><h2 id=\"table\">All operators</h2>\n<p class=\"hint\">A click on a heading sorts, another one turns the order. \
         The longer and hotter a bar, the worse. <em>Local</em> is what an operator itself adds; <em>cumulative</em> is what has \
         come together up to its output.</p>\n\
         <div class=\"bar\"><label>filter <input id=\"filter\" type=\"search\" placeholder=\"name, operator, scheme, rule\"></label>\
         <span id=\"shown\"></span></div>\n<div class=\"scroll\"><table id=\"ops\" class=\"sort\"><thead>\n\
         <tr class=\"over\"><th colspan=\"5\">operator</th><th colspan=\"2\">local</th><th colspan=\"4\">cumulative</th>{outputs}\
         <th colspan=\"2\">codes</th><th></th></tr>\n<tr>"
    );
    let mut th =
        |key: &str, title: &str, help: &str, down: bool| html += &heading(key, title, help, down);
    th("op_index", "#", "index of the operator in the file", false);
    th(
        "op",
        "op",
        "name of the operator; a click leads to the details",
        false,
    );
    th("tensor", "tensor", "its output", false);
    th("scheme", "scheme", "what becomes of the operator", false);
    th("scale", "scale", "step of the output's integers", true);
    th(
        "local_rmse",
        "RMSE /\u{a0}scale",
        "root of the mean squared error in steps; pure rounding gives 0.289",
        true,
    );
    th("local_sqnr", "SQNR", "signal to noise", false);
    th("cumulative_sqnr", "SQNR", "signal to noise", false);
    th(
        "max_error",
        "max |error|",
        "mean over samples of the largest error",
        true,
    );
    th(
        "cosine",
        "cosine",
        "cosine of the angle between both",
        false,
    );
    th(
        "equal_codes",
        "equal codes",
        "share of elements with the code that the float value would get",
        false,
    );
    if asked {
        th(
            "alone_loss",
            "alone loss",
            "loss at the outputs where only this operator is quantized",
            true,
        );
        th(
            "left_float_gain",
            "left\u{2011}float gain",
            "loss that is won back where only this operator is left float",
            true,
        );
    }
    th(
        "clamped",
        "clamped",
        "share of elements at an end of the codes that the float values go beyond",
        true,
    );
    th("codes_used", "used", "codes of 256 that occur", false);
    th("health", "health", "rules that it breaks", true);
    html += "</tr></thead><tbody>\n";
    for (i, op) in report.ops.iter().enumerate() {
        html += &row(i, op, scales, asked);
    }
    html + "</tbody></table></div>\n</section>\n"
}

fn row(i: usize, op: &OpReport, scales: &[Scale], asked: bool) -> String {
    let by = |metric: Metric| {
        let value = metric.value(op);
        let cell = Cell::figure(value, |v| metric.figure(v));
        match scale(scales, metric) {
            Some(s) => cell.bar(|v| s.severity(v)),
            None => cell,
        }
    };
    let c: &ErrorStats = &op.cumulative;
    let db = |v: Option<f64>, metric: Metric| {
        let cell = Cell::figure(v, decibel);
        match scale(scales, metric) {
            Some(s) => cell.bar(|v| s.severity(v)),
            None => cell,
        }
    };
    let mut cells = vec![
        Cell::figure(Some(op.op_index as f64), |v| format!("{v:.0}")),
        Cell::words(format!(
            "<a href=\"#o{i}\">{}</a>",
            escaped(&shorten(&op.op_name, 32))
        )),
        Cell::words(format!(
            "<span class=\"name\" title=\"{}\">{}</span>",
            escaped(&op.tensor_name),
            escaped(&shorten(&op.tensor_name, 44))
        )),
        Cell::words(escaped(op.scheme)),
        Cell::figure(op.affine.map(|a| f64::from(a.scale)), number),
        by(Metric::RmseOverScale),
        db(op.local.as_ref().and_then(sqnr), Metric::LocalSqnr),
        db(sqnr(c), Metric::CumulativeSqnr),
        Cell::figure(Some(c.max_abs_error), number),
        Cell::figure(c.cosine, |v| format!("{v:.5}")).bar(|v| between(1e-4, 0.1)(1.0 - v)),
        Cell::figure(c.equal_codes, share).bar(|v| (1.0 - v).clamp(0.0, 1.0)),
    ];
    if asked {
        cells.push(by(Metric::AloneLoss));
        cells.push(by(Metric::LeftFloatGain));
    }
    cells.push(
        Cell::figure(clamped(op).map(|[low, high]| low + high), share).bar(between(1e-3, 0.1)),
    );
    cells.push(Cell::figure(used(op).map(|n| n as f64), |v| {
        format!("{v:.0}")
    }));
    let cells: String = cells.iter().map(Cell::html).collect();
    format!("<tr data-row=\"{i}\">{cells}{}</tr>\n", health(op))
}

/// Rules with their levels; sorted by the worst level, then by how many there are.
fn health(op: &OpReport) -> String {
    let Some(level) = worst(op) else {
        return "<td class=\"l\" data-v=\"0\"></td>".into();
    };
    let value = 100 * level as usize + faults(op).count();
    let badges = faults(op).map(|h| {
        let level = word(h.level);
        format!(
            "<span class=\"badge {level}\" title=\"{}\">{}</span>",
            escaped(&h.found),
            escaped(h.rule)
        )
    });
    format!(
        "<td class=\"l\" data-v=\"{value}\">{}</td>",
        badges.collect::<String>()
    )
}
