//! Functions of one element. For int8 every one of them is a table of 256, filled as LiteRT's kernels compute it: some in
//! float (`LUTPopulate` of `internal/common.h`), some in fixed point.

use super::{Context, Table, xnnpack};
use crate::graph::{Error, Unary};
use crate::num::{Affine, DType, Multiplier, fixed, gemmlowp};

/// The float kernel: the shapes are equal.
pub(super) fn f32(c: Context<'_>, unary: Unary) -> Result<Unary, Error> {
    let output = c.output(0)?;
    c.expect_dtype(output, DType::F32)?;
    c.expect_shape(output, c.shape(c.input(0)?))?;
    if unary == Unary::LogicalNot {
        return Err(c.error("its input is not bool"));
    }
    Ok(unary)
}

/// LOGICAL_NOT.
pub(super) fn bool(c: Context<'_>, unary: Unary) -> Result<Table, Error> {
    let output = c.output(0)?;
    c.expect_dtype(output, DType::Bool)?;
    c.expect_shape(output, c.shape(c.input(0)?))?;
    if unary != Unary::LogicalNot {
        return Err(c.error("its input is bool"));
    }
    let bytes = (0..=255u8).map(|b| u8::from(b == 0)).collect();
    Ok(Table { bytes })
}

pub(super) fn i8(c: Context<'_>, unary: Unary) -> Result<Table, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_dtype(output, DType::I8)?;
    c.expect_shape(output, c.shape(input))?;
    let (from, to) = (c.affine(input)?, c.affine(output)?);
    let table = |f: &dyn Fn(i32) -> i32| Table {
        bytes: (0..=255u8).map(|b| f(i32::from(b as i8)) as u8).collect(),
    };
    let by_float = |f: &dyn Fn(f32) -> f32| table(&|q| lookup(q, from, to, f));
    // Single precision, as LiteRT has it.
    let ratio = || c.multiplier(f64::from(from.scale / to.scale));
    match unary {
        Unary::Logistic => {
            if to.scale != 1.0 / 256.0 {
                return Err(c.error(format!(
                    "its int8 output has scale {}; LiteRT demands 1/256",
                    to.scale
                )));
            }
            Ok(by_float(&|x| 1.0 / (1.0 + (-x).exp())))
        }
        Unary::Tanh => Ok(by_float(&f32::tanh)),
        Unary::Elu => Ok(by_float(&|x| if x < 0.0 { x.exp_m1() } else { x })),
        Unary::Gelu { approximate: true } => Ok(by_float(&gelu_by_tanh)),
        Unary::Gelu { approximate: false } => Ok(by_float(&gelu)),
        Unary::Exp => Ok(by_float(&f32::exp)),
        Unary::Log => {
            let lowest = (-128 - to.zero_point) as f32 * to.scale;
            Ok(by_float(&|x| if x <= 0.0 { lowest } else { x.ln() }))
        }
        Unary::Relu | Unary::Relu6 | Unary::ReluN1To1 | Unary::Relu0To1 => {
            let (low, high) = unary.bounds();
            let multiplier = ratio()?;
            let bound = |x: f32| {
                let steps = (x / to.scale).round();
                // A saturating cast, then a sum that cannot wrap.
                (steps as i32).saturating_add(to.zero_point)
            };
            let low = bound(low).max(-128);
            let high = if high.is_finite() {
                bound(high).min(127)
            } else {
                127
            };
            Ok(table(&|q| {
                let scaled = multiplier.apply(q - from.zero_point);
                scaled.saturating_add(to.zero_point).max(low).min(high)
            }))
        }
        Unary::LeakyRelu { alpha } => {
            if let Some(f) = xnnpack::leaky_relu(c, alpha, from, to) {
                return Ok(table(&f));
            }
            let identity = ratio()?;
            let negative = f64::from(from.scale * alpha / to.scale);
            let below = c.multiplier(negative.abs())?;
            Ok(table(&|q| {
                let x = q - from.zero_point;
                let scaled = match (x >= 0, negative < 0.0) {
                    (true, _) => identity.apply(x),
                    (false, false) => below.apply(x),
                    (false, true) => -below.apply(x),
                };
                scaled.saturating_add(to.zero_point).clamp(-128, 127)
            }))
        }
        Unary::HardSwish => {
            let swish = HardSwish::new(c, from, to)?;
            Ok(table(&|q| swish.apply(q)))
        }
        Unary::Abs => {
            let multiplier = ratio()?;
            let rescale = from.scale != to.scale;
            Ok(table(&|q| {
                let x = (q - from.zero_point).abs();
                let scaled = if rescale { multiplier.apply(x) } else { x };
                scaled.saturating_add(to.zero_point).clamp(-128, 127)
            }))
        }
        Unary::Sqrt => Ok(table(&|q| {
            // LiteRT stops at a negative value; its root is 0 here.
            let x = from.scale * (q - from.zero_point) as f32;
            let root = (x.max(0.0).sqrt() / to.scale) as i32;
            root.saturating_add(to.zero_point).clamp(-128, 127)
        })),
        Unary::Rsqrt => {
            let scale = 1.0 / f64::from(from.scale.sqrt() * to.scale);
            let multiplier = c.multiplier(scale)?;
            Ok(table(&|q| {
                rsqrt(q - from.zero_point, multiplier, to.zero_point)
            }))
        }
        // LiteRT changes the sign of the integer, whatever scales and zero points are.
        Unary::Neg => Ok(table(&|q| -q)),
        _ => Err(c.error("it has no int8 kernel; leave it float")),
    }
}

