//! `percentile:LOW,HIGH`: from the value below which LOW percent of all values lie to that below which HIGH percent do.
//!
//! Each tail is cut by itself, where ONNX Runtime's percentile is by default one of magnitudes.
//!
//! With N values in all, C(k) of them in bins up to k, c(k) in bin k and a width w, the value of rank r = N · p / 100 is
//! where r lies in the first bin with C(k) ≥ r, its values taken as evenly spread:
//!
//! x = left(k) + w · (r − C(k − 1)) / c(k)
//!
//! The ⌈r⌉-th smallest value (numpy's `percentile(..., method="inverted_cdf")`) lies in the same bin. So each end is less
//! than one bin width, w = 2^exponent, away from it.

use super::{Method, Statistics};
use crate::num::{Histogram, Range};

/// The method.
#[derive(Clone, Copy, Debug)]
pub struct Percentile {
    /// Percent of the values that lie below the range.
    pub low: f64,
    /// Percent of the values that do not lie above it.
    pub high: f64,
}

impl Default for Percentile {
    fn default() -> Percentile {
        Percentile {
            low: 0.01,
            high: 99.99,
        }
    }
}

impl Method for Percentile {
    fn name(&self) -> &'static str {
        "percentile"
    }

    fn parameters(&self) -> String {
        format!("{},{}", self.low, self.high)
    }

    fn range(&self, Statistics { histogram, .. }: &Statistics<'_>) -> Range {
        Range {
            min: value_at(histogram, self.low / 100.0) as f32,
            max: value_at(histogram, self.high / 100.0) as f32,
        }
    }
}

/// Where so much of all values lies below, see the module.
fn value_at(histogram: &Histogram, fraction: f64) -> f64 {
    let rank = fraction * histogram.total() as f64;
    let mut below = 0;
    let mut value = 0.0;
    for (i, &n) in histogram.counts.iter().enumerate().filter(|&(_, &n)| n > 0) {
        let (from, to) = histogram.edges(i);
        let part = (rank - below as f64) / n as f64;
        below += n;
        // The last bin with values, if rounding leaves the rank above all of them.
        value = from + (to - from) * part.clamp(0.0, 1.0);
        if below as f64 >= rank {
            break;
        }
    }
    value
}
