//! Counts of values in bins whose width is a power of two.
//!
//! A calibration does not know the range of a tensor before it has seen it, and may not read the data twice. So the
//! width of the bins grows with the range: it is the smallest power of two for which at most [`BINS`] bins reach from
//! the smallest value to the largest, zero included. When it doubles, two neighbours become one. Nothing is ever
//! spread or guessed: the counts are exact, and the same for any order, batch size, thread or shard.
//!
//! The bin of x ≥ 0 is ⌊x / w⌋ and that of x < 0 is −1 − ⌊|x| / w⌋; −0 counts as 0. Written with the magnitude, the
//! bin does not depend on whether a device flushes subnormal numbers, and bin `b` at width w lies in bin `b >> 1`
//! at 2w.
//!
//! Beside the bins, zeros are counted exactly. Mean and deviation follow from the counts and are thus as independent of
//! order and parts as these: see [`Histogram::moments`] for how far they may be off.

use super::Range;

/// Most bins of a histogram.
pub const BINS: usize = 2048;

/// Smallest exponent of a width: 2⁻¹⁰⁰. Whatever is smaller falls into the two bins beside zero.
pub const LOWEST_EXPONENT: i32 = -100;

/// How many values of a tensor fell into each bin.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Histogram {
    /// The bins are 2^exponent wide.
    pub exponent: i32,
    /// Bin of `counts[0]`, see the module; the last one is `first + counts.len() - 1`.
    pub first: i32,
    /// Values in each bin.
    pub counts: Vec<u64>,
    /// How many of the values are 0 or −0; `None` in statistics that were written before zeros were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zeros: Option<u64>,
}

/// Mean and standard deviation of the values in a histogram.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Standard deviation, of all values as the whole population.
    pub deviation: f64,
    /// The exact mean and the exact deviation of the values are at most this far from those here.
    pub within: f64,
}

/// The bin of a finite value at a width of 2^exponent; `exponent` from [`LOWEST_EXPONENT`] on.
pub fn bin(x: f32, exponent: i32) -> i32 {
    // 2^-exponent is a normal number for every exponent that `exponent_of` gives, so the product rounds only where it
    // is below 1.
    let magnitude = (x.abs() * power_of_two(-exponent)) as i32;
    if x.to_bits() > 1 << 31 {
        -1 - magnitude
    } else {
        magnitude
    }
}

/// 2^exponent for −126 … 127.
pub fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits(((exponent + 127).clamp(1, 254) as u32) << 23)
}

/// The exponent of the width for values in a range: the smallest for which [`BINS`] bins suffice.
pub fn exponent_of(range: Range) -> i32 {
    // A maximum of +0 and −0 may be either.
    let (low, high) = (range.min.min(0.0), range.max.max(0.0).abs());
    let largest = high.max(low.abs());
    // Below this exponent one side alone needs more than BINS bins.
    let biased = (largest.to_bits() >> 23) as i32 - 127;
    let mut exponent = (biased - BINS.ilog2() as i32).max(LOWEST_EXPONENT);
    while (bin(high, exponent) - bin(low, exponent)) as usize >= BINS {
        exponent += 1;
    }
    exponent
}

impl Histogram {
    /// A histogram of nothing, ready for values in `range`.
    pub fn new(range: Range) -> Histogram {
        let exponent = exponent_of(range);
        let first = bin(range.min.min(0.0), exponent);
        let bins = bin(range.max.max(0.0), exponent) - first + 1;
        Histogram {
            exponent,
            first,
            counts: vec![0; bins as usize],
            zeros: Some(0),
        }
    }

    /// Counts values, all of which must lie in the range that the histogram was made for.
    pub fn count(&mut self, values: &[f32]) {
        for &x in values {
            if let Some(zeros) = self.zeros.as_mut().filter(|_| x == 0.0) {
                *zeros += 1;
            }
            let at = bin(x, self.exponent) - self.first;
            if let Some(count) = self.counts.get_mut(at as usize) {
                *count += 1;
            }
        }
    }

