//! Parts of the page that are about the whole model: groups of operators, sources of the error, decisions.

use super::table::{Cell, heading, percent, share};
use crate::debug::{AtOutput, AtOutputs, Decisions, Report, Score, Waterfall};
use crate::report::detail::number;
use crate::report::page::escaped;
use crate::report::table::{grouped, shorten};

/// Classes of a confusion matrix that can still be read.
const MOST_CLASSES: usize = 40;

/// What operators, kinds of operators and the worst together do to the outputs.
pub(super) fn at_output(at: &AtOutputs) -> String {
    let every: Vec<&AtOutput> = at.groups.iter().chain(&at.ops).collect();
    let losses = every
        .iter()
        .flat_map(|a| [a.alone_loss, a.left_float_gain.unwrap_or(0.0)]);
    let most = losses
        .filter(|x| x.is_finite())
        .fold(at.quantized.loss, f64::max);
    let counts = |s: Option<&Score>, of: fn(&Score) -> Option<usize>| {
        Cell::figure(s.and_then(of).map(|n| n as f64), |v| format!("{v:.0}"))
    };
    let row = |a: &AtOutput, class: &str| {
        let left = a.left_float.as_ref();
        let cells = [
            Cell::words(format!(
                "<span class=\"name\">{}</span>",
                escaped(&shorten(&a.name, 60))
            )),
            Cell::words(pair(a.alone_loss, a.left_float_gain, most)),
            Cell::figure(Some(a.alone_loss), number),
            Cell::figure(a.left_float_gain, number),
            counts(Some(&a.alone), |s| s.agreeing),
            counts(left, |s| s.agreeing),
            counts(Some(&a.alone), |s| s.correct),
            counts(left, |s| s.correct),
            Cell::figure(Some(a.work), share),
        ];
        let cells: String = cells.iter().map(Cell::html).collect();
        format!("<tr class=\"{class}\">{cells}</tr>\n")
    };
    let score = |name: &str, s: &Score| {
        let of = |n: Option<usize>| n.map_or("–".into(), |n| n.to_string());
        format!(
            "{name}: loss {}, {} agree, {} right",
            number(s.loss),
            of(s.agreeing),
            of(s.correct)
        )
    };
    let mut html = format!(
        "<section><h2 id=\"outputs\">At the outputs</h2>\n<p class=\"hint\">Noise-to-signal ratio of the outputs over {} samples, by \
         {} models. {}; {}. <span class=\"key cumulative\"></span>lost where only this is quantized; \
         <span class=\"key local\"></span>won back where only this is left float. Groups come first.</p>\n\
         <div class=\"scroll\"><table class=\"sort\"><thead><tr>",
        grouped(at.samples as u64),
        grouped(at.models as u64),
        score("Float model", &at.float),
        score("quantized model", &at.quantized),
    );
    html += &heading(
        "name",
        "what",
        "an operator, all of a kind, or the worst ones together",
        false,
    );
    html += "<th></th>";
    html += &heading(
        "alone",
        "alone loss",
        "loss where only this is quantized",
        true,
    );
    html += &heading(
        "gain",
        "left-float gain",
        "loss that is won back where only this is left float",
        true,
    );
    html += &heading(
        "alone_agree",
        "alone agree",
        "samples whose class is the float model's",
        false,
    );
    html += &heading(
        "left_agree",
        "left float agree",
        "samples whose class is the float model's",
        true,
    );
    html += &heading(
        "alone_right",
        "alone right",
        "samples whose class is their label",
        false,
    );
    html += &heading(
        "left_right",
        "left float right",
        "samples whose class is their label",
        true,
    );
    html += &heading("work", "work", "share of the model's multiplications", true);
    html += "</tr></thead><tbody>\n";
    html.extend(at.groups.iter().map(|a| row(a, "group")));
    html.extend(at.ops.iter().map(|a| row(a, "")));
    html + "</tbody></table></div>\n</section>\n"
}

/// Two bars, one below the other.
fn pair(alone: f64, gain: Option<f64>, most: f64) -> String {
    let bar = |class: &str, value: f64| {
        let width = percent(value, most);
        format!("<i class=\"{class}\" style=\"width:{width:.1}%\"></i>")
    };
    let gain = gain
        .filter(|g| g.is_finite())
        .map_or(String::new(), |g| bar("local", g));
    format!(
        "<span class=\"pair\">{}{gain}</span>",
        bar("cumulative", alone)
    )
}

/// Where errors come from: bars that build up to the whole.
pub(super) fn waterfalls(all: &[Waterfall]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let body: String = all.iter().map(waterfall).collect();
    format!(
        "<section><h2 id=\"sources\">Where errors come from</h2>\n<p class=\"hint\">What the error would be less without a source. \
         Sources may need or cancel each other: the last bar is what that makes.</p>\n<div class=\"falls\">\n{body}</div></section>\n"
    )
}

