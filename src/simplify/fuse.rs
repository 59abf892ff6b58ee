//! RELU and its relatives behind an operator that can compute them itself: the operator's output is then only what is
//! left of it, so that no range is spent on what nobody reads.

use crate::graph::{Activation, Binary, Graph, Node, Op, TensorId, Unary};
use crate::model::{BuiltinOptions, Model, Operator};
use std::collections::{HashMap, HashSet};

/// Joins activations with the operators before them where the result is the same. `graph` must be that of `model`.
pub fn fuse(mut model: Model, graph: &Graph) -> Model {
    let mut readers: HashMap<TensorId, usize> = HashMap::new();
    for &id in graph.nodes.iter().flat_map(|n| n.inputs.iter().flatten()) {
        *readers.entry(id).or_default() += 1;
    }
    let alone = |id: TensorId| readers.get(&id) == Some(&1) && !graph.outputs.contains(&id);
    let producer: HashMap<TensorId, usize> = graph
        .nodes
        .iter()
        .enumerate()
        .flat_map(|(i, n)| n.outputs.iter().map(move |&id| (id, i)))
        .collect();
    let subgraph = model.subgraphs.as_mut().and_then(|s| s.first_mut());
    let Some(operators) = subgraph.and_then(|s| s.operators.as_mut()) else {
        return model;
    };
    let (mut gone, mut done) = (HashSet::new(), HashSet::new());
    for (i, node) in graph.nodes.iter().enumerate() {
        let (Some(code), Some(id)) = (code(node), node.inputs.first().copied().flatten()) else {
            continue;
        };
        let Some(&before) = producer.get(&id).filter(|_| alone(id)) else {
            continue;
        };
        if !can_fuse(&graph.nodes[before]) || !done.insert(before) {
            continue;
        }
        let outputs = operators.get(i).and_then(|o| o.outputs.clone());
        if let Some(operator) = operators.get_mut(before)
            && set_activation(operator, code)
        {
            operator.outputs = outputs;
            gone.insert(i);
        }
    }
    let mut index = 0;
    operators.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    model
}

/// The file's number of a fused activation that does what the node does.
fn code(node: &Node) -> Option<i8> {
    match node.op {
        Op::Unary(Unary::Relu) => Some(1),
        Op::Unary(Unary::ReluN1To1) => Some(2),
        Op::Unary(Unary::Relu6) => Some(3),
        _ => None,
    }
}

fn can_fuse(node: &Node) -> bool {
    let activation = match &node.op {
        Op::Conv2d(w) | Op::DepthwiseConv2d(w) => w.activation,
        Op::FullyConnected { activation, .. } => *activation,
        Op::Binary(Binary::Add | Binary::Sub | Binary::Mul, activation) => *activation,
        _ => return false,
    };
    activation == Activation::None
}

/// `false` if the operator has no options to hold it.
fn set_activation(operator: &mut Operator, code: i8) -> bool {
    let slot = match &mut operator.builtin_options {
        Some(BuiltinOptions::Conv2DOptions(o)) => &mut o.fused_activation_function,
        Some(BuiltinOptions::DepthwiseConv2DOptions(o)) => &mut o.fused_activation_function,
        Some(BuiltinOptions::FullyConnectedOptions(o)) => &mut o.fused_activation_function,
        Some(BuiltinOptions::AddOptions(o)) => &mut o.fused_activation_function,
        Some(BuiltinOptions::SubOptions(o)) => &mut o.fused_activation_function,
        Some(BuiltinOptions::MulOptions(o)) => &mut o.fused_activation_function,
        _ => return false,
    };
    *slot = code;
    true
}
