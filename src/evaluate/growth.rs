//! How the range of a tensor grows with the number of samples, and whether there were enough of them.
//!
//! Ranges are widened to contain 0, as they are when they are quantized. n samples with maxima m₁ ≤ … ≤ mₙ, of which k are
//! taken at random, reach on average over all choices
//!
//! E(k) = Σ mᵢ · C(i − 1, k − 1) / C(n, k)
//!
//! because mᵢ is the largest of them if the other k − 1 are among the i − 1 before it. Minima are the same, mirrored. This
//! is the mean over all orders, so nothing is shuffled and the order of the data does not matter.
//!
//! **The criterion.** *Growth* is the share of the whole range that the second half of the samples brought on average:
//! (width(n) − E width(⌈n / 2⌉)) / width(n). A maximum of independent samples grows with their logarithm or slower (unless
//! its tail is heavy), so as many samples again are expected to widen the range about as much, or less. Samples are
//! [`Verdict::Enough`] for a tensor if that is at most [`MOST_GROWTH`] = 5 %: at most 13 of 255 steps, 0.07 bits of
//! resolution. An outlier far beyond the rest grows a range by about half of its distance, as it is in the first half as
//! often as not. Of fewer than [`FEWEST`] samples nothing is said.

use crate::num::Range;

/// Most growth of a range that has seen enough.
pub const MOST_GROWTH: f64 = 0.05;
/// Samples from which on there is a verdict.
pub const FEWEST: usize = 16;
/// Points of a curve.
const POINTS: usize = 32;
/// Samples of an extreme that are named.
const NAMED: usize = 4;

/// What the samples did to the range of one tensor.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Growth {
    /// The range after ever more samples; the last point is that of all.
    pub points: Vec<Point>,
    /// Share of the range that the second half of the samples brought on average; 0 of a range without width.
    pub growth: f64,
    /// Whether there were enough of them.
    pub verdict: Verdict,
    /// Who reached the smallest value.
    pub lowest: Extreme,
    /// Who reached the largest value.
    pub highest: Extreme,
}

/// The range of some of the samples, widened to contain 0.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Point {
    /// How many.
    pub samples: usize,
    /// Mean over all choices of so many.
    pub expected: Range,
    /// That of the first ones of the data set.
    pub in_order: Range,
}

/// Whether there were enough samples for a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// More would hardly change its range.
    Enough,
    /// More would widen its range, or a few samples alone have set it.
    Growing,
    /// There are too few to tell.
    Unknown,
}

/// The smallest or largest value, and the samples that reach it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Extreme {
    /// The value.
    pub value: f32,
    /// The first samples that reach it, by their place in the data set.
    pub samples: Vec<usize>,
    /// How many reach it.
    pub reached: usize,
    /// The nearest value that another sample reaches; none if all reach the extreme.
    pub next: Option<f32>,
    /// Distance to it as a share of the range; 0 if there is none.
    pub gap: f64,
}

/// What samples with these ranges, in the order of the data set, did to the range of all; `None` of no samples.
pub fn growth(samples: &[Range]) -> Option<Growth> {
    let n = samples.len();
    if n == 0 {
        return None;
    }
    let ends = |end: fn(&Range) -> f32| samples.iter().map(end).collect::<Vec<f32>>();
    let (lows, highs) = (ends(|r| r.min), ends(|r| r.max));
    let sorted = |ends: &[f32], sign: f64| {
        let widened = ends.iter().map(|&x| (sign * f64::from(x)).max(0.0));
        let mut all: Vec<f64> = widened.collect();
        all.sort_by(f64::total_cmp);
        all
    };
    let (below, above) = (sorted(&lows, -1.0), sorted(&highs, 1.0));
    let width = |k: usize| expected(&below, k) + expected(&above, k);
    let whole = width(n);
    let share = |x: f64| if whole > 0.0 { x / whole } else { 0.0 };
    let growth = share(whole - width(n.div_ceil(2))).max(0.0);
    let verdict = match growth <= MOST_GROWTH {
        _ if n < FEWEST => Verdict::Unknown,
        true => Verdict::Enough,
        false => Verdict::Growing,
    };
    let mut reached = Range { min: 0.0, max: 0.0 };
    let mut seen = 0;
    let points = (1..=POINTS).map(|i| (i * n).div_ceil(POINTS));
    let mut points: Vec<usize> = points.collect();
    points.dedup();
    let points = points.into_iter().map(|k| {
        reached = samples[seen..k].iter().fold(reached, |r, &s| r.merge(s));
        seen = k;
        Point {
            samples: k,
            expected: Range {
                min: (0.0 - expected(&below, k)) as f32,
                max: expected(&above, k) as f32,
            },
            in_order: reached,
        }
    });
    Some(Growth {
        points: points.collect(),
        growth,
        verdict,
        lowest: extreme(&lows, |a, b| a < b, whole),
        highest: extreme(&highs, |a, b| a > b, whole),
    })
}

