//! Affine quantization: real = scale · (q − zero point).
//!
//! Activations follow the converter's `ConvertStatsToQDQs` with its legacy float scale, weights its symmetric
//! narrow range; the formulas are restated in ARCHITECTURE.md, "Numbers".

/// Scale and zero point of a tensor quantized as a whole.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Affine {
    /// Size of one step.
    pub scale: f32,
    /// The integer that stands for 0.0.
    pub zero_point: i32,
}

/// Smallest range that is not widened: narrower ranges give useless scales.
const NARROWEST: f64 = 1e-6;

/// Scale and zero point of an 8-bit activation with the observed range `[min, max]`, for q in `[qmin, qmin + 255]`.
///
/// 0 is always in the range, as zero padding and RELU need it exact.
pub fn activation_8bit(min: f32, max: f32, qmin: i32) -> Affine {
    let mut low = f64::from(min).min(0.0);
    let mut high = f64::from(max).max(0.0);
    if high - low < NARROWEST {
        low -= NARROWEST;
        high += NARROWEST;
    }
    spread(low as f32, high as f32, qmin)
}

/// Scale of a symmetric 16-bit activation with the observed range `[min, max]`, for q in [−32767, 32767]; its zero point is
/// 0, as LiteRT's kernels demand.
pub fn activation_16bit(min: f32, max: f32) -> Affine {
    let largest = f64::from(min.abs().max(max.abs())).max(NARROWEST);
    Affine {
        scale: (largest / 32767.0) as f32,
        zero_point: 0,
    }
}

/// Scale and zero point of an int8 constant whose values lie in `[min, max]`: a narrow range is widened less than that of
/// an activation (the converter's `ExpandVerySmallRange`), so that a small number keeps its accuracy.
pub fn constant_8bit(min: f32, max: f32) -> Affine {
    let (mut low, mut high) = (f64::from(min).min(0.0), f64::from(max).max(0.0));
    if high - low <= NARROWEST {
        low = low.min(-NARROWEST / 2.0);
        high = high.max(NARROWEST / 2.0);
    }
    spread(low as f32, high as f32, -128)
}

fn spread(low: f32, high: f32, qmin: i32) -> Affine {
    let scale = (high - low) / 255.0;
    if !scale.is_finite() || scale < f32::MIN_POSITIVE {
        // A range wider than f32, or one that collapsed: the first is refused by calibration, the second carries nothing.
        return Affine {
            scale: 1.0,
            zero_point: qmin,
        };
    }
    let zero_point = (qmin as f32 - low / scale).round() as i32;
    Affine {
        scale,
        zero_point: zero_point.clamp(qmin, qmin + 255),
    }
}

/// Symmetric power-of-two scale of an int16 tensor (the cell state of the integer LSTM).
///
/// The smallest `2^k` with `max |x| ≤ 2^k · 2^15`, `k` kept in LiteRT's usable range of −15 … −9.
pub fn power_of_two_16bit(min: f32, max: f32) -> f32 {
    let largest = f64::from(min.abs().max(max.abs())).max(f64::from(f32::MIN_POSITIVE));
    let exponent = (largest.log2().ceil() as i32).clamp(0, 6) - 15;
    2f32.powi(exponent)
}

/// Scale of symmetric int8 weights in `[−127, 127]` from their largest magnitude.
pub fn symmetric_8bit(largest: f32) -> f32 {
    // TF's converter widens an all-zero channel in the same way, so that the scale is never 0.
    let largest = f64::from(largest).max(NARROWEST / 2.0);
    (largest / 127.0) as f32
}

/// The scale that takes the largest magnitude to `steps`; that of nothing is as small as weights' ([`symmetric_8bit`]).
pub fn symmetric(largest: f32, steps: f32) -> f32 {
    largest.max(5e-7) / steps
}

