//! What scales have to be for kernels to compute rightly.

use crate::graph::{Binary, Op, Unary};
use crate::num::{Affine, DType};

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
