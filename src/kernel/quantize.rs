//! QUANTIZE and DEQUANTIZE: every mapping of 8 or 16 bits is a table, so that no device does float arithmetic on
//! integers.

use super::{Context, Kernel, xnnpack};
use crate::graph::Error;
use crate::num::affine::quantize as quantize_value;
use crate::num::{Affine, DType};

/// Float to 8 or 16 bits.
#[derive(Debug)]
pub struct Quantize {
    /// Parameters of the output.
    pub output: Affine,
    /// Lowest integer of the output's type.
    pub qmin: i32,
    /// Highest integer of the output's type.
    pub qmax: i32,
    /// `keys[i]` is the order key (see `order_key`) of the smallest float that quantizes above `qmin + i`.
    ///
    /// A device without exact division finds q as `qmin` plus the number of keys that are ≤ the value's key.
    pub keys: Vec<u32>,
    /// Whether floats are multiplied by 1 / scale and ties go to even, as in XNNPACK; `keys` are not for that.
    pub by_inverse: bool,
}

/// A function of a byte.
#[derive(Debug)]
pub struct Table {
    /// The output's byte for each input byte.
    pub bytes: Vec<u8>,
}

/// A function of 8 or 16 bits to the other, or from 16 to 16.
#[derive(Debug)]
pub struct Table16 {
    /// The output for each input, by its bits: 256 or 65 536 of them. The lower half is the output where that is 8 bits.
    pub entries: Vec<u16>,
}

/// 8 or 16 bits to float.
#[derive(Debug)]
pub struct Dequantize {
    /// The float for each input, by its bits: 256 or 65 536 of them.
    pub table: Vec<f32>,
}

/// Maps a float's bits to an integer that orders like the float: −NaN < −∞ < … < −0 < +0 < … < ∞ < NaN.
pub fn order_key(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 0x8000_0000
    }
}

/// Inverse of [`order_key`].
pub fn from_order_key(key: u32) -> f32 {
    f32::from_bits(if key >> 31 == 1 {
        key & 0x7fff_ffff
    } else {
        !key
    })
}

fn type_range(c: Context<'_>, dtype: DType) -> Result<(i32, i32), Error> {
    match dtype {
        DType::I8 => Ok((-128, 127)),
        DType::U8 => Ok((0, 255)),
        DType::I16 => Ok((-32768, 32767)),
        other => Err(c.error(format!(
            "{other} is not supported, only int8, uint8 and int16"
        ))),
    }
}

/// Every integer of a type of 8 or 16 bits, in the order of its bits.
fn integers(dtype: DType) -> Box<dyn Iterator<Item = i32>> {
    match dtype {
        DType::I8 => Box::new((0..=255u8).map(|b| i32::from(b as i8))),
        DType::I16 => Box::new((0..=65535u16).map(|b| i32::from(b as i16))),
        _ => Box::new(0..=255),
    }
}

pub(super) fn quantize(c: Context<'_>) -> Result<Quantize, Error> {
    let id = c.output(0)?;
    c.expect_shape(id, c.shape(c.input(0)?))?;
    let (qmin, qmax) = type_range(c, c.tensor(id).dtype)?;
    let output = c.affine(id)?;
    let (lowest, highest) = (order_key(f32::MIN), order_key(f32::MAX));
    // Ascending, so each bisection starts where the one before ended.
    let mut low = lowest;
    let keys = (qmin..qmax)
        .map(|q| {
            // The first finite float that quantizes above q; quantization is monotonic, so bisect on the keys.
            let above = |key: u32| quantize_value(from_order_key(key), output, qmin, qmax) > q;
            if !above(highest) {
                return u32::MAX;
            }
            let mut high = highest;
            while low < high {
                let middle = low + (high - low) / 2;
                if above(middle) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            low
        })
        .collect();
    Ok(Quantize {
        output,
        qmin,
        qmax,
        keys,
        by_inverse: c.is_xnnpack() && qmax - qmin == 255,
    })
}

/// Between integer types, with the two roundings of LiteRT's `Requantize` (`reference/requantize.h`).
pub(super) fn requantize(c: Context<'_>) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_shape(output, c.shape(input))?;
    let types = [input, output].map(|id| c.tensor(id).dtype);
    type_range(c, types[0])?;
    let (qmin, qmax) = type_range(c, types[1])?;
    let (from, to) = (c.affine(input)?, c.affine(output)?);
    if types == [DType::I8; 2]
        && let Some(f) = xnnpack::requantize(c, from, to)
    {
        let bytes = integers(DType::I8).map(|q| f(q) as u8).collect();
        return Ok(Kernel::Table(Table { bytes }));
    }
    let multiplier = c.multiplier(f64::from(from.scale) / f64::from(to.scale))?;
    let entries = integers(types[0]).map(|q| {
        let scaled = multiplier
            .apply(q - from.zero_point)
            .saturating_add(to.zero_point);
        scaled.clamp(qmin, qmax)
    });
    Ok(if types.contains(&DType::I16) {
        Kernel::Table16(Table16 {
            entries: entries.map(|q| q as u16).collect(),
        })
    } else {
        Kernel::Table(Table {
            bytes: entries.map(|q| q as u8).collect(),
        })
    })
}

pub(super) fn dequantize(c: Context<'_>) -> Result<Dequantize, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_dtype(output, DType::F32)?;
    c.expect_shape(output, c.shape(input))?;
    let dtype = c.tensor(input).dtype;
    type_range(c, dtype)?;
    Ok(Dequantize {
        table: table(c.affine(input)?, dtype),
    })
}

/// The real value of each integer of a type of 8 or 16 bits.
pub fn table(affine: Affine, dtype: DType) -> Vec<f32> {
    integers(dtype)
        .map(|q| (f64::from(affine.scale) * f64::from(q - affine.zero_point)) as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn order_key_orders(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(!a.is_nan() && !b.is_nan() && a != b);
            prop_assert_eq!(a < b, order_key(a) < order_key(b));
            prop_assert_eq!(from_order_key(order_key(a)).to_bits(), a.to_bits());
        }
    }
}
