//! UNIDIRECTIONAL_SEQUENCE_RNN and SVDF in float. Their states are zero at the start of every sample.

use super::lstm::LstmShape;
use super::Context;
use crate::graph::{Error, RnnActivation};
use crate::num::DType;

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

/// The state's tensor, which must be variable.
fn state(c: Context<'_>, elements: usize) -> Result<(), Error> {
    let id = c.input(4)?;
    c.expect_dtype(id, DType::F32)?;
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
    state(c, batch * cells)?;
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

pub(super) fn svdf(
    c: Context<'_>,
    rank: usize,
    activation: crate::graph::Activation,
) -> Result<SvdfF32, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let [batch, depth] = c.shape_of_rank::<2>(input)?;
    let [filters, _] = c.shape_of_rank::<2>(c.input(1)?)?;
    let [_, memory] = c.shape_of_rank::<2>(c.input(2)?)?;
    if !filters.is_multiple_of(rank) || memory == 0 {
        return Err(c.error(format!("{filters} filters do not divide into a rank of {rank}")));
    }
    let units = filters / rank;
    c.expect_shape(c.input(1)?, &[filters, depth])?;
    c.expect_shape(c.input(2)?, &[filters, memory])?;
    c.expect_dtype(output, DType::F32)?;
    c.expect_shape(output, &[batch, units])?;
    state(c, batch * memory * filters)?;
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
