//! Models side by side as a page of HTML that needs nothing but itself: the tables, bars of every metric, size against the
//! first metric, and confusion matrices.

use super::compare::{
    Column, Compared, Comparison, MOST_CLASSES, MetricColumn, answers, costs, output_rows, shown,
};
use super::page::{STYLE, escaped};
use super::picture;
use super::verdict::{POINT, verdict};
use crate::evaluate::{Confusion, Unit};

/// What this page adds to the style.
const OWN: &str = "\
.best{font-weight:600;background:#e3f4e3}
.confusion td,.confusion th{padding:.1em .35em;text-align:right;font-size:12px}
.confusion caption{text-align:left;font-weight:600}";

/// The page; `classes` are the names of the classes.
pub fn compare_page(c: &Comparison, classes: Option<&[String]>) -> String {
    let names = c.names();
    let title = format!("Quantized models beside {}", escaped(&names[0]));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n{STYLE}\n{OWN}\n\
         </style></head>\n<body>\n<h1>{title}</h1>\n<p>{} samples of {} on {}</p>\n",
        c.samples,
        escaped(&c.data),
        escaped(&c.device),
    );
    let lines = verdict(c);
    for line in &lines {
        html += &format!(
            "<p class=\"verdict\"><strong>{}</strong></p>\n",
            escaped(line)
        );
    }
    html += &models(c, &names);
    html += "<h2>What they answer</h2>\n";
    html += &table(&names, &answers(c));
    html += &format!(
        "<p>Metrics are those of output {} (<code>{}</code>, {} elements). Flips are samples with another prediction than the \
         float model's, of which some become right or wrong. The best of the quantized models is marked.</p>\n",
        c.scores.output,
        escaped(&c.scores.name),
        c.scores.elements
    );
    html += &bars(c);
    html += "<h2>Distance of each output to the float model's</h2>\n<table>\n<tr><th>model</th><th class=\"l\">output</th>\
             <th>SQNR dB</th><th>cosine</th><th>largest error</th></tr>\n";
    for [model, output, rest @ ..] in output_rows(c, &names) {
        let cells = rest.iter().map(|cell| format!("<td>{cell}</td>"));
        html += &format!(
            "<tr><td>{}</td><td class=\"l\">{}</td>{}</tr>\n",
            escaped(&model),
            escaped(&output),
            cells.collect::<String>()
        );
    }
    html += "</table>\n<h2>What they cost</h2>\n";
    html += &table(&names, &costs(c));
    html += &format!(
        "<p>MACs are multiply-adds: <em>integer</em> ones of integer activations, <em>dynamic</em> ones of float activations \
         that are quantized as the model runs, the rest in floats. Times are of {}, in batches of {}.</p>\n",
        c.time.about, c.time.batch
    );
    if let Some(metric) = c.metrics.first() {
        html += &scatter(c, metric);
    }
    html += &confusions(c, &names, classes);
    html + "</body></html>\n"
}

/// The files, with their numbers and colours in the pictures.
fn models(c: &Comparison, names: &[String]) -> String {
    let mut html = String::from("<table>\n<tr><th>model</th><th class=\"l\">file</th></tr>\n");
    for (i, (model, name)) in c.all().zip(names).enumerate() {
        let what = if i == 0 { " (float)" } else { "" };
        html += &format!(
            "<tr><td><span class=\"mark\" style=\"background:{}\"></span>{i} {}{what}</td><td class=\"l\"><code>{}</code></td></tr>\n",
            picture::colour(i),
            escaped(name),
            escaped(&model.file)
        );
    }
    html + "</table>\n"
}

fn table(names: &[String], columns: &[Column]) -> String {
    let headings = columns
        .iter()
        .map(|c| format!("<th>{}</th>", escaped(&c.heading)));
    let headings: String = headings.collect();
    let mut html = format!("<table>\n<tr><th>model</th>{headings}</tr>\n");
    for (i, name) in names.iter().enumerate() {
        let cell = |c: &Column| {
            let class = if c.best[i] { " class=\"best\"" } else { "" };
            format!("<td{class}>{}</td>", escaped(&c.cells[i]))
        };
        let cells: String = columns.iter().map(cell).collect();
        html += &format!("<tr><td>{}</td>{cells}</tr>\n", escaped(name));
    }
    html + "</table>\n"
}

fn figure(picture: &str, caption: &str) -> String {
    let caption = escaped(caption);
    format!("<figure>{picture}<figcaption>{caption}</figcaption></figure>\n")
}

/// A picture for each metric.
fn bars(c: &Comparison) -> String {
    let picture = |m: &MetricColumn| {
        // The float model is no measure of itself.
        let own = |i: usize| i == 0 && !m.labels;
        let values = c.all().enumerate();
        let values = values.map(|(i, model)| model.value(m).filter(|_| !own(i)));
        let values: Vec<Option<f64>> = values.collect();
        let unit = if m.unit == Unit::Real {
            Unit::Share
        } else {
            m.unit
        };
        let texts: Vec<String> = values.iter().map(|&v| shown(unit, v)).collect();
        let better = if m.larger_is_better { "more" } else { "less" };
        figure(
            &picture::bars(&values, &texts),
            &format!("{}; {better} is better", m.name),
        )
    };
    let pictures: String = c.metrics.iter().map(picture).collect();
    format!("<div class=\"pictures\">\n{pictures}</div>\n")
}

