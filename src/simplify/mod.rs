//! Takes out of a model what need not be computed for every sample: operators on constants (the arithmetic of shapes,
//! float16 weights behind DEQUANTIZE, sparse weights behind DENSIFY), branches that are not taken and operators that
//! nobody reads. ADD_N becomes ADDs. [`fuse`] joins activations with the operators before them, [`columns`] gives
//! convolutions along one axis a scale for each column.
//!
//! Dynamic dimensions become fixed ones: 1, or what the data has ([`load_for`]), and the shapes of all tensors follow
//! from the inputs.
//!
//! The result is a model as the converter could have written it; tensors keep their numbers.

mod branch;
mod columns;
mod fold;
mod fuse;
mod lower;

pub use columns::{Columns, columns, separable};
pub use fuse::fuse;

use crate::graph::{self, Error, Graph, TensorId};
use crate::model::{Buffer, Model, Tensor};
use crate::num::Values;
use std::collections::{BTreeMap, HashSet};

/// The model without what is known before it runs, and its graph. Dynamic dimensions of inputs are 1.
///
/// # Errors
/// If the graph cannot be made, or an operator on constants fails.
pub fn load(model: Model, file: &str) -> Result<(Model, Graph), Error> {
    load_for(model, file, &[])
}

/// As [`load`], for arrays of these shapes (of one sample, with or without a leading 1) in the order of the inputs:
/// dynamic dimensions take theirs.
///
/// # Errors
/// As [`load`].
pub fn load_for(model: Model, file: &str, arrays: &[Vec<usize>]) -> Result<(Model, Graph), Error> {
    let model = branch::take(lower::lower(model), file, arrays)?;
    let mut graph = graph::load(&model, file)?;
    resize(&model, &mut graph, arrays)?;
    let folded = fold::fold(&mut graph)?;
    let removed = fold::removed(&graph, &folded);
    let is_static = |id: usize| {
        let shape = tensors(&model).get(id).and_then(|t| t.shape.as_deref());
        let shape = shape.unwrap_or_default().iter();
        shape
            .copied()
            .eq(graph.tensors[id].shape.iter().map(|&d| d as i32))
    };
    if removed.is_empty() && settled(&graph).all(is_static) {
        return Ok((model, graph));
    }
    let model = apply(model, &graph, folded, &removed);
    let graph = graph::load(&model, file)?;
    Ok((model, graph))
}

/// Tensors whose shapes follow from the inputs, and these.
fn settled(graph: &Graph) -> impl Iterator<Item = TensorId> + '_ {
    let computed = graph.nodes.iter().filter(|n| !n.op.is_opaque());
    let outputs = computed.flat_map(|n| &n.outputs);
    outputs.chain(&graph.inputs).copied()
}

fn tensors(model: &Model) -> &[Tensor] {
    let subgraph = model.subgraphs.as_deref().and_then(|s| s.first());
    subgraph
        .and_then(|s| s.tensors.as_deref())
        .unwrap_or_default()
}

/// Names of the inputs of a model, if a dimension of any is dynamic.
pub fn dynamic_inputs(model: &Model) -> Option<Vec<String>> {
    let subgraph = model.subgraphs.as_deref().and_then(|s| s.first())?;
    let inputs = subgraph.inputs.iter().flatten();
    let inputs = inputs.map(|&id| tensors(model).get(usize::try_from(id).ok()?));
    let inputs: Vec<&Tensor> = inputs.collect::<Option<_>>()?;
    let names = inputs.iter().map(|t| t.name.clone().unwrap_or_default());
    inputs
        .iter()
        .any(|t| dynamic(t).contains(&true))
        .then(|| names.collect())
}

/// Which dimensions of a tensor are dynamic.
fn dynamic(tensor: &Tensor) -> Vec<bool> {
    let signature = tensor.shape_signature.as_deref().unwrap_or_default();
    let shape = tensor.shape.iter().flatten().enumerate();
    shape
        .map(|(i, &d)| d < 0 || signature.get(i).is_some_and(|&d| d < 0))
        .collect()
}

/// Gives the dynamic dimensions of the inputs what the arrays have there.
fn resize(model: &Model, graph: &mut Graph, arrays: &[Vec<usize>]) -> Result<(), Error> {
    for (id, array) in graph.inputs.clone().into_iter().zip(arrays) {
        resize_input(model, graph, id, array)?;
    }
    Ok(())
}

/// Gives the dynamic dimensions of an input what an array has there. What does not fit is for the reader of the data
/// to refuse.
fn resize_input(
    model: &Model,
    graph: &mut Graph,
    id: TensorId,
    array: &[usize],
) -> Result<(), Error> {
    let Some(tensor) = tensors(model).get(id) else {
        return Ok(());
    };
    let dynamic = dynamic(tensor);
    let shape = &mut graph.tensors[id].shape;
    let leading = usize::from(array.len() + 1 == shape.len());
    if array.len() + leading != shape.len() {
        return Ok(());
    }
    let sizes = [1].iter().take(leading).chain(array);
    for ((to, dynamic), &size) in shape.iter_mut().zip(dynamic).zip(sizes) {
        if dynamic {
            *to = size;
        }
    }
    let elements = shape.iter().filter(|&&d| d > 0);
    if elements.fold(1usize, |n, &d| n.saturating_mul(d)) < 1 << 31 {
        return Ok(());
    }
    Err(Error::Tensor {
        file: graph.file.clone(),
        index: id,
        name: tensor.name.clone().unwrap_or_default(),
        what: format!(
            "with the data it would have the shape {shape:?}, which is 2^31 elements or more"
        ),
    })
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
    let settled: HashSet<TensorId> = settled(graph).collect();
    for (id, tensor) in subgraph.tensors.iter_mut().flatten().enumerate() {
        if !used.contains(&id) {
            // What only the operators that are gone read: its number stays, and nothing else.
            *tensor = Tensor {
                type_: tensor.type_,
                ..Tensor::default()
            };
        } else if let Some(value) = folded.get(&id) {
            set_constant(tensor, &graph.tensors[id].shape, value, buffers);
        } else if settled.contains(&id) {
            tensor.shape = Some(dimensions(&graph.tensors[id].shape));
            // Shapes that were computed hold for these sizes only.
            tensor.shape_signature = None;
        }
    }
    drop_unused(&mut model);
    model
}

fn dimensions(shape: &[usize]) -> Vec<i32> {
    shape.iter().map(|&d| d as i32).collect()
}

fn set_constant(tensor: &mut Tensor, shape: &[usize], value: &Values, buffers: &mut Vec<Buffer>) {
    tensor.shape = Some(dimensions(shape));
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
