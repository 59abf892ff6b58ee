//! Fixed-point arithmetic of TFLite's integer kernels: quantized multipliers and how they round.
//!
//! Sources of the formulas: LiteRT `tflite/kernels/internal/common.{h,cc}`, `quantization_util.cc` and
//! gemmlowp `fixedpoint.h`. The official wheels are built with double rounding, so that is the definition; the other
//! ways to round are those of other runtimes (see `kernel::Numerics`).

/// How a product with a [`Multiplier`] becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Rounding {
    /// The doubling high product, then the division by a power of two, each rounded to nearest: gemmlowp and LiteRT.
    #[default]
    Double,
    /// Once, ties upward: LiteRT built with `TFLITE_SINGLE_ROUNDING`.
    Single,
    /// The accumulator and its product as float32, then to the nearest integer, ties to even: XNNPACK.
    Float,
}

/// A positive real number as `mantissa · 2^(shift − 31)`, the way TFLite multiplies accumulators.
///
/// `mantissa` is 0 or in `[2^30, 2^31)`; a positive `shift` goes left, a negative one right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Multiplier {
    /// Q0.31 mantissa.
    pub mantissa: i32,
    /// Power of two, −31 … 31.
    pub shift: i32,
    /// How products are rounded.
    pub rounding: Rounding,
}

/// Why a real number cannot be a [`Multiplier`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "the scale ratio {0} cannot be expressed as a 32-bit multiplier (it must be finite, not negative and below 2^31)"
)]
pub struct BadMultiplier(pub f64);

impl Multiplier {
    /// TFLite's `QuantizeMultiplier`: the nearest multiplier, ties away from zero; below 2⁻³² it becomes 0.
    ///
    /// # Errors
    /// If `real` is negative, not finite, or 2^31 or more.
    pub fn new(real: f64) -> Result<Self, BadMultiplier> {
        if !real.is_finite() || real < 0.0 {
            return Err(BadMultiplier(real));
        }
        if real == 0.0 {
            return Ok(Self::default());
        }
        let (fraction, mut shift) = frexp(real);
        let mut q = (fraction * (1i64 << 31) as f64).round() as i64;
        if q == 1 << 31 {
            q /= 2;
            shift += 1;
        }
        if shift < -31 {
            return Ok(Self::default());
        }
        if shift > 31 {
            return Err(BadMultiplier(real));
        }
        Ok(Self {
            mantissa: q as i32,
            shift,
            rounding: Rounding::Double,
        })
    }

    /// The multiplier of the same number that rounds in another way.
    pub fn rounded(self, rounding: Rounding) -> Self {
        // LiteRT stops at this shift where it rounds once.
        let (mantissa, shift) = match (rounding, self.shift) {
            (Rounding::Single, 31) => (i32::MAX, 30),
            _ => (self.mantissa, self.shift),
        };
        Self {
            mantissa,
            shift,
            rounding,
        }
    }

    /// The number as float32: exact where it was made of one.
    pub fn to_f32(self) -> f32 {
        (f64::from(self.mantissa) * 2f64.powi(self.shift - 31)) as f32
    }

    /// TFLite's `MultiplyByQuantizedMultiplier` of 64-bit sums: the mantissa in 15 bits, one rounding, the low 32 bits of
    /// the result. `shift` is at most 14.
    pub fn apply_wide(self, x: i64) -> i32 {
        let total = 15 - self.shift;
        let product = x.wrapping_mul(self.reduced().into());
        (product.wrapping_add(1 << (total - 1)) >> total) as i32
    }

    /// The mantissa in 15 bits.
    pub fn reduced(self) -> i32 {
        if self.mantissa < 0x7fff_0000 {
            (self.mantissa + (1 << 15)) >> 16
        } else {
            0x7fff
        }
    }

    /// TFLite's `MultiplyByQuantizedMultiplier`, or what another runtime has in its place.
    ///
    /// The left shift wraps, as the two's complement hardware under LiteRT does.
    pub fn apply(self, x: i32) -> i32 {
        match self.rounding {
            Rounding::Double => {
                let left = self.shift.max(0) as u32;
                let right = (-self.shift).max(0);
                rounding_divide_by_pot(
                    doubling_high_mul(x.wrapping_shl(left), self.mantissa),
                    right,
                )
            }
            Rounding::Single => rounded_once(x, self.mantissa, self.total_shift()),
            Rounding::Float => rounded_float(x, self.to_f32()),
        }
    }

    /// How far [`rounded_once`] shifts right, 1 … 62.
    pub fn total_shift(self) -> u32 {
        (31 - self.shift.min(30)) as u32
    }
}

/// x · mantissa · 2^−shift, rounded once, ties upward; the low 32 bits.
#[inline(always)]
pub fn rounded_once(x: i32, mantissa: i32, shift: u32) -> i32 {
    ((i64::from(x) * i64::from(mantissa) + (1i64 << (shift - 1))) >> shift) as i32
}

/// x · scale in float32, to the nearest integer, ties to even; saturated.
#[inline(always)]
pub fn rounded_float(x: i32, scale: f32) -> i32 {
    (x as f32 * scale).round_ties_even() as i32
}

/// LiteRT's `CheckedLog2`: the nearest power of two, and whether the scale is close to it.
pub fn log2(scale: f32) -> (i32, bool) {
    let log = scale.ln() * (1.0 / 2f32.ln());
    (log.round() as i32, (log - log.round()).abs() < 1e-3)
}

