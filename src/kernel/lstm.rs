//! UNIDIRECTIONAL_SEQUENCE_LSTM: gates in the order input, forget, cell, output, stacked into one matrix.
//!
//! Supported is the layer that converters write for a Keras LSTM: four gates, no peephole, no projection, no layer
//! normalisation. The state is zero at the start of every sample.

use super::{Context, HybridLstm, fold_zero_point};
use crate::graph::{Error, Lstm, lstm_inputs as inputs};
use crate::num::{DType, Multiplier, gemmlowp};
use std::sync::{Arc, OnceLock};

/// Sizes of one layer in one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LstmShape {
    /// Steps in time.
    pub time: usize,
    /// The model's own batch dimension.
    pub batch: usize,
    /// Elements of one input vector.
    pub input: usize,
    /// Cells, and outputs.
    pub cells: usize,
    /// Whether time is the outermost dimension of input and output.
    pub time_major: bool,
}

/// The float layer.
#[derive(Debug)]
pub struct LstmF32 {
    /// Sizes.
    pub shape: LstmShape,
    /// For int8 weights. Then what it reads is not the input but the gates that the input gives, bias included,
    /// `[rows, 4 · cells]`, and the recurrent weights are whole numbers.
    pub hybrid: Option<HybridLstm>,
    /// `[4 · cells, input]`, gates stacked; empty for a hybrid layer.
    pub input_weights: Vec<f32>,
    /// `[4 · cells, cells]`.
    pub recurrent_weights: Vec<f32>,
    /// `[4 · cells]`.
    pub bias: Vec<f32>,
    /// Bound of the cell state; infinite where there is none.
    pub cell_clip: f32,
}

/// The integer layer: int8 input, output and weights, int16 gates (Q3.12 in, Q0.15 out) and cell.
#[derive(Debug)]
pub struct LstmI8 {
    /// Sizes.
    pub shape: LstmShape,
    /// `[4 · cells, input]`.
    pub input_weights: Vec<i8>,
    /// `[4 · cells, cells]`.
    pub recurrent_weights: Vec<i8>,
    /// Bias − input zero point · Σ weights, `[4 · cells]`.
    pub input_bias: Vec<i32>,
    /// −output zero point · Σ weights, `[4 · cells]`.
    pub recurrent_bias: Vec<i32>,
    /// One a gate.
    pub input_multipliers: [Multiplier; 4],
    /// One a gate.
    pub recurrent_multipliers: [Multiplier; 4],
    /// To the hidden state.
    pub hidden_multiplier: Multiplier,
    /// Zero point of the hidden state.
    pub hidden_zero_point: i32,
    /// Zero point of the state tensor: its value at the start.
    pub state_zero_point: i32,
    /// The cell's scale is 2^`cell_exponent`, −15 … −9.
    pub cell_exponent: i32,
    /// Bound of the cell state in its own steps; 0 is none.
    pub cell_clip: i16,
    /// Logistic of every Q3.12 gate, indexed by its bits.
    pub logistic: Arc<Vec<i16>>,
    /// tanh of every Q3.12 gate.
    pub tanh_gate: Arc<Vec<i16>>,
    /// tanh of every cell value.
    pub tanh_cell: Arc<Vec<i16>>,
}

impl LstmShape {
    /// Input vectors of one sample.
    pub fn rows(&self) -> usize {
        self.time * self.batch
    }

    /// Position of step `t` of batch entry `b` among the rows.
    pub fn row(&self, t: usize, b: usize) -> usize {
        if self.time_major {
            t * self.batch + b
        } else {
            b * self.time + t
        }
    }
}

