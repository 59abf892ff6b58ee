//! Which operators can be computed now, and what they give: each runs on the CPU's own kernels.

use crate::cpu::Cpu;
use crate::graph::{Error, Graph, Move, Node, Op, Static, Tensor, TensorId};
use crate::kernel::{self, Device, Feed, Keep, SessionConfig, Statistics};
use crate::num::{DType, Values};
use std::collections::{BTreeMap, HashSet};

/// Largest constant that is made of smaller ones, in bytes: broadcasting could fill any memory.
const LARGEST: usize = 16 << 20;
/// The same where devices can compute it for every sample, which keeps the written model small.
const LARGEST_IF_COMPUTABLE: usize = 64 << 10;

/// Gives every tensor the shape that LiteRT gives it, and finds the value of every tensor that operators compute from
/// constants. Both go hand in hand: a shape may be computed from the shapes before it.
pub(super) fn fold(graph: &mut Graph) -> Result<BTreeMap<TensorId, Values>, Error> {
    let mut known: BTreeMap<TensorId, Values> = BTreeMap::new();
    for i in 0..graph.nodes.len() {
        if graph.nodes[i].op.is_opaque() {
            continue;
        }
        // Where a shape cannot be found the file's stays; if that is wrong, the preparation of the node says why.
        if let Ok(shapes) = kernel::output_shapes(graph, &graph.nodes[i], &known) {
            for (place, shape) in shapes.into_iter().enumerate() {
                let id = graph.nodes[i].outputs[place];
                graph.tensors[id].shape = shape;
            }
        }
        let (graph, node) = (&*graph, &graph.nodes[i]);
        let value = |id: TensorId| known.get(&id).or(graph.tensors[id].constant.as_ref());
        let inputs: Vec<TensorId> = node.inputs.iter().flatten().copied().collect();
        let by_shape = matches!(
            node.op,
            Op::Static(Static::Shape | Static::Rank | Static::ZerosLike)
        );
        if !by_shape && !inputs.iter().all(|&id| value(id).is_some()) {
            continue;
        }
        let bytes = |ids: &[TensorId]| -> usize {
            ids.iter()
                .map(|&id| {
                    graph
                        .elements(id)
                        .saturating_mul(graph.tensors[id].dtype.size())
                })
                .sum()
        };
        let computable = matches!(node.op, Op::Binary(..) | Op::Move(_) | Op::Select { .. });
        let largest = if computable {
            LARGEST_IF_COMPUTABLE
        } else {
            LARGEST
        };
        if bytes(&node.outputs) > largest.max(4 * bytes(&inputs)) {
            continue;
        }
        let results = match &node.op {
            Op::Static(op) => vec![fixed(graph, node, *op, &value)?],
            Op::Dequantize if graph.tensors[inputs[0]].dtype == DType::F16 => {
                vec![halves(value(inputs[0]))]
            }
            Op::Dequantize if has_channels(&graph.tensors[inputs[0]]) => {
                vec![reals(&graph.tensors[inputs[0]], value(inputs[0]))]
            }
            _ => run(graph, node, &value)?,
        };
        known.extend(node.outputs.iter().copied().zip(results));
    }
    Ok(known)
}

/// Operators whose outputs are all known, or read by nobody.
pub(super) fn removed(graph: &Graph, folded: &BTreeMap<TensorId, Values>) -> HashSet<usize> {
    let mut wanted: HashSet<TensorId> = graph.outputs.iter().copied().collect();
    let mut removed = HashSet::new();
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        let known = node.outputs.iter().all(|id| folded.contains_key(id));
        let unread = !node.outputs.iter().any(|id| wanted.contains(id));
        if (known || unread) && !node.op.is_opaque() {
            removed.insert(i);
        } else {
            wanted.extend(node.inputs.iter().flatten());
        }
    }
    removed
}

fn error(graph: &Graph, node: &Node, what: impl Into<String>) -> Error {
    Error::Node {
        file: graph.file.clone(),
        node: node.describe(),
        what: what.into(),
    }
}

