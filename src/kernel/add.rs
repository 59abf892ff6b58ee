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
    if out.len() > MAX_RANK {
        return Err(c.error(format!(
            "rank {} is more than LiteRT broadcasts ({MAX_RANK})",
            out.len()
        )));
    }
    let mut dims = [1u32; MAX_RANK];
    for (d, &size) in dims[MAX_RANK - out.len()..].iter_mut().zip(out) {
        *d = u32_of(size);
    }
    let strides_of = |id: TensorId| -> Result<[u32; MAX_RANK], Error> {
        let shape = c.shape(id);
        let mut strides = [0u32; MAX_RANK];
        let mut step = 1usize;
        for (back, &size) in shape.iter().rev().enumerate() {
            let want = out.len().checked_sub(back + 1).map(|i| out[i]);
            match want {
                Some(want) if want == size => {}
                Some(_) if size == 1 => {}
                _ => {
                    return Err(c.error(format!("shape {shape:?} does not broadcast to {out:?}")));
                }
            }
            if size != 1 {
                strides[MAX_RANK - 1 - back] = u32_of(step);
            }
            step *= size;
        }
        Ok(strides)
    };
    let broadcast_shape: Vec<usize> = (0..out.len())
        .map(|i| {
            let at = |id: TensorId| {
                let s = c.shape(id);
                (i + s.len()).checked_sub(out.len()).map_or(1, |j| s[j])
            };
            if at(a) == 1 { at(b) } else { at(a) }
        })
        .collect();
    if broadcast_shape != out {
        return Err(c.error(format!(
            "its output has shape {out:?}, expected {broadcast_shape:?}"
        )));
    }
    Ok(Add {
        dims,
        strides: [strides_of(a)?, strides_of(b)?],
        same_shape: c.shape(a) == out && c.shape(b) == out,
        bounds: activation.bounds(),
    })
}
