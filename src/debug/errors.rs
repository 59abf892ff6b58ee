//! Local and cumulative errors of every tensor, in one pass over the data.
//!
//! One graph holds the quantized model, the float model, and for each quantized operator its float counterpart fed with the
//! real values of the quantized inputs; behind each pair a comparison. Nodes that belong together stand together, so that
//! tensors are compared while they are in a cache. Only sums leave the device.

use super::tally::{ErrorStats, Extremes, Tally};
use super::weave::{Measured, Weave, producers};
use super::{Error, Matching, Task};
use crate::data::DataSet;
use crate::graph::{Graph, Move, Node, Op, TensorId};
use crate::kernel::distance::channels;
use crate::kernel::{Keep, SessionConfig, Statistics, prepare};
use crate::num::{Affine, DType, Values};
use crate::stream;
use serde::Serialize;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// One tensor of the quantized model.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Position of its operator in the quantized graph.
    #[serde(skip)]
    pub node: usize,
    /// Index of its operator in the quantized file.
    pub op_index: usize,
    /// Name of the operator.
    pub op_name: String,
    /// Number of the tensor in the quantized file.
    pub tensor: TensorId,
    /// Its name.
    pub tensor_name: String,
    /// Number of the tensor in the float file.
    pub float_tensor: TensorId,
    /// Its type.
    pub dtype: DType,
    /// Scale and zero point of an integer tensor.
    #[serde(flatten)]
    pub affine: Option<Affine>,
    /// What the operator itself adds.
    pub local: Local,
    /// What has come together up to here.
    pub cumulative: ErrorStats,
    /// Elements by code, −128 … 127, of an 8-bit tensor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u64>,
    /// Elements at the lowest and at the highest code.
    pub at_ends: [u64; 2],
    /// Elements seen.
    pub elements: u64,
    /// Which samples set the ends of the float tensor's range.
    pub extremes: Option<Extremes>,
    /// Of an LSTM: mean squared local error by time step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_time: Vec<f64>,
}

/// The local error.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Local {
    /// Measured.
    Measured(ErrorStats),
    /// The operator is the float model's own, with its constants; or it only moves elements and keeps their parameters.
    Nothing,
    /// The float operators between these tensors could not be found.
    Unknown,
}

impl Local {
    /// The figures, if there are any.
    pub fn stats(&self) -> Option<&ErrorStats> {
        match self {
            Local::Measured(stats) => Some(stats),
            Local::Nothing | Local::Unknown => None,
        }
    }

    /// The figures, zeros where there is no error.
    pub(super) fn into_stats(self, elements: u64, integers: bool) -> Option<ErrorStats> {
        match self {
            Local::Measured(stats) => Some(stats),
            Local::Nothing => Some(ErrorStats::zero(elements, integers)),
            Local::Unknown => None,
        }
    }
}

/// What a pass over the data found.
#[derive(Clone, Debug)]
pub struct Findings {
    /// In the order of execution.
    pub rows: Vec<Row>,
    /// Samples seen.
    pub samples: usize,
}

/// Where the figures of a row come out.
struct Planned {
    node: usize,
    tensor: TensorId,
    reference: TensorId,
    local: LocalAt,
    cumulative: Measured,
    by_time: Option<Measured>,
}

enum LocalAt {
    Measured(Measured),
    Nothing,
    Unknown,
}

/// A sample of a batch with its results: for whoever looks at samples.
pub struct Seen<'a> {
    /// Number of the sample.
    pub sample: usize,
    /// Outputs of the float model, real.
    pub float: &'a [Vec<f32>],
    /// Outputs of the quantized model, real.
    pub quantized: &'a [Vec<f32>],
    /// Σ error² / Σ reference² of every row.
    pub ratios: &'a [f64],
}

