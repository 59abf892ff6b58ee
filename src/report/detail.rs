//! Everything that a calibration can tell of a tensor: for the page (`page.rs`), and one tensor as text.

use super::table::{Table, grouped, shorten};
use crate::evaluate::growth::{Extreme, FEWEST, Growth, MOST_GROWTH, Verdict};
use crate::num::histogram::Moments;
use crate::num::{Histogram, Range};
use std::collections::{BTreeMap, BTreeSet};

/// Rows of a histogram as text.
const ROWS: usize = 32;
/// Longest bar.
const BAR: usize = 48;
/// Exceptions that a sentence names.
const NAMED: usize = 8;

/// What a run over samples told of a model's tensors.
#[derive(Clone, Debug, serde::Serialize)]
pub struct DetailReport {
    /// The model's file, without folders.
    pub model: String,
    /// The samples, in a line.
    pub source: String,
    /// How many.
    pub samples: usize,
    /// In order of execution.
    pub tensors: Vec<TensorDetail>,
}

/// What it told of one tensor.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TensorDetail {
    /// Number in the file.
    pub tensor: usize,
    /// Name in the file.
    pub name: String,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// The operator that computes it; `input` of the model's inputs.
    pub operator: String,
    /// Smallest and largest value.
    pub range: Range,
    /// How many values fell where.
    pub histogram: Histogram,
    /// Mean and deviation; none of no values.
    pub moments: Option<Moments>,
    /// What each method with its default parameters keeps for 8 bits.
    pub methods: Vec<MethodRange>,
    /// How the range grew; none of states, which are not looked at sample by sample.
    pub growth: Option<Growth>,
}

/// What a method keeps.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct MethodRange {
    /// The method with its parameters.
    pub method: String,
    /// Its range.
    pub range: Range,
}

impl DetailReport {
    /// Whether there were enough samples, in a sentence.
    pub fn sentence(&self) -> String {
        let n = self.samples;
        if n < FEWEST {
            return format!(
                "{n} samples are too few to tell whether they are enough; from {FEWEST} on there is a verdict."
            );
        }
        let judged = self.tensors.iter().filter(|t| t.growth.is_some()).count();
        let exceptions = self.exceptions();
        let first = exceptions.iter().take(NAMED);
        let names: Vec<String> = first.map(|t| t.title(40)).collect();
        let more = match exceptions.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let growth = 100.0 * MOST_GROWTH;
        match exceptions.len() {
            0 => format!(
                "{n} samples are enough: as many again are expected to widen none of the {judged} ranges by more than {growth} %."
            ),
            few => format!(
                "{n} samples are enough for {} of {judged} tensors; as many again may widen the ranges of these {few} by more \
                 than {growth} %: {}{more}.{}",
                judged - few,
                names.join(", "),
                self.suspect(&exceptions)
            ),
        }
    }

    /// The sample that alone reaches an end of most of these tensors, in a sentence; of at least two.
    fn suspect(&self, exceptions: &[&TensorDetail]) -> String {
        let mut set: BTreeMap<usize, usize> = BTreeMap::new();
        for growth in exceptions.iter().filter_map(|t| t.growth.as_ref()) {
            let ends = [&growth.lowest, &growth.highest].into_iter();
            let alone = ends
                .filter(|e| e.reached == 1)
                .filter_map(|e| e.samples.first().copied());
            for sample in alone.collect::<BTreeSet<usize>>() {
                *set.entry(sample).or_default() += 1;
            }
        }
        // Of equal ones the first.
        let most = set.into_iter().rev().max_by_key(|&(_, tensors)| tensors);
        match most {
            Some((sample, tensors)) if tensors > 1 => format!(
                " Sample {sample} alone sets an end of {tensors} of them: look at it first."
            ),
            _ => String::new(),
        }
    }

    /// Tensors whose range still grows, the worst first.
    pub fn exceptions(&self) -> Vec<&TensorDetail> {
        let growing = |t: &&TensorDetail| {
            let growth = t.growth.as_ref();
            growth.is_some_and(|g| g.verdict == Verdict::Growing)
        };
        let mut all: Vec<&TensorDetail> = self.tensors.iter().filter(growing).collect();
        let growth = |t: &TensorDetail| t.growth.as_ref().map_or(0.0, |g| g.growth);
        all.sort_by(|a, b| growth(b).total_cmp(&growth(a)));
        all
    }
}

impl TensorDetail {
    /// `40 'conv2d/Relu'`
    pub(super) fn title(&self, width: usize) -> String {
        format!("{} '{}'", self.tensor, shorten(&self.name, width))
    }

