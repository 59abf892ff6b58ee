//! ADD and SUB of int8: both operands are brought to a common scale with 20 more bits.

use super::Context;
use super::broadcast::{Broadcast, broadcast};
use crate::graph::{Activation, Error};
use crate::num::{DType, Multiplier};

/// An int8 sum or difference.
#[derive(Debug)]
pub struct AddI8 {
    /// Shapes.
    pub shape: Broadcast<2>,
    /// Whether the second operand is taken off.
    pub subtract: bool,
    /// Zero points of the operands.
    pub input_zero_points: [i32; 2],
    /// To the common scale.
    pub input_multipliers: [Multiplier; 2],
    /// From the common scale.
    pub output_multiplier: Multiplier,
    /// Zero point of the output.
    pub output_zero_point: i32,
    /// Clamp of the output.
    pub bounds: (i32, i32),
}

/// Left shift of the operands before they are scaled.
pub const LEFT_SHIFT: u32 = 20;

pub(super) fn i8(c: Context<'_>, activation: Activation, subtract: bool) -> Result<AddI8, Error> {
    let (a, b, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    c.expect_dtype(b, DType::I8)?;
    c.expect_dtype(output, DType::I8)?;
    let shape = broadcast(c, [a, b])?;
    let (a, b, output) = (c.affine(a)?, c.affine(b)?, c.affine(output)?);
    // Single precision where LiteRT has it: the larger scale is doubled in float.
    let twice_largest = f64::from(2.0 * a.scale.max(b.scale));
    let to_output = twice_largest / f64::from((1u32 << LEFT_SHIFT) as f32 * output.scale);
    if to_output >= 1.0 {
        return Err(c.error(format!(
            "its output scale {} is over a million times smaller than its inputs'",
            output.scale
        )));
    }
    Ok(AddI8 {
        shape,
        subtract,
        input_zero_points: [a.zero_point, b.zero_point],
        input_multipliers: [
            c.multiplier(f64::from(a.scale) / twice_largest)?,
            c.multiplier(f64::from(b.scale) / twice_largest)?,
        ],
        output_multiplier: c.multiplier(to_output)?,
        output_zero_point: output.zero_point,
        bounds: c.quantized_bounds(activation, output)?,
    })
}