/// Splits a positive finite number into a fraction in `[0.5, 1)` and a power of two (C's `frexp`).
fn frexp(x: f64) -> (f64, i32) {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    if exponent == 0 {
        // A subnormal: bring it into the normal range first.
        let (fraction, shifted) = frexp(x * (1u64 << 54) as f64);
        return (fraction, shifted - 54);
    }
    let fraction = f64::from_bits((bits & !(0x7ffu64 << 52)) | (1022u64 << 52));
    (fraction, exponent - 1022)
}

/// gemmlowp's `SaturatingRoundingDoublingHighMul` for 32 bits: `(2·a·b) >> 32`, rounded.
pub fn doubling_high_mul(a: i32, b: i32) -> i32 {
    if a == i32::MIN && b == i32::MIN {
        return i32::MAX;
    }
    let product = i64::from(a) * i64::from(b);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    // The division truncates toward zero, as in C++; a shift would not.
    ((product + nudge) / (1i64 << 31)) as i32
}

/// gemmlowp's `SaturatingRoundingDoublingHighMul` for 16 bits.
pub fn doubling_high_mul_16(a: i16, b: i16) -> i16 {
    if a == i16::MIN && b == i16::MIN {
        return i16::MAX;
    }
    let product = i32::from(a) * i32::from(b);
    let nudge = if product >= 0 { 1 << 14 } else { 1 - (1 << 14) };
    ((product + nudge) / (1 << 15)) as i16
}

/// gemmlowp's `RoundingDivideByPOT` for 16 bits; exponent 0 … 31. From 16 on its mask overflows, and what is not
/// negative becomes 1.
pub fn rounding_divide_by_pot_16(x: i16, exponent: i32) -> i16 {
    let mask = ((1i64 << exponent) - 1) as i16;
    let threshold = (mask >> 1) + i16::from(x < 0);
    ((i32::from(x) >> exponent) + i32::from(x & mask > threshold)) as i16
}

/// gemmlowp's `RoundingDivideByPOT`: `x / 2^exponent`, ties away from zero; exponent 0 … 31.
pub fn rounding_divide_by_pot(x: i32, exponent: i32) -> i32 {
    let mask = ((1i64 << exponent) - 1) as i32;
    let remainder = x & mask;
    let threshold = (mask >> 1) + i32::from(x < 0);
    (x >> exponent) + i32::from(remainder > threshold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn multiplier_of_powers_of_two() {
        assert_eq!(
            Multiplier::new(1.0).unwrap(),
            Multiplier {
                mantissa: 1 << 30,
                shift: 1,
                rounding: Rounding::Double
            }
        );
        assert_eq!(
            Multiplier::new(0.5).unwrap(),
            Multiplier {
                mantissa: 1 << 30,
                shift: 0,
                rounding: Rounding::Double
            }
        );
        assert_eq!(Multiplier::new(0.0).unwrap(), Multiplier::default());
        assert_eq!(Multiplier::new(1e-12).unwrap(), Multiplier::default());
        assert!(Multiplier::new(f64::NAN).is_err());
        assert!(Multiplier::new(-1.0).is_err());
        assert!(Multiplier::new(1e30).is_err());
    }

    proptest! {
        #[test]
        fn frexp_rebuilds(x in 1e-320f64..1e300) {
            let (f, e) = frexp(x);
            prop_assert!((0.5..1.0).contains(&f));
            // Two steps so that neither factor overflows.
            prop_assert_eq!(f * 2f64.powi(e / 2) * 2f64.powi(e - e / 2), x);
        }

        #[test]
        fn apply_is_near_the_real_product(x in -(1i32 << 22)..(1i32 << 22), real in 1e-6f64..1.0) {
            let got = f64::from(Multiplier::new(real).unwrap().apply(x));
            prop_assert!((got - f64::from(x) * real).abs() <= 1.0);
        }

        #[test]
        fn single_rounding_is_the_nearest_and_ties_go_up(x in any::<i32>(), real in 1e-9f64..1.0) {
            let m = Multiplier::new(real).unwrap().rounded(Rounding::Single);
            // In 128 bits: the floor of twice the product, plus one, halved.
            let twice = i128::from(x) * i128::from(m.mantissa) * 2;
            let exact = ((twice >> (31 - m.shift)) + 1) >> 1;
            prop_assert_eq!(i128::from(m.apply(x)), exact);
        }

        #[test]
        fn roundings_differ_by_one_at_most(x in -(1i32 << 22)..(1i32 << 22), real in 1e-6f32..1.0) {
            let m = Multiplier::new(real.into()).unwrap();
            let double = m.apply(x);
            for rounding in [Rounding::Single, Rounding::Float] {
                prop_assert!((m.rounded(rounding).apply(x) - double).abs() <= 1, "{rounding:?}");
            }
        }

        #[test]
        fn float_rounding_is_that_of_float32(x in any::<i32>(), scale in prop_oneof![1e-9f32..256.0, Just(0.5), Just(1.0)]) {
            let m = Multiplier::new(scale.into()).unwrap().rounded(Rounding::Float);
            prop_assert_eq!(m.to_f32(), scale);
            // The product in double is exact, so that only the roundings that are meant happen.
            let product = (f64::from(x as f32) * f64::from(scale)) as f32;
            prop_assert_eq!(m.apply(x), product.round_ties_even() as i32);
        }

        #[test]
        fn divide_by_pot_rounds_half_away(x in any::<i32>(), e in 0i32..31) {
            let exact = f64::from(x) / f64::from(2f32.powi(e));
            prop_assert_eq!(f64::from(rounding_divide_by_pot(x, e)), exact.round());
        }
    }
}
