//! What scales have to be for kernels to compute rightly.

use super::options::Weights;
use crate::graph::{Binary, Op, Unary};
use crate::num::affine::{quantize_weight, symmetric_8bit};
use crate::num::{Affine, DType};
use rayon::prelude::*;

/// A bias may take half of int32, as the sum of products comes on top.
const LARGEST_BIAS: f64 = (i32::MAX / 2) as f64;
/// The multiplier of a sum of 64 bits takes no more than 48 of them, and the sum of products comes on top.
const LARGEST_WIDE_BIAS: f64 = (1i64 << 45) as f64;

/// The smallest scale of its output that LiteRT's kernel of an operator computes rightly, given its inputs' scales.
pub(super) fn least_scale(op: &Op, inputs: &[f32], dtype: DType) -> f32 {
    /// A little more, as the kernels compare in single precision.
    const MORE: f32 = 1.001;
    let twice = 2.0 * inputs.iter().fold(0.0, |m: f32, &s| m.max(s));
    if dtype == DType::I16 {
        return MORE
            * match (op, inputs) {
                (Op::Binary(Binary::Add | Binary::Sub, _), _) => twice / (1 << 15) as f32,
                // The product of two has 30 bits, and its multiplier is to be at most 1.
                (Op::Binary(Binary::Mul, _), &[a, b]) => a * b,
                _ => 0.0,
            };
    }
    MORE * match (op, inputs) {
        (Op::Binary(Binary::Add | Binary::Sub, _), _) => twice / (1 << 20) as f32,
        (Op::Binary(Binary::SquaredDifference, _), _) => twice * twice / (1 << 14) as f32,
        (Op::Unary(Unary::HardSwish), _) => twice / 256.0,
        // Products of 16 bits, and differences of 8, stay within 32 bits when they are shifted to the left.
        (Op::Binary(Binary::Mul | Binary::Prelu, _), &[a, b]) => a.max(a * b) / (1 << 13) as f32,
        (Op::Unary(_), _) => twice / (1 << 14) as f32,
        _ => 0.0,
    }
}

/// The smallest scale of its input that LiteRT's kernel takes.
pub(super) fn least_input_scale(op: &Op, dtype: DType) -> f32 {
    /// The difference of two steps has to be one at least with 26 fractional bits.
    const LEAST: f32 = 1.0 / (1 << 25) as f32;
    match op {
        _ if dtype == DType::I16 => 0.0,
        Op::Softmax { beta } => LEAST / beta,
        Op::LogSoftmax => LEAST,
        _ => 0.0,
    }
}

/// The same zero in steps of another scale, as far as there is room for it.
pub(super) fn widened(affine: Affine, scale: f32, dtype: DType) -> Affine {
    if dtype == DType::I16 {
        return Affine { scale, ..affine };
    }
    let low = (-128 - affine.zero_point) as f32 * affine.scale;
    let zero_point = (-128.0 - low / scale).round().clamp(-128.0, 127.0) as i32;
    Affine { scale, zero_point }
}

/// Scales of symmetric weights, of which the channel changes every `step` elements.
pub(super) fn weight_scales(
    values: &[f32],
    channels: usize,
    step: usize,
    method: Weights,
) -> Vec<f32> {
    let mut largest = vec![0f32; channels];
    for block in values.chunks((channels * step).max(1)) {
        for (slot, part) in largest.iter_mut().zip(block.chunks(step.max(1))) {
            // Magnitudes are in the order of their bits, whose maximum does not wait for the one before.
            let bits = part.iter().fold(0, |m: u32, x| m.max(x.abs().to_bits()));
            *slot = slot.max(f32::from_bits(bits));
        }
    }
    let scales = largest.into_iter().map(symmetric_8bit);
    if method == Weights::MinMax {
        return scales.collect();
    }
    let mut rows = vec![Vec::new(); channels];
    for (i, part) in values.chunks(step.max(1)).enumerate() {
        rows[i % channels].extend_from_slice(part);
    }
    let scales: Vec<f32> = scales.collect();
    let rows = rows.par_iter().zip(scales);
    rows.map(|(row, scale)| least_error(row, scale)).collect()
}

/// Steps of the search for a scale, and the smallest that is tried, as a share of that of the largest magnitude.
const TRIED: u32 = 48;
const SMALLEST: f64 = 0.75;

