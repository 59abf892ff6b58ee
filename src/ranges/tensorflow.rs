//! The histogram methods of TensorFlow's StableHLO quantizer (`calibrator/calibration_algorithm.py`), to compare with it:
//! `histogram-percentile:LOW,HIGH`, `histogram-mse-bruteforce`, `histogram-mse-max-frequency`, `histogram-mse-symmetric`.
//!
//! Its bins are w = 2^⌈log₂((max − min) / 256)⌉ wide and begin at a multiple of w, as ours do, so ours are put together to
//! that width. With mids mᵢ, counts cᵢ, their sums Cᵢ and N in all:
//!
//! - percentile: from the first mₖ with Cₖ / N > LOW / 100 to the first with Cₖ / N ≥ HIGH / 100; 0.001 and 99.999 if not given.
//! - mse: the pair a = mₗ < b = mᵣ of least Σ cᵢ (mᵢ − Q(mᵢ))², with Q(m) = s · (clip(round(m / s) + z, 0, L) − z),
//!   s = (b − a) / L, z = round(−a / s), L = 2^bits − 1, rounding half to even; of equal ones that of the smallest a, then b.
//!   `bruteforce` looks at all pairs. `max-frequency` begins at the fullest bin and widens, left and right in turn;
//!   `symmetric` begins at bin n / 2.
//!
//! What differs: TensorFlow takes the width from the first batch and spreads later ones over it; here it is that of all
//! values, as if they had been one batch. Where the values are far from 0 our bins, which reach to 0, are wider than
//! TensorFlow's, and stay so. A value below 0 that is a multiple of w counts in the bin below it here, above it there. The
//! range is widened to contain 0. TensorFlow has the mse methods for 8 bits only.

use super::{Method, Statistics};
use crate::num::Range;

/// Bins that TensorFlow begins with.
const INITIAL_BINS: f64 = 256.0;

/// A histogram as TensorFlow has it.
struct Coarse {
    mids: Vec<f64>,
    counts: Vec<f64>,
}

impl Coarse {
    fn of(
        Statistics {
            range, histogram, ..
        }: &Statistics<'_>,
    ) -> Coarse {
        let span = f64::from(range.max) - f64::from(range.min);
        // Nothing is wider than the whole range: log2 of 0 is -inf, which saturates.
        let exponent = (span / INITIAL_BINS).log2().ceil() as i32;
        let shift = exponent.saturating_sub(histogram.exponent).clamp(0, 31);
        let width = f64::from(histogram.exponent + shift).exp2();
        let mut coarse = Coarse {
            mids: Vec::new(),
            counts: Vec::new(),
        };
        let filled = |&n: &u64| n > 0;
        let first = histogram.counts.iter().position(filled).unwrap_or(0);
        let last = histogram.counts.iter().rposition(filled).unwrap_or(0);
        let lowest = (histogram.first + first as i32) >> shift;
        for (i, &n) in histogram.counts.iter().enumerate() {
            if !(first..=last).contains(&i) {
                continue;
            }
            let at = ((histogram.first + i as i32) >> shift) - lowest;
            while coarse.counts.len() <= at as usize {
                let bin = f64::from(lowest) + coarse.counts.len() as f64;
                coarse.mids.push((bin + 0.5) * width);
                coarse.counts.push(0.0);
            }
            coarse.counts[at as usize] += n as f64;
        }
        coarse
    }

    /// The squared error of all values if [a, b] is quantized.
    fn error(&self, a: f64, b: f64, bits: u32) -> f64 {
        let levels = (f64::from(bits).exp2()) - 1.0;
        let scale = ((b - a) / levels).max(1e-9);
        let zero = (-a / ((b - a) / levels)).min(9e9).round_ties_even();
        let pairs = self.mids.iter().zip(&self.counts);
        let squares = pairs.map(|(&m, &n)| {
            let q = ((m / scale).round_ties_even() + zero).clamp(0.0, levels);
            let off = m - scale * (q - zero);
            off * off * n
        });
        squares.sum()
    }

