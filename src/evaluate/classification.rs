//! Scores of a classifier: accuracy, top-5, macro precision, recall and F1, balanced accuracy, Cohen's kappa.
//!
//! The definitions are scikit-learn's defaults: macro averages run over the classes that occur as a label or
//! as a prediction, a quotient of nothing is 0 (`zero_division=0`), balanced accuracy averages the recall of
//! the classes that occur as a label. A sample may accept several classes: a prediction among them is right,
//! and counts as the sample's class; otherwise the first accepted class is the sample's class.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::Serialize;

use super::{Error, arg_max};

/// Top-k accuracy is told for this k, if the model has more classes than it.
const TOP: usize = 5;

/// Largest number of classes for which a dense confusion matrix is made (128 MiB).
const MAX_DENSE: usize = 4096;

/// A running count of predictions against labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classification {
    classes: usize,
    samples: u64,
    top: u64,
    /// Samples by (class, prediction); sparse, so that many classes cost nothing.
    counts: BTreeMap<(usize, usize), u64>,
}

impl Classification {
    /// Starts counting for a model of so many classes.
    pub fn new(classes: usize) -> Result<Classification, Error> {
        if classes < 2 {
            return Err(Error::TooFewClasses(classes));
        }
        Ok(Classification {
            classes,
            samples: 0,
            top: 0,
            counts: BTreeMap::new(),
        })
    }

    /// Counts a sample: the model's scores (real numbers, or raw integers: only their order matters) and the
    /// classes that are right. The prediction is the first highest score. An error leaves the count as it was.
    pub fn add<T: Copy + PartialOrd>(
        &mut self,
        scores: &[T],
        accepted: &[i64],
    ) -> Result<(), Error> {
        let sample = self.samples;
        if scores.len() != self.classes {
            return Err(Error::ScoreCount {
                sample,
                found: scores.len(),
                classes: self.classes,
            });
        }
        if let Some(class) = scores
            .iter()
            .position(|score| score.partial_cmp(score).is_none())
        {
            return Err(Error::NanScore { sample, class });
        }
        let known = |&label: &i64| {
            usize::try_from(label)
                .ok()
                .filter(|&class| class < self.classes)
                .ok_or(Error::LabelOutOfRange {
                    sample,
                    label,
                    classes: self.classes,
                })
        };
        let accepted = accepted
            .iter()
            .map(known)
            .collect::<Result<Vec<usize>, Error>>()?;
        let first = *accepted.first().ok_or(Error::NoLabel { sample })?;
        let predicted = arg_max(scores);
        let class = if accepted.contains(&predicted) {
            predicted
        } else {
            first
        };
        *self.counts.entry((class, predicted)).or_default() += 1;
        self.top += u64::from(accepted.iter().any(|&class| rank(scores, class) < TOP));
        self.samples += 1;
        Ok(())
    }

    /// Adds what another count has seen.
    pub fn merge(&mut self, other: &Classification) -> Result<(), Error> {
        if self.classes != other.classes {
            return Err(Error::Merge {
                one: self.classes,
                other: other.classes,
            });
        }
        for (&pair, count) in &other.counts {
            *self.counts.entry(pair).or_default() += count;
        }
        self.samples += other.samples;
        self.top += other.top;
        Ok(())
    }

    /// The scores of all samples so far.
    pub fn metrics(&self) -> Result<Metrics, Error> {
        if self.samples == 0 {
            return Err(Error::Empty);
        }
        let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
        for (&(class, predicted), &count) in &self.counts {
            tallies.entry(class).or_default().support += count;
            tallies.entry(predicted).or_default().predicted += count;
            if class == predicted {
                tallies.entry(class).or_default().right += count;
            }
        }
        let per_class: Vec<ClassMetrics> = tallies
            .iter()
            .map(|(&class, tally)| tally.metrics(class))
            .collect();
        let labelled: Vec<&ClassMetrics> =
            per_class.iter().filter(|class| class.support > 0).collect();
        let right: u64 = tallies.values().map(|tally| tally.right).sum();
        Ok(Metrics {
            classes: self.classes,
            samples: self.samples,
            accuracy: quotient(right, self.samples),
            top5_accuracy: (self.classes > TOP).then(|| quotient(self.top, self.samples)),
            macro_precision: mean(per_class.iter().map(|class| class.precision)),
            macro_recall: mean(per_class.iter().map(|class| class.recall)),
            macro_f1: mean(per_class.iter().map(|class| class.f1)),
            balanced_accuracy: mean(labelled.iter().map(|class| class.recall)),
            kappa: kappa(self.samples, right, tallies.values()),
            per_class,
            confusion: Confusion {
                classes: self.classes,
                cells: (self.counts.iter())
                    .map(|(&(class, predicted), &count)| Cell {
                        class,
                        predicted,
                        count,
                    })
                    .collect(),
            },
        })
    }
}

