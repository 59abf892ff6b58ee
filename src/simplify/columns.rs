//! Convolutions along one axis alone, for dynamic range: the other axis becomes the batch.
//!
//! A hybrid kernel quantizes an image with one scale. Where the filter has the width 1, the columns of the image do not
//! meet in it; they may be different sensors, of which the loudest then sets the scale of all. With batch and width
//! swapped by a TRANSPOSE, every column is an image of its own with its own scale. The float results are the same. Of
//! convolutions in a row the first and the last have a TRANSPOSE, those between need none.

use crate::graph::{Graph, Node, Op, TensorId, Window};
use crate::model::{
    Buffer, BuiltinOperator, BuiltinOptions, Model, Operator, OperatorCode, Tensor, TensorType,
    TransposeOptions,
};
use std::collections::HashSet;

/// A model whose convolutions take columns as images.
pub struct Columns {
    /// The model.
    pub model: Model,
    /// For each of its operators the position that it had before, if it was there.
    pub origin: Vec<Option<usize>>,
    /// Tensors that were added, each with the one whose values it has in another order.
    pub copies: Vec<(TensorId, TensorId)>,
}

/// The axis that can become the batch: 1 (height) or 2 (width).
fn free_axis(graph: &Graph, node: &Node) -> Option<usize> {
    let (Op::Conv2d(Window { stride, .. }) | Op::DepthwiseConv2d(Window { stride, .. })) = &node.op
    else {
        return None;
    };
    let shape = |place: usize| {
        let id = node.inputs.get(place).copied().flatten()?;
        <[usize; 4]>::try_from(graph.tensors[id].shape.as_slice()).ok()
    };
    let ([_, height, width, _], [_, k_h, k_w, _]) = (shape(0)?, shape(1)?);
    match (k_h, k_w) {
        (2.., 1) if stride[1] == 1 && width > 1 => Some(2),
        (1, 2..) if stride[0] == 1 && height > 1 => Some(1),
        _ => None,
    }
}

/// Nodes among these whose columns, or rows, do not meet in the filter.
pub fn separable(graph: &Graph, nodes: &HashSet<usize>) -> Vec<usize> {
    let mut found: Vec<usize> = nodes.iter().copied().collect();
    found.retain(|&i| {
        let node = graph.nodes.get(i);
        node.is_some_and(|node| free_axis(graph, node).is_some())
    });
    found.sort_unstable();
    found
}

