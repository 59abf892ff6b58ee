//! SOFTMAX of int16 (`SoftmaxInt16` of `internal/reference/softmax.h`): exp and 1 / (1 + x) by tables with interpolation.

use super::lut::{self, Lut};
use crate::graph::Error;
use crate::kernel::{Context, Softmax, softmax};
use crate::num::Multiplier;

/// SOFTMAX of int16.
#[derive(Debug)]
pub struct SoftmaxI16 {
    /// Sizes.
    pub shape: Softmax,
    /// Brings a distance from the row's maximum to 10 / 65535.
    pub multiplier: Multiplier,
    /// exp from −10 to 0 as Q0.15.
    pub exp: Lut,
    /// 1 / (1 + x) from 0 to 1 as Q0.15.
    pub reciprocal: Lut,
}

pub(super) fn prepare(c: Context<'_>, beta: f32) -> Result<SoftmaxI16, Error> {
    let (from, to) = (
        super::symmetric(c, c.input(0)?)?,
        super::symmetric(c, c.output(0)?)?,
    );
    if (to - 1.0 / 32768.0).abs() > 0.001 / 32768.0 {
        return Err(c.error(format!(
            "its int16 output has scale {to}; LiteRT demands 1/32768"
        )));
    }
    let shape = softmax::shape(c, beta)?;
    if shape.depth > 1 << 16 {
        return Err(c.error("its rows have more than 65536 elements"));
    }
    let range = 65535.0;
    Ok(SoftmaxI16 {
        shape,
        multiplier: c.multiplier(f64::from(from * beta) / (10.0 / range))?,
        exp: lut::double((10.0 / range, 32767), 2.0 / range, f64::exp),
        reciprocal: lut::double((1.0 / range, -32768), 2.0 / range, |x| 1.0 / (1.0 + x)),
    })
}

impl SoftmaxI16 {
    /// exp of a distance of 0 or less, as Q0.15.
    pub fn exp(&self, difference: i32) -> i32 {
        let scaled = self.multiplier.apply(difference).wrapping_add(32767);
        lut::lookup(&self.exp, scaled.clamp(-32768, 32767) as i16).into()
    }

    /// 1 / sum as Q0.15, and how far a product with it goes to the right.
    pub fn reciprocal(&self, sum: i32) -> (i32, u32) {
        let zeros = sum.leading_zeros().max(1);
        let shifted = ((i64::from(sum) << (zeros - 1)) + (1 << 13)) >> 14;
        let centred = (shifted - (1 << 15) - (1 << 16)).clamp(-32768, 32767);
        let reciprocal = lut::lookup(&self.reciprocal, centred as i16);
        (reciprocal.into(), 31u32.saturating_sub(zeros).max(1))
    }
}
