//! The int8 arithmetic of XNNPACK's kernels for x86, as LiteRT's delegate calls them: which ratios of scales it takes, and
//! what it makes of them. `None` where it leaves a node to LiteRT's own kernels. What is equal to those needs nothing here.

use super::Context;
use crate::graph::{Activation, Binary, TensorId};
use crate::num::{Affine, Multiplier, Rounding};
use std::ops::Range;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 6;

/// input · weight / output in float32, for each scale of the weights of a product.
pub fn ratios(input: f32, weights: &[f32], output: f32) -> Option<Vec<Multiplier>> {
    let float = |&weight: &f32| {
        let ratio = input * weight / output;
        if ratio >= 256.0 {
            return None;
        }
        let multiplier = Multiplier::new(ratio.into()).ok()?;
        Some(multiplier.rounded(Rounding::Float))
    };
    weights.iter().map(float).collect()
}

/// The clamp of an activation.
pub fn bounds(activation: Activation, output: Affine) -> (i32, i32) {
    let (low, high) = activation.bounds();
    let quantize = |x: f32| nearest(x / output.scale + output.zero_point as f32);
    (quantize(low), quantize(high))
}

/// To int8, ties to even.
fn nearest(x: f32) -> i32 {
    x.clamp(-128.0, 127.0).round_ties_even() as i32
}

/// Whether all tensors have few enough dimensions.
fn fits(c: Context<'_>, tensors: &[TensorId]) -> bool {
    tensors.iter().all(|&id| c.shape(id).len() <= MAX_RANK)
}

/// ADD, SUB and MUL of two int8, neither yet less its zero point.
pub fn binary(
    c: Context<'_>,
    op: Binary,
    activation: Activation,
) -> Option<Box<dyn Fn(i32, i32) -> i32>> {
    let [x, y] = [c.input(0).ok()?, c.input(1).ok()?];
    let to = c.output(0).ok()?;
    if !c.is_xnnpack() || !fits(c, &[x, y, to]) {
        return None;
    }
    let [a, b, out] = [c.affine(x).ok()?, c.affine(y).ok()?, c.affine(to).ok()?];
    let bounds = bounds(activation, out);
    match op {
        Binary::Add => sum([a, b], out, 1, bounds),
        Binary::Sub => sum([a, b], out, -1, bounds),
        Binary::Mul if x == y => square(a, b, out, bounds),
        Binary::Mul => {
            let ratio = product_ratio(a, b, out)?;
            Some(Box::new(move |x, y| {
                let product = (x - a.zero_point) * (y - b.zero_point);
                let q = (product as f32 * ratio).round_ties_even() as i32 + out.zero_point;
                q.clamp(-128, 127).max(bounds.0).min(bounds.1)
            }))
        }
        _ => None,
    }
}

fn product_ratio(a: Affine, b: Affine, out: Affine) -> Option<f32> {
    let ratio = a.scale * b.scale / out.scale;
    (2f32.powi(-16)..256.0).contains(&ratio).then_some(ratio)
}

/// A product of a tensor with itself is a function of one element to XNNPACK, which it computes in float.
fn square(
    a: Affine,
    b: Affine,
    out: Affine,
    bounds: (i32, i32),
) -> Option<Box<dyn Fn(i32, i32) -> i32>> {
    product_ratio(a, b, out)?;
    let inverse = 1.0 / out.scale;
    Some(Box::new(move |x, _| {
        let x = (x as f32 - a.zero_point as f32) * a.scale;
        let q = nearest(x * x * inverse + out.zero_point as f32);
        q.max(bounds.0).min(bounds.1)
    }))
}

/// Both operands times multipliers of 21 bits, of which the larger has its highest bit set; ties upward.
fn sum(
    [a, b]: [Affine; 2],
    out: Affine,
    sign: i32,
    bounds: (i32, i32),
) -> Option<Box<dyn Fn(i32, i32) -> i32>> {
    const RATIOS: Range<f32> = 1.0 / 1024.0..256.0;
    let ratios = [a.scale / out.scale, b.scale / out.scale];
    if !ratios.iter().all(|r| RATIOS.contains(r)) {
        return None;
    }
    let exponent = (ratios[0].max(ratios[1]).to_bits() >> 23) as i32 - 127;
    let shift = 20 - exponent;
    let [to_a, to_b] = ratios.map(|r| (r * 2f32.powi(shift)).round_ties_even() as i32);
    let to_b = sign * to_b;
    let bias = (1 << (shift - 1)) - to_a * a.zero_point - to_b * b.zero_point;
    Some(Box::new(move |x, y| {
        let q = ((bias + to_a * x + to_b * y) >> shift) + out.zero_point;
        q.clamp(-128, 127).max(bounds.0).min(bounds.1)
    }))
}

/// What a ratio of scales becomes in functions of one element: 8 fractional bits, ties to even.
fn eighth(ratio: f32) -> i32 {
    (256.0 * ratio).round_ties_even() as i32
}

