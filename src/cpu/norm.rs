//! L2_NORMALIZATION and LOG_SOFTMAX over the last dimension.

use crate::kernel::{L2Norm, LogSoftmaxI8, Softmax};
use crate::num::{Multiplier, fixed, gemmlowp};

/// Floats; sums in double.
pub fn l2_f32(k: &L2Norm, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(k.depth).zip(y.chunks_exact_mut(k.depth)) {
        let squares: f64 = x.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        // LiteRT's bound, so that a vector of zeros stays one.
        let length = squares.sqrt().max(1e-6) as f32;
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x / length);
    }
}

/// The definition of the int8 kernel.
pub fn l2_i8(k: &L2Norm, x: &[i8], y: &mut [i8]) {
    for (x, y) in x.chunks_exact(k.depth).zip(y.chunks_exact_mut(k.depth)) {
        let real = |q: i8| i32::from(q) - k.zero_point;
        let squares = x.iter().fold(0i32, |sum, &q| {
            sum.wrapping_add(real(q).wrapping_mul(real(q)))
        });
        let (mantissa, shift) = gemmlowp::inv_sqrt(squares);
        let inverse = Multiplier {
            mantissa,
            shift: shift + 7,
            rounding: k.rounding,
        };
        for (y, &q) in y.iter_mut().zip(x) {
            *y = inverse.apply(real(q)).clamp(-128, 127) as i8;
        }
    }
}

/// Floats.
pub fn log_softmax_f32(k: &Softmax, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(k.depth).zip(y.chunks_exact_mut(k.depth)) {
        let largest = x.iter().fold(f32::NEG_INFINITY, |m, &x| m.max(x));
        let sum: f64 = x.iter().map(|&x| f64::from(x - largest).exp()).sum();
        let log = sum.ln() as f32;
        y.iter_mut()
            .zip(x)
            .for_each(|(y, &x)| *y = x - largest - log);
    }
}

/// The definition of the int8 kernel.
pub fn log_softmax_i8(k: &LogSoftmaxI8, x: &[i8], y: &mut [i8]) {
    let depth = k.shape.depth;
    for (x, y) in x.chunks_exact(depth).zip(y.chunks_exact_mut(depth)) {
        let largest = i32::from(x.iter().fold(i8::MIN, |m, &q| m.max(q)));
        let distance = |q: i8| (largest - i32::from(q)) as usize;
        let sum = x
            .iter()
            .fold(0i32, |sum, &q| sum.wrapping_add(k.exp[distance(q)]));
        let log = gemmlowp::log_of_at_least_one(sum, 12);
        let shifted = log.wrapping_add(i32::MIN);
        let lowest = (-k.farthest - 1).max(k.reverse.apply(shifted));
        for (y, &q) in y.iter_mut().zip(x) {
            *y = if -(distance(q) as i32) > lowest {
                let scaled = k.scaled[distance(q)].wrapping_sub(log);
                (fixed::rounding_divide_by_pot(scaled, 22) + 127).clamp(-128, 127) as i8
            } else {
                -128
            };
        }
    }
}
