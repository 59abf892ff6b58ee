//! ADD and SUB of int8.

use super::binary;
use super::operands::Operands;
use super::requantize::scaled;
use crate::kernel::{AddI8, LEFT_SHIFT};
use crate::num::Multiplier;

/// The definition of the int8 kernel.
pub fn i8(k: &AddI8, x: Operands<'_>, y: &mut [i8]) {
    binary::each(&k.shape, x, x.i8s(0), x.i8s(1), y, |a, b| one(k, a, b));
}

/// The sum or difference of two elements.
pub fn one(k: &AddI8, a: i8, b: i8) -> i8 {
    let scaled = |q: i8, i: usize| {
        k.input_multipliers[i].apply((i32::from(q) - k.input_zero_points[i]) << LEFT_SHIFT)
    };
    let (a, b) = (scaled(a, 0), scaled(b, 1));
    let sum = if k.subtract {
        a.wrapping_sub(b)
    } else {
        a.wrapping_add(b)
    };
    let q = k
        .output_multiplier
        .apply(sum)
        .saturating_add(k.output_zero_point);
    q.max(k.bounds.0).min(k.bounds.1) as i8
}

/// The same for operands of one shape, where multipliers round twice and none is over 1.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
pub fn rows(k: &AddI8, x: [&[i8]; 2], y: &mut [i8]) {
    let ([zero_a, zero_b], subtract) = (k.input_zero_points, k.subtract);
    let right = |m: Multiplier| -m.shift as u32;
    let [a, b] = k.input_multipliers;
    let ((mantissa_a, right_a), (mantissa_b, right_b)) =
        ((a.mantissa, right(a)), (b.mantissa, right(b)));
    let to = k.output_multiplier;
    let (mantissa, right) = (to.mantissa, right(to));
    let (zero, (low, high)) = (k.output_zero_point, k.bounds);
    for ((y, &a), &b) in y.iter_mut().zip(x[0]).zip(x[1]) {
        let a = scaled((i32::from(a) - zero_a) << LEFT_SHIFT, mantissa_a, right_a);
        let b = scaled((i32::from(b) - zero_b) << LEFT_SHIFT, mantissa_b, right_b);
        let sum = if subtract {
            a.wrapping_sub(b)
        } else {
            a.wrapping_add(b)
        };
        let q = scaled(sum, mantissa, right).saturating_add(zero);
        *y = q.max(low).min(high) as i8;
    }
}