/// How many classes come before `class`: with a higher score, or with the same and a lower number. So rank 0
/// is the prediction, and ties are as definite as there.
fn rank<T: Copy + PartialOrd>(scores: &[T], class: usize) -> usize {
    let own = scores[class];
    scores
        .iter()
        .enumerate()
        .filter(|&(other, &score)| score > own || (score == own && other < class))
        .count()
}

/// What is counted of one class.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    support: u64,
    predicted: u64,
    right: u64,
}

impl Tally {
    fn metrics(&self, class: usize) -> ClassMetrics {
        ClassMetrics {
            class,
            support: self.support,
            predicted: self.predicted,
            precision: quotient(self.right, self.predicted),
            recall: quotient(self.right, self.support),
            f1: quotient(2 * self.right, self.support + self.predicted),
        }
    }
}

/// Cohen's kappa: agreement beyond what the marginal frequencies alone would give. Undefined if they alone
/// give full agreement (one class everywhere).
fn kappa<'a>(samples: u64, right: u64, tallies: impl Iterator<Item = &'a Tally>) -> Option<f64> {
    // In integers, exactly: both sides of the quotient times samples².
    let squared = u128::from(samples) * u128::from(samples);
    let chance: u128 = tallies
        .map(|tally| u128::from(tally.support) * u128::from(tally.predicted))
        .sum();
    let wrong = u128::from(samples - right) * u128::from(samples);
    (chance < squared).then(|| 1.0 - wrong as f64 / (squared - chance) as f64)
}

fn quotient(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Of at least one value: wherever it is used, some class occurs.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    values.sum::<f64>() / count as f64
}

/// Scores of a classifier. Fractions lie between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Classes of the model.
    pub classes: usize,
    /// Samples evaluated.
    pub samples: u64,
    /// Fraction of right predictions.
    pub accuracy: f64,
    /// Fraction of samples with an accepted class among the five highest scores; only for more than 5 classes.
    pub top5_accuracy: Option<f64>,
    /// Mean precision over the classes that occur as label or prediction.
    pub macro_precision: f64,
    /// Mean recall over the same classes.
    pub macro_recall: f64,
    /// Mean F1 over the same classes.
    pub macro_f1: f64,
    /// Mean recall over the classes that occur as label.
    pub balanced_accuracy: f64,
    /// Cohen's kappa, from −1 to 1; nothing if label and prediction are one class throughout.
    pub kappa: Option<f64>,
    /// The classes that occur as label or prediction, ascending.
    pub per_class: Vec<ClassMetrics>,
    /// Which class was taken for which.
    pub confusion: Confusion,
}

/// Scores of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassMetrics {
    /// The class.
    pub class: usize,
    /// Samples of the class.
    pub support: u64,
    /// Samples predicted to be of the class.
    pub predicted: u64,
    /// Fraction of its predictions that are right, 0 without any.
    pub precision: f64,
    /// Fraction of its samples that are found, 0 without any.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

/// The confusion matrix, without its zeros.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Rows and columns of the whole matrix.
    pub classes: usize,
    /// The cells that are not 0, ascending by class, then prediction.
    pub cells: Vec<Cell>,
}

/// One cell of a confusion matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The sample's class (row).
    pub class: usize,
    /// The prediction (column).
    pub predicted: usize,
    /// Samples.
    pub count: u64,
}

impl Confusion {
    /// The whole matrix, classes down and predictions across; nothing beyond 4096 classes.
    pub fn dense(&self) -> Option<Array2<u64>> {
        if self.classes > MAX_DENSE {
            return None;
        }
        let mut matrix = Array2::zeros((self.classes, self.classes));
        for cell in &self.cells {
            matrix[(cell.class, cell.predicted)] = cell.count;
        }
        Some(matrix)
    }
}