/// The mean of the largest of k of these values, over all choices; they are sorted.
fn expected(sorted: &[f64], k: usize) -> f64 {
    let n = sorted.len();
    let mut weight = k as f64 / n as f64;
    let mut sum = 0.0;
    for i in (k..=n).rev() {
        sum += weight * sorted[i - 1];
        // C(i − 2, k − 1) / C(i − 1, k − 1)
        weight *= (i - k) as f64 / (i - 1).max(1) as f64;
    }
    sum
}

/// The value that is beyond all others, of at least one.
fn extreme(ends: &[f32], beyond: fn(f32, f32) -> bool, width: f64) -> Extreme {
    let farthest = |a: f32, b: f32| if beyond(b, a) { b } else { a };
    let value = ends.iter().copied().fold(ends[0], farthest);
    let reach = || (0..ends.len()).filter(|&i| ends[i] == value);
    let others = ends.iter().copied().filter(|&x| x != value);
    let next = others.reduce(farthest);
    let distance = next.map_or(0.0, |next| (f64::from(value) - f64::from(next)).abs());
    Extreme {
        value,
        samples: reach().take(NAMED).collect(),
        reached: reach().count(),
        next,
        gap: if width > 0.0 { distance / width } else { 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(ends: &[(f32, f32)]) -> Vec<Range> {
        ends.iter().map(|&(min, max)| Range { min, max }).collect()
    }

    proptest! {
        /// All choices of k, one by one.
        #[test]
        fn the_mean_is_over_all_choices(mut v in prop::collection::vec(0.0f64..9.0, 1..9)) {
            v.sort_by(f64::total_cmp);
            for k in 1..=v.len() {
                let choices = (0u32..1 << v.len()).filter(|c| c.count_ones() as usize == k);
                let largest = |c: u32| (0..v.len()).filter(|i| c >> i & 1 == 1).map(|i| v[i]).fold(0.0, f64::max);
                let all: Vec<f64> = choices.map(largest).collect();
                let mean = all.iter().sum::<f64>() / all.len() as f64;
                prop_assert!((expected(&v, k) - mean).abs() < 1e-12);
            }
        }

        #[test]
        fn curves_grow_to_the_whole_range_whatever_the_order(
            ends in prop::collection::vec((-9.0f32..5.0, 0.0f32..9.0), 1..80),
        ) {
            let ends: Vec<(f32, f32)> = ends.into_iter().map(|(low, more)| (low, low + more)).collect();
            let all = growth(&ranges(&ends)).unwrap();
            prop_assert!((0.0..=1.0).contains(&all.growth));
            for pair in all.points.windows(2) {
                let (a, b) = (pair[0].expected, pair[1].expected);
                prop_assert!(a.min >= b.min - 1e-5 && a.max <= b.max + 1e-5 && pair[0].samples < pair[1].samples);
            }
            let last = all.points.last().unwrap();
            prop_assert_eq!(last.samples, ends.len());
            prop_assert_eq!(last.expected, last.in_order);
            let backwards: Vec<(f32, f32)> = ends.iter().rev().copied().collect();
            let other = growth(&ranges(&backwards)).unwrap();
            prop_assert_eq!((other.growth, other.verdict), (all.growth, all.verdict));
            prop_assert_eq!(other.highest.next, all.highest.next);
        }
    }

    #[test]
    fn one_outlier_is_found_and_an_even_set_is_enough() {
        let mut ends: Vec<(f32, f32)> = (0..64).map(|i| (-1.0, 0.9 + i as f32 / 640.0)).collect();
        let even = growth(&ranges(&ends)).unwrap();
        assert_eq!(even.verdict, Verdict::Enough);
        assert_eq!((even.lowest.reached, even.lowest.next), (64, None));
        assert_eq!(even.lowest.samples, [0, 1, 2, 3]);
        ends[17].1 = 3.0;
        let outlier = growth(&ranges(&ends)).unwrap();
        assert_eq!(outlier.verdict, Verdict::Growing);
        assert_eq!((outlier.highest.value, outlier.highest.reached), (3.0, 1));
        assert_eq!(outlier.highest.samples, [17]);
        assert_eq!(outlier.highest.next, Some(ends[63].1));
        // Half of the distance of 2 in a range of 4, and a little.
        assert!((outlier.growth - 0.25).abs() < 0.01, "{}", outlier.growth);
        assert_eq!(
            growth(&ranges(&ends[..15])).unwrap().verdict,
            Verdict::Unknown
        );
        assert_eq!(growth(&[]), None);
        let nothing = growth(&ranges(&[(0.0, 0.0); 20])).unwrap();
        assert_eq!((nothing.growth, nothing.verdict), (0.0, Verdict::Enough));
    }
}
