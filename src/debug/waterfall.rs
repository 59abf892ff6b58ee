//! Where an error comes from: what it would be less if one source were not there.
//!
//! The quantized model is simulated in float: every operator in its float form (`simulate.rs`) on the constants of the
//! quantized model, what becomes an integer rounded to its parameters and made real again. Then one source at a time is
//! switched off, all others staying:
//!
//! - *weight rounding*, *bias rounding*: the operator has the constants of the float model. Constant operands, as of ADD, count as
//!   weights. Models whose weights alone are rounded (float16, dynamic range) have no other source but the last.
//! - *input rounding*: the model's inputs are not rounded, nor cut off. Of an operator: what it reads is not.
//! - *requantization rounding*: what operators write is not rounded to its scale, but still cut off at the ends of the type.
//! - *output clamp*: it is rounded, but not cut off. For int16 there is nothing wider, so that is always 0 there.
//! - *integer arithmetic*: what the model of integers loses beyond its simulation: fixed-point multipliers, tables, inside an
//!   LSTM gates, cell and the hidden state that it reads again; in dynamic range the rounding of rows as the model runs.
//!
//! Sources overlap: where inputs and activations are rounded too coarsely, each alone may ruin a model, and then it helps little to
//! switch one off. The interaction is large there, and a second answer for the whole model says what each source does *alone*, with
//! all others off; its interaction is below 0.
//!
//! What only moves or picks elements and keeps their parameters is not rounded again. Constants whose counterpart is not found
//! in the float model stay what the quantized model has.
//!
//! The answer for the whole model is the loss at the outputs over some samples, a graph for each source. For an operator it is
//! the mean squared error of what it writes from what the float model has there, with nothing before it quantized; all variants
//! of all operators are woven into one graph.

use super::at_output::{Judge, most_samples, read, spread};
use super::resident::{Resident, Seat};
use super::simulate::{Fate, Kind, Pair, float_form, is_quantized, keeps, settled};
use super::swap::{float, left_float, prune};
use super::tally::Tally;
use super::weave::{Measured, Weave};
use super::{Cost, Error, Matching, Part, Task, Waterfall};
use crate::data::DataSet;
use crate::graph::{Graph, Node, Op, TensorId};
use crate::kernel::distance::sums;
use crate::kernel::prefix;
use crate::num::DType;
use std::collections::{HashMap, HashSet};

/// The sources, in the order of [`Waterfall::parts`].
pub const SOURCES: [&str; 6] = [
    "weight rounding",
    "bias rounding",
    "input rounding",
    "requantization rounding",
    "output clamp",
    "integer arithmetic",
];
/// [`Waterfall::measure`] of the whole model: what the loss would be less without a source.
pub const LOSS: &str = "loss at the outputs";
/// [`Waterfall::measure`] of the whole model: the loss that a source makes where there is no other.
pub const LOSS_ALONE: &str = "loss at the outputs, each source alone";
/// [`Waterfall::measure`] of an operator: what the error would be less without a source.
pub const SQUARED_ERROR: &str = "mean squared error";
/// How many sources are switched off in the simulation.
const SWITCHES: usize = 5;
const WEIGHTS: usize = 0;
const BIASES: usize = 1;
const INPUTS: usize = 2;
const ROUNDING: usize = 3;
const CLAMP: usize = 4;

/// Which sources are there.
type On = [bool; SWITCHES];
const ALL: On = [true; SWITCHES];

const NOTHING: On = [false; SWITCHES];

/// Only one.
fn alone(source: usize) -> On {
    let mut on = NOTHING;
    on[source] = true;
    on
}

/// All but one.
fn without(source: usize) -> On {
    let mut on = ALL;
    on[source] = false;
    on
}

/// What is done to what operators write.
fn fate(on: On) -> Fate {
    Fate {
        rounded: on[ROUNDING],
        clamped: on[CLAMP],
    }
}

/// What is done to inputs.
fn fate_of_inputs(on: On) -> Fate {
    Fate {
        rounded: on[INPUTS],
        clamped: on[INPUTS],
    }
}

/// What [`waterfall`] costs at most, for so many samples and operators; all operators together are one more model, the float
/// one with several forms of each of them in it.
pub fn waterfall_cost(task: Task<'_>, samples: usize, operators: usize) -> Cost {
    Cost {
        // The float model, the quantized one, simulations with and without all sources, without each and with each alone.
        models: 4 + 2 * SWITCHES + usize::from(operators > 0),
        samples: samples.min(most_samples(task)),
    }
}