fn shape(c: Context<'_>, a: &Lstm) -> Result<LstmShape, Error> {
    for (i, what) in inputs::UNSUPPORTED {
        if c.optional_input(i).is_some() {
            return Err(c.error(format!("{what} (input {i}) are not supported yet")));
        }
    }
    if c.optional_input(inputs::INPUT_WEIGHTS[0]).is_none() {
        return Err(c.error("a coupled input and forget gate (CIFG) is not supported yet"));
    }
    let [first, second, input] = c.shape_of_rank::<3>(c.input(0)?)?;
    let (time, batch) = if a.time_major {
        (first, second)
    } else {
        (second, first)
    };
    let [cells, _] = c.shape_of_rank::<2>(c.input(inputs::INPUT_WEIGHTS[0])?)?;
    let shape = LstmShape {
        time,
        batch,
        input,
        cells,
        time_major: a.time_major,
    };
    if [time, batch, input, cells].contains(&0) {
        return Err(c.error("one of its dimensions is 0"));
    }
    for i in inputs::INPUT_WEIGHTS {
        c.expect_shape(c.input(i)?, &[cells, input])?;
    }
    for i in inputs::RECURRENT_WEIGHTS {
        c.expect_shape(c.input(i)?, &[cells, cells])?;
    }
    c.expect_shape(c.output(0)?, &[first, second, cells])?;
    for i in [inputs::OUTPUT_STATE, inputs::CELL_STATE] {
        let id = c.input(i)?;
        c.expect_shape(id, &[batch, cells])?;
        if !c.tensor(id).variable {
            return Err(c.error(format!(
                "its state {} is not a variable tensor",
                c.graph.describe(id)
            )));
        }
    }
    Ok(shape)
}

/// Concatenates what `read` gives for four inputs.
fn stack<T>(
    ids: [usize; 4],
    read: impl Fn(usize) -> Result<Vec<T>, Error>,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    for i in ids {
        all.extend(read(i)?);
    }
    Ok(all)
}

pub(super) fn f32(c: Context<'_>, a: &Lstm) -> Result<LstmF32, Error> {
    let shape = float_shape(c, a)?;
    let weights = |i: usize| c.f32s(c.input(i)?);
    Ok(LstmF32 {
        shape,
        hybrid: None,
        input_weights: stack(inputs::INPUT_WEIGHTS, weights)?,
        recurrent_weights: stack(inputs::RECURRENT_WEIGHTS, weights)?,
        bias: stack(inputs::BIAS, |i| c.bias_f32(i, shape.cells))?,
        cell_clip: cell_clip(a),
    })
}

/// The sizes of a layer whose activations and states are float.
fn float_shape(c: Context<'_>, a: &Lstm) -> Result<LstmShape, Error> {
    let shape = shape(c, a)?;
    c.expect_dtype(c.output(0)?, DType::F32)?;
    for i in [inputs::OUTPUT_STATE, inputs::CELL_STATE] {
        c.expect_dtype(c.input(i)?, DType::F32)?;
    }
    Ok(shape)
}

fn cell_clip(a: &Lstm) -> f32 {
    if a.cell_clip > 0.0 {
        a.cell_clip
    } else {
        f32::INFINITY
    }
}

/// A layer with int8 weights and float activations.
pub(super) struct Hybrid {
    /// Its recurrent part.
    pub kernel: LstmF32,
    /// `[4 · cells, input]`.
    pub input_weights: Vec<i8>,
    /// Scales of these, `[4 · cells]`.
    pub input_scales: Vec<f32>,
}

pub(super) fn hybrid(c: Context<'_>, a: &Lstm) -> Result<Hybrid, Error> {
    let shape = float_shape(c, a)?;
    let scale = |i: usize| c.weight_scales(c.input(i)?, 1, 0);
    let weights = |i: usize| c.i8s(c.input(i)?);
    let scales = stack(inputs::RECURRENT_WEIGHTS, scale)?;
    let [i, f, g, o] = scales[..] else {
        return Err(c.error("its recurrent weights need one scale a matrix"));
    };
    let recurrent = stack(inputs::RECURRENT_WEIGHTS, weights)?;
    let input_scales = stack(inputs::INPUT_WEIGHTS, scale)?;
    let repeated = input_scales.into_iter();
    Ok(Hybrid {
        kernel: LstmF32 {
            shape,
            hybrid: Some(HybridLstm {
                scales: [i, f, g, o],
                symmetric: !a.asymmetric,
            }),
            input_weights: Vec::new(),
            recurrent_weights: recurrent.into_iter().map(f32::from).collect(),
            bias: stack(inputs::BIAS, |i| c.bias_f32(i, shape.cells))?,
            cell_clip: cell_clip(a),
        },
        input_weights: stack(inputs::INPUT_WEIGHTS, weights)?,
        input_scales: repeated
            .flat_map(|scale| std::iter::repeat_n(scale, shape.cells))
            .collect(),
    })
}

