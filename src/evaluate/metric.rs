//! Metrics by name, and the trait for those that are not among them.
//!
//! A [`Metric`] looks at one output of a model, sample after sample, beside the same output of the float model and the
//! labels, and tells one number. [`METRICS`] is the table of names; [`metric`] makes one. The result of each depends
//! neither on the order of the samples nor on the size of batches, and its memory does not grow with the data.

use super::auc::{Auc, Reading};
use super::{Classification, Distance, Error, Figures, Metrics};

/// One number for an output of a model, from all samples.
///
/// # A metric of one's own
/// ```
/// use zeropoint::evaluate::{Error, Metric, Unit, metric};
///
/// /// The share of samples in which the highest score is at least 0.5.
/// #[derive(Default)]
/// struct Confident {
///     samples: u64,
///     confident: u64,
/// }
///
/// impl Metric for Confident {
///     fn name(&self) -> &str {
///         "confident"
///     }
///
///     fn add(&mut self, _labels: &[i64], _float: &[f32], test: &[f32]) -> Result<(), Error> {
///         if test.is_empty() {
///             return Err(Error::Metric("confident: the output has no elements".into()));
///         }
///         self.samples += 1;
///         self.confident += u64::from(test.iter().any(|&score| score >= 0.5));
///         Ok(())
///     }
///
///     // Counts are exact, so the order of the samples does not matter.
///     fn value(&self) -> Option<f64> {
///         (self.samples > 0).then(|| self.confident as f64 / self.samples as f64)
///     }
///
///     fn unit(&self) -> Unit {
///         Unit::Share
///     }
/// }
///
/// # fn main() -> Result<(), Error> {
/// let mut metrics: Vec<Box<dyn Metric>> = vec![metric("accuracy")?, Box::new(Confident::default())];
/// let samples = [(1, [0.2, 0.8], [0.3, 0.7]), (0, [0.6, 0.4], [0.45, 0.46])];
/// for (label, float, test) in &samples {
///     for metric in &mut metrics {
///         metric.add(&[*label], float, test)?;
///     }
/// }
/// let values: Vec<Option<f64>> = metrics.iter().map(|metric| metric.value()).collect();
/// assert_eq!(values, [Some(0.5), Some(0.5)]);
/// # Ok(())
/// # }
/// ```
pub trait Metric: Send {
    /// What to call it; a short word.
    fn name(&self) -> &str;

    /// Takes a sample: the classes that are right (empty where there are no labels), the output of the float model, and
    /// that of the model under test, both as real numbers.
    ///
    /// # Errors
    /// If the sample cannot be measured; the metric is then as it was before.
    fn add(&mut self, labels: &[i64], float: &[f32], test: &[f32]) -> Result<(), Error>;

    /// The figure of all samples so far; `None` where it is not defined for them. It must not depend on their order.
    fn value(&self) -> Option<f64>;

    /// Whether more is better.
    fn larger_is_better(&self) -> bool {
        true
    }

    /// What the number means.
    fn unit(&self) -> Unit {
        Unit::Real
    }
}

/// What the number of a metric means, for those who show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share between 0 and 1, of which a hundredth is a point.
    Share,
    /// Decibel; infinite where nothing differs.
    Decibel,
    /// Any other number.
    Real,
}

/// A metric that can be asked for by name.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Known {
    /// The name.
    pub name: &'static str,
    /// What it tells, in a line.
    pub about: &'static str,
    /// Whether it needs labels.
    pub labels: bool,
    /// Whether it takes the elements of the output for scores of classes, one each.
    pub classes: bool,
    make: Make,
}

/// How a metric of [`METRICS`] comes about.
#[derive(Clone, Copy)]
enum Make {
    /// From predictions and labels.
    Classes(fn(&Metrics) -> Option<f64>),
    /// From scores and labels.
    Area(Reading),
    /// From both outputs, of at least so many elements.
    Distance(usize, Unit, fn(&Figures) -> Option<f64>),
}

