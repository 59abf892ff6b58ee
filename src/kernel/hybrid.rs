//! Operators of dynamic range models: float activations, int8 weights. LiteRT calls their kernels hybrid: each quantizes
//! its input as it runs, a row at a time, multiplies integers, and makes floats of the sums again.
//!
//! Here they are three kernels: [`RowQuantize`] makes whole numbers of a row and tells its scale, the float product that
//! there is anyway multiplies them, [`RowScale`] brings the sums back. Whole numbers below 2²⁴ are exact in float32, in
//! any order, so the sums are those of integers while 255 · Σ|w| of a row of weights stays below that. Beyond, they are
//! off by roundings of float32, as LiteRT's are when it turns its int32 into a float.

use super::conv::{Conv, geometry};
use super::fully_connected;
use super::lstm;
use super::stage::{Between, Stage};
use super::{Context, ConvF32, FullyConnected, FullyConnectedF32, Kernel};
use crate::graph::{Activation, Error, Lstm, Window};
use crate::num::DType;

/// Rows of floats as whole numbers: a row's q − zero point, −255 … 255, and its scale.
///
/// The range of an asymmetric row is widened to contain 0, scale = (max − min) / 255, and the zero point follows from
/// that end of the range which gives the smaller rounding error. A symmetric row has the scale max |x| / 127. In both,
/// q = round(x · (1 / scale)) + zero point. [`RowParameters`](crate::num::RowParameters) has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowQuantize {
    /// Rows of one sample.
    pub rows: usize,
    /// Elements of a row.
    pub depth: usize,
    /// Whether the zero point is 0.
    pub symmetric: bool,
}

/// Sums of whole numbers as floats: sum · weight scale · row scale + bias, each operation rounded on its own, in the order
/// of LiteRT's kernels.
#[derive(Clone, Debug, PartialEq)]
pub struct RowScale {
    /// Rows of one sample that have a scale of their own.
    pub rows: usize,
    /// Whether the sum is multiplied by one scale after the other; else by their product.
    pub one_by_one: bool,
    /// One a channel.
    pub scales: Vec<f32>,
    /// One a channel.
    pub bias: Vec<f32>,
    /// Bounds of the fused activation.
    pub bounds: (f32, f32),
}

/// What the recurrent part of a hybrid LSTM needs beyond that of a float one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HybridLstm {
    /// Scales of the recurrent weights, one a gate.
    pub scales: [f32; 4],
    /// Whether hidden states are quantized symmetrically.
    pub symmetric: bool,
}

/// No activation.
const OPEN: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// Whether input `place` is a constant of int8, while the node's first input is float.
pub(super) fn is_hybrid(c: Context<'_>, input: usize, place: usize) -> bool {
    let dtype = |i: usize| c.optional_input(i).map(|id| c.tensor(id).dtype);
    dtype(input) == Some(DType::F32) && dtype(place) == Some(DType::I8)
}

/// int8 weights as floats.
fn whole(weights: Vec<i8>) -> Vec<f32> {
    weights.into_iter().map(f32::from).collect()
}

impl RowQuantize {
    /// The stage that quantizes the node's first input. It writes the tensors 0, codes, and 1, scales.
    fn stage(self, c: Context<'_>) -> Result<Stage, Error> {
        let input = c.tensor(c.input(0)?);
        let float = |what: &str, shape: Vec<usize>| Between {
            name: format!("{what} of {}", input.name),
            shape,
            dtype: DType::F32,
            quantization: None,
        };
        Ok(Stage {
            kernel: Kernel::RowQuantize(self),
            reads: Vec::new(),
            writes: vec![
                float("codes", input.shape.clone()),
                float("scales", vec![self.rows]),
            ],
        })
    }
}

/// A product of the codes, which writes tensor 2.
fn product(c: Context<'_>, kernel: Kernel, shape: Vec<usize>) -> Result<Stage, Error> {
    Ok(Stage {
        kernel,
        reads: vec![0],
        writes: vec![Between {
            name: format!("sums of {}", c.tensor(c.output(0)?).name),
            shape,
            dtype: DType::F32,
            quantization: None,
        }],
    })
}

/// The stage that brings sums back, into `writes` or the node's output.
fn scaled(scale: RowScale, writes: Vec<Between>) -> Stage {
    Stage {
        kernel: Kernel::RowScale(scale),
        reads: vec![2, 1],
        writes,
    }
}

