//! Functions of one int16: each is a table of 65 536, filled as LiteRT's kernels compute it.

use super::lut;
use crate::graph::{Error, Unary};
use crate::kernel::unary::{gelu, gelu_by_tanh};
use crate::kernel::{Context, Table16};
use crate::num::{Affine, DType, fixed};

/// Values of a sigmoid that LOGISTIC and TANH interpolate between: σ(i / 24) as Q0.16, shifted by half of what the
/// interpolation is off in the middle of the gap.
struct Sigmoid(Vec<u32>);

impl Sigmoid {
    fn new() -> Sigmoid {
        let at = |i: f64| 65536.0 / (1.0 + (-i / 24.0).exp());
        let value = |i: i32| {
            let i = f64::from(i);
            let off = at(i + 0.5) - f64::midpoint(at(i), at(i + 1.0));
            (at(i) + off / 2.0).round() as u32
        };
        Sigmoid((0..255).map(value).chain([65535]).collect())
    }

    /// Between two values; `bits` are those of the distance from the first. `None` behind the last.
    fn between(&self, x: u32, bits: u32) -> Option<u32> {
        let i = (x >> bits) as usize;
        let (a, b) = match self.0.get(i..i + 2) {
            Some(&[a, b]) if i < 255 => (a, b),
            _ => return None,
        };
        Some((a << bits) + (x & ((1 << bits) - 1)) * (b - a))
    }
}

/// An input as a multiple of 1 / (3 · 4096), by a multiplier and a shift to the right.
struct ToTable {
    multiplier: i32,
    shift: u32,
}

impl ToTable {
    /// `most` is the largest power of two, above 1/4096, of which the kernel takes note.
    fn new(c: Context<'_>, scale: f32, most: i32) -> Result<ToTable, Error> {
        let (exponent, is_power) = fixed::log2(scale);
        let left = exponent.saturating_add(12);
        if is_power && (0..=most).contains(&left) {
            return Ok(ToTable {
                multiplier: 3 << left,
                shift: 0,
            });
        }
        let mut multiplier = f64::from(scale) * 4096.0 * 3.0;
        if multiplier.is_nan() || multiplier >= f64::from(1 << 30) {
            return Err(c.error(format!("its input scale {scale} is too large")));
        }
        let mut shift = 0;
        while multiplier <= 32767.0 / 2.0 && shift <= 30 {
            shift += 1;
            multiplier *= 2.0;
        }
        Ok(ToTable {
            multiplier: multiplier as i32,
            shift,
        })
    }

    fn apply(&self, x: i32) -> i32 {
        let round = match self.shift {
            0 => 0,
            shift => 1 << (shift - 1),
        };
        x.wrapping_mul(self.multiplier).wrapping_add(round) >> self.shift
    }
}

pub(super) fn prepare(c: Context<'_>, unary: Unary) -> Result<Table16, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_shape(output, c.shape(input))?;
    let affine = |id| -> Result<Affine, Error> {
        let scale = super::symmetric(c, id)?;
        Ok(Affine {
            scale,
            zero_point: 0,
        })
    };
    let (from, to) = (affine(input)?, affine(output)?);
    let table = |f: &dyn Fn(i32) -> i32| Table16 {
        entries: (0..=u16::MAX)
            .map(|b| f(i32::from(b as i16)) as u16)
            .collect(),
    };
    let by_lut = |f: &dyn Fn(f32) -> f32| {
        let g = lut::function(from, to, f);
        table(&|q| i32::from(g(q as i16)))
    };
    let clamp = |q: i32| q.clamp(-32768, 32767);
    // Single precision, as LiteRT has it.
    let ratio = || c.multiplier(f64::from(from.scale / to.scale));
    match unary {
        Unary::Logistic => {
            if to.scale != 1.0 / 32768.0 {
                return Err(c.error(format!(
                    "its {} output has scale {}; LiteRT demands 1/32768",
                    DType::I16,
                    to.scale
                )));
            }
            let (sigmoid, scaled) = (Sigmoid::new(), ToTable::new(c, from.scale, 0)?);
            Ok(table(&|q| logistic(&sigmoid, scaled.apply(q))))
        }
        Unary::Tanh => {
            if fixed::log2(to.scale) != (-15, true) {
                return Err(c.error(format!(
                    "its {} output has scale {}; LiteRT demands 1/32768",
                    DType::I16,
                    to.scale
                )));
            }
            let (sigmoid, scaled) = (Sigmoid::new(), ToTable::new(c, from.scale, 1)?);
            Ok(table(&|q| tanh(&sigmoid, scaled.apply(q))))
        }
        Unary::Relu | Unary::Relu6 => {
            let high = (unary.bounds().1 / to.scale).round();
            let (high, multiplier) = (high.min(32767.0) as i32, ratio()?);
            Ok(table(&|q| multiplier.apply(q).clamp(0, high)))
        }
        Unary::LeakyRelu { alpha } => {
            let (identity, negative) = (ratio()?, f64::from(from.scale * alpha / to.scale));
            let below = c.multiplier(negative.abs())?;
            Ok(table(&|q| match (q >= 0, negative < 0.0) {
                (true, _) => clamp(identity.apply(q)),
                (false, false) => clamp(below.apply(q)),
                (false, true) => clamp(-below.apply(q)),
            }))
        }
        Unary::Abs => {
            let multiplier = ratio()?;
            Ok(match from.scale == to.scale {
                true => table(&|q| clamp(q.abs())),
                false => table(&|q| clamp(multiplier.apply(q.abs()))),
            })
        }
        Unary::Exp => Ok(by_lut(&f32::exp)),
        Unary::Gelu { approximate: true } => Ok(by_lut(&gelu_by_tanh)),
        Unary::Gelu { approximate: false } => Ok(by_lut(&gelu)),
        Unary::Log => {
            let lowest = -32768.0 * to.scale;
            Ok(by_lut(&|x| if x <= 0.0 { lowest } else { x.ln() }))
        }
        // LiteRT stops at a negative value; its root is 0 here.
        Unary::Sqrt => Ok(table(&|q| {
            let root = (from.scale * q as f32).max(0.0).sqrt();
            clamp((root / to.scale) as i32)
        })),
        Unary::Rsqrt => {
            let highest = 32767.0 * to.scale;
            let f = |x: f32| if x <= 0.0 { highest } else { 1.0 / x.sqrt() };
            Ok(by_lut(&f))
        }
        _ => Err(c.error("it has no int16 kernel; leave it float")),
    }
}

/// Q0.15 of an input that counts 1 / (3 · 4096).
fn logistic(sigmoid: &Sigmoid, x: i32) -> i32 {
    let y = sigmoid.between(x.unsigned_abs(), 9);
    let y = y.unwrap_or(0x7fff << 10);
    let y = match x >= 0 {
        true => y + (1 << 9),
        false => (1 << 25) - y + (1 << 9) - 1,
    };
    (y >> 10) as i32
}

/// 2 · σ(2x) − 1 as Q0.15.
fn tanh(sigmoid: &Sigmoid, x: i32) -> i32 {
    let y = sigmoid.between(x.unsigned_abs(), 8);
    let y = y.unwrap_or(0xffff << 8) as i32;
    let y = match x >= 0 {
        true => y - (1 << 23) + (1 << 7),
        false => -y + (1 << 23) + (1 << 7) - 1,
    };
    y >> 8
}
