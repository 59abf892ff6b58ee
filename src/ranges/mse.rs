//! `mse`: the range whose integers are, on average over all values, nearest in squares to what they stand for.
//!
//! Both ends are searched, since clipping one tail may pay where clipping the other does not. A candidate is judged by the
//! very grid that a model would get ([`activation_8bit`], with its rounded zero point, or [`activation_16bit`]): integers
//! k from `first` to `last` that stand for k · s. With the values of a bin of width w taken as evenly spread from l to l + w,
//! their mean squared error of rounding and of clipping is exactly (G(l + w) − G(l)) / w, with
//!
//! G(x) = k · s³ / 12 + (x − k · s)³ / 3,  k = round(x / s), clamped to `first` … `last`
//!
//! because each whole step contributes ∫ t² dt from −s/2 to s/2 = s³ / 12, and beyond the last integer the distance to
//! it goes on growing. The error of a range is the mean of that over the histogram.
//!
//! The search is deterministic: 33 places for each end from 0 to what was seen, then, around the best pair, two times nine
//! places at a quarter of the distance. Everything that was seen is the first candidate and another wins only if it is
//! better, so the result is never worse than `minmax` in this measure. The optimum lies between places: ends are found to
//! 1/512 of their side. With 16 bits the grid is symmetric, so both ends move together, as magnitudes.

use super::{Method, Statistics};
use crate::num::affine::{activation_8bit, activation_16bit};
use crate::num::{Histogram, Range};

/// Places of an end in the first round, besides 0.
const PLACES: i32 = 32;
/// Each further round looks at so many places to both sides.
const AROUND: i32 = 4;
/// How much closer they are.
const CLOSER: f64 = 4.0;
/// Rounds after the first.
const ROUNDS: i32 = 2;

/// Added to a double and taken off again, this leaves the nearest integer.
const TO_INTEGERS: f64 = 1.5 * (1u64 << 52) as f64;

/// The method.
#[derive(Debug)]
pub struct Mse;

impl Method for Mse {
    fn name(&self) -> &'static str {
        "mse"
    }

    fn range(&self, statistics: &Statistics<'_>) -> Range {
        let seen = statistics.range;
        let (low, high) = (f64::from(seen.min.min(0.0)), f64::from(seen.max.max(0.0)));
        let largest = high.max(-low);
        // Ends as shares of what was seen.
        let range = |[a, b]: [f64; 2]| match statistics.bits {
            16 => (low.max(-largest * a), high.min(largest * a)),
            _ => (low * a, high * b),
        };
        let judge = |ends| {
            let (min, max) = range(ends);
            let range = Range {
                min: min as f32,
                max: max as f32,
            };
            (error(statistics.histogram, range, statistics.bits), range)
        };
        let is_moved = [
            low < 0.0 || statistics.bits == 16,
            high > 0.0 && statistics.bits != 16,
        ];
        let mut best = ([1.0, 1.0], judge([1.0, 1.0]));
        let mut step = 1.0 / f64::from(PLACES);
        for round in 0..=ROUNDS {
            let centre = best.0;
            let places = |k: usize| -> Vec<f64> {
                let all: Vec<f64> = match (is_moved[k], round) {
                    (false, _) => vec![1.0],
                    (true, 0) => (0..=PLACES).map(|i| 1.0 - f64::from(i) * step).collect(),
                    (true, _) => {
                        let offsets = (-AROUND..=AROUND).rev();
                        offsets.map(|i| centre[k] + f64::from(i) * step).collect()
                    }
                };
                all.into_iter()
                    .filter(|p| (0.0..=1.0).contains(p))
                    .collect()
            };
            for &a in &places(0) {
                for &b in &places(1) {
                    let judged = judge([a, b]);
                    if judged.0 < best.1.0 {
                        best = ([a, b], judged);
                    }
                }
            }
            step /= CLOSER;
        }
        best.1.1
    }
}

/// The mean squared error of the values in a histogram as integers of so many bits, if that range is quantized.
pub fn error(histogram: &Histogram, range: Range, bits: u32) -> f64 {
    let (affine, qmin, qmax) = match bits {
        16 => (activation_16bit(range.min, range.max), -32768, 32767),
        _ => (activation_8bit(range.min, range.max, -128), -128, 127),
    };
    let step = f64::from(affine.scale);
    let (first, last) = (
        f64::from(qmin - affine.zero_point),
        f64::from(qmax - affine.zero_point),
    );
    let inverse = 1.0 / step;
    let integral = |x: f64| {
        // The nearest integer, without a call. Which of two equally near ones does not matter: the integral is the same.
        let k = ((x * inverse + TO_INTEGERS) - TO_INTEGERS).clamp(first, last);
        let rest = x - k * step;
        k * step * step * step / 12.0 + rest * rest * rest / 3.0
    };
    let width = f64::from(histogram.exponent).exp2();
    let mut sum = 0.0;
    // The end of a bin is the start of the next one.
    let mut from = (f64::NAN, 0.0);
    for (i, &n) in histogram.counts.iter().enumerate().filter(|&(_, &n)| n > 0) {
        let (left, right) = histogram.edges(i);
        let start = if from.0 == left {
            from.1
        } else {
            integral(left)
        };
        from = (right, integral(right));
        sum += n as f64 * (from.1 - start) / width;
    }
    sum / histogram.total().max(1) as f64
}