/// float16, which lies as 16 bits, as float32.
fn halves(value: Option<&Values>) -> Values {
    let bits: &[u16] = match value {
        Some(Values::U16(bits)) => bits,
        _ => &[],
    };
    Values::F32(
        bits.iter()
            .map(|&b| half::f16::from_bits(b).to_f32())
            .collect(),
    )
}

/// Whether it is int8 with a scale for each channel, which no kernel takes at run time.
fn has_channels(tensor: &Tensor) -> bool {
    let q = tensor.quantization.as_ref();
    tensor.dtype == DType::I8
        && q.is_some_and(|q| {
            q.scales.len() > 1 && tensor.shape.get(q.axis) == Some(&q.scales.len())
        })
}

/// int8 with a scale for each channel as the numbers it stands for.
fn reals(tensor: &Tensor, value: Option<&Values>) -> Values {
    let (Some(Values::I8(values)), Some(q)) = (value, &tensor.quantization) else {
        return Values::F32(Vec::new());
    };
    let behind: usize = tensor.shape.iter().skip(q.axis + 1).product();
    let channel = |k: usize| k / behind.max(1) % q.scales.len();
    let real = |(k, &x): (usize, &i8)| {
        let steps = f64::from(i32::from(x) - q.zero_points[channel(k)]);
        (f64::from(q.scales[channel(k)]) * steps) as f32
    };
    Values::F32(values.iter().enumerate().map(real).collect())
}

/// Operators that have no kernel.
fn fixed<'a>(
    graph: &'a Graph,
    node: &Node,
    op: Static,
    value: &dyn Fn(TensorId) -> Option<&'a Values>,
) -> Result<Values, Error> {
    let error = |what: String| error(graph, node, what);
    let input = |i: usize| {
        let id = node.inputs.get(i).copied().flatten();
        id.ok_or_else(|| error(format!("input {i} is missing")))
    };
    let output = &graph.tensors[node.outputs[0]];
    let integers = |v: Vec<i64>| match output.dtype {
        DType::I64 => Ok(Values::I64(v)),
        DType::I32 => Ok(Values::I32(v.into_iter().map(|x| x as i32).collect())),
        other => Err(error(format!(
            "its output is {other}, expected int32 or int64"
        ))),
    };
    let first = &graph.tensors[input(0)?];
    let made = match op {
        Static::Shape => integers(first.shape.iter().map(|&d| d as i64).collect())?,
        Static::Rank => integers(vec![first.shape.len() as i64])?,
        Static::ZerosLike => zeros(output),
        Static::Densify => value(input(0)?).cloned().unwrap_or_else(|| zeros(output)),
        Static::Fill => {
            let element = value(input(1)?).map(Values::bytes).unwrap_or_default();
            if element.len() != output.dtype.size() {
                return Err(error(
                    "its value is not one element of its output's type".into(),
                ));
            }
            let bytes = element.repeat(output.elements());
            Values::from_bytes(output.dtype, &bytes).unwrap_or_else(|| zeros(output))
        }
        Static::Range => range(output, [0, 1, 2].map(|i| input(i).ok().and_then(value)))
            .ok_or_else(|| error("its bounds do not make a range of its output's type".into()))?,
    };
    if made.len() != output.elements() {
        return Err(error(format!(
            "it gives {} elements, but {} has shape {:?}",
            made.len(),
            graph.describe(node.outputs[0]),
            output.shape
        )));
    }
    Ok(made)
}

fn zeros(of: &Tensor) -> Values {
    let bytes = vec![0; of.elements() * of.dtype.size()];
    Values::from_bytes(of.dtype, &bytes).unwrap_or(Values::U16(vec![0; of.elements()]))
}

