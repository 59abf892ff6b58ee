//! Quantized models side by side with the float model: what they answer, and what they cost.
//!
//! `--json` is a [`Comparison`]: its fields are the keys. [`VERSION`] grows when a key changes its meaning or goes. Only what
//! is called `time` differs between two runs of the same command, or by the size of batches.

use super::detail::number;
use super::table::{Table, file_names, grouped, shorten};
use super::verdict::verdict;
use super::verify::OutputDistance;
use crate::evaluate::{Confusion, Flips, Unit};
use crate::kernel::MultiplyAdds;
use serde::Serialize;
use std::collections::BTreeMap;

/// Version of the JSON.
pub const VERSION: u32 = 1;
/// Most classes of a confusion matrix that is shown.
pub const MOST_CLASSES: usize = 30;

/// Models side by side.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Version of this JSON, 1.
    pub schema_version: u32,
    /// What ran them.
    pub device: String,
    /// The data set.
    pub data: String,
    /// Samples of it.
    pub samples: usize,
    /// Whether it has labels.
    pub labels: bool,
    /// The output that the metrics and flips are about: its number, its name in the float model, and its elements.
    pub scores: Scores,
    /// The metrics, in the order of the columns.
    pub metrics: Vec<MetricColumn>,
    /// The float model.
    pub float: Compared,
    /// The others, in the order in which they were given.
    pub models: Vec<Compared>,
    /// How time was measured.
    pub time: Timing,
}

/// The output that is scored.
#[derive(Clone, Debug, Serialize)]
pub struct Scores {
    /// Its place among the outputs.
    pub output: usize,
    /// Its name.
    pub name: String,
    /// Its elements.
    pub elements: usize,
}

/// A metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricColumn {
    /// Its name.
    pub name: String,
    /// What the number means.
    pub unit: Unit,
    /// Whether more is better.
    pub larger_is_better: bool,
    /// Whether it is measured against labels; otherwise against the float model, which has it from itself.
    pub labels: bool,
}

/// How time was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// Samples that were computed at once.
    pub batch: usize,
    /// What the figures are, in words.
    pub about: &'static str,
}

/// What times are of.
pub const TIMES: &str = "zeropoint's own kernels on this device, models in turns, without the first batch; not the runtime that is deployed";

/// One model.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// File.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The same as a share of the float model's.
    pub bytes_of_float: f64,
    /// Multiply-adds of one sample, by what they are computed in.
    pub multiply_adds: MultiplyAdds,
    /// Values of the metrics by name; null where it is not defined, or an infinite SQNR.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Predictions that are not the float model's; none of the float model, and of outputs with one element.
    pub flips: Option<Flips>,
    /// Distance of each output to the float model's; empty of the float model.
    pub outputs: Vec<OutputDistance>,
    /// Which class was taken for which, of at most 30 classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Time that a sample takes.
    pub time: SampleTime,
}

/// Time that a sample takes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SampleTime {
    /// In seconds.
    pub seconds_per_sample: f64,
    /// As a share of the float model's.
    pub of_float: f64,
}

impl Compared {
    fn share(&self, multiply_adds: u64) -> Option<f64> {
        let all = self.multiply_adds.total();
        (all > 0).then(|| multiply_adds as f64 / all as f64)
    }

    pub(super) fn value(&self, metric: &MetricColumn) -> Option<f64> {
        self.metrics.get(&metric.name).copied().flatten()
    }

    pub(super) fn size(&self) -> String {
        let share = 100.0 * self.bytes_of_float;
        format!("{} bytes ({share:.1} % of float)", grouped(self.bytes))
    }
}

impl Comparison {
    /// The float model, then the others.
    pub(super) fn all(&self) -> impl Iterator<Item = &Compared> {
        std::iter::once(&self.float).chain(&self.models)
    }

    /// Their names: those of the files, with folders where that is what differs.
    pub(super) fn names(&self) -> Vec<String> {
        file_names(&self.all().map(|m| m.file.as_str()).collect::<Vec<_>>())
    }
}