/// The scale up to `widest` whose integers are nearest to the values in squares; the widest of equal ones.
fn least_error(values: &[f32], widest: f32) -> f32 {
    let mut best = (squared_error(values, widest), widest);
    for k in 1..=TRIED {
        let share = 1.0 - (1.0 - SMALLEST) * f64::from(k) / f64::from(TRIED);
        let scale = (f64::from(widest) * share) as f32;
        let error = squared_error(values, scale);
        if error < best.0 {
            best = (error, scale);
        }
    }
    best.1
}

/// Values that are added up side by side, so that the sums need not wait for each other.
const LANES: usize = 16;

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn squared_error(values: &[f32], scale: f32) -> f64 {
    let inverse = 1.0 / scale;
    let lost = |x: f32| x - f32::from(quantize_weight(x, inverse)) * scale;
    let mut sum = 0.0;
    // Short enough for single precision.
    for part in values.chunks(64 * LANES) {
        let mut sums = [0f32; LANES];
        let mut rows = part.chunks_exact(LANES);
        for row in &mut rows {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += lost(x) * lost(x);
            }
        }
        let rest = rows.remainder().iter().map(|&x| lost(x) * lost(x));
        sum += f64::from(sums.iter().sum::<f32>()) + f64::from(rest.sum::<f32>());
    }
    sum
}

/// Scales of the bias: input scale · weight scale, in single precision as the converter has it.
///
/// Where the bias would not fit, its scale and that of the weights grow until it does, as a channel of tiny weights
/// with an ordinary bias is otherwise lost; the list says where. One weight scale stands for all of the bias.
pub(super) fn bias_scales_for(
    input_scale: f32,
    weight_scales: &mut [f32],
    bias: &[f32],
    wide: bool,
) -> (Vec<f32>, Vec<usize>) {
    let room = if wide {
        LARGEST_WIDE_BIAS
    } else {
        LARGEST_BIAS
    };
    let per_channel = weight_scales.len() == bias.len();
    let all = bias.iter().fold(0f32, |m, x| m.max(x.abs()));
    let mut enlarged = Vec::new();
    let scales = weight_scales
        .iter_mut()
        .enumerate()
        .map(|(c, weight)| {
            let largest = f64::from(if per_channel { bias[c].abs() } else { all });
            let scale = input_scale * *weight;
            if largest / f64::from(scale) <= room {
                return scale;
            }
            let needed = largest / room;
            *weight = (needed / f64::from(input_scale)) as f32;
            enlarged.push(c);
            needed as f32
        })
        .collect();
    (scales, enlarged)
}

/// From 0 to the same largest value.
pub(super) fn not_negative(affine: Affine) -> Affine {
    if affine.zero_point == -128 {
        return affine;
    }
    let largest = (127 - affine.zero_point).max(1) as f32 * affine.scale;
    Affine {
        scale: largest / 255.0,
        zero_point: -128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(values: &[f32], scale: f32) -> f64 {
        let lost =
            |&x: &f32| f64::from(x) - f64::from(quantize_weight(x, 1.0 / scale)) * f64::from(scale);
        values.iter().map(|x| lost(x).powi(2)).sum()
    }

    proptest! {
        #[test]
        fn the_least_error_is_no_larger_than_that_of_the_largest_weight(
            values in prop::collection::vec(-3f32..3.0, 1..400),
        ) {
            let widest = weight_scales(&values, 1, values.len(), Weights::MinMax)[0];
            let found = weight_scales(&values, 1, values.len(), Weights::Mse)[0];
            prop_assert!(found <= widest && found >= 0.74 * widest);
            prop_assert!(error(&values, found) <= error(&values, widest) * 1.0001 + 1e-12);
        }

        /// Channels lie side by side or one after the other, and never mix.
        #[test]
        fn channels_are_by_themselves(
            rows in prop::collection::vec(prop::collection::vec(-3f32..3.0, 9), 1..6),
            mse in any::<bool>(),
        ) {
            let method = if mse { Weights::Mse } else { Weights::MinMax };
            let alone: Vec<f32> = rows.iter().flat_map(|row| weight_scales(row, 1, 9, method)).collect();
            let after: Vec<f32> = rows.concat();
            prop_assert_eq!(&weight_scales(&after, rows.len(), 9, method), &alone);
            let beside: Vec<f32> = (0..9).flat_map(|i| rows.iter().map(move |row| row[i])).collect();
            prop_assert_eq!(&weight_scales(&beside, rows.len(), 1, method), &alone);
        }
    }
}