/// Measures all tensors that correspond, and with `time` the outputs of LSTMs by time step, too. `see` gets every sample in
/// order, and `progress` the number of samples done at once.
///
/// # Errors
/// If the data cannot be read or the device fails.
pub fn errors(
    task: Task<'_>,
    matching: &Matching,
    data: &mut DataSet,
    time: bool,
    mut see: impl FnMut(Seen<'_>) -> Result<(), Error> + Send,
    mut progress: impl FnMut(usize) + Send,
) -> Result<Findings, Error> {
    let (graph, planned) = plan(task, matching, time);
    let results = [task.float.results(), task.quantized.results()];
    let offset = task.quantized.tensors.len();
    let results: [Vec<TensorId>; 2] = [
        results[0].iter().map(|id| id + offset).collect(),
        results[1].clone(),
    ];
    let program = prepare(graph)?;
    let graph = &program.graph;
    let feeds = [task.feeds, task.float_feeds].concat();
    let config = SessionConfig {
        batch: task.batch,
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds,
    };
    let mut session = task.device.session(&program, &config)?;
    let tally = |m: Measured, elements: usize| {
        Tally::new(
            elements,
            graph.elements(m.sums) / crate::kernel::distance::sums::LEN,
        )
    };
    let mut tallies: Vec<Tallies> = planned
        .iter()
        .map(|p| {
            let elements = graph.elements(p.tensor);
            Tallies {
                local: match p.local {
                    LocalAt::Measured(m) => Some(tally(m, elements)),
                    _ => None,
                },
                cumulative: tally(p.cumulative, elements),
                by_time: p.by_time.map(|m| tally(m, elements)),
            }
        })
        .collect();
    let mut samples = 0;
    data.rewind().map_err(stream::Error::Data)?;
    stream::each(data, session.batch(), |batch| {
        let mut inputs = stream::feed(task.feeds, batch.inputs.clone());
        inputs.extend(stream::feed(task.float_feeds, batch.inputs));
        session.run(batch.samples, &inputs)?;
        let mut values: HashMap<TensorId, Values> = HashMap::new();
        for &id in &graph.outputs {
            // Each can be read once a run.
            if let Entry::Vacant(place) = values.entry(id) {
                place.insert(session.read(id)?);
            }
        }
        let outputs: Vec<Vec<Vec<f32>>> = results
            .iter()
            .map(|ids| {
                let one = |id: &TensorId| values.get(id).map(|v| graph.tensors[*id].real(v));
                ids.iter().map(|id| one(id).unwrap_or_default()).collect()
            })
            .collect();
        for i in 0..batch.samples {
            let sample = batch.first + i;
            let mut ratios = Vec::with_capacity(planned.len());
            for (p, t) in planned.iter().zip(&mut tallies) {
                let floats = |m: Measured| row_f32(&values[&m.sums], i, graph.elements(m.sums));
                let ratio = t.cumulative.add(sample, floats(p.cumulative)).ratio;
                ratios.push(ratio);
                if let (LocalAt::Measured(m), Some(local)) = (&p.local, &mut t.local) {
                    let known = !local.add(sample, floats(*m)).ratio.is_nan();
                    if let Some(id) = m.counts.filter(|_| known) {
                        local.count(row_i32(&values[&id], i, graph.elements(id)));
                    }
                }
                // What is not a number is left out of the counts, too.
                if let Some(id) = p.cumulative.counts.filter(|_| !ratio.is_nan()) {
                    t.cumulative
                        .count(row_i32(&values[&id], i, graph.elements(id)));
                }
                if let (Some(m), Some(by_time)) = (p.by_time, &mut t.by_time) {
                    by_time.add(sample, floats(m));
                }
            }
            let of_sample = |outputs: &[Vec<f32>]| -> Vec<Vec<f32>> {
                let part = |v: &Vec<f32>| {
                    let n = v.len() / batch.samples;
                    v[i * n..][..n].to_vec()
                };
                outputs.iter().map(part).collect()
            };
            see(Seen {
                sample,
                float: &of_sample(&outputs[0]),
                quantized: &of_sample(&outputs[1]),
                ratios: &ratios,
            })?;
        }
        samples += batch.samples;
        progress(batch.samples);
        Ok::<(), Error>(())
    })?;
    let rows = planned.iter().zip(&tallies);
    let rows = rows.map(|(p, t)| row(task, p, t, samples));
    let rows = rows.collect();
    Ok(Findings { rows, samples })
}

struct Tallies {
    local: Option<Tally>,
    cumulative: Tally,
    by_time: Option<Tally>,
}

fn row_f32(values: &Values, i: usize, n: usize) -> &[f32] {
    match values {
        Values::F32(v) => &v[i * n..][..n],
        _ => &[],
    }
}

fn row_i32(values: &Values, i: usize, n: usize) -> &[i32] {
    match values {
        Values::I32(v) => &v[i * n..][..n],
        _ => &[],
    }
}

fn row(task: Task<'_>, p: &Planned, t: &Tallies, samples: usize) -> Row {
    use crate::kernel::distance::counts::{CODES, HIGHEST, LOWEST};
    let node = &task.quantized.nodes[p.node];
    let tensor = &task.quantized.tensors[p.tensor];
    let scale = tensor.affine().map(|a| a.scale);
    let counts = &t.cumulative.counts;
    let cumulative = t.cumulative.stats(scale);
    Row {
        node: p.node,
        op_index: node.index,
        op_name: node.op.name().into(),
        tensor: p.tensor,
        tensor_name: tensor.name.clone(),
        float_tensor: p.reference,
        dtype: tensor.dtype,
        affine: tensor.affine(),
        local: match (&p.local, &t.local) {
            (LocalAt::Measured(_), Some(local)) => Local::Measured(local.stats(scale)),
            (LocalAt::Nothing, _) => Local::Nothing,
            _ => Local::Unknown,
        },
        codes: counts.get(CODES..).unwrap_or_default().to_vec(),
        at_ends: [LOWEST, HIGHEST].map(|i| counts.get(i).copied().unwrap_or(0)),
        elements: (samples * tensor.elements()) as u64
            - cumulative.nan_samples * tensor.elements() as u64,
        cumulative,
        extremes: t.cumulative.extremes(),
        by_time: match &t.by_time {
            Some(t) => t
                .stats(None)
                .channels
                .iter()
                .map(|c| c.mean_squared_error)
                .collect(),
            None => Vec::new(),
        },
    }
}

/// The graph of all comparisons, with the inputs of the quantized model and then those of the float one.
fn plan(task: Task<'_>, matching: &Matching, time: bool) -> (Graph, Vec<Planned>) {
    let (float, quantized) = (task.float, task.quantized);
    let mut weave = Weave::new(float, quantized);
    weave.graph.inputs = quantized.inputs.clone();
    let inputs = float.inputs.iter().map(|&id| weave.of_float(id));
    let inputs: Vec<TensorId> = inputs.collect();
    weave.graph.inputs.extend(inputs);
    let producers = producers(float);
    let mut planned = Vec::new();
    // Float nodes up to here are there.
    let mut done = 0;
    for (position, node) in quantized.nodes.iter().enumerate() {
        if node.op.is_opaque() {
            continue;
        }
        weave.quantized_node(node);
        for (place, &tensor) in node.outputs.iter().enumerate() {
            let Some(reference) = matching.float[tensor] else {
                continue;
            };
            let comparable = matches!(
                quantized.tensors[tensor].dtype,
                DType::F32 | DType::I8 | DType::I16
            ) && float.tensors[reference].dtype == DType::F32
                && quantized.elements(tensor) == float.elements(reference)
                && quantized.elements(tensor) > 0
                && node.op != Op::Dequantize;
            // A TRANSPOSE of the quantized model alone computes nothing.
            let read = node.inputs.first().copied().flatten();
            let turns =
                read.is_some_and(|id| matching.turned.get(&id) != matching.turned.get(&tensor));
            if !comparable || turns {
                continue;
            }
            let upto = producers.get(&reference).map_or(0, |&i| i + 1);
            for node in float.nodes[done.min(upto)..upto]
                .iter()
                .filter(|n| !n.op.is_opaque())
            {
                weave.float_node(node);
            }
            done = done.max(upto);
            let local = local(&mut weave, task, matching, &producers, node, place);
            let test = weave.straight(tensor, matching);
            let mut shared = None;
            let (local, by_time) = match local {
                Reference::At(id) => {
                    let by_time = match time {
                        true => by_time(&mut weave, node, test, id),
                        false => None,
                    };
                    // Whatever is the float model's own tensor is compared once.
                    let measured = match id == weave.of_float(reference) {
                        true => weave.measure_codes(test, id),
                        false => weave.measure(test, id),
                    };
                    shared = (id == weave.of_float(reference)).then_some(measured);
                    (LocalAt::Measured(measured), by_time)
                }
                Reference::Nothing => (LocalAt::Nothing, None),
                Reference::Unknown => (LocalAt::Unknown, None),
            };
            let reshapes = matches!(
                node.op,
                Op::Move(Move::Reshape | Move::Squeeze(_) | Move::ExpandDims)
            );
            let before = planned.iter().find(|p: &&Planned| {
                reshapes && matches!(local, LocalAt::Nothing) && Some(p.tensor) == read
            });
            // A reshaped tensor has the same values in the same order.
            let cumulative = match shared.or(before.map(|before| before.cumulative)) {
                Some(there) => there,
                None => {
                    let cumulative = weave.of_float(reference);
                    weave.measure_codes(test, cumulative)
                }
            };
            planned.push(Planned {
                node: position,
                tensor,
                reference,
                local,
                cumulative,
                by_time,
            });
        }
    }
    for node in float.nodes[done..].iter().filter(|n| !n.op.is_opaque()) {
        weave.float_node(node);
    }
    let results = quantized.results();
    let of_float: Vec<TensorId> = float
        .results()
        .iter()
        .map(|&id| weave.of_float(id))
        .collect();
    for id in results.into_iter().chain(of_float) {
        if !weave.graph.outputs.contains(&id) {
            weave.graph.outputs.push(id);
        }
    }
    (weave.graph, planned)
}

/// What an output would be without the errors of its operator.
enum Reference {
    At(TensorId),
    Nothing,
    Unknown,
}

fn local(
    weave: &mut Weave<'_>,
    task: Task<'_>,
    matching: &Matching,
    producers: &HashMap<TensorId, usize>,
    node: &Node,
    place: usize,
) -> Reference {
    let quantized = task.quantized;
    let tensor = node.outputs[place];
    if node.op == Op::Quantize {
        return match node.inputs[0] {
            Some(id) => {
                let straight = weave.straight(id, matching);
                Reference::At(weave.real(straight))
            }
            None => Reference::Unknown,
        };
    }
    let Some(reference) = matching.float[tensor] else {
        return Reference::Unknown;
    };
    let inputs = || node.inputs.iter().flatten();
    if let Op::Move(motion) = &node.op
        && !matches!(motion, Move::PadV2)
        && inputs()
            .filter(|&&id| quantized.is_activation(id))
            .all(|&id| quantized.tensors[id].affine() == quantized.tensors[tensor].affine())
        && inputs()
            .all(|&id| quantized.is_activation(id) || quantized.tensors[id].dtype != DType::I8)
    {
        return Reference::Nothing;
    }
    let same = producers
        .get(&reference)
        .is_some_and(|&i| is_same(quantized, node, task.float, &task.float.nodes[i]));
    if same {
        return Reference::Nothing;
    }
    // What the quantized operator reads, by the tensor of the float model that it stands for.
    let mut known: HashMap<TensorId, TensorId> = HashMap::new();
    for &id in inputs() {
        if quantized.is_activation(id)
            && !quantized.tensors[id].variable
            && let Some(f) = matching.float[id]
        {
            // As TensorFlow's debugger does: what is fed is fed as it came, so its rounding counts to who reads it.
            let real = match task.float.inputs.contains(&f) {
                true => weave.of_float(f),
                false => {
                    let straight = weave.straight(id, matching);
                    weave.real(straight)
                }
            };
            known.insert(f, real);
        }
    }
    // What reads nothing but the model's inputs, as they came, is what the float model computes.
    let fed = |f: &TensorId| task.float.inputs.contains(f);
    if !known.is_empty() && known.keys().all(fed) {
        return Reference::At(weave.of_float(reference));
    }
    match copy(weave, task.float, producers, &mut known, reference, 0) {
        Some(id) => Reference::At(id),
        None => Reference::Unknown,
    }
}

/// Float operators between a quantized operator's inputs and its output are few; a chain this long is none of them.
const LONGEST: usize = 32;

/// Computes a tensor of the float model from what is known, through copies of its operators.
pub(super) fn copy(
    weave: &mut Weave<'_>,
    float: &Graph,
    producers: &HashMap<TensorId, usize>,
    known: &mut HashMap<TensorId, TensorId>,
    id: TensorId,
    depth: usize,
) -> Option<TensorId> {
    if let Some(&there) = known.get(&id) {
        return Some(there);
    }
    let node = &float.nodes[*producers.get(&id)?];
    if depth > LONGEST || node.op.is_opaque() {
        return None;
    }
    let mut read = HashMap::new();
    for (place, input) in node.inputs.iter().enumerate() {
        let Some(input) = input.filter(|&i| float.is_activation(i) && !float.tensors[i].variable)
        else {
            continue;
        };
        read.insert(
            place,
            copy(weave, float, producers, known, input, depth + 1)?,
        );
    }
    let outputs = weave.float_copy(node, &read);
    for (&f, there) in node.outputs.iter().zip(outputs) {
        known.insert(f, there);
    }
    known.get(&id).copied()
}

/// Whether a node is the float model's, with the same constants.
fn is_same(quantized: &Graph, node: &Node, float: &Graph, other: &Node) -> bool {
    let constant = |g: &Graph, id: TensorId| g.tensors[id].constant.clone();
    let pairs = node.inputs.iter().zip(&other.inputs);
    let mut constants = pairs.map(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => {
            let (x, y) = (constant(quantized, *a), constant(float, *b));
            x.map(|v| v.bytes().to_vec()) == y.map(|v| v.bytes().to_vec())
                && quantized.tensors[*a].dtype == float.tensors[*b].dtype
        }
        (a, b) => a.is_none() && b.is_none(),
    });
    node.op == other.op && node.inputs.len() == other.inputs.len() && constants.all(|same| same)
}

/// Errors of an LSTM by time step: the comparison of both with time as the last dimension.
fn by_time(
    weave: &mut Weave<'_>,
    node: &Node,
    tensor: TensorId,
    reference: TensorId,
) -> Option<Measured> {
    let Op::UnidirectionalSequenceLstm(attributes) = &node.op else {
        return None;
    };
    let shape = weave.graph.tensors[tensor].shape.clone();
    let [_, _, _] = shape[..] else {
        return None;
    };
    let order: [usize; 3] = match attributes.time_major {
        true => [1, 2, 0],
        false => [0, 2, 1],
    };
    let turned: Vec<usize> = order.iter().map(|&d| shape[d]).collect();
    if channels(&turned) == 1 {
        return None;
    }
    let (test, reference) = (
        weave.transposed(tensor, &order),
        weave.transposed(reference, &order),
    );
    Some(weave.measure(test, reference))
}
