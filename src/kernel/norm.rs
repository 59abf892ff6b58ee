//! L2_NORMALIZATION and LOG_SOFTMAX over the last dimension.

use super::softmax::{Softmax, shape};
use super::{Context, Kernel};
use crate::graph::Error;
use crate::num::{DType, Multiplier, Rounding, fixed, gemmlowp};

/// Vectors of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L2Norm {
    /// Vectors.
    pub rows: usize,
    /// Elements of a vector.
    pub depth: usize,
    /// Zero point of the input (int8 only).
    pub zero_point: i32,
    /// How products are rounded (int8 only).
    pub rounding: Rounding,
}

/// The int8 LOG_SOFTMAX. The output of an element at distance d from its row's maximum is
/// `rounded((scaled[d] − log of the sum) / 2^22) + 127`, or −128 where it is too far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSoftmaxI8 {
    /// Sizes.
    pub shape: Rows,
    /// −d as Q5.26 for d = 0 … 255.
    pub scaled: Vec<i32>,
    /// exp(−d) as Q12.19, 0 where LiteRT leaves the element out of the sum.
    pub exp: Vec<i32>,
    /// Distances beyond this one are too far, whatever the sum.
    pub farthest: i32,
    /// From Q5.26 back to steps of the input.
    pub reverse: Multiplier,
}

/// Rows and depth, without SOFTMAX's factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rows {
    /// Vectors.
    pub rows: usize,
    /// Elements of a vector.
    pub depth: usize,
}

pub(super) fn l2(c: Context<'_>) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let Softmax { rows, depth, .. } = shape(c, 1.0)?;
    let dtype = c.tensor(input).dtype;
    c.expect_dtype(output, dtype)?;
    let mut k = L2Norm {
        rows,
        depth,
        zero_point: 0,
        rounding: c.numerics.rounding(),
    };
    if dtype == DType::F32 {
        return Ok(Kernel::L2NormF32(k));
    }
    c.expect_dtype(input, DType::I8)?;
    let to = c.affine(output)?;
    if to.scale != 1.0 / 128.0 || to.zero_point != 0 {
        return Err(c.error(format!(
            "its int8 output has scale {} and zero point {}; LiteRT demands 1/128 and 0",
            to.scale, to.zero_point
        )));
    }
    if depth > 1 << 15 {
        return Err(c.error("its vectors are longer than the sums of squares can be"));
    }
    k.zero_point = c.affine(input)?.zero_point;
    Ok(Kernel::L2NormI8(k))
}

pub(super) fn log_softmax(c: Context<'_>) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let sizes = shape(c, 1.0)?;
    let dtype = c.tensor(input).dtype;
    c.expect_dtype(output, dtype)?;
    if dtype == DType::F32 {
        return Ok(Kernel::LogSoftmaxF32(sizes));
    }
    c.expect_dtype(input, DType::I8)?;
    let to = c.affine(output)?;
    if to.scale != 16.0 / 256.0 || to.zero_point != 127 {
        return Err(c.error(format!(
            "its int8 output has scale {} and zero point {}; LiteRT demands 16/256 and 127",
            to.scale, to.zero_point
        )));
    }
    /// Integer bits of the scaled distance.
    const INTEGER_BITS: u32 = 5;
    /// Integer bits of the sum.
    const SUM_BITS: i32 = 12;
    let scale = f64::from(c.affine(input)?.scale);
    let real = (scale * f64::from(1u32 << (31 - INTEGER_BITS))).min((1u64 << 31) as f64 - 1.0);
    if real <= 1.0 {
        return Err(c.error(format!(
            "input scale {scale} is too small for its int8 kernel"
        )));
    }
    let multiplier = c.multiplier(real)?;
    let divisor = f64::from(1u32 << (31 - multiplier.shift)) / f64::from(multiplier.mantissa);
    let reverse = c.multiplier(divisor)?;
    let radius = f64::from((1u32 << INTEGER_BITS) - 1) * f64::from(1u32 << (31 - INTEGER_BITS))
        / 2f64.powi(multiplier.shift);
    let farthest = radius.floor() as i32;
    let scaled: Vec<i32> = (0..256).map(|d: i32| multiplier.apply(-d)).collect();
    let exp = scaled.iter().enumerate().map(|(d, &x)| {
        if d as i32 > farthest {
            return 0;
        }
        let e = gemmlowp::exp_on_negative::<32>(x, INTEGER_BITS);
        fixed::rounding_divide_by_pot(e, SUM_BITS)
    });
    Ok(Kernel::LogSoftmaxI8(LogSoftmaxI8 {
        shape: Rows {
            rows: sizes.rows,
            depth: sizes.depth,
        },
        exp: exp.collect(),
        scaled,
        farthest,
        reverse,
    }))
}
