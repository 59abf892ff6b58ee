//! QUANTIZE, requantization and DEQUANTIZE.

use crate::kernel::{Dequantize, Quantize, Requantize};
use crate::num::{DType, Values, affine};

/// Float to 8 bits.
pub fn quantize(k: &Quantize, x: &[f32], dtype: DType) -> Values {
    let q = |&x: &f32| affine::quantize(x, k.output, k.qmin, k.qmin + 255);
    match dtype {
        DType::I8 => Values::I8(x.iter().map(|x| q(x) as i8).collect()),
        _ => Values::U8(x.iter().map(|x| q(x) as u8).collect()),
    }
}

/// 8 bits to 8 bits.
pub fn requantize(k: &Requantize, x: &[u8], dtype: DType) -> Values {
    let bytes = x.iter().map(|&b| k.table[usize::from(b)]);
    match dtype {
        DType::I8 => Values::I8(bytes.map(|b| b as i8).collect()),
        _ => Values::U8(bytes.collect()),
    }
}

/// 8 bits to float.
pub fn dequantize(k: &Dequantize, x: &[u8]) -> Values {
    Values::F32(x.iter().map(|&b| k.table[usize::from(b)]).collect())
}
