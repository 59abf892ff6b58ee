//! Which tensor of the float model a tensor of the quantized one stands for.
//!
//! By structure first, from the inputs on: the operator of the same kind that reads the same tensors and writes the same
//! shape; conversions between forms of a tensor are looked through, and an activation may be fused in one of both models.
//! Names decide between several, and take over where the structure leads nowhere: converters rename tensors, and names that
//! are equal may be those of a weight.

use super::Error;
use crate::graph::{Activation, Graph, Move, Node, Op, TensorId, Unary};
use std::collections::{HashMap, HashSet};

/// For each tensor of the quantized model the tensor of the float model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// By tensor of the quantized model; none for constants and for what only the quantized model has.
    pub float: Vec<Option<TensorId>>,
    /// Nodes of the quantized model, by position, of which no counterpart was found.
    pub unknown: Vec<usize>,
    /// Nodes that one counterpart stands for together, by the last of them: TRANSPOSE, convolution, TRANSPOSE, as a mixed model
    /// of zeropoint's has them; all but the last, in order.
    pub together: HashMap<usize, Vec<usize>>,
}

impl Matching {
    /// The node that does the work: the convolution of a group, else the node itself.
    pub(super) fn main(&self, node: usize) -> usize {
        self.together.get(&node).map_or(node, |group| group[1])
    }

    /// What a node reads together with those that belong to it.
    pub(super) fn reads(&self, graph: &Graph, node: usize) -> Vec<TensorId> {
        let group = self.together.get(&node).into_iter().flatten();
        let nodes = group.chain([&node]).map(|&i| &graph.nodes[i]);
        nodes
            .flat_map(|n| n.inputs.iter().flatten().copied())
            .collect()
    }
}

/// Matches two models.
///
/// # Errors
/// If their inputs or outputs are not as many or of other shapes.
pub fn matching(float: &Graph, quantized: &Graph) -> Result<Matching, Error> {
    let shapes = |g: &Graph, ids: &[TensorId]| -> Vec<Vec<usize>> {
        ids.iter().map(|&id| g.tensors[id].shape.clone()).collect()
    };
    for (what, a, b) in [
        ("inputs", float.inputs.clone(), quantized.inputs.clone()),
        ("outputs", float.results(), quantized.results()),
    ] {
        let (a, b) = (shapes(float, &a), shapes(quantized, &b));
        if a != b {
            return Err(Error::Different(format!(
                "{} has {what} of shapes {a:?} but {} of {b:?}; are these two forms of one model?",
                float.file, quantized.file
            )));
        }
    }
    let mut work = Work::new(float, quantized);
    for (position, node) in quantized.nodes.iter().enumerate() {
        if !node.op.is_opaque() && !work.turned(position, node) && !work.node(node) {
            work.unknown.push(position);
        }
    }
    // Whatever lies between, the outputs correspond.
    for (&q, &f) in quantized.results().iter().zip(&float.results()) {
        work.of[q].get_or_insert(f);
    }
    Ok(Matching {
        float: work.of,
        unknown: work.unknown,
        together: work.together,
    })
}

struct Work<'a> {
    float: &'a Graph,
    quantized: &'a Graph,
    of: Vec<Option<TensorId>>,
    /// Nodes of the float model by what they read first.
    readers: HashMap<TensorId, Vec<usize>>,
    /// Computed tensors of the float model by name; none if several have it.
    names: HashMap<&'a str, Option<TensorId>>,
    taken: HashSet<TensorId>,
    unknown: Vec<usize>,
    /// Nodes so far of a convolution between two TRANSPOSEs, by what the last of them writes.
    turned: HashMap<TensorId, Vec<usize>>,
    together: HashMap<usize, Vec<usize>>,
}

