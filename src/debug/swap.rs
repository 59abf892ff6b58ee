//! The float model with some operators of the quantized one in it, and the quantized one with some of its operators in float.

use super::errors::copy;
use super::simulate::is_quantized;
use super::weave::{Weave, producers, undone};
use super::{Matching, Task};
use crate::graph::{Graph, Node, Op, TensorId};
use crate::num::DType;
use std::collections::{HashMap, HashSet};

/// The float model as it is, with the numbers of a woven graph.
pub(super) fn float(task: Task<'_>) -> Graph {
    alone(task, &Matching::default(), &HashSet::new())
}

/// The float model, with these nodes of the quantized one in place of its own: floats are rounded to what a node reads, and its
/// outputs are made real again.
pub(super) fn alone(task: Task<'_>, matching: &Matching, nodes: &HashSet<usize>) -> Graph {
    let mut weave = Weave::new(task.float, task.quantized);
    weave.graph.inputs = task
        .float
        .inputs
        .iter()
        .map(|&id| weave.of_float(id))
        .collect();
    // Which node of the quantized model computes a tensor of the float one.
    let mut instead: HashMap<TensorId, usize> = HashMap::new();
    for &i in nodes {
        for &id in &task.quantized.nodes[i].outputs {
            if let Some(f) = matching.float[id] {
                instead.insert(f, i);
            }
        }
    }
    // A QUANTIZE of an input has no operator of the float model in whose place it could go.
    let mut fed: HashMap<TensorId, TensorId> = HashMap::new();
    for &id in &task.float.inputs {
        if let Some(&i) = instead.get(&id) {
            let like = task.quantized.nodes[i].outputs[0];
            let input = weave.of_float(id);
            let rounded = weave.rounded(input, like);
            let real = weave.real(rounded);
            fed.insert(input, real);
        }
    }
    let behind_inputs = weave.graph.nodes.len();
    let mut done: HashSet<usize> = HashSet::new();
    for node in task.float.nodes.iter().filter(|n| !n.op.is_opaque()) {
        let by = node.outputs.iter().filter_map(|id| instead.get(id));
        if by.clone().next().is_none() {
            weave.float_node(node);
        }
        for &i in by {
            if done.insert(i) {
                quantized(&mut weave, task, matching, &task.quantized.nodes[i]);
            }
        }
    }
    for node in &mut weave.graph.nodes[behind_inputs..] {
        for id in node.inputs.iter_mut().flatten() {
            *id = fed.get(id).copied().unwrap_or(*id);
        }
    }
    let outputs = task.float.results();
    weave.graph.outputs = outputs.iter().map(|&id| weave.of_float(id)).collect();
    prune(weave.graph)
}

/// A node of the quantized model between tensors of the float one.
fn quantized(weave: &mut Weave<'_>, task: Task<'_>, matching: &Matching, node: &Node) {
    let graph = task.quantized;
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for &input in &node.inputs {
        let computed = input.filter(|&id| graph.is_activation(id) && !graph.tensors[id].variable);
        let of = computed.and_then(|id| Some((id, matching.float[id]?)));
        inputs.push(match of {
            Some((id, f)) => {
                let real = weave.of_float(f);
                let straight = match is_quantized(&graph.tensors[id]) {
                    true => weave.rounded(real, id),
                    false => real,
                };
                Some(match matching.turned.get(&id) {
                    Some(turn) => weave.transposed(straight, &undone(turn)),
                    None => straight,
                })
            }
            None => input,
        });
    }
    weave.node(Node {
        inputs,
        ..node.clone()
    });
    for &id in &node.outputs {
        let Some(f) = matching.float[id] else {
            continue;
        };
        let to = weave.of_float(f);
        let quantized = is_quantized(&graph.tensors[id]);
        match (quantized, matching.turned.get(&id)) {
            (false, None) => rename(weave.graph.nodes.last_mut(), id, to),
            (false, Some(turn)) => weave.transpose_into(id, turn, to),
            _ => {
                let straight = weave.straight(id, matching);
                weave.convert(Op::Dequantize, straight, to);
            }
        }
    }
}

fn rename(node: Option<&mut Node>, from: TensorId, to: TensorId) {
    let outputs = node.into_iter().flat_map(|n| &mut n.outputs);
    outputs.filter(|id| **id == from).for_each(|id| *id = to);
}