    /// The best of these pairs, by their places; everything where there is none.
    fn best(
        &self,
        pairs: impl Iterator<Item = (usize, usize)>,
        statistics: &Statistics<'_>,
    ) -> Range {
        let judged = pairs.map(|(l, r)| {
            let (a, b) = (self.mids[l], self.mids[r]);
            (self.error(a, b, statistics.bits), a, b)
        });
        let best = judged.min_by(|x, y| {
            let ends = || x.1.total_cmp(&y.1).then(x.2.total_cmp(&y.2));
            x.0.total_cmp(&y.0).then_with(ends)
        });
        best.map_or(statistics.range, |(_, a, b)| Range {
            min: a as f32,
            max: b as f32,
        })
    }

    /// Pairs that begin at a bin and widen, left and right in turn, to everything.
    fn widening(&self, start: usize) -> Vec<(usize, usize)> {
        let last = self.mids.len().saturating_sub(1);
        let (mut left, mut right, mut to_left) = (start, start, true);
        let mut pairs = Vec::new();
        while (left, right) != (0, last) {
            if (to_left && left > 0) || right == last {
                left = left.saturating_sub(1);
            } else {
                right += 1;
            }
            to_left = !to_left;
            pairs.push((left, right));
        }
        pairs
    }
}

/// `histogram-percentile`.
#[derive(Clone, Copy, Debug)]
pub struct HistogramPercentile {
    /// Percent of the values that lie below the range.
    pub low: f64,
    /// Percent of the values that do not lie above it.
    pub high: f64,
}

impl Default for HistogramPercentile {
    fn default() -> HistogramPercentile {
        HistogramPercentile {
            low: 0.001,
            high: 99.999,
        }
    }
}

impl Method for HistogramPercentile {
    fn name(&self) -> &'static str {
        "histogram-percentile"
    }

    fn parameters(&self) -> String {
        format!("{},{}", self.low, self.high)
    }

    fn range(&self, statistics: &Statistics<'_>) -> Range {
        let coarse = Coarse::of(statistics);
        let all: f64 = coarse.counts.iter().sum();
        let sums = coarse.counts.iter().scan(0.0, |sum, n| {
            *sum += n;
            Some(*sum / all)
        });
        let pairs: Vec<(f64, f64)> = sums.zip(coarse.mids.iter().copied()).collect();
        let low = pairs.iter().find(|(share, _)| *share > self.low / 100.0);
        let high = pairs.iter().find(|(share, _)| *share >= self.high / 100.0);
        let or_seen = |found: Option<&(f64, f64)>, seen| found.map_or(seen, |p| p.1 as f32);
        Range {
            min: or_seen(low, statistics.range.min),
            max: or_seen(high, statistics.range.max),
        }
    }
}

/// Which pairs of bins the mse methods look at.
#[derive(Clone, Copy, Debug)]
pub enum HistogramMse {
    /// All.
    BruteForce,
    /// Around the fullest bin.
    MaxFrequency,
    /// Around the middle.
    Symmetric,
}

impl Method for HistogramMse {
    fn name(&self) -> &'static str {
        match self {
            HistogramMse::BruteForce => "histogram-mse-bruteforce",
            HistogramMse::MaxFrequency => "histogram-mse-max-frequency",
            HistogramMse::Symmetric => "histogram-mse-symmetric",
        }
    }

    fn range(&self, statistics: &Statistics<'_>) -> Range {
        let coarse = Coarse::of(statistics);
        let bins = coarse.mids.len();
        match self {
            HistogramMse::BruteForce => {
                let pairs = (0..bins).flat_map(|l| (l + 1..bins).map(move |r| (l, r)));
                coarse.best(pairs, statistics)
            }
            HistogramMse::MaxFrequency => {
                // The first of the fullest.
                let fullest = (0..bins)
                    .rev()
                    .max_by(|&i, &j| coarse.counts[i].total_cmp(&coarse.counts[j]));
                coarse.best(
                    coarse.widening(fullest.unwrap_or(0)).into_iter(),
                    statistics,
                )
            }
            HistogramMse::Symmetric => {
                coarse.best(coarse.widening(bins / 2).into_iter(), statistics)
            }
        }
    }
}