/// Size against the metric; the float model too, where it is measured against labels.
fn scatter(c: &Comparison, metric: &MetricColumn) -> String {
    let first = usize::from(!metric.labels);
    let shown: Vec<&Compared> = c.all().skip(first).collect();
    let point = |m: &&Compared| Some((m.bytes as f64, m.value(metric).filter(|v| v.is_finite())?));
    let points: Option<Vec<(f64, f64)>> = shown.iter().map(point).collect();
    // Numbers and colours are places in the list, so none may be missing.
    let Some(points) = points.filter(|p| !p.is_empty()) else {
        return String::new();
    };
    let share = metric.unit == Unit::Share;
    let sign = if metric.larger_is_better { -1.0 } else { 1.0 };
    let float = c.float.value(metric).filter(|_| share);
    let level = float.map(|v| v + sign * POINT);
    let line = if level.is_some() {
        "; the line is one point from float"
    } else {
        ""
    };
    figure(
        &picture::points(&points, first, level),
        &format!("{} over bytes of the file{line}", metric.name),
    )
}

/// Confusion matrices side by side.
fn confusions(c: &Comparison, names: &[String], classes: Option<&[String]>) -> String {
    let matrices = c.all().zip(names).filter_map(|(m, name)| {
        let confusion = m.confusion.as_ref()?;
        let small = confusion.classes <= MOST_CLASSES;
        small.then(|| confusion_matrix(confusion, name, classes))
    });
    let matrices: String = matrices.collect();
    match matrices.is_empty() {
        true => String::new(),
        false => format!(
            "<h2>Which class is taken for which</h2>\n<p>Rows are the right classes, columns the predictions; the darker, the \
             larger the share of the row.</p>\n<div class=\"pictures\">\n{matrices}</div>\n"
        ),
    }
}

fn confusion_matrix(confusion: &Confusion, name: &str, classes: Option<&[String]>) -> String {
    let n = confusion.classes;
    let mut counts = vec![vec![0u64; n]; n];
    for cell in &confusion.cells {
        if let Some(count) = counts
            .get_mut(cell.class)
            .and_then(|r| r.get_mut(cell.predicted))
        {
            *count = cell.count;
        }
    }
    let named = |class: usize| {
        let name = classes.and_then(|names| names.get(class)).cloned();
        escaped(&name.unwrap_or_else(|| class.to_string()))
    };
    let heading: String = (0..n)
        .map(|class| format!("<th>{}</th>", named(class)))
        .collect();
    let mut html = format!(
        "<table class=\"confusion\"><caption>{}</caption>\n<tr><th></th>{heading}</tr>\n",
        escaped(name)
    );
    for (class, row) in counts.iter().enumerate() {
        let all = row.iter().sum::<u64>().max(1) as f64;
        let cell = |(predicted, &count): (usize, &u64)| {
            let colour = if predicted == class {
                "44,160,44"
            } else {
                "214,39,40"
            };
            let share = 0.85 * count as f64 / all;
            match count {
                0 => "<td>·</td>".to_owned(),
                _ => format!("<td style=\"background:rgba({colour},{share:.3})\">{count}</td>"),
            }
        };
        let cells: String = row.iter().enumerate().map(cell).collect();
        html += &format!("<tr><th>{}</th>{cells}</tr>\n", named(class));
    }
    html + "</table>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_any_numbers() {
        let extremes = [
            f64::MAX,
            -f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            0.0,
            0.82,
            -3.0,
        ];
        let texts = vec![String::from("<x>"); 9];
        for a in extremes {
            for b in extremes {
                let values = [Some(a), None, Some(f64::INFINITY), Some(b), Some(f64::NAN)];
                let bars = picture::bars(&values, &texts);
                let points = picture::points(&[(a.abs(), b), (b.abs(), a)], 1, Some(b));
                for svg in [bars, points] {
                    assert!(
                        svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
                        "{a} {b}: {svg}"
                    );
                    assert!(
                        !svg.contains("<x>") && !svg.contains("NaN"),
                        "{a} {b}: {svg}"
                    );
                }
            }
        }
        for values in [&[][..], &[None], &[Some(f64::INFINITY)]] {
            assert!(picture::bars(values, &texts).starts_with("<svg"));
        }
        assert!(picture::points(&[], 0, None).starts_with("<svg"));
    }

    #[test]
    fn matrices_name_their_classes() {
        let cell = |class, predicted, count| crate::evaluate::Cell {
            class,
            predicted,
            count,
        };
        let confusion = Confusion {
            classes: 2,
            cells: vec![cell(0, 0, 3), cell(1, 0, 1)],
        };
        let names = ["<a>".to_owned(), "b".to_owned()];
        let html = confusion_matrix(&confusion, "m<1>", Some(&names));
        for part in [
            "<caption>m&lt;1&gt;</caption>",
            "<th>&lt;a&gt;</th>",
            ",0.850)\">3</td><td>·</td>",
        ] {
            assert!(html.contains(part), "no {part} in {html}");
        }
    }
}
