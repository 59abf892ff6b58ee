//! ADD: elementwise with broadcasting, as strides over the output's dimensions.

use super::{Context, u32_of};
use crate::graph::{Activation, Error, TensorId};
use crate::num::{DType, Multiplier};

/// Most dimensions LiteRT broadcasts over.
pub const MAX_RANK: usize = 6;

/// Shape of the output and how each operand walks along it; also the float kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Add {
    /// Output dimensions, outermost first, padded with 1 at the front.
    pub dims: [u32; MAX_RANK],
    /// Step of each operand along each dimension; 0 where it is broadcast.
    pub strides: [[u32; MAX_RANK]; 2],
    /// Whether both operands have the output's shape.
    pub same_shape: bool,
    /// Bounds of the fused activation (float only).
    pub bounds: (f32, f32),
}

/// The int8 kernel: both operands are brought to a common scale with 20 more bits.
#[derive(Debug)]
pub struct AddI8 {
    /// Shapes.
    pub shape: Add,
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

pub(super) fn f32(c: Context<'_>, activation: Activation) -> Result<Add, Error> {
    c.expect_dtype(c.input(1)?, DType::F32)?;
    c.expect_dtype(c.output(0)?, DType::F32)?;
    broadcast(c, activation)
}

pub(super) fn i8(c: Context<'_>, activation: Activation) -> Result<AddI8, Error> {
    let (a, b, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    c.expect_dtype(b, DType::I8)?;
    c.expect_dtype(output, DType::I8)?;
    let shape = broadcast(c, activation)?;
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

fn broadcast(c: Context<'_>, activation: Activation) -> Result<Add, Error> {
    let (a, b, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    let out = c.shape(output);
    // The size of dimension `i` of the output in an operand, whose missing outer dimensions count as 1.
    let size_in = |id: TensorId, i: usize| {
        let shape = c.shape(id);
        (i + shape.len())
            .checked_sub(out.len())
            .map_or(1, |j| shape[j])
    };
    let fits = |i: usize| {
        let (in_a, in_b) = (size_in(a, i), size_in(b, i));
        let expected = if in_a == 1 { in_b } else { in_a };
        out[i] == expected && (in_b == 1 || in_b == expected)
    };
    // The ranks first: a scalar has no dimension that could tell.
    if c.shape(a).len().max(c.shape(b).len()) != out.len() || !(0..out.len()).all(fits) {
        return Err(c.error(format!(
            "shapes {:?} and {:?} do not broadcast to {out:?}",
            c.shape(a),
            c.shape(b)
        )));
    }
    let same_shape = c.shape(a) == out && c.shape(b) == out;
    let wide: Vec<usize> = (0..out.len()).filter(|&i| out[i] != 1).collect();
    if wide.len() > MAX_RANK && !same_shape {
        return Err(c.error(format!(
            "it broadcasts over {} dimensions, more than {MAX_RANK}",
            wide.len()
        )));
    }
    let mut add = Add {
        dims: [1; MAX_RANK],
        strides: [[0; MAX_RANK]; 2],
        same_shape,
        bounds: activation.bounds(),
    };
    if same_shape {
        add.dims[MAX_RANK - 1] = u32_of(out.iter().product());
        add.strides = [[0, 0, 0, 0, 0, 1]; 2];
        return Ok(add);
    }
    let mut steps = [1usize; 2];
    for (back, &i) in wide.iter().rev().enumerate() {
        let d = MAX_RANK - 1 - back;
        add.dims[d] = u32_of(out[i]);
        for (operand, id) in [a, b].into_iter().enumerate() {
            let size = size_in(id, i);
            add.strides[operand][d] = if size == 1 { 0 } else { u32_of(steps[operand]) };
            steps[operand] *= size;
        }
    }
    Ok(add)
}