/// Tells the sources apart, over at most `samples` samples, evenly spread: of the whole model's loss without each source
/// ([`LOSS`]) and with each alone ([`LOSS_ALONE`]), then of the errors of the operators at the positions `chosen` in the
/// quantized graph, in that order ([`SQUARED_ERROR`]). `progress` is told of each model, as often
/// as [`waterfall_cost`] says.
///
/// # Errors
/// If an operator has no counterpart in the float model, the data cannot be read or the device fails.
pub fn waterfall(
    task: Task<'_>,
    matching: &Matching,
    data: &mut DataSet,
    samples: usize,
    chosen: &[usize],
    mut progress: impl FnMut(),
) -> Result<Vec<Waterfall>, Error> {
    let pair = Pair::new(task, matching);
    // Before anything runs: an operator may be one that cannot be asked about.
    let operators = Operators::new(&pair, chosen)?;
    let chosen_samples = spread(data.len(), waterfall_cost(task, samples, 0).samples);
    let inputs = read(data, &chosen_samples)?;
    let n = chosen_samples.len();
    let seat = |feeds| Seat {
        device: task.device,
        batch: task.batch,
        feeds,
    };
    let floats = Resident::alone(seat(task.float_feeds), n, inputs.clone());
    let quantized = Resident::alone(seat(task.feeds), n, inputs);
    let judge = Judge::new(floats.results(float(task))?, None, None, n);
    progress();
    let whole = left_float(task, matching, &HashSet::new());
    let whole = judge.score(&quantized.results(whole)?).loss;
    progress();
    let loss = |graph: Graph| Ok::<f64, Error>(judge.score(&floats.results(graph)?).loss);
    // How far the loss is from that of a simulation; a source that is not there changes nothing.
    let mut changes = |base: On, one: fn(usize) -> On| {
        let graph = simulated(&pair, base)?;
        let of_base = loss(graph.clone())?;
        progress();
        let mut changes = [0.0; SWITCHES];
        for (source, change) in changes.iter_mut().enumerate() {
            let changed = simulated(&pair, one(source))?;
            if !is_same(&graph, &changed) {
                *change = loss(changed)? - of_base;
            }
            progress();
        }
        Ok::<_, Error>((of_base, changes))
    };
    let (all, less) = changes(ALL, without)?;
    let (_, alone) = changes(NOTHING, alone)?;
    let whole_model = |measure, changes| {
        let name = "the whole model".to_owned();
        parts(name, None, measure, [whole, all], changes)
    };
    let mut found = vec![
        whole_model(LOSS, less.map(|change| 0.0 - change)),
        whole_model(LOSS_ALONE, alone),
    ];
    if !chosen.is_empty() {
        found.extend(operators.measured(&floats, n)?);
        progress();
    }
    Ok(found)
}

fn is_same(a: &Graph, b: &Graph) -> bool {
    let n = a.nodes.len();
    n == b.nodes.len() && a.outputs == b.outputs && prefix::common(a, b) == n
}

/// `whole` is with integers and simulated; `switched` what each source adds to the simulation.
fn parts(
    name: String,
    op_index: Option<usize>,
    measure: &'static str,
    [whole, simulated]: [f64; 2],
    switched: [f64; SWITCHES],
) -> Waterfall {
    let errors = switched.into_iter().chain([whole - simulated]);
    let part = |(source, error): (&&str, f64)| Part {
        source: (*source).into(),
        error,
    };
    let parts: Vec<Part> = SOURCES.iter().zip(errors).map(part).collect();
    Waterfall {
        name,
        op_index,
        measure,
        whole,
        interaction: whole - parts.iter().map(|p| p.error).sum::<f64>(),
        parts,
    }
}

/// The constants of a node, as float constants of a woven graph, by place.
fn constants(
    weave: &mut Weave<'_>,
    pair: &Pair<'_>,
    node: &Node,
    on: On,
) -> HashMap<usize, TensorId> {
    let mut read = HashMap::new();
    for constant in pair.constants(node) {
        let rounded = match constant.kind {
            Kind::Weight => on[WEIGHTS],
            Kind::Bias => on[BIASES],
        };
        let values = match constant.float {
            Some(float) if !rounded => float,
            _ => constant.rounded,
        };
        if let Some(like) = node.inputs[constant.place] {
            read.insert(constant.place, weave.constant(like, values));
        }
    }
    read
}

