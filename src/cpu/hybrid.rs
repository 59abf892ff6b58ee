//! What is around the products of dynamic range models: rows of floats as whole numbers, and sums of such as floats.

use super::counting::range_of;
use crate::kernel::{RowQuantize, RowScale};
use crate::num::RowParameters;

/// Whole numbers without their zero point, and the scale of each row.
pub fn row_quantize(k: &RowQuantize, x: &[f32], codes: &mut [f32], scales: &mut [f32]) {
    let rows = x.chunks_exact(k.depth).zip(codes.chunks_exact_mut(k.depth));
    for ((x, codes), scale) in rows.zip(scales) {
        *scale = quantize_row(k.symmetric, x, codes);
    }
}

/// One row; returns its scale.
pub fn quantize_row(symmetric: bool, x: &[f32], codes: &mut [f32]) -> f32 {
    let range = range_of(x);
    let parameters = if symmetric {
        RowParameters::symmetric(range.min, range.max)
    } else {
        RowParameters::asymmetric(range.min, range.max)
    };
    whole_numbers(parameters, x, codes);
    parameters.scale
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
fn whole_numbers(p: RowParameters, x: &[f32], codes: &mut [f32]) {
    let (zero_point, low) = (p.zero_point as f32, p.low as f32);
    for (code, &x) in codes.iter_mut().zip(x) {
        let steps = x * p.inverse;
        // Not `round`: LiteRT's vectors take the float below 0.5 to 1.
        let q = (steps + 0.5f32.copysign(steps)).trunc() + zero_point;
        // `max` takes the number where the other one is NaN.
        *code = q.max(low).min(127.0) - zero_point;
    }
}

/// sum · weight scale · row scale + bias, bounded.
pub fn row_scale(k: &RowScale, sums: &[f32], scales: &[f32], y: &mut [f32]) {
    let row = sums.len() / scales.len();
    let rows = sums.chunks_exact(row).zip(y.chunks_exact_mut(row));
    for ((sums, y), &scale) in rows.zip(scales) {
        let channels = k.scales.len();
        for (sums, y) in sums
            .chunks_exact(channels)
            .zip(y.chunks_exact_mut(channels))
        {
            channels_of(k, sums, scale, y);
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2"))]
fn channels_of(k: &RowScale, sums: &[f32], row: f32, y: &mut [f32]) {
    let (low, high) = k.bounds;
    let weights = k.scales.iter().zip(&k.bias);
    for ((y, &sum), (&scale, &bias)) in y.iter_mut().zip(sums).zip(weights) {
        let product = match k.one_by_one {
            true => sum * scale * row,
            false => sum * (scale * row),
        };
        let value = product + bias;
        let value = if value < low { low } else { value };
        *y = if value > high { high } else { value };
    }
}