/// Symmetric quantization of one weight: round half away from zero, clamped to `[−127, 127]`.
///
/// `inverse` is 1 / scale in single precision: the converter multiplies where a division would sometimes round
/// differently.
pub fn quantize_weight(x: f32, inverse: f32) -> i8 {
    // `f32::round` is a call; this compiles to vectors. The difference is exact, as the bounds are so small.
    let x = (x * inverse).clamp(-127.0, 127.0);
    let whole = x as i32;
    let rest = x - whole as f32;
    (whole + i32::from(rest >= 0.5) - i32::from(rest <= -0.5)) as i8
}

/// Quantization of one activation as LiteRT's QUANTIZE: half away from zero, then clamped to `[qmin, qmax]`.
pub fn quantize(x: f32, affine: Affine, qmin: i32, qmax: i32) -> i32 {
    // The cast saturates where C++ would be undefined; the sum is taken wide so that it cannot wrap.
    let rounded = i64::from((x / affine.scale).round() as i32);
    (rounded + i64::from(affine.zero_point)).clamp(i64::from(qmin), i64::from(qmax)) as i32
}

/// A bias in steps of `scale` as int32, saturating; like weights, by the inverse in single precision.
pub fn quantize_bias(x: f32, scale: f32) -> i32 {
    (x * (1.0 / scale)).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn zero_is_exact_and_the_range_fits(a in -1e5f32..1e5, b in -1e5f32..1e5) {
            let (min, max) = (a.min(b), a.max(b));
            let p = activation_8bit(min, max, -128);
            prop_assert!(p.scale > 0.0 && (-128..=127).contains(&p.zero_point));
            prop_assert_eq!(quantize(0.0, p, -128, 127), p.zero_point);
            for x in [min, max] {
                let q = quantize(x, p, -128, 127);
                let back = p.scale * (q - p.zero_point) as f32;
                prop_assert!((back - x).abs() <= p.scale * 1.01);
            }
        }

        #[test]
        fn pot_scale_covers(x in 1e-3f32..60.0) {
            let s = power_of_two_16bit(-x, x);
            prop_assert!(x <= s * 32768.0);
            prop_assert_eq!(s.log2().fract(), 0.0);
        }
    }

    proptest! {
        #[test]
        fn weights_round_half_away_from_zero(x in -200f32..200.0, half in -260i32..260) {
            for x in [x, half as f32 / 2.0, f32::from_bits((half as f32 / 2.0).to_bits() ^ 1)] {
                prop_assert_eq!(quantize_weight(x, 1.0), x.round().clamp(-127.0, 127.0) as i8);
            }
        }
    }

    #[test]
    fn a_range_of_nothing_is_widened() {
        let p = activation_8bit(0.0, 0.0, -128);
        assert!(p.scale > 0.0);
        assert_eq!(activation_8bit(f32::MIN, f32::MAX, -128).scale, 1.0);
    }

    /// Constants and what the converter wrote for them.
    #[test]
    fn constants_have_the_converters_parameters() {
        for (value, scale, zero_point) in [
            (1e-6f32, 5.882_353_3e-9, -43),
            (0.25, 0.000_980_392_2, -128),
            (8.0, 0.031_372_55, -128),
        ] {
            let affine = constant_8bit(value, value);
            assert_eq!((affine.scale, affine.zero_point), (scale, zero_point));
        }
    }

    /// Values of a model and what the converter wrote for them; each differs when divided by the scale.
    #[test]
    fn constants_round_as_the_converter_rounds() {
        let x: f32 = 0.059_817_046;
        assert_eq!(quantize_weight(x, 127.0 / 0.233_746_62), 33);
        assert_eq!((x / symmetric_8bit(0.233_746_62)).round(), 32.0);
        let (x, scale): (f32, f32) = (0.005_090_187_3, 1.261_508_6e-5);
        assert_eq!(quantize_bias(x, scale), 403);
        assert_eq!((x / scale).round(), 404.0);
        assert_eq!(quantize_bias(1.005_778_6, 1.113_097_9e-5), 90359);
        assert_eq!(quantize_bias(-1.0, 1e-12), i32::MIN);
    }

    #[test]
    fn weights_of_nothing_have_a_scale() {
        assert_eq!(symmetric_8bit(0.0), (5e-7 / 127.0) as f32);
        assert_eq!(symmetric_8bit(1.0), 1.0 / 127.0);
    }
}
