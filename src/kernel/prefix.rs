//! What graphs have in common from their inputs on need not be computed again.
//!
//! Graphs are compared node by node, with all parameters and constants that a node reads or writes, so nothing has to be
//! known of how they differ. At a few places of one the tensors that are alive there can be kept for all samples; another that
//! is the same up to such a place begins there.

use super::Program;
use crate::graph::{Graph, Tensor, TensorId};
use crate::num::Values;
use std::collections::HashSet;

/// A place in a graph, and what is alive there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Nodes before it.
    pub nodes: usize,
    /// Tensors that were fed or computed before it and are read behind it.
    pub alive: Vec<TensorId>,
    /// The share of the work that lies behind it, in percent.
    pub behind: usize,
}

/// Places where a program can be cut, for so many samples, behind these shares of the work; from the first to the last. No place
/// keeps more bytes than `most`.
pub fn places(program: &Program, samples: usize, shares: &[f64], most: usize) -> Vec<Place> {
    let graph = &program.graph;
    let floors = program.floors();
    let mut work = vec![0u64; graph.nodes.len()];
    for (step, floor) in program.steps.iter().zip(&floors.steps) {
        // Moving bytes is work, too.
        work[step.node] += floor.operations + floor.bytes;
    }
    let total = work.iter().sum::<u64>().max(1) as f64;
    let mut places: Vec<Place> = Vec::new();
    let mut done = 0;
    for (i, work) in work.iter().enumerate() {
        done += work;
        let share = done as f64 / total;
        let wanted = shares.get(places.len()).is_some_and(|&s| share >= s);
        if !wanted || i + 1 == graph.nodes.len() {
            continue;
        }
        let Some(alive) = alive(graph, i + 1) else {
            continue;
        };
        let bytes = |&id: &TensorId| graph.elements(id) * graph.tensors[id].dtype.size();
        if alive.iter().map(bytes).sum::<usize>() * samples <= most {
            places.push(Place {
                nodes: i + 1,
                alive,
                behind: (100.0 * (1.0 - share)).ceil() as usize,
            });
        }
    }
    places
}

/// What is alive behind so many nodes; none where the graph cannot be cut: behind an output, through a state, or where an
/// input of the model is still read.
fn alive(graph: &Graph, nodes: usize) -> Option<Vec<TensorId>> {
    let (before, behind) = graph.nodes.split_at(nodes);
    let written = before.iter().flat_map(|n| n.outputs.iter().copied());
    let there: HashSet<TensorId> = graph.inputs.iter().copied().chain(written).collect();
    let read = behind.iter().flat_map(|n| n.inputs.iter().flatten());
    let mut alive: Vec<TensorId> = read.copied().filter(|id| there.contains(id)).collect();
    alive.sort_unstable();
    alive.dedup();
    let is_cut = |id: &TensorId| there.contains(id);
    let kept = |id: &TensorId| graph.tensors[*id].variable || graph.inputs.contains(id);
    let bad = graph.outputs.iter().any(is_cut) || alive.iter().any(kept) || alive.is_empty();
    (!bad).then_some(alive)
}

/// What lies before a place, and behind another one if there is one. Its outputs are what is alive at the end, but for
/// what was alive at the start.
pub fn head(graph: &Graph, from: Option<&Place>, to: &Place) -> Graph {
    let there = |id: &TensorId| from.is_some_and(|from| from.alive.contains(id));
    let mut outputs = to.alive.clone();
    outputs.retain(|id| !there(id));
    let head = Graph {
        nodes: graph.nodes[..to.nodes].to_vec(),
        outputs,
        ..graph.clone()
    };
    match from {
        Some(from) => tail(head, from),
        None => head,
    }
}

/// What lies behind a place, fed with what is alive there.
pub fn tail(graph: Graph, place: &Place) -> Graph {
    Graph {
        nodes: graph.nodes[place.nodes..].to_vec(),
        inputs: place.alive.clone(),
        ..graph
    }
}

/// Whether a graph can begin at a place of another one, with which it has the nodes before it in common: what it reads behind
/// the place must be alive there.
pub fn begins(graph: &Graph, place: &Place) -> bool {
    let Some(behind) = graph.nodes.get(place.nodes..) else {
        return false;
    };
    let written = behind.iter().flat_map(|n| n.outputs.iter());
    let there: HashSet<TensorId> = place.alive.iter().chain(written).copied().collect();
    let given = |id: TensorId| graph.tensors[id].constant.is_some() || graph.tensors[id].variable;
    let mut read = behind.iter().flat_map(|n| n.inputs.iter().flatten());
    read.all(|&id| there.contains(&id) || given(id))
        && graph
            .outputs
            .iter()
            .all(|&id| there.contains(&id) || given(id))
}

/// How many nodes from the first on are the same in both, with all that they read and write.
pub fn common(a: &Graph, b: &Graph) -> usize {
    if a.inputs != b.inputs {
        return 0;
    }
    let same_tensor = |&id: &TensorId| match (a.tensors.get(id), b.tensors.get(id)) {
        (Some(x), Some(y)) => {
            let kind = |t: &Tensor| (t.dtype, t.variable);
            kind(x) == kind(y)
                && x.shape == y.shape
                && x.quantization == y.quantization
                && same_values(x.constant.as_ref(), y.constant.as_ref())
        }
        (x, y) => x.is_none() && y.is_none(),
    };
    let pairs = a.nodes.iter().zip(&b.nodes);
    let same = pairs.take_while(|(x, y)| {
        let tensors = x.inputs.iter().flatten();
        let mut tensors = tensors.chain(&x.outputs).chain(&x.intermediates);
        x.op == y.op
            && x.inputs == y.inputs
            && x.outputs == y.outputs
            && x.intermediates == y.intermediates
            && tensors.all(same_tensor)
    });
    same.count()
}

/// By bits.
fn same_values(a: Option<&Values>, b: Option<&Values>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.dtype() == b.dtype() && a.bytes() == b.bytes(),
        (a, b) => a.is_none() && b.is_none(),
    }
}