/// CONV_2D and DEPTHWISE_CONV_2D; a row is an image.
pub(super) fn conv(c: Context<'_>, window: &Window, kind: Conv) -> Result<Vec<Stage>, Error> {
    let shape = geometry(c, window, kind)?;
    let (filter, output) = (c.input(1)?, c.output(0)?);
    c.expect_dtype(output, DType::F32)?;
    let (channels, axis) = (shape.out_c as usize, if kind == Conv::Full { 0 } else { 3 });
    let scales = c.weight_scales(filter, channels, axis)?;
    let codes = RowQuantize {
        rows: shape.batch as usize,
        depth: (shape.in_h as usize) * (shape.in_w as usize) * (shape.in_c as usize),
        // LiteRT has another CONV_2D for weights with one scale, however often the file says it.
        symmetric: kind == Conv::Full && scales.windows(2).all(|pair| pair[0] == pair[1]),
    };
    let sums = ConvF32 {
        shape,
        weights: whole(c.i8s(filter)?),
        bias: vec![0.0; channels],
        bounds: OPEN,
    };
    let sums = match kind {
        Conv::Full => Kernel::ConvF32(sums),
        Conv::Depthwise => Kernel::DepthwiseF32(sums),
    };
    let scale = RowScale {
        rows: codes.rows,
        one_by_one: !codes.symmetric && kind == Conv::Full,
        scales,
        bias: c.bias_f32(2, channels)?,
        bounds: window.activation.bounds(),
    };
    Ok(vec![
        codes.stage(c)?,
        product(c, sums, c.shape(output).to_vec())?,
        scaled(scale, Vec::new()),
    ])
}

/// FULLY_CONNECTED.
pub(super) fn dense(
    c: Context<'_>,
    activation: Activation,
    asymmetric: bool,
) -> Result<Vec<Stage>, Error> {
    let shape = fully_connected::shape(c)?;
    let (filter, output) = (c.input(1)?, c.output(0)?);
    c.expect_dtype(output, DType::F32)?;
    let codes = RowQuantize {
        rows: shape.rows,
        depth: shape.depth,
        symmetric: !asymmetric,
    };
    let sums = FullyConnectedF32 {
        shape,
        weights: whole(c.i8s(filter)?),
        bias: vec![0.0; shape.units],
        bounds: OPEN,
    };
    let scale = RowScale {
        rows: shape.rows,
        one_by_one: false,
        scales: c.weight_scales(filter, shape.units, 0)?,
        bias: c.bias_f32(2, shape.units)?,
        bounds: activation.bounds(),
    };
    Ok(vec![
        codes.stage(c)?,
        product(c, Kernel::FullyConnectedF32(sums), c.shape(output).to_vec())?,
        scaled(scale, Vec::new()),
    ])
}

/// UNIDIRECTIONAL_SEQUENCE_LSTM: the input is projected like a FULLY_CONNECTED; hidden states are quantized step by step.
pub(super) fn lstm(c: Context<'_>, a: &Lstm) -> Result<Vec<Stage>, Error> {
    let layer = lstm::hybrid(c, a)?;
    let s = layer.kernel.shape;
    let (rows, units) = (s.rows(), 4 * s.cells);
    let codes = RowQuantize {
        rows,
        depth: s.input,
        symmetric: !a.asymmetric,
    };
    let sums = FullyConnectedF32 {
        shape: FullyConnected {
            rows,
            depth: s.input,
            units,
        },
        weights: whole(layer.input_weights),
        bias: vec![0.0; units],
        bounds: OPEN,
    };
    let scale = RowScale {
        rows,
        one_by_one: false,
        scales: layer.input_scales,
        bias: layer.kernel.bias.clone(),
        bounds: OPEN,
    };
    let gates = Between {
        name: format!("gates of {}", c.tensor(c.output(0)?).name),
        shape: vec![rows, units],
        dtype: DType::F32,
        quantization: None,
    };
    let recurrence = Stage {
        kernel: Kernel::LstmF32(layer.kernel),
        reads: vec![3],
        writes: Vec::new(),
    };
    Ok(vec![
        codes.stage(c)?,
        product(c, Kernel::FullyConnectedF32(sums), vec![rows, units])?,
        scaled(scale, vec![gates]),
        recurrence,
    ])
}