/// A number as a table shows it.
pub(super) fn shown(unit: Unit, value: Option<f64>) -> String {
    match (unit, value) {
        (_, None) => "–".into(),
        (Unit::Decibel, Some(x)) if x.is_infinite() => "exact".into(),
        (Unit::Decibel, Some(x)) => format!("{x:.2}"),
        (Unit::Share, Some(x)) => format!("{x:.4}"),
        (Unit::Real, Some(x)) if (0.001..10.0).contains(&x.abs()) => format!("{x:.6}"),
        (Unit::Real, Some(x)) => number(x),
    }
}

/// A column, a cell for each model, the float model first.
pub(super) struct Column {
    pub heading: String,
    pub cells: Vec<String>,
    /// The best of the quantized models, if they differ.
    pub best: Vec<bool>,
}

impl Column {
    /// `larger` says what is better, if anything is.
    fn new(
        heading: impl Into<String>,
        models: &[&Compared],
        larger: Option<bool>,
        value: impl Fn(&Compared) -> Option<f64>,
        cell: impl Fn(&Compared) -> String,
    ) -> Column {
        let values: Vec<Option<f64>> = models.iter().map(|m| value(m)).collect();
        let known = || values.iter().skip(1).filter_map(|&v| v);
        let best = match larger {
            Some(true) => known().reduce(f64::max),
            Some(false) => known().reduce(f64::min),
            None => None,
        };
        // A mark on all of them would say nothing.
        let best = best.filter(|&best| known().any(|v| v != best));
        let marks = values.iter().enumerate();
        Column {
            heading: heading.into(),
            cells: models.iter().map(|m| cell(m)).collect(),
            best: marks
                .map(|(i, v)| i > 0 && v.is_some() && *v == best)
                .collect(),
        }
    }
}

/// What the models answer: metrics and flips.
pub(super) fn answers(c: &Comparison) -> Vec<Column> {
    let models: Vec<&Compared> = c.all().collect();
    let metric = |m: &MetricColumn| {
        let heading = match m.unit {
            Unit::Decibel => format!("{} dB", m.name),
            Unit::Share | Unit::Real => m.name.clone(),
        };
        let value = |model: &Compared| model.value(m);
        let itself = |model: &Compared| !m.labels && std::ptr::eq(model, &c.float);
        let larger = Some(m.larger_is_better);
        Column::new(heading, &models, larger, value, |model| {
            shown(m.unit, value(model).filter(|_| !itself(model)))
        })
    };
    let mut columns: Vec<Column> = c.metrics.iter().map(metric).collect();
    type Count = fn(&Flips) -> Option<u64>;
    let counts: [(&str, Option<bool>, Count); 3] = [
        ("flips", Some(false), |f| Some(f.flipped)),
        ("to right", None, |f| f.became_right),
        ("to wrong", None, |f| f.became_wrong),
    ];
    for (heading, larger, count) in counts {
        let value = |m: &Compared| m.flips.as_ref().and_then(count);
        if c.models.iter().any(|m| value(m).is_some()) {
            columns.push(Column::new(
                heading,
                &models,
                larger,
                |m| value(m).map(|n| n as f64),
                |m| value(m).map_or("–".into(), grouped),
            ));
        }
    }
    columns
}

