//! UNIDIRECTIONAL_SEQUENCE_RNN in float and SVDF. Their states are zero at the start of every sample.

use super::Context;
use super::lstm::LstmShape;
use crate::graph::{Activation, Error, RnnActivation};
use crate::num::{DType, Multiplier};

/// A simple recurrent layer.
#[derive(Debug)]
pub struct RnnF32 {
    /// Sizes.
    pub shape: LstmShape,
    /// `[cells, input]`.
    pub input_weights: Vec<f32>,
    /// `[cells, cells]`.
    pub recurrent_weights: Vec<f32>,
    /// `[cells]`.
    pub bias: Vec<f32>,
    /// What becomes of the sums.
    pub activation: RnnActivation,
}

/// An SVDF layer. From a state of zeros, one step sees the last entry of every time filter only.
#[derive(Debug)]
pub struct SvdfF32 {
    /// The model's own batch dimension.
    pub batch: usize,
    /// Elements of an input vector.
    pub input: usize,
    /// Outputs.
    pub units: usize,
    /// Filters of one unit.
    pub rank: usize,
    /// Steps that the state holds.
    pub memory: usize,
    /// `[units · rank, input]`.
    pub feature_weights: Vec<f32>,
    /// `[units · rank, memory]`.
    pub time_weights: Vec<f32>,
    /// `[units]`.
    pub bias: Vec<f32>,
    /// Bounds of the fused activation.
    pub bounds: (f32, f32),
}

/// The integer SVDF layer: int8 input, output and feature weights, int16 time weights and state.
#[derive(Debug)]
pub struct SvdfI8 {
    /// The model's own batch dimension.
    pub batch: usize,
    /// Elements of an input vector.
    pub input: usize,
    /// Outputs.
    pub units: usize,
    /// Filters of one unit.
    pub rank: usize,
    /// Steps that the state holds.
    pub memory: usize,
    /// `[units · rank, input]`.
    pub feature_weights: Vec<i8>,
    /// Of each time filter its last entry, `[units · rank]`.
    pub last_time_weights: Vec<i16>,
    /// `[units]`.
    pub bias: Vec<i32>,
    /// Zero point of the input.
    pub input_zero_point: i32,
    /// To the state.
    pub feature_multiplier: Multiplier,
    /// To the output.
    pub output_multiplier: Multiplier,
    /// Zero point of the output.
    pub output_zero_point: i32,
}

/// The state's tensor, which must be variable.
fn state(c: Context<'_>, dtype: DType, elements: usize) -> Result<(), Error> {
    let id = c.input(4)?;
    c.expect_dtype(id, dtype)?;
    c.expect_elements(id, elements)?;
    if c.tensor(id).variable {
        return Ok(());
    }
    Err(c.error(format!(
        "its state {} is not a variable tensor",
        c.graph.describe(id)
    )))
}

pub(super) fn rnn(
    c: Context<'_>,
    activation: RnnActivation,
    time_major: bool,
) -> Result<RnnF32, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let [first, second, depth] = c.shape_of_rank::<3>(input)?;
    let [cells, _] = c.shape_of_rank::<2>(c.input(1)?)?;
    c.expect_shape(c.input(1)?, &[cells, depth])?;
    c.expect_shape(c.input(2)?, &[cells, cells])?;
    c.expect_dtype(output, DType::F32)?;
    c.expect_shape(output, &[first, second, cells])?;
    let (time, batch) = if time_major {
        (first, second)
    } else {
        (second, first)
    };
    state(c, DType::F32, batch * cells)?;
    Ok(RnnF32 {
        shape: LstmShape {
            time,
            batch,
            input: depth,
            cells,
            time_major,
        },
        input_weights: c.f32s(c.input(1)?)?,
        recurrent_weights: c.f32s(c.input(2)?)?,
        bias: c.bias_f32(3, cells)?,
        activation,
    })
}

/// Batch, input, units and memory of an SVDF layer whose state is of this type.
fn svdf_shape(c: Context<'_>, rank: usize, state_type: DType) -> Result<[usize; 4], Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let [batch, depth] = c.shape_of_rank::<2>(input)?;
    let [filters, _] = c.shape_of_rank::<2>(c.input(1)?)?;
    let [_, memory] = c.shape_of_rank::<2>(c.input(2)?)?;
    if !filters.is_multiple_of(rank) || memory == 0 {
        return Err(c.error(format!(
            "{filters} filters do not divide into a rank of {rank}"
        )));
    }
    let units = filters / rank;
    c.expect_shape(c.input(1)?, &[filters, depth])?;
    c.expect_shape(c.input(2)?, &[filters, memory])?;
    c.expect_shape(output, &[batch, units])?;
    state(c, state_type, batch * memory * filters)?;
    Ok([batch, depth, units, memory])
}

pub(super) fn svdf_i8(
    c: Context<'_>,
    rank: usize,
    activation: Activation,
) -> Result<SvdfI8, Error> {
    let [batch, input, units, memory] = svdf_shape(c, rank, DType::I16)?;
    if activation != Activation::Relu {
        // It demands it, and does not compute it.
        return Err(c.error("LiteRT's int8 kernel demands the activation RELU"));
    }
    c.expect_dtype(c.output(0)?, DType::I8)?;
    let scale = |i: usize| -> Result<f32, Error> { Ok(c.affine(c.input(i)?)?.scale) };
    let (from, to) = (c.affine(c.input(0)?)?, c.affine(c.output(0)?)?);
    // Single precision, as LiteRT has it.
    let state = scale(4)?;
    let feature = from.scale * scale(1)? / state;
    let output = state * scale(2)? / to.scale;
    let time = c.i16s(c.input(2)?)?;
    Ok(SvdfI8 {
        batch,
        input,
        units,
        rank,
        memory,
        feature_weights: c.i8s(c.input(1)?)?,
        last_time_weights: time.chunks_exact(memory).map(|w| w[memory - 1]).collect(),
        bias: c.bias_i32(3, units)?,
        input_zero_point: from.zero_point,
        feature_multiplier: c.multiplier(f64::from(feature))?,
        output_multiplier: c.multiplier(f64::from(output))?,
        output_zero_point: to.zero_point,
    })
}

pub(super) fn svdf(c: Context<'_>, rank: usize, activation: Activation) -> Result<SvdfF32, Error> {
    let [batch, depth, units, memory] = svdf_shape(c, rank, DType::F32)?;
    c.expect_dtype(c.output(0)?, DType::F32)?;
    Ok(SvdfF32 {
        batch,
        input: depth,
        units,
        rank,
        memory,
        feature_weights: c.f32s(c.input(1)?)?,
        time_weights: c.f32s(c.input(2)?)?,
        bias: c.bias_f32(3, units)?,
        bounds: activation.bounds(),
    })
}
