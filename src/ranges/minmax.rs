//! `minmax`: everything that was seen.
//!
//! It needs no histogram. TensorFlow Lite's own method (`tflite/tools/optimize/calibration`).

use super::{Method, Statistics};
use crate::num::Range;

/// The method.
#[derive(Debug)]
pub struct MinMax;

impl Method for MinMax {
    fn name(&self) -> &'static str {
        "minmax"
    }

    fn needs_histogram(&self) -> bool {
        false
    }

    fn range(&self, statistics: &Statistics<'_>) -> Range {
        statistics.range
    }
}
