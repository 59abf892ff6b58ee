//! `moving-average`: the exponential moving average of each sample's minimum and maximum, as litert-quantizer has it.
//!
//! The first sample's range is the start; every further one moves both ends, m ← 0.95 · m + 0.05 · (that of the sample).
//! **It depends on the order of the samples**, unlike every other method, and files of statistics do not hold it: it comes
//! from a pass that looks at each sample for itself (`calibrate::moving_average`) and is handed over as
//! [`Statistics::averaged`]. Whoever asks this method for a range asks [`super::Choice::needs_samples`] first; without
//! an average it keeps what was seen.

use super::{Method, Statistics};
use crate::num::Range;

/// The method.
#[derive(Debug)]
pub struct MovingAverage;

impl Method for MovingAverage {
    fn name(&self) -> &'static str {
        "moving-average"
    }

    fn needs_histogram(&self) -> bool {
        false
    }

    fn needs_samples(&self) -> bool {
        true
    }

    fn range(&self, statistics: &Statistics<'_>) -> Range {
        statistics.averaged.unwrap_or(statistics.range)
    }
}
