//! Takes out of a model what need not be computed for every sample: operators on constants (the arithmetic of shapes,
//! float16 weights behind DEQUANTIZE, sparse weights behind DENSIFY) and operators that nobody reads. [`fuse`] joins
//! activations with the operators before them.
//!
//! The result is a model as the converter could have written it; tensors keep their numbers.

mod fold;
mod fuse;

pub use fuse::fuse;

use crate::graph::{self, Error, Graph, TensorId};
use crate::model::{Buffer, Model, Tensor};
use crate::num::Values;
use std::collections::{BTreeMap, HashSet};

/// The model without what is known before it runs, and its graph.
///
/// # Errors
/// If the graph cannot be made, or an operator on constants fails.
pub fn load(model: Model, file: &str) -> Result<(Model, Graph), Error> {
    let graph = graph::load(&model, file)?;
    let folded = fold::fold(&graph)?;
    let removed = fold::removed(&graph, &folded);
    if removed.is_empty() {
        return Ok((model, graph));
    }
    let model = apply(model, &graph, folded, &removed);
    let graph = graph::load(&model, file)?;
    Ok((model, graph))
}

/// Writes the constants into the file's tree and takes the operators out.
fn apply(
    mut model: Model,
    graph: &Graph,
    folded: BTreeMap<TensorId, Values>,
    removed: &HashSet<usize>,
) -> Model {
    let Some(subgraph) = model.subgraphs.as_mut().and_then(|s| s.first_mut()) else {
        return model;
    };
    let mut index = 0;
    if let Some(operators) = &mut subgraph.operators {
        operators.retain(|_| {
            index += 1;
            !removed.contains(&(index - 1))
        });
    }
    let lists = subgraph.operators.iter().flatten();
    let read = lists.flat_map(|o| [&o.inputs, &o.outputs, &o.intermediates]);
    let surface = [&subgraph.inputs, &subgraph.outputs];
    let used: HashSet<usize> = read
        .chain(surface)
        .flatten()
        .flatten()
        .filter_map(|&id| usize::try_from(id).ok())
        .collect();
    let buffers = model.buffers.get_or_insert_default();
    for (id, tensor) in subgraph.tensors.iter_mut().flatten().enumerate() {
        if !used.contains(&id) {
            // What only the operators that are gone read: its number stays, and nothing else.
            *tensor = Tensor {
                type_: tensor.type_,
                ..Tensor::default()
            };
        } else if let Some(value) = folded.get(&id) {
            set_constant(tensor, &graph.tensors[id].shape, value, buffers);
        }
    }
    drop_unused(&mut model);
    model
}

fn set_constant(tensor: &mut Tensor, shape: &[usize], value: &Values, buffers: &mut Vec<Buffer>) {
    tensor.shape = Some(shape.iter().map(|&d| d as i32).collect());
    tensor.shape_signature = None;
    tensor.sparsity = None;
    tensor.quantization = None;
    if buffers.is_empty() {
        // Buffer 0 means no data.
        buffers.push(Buffer::default());
    }
    tensor.buffer = buffers.len() as u32;
    buffers.push(Buffer {
        data: Some(value.bytes().to_vec()),
        ..Buffer::default()
    });
}

/// Empties the buffers that no tensor and no metadata name any more; they keep their numbers.
fn drop_unused(model: &mut Model) {
    let mut named: HashSet<u32> = HashSet::new();
    for subgraph in model.subgraphs.iter().flatten() {
        named.extend(subgraph.tensors.iter().flatten().map(|t| t.buffer));
    }
    named.extend(model.metadata.iter().flatten().map(|m| m.buffer));
    named.extend(model.metadata_buffer.iter().flatten().map(|&b| b as u32));
    for (i, buffer) in model.buffers.iter_mut().flatten().enumerate() {
        if !named.contains(&(i as u32)) {
            buffer.data = None;
        }
    }
}
