//! SOFTMAX over the last dimension; the int8 kernel's exponentials are a table of the 256 possible differences.

use super::Context;
use crate::graph::Error;
use crate::num::{DType, gemmlowp};

/// Sizes and factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Softmax {
    /// Vectors in one sample.
    pub rows: usize,
    /// Elements of a vector.
    pub depth: usize,
    /// Factor on the logits.
    pub beta: f32,
}

/// The int8 kernel: exp as Q0.31 by distance to the row's maximum.
#[derive(Debug)]
pub struct SoftmaxI8 {
    /// Sizes.
    pub shape: Softmax,
    /// `exp[d]` = exp(−d · scale · beta) in Q0.31 for d = 0 … 255; 0 where LiteRT skips the element.
    ///
    /// A skipped element gives −128 and adds nothing to the sum, exactly what a 0 gives.
    pub exp: Vec<i32>,
}

pub(super) fn f32(c: Context<'_>, beta: f32) -> Result<Softmax, Error> {
    c.expect_dtype(c.output(0)?, DType::F32)?;
    shape(c, beta)
}

pub(super) fn i8(c: Context<'_>, beta: f32) -> Result<SoftmaxI8, Error> {
    /// Integer bits of the scaled difference (Q5.26), from the reference kernel.
    const INTEGER_BITS: u32 = 5;
    let output = c.output(0)?;
    c.expect_dtype(output, DType::I8)?;
    let parameters = c.affine(output)?;
    if parameters.zero_point != -128 || (parameters.scale - 1.0 / 256.0).abs() > 0.001 / 256.0 {
        return Err(c.error(format!(
            "its int8 output has scale {} and zero point {}; LiteRT demands 1/256 and -128",
            parameters.scale, parameters.zero_point
        )));
    }
    let shape = shape(c, beta)?;
    let scale = f64::from(c.affine(c.input(0)?)?.scale);
    let real = (f64::from(beta) * scale * f64::from(1u32 << (31 - INTEGER_BITS)))
        .min((1u64 << 31) as f64 - 1.0);
    if real.is_nan() || real <= 1.0 {
        return Err(c.error(format!(
            "beta {beta} and input scale {scale} are outside of what the int8 kernel can take"
        )));
    }
    let multiplier = c.multiplier(real)?;
    let radius = f64::from((1u32 << INTEGER_BITS) - 1) * f64::from(1u32 << (31 - INTEGER_BITS))
        / 2f64.powi(multiplier.shift);
    let farthest = radius.floor() as i32;
    let exp = (0..256)
        .map(|distance: i32| {
            if distance > farthest {
                return 0;
            }
            gemmlowp::exp_on_negative::<32>(multiplier.apply(-distance), INTEGER_BITS)
        })
        .collect();
    Ok(SoftmaxI8 { shape, exp })
}

pub(super) fn shape(c: Context<'_>, beta: f32) -> Result<Softmax, Error> {
    let input = c.input(0)?;
    c.expect_shape(c.output(0)?, c.shape(input))?;
    let depth = *c
        .shape(input)
        .last()
        .ok_or_else(|| c.error("its input is a scalar"))?;
    if depth == 0 {
        return Err(c.error("its last dimension is 0"));
    }
    Ok(Softmax {
        rows: c.graph.elements(input) / depth,
        depth,
        beta,
    })
}
