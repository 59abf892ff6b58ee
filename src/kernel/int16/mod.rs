//! Kernels of models whose activations are int16 with zero point 0 and whose weights are int8 ("16x8"), as LiteRT's
//! reference kernels compute them. What only moves elements, and QUANTIZE, serve int16 as well and are not here.

mod binary;
mod conv;
mod lut;
mod softmax;
mod unary;

pub use binary::BinaryI16;
pub(super) use conv::convolution;
pub use conv::{ConvI16, Scales};
pub use softmax::SoftmaxI16;

use super::conv::geometry;
use super::{
    Bilinear, Context, Conv, Kernel, MatmulShape, MeanI8, PoolI8, ReduceOf, batch_matmul,
    fully_connected,
};
use crate::graph::{Activation, Error, Op, Reduce, TensorId};
use crate::num::{Affine, DType, Multiplier};

/// Prepared parameters of an operator whose first input is int16.
#[derive(Debug)]
pub enum Int16 {
    /// Windows, or rows, times int8 weights.
    Conv(ConvI16),
    /// Products of activations.
    Matmul(MatmulI16),
    /// A function of two elements.
    Binary(BinaryI16),
    /// A pool, whose input and output have the same scale.
    Pool(PoolI8),
    /// Maximum and minimum along axes.
    Reduce(ReduceOf),
    /// The mean along axes.
    Mean(MeanI8),
    /// Pixels between neighbours.
    Bilinear(Bilinear<i32>),
    /// Softmax.
    Softmax(SoftmaxI16),
}

/// Products of int16 with int16 or int8; sums have 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulI16 {
    /// Sizes.
    pub shape: MatmulShape,
    /// To the output.
    pub multiplier: Multiplier,
}

/// The kernel of a node whose first input is int16; `None` where those of all types serve.
pub(super) fn prepare(c: Context<'_>) -> Result<Option<Kernel>, Error> {
    let int16 = match &c.node.op {
        Op::Conv2d(w) => Int16::Conv(window(c, w, Conv::Full)?),
        Op::DepthwiseConv2d(w) => Int16::Conv(window(c, w, Conv::Depthwise)?),
        Op::FullyConnected { activation, .. } => {
            c.expect_dtype(c.output(0)?, DType::I16)?;
            let shape = fully_connected::shape(c)?;
            Int16::Conv(conv::fully_connected(c, shape, *activation)?)
        }
        Op::BatchMatmul { adj_x, adj_y } => Int16::Matmul(matmul(c, *adj_x, *adj_y)?),
        Op::Softmax { beta } => Int16::Softmax(softmax::prepare(c, *beta)?),
        Op::Binary(op, activation) => return binary::prepare(c, *op, *activation).map(Some),
        Op::Unary(unary) => return unary::prepare(c, *unary).map(Kernel::Table16).map(Some),
        _ => return Ok(None),
    };
    Ok(Some(Kernel::Int16(int16)))
}

/// BATCH_MATMUL.
fn matmul(c: Context<'_>, adj_x: bool, adj_y: bool) -> Result<MatmulI16, Error> {
    let (a, b, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    let scale_b = match c.tensor(b).dtype {
        DType::I8 => c.weight_scales(b, 1, 0)?[0],
        _ => symmetric(c, b)?,
    };
    let (scale_a, to) = (symmetric(c, a)?, symmetric(c, output)?);
    let shape = batch_matmul::shape(c, adj_x, adj_y)?;
    // Single precision up to the division, as LiteRT has it.
    let real = f64::from(scale_a * scale_b) / f64::from(to);
    let multiplier = c.multiplier(real)?;
    if multiplier.shift > 14 || shape.depth > 1 << 16 {
        return Err(c.error(format!(
            "its sums of {} products or its scale ratio {real} are too large",
            shape.depth
        )));
    }
    Ok(MatmulI16 { shape, multiplier })
}

/// A reduction of int16.
pub(super) fn reduce(c: Context<'_>, op: Reduce, shape: super::Axes) -> Result<Int16, Error> {
    let (from, to) = (symmetric(c, c.input(0)?)?, symmetric(c, c.output(0)?)?);
    match op {
        Reduce::Mean => super::reduce::mean(c, shape).map(Int16::Mean),
        Reduce::Max | Reduce::Min if from == to => Ok(Int16::Reduce(ReduceOf { op, shape })),
        Reduce::Max | Reduce::Min => {
            Err(c.error("its input and output have different scales, which LiteRT refuses"))
        }
        _ => Err(c.error("it has no int16 kernel; leave it float")),
    }
}

/// The clamp of an int16 pool.
pub(super) fn pool_bounds(c: Context<'_>, activation: Activation) -> Result<(i32, i32), Error> {
    bounds(c, activation, symmetric(c, c.output(0)?)?)
}

impl Int16 {
    /// Products in the sum of one result.
    pub fn depth(&self) -> usize {
        match self {
            Int16::Conv(k) if k.kind == Conv::Depthwise => {
                (k.shape.k_h as usize).saturating_mul(k.shape.k_w as usize)
            }
            Int16::Conv(k) => k.shape.depth(),
            Int16::Matmul(k) => k.shape.depth as usize,
            Int16::Pool(k) => (k.shape.k_h as usize).saturating_mul(k.shape.k_w as usize),
            _ => 1,
        }
    }

    /// Operations for one sample whose output has so many elements.
    pub fn operations(&self, elements: u64) -> u64 {
        match self {
            Int16::Conv(_) | Int16::Matmul(_) => elements * 2 * self.depth() as u64,
            Int16::Pool(_) => elements * self.depth() as u64,
            Int16::Reduce(k) => elements * u64::from(k.shape.count),
            Int16::Mean(k) => elements * u64::from(k.shape.count),
            Int16::Bilinear(_) => elements * 8,
            Int16::Softmax(_) => elements * 4,
            Int16::Binary(_) => elements,
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
