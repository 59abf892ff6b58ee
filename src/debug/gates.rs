//! Which gate of an LSTM costs how much.
//!
//! The float layer runs on the real values of what the quantized one reads, once with its own constants and once for each gate
//! with the constants that the quantized layer has for that gate: its input weights, recurrent weights and bias. How far the
//! two are apart is what the rounding of that gate's constants adds. What the quantized layer's own local error is beyond all
//! gates together is *state and arithmetic*: the hidden state that is rounded at each step, the cell of 16 bits, tables, and the
//! rounding of the output; in dynamic range the rounding of rows. It is less than nothing where gates make up for each other.
//!
//! Both models and all variants are woven into one graph, so there is one pass over the data. What is fed to the model is fed to
//! the float layer as it came, as in the local errors, so parts add up to these.

use super::errors::copy;
use super::simulate::Pair;
use super::swap::prune;
use super::tally::Tally;
use super::weave::{Measured, Weave};
use super::{Error, Matching, Part, Task};
use crate::data::DataSet;
use crate::graph::{Node, Op, TensorId, lstm_inputs as places};
use crate::kernel::distance::sums;
use crate::kernel::{Keep, SessionConfig, Statistics, prepare};
use crate::num::Values;
use crate::stream;
use std::collections::HashMap;

/// Names of the parts, the gates in the order of the operator's inputs.
const NAMES: [&str; 5] = [
    "input gate",
    "forget gate",
    "cell gate",
    "output gate",
    "state and arithmetic",
];

/// The parts of an LSTM's local error.
#[derive(Clone, Debug, PartialEq)]
pub struct Gates {
    /// Position in the quantized graph.
    pub node: usize,
    /// Number of its output in the quantized file.
    pub tensor: TensorId,
    /// Mean squared errors: four gates, then state and arithmetic. Together they are the mean squared local error.
    pub by_gate: Vec<Part>,
}

/// Where the errors of an LSTM come out.
struct Planned {
    node: usize,
    tensor: TensorId,
    /// Of each gate, then of the layer; none where a gate's constants are the float model's.
    measured: [Option<Measured>; 5],
}

/// Measures all LSTMs of the quantized model that have a counterpart and constants or arithmetic of their own, over all
/// samples. `progress` is told the number of samples done at once.
///
/// # Errors
/// If the data cannot be read or the device fails.
pub fn gates(
    task: Task<'_>,
    matching: &Matching,
    data: &mut DataSet,
    mut progress: impl FnMut(usize) + Send,
) -> Result<Vec<Gates>, Error> {
    let pair = Pair::new(task, matching);
    let mut weave = Weave::new(task.float, task.quantized);
    weave.graph.inputs.clone_from(&task.quantized.inputs);
    let inputs = task.float.inputs.iter().map(|&id| weave.of_float(id));
    let inputs: Vec<TensorId> = inputs.collect();
    weave.graph.inputs.extend(inputs);
    let mut planned = Vec::new();
    let nodes = task.quantized.nodes.iter().enumerate();
    for (position, node) in nodes.filter(|(_, n)| !n.op.is_opaque()) {
        weave.quantized_node(node);
        if let Op::UnidirectionalSequenceLstm(_) = node.op
            && let Some(measured) = layer(&mut weave, &pair, node)
        {
            planned.push(Planned {
                node: position,
                tensor: node.outputs[0],
                measured,
            });
        }
    }
    if planned.is_empty() {
        return Ok(Vec::new());
    }
    let program = prepare(prune(weave.graph))?;
    let graph = &program.graph;
    let config = SessionConfig {
        batch: task.batch,
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: [task.feeds, task.float_feeds].concat(),
    };
    let mut session = task.device.session(&program, &config)?;
    let sizes = |m: Measured| graph.elements(m.sums);
    let tally =
        |p: &Planned, m: Measured| Tally::new(graph.elements(p.tensor), sizes(m) / sums::LEN);
    let all = |p: &Planned| p.measured.map(|m| m.map(|m| (m, tally(p, m))));
    let mut tallies: Vec<_> = planned.iter().map(all).collect();
    data.rewind().map_err(stream::Error::Data)?;
    stream::each(data, session.batch(), |batch| {
        let mut inputs = stream::feed(task.feeds, batch.inputs.clone());
        inputs.extend(stream::feed(task.float_feeds, batch.inputs));
        session.run(batch.samples, &inputs)?;
        for (m, tally) in tallies.iter_mut().flatten().flatten() {
            let Values::F32(values) = session.read(m.sums)? else {
                continue;
            };
            for (i, of_channels) in values.chunks(sizes(*m).max(1)).enumerate() {
                tally.add(batch.first + i, of_channels);
            }
        }
        progress(batch.samples);
        Ok::<(), Error>(())
    })?;
    let error = |t: &Option<(Measured, Tally)>| {
        let tally = t.as_ref().map(|(_, tally)| tally);
        tally.map_or(0.0, |t| t.stats(None).mean_squared_error)
    };
    let found = planned.iter().zip(&tallies).map(|(p, tallies)| {
        let mut errors: Vec<f64> = tallies.iter().map(error).collect();
        // What the layer has beyond its gates.
        let of_gates: f64 = errors[..4].iter().sum();
        errors[4] -= of_gates;
        let part = |(source, error): (&&str, f64)| Part {
            source: (*source).into(),
            error,
        };
        Gates {
            node: p.node,
            tensor: p.tensor,
            by_gate: NAMES.iter().zip(errors).map(part).collect(),
        }
    });
    Ok(found.collect())
}

/// The variants of one layer; none if it is the float model's, or has no counterpart.
fn layer(weave: &mut Weave<'_>, pair: &Pair<'_>, node: &Node) -> Option<[Option<Measured>; 5]> {
    let input = node.inputs.first().copied().flatten()?;
    let output = *node.outputs.first()?;
    let other = pair.counterpart(node)?;
    let reads = other.inputs.first().copied().flatten()?;
    let f = pair.matching.float[input]?;
    let real = match pair.float.inputs.contains(&f) {
        true => weave.of_float(f),
        false => weave.real(input),
    };
    // The float model may move elements before the layer where the quantized one does not.
    let mut known = HashMap::from([(f, real)]);
    let from = copy(weave, pair.float, &pair.producers, &mut known, reads, 0)?;
    let constants = pair.constants(node);
    let constants = constants.into_iter().filter(|c| c.float.is_some());
    let constants: Vec<_> = constants.collect();
    let state = node.inputs.get(places::OUTPUT_STATE).copied().flatten()?;
    let is_integer = |id: TensorId| super::simulate::is_quantized(&pair.quantized.tensors[id]);
    if constants.is_empty() && !is_integer(state) {
        return None;
    }
    let fed = HashMap::from([(0, from)]);
    let reference = weave.float_copy(other, &fed)[0];
    let mut measured = [None; 5];
    for (gate, error) in measured[..4].iter_mut().enumerate() {
        let own = [
            places::INPUT_WEIGHTS[gate],
            places::RECURRENT_WEIGHTS[gate],
            places::BIAS[gate],
        ];
        let mut read = fed.clone();
        for constant in constants.iter().filter(|c| own.contains(&c.place)) {
            let like = node.inputs[constant.place]?;
            read.insert(
                constant.place,
                weave.constant(like, constant.rounded.clone()),
            );
        }
        if read.len() > 1 {
            let variant = weave.float_copy(other, &read)[0];
            *error = Some(weave.measure(variant, reference));
        }
    }
    let whole = weave.real(output);
    measured[4] = Some(weave.measure(whole, reference));
    Some(measured)
}