/// Makes columns images for these nodes, of those that [`separable`] finds. `graph` must be that of `model`.
pub fn columns(mut model: Model, graph: &Graph, nodes: &[usize]) -> Columns {
    let every = graph.nodes.iter().enumerate();
    let chosen = every.map(|(i, node)| free_axis(graph, node).filter(|_| nodes.contains(&i)));
    let axes: Vec<Option<usize>> = chosen.collect();
    let mut readers = vec![Vec::new(); graph.tensors.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.inputs
            .iter()
            .flatten()
            .for_each(|&id| readers[id].push(i));
    }
    // Whether what a node writes goes on in the same form.
    let goes_on = |i: usize| {
        let id = graph.nodes[i].outputs[0];
        match readers[id][..] {
            [next] if !graph.outputs.contains(&id) => axes[next] == axes[i],
            _ => false,
        }
    };
    let mut writer = vec![None; graph.tensors.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.outputs.iter().for_each(|&id| writer[id] = Some(i));
    }
    let mut result = Columns {
        origin: (0..graph.nodes.len()).map(Some).collect(),
        copies: Vec::new(),
        model: Model::default(),
    };
    let transpose = model.operator_codes.as_ref().map_or(0, Vec::len) as u32;
    let buffers = model.buffers.get_or_insert_default();
    let subgraph = model.subgraphs.as_mut().and_then(|s| s.first_mut());
    let (Some(subgraph), true) = (subgraph, axes.iter().any(Option::is_some)) else {
        result.model = model;
        return result;
    };
    let tensors = subgraph.tensors.get_or_insert_default();
    let mut orders = [None; 3];
    let mut operators = Vec::new();
    result.origin.clear();
    for (i, mut operator) in subgraph
        .operators
        .take()
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        let Some(axis) = axes.get(i).copied().flatten() else {
            operators.push(operator);
            result.origin.push(Some(i));
            continue;
        };
        let order = *orders[axis].get_or_insert_with(|| order(axis, tensors, buffers));
        let turn = |from: i32, to: i32| Operator {
            opcode_index: transpose,
            inputs: Some(vec![from, order]),
            outputs: Some(vec![to]),
            builtin_options: Some(BuiltinOptions::TransposeOptions(
                Box::<TransposeOptions>::default(),
            )),
            ..Operator::default()
        };
        let (input, output) = (
            graph.nodes[i].inputs[0].unwrap_or(0),
            graph.nodes[i].outputs[0],
        );
        let comes_so = writer[input].is_some_and(|w| axes[w] == Some(axis) && goes_on(w));
        if !comes_so {
            let id = copy(tensors, input, axis, &mut result.copies);
            operators.push(turn(input as i32, id));
            result.origin.push(None);
            set(&mut operator.inputs, id);
        }
        let back = if goes_on(i) {
            swap(&mut tensors[output], axis);
            None
        } else {
            let id = copy(tensors, output, axis, &mut result.copies);
            set(&mut operator.outputs, id);
            Some(turn(id, output as i32))
        };
        operators.push(operator);
        result.origin.push(Some(i));
        if let Some(back) = back {
            operators.push(back);
            result.origin.push(None);
        }
    }
    subgraph.operators = Some(operators);
    model
        .operator_codes
        .get_or_insert_default()
        .push(OperatorCode {
            deprecated_builtin_code: BuiltinOperator::Transpose as i8,
            builtin_code: BuiltinOperator::Transpose as i32,
            version: 1,
            ..OperatorCode::default()
        });
    result.model = model;
    result
}

/// The constant that swaps the batch with an axis.
fn order(axis: usize, tensors: &mut Vec<Tensor>, buffers: &mut Vec<Buffer>) -> i32 {
    let mut order: [i32; 4] = [0, 1, 2, 3];
    order.swap(0, axis);
    if buffers.is_empty() {
        // Buffer 0 means no data.
        buffers.push(Buffer::default());
    }
    buffers.push(Buffer {
        data: Some(order.into_iter().flat_map(i32::to_le_bytes).collect()),
        ..Buffer::default()
    });
    tensors.push(Tensor {
        name: Some(format!("batch_and_axis_{axis}")),
        shape: Some(vec![4]),
        has_rank: true,
        type_: TensorType::Int32 as i8,
        buffer: buffers.len() as u32 - 1,
        ..Tensor::default()
    });
    tensors.len() as i32 - 1
}

/// A tensor like another one, with batch and axis swapped.
fn copy(
    tensors: &mut Vec<Tensor>,
    like: TensorId,
    axis: usize,
    copies: &mut Vec<(TensorId, TensorId)>,
) -> i32 {
    let mut tensor = tensors[like].clone();
    tensor.name = tensor.name.map(|name| format!("{name}_columns"));
    tensor.buffer = 0;
    swap(&mut tensor, axis);
    copies.push((tensors.len(), like));
    tensors.push(tensor);
    tensors.len() as i32 - 1
}

fn swap(tensor: &mut Tensor, axis: usize) {
    for shape in [&mut tensor.shape, &mut tensor.shape_signature] {
        if let Some(shape) = shape.as_mut().filter(|s| s.len() == 4) {
            shape.swap(0, axis);
        }
    }
}

/// Puts another tensor in the first place.
fn set(ids: &mut Option<Vec<i32>>, id: i32) {
    if let Some(first) = ids.as_mut().and_then(|ids| ids.first_mut()) {
        *first = id;
    }
}