/// What they cost: bytes, arithmetic, time.
pub(super) fn costs(c: &Comparison) -> Vec<Column> {
    let models: Vec<&Compared> = c.all().collect();
    let percent = |x: Option<f64>| x.map_or("–".into(), |x| format!("{:.1} %", 100.0 * x));
    let integer = |m: &Compared| m.share(m.multiply_adds.integer);
    let dynamic = |m: &Compared| m.share(m.multiply_adds.dynamic);
    let bytes = |m: &Compared| Some(m.bytes as f64);
    let seconds = |m: &Compared| Some(m.time.seconds_per_sample);
    let (less, more) = (Some(false), Some(true));
    vec![
        Column::new("bytes", &models, less, bytes, |m| grouped(m.bytes)),
        Column::new("of float", &models, None, bytes, |m| {
            percent(Some(m.bytes_of_float))
        }),
        Column::new("integer MACs", &models, more, integer, |m| {
            percent(integer(m))
        }),
        Column::new("dynamic MACs", &models, None, dynamic, |m| {
            percent(dynamic(m))
        }),
        Column::new("ms a sample", &models, less, seconds, |m| {
            let ms = 1e3 * m.time.seconds_per_sample;
            format!("{ms:.3}")
        }),
        Column::new("of float's", &models, None, seconds, |m| {
            percent(Some(m.time.of_float))
        }),
    ]
}

/// The tables as text, and what they mean in words; `colour` for a terminal.
pub fn compare(c: &Comparison, colour: bool) -> String {
    let mut text = format!("{} samples on {}", c.samples, c.device);
    if c.models.len() > 1 {
        text += "; * marks the best of the quantized models";
    }
    text += "\n\n";
    let names: Vec<String> = c.names().iter().map(|n| shorten(n, 40)).collect();
    text += &table("what they answer", &names, &answers(c), colour);
    if c.float_outputs() > 1 || !c.metrics.iter().any(|m| m.name == "sqnr") {
        text += &format!("\n{}", outputs(c, &names));
    }
    text += &format!("\n{}", table("what they cost", &names, &costs(c), colour));
    for line in verdict(c) {
        text += &format!("\n{line}");
    }
    text + "\n"
}

impl Comparison {
    pub(super) fn float_outputs(&self) -> usize {
        self.models.first().map_or(0, |m| m.outputs.len())
    }
}

fn table(title: &str, names: &[String], columns: &[Column], colour: bool) -> String {
    // A blank where others have a mark keeps the digits below each other.
    let room = |c: &Column| if c.best.contains(&true) { " " } else { "" };
    let headings = columns.iter().map(|c| format!(">{}{}", c.heading, room(c)));
    let headings: Vec<String> = [title.to_owned()].into_iter().chain(headings).collect();
    let mut table = Table::new(&headings);
    for (i, name) in names.iter().enumerate() {
        let mark = |c: &Column| if c.best[i] { "*" } else { room(c) };
        let cells = columns.iter().map(|c| format!("{}{}", c.cells[i], mark(c)));
        table.row([name.clone()].into_iter().chain(cells).collect());
    }
    table.painted(|row, column, cell| {
        let best = colour && row > 0 && column > 0 && columns[column - 1].best[row - 1];
        match best {
            true => format!("\u{1b}[1;32m{cell}\u{1b}[0m"),
            false => cell,
        }
    })
}

/// Rows of the distance of every output: model, output, SQNR, cosine, largest error.
pub(super) fn output_rows(c: &Comparison, names: &[String]) -> Vec<[String; 5]> {
    let models = c.models.iter().zip(names.iter().skip(1));
    let row = |(name, o): (&String, &OutputDistance)| {
        let d = &o.distance;
        let sqnr = d.sqnr_db.or(d.exact.then_some(f64::INFINITY));
        [
            name.clone(),
            shorten(&o.name, 40),
            shown(Unit::Decibel, sqnr),
            shown(Unit::Real, d.cosine),
            shown(Unit::Real, Some(d.max_abs_error)),
        ]
    };
    let pairs = models.flat_map(|(m, name)| m.outputs.iter().map(move |o| (name, o)));
    pairs.map(row).collect()
}

