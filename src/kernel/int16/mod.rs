//! Kernels of models whose activations are int16 with zero point 0 and whose weights are int8 ("16x8"), as LiteRT's
//! reference kernels compute them. What only moves elements, and QUANTIZE, serve int16 as well and are not here.

mod conv;

pub(super) use conv::convolution;
pub use conv::{ConvI16, Scales};

use super::conv::geometry;
use super::{Context, Conv, Kernel, fully_connected};
use crate::graph::{Activation, Error, Op, TensorId};
use crate::num::{Affine, DType};

/// Prepared parameters of an operator whose first input is int16.
#[derive(Debug)]
pub enum Int16 {
    /// Windows, or rows, times int8 weights.
    Conv(ConvI16),
}

/// The kernel of a node whose first input is int16; `None` where those of all types serve.
pub(super) fn prepare(c: Context<'_>) -> Result<Option<Kernel>, Error> {
    let int16 = match &c.node.op {
        Op::Conv2d(w) => Int16::Conv(window(c, w, Conv::Full)?),
        Op::DepthwiseConv2d(w) => Int16::Conv(window(c, w, Conv::Depthwise)?),
        Op::FullyConnected { activation } => {
            c.expect_dtype(c.output(0)?, DType::I16)?;
            let shape = fully_connected::shape(c)?;
            Int16::Conv(conv::fully_connected(c, shape, *activation)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(Kernel::Int16(int16)))
}

impl Int16 {
    /// Products in the sum of one result.
    pub fn depth(&self) -> usize {
        match self {
            Int16::Conv(k) if k.kind == Conv::Depthwise => {
                (k.shape.k_h as usize).saturating_mul(k.shape.k_w as usize)
            }
            Int16::Conv(k) => k.shape.depth(),
        }
    }

    /// Operations for one sample whose output has so many elements.
    pub fn operations(&self, elements: u64) -> u64 {
        match self {
            Int16::Conv(_) => elements * 2 * self.depth() as u64,
        }
    }
}

fn window(c: Context<'_>, window: &crate::graph::Window, kind: Conv) -> Result<ConvI16, Error> {
    let shape = geometry(c, window, kind)?;
    let ids = [c.input(0)?, c.input(1)?, c.output(0)?];
    c.expect_dtype(ids[2], DType::I16)?;
    let weights = c.i8s(ids[1])?;
    convolution(c, (kind, shape, weights), ids, 2, window.activation)
}

/// The scale of an int16 tensor, whose zero point must be 0.
fn symmetric(c: Context<'_>, id: TensorId) -> Result<f32, Error> {
    c.expect_dtype(id, DType::I16)?;
    let Affine { scale, zero_point } = c.affine(id)?;
    if zero_point != 0 {
        return Err(c.error(format!(
            "{} has zero point {zero_point}; LiteRT demands 0 for int16",
            c.graph.describe(id)
        )));
    }
    Ok(scale)
}

/// The clamp of an int16 output with a fused activation.
fn bounds(c: Context<'_>, activation: Activation, scale: f32) -> Result<(i32, i32), Error> {
    let output = Affine {
        scale,
        zero_point: 0,
    };
    c.bounds_within(activation, output, (-32768, 32767))
}
