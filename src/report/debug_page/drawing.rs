//! The graph as SVG: boxes coloured by severity, with everything that the script needs to colour them anew.

use super::graph::{BOX, HEIGHT, Layout, Place, SOURCE, layout};
use super::metric::{Metric, Scale, decibel, faults, sqnr, step, word, worst};
use crate::debug::{Level, OpReport, Report};
use crate::report::detail::number;
use crate::report::page::escaped;
use crate::report::table::shorten;

/// Characters that a box has room for.
const LABEL: usize = 21;

/// The section with the graph; nothing where there are no operators.
pub(super) fn section(report: &Report, scales: &[Scale]) -> String {
    let Some(first) = scales.first() else {
        return String::new();
    };
    let options = scales.iter().map(|s| {
        let (key, title) = (s.metric.key(), s.metric.title());
        format!("<option value=\"{key}\">{title}</option>")
    });
    let legends = scales.iter().map(|s| legend(s, s.metric == first.metric));
    format!(
        "<section><h2 id=\"graph\">The model</h2>\n<p class=\"hint\">Operators from top to bottom in the order of execution. A \
         click leads to the details. Dashed boxes compute in floats; a dot marks broken rules.</p>\n\
         <div class=\"bar\"><label>coloured by <select id=\"metric\">{}</select></label>{}</div>\n\
         <div class=\"model\"><div class=\"strip\">{}</div>\n\
         <aside><h3>The worst by this measure</h3><ol id=\"rank\"></ol></aside></div>\n</section>\n",
        options.collect::<String>(),
        legends.collect::<String>(),
        svg(&layout(report), report, scales),
    )
}

fn legend(scale: &Scale, shown: bool) -> String {
    let key = scale.metric.key();
    let hidden = if shown { "" } else { " hidden" };
    let swatches: String = (0..super::metric::STEPS)
        .map(|i| {
            let at = scale.at(i as f64 / (super::metric::STEPS - 1) as f64);
            format!(
                "<i class=\"b{i}\" title=\"{}\"></i>",
                scale.metric.figure(at)
            )
        })
        .collect();
    format!(
        "<span class=\"legend\" data-legend=\"{key}\"{hidden}>{} {swatches} {}</span>",
        scale.metric.figure(scale.at(0.0)),
        scale.metric.figure(scale.at(1.0))
    )
}

fn svg(layout: &Layout, report: &Report, scales: &[Scale]) -> String {
    let (width, height) = (layout.width, layout.height);
    let mut out = format!(
        "<svg class=\"graph\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         aria-label=\"graph of the model\">\n"
    );
    for line in &layout.lines {
        out += &format!("<path d=\"{}\"/>\n", path(layout, line));
    }
    for (i, place) in layout.places.iter().enumerate() {
        let (x, top) = (layout.x[i], layout.top(i));
        match place {
            Place::Bend => {}
            Place::Source(tensor) => {
                out += &format!(
                    "<g class=\"source\"><title>tensor {tensor}: fed from outside, or without a counterpart in the float \
                     model</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{SOURCE}\" height=\"22\" rx=\"11\"/><text x=\"{x:.1}\" \
                     y=\"{:.1}\">tensor {tensor}</text></g>\n",
                    x - SOURCE / 2.0,
                    top + HEIGHT - 22.0,
                    top + HEIGHT - 7.0,
                );
            }
            Place::Op(rows) => out += &node(x, top, rows, report, scales),
        }
    }
    out + "</svg>"
}

/// Straight down through places, in curves between them.
fn path(layout: &Layout, line: &[usize]) -> String {
    let mut d = String::new();
    for (i, &p) in line.iter().enumerate() {
        let (x, top) = (layout.x[p], layout.top(p));
        let bottom = top + HEIGHT;
        match i {
            0 => d += &format!("M{x:.1} {bottom:.1}"),
            _ => {
                let q = line[i - 1];
                let (from_x, from) = (layout.x[q], layout.top(q) + HEIGHT);
                let middle = (from + top) / 2.0;
                match (from_x - x).abs() < 0.5 {
                    true => d += &format!("V{top:.1}"),
                    false => {
                        d +=
                            &format!("C{from_x:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {top:.1}");
                    }
                }
                if layout.places[p] == Place::Bend {
                    d += &format!("V{bottom:.1}");
                }
            }
        }
    }
    d
}

