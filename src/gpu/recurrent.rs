//! UNIDIRECTIONAL_SEQUENCE_RNN and SVDF: bindings input, weights, output, state, parameters.

use super::launch::{Launch, Op, Params, Trace};
use super::shader::{Source, embed};
use crate::graph::{Activation, RnnActivation};
use crate::kernel::{RnnF32, SvdfF32, SvdfI8};

pub(super) const SHADERS: &[Source] = &[embed!("f32/rnn"), embed!("f32/svdf"), embed!("int8/svdf")];

/// Iterations of nested loops that any driver takes: see "Loops" in `launch.rs`.
const MOST: usize = 60_000;

/// `None` where a sequence is too long.
pub(super) fn rnn(op: Op<'_>, k: &RnnF32) -> Option<Vec<Launch>> {
    let s = &k.shape;
    let loops = s.time * s.cells.div_ceil(64) * (s.input + s.cells);
    if loops > MOST {
        return None;
    }
    let (number, (low, high)) = match k.activation {
        RnnActivation::None => (0.0, Activation::None.bounds()),
        RnnActivation::Relu => (1.0, Activation::Relu.bounds()),
        RnnActivation::ReluN1To1 => (1.0, Activation::ReluN1To1.bounds()),
        RnnActivation::Relu6 => (1.0, Activation::Relu6.bounds()),
        RnnActivation::Tanh => (2.0, Activation::None.bounds()),
    };
    let weights = Params::default()
        .f32(k.input_weights.iter().copied())
        .f32(k.recurrent_weights.iter().copied())
        .f32(k.bias.iter().copied())
        .binding();
    let parameters = Params::default()
        .u32([s.time as u32, s.batch as u32, s.input as u32])
        .u32([u32::from(s.time_major)])
        .u32([op.input_stride(0), op.output_words() as u32])
        .f32([low, high])
        .binding();
    let bindings = vec![op.read(0), weights, op.write(0), op.write(1), parameters];
    let batch = s.batch;
    let mut launch = Launch::groups("f32/rnn", bindings, move |samples| samples * batch)
        .with("CELLS", s.cells as f64)
        .with("ACTIVATION", number);
    // The state takes every value of the output.
    launch.traces.extend(op.ranges.then(|| Trace {
        binding: 2,
        tensor: op.step.outputs[1],
        words: op.output_words(),
    }));
    Some(vec![launch])
}

/// `None` where a vector is too long.
pub(super) fn svdf(op: Op<'_>, k: &SvdfF32) -> Option<Vec<Launch>> {
    if k.rank * (k.input + k.memory) > MOST {
        return None;
    }
    let filters = k.units * k.rank;
    let last = (0..filters).map(|f| k.time_weights[(f + 1) * k.memory - 1]);
    let weights = Params::default()
        .f32(k.feature_weights.iter().copied())
        .f32(last)
        .f32(k.bias.iter().copied())
        .binding();
    let sizes = [k.batch, k.input, k.units, k.rank, k.memory].map(|n| n as u32);
    let parameters = Params::default()
        .u32(sizes)
        .u32([op.input_stride(0)])
        .f32([k.bounds.0, k.bounds.1])
        .binding();
    let bindings = vec![op.read(0), weights, op.write(0), op.write(1), parameters];
    let mut launch = Launch::linear("f32/svdf", k.batch * k.units, bindings);
    launch.traces.extend(op.ranges.then(|| Trace {
        binding: 3,
        tensor: op.step.outputs[1],
        words: k.batch * filters * k.memory,
    }));
    Some(vec![launch])
}

/// `None` where a vector is too long.
pub(super) fn svdf_i8(op: Op<'_>, k: &SvdfI8) -> Option<Vec<Launch>> {
    if 2 * k.input > MOST || 4 * k.rank > MOST {
        return None;
    }
    let weights = Params::default()
        .i32(k.feature_weights.iter().map(|&w| w.into()))
        .i32(k.last_time_weights.iter().map(|&w| w.into()))
        .i32(k.bias.iter().copied())
        .binding();
    let state = op.words(op.step.outputs[1]);
    let sizes = [k.batch, k.input, k.units, k.rank, k.memory].map(|n| n as u32);
    let (feature, output) = (k.feature_multiplier, k.output_multiplier);
    let parameters = Params::default()
        .u32(sizes)
        .u32([op.input_stride(0), state as u32, op.output_words() as u32])
        .i32([k.input_zero_point, feature.mantissa, feature.shift])
        .i32([output.mantissa, output.shift, k.output_zero_point])
        .binding();
    let launch = |items: usize, number: f64| {
        let (weights, parameters) = (weights.clone(), parameters.clone());
        let bindings = vec![op.read(0), weights, op.write(0), op.write(1), parameters];
        Launch::linear("int8/svdf", items, bindings).with("OUTPUT", number)
    };
    Some(vec![launch(state, 0.0), launch(op.output_words(), 1.0)])
}