/// x times a multiplier of 8 fractional bits, ties upward.
fn by_eighth(x: i32, multiplier: i32, to: Affine) -> i32 {
    (((x * multiplier + 128) >> 8) + to.zero_point).clamp(-128, 127)
}

/// LEAKY_RELU of an int8.
pub fn leaky_relu(
    c: Context<'_>,
    alpha: f32,
    from: Affine,
    to: Affine,
) -> Option<impl Fn(i32) -> i32> {
    let positive = from.scale / to.scale;
    let negative = positive * alpha;
    let taken = alpha.is_normal()
        && (1.0 / 256.0..=128.0).contains(&positive)
        && (-127.996_09..=128.0).contains(&negative)
        && negative.abs() >= 1.0 / 256.0;
    if !c.is_xnnpack() || !taken || !fits(c, &[c.input(0).ok()?]) {
        return None;
    }
    let (above, below) = (eighth(positive), eighth(negative));
    Some(move |q: i32| {
        let x = q - from.zero_point;
        by_eighth(x, if x > 0 { above } else { below }, to)
    })
}

/// QUANTIZE of an int8.
pub fn requantize(c: Context<'_>, from: Affine, to: Affine) -> Option<impl Fn(i32) -> i32> {
    let ratio = from.scale / to.scale;
    let taken = (1.0 / 256.0..=128.0).contains(&ratio) && fits(c, &[c.input(0).ok()?]);
    let multiplier = eighth(ratio);
    (c.is_xnnpack() && taken)
        .then_some(move |q: i32| by_eighth(q - from.zero_point, multiplier, to))
}

/// MEAN of `count` int8: the factor and the zero point of their sum, in float32.
pub fn mean(c: Context<'_>, count: u32, from: Affine, to: Affine) -> Option<(f32, f32)> {
    let axes = c.integers(c.input(1).ok()?).ok()?;
    if !c.is_xnnpack() || axes.is_empty() || !fits(c, &[c.input(0).ok()?]) {
        return None;
    }
    let factor = from.scale / to.scale * (1.0 / count as f32);
    let zero = count as f32 * from.zero_point as f32 * factor;
    Some((factor, to.zero_point as f32 - zero))
}

/// Where an output row or column of RESIZE_BILINEAR looks: the input before it, and 11 fractional bits of the way to the next.
pub fn tap(i: i32, sides: [i32; 2], align_corners: bool, half_pixel: bool) -> (i32, i32) {
    let [input, output] = sides;
    let corner = i32::from(align_corners && output != 1);
    let scale = (input - corner) as f32 / (output - corner) as f32;
    let last = (input - 1) as f32;
    let at = if half_pixel {
        i as f32 * scale + (0.5 * scale - 0.5)
    } else {
        i as f32 * scale
    };
    let at = at.max(0.0).min(last);
    let lower = at as i32;
    let part = (at - lower as f32) * 2048.0;
    (lower, part.round_ties_even() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn affine() -> impl Strategy<Value = Affine> {
        (1e-3f32..1.0, -128i32..128).prop_map(|(scale, zero_point)| Affine { scale, zero_point })
    }

    proptest! {
        #[test]
        fn a_sum_is_within_a_step_of_the_real_one(
            a in affine(), b in affine(), out in affine(), x in -128i32..128, y in -128i32..128, subtract in any::<bool>(),
        ) {
            let sign = if subtract { -1 } else { 1 };
            let Some(f) = sum([a, b], out, sign, (-128, 127)) else {
                return Ok(());
            };
            let real = |q: i32, of: Affine| f64::from(of.scale) * f64::from(q - of.zero_point);
            let want = (real(x, a) + f64::from(sign) * real(y, b)) / f64::from(out.scale);
            let want = (want + f64::from(out.zero_point)).clamp(-128.0, 127.0);
            prop_assert!((f64::from(f(x, y)) - want).abs() < 0.501);
        }

        #[test]
        fn ratios_are_the_float_ones(input in 1e-6f32..10.0, weight in 1e-6f32..10.0, output in 1e-6f32..10.0) {
            let ratio = input * weight / output;
            match ratios(input, &[weight], output) {
                Some(m) => {
                    // Below 2⁻³² a product with any accumulator rounds to 0 in both.
                    let tiny = ratio < 2f32.powi(-32);
                    prop_assert!(ratio < 256.0 && (tiny || m[0].to_f32() == ratio));
                    prop_assert_eq!(m[0].rounding, Rounding::Float);
                }
                None => prop_assert!(ratio >= 256.0),
            }
        }

        #[test]
        fn bounds_contain_the_zero_point_of_relu(out in affine()) {
            prop_assert_eq!(bounds(Activation::Relu, out), (out.zero_point, 127));
            prop_assert_eq!(bounds(Activation::None, out), (-128, 127));
        }

        #[test]
        fn taps_stay_inside(input in 1i32..50, output in 1i32..50, i in 0i32..50, align in any::<bool>(), half in any::<bool>()) {
            let (lower, part) = tap(i % output, [input, output], align, half && !align);
            prop_assert!((0..input).contains(&lower) && (0..=2048).contains(&part));
        }
    }
}