fn waterfall(w: &Waterfall) -> String {
    let parts = w.parts.iter().map(|p| (p.source.as_str(), p.error));
    let steps: Vec<(&str, f64)> = parts.chain([("together", w.interaction)]).collect();
    // Where bars begin and end, to know how much room they need.
    let mut sums = vec![0.0];
    for (_, x) in &steps {
        sums.push(sums[sums.len() - 1] + if x.is_finite() { *x } else { 0.0 });
    }
    let ends = sums
        .iter()
        .copied()
        .chain([w.whole])
        .filter(|x| x.is_finite());
    let (low, high) = ends.fold((0.0, 0.0f64), |(a, b): (f64, f64), x| (a.min(x), b.max(x)));
    let at = |x: f64| percent(x - low, high - low);
    let row = |name: &str, from: f64, to: f64, class: &str, value: f64| {
        let (left, right) = (at(from.min(to)), at(from.max(to)));
        let part = match w.whole != 0.0 && (value / w.whole).is_finite() {
            true => format!("{:.0} %", 100.0 * value / w.whole),
            false => String::new(),
        };
        format!(
            "<tr><td class=\"l\">{}</td><td class=\"track\"><i class=\"{class}\" style=\"left:{left:.1}%;width:{:.1}%\"></i></td>\
             <td>{}</td><td>{part}</td></tr>\n",
            escaped(&shorten(name, 48)),
            right - left,
            number(value),
        )
    };
    let mut rows = String::new();
    for (i, (name, x)) in steps.iter().enumerate() {
        let class = match (i + 1 == steps.len(), *x < 0.0) {
            (true, _) => "rest",
            (_, true) => "less",
            _ => "",
        };
        rows += &row(name, sums[i], sums[i + 1], class, *x);
    }
    rows += &row("whole", 0.0, w.whole, "whole", w.whole);
    format!(
        "<div><h3>{}</h3><p class=\"hint\">{}</p><table class=\"flow\">\n{rows}</table></div>\n",
        escaped(&shorten(&w.name, 80)),
        escaped(w.measure)
    )
}

/// Scales of rows that were made at run time.
pub(super) fn hybrid(report: &Report) -> String {
    if report.hybrid.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<section><h2 id=\"hybrid\">Scales made at run time</h2>\n<p class=\"hint\">Operators with int8 weights quantize each row of \
         their float input as they run.</p>\n<div class=\"scroll\"><table class=\"sort\"><thead><tr>",
    );
    for (key, title, down) in [
        ("index", "#", false),
        ("op", "op", false),
        ("tensor", "output", false),
        ("rows", "rows", true),
        ("smallest", "smallest", true),
        ("median", "median", true),
        ("largest", "largest", true),
        ("spread", "largest / median", true),
    ] {
        html += &heading(key, title, "", down);
    }
    html += "</tr></thead><tbody>\n";
    for h in &report.hybrid {
        let cells = [
            Cell::figure(Some(h.op_index as f64), |v| format!("{v:.0}")),
            Cell::words(escaped(&shorten(&h.op_name, 40))),
            Cell::words(format!(
                "<span class=\"name\">{}</span>",
                escaped(&shorten(&h.tensor_name, 60))
            )),
            Cell::figure(Some(h.rows as f64), |_| grouped(h.rows)),
            Cell::figure(Some(h.smallest), number),
            Cell::figure(Some(h.median), number),
            Cell::figure(Some(h.largest), number),
            Cell::figure((h.median > 0.0).then(|| h.largest / h.median), |v| {
                format!("{v:.1}")
            }),
        ];
        html += &format!(
            "<tr>{}</tr>\n",
            cells.iter().map(Cell::html).collect::<String>()
        );
    }
    html + "</tbody></table></div></section>\n"
}