impl Unary {
    /// Whether LiteRT has an int8 kernel that computes it: the one of NEG means something else.
    pub fn has_i8(self) -> bool {
        !matches!(
            self,
            Unary::Ceil
                | Unary::Cos
                | Unary::Floor
                | Unary::LogicalNot
                | Unary::Neg
                | Unary::Round
                | Unary::Sign
                | Unary::Sin
                | Unary::Square
        )
    }

    /// Whether it is a clamp: see [`Unary::bounds`].
    pub fn is_clamp(self) -> bool {
        matches!(
            self,
            Unary::Relu | Unary::Relu0To1 | Unary::Relu6 | Unary::ReluN1To1
        )
    }

    /// Bounds of the results of a clamp.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Unary::Relu => (0.0, f32::INFINITY),
            Unary::Relu0To1 => (0.0, 1.0),
            Unary::Relu6 => (0.0, 6.0),
            Unary::ReluN1To1 => (-1.0, 1.0),
            _ => (f32::NEG_INFINITY, f32::INFINITY),
        }
    }
}

/// One entry of LiteRT's `LUTPopulateInt8`.
fn lookup(q: i32, from: Affine, to: Affine, f: &dyn Fn(f32) -> f32) -> i32 {
    let inverse = 1.0 / to.scale;
    let x = from.scale * (q - from.zero_point) as f32;
    let rescaled = (f(x) * inverse).round();
    ((rescaled + to.zero_point as f32) as i32).clamp(-128, 127)
}

/// `GeluTransform` of `internal/reference/gelu.h`.
pub(crate) fn gelu(x: f32) -> f32 {
    0.5 * x * erfc(x * -std::f32::consts::FRAC_1_SQRT_2)
}

/// `GeluTransformApproximate`.
pub(crate) fn gelu_by_tanh(x: f32) -> f32 {
    const SQRT_2_OVER_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;
    0.5 * x * (1.0 + (SQRT_2_OVER_PI * (x + 0.044_715 * x * x * x)).tanh())
}

/// The complementary error function, rounded from double.
pub(crate) fn erfc(x: f32) -> f32 {
    libm::erfc(f64::from(x)) as f32
}

/// `RsqrtEvalQuantizedInt8` of `elementwise.cc`; LiteRT stops at a negative value.
fn rsqrt(x: i32, multiplier: Multiplier, zero_point: i32) -> i32 {
    /// Bits that keep the value an integer.
    const SHIFT: i32 = 20;
    if x <= 0 {
        return 127;
    }
    let (mantissa, shift) = gemmlowp::inv_sqrt(x);
    let inverse = Multiplier {
        mantissa,
        shift: shift + SHIFT,
        ..multiplier
    };
    let to_output = Multiplier {
        shift: multiplier.shift - SHIFT,
        ..multiplier
    };
    let scaled = to_output.apply(inverse.apply(1));
    scaled.saturating_add(zero_point).clamp(-128, 127)
}

/// `HardSwish` of `internal/reference/hard_swish.h`, in 16 bits.
struct HardSwish {
    from: i32,
    to: i32,
    output: (i16, i32),
    reluish: (i16, i32),
}

impl HardSwish {
    fn new(c: Context<'_>, from: Affine, to: Affine) -> Result<HardSwish, Error> {
        let hires = (1.0f32 / 128.0) * from.scale;
        let narrow = |real: f32| -> Result<(i16, i32), Error> {
            let m = c.multiplier(f64::from(real))?;
            // DownScaleInt32ToInt16Multiplier
            let highest = i32::MAX - (1 << 15);
            let mantissa = match m.mantissa >= highest {
                true => i16::MAX,
                false => ((m.mantissa + (1 << 15)) >> 16) as i16,
            };
            Ok((mantissa, m.shift))
        };
        let output = narrow(hires / to.scale)?;
        if output.1 > 0 {
            return Err(c.error(format!(
                "its input scale {} is more than 128 times its output scale {}, which LiteRT refuses",
                from.scale, to.scale
            )));
        }
        Ok(HardSwish {
            from: from.zero_point,
            to: to.zero_point,
            output,
            reluish: narrow(hires / (3.0f32 / 32768.0))?,
        })
    }

    fn apply(&self, q: i32) -> i32 {
        let hires = ((q - self.from) as i16).wrapping_mul(1 << 7);
        let preshift = fixed::doubling_high_mul_16(hires, self.output.0);
        let (mantissa, exponent) = self.reluish;
        let mut reluish = hires;
        if exponent > 0 {
            reluish = saturating_left(reluish, exponent - 1);
        }
        reluish = fixed::doubling_high_mul_16(reluish, mantissa);
        if exponent > 0 {
            reluish = saturating_left(reluish, 1);
        } else if exponent < 0 {
            reluish = fixed::rounding_divide_by_pot_16(reluish, -exponent);
        }
        let gate = ((i32::from(reluish) + (1 << 15)) >> 1) as i16;
        // SaturatingDoublingHighMul: toward zero, without rounding.
        let product = match gate == i16::MIN && preshift == i16::MIN {
            true => i16::MAX,
            false => (i32::from(gate) * i32::from(preshift) / (1 << 15)) as i16,
        };
        let scaled = fixed::rounding_divide_by_pot_16(product, -self.output.1);
        i32::from(scaled.wrapping_add(self.to as i16)).clamp(-128, 127)
    }
}

fn saturating_left(x: i16, amount: i32) -> i16 {
    let wide = i64::from(x) << amount.clamp(0, 31);
    wide.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16
}
