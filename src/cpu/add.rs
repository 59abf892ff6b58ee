//! ADD with broadcasting.

use super::conv::clamp;
use super::requantize::scaled;
use crate::kernel::{Add, AddI8, LEFT_SHIFT};
use crate::num::Multiplier;

/// Runs `op` on the operand pair of each output element of one sample.
fn each<A: Copy, R>(shape: &Add, a: &[A], b: &[A], y: &mut [R], op: impl Fn(A, A) -> R) {
    if shape.same_shape {
        y.iter_mut()
            .zip(a)
            .zip(b)
            .for_each(|((y, &a), &b)| *y = op(a, b));
        return;
    }
    let rank = shape.dims.len();
    let mut index = [0u32; 6];
    let (mut at_a, mut at_b) = (0usize, 0usize);
    for y in y {
        *y = op(a[at_a], b[at_b]);
        // Counts up like an odometer, moving both operands along.
        for d in (0..rank).rev() {
            let (step_a, step_b) = (shape.strides[0][d] as usize, shape.strides[1][d] as usize);
            index[d] += 1;
            at_a += step_a;
            at_b += step_b;
            if index[d] < shape.dims[d] {
                break;
            }
            at_a -= step_a * shape.dims[d] as usize;
            at_b -= step_b * shape.dims[d] as usize;
            index[d] = 0;
        }
    }
}

/// One sample of an operand: constants have just one.
fn sample<T>(x: &[T], sample: usize, samples: usize, constant: bool) -> &[T] {
    if constant {
        return x;
    }
    let n = x.len() / samples;
    &x[sample * n..][..n]
}

/// Float; `constant` tells which operands are the same for all samples.
pub fn f32(k: &Add, samples: usize, x: [&[f32]; 2], constant: [bool; 2], y: &mut [f32]) {
    let n = y.len() / samples;
    for (s, y) in y.chunks_exact_mut(n).enumerate() {
        let (a, b) = (
            sample(x[0], s, samples, constant[0]),
            sample(x[1], s, samples, constant[1]),
        );
        each(k, a, b, y, |a, b| a + b);
    }
    clamp(y, k.bounds);
}

/// The definition of the int8 kernel.
pub fn i8(k: &AddI8, samples: usize, x: [&[i8]; 2], constant: [bool; 2], y: &mut [i8]) {
    let n = y.len() / samples;
    let scaled = |q: i8, i: usize| {
        k.input_multipliers[i].apply((i32::from(q) - k.input_zero_points[i]) << LEFT_SHIFT)
    };
    for (s, y) in y.chunks_exact_mut(n).enumerate() {
        let (a, b) = (
            sample(x[0], s, samples, constant[0]),
            sample(x[1], s, samples, constant[1]),
        );
        each(&k.shape, a, b, y, |a, b| {
            let sum = scaled(a, 0).wrapping_add(scaled(b, 1));
            let q = k
                .output_multiplier
                .apply(sum)
                .saturating_add(k.output_zero_point);
            q.clamp(k.bounds.0, k.bounds.1) as i8
        });
    }
}

/// The fast int8 kernel, for operands of the output's shape that are no constants.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
pub fn same_shape_i8(k: &AddI8, x: [&[i8]; 2], y: &mut [i8]) {
    let [zero_a, zero_b] = k.input_zero_points;
    // No ratio is over 1: see `kernel::add`.
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
        let q = scaled(a.wrapping_add(b), mantissa, right).saturating_add(zero);
        *y = q.max(low).min(high) as i8;
    }
}

/// Whether [`same_shape_i8`] can run this.
pub fn is_same_shape(k: &AddI8, constant: [bool; 2]) -> bool {
    let multipliers = [
        k.input_multipliers[0],
        k.input_multipliers[1],
        k.output_multiplier,
    ];
    k.shape.same_shape && constant == [false; 2] && multipliers.iter().all(|m| m.shift <= 0)
}