pub(super) fn i8(c: Context<'_>, a: &Lstm) -> Result<LstmI8, Error> {
    let shape = shape(c, a)?;
    let (state, cell) = (c.input(inputs::OUTPUT_STATE)?, c.input(inputs::CELL_STATE)?);
    c.expect_dtype(c.output(0)?, DType::I8)?;
    c.expect_dtype(state, DType::I8)?;
    c.expect_dtype(cell, DType::I16)?;
    let hidden = *c.node.intermediates.get(4).ok_or_else(|| {
        c.error("an int8 LSTM needs five intermediate tensors; the fifth carries the hidden state's scale")
    })?;
    let (input, state, cell, hidden) = (
        c.affine(c.input(0)?)?,
        c.affine(state)?,
        c.affine(cell)?,
        c.affine(hidden)?,
    );
    let cell_exponent = cell.scale.log2().round();
    if (cell.scale.log2() - cell_exponent).abs() >= 1e-3 || !(-15.0..=-9.0).contains(&cell_exponent)
    {
        return Err(c.error(format!(
            "its cell state's scale {} is not a power of two between 2^-15 and 2^-9",
            cell.scale
        )));
    }
    let cell_exponent = cell_exponent as i32;
    /// Scale of the gates before their activation: Q3.12.
    const GATE_SCALE: f32 = 1.0 / 4096.0;
    let multipliers = |ids: [usize; 4], scale: f32| -> Result<[Multiplier; 4], Error> {
        let mut all = [Multiplier::default(); 4];
        for (m, i) in all.iter_mut().zip(ids) {
            let weights = c.weight_scales(c.input(i)?, 1, 0)?[0];
            // In float, in LiteRT's order.
            *m = c.multiplier(f64::from(weights * scale / GATE_SCALE))?;
        }
        Ok(all)
    };
    let input_weights = stack(inputs::INPUT_WEIGHTS, |i| c.i8s(c.input(i)?))?;
    let recurrent_weights = stack(inputs::RECURRENT_WEIGHTS, |i| c.i8s(c.input(i)?))?;
    let bias = stack(inputs::BIAS, |i| c.bias_i32(i, shape.cells))?;
    let zeros = vec![0; bias.len()];
    // 2^-15 / scale · 2^-15, rounded to float as the reference stores it.
    let hidden_real = (2f64.powi(-15) / f64::from(hidden.scale) * 2f64.powi(-15)) as f32;
    let cell_clip = if a.cell_clip > 0.0 {
        (a.cell_clip / cell.scale).clamp(-32768.0, 32767.0) as i16
    } else {
        0
    };
    Ok(LstmI8 {
        shape,
        input_bias: fold_zero_point(&input_weights, shape.input, &bias, input.zero_point),
        recurrent_bias: fold_zero_point(&recurrent_weights, shape.cells, &zeros, state.zero_point),
        input_weights,
        recurrent_weights,
        input_multipliers: multipliers(inputs::INPUT_WEIGHTS, input.scale)?,
        recurrent_multipliers: multipliers(inputs::RECURRENT_WEIGHTS, state.scale)?,
        hidden_multiplier: c.multiplier(f64::from(hidden_real))?,
        hidden_zero_point: hidden.zero_point,
        state_zero_point: state.zero_point,
        cell_exponent,
        cell_clip,
        logistic: LOGISTIC
            .get_or_init(|| table(&gemmlowp::logistic_q3_12))
            .clone(),
        tanh_gate: tanh(3),
        tanh_cell: tanh((15 + cell_exponent) as usize),
    })
}

/// Made once for all layers of all models.
static LOGISTIC: OnceLock<Arc<Vec<i16>>> = OnceLock::new();

/// tanh by integer bits.
static TANH: [OnceLock<Arc<Vec<i16>>>; 7] = [const { OnceLock::new() }; 7];

/// A function's value for every int16, indexed by its bits.
fn table(f: &dyn Fn(i16) -> i16) -> Arc<Vec<i16>> {
    Arc::new((0..=u16::MAX).map(|bits| f(bits as i16)).collect())
}

/// tanh of every int16 with 0 … 6 integer bits.
fn tanh(integer_bits: usize) -> Arc<Vec<i16>> {
    TANH[integer_bits]
        .get_or_init(|| table(&|x| gemmlowp::tanh_i16(x, integer_bits as u32)))
        .clone()
}