/// The quantized model, with the float model's operators in place of these nodes. What they hand to each other is not rounded;
/// what they read from a QUANTIZE of floats is what that reads.
pub(super) fn left_float(task: Task<'_>, matching: &Matching, nodes: &HashSet<usize>) -> Graph {
    let graph = task.quantized;
    let mut weave = Weave::new(task.float, graph);
    weave.graph.inputs.clone_from(&graph.inputs);
    let by_output = producers(graph);
    let of_float = producers(task.float);
    // Floats that stand for a tensor and were never rounded.
    let mut unrounded: HashMap<TensorId, TensorId> = HashMap::new();
    for (i, node) in graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, n)| !n.op.is_opaque())
    {
        // What only moves floats that were to be rounded anyway is rounded behind, as if it were left float, too.
        let is_float = |&id: &TensorId| {
            let by = by_output.get(&id).map(|&p| &graph.nodes[p]);
            unrounded.contains_key(&id)
                || by.is_some_and(|n| n.op == Op::Quantize && is_of_float(graph, n))
        };
        let read = node.inputs.iter().flatten();
        let mut read = read.filter(|&&id| graph.is_activation(id));
        let passes_on = !nodes.is_empty() && matches!(node.op, Op::Move(_)) && read.all(is_float);
        if !nodes.contains(&i) && !passes_on {
            weave.quantized_node(node);
            continue;
        }
        let mut known: HashMap<TensorId, TensorId> = HashMap::new();
        for &id in node.inputs.iter().flatten() {
            let Some(f) = matching.float[id].filter(|_| graph.is_activation(id)) else {
                continue;
            };
            let before = by_output.get(&id).map(|&p| &graph.nodes[p]);
            let source = before
                .filter(|n| n.op == Op::Quantize && is_of_float(graph, n))
                .and_then(|n| n.inputs[0]);
            let real = match (unrounded.get(&id), source) {
                (Some(&there), _) => there,
                (None, Some(from)) if unrounded.contains_key(&from) => unrounded[&from],
                (None, from) => {
                    let straight = weave.straight(from.unwrap_or(id), matching);
                    weave.real(straight)
                }
            };
            known.insert(f, real);
        }
        let counterparts = node.outputs.iter().map(|&id| matching.float[id]);
        let counterparts: Option<Vec<TensorId>> = counterparts.collect();
        // What has none, or only passes on what it reads, stays what it is.
        let there: Option<Vec<TensorId>> = counterparts
            .filter(|ids| ids.iter().all(|f| !known.contains_key(f)))
            .and_then(|ids| {
                let mut find = |f| copy(&mut weave, task.float, &of_float, &mut known, f, 0);
                ids.into_iter().map(&mut find).collect()
            });
        let Some(there) = there else {
            weave.quantized_node(node);
            continue;
        };
        for (&id, there) in node.outputs.iter().zip(there) {
            let turn = matching.turned.get(&id).map(|turn| undone(turn));
            match (is_quantized(&graph.tensors[id]), turn) {
                (false, None) => weave.alias(there, id),
                (false, Some(back)) => weave.transpose_into(there, &back, id),
                (_, turn) => {
                    unrounded.insert(id, there);
                    match turn {
                        None => weave.convert(Op::Quantize, there, id),
                        Some(back) => {
                            let rounded = weave.rounded(there, id);
                            weave.transpose_into(rounded, &back, id);
                        }
                    }
                }
            }
        }
    }
    weave.graph.outputs = graph.results();
    prune(weave.graph)
}

/// Whether a QUANTIZE reads floats.
fn is_of_float(graph: &Graph, node: &Node) -> bool {
    node.inputs[0].is_some_and(|id| graph.tensors[id].dtype == DType::F32)
}

/// Without nodes that nobody needs.
pub(super) fn prune(mut graph: Graph) -> Graph {
    let mut needed: HashSet<TensorId> = graph.outputs.iter().copied().collect();
    let mut keep = vec![false; graph.nodes.len()];
    for (keep, node) in keep.iter_mut().zip(&graph.nodes).rev() {
        *keep = node.outputs.iter().any(|id| needed.contains(id));
        if *keep {
            needed.extend(node.inputs.iter().flatten());
        }
    }
    let mut keep = keep.into_iter();
    graph.nodes.retain(|_| keep.next().unwrap_or(true));
    graph
}