/// Confusion of both models and the samples that flip.
pub(super) fn decisions(d: &Decisions, report: &Report) -> String {
    let mut html = String::from("<section><h2 id=\"decisions\">Decisions</h2>\n");
    if let Some([float, quantized]) = &d.confusion {
        if float.len() <= MOST_CLASSES {
            html += &format!(
                "<p class=\"hint\">Rows are labels, columns are classes. Framed cells differ.</p>\n<div class=\"matrices\">{}{}</div>\n",
                confusion("float model", float, quantized),
                confusion("quantized model", quantized, float)
            );
        } else {
            html += "<p class=\"hint\">There are too many classes to draw their confusion.</p>\n";
        }
    }
    if d.flips.is_empty() {
        return html + "<p>No sample changes its class.</p></section>\n";
    }
    let all = (report.samples).saturating_sub(d.agreeing);
    let shown = match all > d.flips.len() {
        true => format!(
            "The {} with the largest margins of {} samples",
            d.flips.len(),
            grouped(all as u64)
        ),
        false => "Samples".into(),
    };
    html += &format!(
        "<h3>{shown} that change their class</h3>\n<p class=\"hint\">A margin is how far the chosen class is ahead of the next one. \
         Paths part at the first tensor whose error is far larger than usual.</p>\n\
         <div class=\"scroll\"><table class=\"sort\"><thead><tr>"
    );
    for (key, title, down) in [
        ("sample", "sample", false),
        ("labels", "labels", false),
        ("float_class", "float", false),
        ("quantized_class", "quantized", false),
        ("float_margin", "float margin", true),
        ("quantized_margin", "quantized margin", true),
        ("parts_at", "paths part at", false),
    ] {
        html += &heading(key, title, "", down);
    }
    html += "</tr></thead><tbody>\n";
    for f in &d.flips {
        let class = |class: usize| {
            let mark = match (f.labels.is_empty(), f.labels.contains(&(class as i64))) {
                (true, _) => "",
                (_, true) => " <span class=\"right\">✓</span>",
                (_, false) => " <span class=\"wrong\">✗</span>",
            };
            Cell::figure(Some(class as f64), |v| format!("{v:.0}{mark}"))
        };
        let labels: Vec<String> = f.labels.iter().map(ToString::to_string).collect();
        let parts = f.parts_at.and_then(|i| Some((i, report.ops.get(i)?)));
        let parts = parts.map_or("–".into(), |(i, op)| {
            let tensor = escaped(&shorten(&op.tensor_name, 40));
            format!(
                "<a href=\"#o{i}\">{} {}</a> <code>{tensor}</code>",
                op.op_index,
                escaped(&op.op_name)
            )
        });
        let cells = [
            Cell::figure(Some(f.sample as f64), |v| format!("{v:.0}")),
            Cell::figure(f.labels.first().map(|&l| l as f64), |_| {
                shorten(&labels.join(", "), 40)
            }),
            class(f.float_class),
            class(f.quantized_class),
            Cell::figure(Some(f.float_margin), number),
            Cell::figure(Some(f.quantized_margin), number),
            Cell::words(parts),
        ];
        html += &format!(
            "<tr>{}</tr>\n",
            cells.iter().map(Cell::html).collect::<String>()
        );
    }
    html + "</tbody></table></div></section>\n"
}

/// Hits and misses have colours of their own; a row is coloured by its shares.
fn confusion(title: &str, of: &[Vec<u64>], other: &[Vec<u64>]) -> String {
    let classes: String = (0..of.len())
        .map(|c| format!("<th scope=\"col\">{c}</th>"))
        .collect();
    let mut html = format!(
        "<figure><figcaption>{title}</figcaption><table class=\"confusion\"><tr><th></th>{classes}</tr>\n"
    );
    for (label, row) in of.iter().enumerate() {
        let all = row.iter().sum::<u64>().max(1) as f64;
        let cells = row.iter().enumerate().map(|(class, &n)| {
            let kind = if class == label { "hit" } else { "miss" };
            let before = other.get(label).and_then(|r| r.get(class));
            let differs = if before.is_some_and(|&m| m != n) {
                " differs"
            } else {
                ""
            };
            // Few misses are to be seen, too.
            let heat = (n as f64 / all).sqrt() * if class == label { 0.75 } else { 1.0 };
            let text = if n == 0 { String::new() } else { n.to_string() };
            format!(
                "<td class=\"{kind}{differs}\" style=\"--a:{:.0}%\">{text}</td>",
                100.0 * heat
            )
        });
        html += &format!(
            "<tr><th scope=\"row\">{label}</th>{}</tr>\n",
            cells.collect::<String>()
        );
    }
    html + "</table></figure>\n"
}

/// How another rounding would do.
pub(super) fn numerics(report: &Report) -> String {
    let Some(n) = &report.numerics else {
        return String::new();
    };
    let predictions = n.differing_predictions.map_or(String::new(), |p| {
        format!(
            " {} of {} samples get another class.",
            grouped(p),
            grouped(n.samples)
        )
    });
    format!(
        "<section><h2 id=\"numerics\">Another rounding</h2>\n<p>With the numerics of <b>{}</b>, {} of {} integers differ \
         ({}).{predictions}</p></section>\n",
        escaped(&n.numerics),
        grouped(n.differing_codes),
        grouped(n.codes),
        share(n.differing_codes as f64 / n.codes.max(1) as f64)
    )
}

/// Operators that could not be compared.
pub(super) fn unmatched(report: &Report) -> String {
    if report.unmatched.is_empty() {
        return String::new();
    }
    let items: String = report
        .unmatched
        .iter()
        .map(|name| format!("<li><code>{}</code></li>\n", escaped(&shorten(name, 160))))
        .collect();
    format!(
        "<section><h2 id=\"unmatched\">Not compared</h2>\n<p class=\"hint\">Operators of the quantized model of which the float one \
         has no counterpart.</p>\n<ul>\n{items}</ul></section>\n"
    )
}