/// The quantized model in float, fed with what the float model is fed with.
fn simulated(pair: &Pair<'_>, on: On) -> Result<Graph, Error> {
    let (float, quantized) = (pair.float, pair.quantized);
    let mut weave = Weave::new(float, quantized);
    let inputs = float.inputs.iter().map(|&id| weave.of_float(id));
    weave.graph.inputs = inputs.collect();
    // The real values of tensors of the quantized model.
    let mut values: HashMap<TensorId, TensorId> = HashMap::new();
    for (&id, &f) in quantized.inputs.iter().zip(&float.inputs) {
        let fed = weave.of_float(f);
        let fed = settled(&mut weave, fed, id, fate_of_inputs(on));
        values.insert(id, fed);
    }
    for node in quantized.nodes.iter().filter(|n| !n.op.is_opaque()) {
        let mut read = constants(&mut weave, pair, node, on);
        for (place, id) in node.inputs.iter().enumerate() {
            if let Some(&value) = id.as_ref().and_then(|id| values.get(id)) {
                read.insert(place, value);
            }
        }
        let is_conversion = matches!(node.op, Op::Quantize | Op::Dequantize);
        let outputs = match read.get(&0) {
            Some(&from) if is_conversion => vec![from],
            _ => float_form(&mut weave, node, &read),
        };
        let of_input = node.op == Op::Quantize
            && node
                .inputs
                .iter()
                .flatten()
                .any(|id| quantized.inputs.contains(id));
        let fate = match (of_input, keeps(quantized, node)) {
            (true, _) => fate_of_inputs(on),
            (_, true) => Fate {
                rounded: false,
                clamped: false,
            },
            _ => fate(on),
        };
        for (&id, value) in node.outputs.iter().zip(outputs) {
            let value = settled(&mut weave, value, id, fate);
            values.insert(id, value);
        }
    }
    let result = |id: &TensorId| {
        values.get(id).copied().ok_or_else(|| {
            Error::Different(format!(
                "{}: its output {} is not computed, so it has no errors to tell apart",
                quantized.file,
                quantized.describe(*id)
            ))
        })
    };
    let results = quantized.results();
    weave.graph.outputs = results.iter().map(result).collect::<Result<_, _>>()?;
    Ok(prune(weave.graph))
}

/// Some operators, each in all its forms, in one graph.
struct Operators<'a> {
    graph: Graph,
    found: Vec<Operator<'a>>,
}

/// Where the errors of an operator come out.
struct Operator<'a> {
    node: &'a Node,
    elements: usize,
    integers: Measured,
    simulated: Measured,
    less: [Measured; SWITCHES],
}

impl<'a> Operators<'a> {
    fn new(pair: &Pair<'a>, chosen: &[usize]) -> Result<Operators<'a>, Error> {
        let (float, quantized) = (pair.float, pair.quantized);
        let mut weave = Weave::new(float, quantized);
        let inputs = float.inputs.iter().map(|&id| weave.of_float(id));
        weave.graph.inputs = inputs.collect();
        let mut planned = Vec::new();
        for (at, &position) in chosen.iter().enumerate() {
            let node = quantized.nodes.get(position).ok_or_else(|| {
                Error::Different(format!(
                    "{} has {} operators, none at position {position}",
                    quantized.file,
                    quantized.nodes.len()
                ))
            })?;
            let sides = Sides::new(pair, node)?;
            let ids = sides.read.values().chain([&sides.reference]);
            let behind = ids.filter_map(|id| pair.producers.get(id)).max();
            planned.push((behind.map_or(0, |&i| i + 1), at, node, sides));
        }
        // Where the float model has come so far, so that its tensors are compared while they are at hand.
        planned.sort_by_key(|&(upto, at, ..)| (upto, at));
        let (mut done, mut found) = (0, Vec::new());
        for (upto, at, node, sides) in planned {
            let nodes = float.nodes[done.min(upto)..upto].iter();
            nodes
                .filter(|n| !n.op.is_opaque())
                .for_each(|n| weave.float_node(n));
            done = done.max(upto);
            found.push((at, operator(&mut weave, pair, node, &sides)));
        }
        found.sort_by_key(|&(at, _)| at);
        Ok(Operators {
            graph: weave.graph,
            found: found.into_iter().map(|(_, operator)| operator).collect(),
        })
    }

    fn measured(&self, floats: &Resident<'_>, samples: usize) -> Result<Vec<Waterfall>, Error> {
        let results = floats.results(self.graph.clone())?;
        let outputs = self.graph.outputs.iter().copied();
        let results: HashMap<TensorId, Vec<f32>> = outputs.zip(results).collect();
        let error = |operator: &Operator<'_>, m: Measured| {
            let size = self.graph.elements(m.sums);
            let mut tally = Tally::new(operator.elements, size / sums::LEN);
            let of_samples = results[&m.sums].chunks(size.max(1)).take(samples);
            for (sample, of_channels) in of_samples.enumerate() {
                tally.add(sample, of_channels);
            }
            tally.stats(None).mean_squared_error
        };
        let one = |o: &Operator<'_>| {
            let simulated = error(o, o.simulated);
            parts(
                o.node.describe(),
                Some(o.node.index),
                SQUARED_ERROR,
                [error(o, o.integers), simulated],
                o.less.map(|m| simulated - error(o, m)),
            )
        };
        Ok(self.found.iter().map(one).collect())
    }
}

