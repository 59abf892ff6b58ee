//! How good a model is, and how far one is from another: pure functions of numbers.
//!
//! [`Classification`] scores class predictions against labels, [`Distance`] measures a test tensor against a
//! reference, [`Growth`] tells whether samples were enough for a range. The first two take one sample at a time and merge:
//! the results depend neither on the order of the samples nor on how they were shared out, to the last bit. [`METRICS`]
//! gives figures of both, and areas under ROC curves, by name; [`Metric`] is for others. No I/O, no device, no model is
//! known here.

mod auc;
mod classification;
mod distance;
mod exact_sum;
mod flips;
pub mod growth;
mod metric;
mod tensors;

pub use classification::{Cell, ClassMetrics, Classification, Confusion, Metrics};
pub use distance::{Distance, Figures};
pub use flips::Flips;
pub use growth::{Extreme, Growth, Verdict, growth};
pub use metric::{Known, METRICS, Metric, Unit, known, metric, usual};
pub use tensors::Equality;

/// Why something could not be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a classifier.
    #[error(
        "{0} class(es) cannot be told apart; classification needs an output of at least 2 scores"
    )]
    TooFewClasses(usize),
    /// The number of scores is not that of the classes.
    #[error("sample {sample}: {found} scores for {classes} classes")]
    ScoreCount {
        /// Index of the sample, from 0.
        sample: u64,
        /// Scores given.
        found: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// A score is not a number, so that nothing is the highest.
    #[error("sample {sample}: the score of class {class} is NaN")]
    NanScore {
        /// Index of the sample, from 0.
        sample: u64,
        /// The class.
        class: usize,
    },
    /// A sample without a right class.
    #[error("sample {sample}: it has no label")]
    NoLabel {
        /// Index of the sample, from 0.
        sample: u64,
    },
    /// A label that the model does not know.
    #[error("sample {sample}: label {label} is not one of the model's classes 0 to {}", classes - 1)]
    LabelOutOfRange {
        /// Index of the sample, from 0.
        sample: u64,
        /// The label.
        label: i64,
        /// Classes of the model.
        classes: usize,
    },
    /// Two tallies that do not count the same thing.
    #[error("results for {one} and for {other} classes cannot be merged")]
    Merge {
        /// Classes of the one.
        one: usize,
        /// Classes of the other.
        other: usize,
    },
    /// Nothing was scored.
    #[error("no sample was evaluated")]
    Empty,
    /// Reference and test differ in size.
    #[error("sample {sample}: {reference} reference values against {test} test values")]
    Length {
        /// Index of the sample, from 0.
        sample: u64,
        /// Elements of the reference.
        reference: usize,
        /// Elements of the test.
        test: usize,
    },
    /// A value to which there is no distance.
    #[error("sample {sample}, element {element}: no distance between {reference} and {test}")]
    NotFinite {
        /// Index of the sample, from 0.
        sample: u64,
        /// Flat index of the element.
        element: usize,
        /// The reference's value, as text.
        reference: String,
        /// The test's value, as text.
        test: String,
    },
    /// A name that no metric has.
    #[error("there is no metric '{name}'; there are {known}")]
    UnknownMetric {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// What a metric of someone else has to say.
    #[error("{0}")]
    Metric(String),
}

/// Index of the first highest value, as numpy's argmax finds it; 0 for an empty slice. No NaN in it.
pub(crate) fn arg_max<T: Copy + PartialOrd>(values: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
