//! Exact int8 matrix products: by the processor's own (AVX-512 VNNI) where it has them, else on float units.

use super::gemm::ExactWeights;
use super::memory::Scratch;
use super::requantize::{Place, Requantize};
#[cfg(target_arch = "x86_64")]
use super::vnni;
use crate::num::Multiplier;

/// int8 weights `[n, k]` ready for products.
#[derive(Debug)]
pub enum WeightsI8 {
    /// On float units, in pieces that stay exact.
    Float(ExactWeights),
    /// In the order of VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni(vnni::Weights),
}

impl WeightsI8 {
    /// Prepares weights of `n` rows, in the best way this processor knows.
    pub fn new(weights: &[i8], n: usize) -> WeightsI8 {
        #[cfg(target_arch = "x86_64")]
        if vnni::available() {
            return WeightsI8::Vnni(vnni::Weights::new(weights, n));
        }
        WeightsI8::Float(ExactWeights::new(weights, n))
    }

    /// acc = x · wᵀ for the `m` rows of `x`; acc is `[m, n]`.
    pub fn multiply(&self, x: &[i8], m: usize, acc: &mut Vec<i32>, scratch: &mut Scratch) {
        match self {
            WeightsI8::Float(weights) => {
                scratch.floats.clear();
                scratch.floats.extend(x.iter().map(|&v| f32::from(v)));
                weights.multiply(&scratch.floats, m, acc, &mut scratch.sums);
            }
            #[cfg(target_arch = "x86_64")]
            WeightsI8::Vnni(weights) => weights.multiply(x, m, acc, &mut scratch.flipped),
        }
    }
}

/// Weights with what makes int8 outputs of their sums.
#[derive(Debug)]
pub struct ProductI8 {
    weights: WeightsI8,
    requantize: Requantize,
    /// The same, done while the sums are in registers.
    #[cfg(target_arch = "x86_64")]
    outputs: Option<vnni::Outputs>,
    zero_point: i32,
    bounds: (i32, i32),
}

/// What the rows of weights become.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// One a row of weights; the input's zero point is part of it.
    pub bias: &'a [i32],
    /// One a row of weights.
    pub multipliers: &'a [Multiplier],
    /// Of the output.
    pub zero_point: i32,
    /// Of the output; within int8.
    pub bounds: (i32, i32),
}

impl ProductI8 {
    /// Prepares weights.
    pub fn new(weights: &[i8], target: Target<'_>) -> ProductI8 {
        let prepared = WeightsI8::new(weights, target.bias.len());
        ProductI8 {
            #[cfg(target_arch = "x86_64")]
            outputs: match &prepared {
                WeightsI8::Vnni(prepared) => vnni::Outputs::new(prepared, weights, target),
                WeightsI8::Float(_) => None,
            },
            weights: prepared,
            requantize: Requantize::new(target.bias, |row| target.multipliers[row]),
            zero_point: target.zero_point,
            bounds: target.bounds,
        }
    }

    /// The outputs of as many rows of `x` as `y` has, each at its place.
    pub fn run(&self, x: &[i8], y: &mut [i8], place: Place, scratch: &mut Scratch) {
        #[cfg(target_arch = "x86_64")]
        if let (WeightsI8::Vnni(weights), Some(outputs)) = (&self.weights, &self.outputs) {
            weights.outputs(x, outputs, y, place, &mut scratch.flipped);
            return;
        }
        let mut acc = std::mem::take(&mut scratch.acc);
        self.weights
            .multiply(x, y.len() / place.stride, &mut acc, scratch);
        self.requantize
            .to_i8(&acc, y, place, self.zero_point, self.bounds);
        scratch.acc = acc;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(weights: &WeightsI8, x: &[i8], w: &[i8], m: usize, n: usize, k: usize) {
        let (mut acc, mut scratch) = (Vec::new(), Scratch::default());
        weights.multiply(x, m, &mut acc, &mut scratch);
        let dot = |row: usize, column: usize| {
            let pairs = x[row * k..][..k].iter().zip(&w[column * k..][..k]);
            pairs.fold(0i32, |sum, (&x, &w)| {
                sum.wrapping_add(i32::from(x) * i32::from(w))
            })
        };
        let expected: Vec<i32> = (0..m * n).map(|i| dot(i / n, i % n)).collect();
        assert_eq!(acc, expected, "{m} x {n} x {k}");
    }

    proptest! {
        #[test]
        fn every_way_is_exact(
            m in 1usize..30, n in 1usize..70, k in 1usize..200, seed in any::<u64>(), extreme in any::<bool>(),
        ) {
            let mut s = seed | 1;
            let mut byte = || {
                s ^= s << 13;
                s ^= s >> 7;
                s ^= s << 17;
                if extreme { if s >> 60 & 1 == 0 { -128 } else { 127 } } else { (s >> 32) as i8 }
            };
            let x: Vec<i8> = (0..m * k).map(|_| byte()).collect();
            let w: Vec<i8> = (0..n * k).map(|_| byte()).collect();
            check(&WeightsI8::Float(ExactWeights::new(&w, n)), &x, &w, m, n, k);
            check(&WeightsI8::new(&w, n), &x, &w, m, n, k);
        }
    }

    #[test]
    fn long_sums_do_not_saturate() {
        let k = 5000;
        let (x, w) = (vec![-128; 13 * k], vec![-128; 3 * k]);
        check(&WeightsI8::new(&w, 3), &x, &w, 13, 3, k);
    }
}