fn outputs(c: &Comparison, names: &[String]) -> String {
    let mut table = Table::new(&[
        "distance to float",
        "output",
        ">SQNR dB",
        ">cosine",
        ">max |error|",
    ]);
    for row in output_rows(c, names) {
        table.row(row.to_vec());
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(file: &str, bytes: u64, accuracy: f64, sqnr: Option<f64>) -> Compared {
        let metrics = [("accuracy", Some(accuracy)), ("sqnr", sqnr)];
        Compared {
            file: file.into(),
            bytes,
            bytes_of_float: bytes as f64 / 4000.0,
            multiply_adds: MultiplyAdds {
                integer: 4000 - bytes,
                dynamic: 0,
                float: bytes,
            },
            metrics: metrics.map(|(n, v)| (n.to_owned(), v)).into(),
            flips: None,
            outputs: Vec::new(),
            confusion: None,
            time: SampleTime {
                seconds_per_sample: bytes as f64 * 1e-6,
                of_float: bytes as f64 / 4000.0,
            },
        }
    }

    fn column(name: &str, unit: Unit, labels: bool) -> MetricColumn {
        MetricColumn {
            name: name.into(),
            unit,
            larger_is_better: true,
            labels,
        }
    }

    fn comparison(models: Vec<Compared>) -> Comparison {
        Comparison {
            schema_version: VERSION,
            device: "CPU".into(),
            data: "d.npz".into(),
            samples: 50,
            labels: true,
            scores: Scores {
                output: 0,
                name: "y".into(),
                elements: 2,
            },
            metrics: vec![
                column("accuracy", Unit::Share, true),
                column("sqnr", Unit::Decibel, false),
            ],
            float: model("f.tflite", 4000, 0.82, Some(f64::INFINITY)),
            models,
            time: Timing {
                batch: 8,
                about: TIMES,
            },
        }
    }

    #[test]
    fn the_best_is_marked_and_the_smallest_of_the_good_named() {
        let a = model("a.tflite", 1000, 0.7, Some(11.0));
        let b = model("b.tflite", 1200, 0.81, Some(25.0));
        let c = model("c.tflite", 2000, 0.82, Some(25.0));
        let c = comparison(vec![a, b, c]);
        let text = compare(&c, false);
        for line in [
            "  what they answer  accuracy   sqnr dB",
            "  f.tflite            0.8200         –",
            "  a.tflite            0.7000     11.00",
            "  b.tflite            0.8100     25.00*",
            "  c.tflite            0.8200*    25.00*",
        ] {
            assert!(text.lines().any(|l| l == line), "no '{line}' in:\n{text}");
        }
        assert!(text.contains(" 1 000* "), "{text}");
        assert!(
            text.contains(
                "accuracy: b.tflite, 0.8100 against 0.8200, 1 200 bytes (30.0 % of float)"
            )
        );
        assert!(text.contains("One sample of 50 is 2.00 points"), "{text}");
        assert!(text.contains(
            "Fastest here: a.tflite, 1.000 ms a sample; the float model takes 4.000 ms."
        ));
        let painted = compare(&c, true);
        assert!(
            painted.contains("\u{1b}[1;32m  0.8200*\u{1b}[0m"),
            "{painted}"
        );
        assert_eq!(
            painted.replace("\u{1b}[1;32m", "").replace("\u{1b}[0m", ""),
            text
        );
    }

    #[test]
    fn nothing_is_marked_where_nothing_differs_and_the_words_follow_the_metric() {
        let one = comparison(vec![model("a.tflite", 1000, 0.7, None)]);
        let text = compare(&one, true);
        assert!(!text.contains('*') && !text.contains('\u{1b}'), "{text}");
        assert!(text.contains(
            "None is within one point of float by accuracy (0.8200); the best is a.tflite, 0.7000"
        ));
        let mut other = one.clone();
        other.metrics.remove(0);
        assert!(verdict(&other)[0].starts_with("Fastest"));
        other.models.push(model("x/a.tflite", 900, 0.0, Some(9.5)));
        assert_eq!(other.names(), ["f.tflite", "a.tflite", "x/a.tflite"]);
        assert!(verdict(&other)[0].starts_with("Best by sqnr: x/a.tflite, 9.50, 900 bytes"));
        let json = serde_json::to_value(&one).unwrap();
        assert_eq!(json["schema_version"], 1);
        assert_eq!(json["float"]["metrics"]["sqnr"], serde_json::Value::Null);
    }
}
