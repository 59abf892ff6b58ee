//! FULLY_CONNECTED: weights `[units, depth]`, the input's elements as rows of `depth`.

use super::{Context, Numerics};
use crate::graph::{Activation, Error};
use crate::num::{DType, Multiplier, Rounding};

/// Sizes of the product in one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullyConnected {
    /// Rows of the input.
    pub rows: usize,
    /// Elements in a row.
    pub depth: usize,
    /// Outputs a row.
    pub units: usize,
}

/// A float product.
#[derive(Debug)]
pub struct FullyConnectedF32 {
    /// Sizes.
    pub shape: FullyConnected,
    /// `[units, depth]`.
    pub weights: Vec<f32>,
    /// One a unit.
    pub bias: Vec<f32>,
    /// Bounds of the fused activation.
    pub bounds: (f32, f32),
}

/// An int8 product.
#[derive(Debug)]
pub struct FullyConnectedI8 {
    /// Sizes.
    pub shape: FullyConnected,
    /// `[units, depth]`.
    pub weights: Vec<i8>,
    /// One a unit.
    pub bias: Vec<i32>,
    /// One a unit: input scale · weight scale / output scale.
    ///
    /// LiteRT's reference kernel multiplies the accumulator by this double and rounds half away from zero, unlike all
    /// its other int8 kernels, which use a 32-bit multiplier.
    pub scales: Vec<f64>,
    /// What other runtimes multiply by in its place; one a unit, or none.
    pub multipliers: Option<Vec<Multiplier>>,
    /// Zero point of the input.
    pub input_zero_point: i32,
    /// Zero point of the output.
    pub output_zero_point: i32,
    /// Clamp of the output.
    pub bounds: (i32, i32),
}

pub(super) fn f32(c: Context<'_>, activation: Activation) -> Result<FullyConnectedF32, Error> {
    let shape = shape(c)?;
    c.expect_dtype(c.output(0)?, DType::F32)?;
    Ok(FullyConnectedF32 {
        shape,
        weights: c.f32s(c.input(1)?)?,
        bias: c.bias_f32(2, shape.units)?,
        bounds: activation.bounds(),
    })
}

pub(super) fn i8(c: Context<'_>, activation: Activation) -> Result<FullyConnectedI8, Error> {
    let shape = shape(c)?;
    let (filter, output) = (c.input(1)?, c.output(0)?);
    c.expect_dtype(output, DType::I8)?;
    let (input, output) = (c.affine(c.input(0)?)?, c.affine(output)?);
    let weight_scales = c.weight_scales(filter, shape.units, 0)?;
    let (multipliers, bounds) = match c.numerics {
        Numerics::Reference => (None, c.quantized_bounds(activation, output)?),
        _ => {
            let (multipliers, bounds) = c.requantize(input, &weight_scales, output, activation)?;
            // XNNPACK may have left it to the reference kernel.
            let other = multipliers.iter().all(|m| m.rounding != Rounding::Double);
            (other.then_some(multipliers), bounds)
        }
    };
    let scales = weight_scales
        .into_iter()
        .map(|scale| f64::from(input.scale) * f64::from(scale) / f64::from(output.scale))
        .collect();
    Ok(FullyConnectedI8 {
        shape,
        weights: c.i8s(filter)?,
        bias: c.bias_i32(2, shape.units)?,
        scales,
        multipliers,
        input_zero_point: input.zero_point,
        output_zero_point: output.zero_point,
        bounds,
    })
}

impl FullyConnectedI8 {
    /// The output for a finished accumulator.
    pub fn finish(&self, unit: usize, acc: i32) -> i8 {
        let scaled = match &self.multipliers {
            Some(multipliers) => multipliers[unit].apply(acc),
            // The cast saturates where C++ would be undefined.
            None => (f64::from(acc) * self.scales[unit]).round() as i32,
        };
        let scaled = scaled.saturating_add(self.output_zero_point);
        scaled.clamp(self.bounds.0, self.bounds.1) as i8
    }

    /// For devices without doubles: the smallest accumulators that give more than −128, −127, … 126.
    ///
    /// The output is −128 plus the number of levels that are ≤ the accumulator. A level that no accumulator reaches is
    /// left out; as the output grows with the accumulator, such levels are the last ones.
    pub fn levels(&self, unit: usize) -> Vec<i32> {
        let above = |acc: i32, q: i32| i32::from(self.finish(unit, acc)) > q;
        (-128..127)
            .map_while(|q| {
                if !above(i32::MAX, q) {
                    return None;
                }
                let (mut low, mut high) = (i64::from(i32::MIN), i64::from(i32::MAX));
                while low < high {
                    let middle = low + (high - low).div_euclid(2);
                    if above(middle as i32, q) {
                        high = middle;
                    } else {
                        low = middle + 1;
                    }
                }
                Some(low as i32)
            })
            .collect()
    }
}

pub(super) fn shape(c: Context<'_>) -> Result<FullyConnected, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let [units, depth] = c.shape_of_rank::<2>(c.input(1)?)?;
    let elements = c.graph.elements(input);
    if depth == 0 || units == 0 || !elements.is_multiple_of(depth) {
        return Err(c.error(format!(
            "{elements} input elements do not divide into rows of {depth}"
        )));
    }
    let rows = elements / depth;
    c.expect_elements(output, rows * units)?;
    Ok(FullyConnected { rows, depth, units })
}
