//! QUANTIZE and DEQUANTIZE: every 8-bit mapping is a table, so that no device does float arithmetic on integers.

use super::Context;
use crate::graph::Error;
use crate::num::affine::quantize as quantize_value;
use crate::num::{Affine, DType};

/// Float to 8 bits.
#[derive(Debug)]
pub struct Quantize {
    /// Parameters of the output.
    pub output: Affine,
    /// Lowest integer of the output's type.
    pub qmin: i32,
    /// `keys[i]` is the order key (see `order_key`) of the smallest float that quantizes above `qmin + i`.
    ///
    /// A device without exact division finds q as `qmin` plus the number of keys that are ≤ the value's key.
    pub keys: Vec<u32>,
}

/// A function of a byte.
#[derive(Debug)]
pub struct Table {
    /// The output's byte for each input byte.
    pub bytes: Vec<u8>,
}

/// 8 bits to float.
#[derive(Debug)]
pub struct Dequantize {
    /// The float for each input byte.
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
        other => Err(c.error(format!("{other} is not supported, only int8 and uint8"))),
    }
}

pub(super) fn quantize(c: Context<'_>) -> Result<Quantize, Error> {
    let id = c.output(0)?;
    c.expect_shape(id, c.shape(c.input(0)?))?;
    let (qmin, qmax) = type_range(c, c.tensor(id).dtype)?;
    let output = c.affine(id)?;
    let (lowest, highest) = (order_key(f32::MIN), order_key(f32::MAX));
    let keys = (0..255)
        .map(|i| {
            // The first finite float that quantizes above qmin + i; quantization is monotonic, so bisect on the keys.
            let above =
                |key: u32| quantize_value(from_order_key(key), output, qmin, qmax) > qmin + i;
            if !above(highest) {
                return u32::MAX;
            }
            let (mut low, mut high) = (lowest, highest);
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
    Ok(Quantize { output, qmin, keys })
}

pub(super) fn requantize(c: Context<'_>) -> Result<Table, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_shape(output, c.shape(input))?;
    type_range(c, c.tensor(input).dtype)?;
    let (qmin, qmax) = type_range(c, c.tensor(output).dtype)?;
    let (from, to) = (c.affine(input)?, c.affine(output)?);
    let multiplier = c.multiplier(f64::from(from.scale) / f64::from(to.scale))?;
    let signed = c.tensor(input).dtype == DType::I8;
    let bytes = (0..=255u8)
        .map(|byte| {
            let q = if signed {
                i32::from(byte as i8)
            } else {
                i32::from(byte)
            };
            let scaled = multiplier
                .apply(q - from.zero_point)
                .saturating_add(to.zero_point);
            scaled.clamp(qmin, qmax) as u8
        })
        .collect();
    Ok(Table { bytes })
}

pub(super) fn dequantize(c: Context<'_>) -> Result<Dequantize, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_dtype(output, DType::F32)?;
    c.expect_shape(output, c.shape(input))?;
    type_range(c, c.tensor(input).dtype)?;
    let affine = c.affine(input)?;
    let signed = c.tensor(input).dtype == DType::I8;
    Ok(Dequantize {
        table: table(affine, signed),
    })
}

/// The real value of each byte.
pub fn table(affine: Affine, signed: bool) -> Vec<f32> {
    (0..=255u8)
        .map(|byte| {
            let q = if signed {
                i32::from(byte as i8)
            } else {
                i32::from(byte)
            };
            (f64::from(affine.scale) * f64::from(q - affine.zero_point)) as f32
        })
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
