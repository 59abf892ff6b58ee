//! Accumulators to outputs, a row of channels at a time, in arithmetic that vectorises.
//!
//! The same numbers as `num::fixed::Multiplier::apply`: with a mantissa that is not negative, gemmlowp's doubling high
//! product is ⌊(a·m + 2³⁰) / 2³¹⌋ for both signs of a.

use crate::num::fixed::{rounded_float, rounded_once};
use crate::num::{Multiplier, Rounding};

/// x · mantissa · 2^(−31 − right), rounded twice.
#[inline(always)]
pub fn scaled(x: i32, mantissa: i32, right: u32) -> i32 {
    let high = ((i64::from(x) * i64::from(mantissa) + (1 << 30)) >> 31) as i32;
    let mask = ((1u32 << right) - 1) as i32;
    let threshold = (mask >> 1) + i32::from(high < 0);
    (high >> right) + i32::from(high & mask > threshold)
}

/// One multiplier and bias a channel.
#[derive(Debug)]
pub struct Requantize {
    bias: Vec<i32>,
    mantissa: Vec<i32>,
    left: Vec<u32>,
    right: Vec<u32>,
    /// The multipliers in float32, where they are meant so.
    real: Vec<f32>,
    /// Of all channels: they are one node's.
    rounding: Rounding,
}

impl Requantize {
    /// `bias` has one a channel; `multiplier` finds each channel's.
    pub fn new(bias: &[i32], multiplier: impl Fn(usize) -> Multiplier) -> Requantize {
        let all: Vec<Multiplier> = (0..bias.len()).map(multiplier).collect();
        let rounding = all.first().map(|m| m.rounding).unwrap_or_default();
        Requantize {
            bias: bias.to_vec(),
            mantissa: all.iter().map(|m| m.mantissa).collect(),
            left: all.iter().map(|m| m.shift.clamp(0, 31) as u32).collect(),
            right: match rounding {
                Rounding::Single => all.iter().map(|m| m.total_shift()).collect(),
                _ => all.iter().map(|m| (-m.shift).clamp(0, 31) as u32).collect(),
            },
            real: all.iter().map(|m| m.to_f32()).collect(),
            rounding,
        }
    }

    /// Calls `put` with the index and the scaled value of every accumulator of a row.
    #[inline(always)]
    fn scale(&self, acc: &[i32], mut put: impl FnMut(usize, i32)) {
        let n = acc.len();
        let (bias, mantissa) = (&self.bias[..n], &self.mantissa[..n]);
        let (left, right, real) = (&self.left[..n], &self.right[..n], &self.real[..n]);
        match self.rounding {
            Rounding::Double => {
                for i in 0..n {
                    let x = acc[i].wrapping_add(bias[i]) << left[i];
                    put(i, scaled(x, mantissa[i], right[i]));
                }
            }
            Rounding::Single => {
                for i in 0..n {
                    let x = acc[i].wrapping_add(bias[i]);
                    put(i, rounded_once(x, mantissa[i], right[i]));
                }
            }
            Rounding::Float => {
                for i in 0..n {
                    put(i, rounded_float(acc[i].wrapping_add(bias[i]), real[i]));
                }
            }
        }
    }

    /// Rows of accumulators to int8: scaled, the zero point added, clamped to the bounds.
    pub fn to_i8(
        &self,
        acc: &[i32],
        y: &mut [i8],
        place: Place,
        zero_point: i32,
        bounds: (i32, i32),
    ) {
        to_i8(self, acc, y, place, zero_point, bounds);
    }

    /// Rows of accumulators added to 16-bit values, saturated to 16 bits.
    pub fn add_to_i16(&self, acc: &[i32], y: &mut [i16]) {
        add_to_i16(self, acc, y);
    }
}

/// Where rows of results lie.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Elements from row to row.
    pub stride: usize,
    /// Element of a row's first result.
    pub first: usize,
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
fn to_i8(
    r: &Requantize,
    acc: &[i32],
    y: &mut [i8],
    place: Place,
    zero_point: i32,
    (low, high): (i32, i32),
) {
    let n = r.bias.len();
    for (acc, y) in acc.chunks_exact(n).zip(y.chunks_exact_mut(place.stride)) {
        let y = &mut y[place.first..place.first + n];
        r.scale(acc, |i, v| {
            y[i] = v.saturating_add(zero_point).max(low).min(high) as i8;
        });
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
fn add_to_i16(r: &Requantize, acc: &[i32], y: &mut [i16]) {
    let n = r.bias.len();
    for (acc, y) in acc.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        r.scale(acc, |i, v| {
            let sum = v.saturating_add(i32::from(y[i]));
            y[i] = sum.max(i32::from(i16::MIN)).min(i32::from(i16::MAX)) as i16;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_what_the_multiplier_does(
            acc in prop::collection::vec(prop_oneof![any::<i32>(), -70_000i32..70_000], 40),
            bias in prop_oneof![any::<i32>(), Just(0)],
            real in prop_oneof![1e-9f64..1e3, Just(0.0), Just(1.0)],
            zero_point in -128i32..128,
            rounding in prop_oneof![Just(Rounding::Double), Just(Rounding::Single), Just(Rounding::Float)],
        ) {
            let m = Multiplier::new(real).unwrap().rounded(rounding);
            let r = Requantize::new(&[bias; 40], |_| m);
            let scaled: Vec<i32> = acc.iter().map(|&a| m.apply(a.wrapping_add(bias))).collect();
            let place = Place { stride: 42, first: 1 };
            let mut y = [0i8; 42];
            r.to_i8(&acc, &mut y, place, zero_point, (-128, 127));
            let expected: Vec<i8> =
                scaled.iter().map(|s| s.saturating_add(zero_point).clamp(-128, 127) as i8).collect();
            prop_assert_eq!(&y[1..41], &expected[..]);
            let mut y = [1234i16; 40];
            r.add_to_i16(&acc, &mut y);
            let expected: Vec<i16> =
                scaled.iter().map(|s| s.saturating_add(1234).clamp(-32768, 32767) as i16).collect();
            prop_assert_eq!(&y[..], &expected[..]);
        }
    }
}