    /// What is known of it in pairs of a word and a value.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        let mut facts = vec![
            ("made by", self.operator.clone()),
            ("shape", shape.join("×")),
            ("values", grouped(self.histogram.total())),
            ("min", number(self.range.min.into())),
            ("max", number(self.range.max.into())),
        ];
        if let Some(Moments {
            mean,
            deviation,
            within,
        }) = self.moments
        {
            facts.push(("mean", format!("{} ± {}", number(mean), number(within))));
            facts.push(("std", format!("{} ± {}", number(deviation), number(within))));
        }
        if let Some(zeros) = self.histogram.zeros {
            facts.push(("zeros", percent(zeros, self.histogram.total())));
        }
        facts
    }

    /// Values in bins that lie wholly beyond a range, in percent.
    pub(super) fn outside(&self, range: Range) -> String {
        match self.histogram.outside(range) {
            0.0 => "0 %".into(),
            share => format!("{:.3} %", 100.0 * share),
        }
    }

    /// Its verdict, in a line.
    pub(super) fn verdict(&self) -> String {
        let Some(growth) = &self.growth else {
            return "a state: not looked at sample by sample, so nothing is known of its growth"
                .into();
        };
        let grown = format!(
            "the second half of them widened the range by {:.1} % on average",
            100.0 * growth.growth
        );
        match growth.verdict {
            Verdict::Enough => format!("enough samples: {grown}"),
            Verdict::Growing => {
                format!("more samples are needed, or a few of these are outliers: {grown}")
            }
            Verdict::Unknown => format!("too few samples to tell: {grown}"),
        }
    }

    /// Who reached its ends, a line each.
    pub(super) fn extremes(&self) -> Vec<String> {
        let Some(growth) = &self.growth else {
            return Vec::new();
        };
        vec![
            extreme("min", &growth.lowest),
            extreme("max", &growth.highest),
        ]
    }
}

fn extreme(which: &str, extreme: &Extreme) -> String {
    let named: Vec<String> = extreme.samples.iter().map(ToString::to_string).collect();
    let (word, more) = match extreme.reached {
        1 => ("sample", String::new()),
        n if n > named.len() => ("samples", format!(" and {} more", n - named.len())),
        _ => ("samples", String::new()),
    };
    let next = match extreme.next {
        Some(next) => format!(
            "; the next sample reaches {}, {:.1} % of the range away",
            number(next.into()),
            100.0 * extreme.gap
        ),
        None => "; no sample reaches another".into(),
    };
    format!(
        "{which} {} by {word} {}{more}{next}",
        number(extreme.value.into()),
        named.join(", ")
    )
}

/// One tensor as text: facts, histogram with logarithmic bars, methods, extremes and the verdict.
pub fn detail(t: &TensorDetail) -> String {
    let mut text = format!("tensor {}\n", t.title(80));
    for line in t.facts().chunks(5) {
        let facts = line.iter().map(|(word, value)| format!("{word} {value}"));
        text += &format!("  {}\n", facts.collect::<Vec<_>>().join(", "));
    }
    text += &format!("\n{}", bars(&t.histogram));
    let mut table = Table::new(&["method", ">min", ">max", ">values outside"]);
    for m in &t.methods {
        table.row(vec![
            m.method.clone(),
            number(m.range.min.into()),
            number(m.range.max.into()),
            t.outside(m.range),
        ]);
    }
    text += &format!("\n{}\n", table.text());
    for line in t.extremes() {
        text += &format!("  {line}\n");
    }
    text + &format!("  {}\n", t.verdict())
}

/// A histogram with at most [`ROWS`] rows; a bar grows with the logarithm of its count.
fn bars(h: &Histogram) -> String {
    let rows = columns(h, ROWS);
    let most = rows.iter().map(|c| c.count).max().unwrap_or(0);
    let length = |n: u64| (1.0 + n as f64).ln() / (1.0 + most as f64).ln().max(1e-9);
    let mut table = Table::new(&[">from", ">to", ">values", "(logarithmic)"]);
    for row in rows {
        table.row(vec![
            number(row.from),
            number(row.to),
            grouped(row.count),
            "█".repeat((length(row.count) * BAR as f64).ceil() as usize),
        ]);
    }
    table.text()
}

/// Neighbouring bins together.
pub(super) struct Column {
    pub from: f64,
    pub to: f64,
    pub count: u64,
}

/// A histogram in at most so many columns of equally many bins; the last one may have fewer.
pub(super) fn columns(h: &Histogram, most: usize) -> Vec<Column> {
    let bins = h.counts.len().div_ceil(most).max(1);
    let parts = h.counts.chunks(bins).enumerate();
    let columns = parts.map(|(i, part)| Column {
        from: h.edges(i * bins).0,
        to: h.edges(i * bins + part.len() - 1).1,
        count: part.iter().sum(),
    });
    columns.collect()
}

/// A number with about four digits.
pub(super) fn number(x: f64) -> String {
    if x == 0.0 {
        "0".into()
    } else if (0.001..10_000.0).contains(&x.abs()) {
        format!("{x:.4}")
    } else {
        format!("{x:.2e}")
    }
}

pub(super) fn percent(part: u64, of: u64) -> String {
    match part {
        0 => "0 %".into(),
        _ => format!("{:.3} %", 100.0 * part as f64 / of.max(1) as f64),
    }
}