/// What an operator reads and writes in the float model.
struct Sides {
    /// By place.
    read: HashMap<usize, TensorId>,
    /// Number of the output.
    output: usize,
    reference: TensorId,
}

impl Sides {
    fn new(pair: &Pair<'_>, node: &Node) -> Result<Sides, Error> {
        let graph = pair.quantized;
        let none = |id: TensorId| {
            Error::Different(format!(
                "{}: {} of {} has no counterpart in {}, so its error cannot be told apart; leave this operator out",
                graph.file,
                graph.describe(id),
                node.describe(),
                pair.float.file
            ))
        };
        let mut read = HashMap::new();
        for (place, id) in node.inputs.iter().enumerate() {
            if let Some(id) = id.filter(|&i| graph.is_activation(i) && !graph.tensors[i].variable) {
                read.insert(place, pair.matching.float[id].ok_or_else(|| none(id))?);
            }
        }
        let is_real = |id: TensorId| {
            let tensor = &graph.tensors[id];
            let float = pair.matching.float[id].map(|f| &pair.float.tensors[f]);
            let same = float.is_some_and(|f| f.dtype == DType::F32 && f.shape == tensor.shape);
            same && (is_quantized(tensor) || tensor.dtype == DType::F32) && graph.elements(id) > 0
        };
        let found = node.outputs.iter().position(|&id| is_real(id));
        let output = found.ok_or_else(|| none(node.outputs.first().copied().unwrap_or(0)))?;
        let reference = pair.matching.float[node.outputs[output]];
        Ok(Sides {
            read,
            output,
            reference: reference.ok_or_else(|| none(node.outputs[output]))?,
        })
    }
}

fn operator<'a>(
    weave: &mut Weave<'_>,
    pair: &Pair<'a>,
    node: &'a Node,
    sides: &Sides,
) -> Operator<'a> {
    let reference = weave.of_float(sides.reference);
    let output = node.outputs[sides.output];
    // Integers as the operator has them, of floats that nothing before it has spoiled.
    let mut inputs = node.inputs.clone();
    for (&place, &f) in &sides.read {
        let from = weave.of_float(f);
        inputs[place] =
            node.inputs[place].map(|id| match is_quantized(&pair.quantized.tensors[id]) {
                true => weave.rounded(from, id),
                false => from,
            });
    }
    weave.node(Node {
        inputs: inputs.clone(),
        ..node.clone()
    });
    let integers = weave.real(output);
    let integers = weave.measure(integers, reference);
    let constants_of = pair.constants(node);
    let has = |kind: Kind| {
        let mut differing = constants_of.iter().filter(|c| c.float.is_some());
        differing.any(|c| c.kind == kind)
    };
    let (has_weights, has_biases) = (has(Kind::Weight), has(Kind::Bias));
    let kept = keeps(pair.quantized, node);
    // What is the same is computed once, and so does not differ in the last bit either.
    let mut forms: HashMap<[bool; 3], TensorId> = HashMap::new();
    let mut measured: HashMap<([bool; 3], [bool; 2]), Measured> = HashMap::new();
    let mut error = |on: On| {
        let form = [
            on[WEIGHTS] || !has_weights,
            on[BIASES] || !has_biases,
            on[INPUTS],
        ];
        let fate = match kept {
            true => Fate {
                rounded: false,
                clamped: false,
            },
            false => fate(on),
        };
        let key = (form, [fate.rounded, fate.clamped]);
        if let Some(&there) = measured.get(&key) {
            return there;
        }
        let value = *forms.entry(form).or_insert_with(|| {
            let mut read = constants(weave, pair, node, on);
            for (&place, &f) in &sides.read {
                let unrounded = weave.of_float(f);
                let value = match inputs[place].filter(|_| on[INPUTS]) {
                    Some(id) => weave.real(id),
                    None => unrounded,
                };
                read.insert(place, value);
            }
            match (&node.op, read.get(&0)) {
                (Op::Quantize | Op::Dequantize, Some(&from)) => from,
                _ => float_form(weave, node, &read)[sides.output],
            }
        });
        let value = settled(weave, value, output, fate);
        let there = weave.measure(value, reference);
        measured.insert(key, there);
        there
    };
    Operator {
        node,
        elements: pair.quantized.elements(output),
        integers,
        simulated: error(ALL),
        less: [0, 1, 2, 3, 4].map(|source| error(without(source))),
    }
}