/// Every metric that has a name, in the order in which they are listed.
pub const METRICS: [Known; 10] = [
    Known {
        name: "accuracy",
        about: "share of right predictions",
        labels: true,
        classes: true,
        make: Make::Classes(|m| Some(m.accuracy)),
    },
    Known {
        name: "f1",
        about: "F1, the mean over the classes that occur",
        labels: true,
        classes: true,
        make: Make::Classes(|m| Some(m.macro_f1)),
    },
    Known {
        name: "top5",
        about: "share of samples with a right class among the five highest scores; of more than five classes",
        labels: true,
        classes: true,
        make: Make::Classes(|m| m.top5_accuracy),
    },
    Known {
        name: "auc",
        about: "area under the ROC curve; of more than two classes the mean of each against the rest",
        labels: true,
        classes: true,
        make: Make::Area(Reading::Classes),
    },
    Known {
        name: "auc-max",
        about: "the same for detectors: the largest element is the score, labels are 0 and 1",
        labels: true,
        classes: false,
        make: Make::Area(Reading::Largest),
    },
    Known {
        name: "agreement",
        about: "share of samples with the float model's prediction",
        labels: false,
        classes: true,
        make: Make::Distance(2, Unit::Share, |f| Some(f.arg_max_agreement)),
    },
    Known {
        name: "sqnr",
        about: "signal to quantization noise, in dB",
        labels: false,
        classes: false,
        make: Make::Distance(1, Unit::Decibel, |f| {
            f.sqnr_db.or(f.exact.then_some(f64::INFINITY))
        }),
    },
    Known {
        name: "cosine",
        about: "cosine of the angle to the float output",
        labels: false,
        classes: false,
        make: Make::Distance(1, Unit::Real, |f| f.cosine),
    },
    Known {
        name: "rmse",
        about: "root of the mean squared error",
        labels: false,
        classes: false,
        make: Make::Distance(1, Unit::Real, |f| Some(f.rmse)),
    },
    Known {
        name: "max-error",
        about: "largest error of an element",
        labels: false,
        classes: false,
        make: Make::Distance(1, Unit::Real, |f| Some(f.max_abs_error)),
    },
];

/// The row of a metric in [`METRICS`].
///
/// # Errors
/// Of an unknown name, with the list of those that exist.
pub fn known(name: &str) -> Result<&'static Known, Error> {
    let found = METRICS.iter().find(|known| known.name == name);
    found.ok_or_else(|| Error::UnknownMetric {
        name: name.into(),
        known: METRICS.map(|known| known.name).join(", "),
    })
}

/// A metric by its name, with no samples yet.
///
/// # Errors
/// As [`known`].
pub fn metric(name: &str) -> Result<Box<dyn Metric>, Error> {
    known(name).map(Known::start)
}

/// What is told where nobody asks for anything else, of an output of so many elements, with labels or without.
pub fn usual(labels: bool, elements: usize) -> Vec<&'static Known> {
    let names = ["accuracy", "f1", "agreement", "sqnr", "cosine"];
    let all = METRICS.iter().filter(|known| names.contains(&known.name));
    all.filter(|known| (labels || !known.labels) && (elements >= 2 || !known.classes))
        .collect()
}

impl Known {
    /// The metric, with no samples yet.
    pub fn start(&self) -> Box<dyn Metric> {
        let name = self.name;
        match self.make {
            Make::Classes(read) => Box::new(OfClasses {
                name,
                read,
                count: None,
            }),
            Make::Area(reading) => Box::new(OfScores {
                name,
                auc: Auc::new(reading),
            }),
            Make::Distance(least, unit, read) => Box::new(OfDistance {
                name,
                least,
                unit,
                read,
                distance: Distance::new(),
            }),
        }
    }
}

/// A score of a classifier. The number of classes is that of the first sample's scores.
struct OfClasses {
    name: &'static str,
    read: fn(&Metrics) -> Option<f64>,
    count: Option<Classification>,
}

impl Metric for OfClasses {
    fn name(&self) -> &str {
        self.name
    }

    fn add(&mut self, labels: &[i64], _float: &[f32], test: &[f32]) -> Result<(), Error> {
        match &mut self.count {
            Some(count) => count.add(test, labels),
            None => {
                let mut count = Classification::new(test.len())?;
                count.add(test, labels)?;
                self.count = Some(count);
                Ok(())
            }
        }
    }

    fn value(&self) -> Option<f64> {
        (self.read)(&self.count.as_ref()?.metrics().ok()?)
    }

    fn unit(&self) -> Unit {
        Unit::Share
    }
}

/// An area under a ROC curve.
struct OfScores {
    name: &'static str,
    auc: Auc,
}

impl Metric for OfScores {
    fn name(&self) -> &str {
        self.name
    }

    fn add(&mut self, labels: &[i64], _float: &[f32], test: &[f32]) -> Result<(), Error> {
        self.auc.add(labels, test)
    }

    fn value(&self) -> Option<f64> {
        self.auc.value()
    }

    fn unit(&self) -> Unit {
        Unit::Share
    }
}

/// A figure of the distance to the float model.
struct OfDistance {
    name: &'static str,
    least: usize,
    unit: Unit,
    read: fn(&Figures) -> Option<f64>,
    distance: Distance,
}

impl Metric for OfDistance {
    fn name(&self) -> &str {
        self.name
    }

    fn add(&mut self, _labels: &[i64], float: &[f32], test: &[f32]) -> Result<(), Error> {
        if test.len() < self.least {
            return Err(Error::TooFewClasses(test.len()));
        }
        self.distance.add(float, test)
    }

    fn value(&self) -> Option<f64> {
        (self.read)(&self.distance.figures().ok()?)
    }

    fn larger_is_better(&self) -> bool {
        !matches!(self.name, "rmse" | "max-error")
    }

    fn unit(&self) -> Unit {
        self.unit
    }
}
