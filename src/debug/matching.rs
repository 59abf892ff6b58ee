//! Which tensor of the float model a tensor of the quantized one stands for.
//!
//! By structure first, from the inputs on: the operator of the same kind that reads the same tensors and writes the same
//! shape; conversions between forms of a tensor are looked through, and an activation may be fused in one of both models.
//! Names decide between several, and take over where the structure leads nowhere: converters rename tensors, and names that
//! are equal may be those of a weight.

use super::Error;
use crate::graph::{Activation, Graph, Move, Node, Op, TensorId, Unary};
use crate::num::Values;
use std::collections::{HashMap, HashSet};

/// For each tensor of the quantized model the tensor of the float model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// By tensor of the quantized model; none for constants and for what only the quantized model has.
    pub float: Vec<Option<TensorId>>,
    /// Nodes of the quantized model, by position, of which no counterpart was found.
    pub unknown: Vec<usize>,
    /// Tensors of the quantized model whose dimensions stand in another order, with the TRANSPOSE that gives them the float
    /// model's: a mixed model of zeropoint's has convolutions between TRANSPOSEs.
    pub turned: HashMap<TensorId, Vec<usize>>,
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
        if !node.op.is_opaque() && !work.node(node) {
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
        turned: work.turned,
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
    turned: HashMap<TensorId, Vec<usize>>,
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
        }
    }

    /// A TRANSPOSE that the float model does not have gives a tensor another order of dimensions.
    fn turn(&mut self, node: &Node) -> bool {
        let (Some(&Some(from)), Some(&Some(order))) = (node.inputs.first(), node.inputs.get(1))
        else {
            return false;
        };
        let (Some(f), Some(Values::I32(order))) =
            (self.of[from], &self.quantized.tensors[order].constant)
        else {
            return false;
        };
        let before = match self.turned.get(&from) {
            Some(before) => before.clone(),
            None => (0..order.len()).collect(),
        };
        let inverse = |axis: usize| order.iter().position(|&o| o == axis as i32);
        let Some(back) = before
            .iter()
            .map(|&axis| inverse(axis))
            .collect::<Option<Vec<_>>>()
        else {
            return false;
        };
        let to = node.outputs[0];
        self.of[to] = Some(f);
        if !back.iter().copied().eq(0..back.len()) {
            self.turned.insert(to, back);
        }
        true
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
            let turn = node.inputs[0].and_then(|id| self.turned.get(&id).cloned());
            self.turned.extend(turn.map(|turn| (to, turn)));
            return from.is_some();
        }
        if matches!(node.op, Op::Binary(..)) {
            // Converters swap the operands of sums.
            read.sort_unstable();
        }
        let turn = node
            .inputs
            .iter()
            .flatten()
            .find_map(|id| self.turned.get(id))
            .cloned();
        let found = match (self.by_structure(node, &read, turn.as_deref()), &turn) {
            (None, _) if node.op == Op::Move(Move::Transpose) && self.turn(node) => return true,
            (None, None) => self.by_name(node),
            (found, _) => found,
        };
        if let (Some(turn), Some(_)) = (turn, &found) {
            let outputs = node.outputs.iter().map(|&id| (id, turn.clone()));
            self.turned.extend(outputs);
        }
        for (&q, f) in node.outputs.iter().zip(found.iter().flatten()) {
            self.of[q] = Some(*f);
            self.taken.insert(*f);
        }
        found.is_some()
    }

    fn by_structure(
        &self,
        node: &Node,
        read: &[Option<TensorId>],
        turn: Option<&[usize]>,
    ) -> Option<Vec<TensorId>> {
        let first = read.iter().flatten().next()?;
        // Whatever does not mix the dimensions that have changed places.
        let may_turn = matches!(
            node.op,
            Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::Unary(_)
        );
        if turn.is_some() && !may_turn {
            return None;
        }
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
                    .all(|(&q, &f)| self.same_shape(q, f, turn));
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
            (self.same_shape(q, f, None) && !self.taken.contains(&f)).then_some(f)
        };
        node.outputs.iter().map(find).collect()
    }

    fn same_shape(&self, q: TensorId, f: TensorId, turn: Option<&[usize]>) -> bool {
        let (q, f) = (
            &self.quantized.tensors[q].shape,
            &self.float.tensors[f].shape,
        );
        match turn {
            None => q == f,
            Some(turn) => turn.iter().map(|&axis| q.get(axis)).eq(f.iter().map(Some)),
        }
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
