//! `minmax`: everything that was seen.
//!
//! The only method that needs no histogram, and TensorFlow Lite's own (`tflite/tools/optimize/calibration`).

use super::{Method, Statistics};
use crate::num::Range;

/// The method.
#[derive(Debug)]
pub struct MinMax;

impl Method for MinMax {
    fn name(&self) -> &'static str {
        "minmax"
    }

    fn range(&self, statistics: &Statistics<'_>) -> Range {
        statistics.range
    }
}