    /// Adds another histogram's counts; `range` is that of both. Zeros are known where both know them.
    pub fn merge(self, other: &Histogram, range: Range) -> Histogram {
        let mut all = Histogram::new(range);
        for part in [&self, other] {
            let shift = (all.exponent - part.exponent).clamp(0, 31);
            for (i, &n) in part.counts.iter().enumerate().filter(|&(_, &n)| n > 0) {
                let at = ((part.first + i as i32) >> shift) - all.first;
                if let Some(count) = all.counts.get_mut(at as usize) {
                    *count += n;
                }
            }
        }
        all.zeros = self.zeros.zip(other.zeros).map(|(a, b)| a + b);
        all
    }

    /// Values counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The middle of the bin in which the values so far down the order lie; `fraction` from 0 to 1.
    pub fn quantile(&self, fraction: f64) -> f64 {
        let wanted = fraction * self.total() as f64;
        let mut below = 0;
        for (i, &n) in self.counts.iter().enumerate() {
            below += n;
            if n > 0 && below as f64 >= wanted {
                let (from, to) = self.edges(i);
                return (from + to) / 2.0;
            }
        }
        0.0
    }

    /// The share of values in bins that lie outside a range altogether.
    pub fn outside(&self, range: Range) -> f64 {
        let (low, high) = (f64::from(range.min), f64::from(range.max));
        let is_outside = |i: usize| {
            let (from, to) = self.edges(i);
            // A bin below 0 holds its upper edge, one above 0 its lower.
            to < low || from > high
        };
        let counts = self.counts.iter().enumerate();
        let outside: u64 = counts.filter(|&(i, _)| is_outside(i)).map(|(_, n)| n).sum();
        outside as f64 / self.total().max(1) as f64
    }

    /// Where a bin begins and ends: `counts[i]` holds values of these magnitudes.
    pub fn edges(&self, i: usize) -> (f64, f64) {
        let width = f64::from(self.exponent).exp2();
        let bin = f64::from(self.first) + i as f64;
        (bin * width, (bin + 1.0) * width)
    }