impl<'a> Work<'a> {
    fn new(float: &'a Graph, quantized: &'a Graph) -> Work<'a> {
        let mut of = vec![None; quantized.tensors.len()];
        for (&q, &f) in quantized.inputs.iter().zip(&float.inputs) {
            of[q] = Some(f);
        }
        let mut readers: HashMap<TensorId, Vec<usize>> = HashMap::new();
        let mut names: HashMap<&str, Option<TensorId>> = HashMap::new();
        for (i, node) in float.nodes.iter().enumerate() {
            let mut read: Vec<TensorId> = activations(float, node).into_iter().flatten().collect();
            read.dedup();
            for id in read {
                readers.entry(id).or_default().push(i);
            }
            for &id in &node.outputs {
                let name = float.tensors[id].name.as_str();
                names
                    .entry(name)
                    .and_modify(|id| *id = None)
                    .or_insert(Some(id));
            }
        }
        Work {
            float,
            quantized,
            of,
            readers,
            names,
            taken: HashSet::new(),
            unknown: Vec::new(),
            turned: HashMap::new(),
            together: HashMap::new(),
        }
    }

    /// A convolution between two TRANSPOSEs stands for one without. Nodes but the last count as unknown until that is found.
    fn turned(&mut self, position: usize, node: &Node) -> bool {
        let is_transpose = |n: &Node| n.op == Op::Move(Move::Transpose);
        let is_conv = |n: &Node| matches!(n.op, Op::Conv2d(_) | Op::DepthwiseConv2d(_));
        let Some(from) = node.inputs.first().copied().flatten() else {
            return false;
        };
        let mut so_far = self.turned.remove(&from).unwrap_or_default();
        match so_far.len() {
            0 if is_transpose(node) && self.of[from].is_some() => {}
            1 if is_conv(node) => {}
            2 if is_transpose(node) => {
                let [first, conv] = [
                    &self.quantized.nodes[so_far[0]],
                    &self.quantized.nodes[so_far[1]],
                ];
                let read = [first.inputs[0].and_then(|id| self.of[id])];
                // As if the convolution wrote what the last TRANSPOSE writes.
                let as_one = Node {
                    outputs: node.outputs.clone(),
                    ..conv.clone()
                };
                let Some(found) = self.by_structure(&as_one, &read) else {
                    return false;
                };
                self.of[node.outputs[0]] = Some(found[0]);
                self.taken.insert(found[0]);
                self.unknown.retain(|i| !so_far.contains(i));
                self.together.insert(position, so_far);
                return true;
            }
            _ => return false,
        }
        so_far.push(position);
        self.turned.insert(node.outputs[0], so_far);
        false
    }

    /// Finds what a node of the quantized model stands for.
    fn node(&mut self, node: &Node) -> bool {
        let read = activations(self.quantized, node);
        let mut read: Vec<Option<TensorId>> = read
            .into_iter()
            .map(|id| id.and_then(|id| self.of[id]))
            .collect();
        if matches!(node.op, Op::Quantize | Op::Dequantize) {
            let from = read.first().copied().flatten();
            let (from, to) = (from, node.outputs[0]);
            self.of[to] = from;
            return from.is_some();
        }
        if matches!(node.op, Op::Binary(..)) {
            // Converters swap the operands of sums.
            read.sort_unstable();
        }
        let found = self
            .by_structure(node, &read)
            .or_else(|| self.by_name(node));
        for (&q, f) in node.outputs.iter().zip(found.iter().flatten()) {
            self.of[q] = Some(*f);
            self.taken.insert(*f);
        }
        found.is_some()
    }

    fn by_structure(&self, node: &Node, read: &[Option<TensorId>]) -> Option<Vec<TensorId>> {
        let first = read.iter().flatten().next()?;
        let mut found: Vec<Vec<TensorId>> = Vec::new();
        for &i in self.readers.get(first)? {
            let other = &self.float.nodes[i];
            let mut theirs = activations(self.float, other);
            if matches!(other.op, Op::Binary(..)) {
                theirs.sort_unstable();
            }
            let same = other.op.name() == node.op.name()
                && other.outputs.len() == node.outputs.len()
                && theirs.iter().flatten().eq(read.iter().flatten())
                && node
                    .outputs
                    .iter()
                    .zip(&other.outputs)
                    .all(|(&q, &f)| self.same_shape(q, f));
            if !same || other.outputs.iter().any(|id| self.taken.contains(id)) {
                continue;
            }
            found.push(match self.fused(node, other) {
                Some(behind) => vec![behind],
                None => other.outputs.clone(),
            });
        }
        let named = found.iter().position(|outputs| {
            let name = &self.quantized.tensors[node.outputs[0]].name;
            self.float.tensors[outputs[0]].name == *name
        });
        match found.is_empty() {
            true => None,
            false => Some(found.swap_remove(named.unwrap_or(0))),
        }
    }

    /// What lies behind the activation that the quantized model has fused into the operator before it.
    fn fused(&self, node: &Node, other: &Node) -> Option<TensorId> {
        let here = activation(&node.op)?;
        if here == Activation::None || activation(&other.op) != Some(Activation::None) {
            return None;
        }
        let readers = self.readers.get(&other.outputs[0])?;
        let behind = readers.iter().map(|&i| &self.float.nodes[i]);
        let is_same = |op: &Op| {
            matches!(
                (op, here),
                (Op::Unary(Unary::Relu), Activation::Relu)
                    | (Op::Unary(Unary::Relu6), Activation::Relu6)
                    | (Op::Unary(Unary::ReluN1To1), Activation::ReluN1To1)
            )
        };
        behind
            .clone()
            .find(|n| is_same(&n.op))
            .map(|n| n.outputs[0])
    }

    fn by_name(&self, node: &Node) -> Option<Vec<TensorId>> {
        let find = |&q: &TensorId| {
            let f = self
                .names
                .get(self.quantized.tensors[q].name.as_str())
                .copied()
                .flatten()?;
            (self.same_shape(q, f) && !self.taken.contains(&f)).then_some(f)
        };
        node.outputs.iter().map(find).collect()
    }

    fn same_shape(&self, q: TensorId, f: TensorId) -> bool {
        self.quantized.tensors[q].shape == self.float.tensors[f].shape
    }
}

/// The inputs of a node that are fed or computed, by place.
fn activations(graph: &Graph, node: &Node) -> Vec<Option<TensorId>> {
    let is_activation = |id: &TensorId| graph.is_activation(*id) && !graph.tensors[*id].variable;
    node.inputs
        .iter()
        .map(|id| id.filter(is_activation))
        .collect()
}

/// The activation that is fused into an operator, if it can have one.
pub(super) fn activation(op: &Op) -> Option<Activation> {
    match op {
        Op::Conv2d(w) | Op::DepthwiseConv2d(w) | Op::TransposeConv(w) => Some(w.activation),
        Op::FullyConnected { activation, .. } | Op::Binary(_, activation) => Some(*activation),
        Op::Pool(_, w) => Some(w.window.activation),
        _ => None,
    }
}
