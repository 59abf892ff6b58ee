//! The statistics of all tensors as a page of HTML that needs nothing but itself: text, tables, and pictures as SVG.

use super::detail::{DetailReport, TensorDetail, number, percent};
use super::picture;
use crate::evaluate::growth::{MOST_GROWTH, Verdict};

pub(super) const STYLE: &str = "\
body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1300px;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0}
th,td{padding:.15em .7em;text-align:right;border-bottom:1px solid #ddd;font-variant-numeric:tabular-nums}
th:first-child,td:first-child,.l{text-align:left}
section{border-top:2px solid #bbb;margin-top:1.6em}
.pictures{display:flex;flex-wrap:wrap;gap:10px}
figure{margin:0}figcaption{color:#666;font-size:12px}
.growing{color:#b00}.mark{display:inline-block;width:1em;height:.7em;margin-right:.5em}
code{overflow-wrap:anywhere}";

/// The page.
pub fn page(report: &DetailReport) -> String {
    let title = format!("Calibration of {}", escaped(&report.model));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n{STYLE}\n</style></head>\n\
         <body>\n<h1>{title}</h1>\n<p>{}</p>\n<p id=\"verdict\"><strong>{}</strong></p>\n",
        escaped(&report.source),
        escaped(&report.sentence()),
    );
    html += &explanation();
    html += &exceptions(report);
    html += "<h2>All tensors</h2>\n<table>\n<tr><th>tensor</th><th class=\"l\">made by</th><th>min</th><th>max</th>\
             <th>mean</th><th>std</th><th>zeros</th><th>growth</th></tr>\n";
    html.extend(report.tensors.iter().map(row));
    html += "</table>\n";
    html.extend(report.tensors.iter().map(section));
    html + "</body></html>\n"
}

fn explanation() -> String {
    format!(
        "<p>Tensors are listed in the order of execution. Mean and standard deviation are computed from the histogram, so \
         they may be off by the half width of a bin that stands behind them; minimum, maximum and counts are exact. \
         <em>Growth</em> is the share of the range, widened to contain 0, that the second half of the samples brought, \
         averaged over all orders of the samples. A range that grew by at most {} % has seen enough: as many samples again \
         are expected to widen it by as much or less. States of recurrent operators have no growth. Methods are shown with \
         their default parameters, for integers of 8 bits.</p>\n",
        100.0 * MOST_GROWTH
    )
}

fn exceptions(report: &DetailReport) -> String {
    let all = report.exceptions();
    if all.is_empty() {
        return String::new();
    }
    let item = |t: &&TensorDetail| {
        let extremes = t.extremes().join("; ");
        format!(
            "<li>{}: {}. {}</li>\n",
            link(t),
            escaped(&t.verdict()),
            escaped(&extremes)
        )
    };
    let items: String = all.iter().map(item).collect();
    format!("<h2>Ranges that still grow</h2>\n<ul>\n{items}</ul>\n")
}

fn link(t: &TensorDetail) -> String {
    let id = t.tensor;
    format!("<a href=\"#t{id}\">{}</a>", escaped(&t.title(60)))
}

fn row(t: &TensorDetail) -> String {
    let moment = |x: Option<f64>| x.map_or("–".into(), number);
    let zeros = t.histogram.zeros;
    let growth = match &t.growth {
        Some(g) => {
            let class = match g.verdict {
                Verdict::Growing => " class=\"growing\"",
                Verdict::Enough | Verdict::Unknown => "",
            };
            format!("<td{class}>{:.1} %</td>", 100.0 * g.growth)
        }
        None => "<td>–</td>".into(),
    };
    format!(
        "<tr><td>{}</td><td class=\"l\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{growth}</tr>\n",
        link(t),
        escaped(&t.operator),
        number(t.range.min.into()),
        number(t.range.max.into()),
        moment(t.moments.map(|m| m.mean)),
        moment(t.moments.map(|m| m.deviation)),
        zeros.map_or("–".into(), |n| percent(n, t.histogram.total())),
    )
}

fn section(t: &TensorDetail) -> String {
    let facts = t.facts().into_iter();
    let facts = facts.map(|(word, value)| format!("{word} {}", escaped(&value)));
    let facts: Vec<String> = facts.collect();
    let mut html = format!(
        "<section id=\"t{}\">\n<h3><code>{}</code></h3>\n<p>{}</p>\n<div class=\"pictures\">\n",
        t.tensor,
        escaped(&t.title(120)),
        facts.join(", ")
    );
    let mut figure = |picture: String, caption: &str| {
        html += &format!("<figure>{picture}<figcaption>{caption}</figcaption></figure>\n");
    };
    figure(
        picture::histogram(&t.histogram, &t.methods),
        "How many values fell where; lines are the ranges of the methods below",
    );
    if let Some(growth) = &t.growth {
        figure(
            picture::growth(growth),
            "The range over the number of samples: on average over all orders (blue), in the order of the data (orange)",
        );
    }
    html += "</div>\n<table>\n<tr><th>method</th><th>min</th><th>max</th><th>values outside</th></tr>\n";
    for (i, m) in t.methods.iter().enumerate() {
        html += &format!(
            "<tr><td><span class=\"mark\" style=\"background:{}\"></span>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            picture::colour(i),
            escaped(&m.method),
            number(m.range.min.into()),
            number(m.range.max.into()),
            t.outside(m.range)
        );
    }
    html += "</table>\n<ul>\n";
    for line in t.extremes().iter().chain([&t.verdict()]) {
        html += &format!("<li>{}</li>\n", escaped(line));
    }
    html + "</ul>\n</section>\n"
}

/// Text as HTML shows it; what is no character of a page is made visible.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html += "&amp;",
            '<' => html += "&lt;",
            '>' => html += "&gt;",
            '"' => html += "&quot;",
            '\'' => html += "&#39;",
            c if c.is_control() => html.push('\u{fffd}'),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::growth;
    use crate::num::{Histogram, Range};
    use crate::report::{MethodRange, detail};

    fn tensor(name: &str, values: &[f32], samples: &[(f32, f32)]) -> TensorDetail {
        let each = values.iter().map(|&x| Range { min: x, max: x });
        let range = each.fold(Range::EMPTY, Range::merge);
        let mut histogram = Histogram::new(range);
        histogram.count(values);
        let samples = samples.iter().map(|&(min, max)| Range { min, max });
        TensorDetail {
            tensor: 7,
            name: name.into(),
            shape: vec![1, 2],
            operator: "ADD".into(),
            range,
            moments: histogram.moments(),
            methods: vec![MethodRange {
                method: "minmax".into(),
                range,
            }],
            histogram,
            growth: growth(&samples.collect::<Vec<_>>()),
        }
    }

    fn report(tensors: Vec<TensorDetail>) -> DetailReport {
        DetailReport {
            model: "<m>.tflite".into(),
            source: "20 samples".into(),
            samples: 20,
            tensors,
        }
    }

    #[test]
    fn an_outlier_is_named_and_names_are_text() {
        let mut samples = vec![(-1.0, 1.0); 20];
        samples[11].1 = 9.0;
        let t = tensor("<script>&\u{1b}'", &[-1.0, 0.0, 9.0], &samples);
        let other = TensorDetail {
            tensor: 8,
            ..t.clone()
        };
        let report = report(vec![t, other]);
        let html = page(&report);
        assert!(!html.contains("<script") && !html.contains('\u{1b}'));
        assert!(html.contains("&lt;script&gt;&amp;") && html.contains("&lt;m&gt;.tflite"));
        for word in [
            "20 samples are enough for 0 of 2 tensors",
            "Sample 11 alone sets an end of 2 of them",
            "Ranges that still grow",
            "max 9.0000 by sample 11; the next sample reaches 1.0000, 80.0 % of the range away",
            "min -1.0000 by samples 0, 1, 2, 3 and 16 more; no sample reaches another",
        ] {
            assert!(html.contains(word), "no '{word}' in: {html}");
        }
        let text = detail(&report.tensors[0]);
        assert!(text.contains("values 3, min -1.0000, max 9.0000"), "{text}");
        assert!(text.contains("zeros 33.333 %"), "{text}");
    }

    /// Axes are drawn for every float.
    #[test]
    fn pictures_of_the_smallest_and_largest_numbers() {
        let ends = [(0.0, 0.0), (0.0, 1e-44), (-3.4e38, 3.4e38), (-1e-30, 0.0)];
        for (low, high) in ends {
            let t = tensor("t", &[low, high], &[(low, high); 3]);
            let pictures = [
                picture::histogram(&t.histogram, &t.methods),
                picture::growth(t.growth.as_ref().unwrap()),
            ];
            for picture in pictures {
                assert!(picture.starts_with("<svg"), "[{low}, {high}]: {picture}");
                assert!(!picture.contains("NaN"), "[{low}, {high}]: {picture}");
            }
        }
    }
}
