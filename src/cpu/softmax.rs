//! SOFTMAX over the last dimension.

use super::math::exp;
use crate::kernel::{Softmax, SoftmaxI8};
use crate::num::fixed::{doubling_high_mul, rounding_divide_by_pot};
use crate::num::gemmlowp::one_over_one_plus;

/// Float.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn f32(k: &Softmax, x: &[f32], y: &mut [f32]) {
    /// Sums and maxima side by side.
    const LANES: usize = 64;
    for (x, y) in x.chunks_exact(k.depth).zip(y.chunks_exact_mut(k.depth)) {
        let mut largest = [f32::NEG_INFINITY; LANES];
        for x in x.chunks(LANES) {
            for (largest, &x) in largest.iter_mut().zip(x) {
                *largest = if x > *largest { x } else { *largest };
            }
        }
        let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
        let mut sums = [0.0f32; LANES];
        for (y, x) in y.chunks_mut(LANES).zip(x.chunks(LANES)) {
            for ((sum, y), &x) in sums.iter_mut().zip(y).zip(x) {
                let exponent = (x - largest) * k.beta;
                // Below, `exp` is clamped.
                *y = if exponent < -87.0 { 0.0 } else { exp(exponent) };
                *sum += *y;
            }
        }
        let sum: f32 = sums.iter().sum();
        for y in y {
            *y /= sum;
        }
    }
}

/// The definition of the int8 kernel: exponentials from the table, the quotient in fixed point.
pub fn i8(k: &SoftmaxI8, x: &[i8], y: &mut [i8]) {
    /// Integer bits of the sum: Q12.19.
    const SUM_INTEGER_BITS: i32 = 12;
    let depth = k.shape.depth;
    for (x, y) in x.chunks_exact(depth).zip(y.chunks_exact_mut(depth)) {
        let largest = x.iter().copied().max().unwrap_or(0);
        let exp = |q: i8| k.exp[(i32::from(largest) - i32::from(q)) as usize];
        let sum = x.iter().fold(0i32, |sum, &q| {
            sum.wrapping_add(rounding_divide_by_pot(exp(q), SUM_INTEGER_BITS))
        });
        let headroom = (sum as u32).leading_zeros();
        let bits_over_unit = SUM_INTEGER_BITS - headroom as i32;
        let fraction = ((sum as u32).wrapping_shl(headroom)).wrapping_sub(1 << 31) as i32;
        let scale = one_over_one_plus::<32>(fraction);
        // The result is an unsigned byte until the zero point of −128 is added.
        let exponent = (bits_over_unit + 31 - 8).clamp(0, 31);
        for (y, &q) in y.iter_mut().zip(x) {
            let e = exp(q);
            let out = if e == 0 {
                0
            } else {
                rounding_divide_by_pot(doubling_high_mul(scale, e), exponent)
            };
            *y = (out - 128).clamp(-128, 127) as i8;
        }
    }
}