fn node(x: f64, top: f64, rows: &[usize], report: &Report, scales: &[Scale]) -> String {
    let ops: Vec<&OpReport> = rows.iter().map(|&i| &report.ops[i]).collect();
    let Some(op) = ops.first() else {
        return String::new();
    };
    // Of several outputs the worst one counts.
    let of_scale = |s: &Scale| -> (Option<f64>, String) {
        let valued = ops.iter().filter_map(|o| Some((s.of(o)?, o)));
        match valued.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((severity, o)) => (Some(severity), s.metric.text(o)),
            None => (None, "–".into()),
        }
    };
    let figures: Vec<(Option<f64>, String)> = scales.iter().map(of_scale).collect();
    let severities = figures
        .iter()
        .map(|f| f.0.map_or(String::new(), |s| format!("{s:.3}")));
    let texts = figures.iter().map(|f| escaped(&f.1));
    let class = figures[0]
        .0
        .map_or("none".into(), |s| format!("f{}", step(s)));
    let float = if op.scheme == "float" { " float" } else { "" };
    let dot = ops
        .iter()
        .filter_map(|o| worst(o))
        .max()
        .filter(|&l| l > Level::Note)
        .map_or(String::new(), |level| {
            format!(
                "<circle class=\"{}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\"/>",
                word(level),
                x + BOX / 2.0 - 3.0,
                top + 3.0
            )
        });
    let left = x - BOX / 2.0;
    let label = LABEL.saturating_sub(op.op_index.to_string().len() + 1);
    format!(
        "<a class=\"node {class}{float}\" href=\"#o{}\" data-op=\"{}\" data-s=\"{}\" data-t=\"{}\"><title>{}</title>\
         <rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{BOX}\" height=\"{HEIGHT}\" rx=\"6\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\">{} {}</text><text class=\"v\" x=\"{:.1}\" y=\"{:.1}\">{}</text>{dot}</a>\n",
        rows[0],
        op.op_index,
        severities.collect::<Vec<_>>().join("|"),
        texts.collect::<Vec<_>>().join("|"),
        escaped(&tooltip(&ops)),
        left + 9.0,
        top + 16.5,
        op.op_index,
        escaped(&shorten(&op.op_name, label)),
        left + 9.0,
        top + 31.5,
        escaped(&figures[0].1),
    )
}

fn tooltip(ops: &[&OpReport]) -> String {
    let one = |op: &&OpReport| {
        let mut lines = vec![
            format!("{} {}, {}", op.op_index, op.op_name, op.scheme),
            shorten(&op.tensor_name, 100),
        ];
        if let Some(local) = &op.local {
            let ratio = local.rmse_over_scale;
            let ratio = ratio.map_or(String::new(), |r| format!(", RMSE {r:.3} steps"));
            let db = sqnr(local).map_or("–".into(), decibel);
            lines.push(format!("local {db}{ratio}"));
        }
        let db = sqnr(&op.cumulative).map_or("–".into(), decibel);
        lines.push(format!("cumulative {db}"));
        if let Some(at) = op.at_output {
            let gain = at.left_float_gain.map_or("–".into(), number);
            let alone = number(at.alone_loss);
            lines.push(format!(
                "alone it loses {alone}, left float it wins back {gain}"
            ));
        }
        lines.extend(faults(op).map(|h| format!("{}: {}", h.rule, h.found)));
        lines.join("\n")
    };
    let all: Vec<String> = ops.iter().map(one).collect();
    all.join("\n\n")
}

/// The metric that a column of the table shares with the graph.
pub(super) fn scale(scales: &[Scale], metric: Metric) -> Option<&Scale> {
    scales.iter().find(|s| s.metric == metric)
}