    /// Mean and standard deviation, with every value taken for the middle of its bin, and zeros for 0; `None` of nothing.
    ///
    /// No value is moved by more than half the width of a bin, so the mean is off by no more than that; nor is the
    /// deviation, which is a norm (over √n) of the values less their mean. What is computed from counts in the order of
    /// the bins is the same for any order of the values.
    pub fn moments(&self) -> Option<Moments> {
        let total = self.total() as f64;
        if total == 0.0 {
            return None;
        }
        let zeros = self.zeros.unwrap_or(0);
        let groups = || {
            let bins = self.counts.iter().enumerate().map(|(i, &n)| {
                let (from, to) = self.edges(i);
                // Zeros lie in bin 0.
                let at_zero = if self.first + i as i32 == 0 { zeros } else { 0 };
                (0.5 * (from + to), n.saturating_sub(at_zero) as f64)
            });
            bins.chain([(0.0, zeros as f64)])
        };
        let mean = groups().map(|(x, n)| x * n).sum::<f64>() / total;
        let squares = groups().map(|(x, n)| (x - mean) * (x - mean) * n);
        Some(Moments {
            mean,
            deviation: (squares.sum::<f64>() / total).sqrt(),
            within: 0.5 * f64::from(self.exponent).exp2(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range_of(values: &[f32]) -> Range {
        values
            .iter()
            .fold(Range::EMPTY, |r, &x| r.merge(Range { min: x, max: x }))
    }

    fn histogram_of(values: &[f32]) -> Histogram {
        let mut h = Histogram::new(range_of(values));
        h.count(values);
        h
    }

    fn values() -> impl Strategy<Value = Vec<f32>> {
        let any = prop::num::f32::NORMAL
            | prop::num::f32::SUBNORMAL
            | prop::num::f32::ZERO
            | prop::num::f32::POSITIVE
            | prop::num::f32::NEGATIVE;
        let finite = any.prop_filter("finite", |x: &f32| x.is_finite());
        prop_oneof![
            prop::collection::vec(-10.0f32..10.0, 1..200),
            prop::collection::vec(0.0f32..6.0, 1..200),
            prop::collection::vec(finite, 1..50),
        ]
    }

    proptest! {
        #[test]
        fn every_value_is_counted_where_it_lies(v in values()) {
            let h = histogram_of(&v);
            prop_assert_eq!(h.total(), v.len() as u64);
            prop_assert!(h.counts.len() <= BINS);
            for (i, &n) in h.counts.iter().enumerate() {
                let (from, to) = h.edges(i);
                let inside = |x: f32| {
                    let negative = x.is_sign_negative() && x != 0.0;
                    let x = f64::from(x);
                    if negative { x > from && x <= to && to <= 0.0 || (to == 0.0 && x > from) } else { x >= from && x < to }
                };
                prop_assert_eq!(v.iter().filter(|&&x| inside(x)).count() as u64, n, "bin {}", i);
            }
        }

        #[test]
        fn width_is_the_smallest_that_suffices(v in values()) {
            let r = range_of(&v);
            let e = exponent_of(r);
            if e > LOWEST_EXPONENT {
                let (low, high) = (f64::from(r.min.min(0.0)), f64::from(r.max.max(0.0)));
                let width = f64::from(e - 1).exp2();
                let bins = (high / width).floor() + if low < 0.0 { 1.0 + (-low / width).floor() } else { 0.0 } + 1.0;
                prop_assert!(bins > BINS as f64);
            }
        }

        #[test]
        fn moments_are_within_half_a_bin(v in prop::collection::vec(prop_oneof![3 => -10.0f32..10.0, 1 => Just(-0.0f32)], 1..200)) {
            let h = histogram_of(&v);
            let Moments { mean, deviation, within } = h.moments().unwrap();
            let n = v.len() as f64;
            let exact = v.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let squares: f64 = v.iter().map(|&x| (f64::from(x) - exact).powi(2)).sum();
            let room = within * (1.0 + 1e-9) + 1e-12;
            prop_assert!((mean - exact).abs() <= room);
            prop_assert!((deviation - (squares / n).sqrt()).abs() <= room);
            prop_assert_eq!(h.zeros, Some(v.iter().filter(|&&x| x == 0.0).count() as u64));
        }

        #[test]
        fn parts_merge_to_the_whole(a in values(), b in values()) {
            let whole = [a.clone(), b.clone()].concat();
            let (ha, hb) = (histogram_of(&a), histogram_of(&b));
            let range = range_of(&whole);
            prop_assert_eq!(&ha.clone().merge(&hb, range), &histogram_of(&whole));
            prop_assert_eq!(&hb.merge(&ha, range), &histogram_of(&whole));
        }
    }

    #[test]
    fn what_lies_outside() {
        let h = histogram_of(&[-1.0, -0.25, 0.0, 0.5, 2.0, 3.0, 3.5, 4.0]);
        let range = |min, max| Range { min, max };
        assert_eq!(h.outside(range(-1.0, 4.0)), 0.0);
        assert_eq!(h.outside(range(-0.5, 2.5)), 0.5);
        assert_eq!(h.outside(range(0.0, 0.0)), 7.0 / 8.0);
        assert_eq!(histogram_of(&[-1.0, 1.0]).outside(range(-1.0, 1.0)), 0.0);
    }

    #[test]
    fn bins_by_hand() {
        assert_eq!(
            [0.0, -0.0, 0.99, 1.0, -0.5, -1.0, -1.5].map(|x| bin(x, 0)),
            [0, 0, 0, 1, -1, -2, -2]
        );
        assert_eq!(bin(-1e-45, -100), -1);
        assert_eq!(
            bin(
                f32::MAX,
                exponent_of(Range {
                    min: 0.0,
                    max: f32::MAX
                })
            ),
            2047
        );
        assert_eq!(exponent_of(Range { min: 0.0, max: 6.0 }), -8);
    }

    #[test]
    fn zeros_are_zeros_in_the_moments_and_nothing_has_none() {
        let h = histogram_of(&[0.0, -0.0, 0.0]);
        let Moments {
            mean, deviation, ..
        } = h.moments().unwrap();
        assert_eq!((h.zeros, mean, deviation), (Some(3), 0.0, 0.0));
        let old = Histogram {
            zeros: None,
            ..h.clone()
        };
        assert!(old.moments().unwrap().mean > 0.0);
        let range = Range { min: 0.0, max: 0.0 };
        assert_eq!(old.clone().merge(&h, range).zeros, None);
        assert_eq!(Histogram::new(range).moments(), None);
    }
}