/// start, start + step, … up to the limit.
fn range(output: &Tensor, bounds: [Option<&Values>; 3]) -> Option<Values> {
    match bounds.map(Option::<&Values>::cloned) {
        [
            Some(Values::I32(a)),
            Some(Values::I32(b)),
            Some(Values::I32(s)),
        ] => {
            let (a, s) = (i64::from(*a.first()?), i64::from(*s.first()?));
            let count = steps(f64::from(*b.first()?) - a as f64, s as f64, output)?;
            let values = (0..count).map(|i| (a + i as i64 * s) as i32);
            Some(Values::I32(values.collect()))
        }
        [
            Some(Values::I64(a)),
            Some(Values::I64(b)),
            Some(Values::I64(s)),
        ] => {
            let (a, s) = (*a.first()?, *s.first()?);
            let count = steps((*b.first()? as f64) - a as f64, s as f64, output)?;
            let values = (0..count).map(|i| a.wrapping_add((i as i64).wrapping_mul(s)));
            Some(Values::I64(values.collect()))
        }
        [
            Some(Values::F32(a)),
            Some(Values::F32(b)),
            Some(Values::F32(s)),
        ] => {
            let (a, s) = (*a.first()?, *s.first()?);
            let count = steps(f64::from(*b.first()?) - f64::from(a), f64::from(s), output)?;
            Some(Values::F32((0..count).map(|i| a + i as f32 * s).collect()))
        }
        _ => None,
    }
}

/// How many steps fit, if that is what the output holds.
fn steps(span: f64, step: f64, output: &Tensor) -> Option<usize> {
    let count = (span / step).ceil();
    (count == output.elements() as f64).then_some(count as usize)
}

/// Runs one node: what it reads at run time is fed.
fn run<'a>(
    graph: &'a Graph,
    node: &Node,
    value: &dyn Fn(TensorId) -> Option<&'a Values>,
) -> Result<Vec<Values>, Error> {
    let is_empty = |id: TensorId| graph.elements(id) == 0;
    if node.outputs.iter().all(|&id| is_empty(id)) {
        return Ok(node
            .outputs
            .iter()
            .map(|&id| zeros(&graph.tensors[id]))
            .collect());
    }
    let mut here = node.clone();
    if matches!(here.op, Op::Move(Move::Concatenation(_))) {
        // Devices take no empty tensors, and these change nothing.
        here.inputs.retain(|id| !id.is_some_and(is_empty));
    }
    let mut alone = Graph {
        file: graph.file.clone(),
        tensors: Vec::new(),
        nodes: Vec::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
    };
    let mut numbers: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    for &id in here.inputs.iter().flatten().chain(&here.outputs) {
        numbers.entry(id).or_insert_with(|| {
            alone.tensors.push(Tensor {
                constant: value(id).cloned(),
                ..graph.tensors[id].clone()
            });
            alone.tensors.len() - 1
        });
    }
    let here = Node {
        inputs: here
            .inputs
            .iter()
            .map(|id| id.map(|id| numbers[&id]))
            .collect(),
        outputs: here.outputs.iter().map(|id| numbers[id]).collect(),
        ..here
    };
    let results = here.outputs.clone();
    alone.outputs = results.clone();
    alone.outputs.retain(|&id| alone.tensors[id].elements() > 0);
    alone.inputs = kernel::fed(&alone, &here);
    let feeds: Vec<Values> = alone
        .inputs
        .iter()
        .filter_map(|&id| alone.tensors[id].constant.take())
        .collect();
    alone.nodes.push(here);
    let program = kernel::prepare(alone)?;
    let config = SessionConfig {
        batch: Some(1),
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: vec![Feed::Direct; feeds.len()],
    };
    let cpu = Cpu::new();
    let failed = |e: kernel::DeviceError| error(graph, node, e.to_string());
    let mut session = cpu.session(&program, &config).map_err(failed)?;
    session.run(1, &feeds).map_err(failed)?;
    let read = |&id: &TensorId| {
        let tensor = &program.graph.tensors[id];
        match tensor.elements() {
            0 => Ok(zeros(tensor)),
            _ => session.read(id).map_err(failed),
        }
    };
    results.iter().map(read).collect()
}
