//! From what was seen of a tensor to the range that is quantized: a file for each method, behind one trait.
//!
//! Minimum and maximum waste steps on what hardly ever occurs. A [`Method`] may cut that off, guided by the exact
//! histogram of the tensor. It never looks at values, so its choice has the resolution of the histogram: a bin is at most
//! 1/1023 of the observed range, widened to contain 0. Every method but `moving-average` is a function of counts alone: no
//! randomness, and the same for any order, batch size or number of threads.
//!
//! | name | range |
//! |---|---|
//! | [`minmax`] | what was seen |
//! | [`percentile`] | without so much of the lower and the upper tail |
//! | [`entropy`] | least Kullback-Leibler divergence, as TensorRT and ONNX Runtime |
//! | [`mse`] | least mean squared error of clipping and rounding |
//! | [`moving_average`] | average over the samples, in their order, as litert-quantizer |
//! | [`tensorflow`] | four methods of TensorFlow's StableHLO quantizer, to compare with it |
//!
//! [`Choice`] is a method with its parameters, as `NAME[:PARAMS]`.

mod choice;
pub mod entropy;
pub mod minmax;
pub mod moving_average;
pub mod mse;
pub mod percentile;
pub mod tensorflow;

pub use choice::{Choice, NAMES, UnknownMethod};

use crate::num::{Histogram, Range};
use std::fmt;

/// What is known of a tensor.
#[derive(Clone, Copy, Debug)]
pub struct Statistics<'a> {
    /// Smallest and largest value seen.
    pub range: Range,
    /// How many values fell where; made for `range`.
    pub histogram: &'a Histogram,
    /// The moving average of the samples' ranges, if they were looked at one by one; see [`Method::needs_samples`].
    pub averaged: Option<Range>,
    /// Bits of the integers that it becomes: 8, or 16 with zero point 0.
    pub bits: u32,
}

/// Chooses a range.
pub trait Method: fmt::Debug + Send + Sync {
    /// Its name, without parameters.
    fn name(&self) -> &'static str;

    /// Its parameters as they are written behind the name; empty if it has none.
    fn parameters(&self) -> String {
        String::new()
    }

    /// Whether it looks at the histogram.
    fn needs_histogram(&self) -> bool {
        true
    }

    /// Whether it looks at what each sample did: [`Statistics::averaged`].
    fn needs_samples(&self) -> bool {
        false
    }

    /// The range of a tensor. [`Choice::range`] sees to it that it contains 0 and does not reach beyond what was seen.
    fn range(&self, statistics: &Statistics<'_>) -> Range;
}

/// As much of a range as was seen, and 0.
fn within(chosen: Range, seen: Range) -> Range {
    let (low, high) = (seen.min.min(0.0), seen.max.max(0.0));
    Range {
        min: chosen.min.clamp(low, 0.0),
        max: chosen.max.clamp(0.0, high),
    }
}
