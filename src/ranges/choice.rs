//! A method with its parameters, as users write it: `NAME[:PARAMS]`.

use super::entropy::Entropy;
use super::minmax::MinMax;
use super::moving_average::MovingAverage;
use super::mse::Mse;
use super::percentile::Percentile;
use super::tensorflow::{HistogramMse, HistogramPercentile};
use super::{Method, Statistics, within};
use crate::num::Range;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// All methods as they are written; parameters may be left out.
pub const NAMES: [&str; 9] = [
    "minmax",
    "percentile:LOW,HIGH",
    "entropy",
    "mse",
    "moving-average",
    "histogram-percentile:LOW,HIGH",
    "histogram-mse-bruteforce",
    "histogram-mse-max-frequency",
    "histogram-mse-symmetric",
];

/// A method that was chosen.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Choice(Arc<dyn Method>);

/// What is wrong with the text of a choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownMethod {
    /// No such name.
    #[error("there is no method '{0}'; the methods are {list}", list = NAMES.join(", "))]
    Name(String),
    /// Parameters that the method does not take.
    #[error("'{given}': {problem}; the methods are {list}", list = NAMES.join(", "))]
    Parameters {
        /// What was written.
        given: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Choice {
    /// Whether it looks at histograms.
    pub fn needs_histogram(&self) -> bool {
        self.0.needs_histogram()
    }

    /// Whether it looks at samples one by one, and so needs [`Statistics::averaged`].
    pub fn needs_samples(&self) -> bool {
        self.0.needs_samples()
    }

    /// The range that it chooses: contains 0 and, but for that, reaches nowhere beyond what was seen.
    pub fn range(&self, statistics: &Statistics<'_>) -> Range {
        within(self.0.range(statistics), statistics.range)
    }
}

impl Default for Choice {
    fn default() -> Choice {
        Choice(Arc::new(MinMax))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self.0.parameters();
        f.write_str(self.0.name())?;
        match parameters.is_empty() {
            true => Ok(()),
            false => write!(f, ":{parameters}"),
        }
    }
}

/// The same method with the same parameters.
impl PartialEq for Choice {
    fn eq(&self, other: &Choice) -> bool {
        let (a, b) = (&self.0, &other.0);
        (a.name(), a.parameters()) == (b.name(), b.parameters())
    }
}

impl TryFrom<String> for Choice {
    type Error = UnknownMethod;

    fn try_from(text: String) -> Result<Choice, UnknownMethod> {
        text.parse()
    }
}

impl FromStr for Choice {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Choice, UnknownMethod> {
        let (name, parameters) = match text.split_once(':') {
            Some((name, parameters)) => (name, Some(parameters)),
            None => (text, None),
        };
        let refused = |problem| UnknownMethod::Parameters {
            given: text.to_owned(),
            problem,
        };
        let percents = || parameters.map(percents).transpose().map_err(refused);
        let method: Arc<dyn Method> = match name {
            "percentile" => {
                let given = percents()?.map(|[low, high]| Percentile { low, high });
                return Ok(Choice(Arc::new(given.unwrap_or_default())));
            }
            "histogram-percentile" => {
                let given = percents()?.map(|[low, high]| HistogramPercentile { low, high });
                return Ok(Choice(Arc::new(given.unwrap_or_default())));
            }
            "minmax" => Arc::new(MinMax),
            "entropy" => Arc::new(Entropy),
            "mse" => Arc::new(Mse),
            "moving-average" => Arc::new(MovingAverage),
            "histogram-mse-bruteforce" => Arc::new(HistogramMse::BruteForce),
            "histogram-mse-max-frequency" => Arc::new(HistogramMse::MaxFrequency),
            "histogram-mse-symmetric" => Arc::new(HistogramMse::Symmetric),
            _ => return Err(UnknownMethod::Name(name.to_owned())),
        };
        match parameters {
            None => Ok(Choice(method)),
            Some(_) => Err(refused("this method takes no parameters")),
        }
    }
}

/// `LOW,HIGH` in percent.
fn percents(text: &str) -> Result<[f64; 2], &'static str> {
    const FORM: &str = "it takes two percentages, as 0.01,99.99";
    let (low, high) = text.split_once(',').ok_or(FORM)?;
    let [low, high] = [low, high].map(|part| part.trim().parse::<f64>());
    let (low, high) = (low.map_err(|_| FORM)?, high.map_err(|_| FORM)?);
    match 0.0 <= low && low < high && high <= 100.0 {
        true => Ok([low, high]),
        false => Err("the percentages are to be from 0 to 100, the lower one first"),
    }
}
