//! The typed, shape-checked, immutable graph: what a model means, after [`crate::model`] has said what is in the file.
//!
//! Shapes are per sample, exactly as the model declares them (usually with a leading batch dimension of 1); the
//! engine's own sample dimension is not part of the graph. Tensor numbers are those of the file's subgraph.

mod attributes;
mod error;
mod import;
mod int16;
mod op;
mod sparse;
mod support;

pub use error::Error;
pub use import::load;
pub use int16::{has_i16, i16_fixed_output, i16_version};
pub use op::{
    Activation, Binary, Lstm, Move, Op, Padding, Part, Pool, PoolWindow, Reduce, RnnActivation,
    Static, StridedSlice, Unary, Window, lstm_inputs,
};
pub use support::{Kernels, OpSupport, SUPPORT};

use crate::num::{Affine, DType, Values};
use std::collections::HashSet;

/// Number of a tensor in its subgraph.
pub type TensorId = usize;

/// One subgraph of a model, checked and ready to be prepared for a device.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Where the model came from, for messages.
    pub file: String,
    /// All tensors, in the order of the file.
    pub tensors: Vec<Tensor>,
    /// The operators, in execution order.
    pub nodes: Vec<Node>,
    /// The model's inputs, in the order of the subgraph.
    pub inputs: Vec<TensorId>,
    /// The model's outputs, in the order of the subgraph; also those of [`Op::Opaque`], which have no value.
    pub outputs: Vec<TensorId>,
}

/// A tensor of the graph.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Name in the file; may be empty.
    pub name: String,
    /// Shape of one sample; dynamic dimensions are 1.
    pub shape: Vec<usize>,
    /// Element type.
    pub dtype: DType,
    /// Affine quantization, where the tensor has one.
    pub quantization: Option<Quantization>,
    /// The value of a constant.
    pub constant: Option<Values>,
    /// Whether the tensor is state (LSTM): zero at the start of every sample.
    pub variable: bool,
}

/// Scales and zero points of a tensor; more than one scale means one for each slice along `axis`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantization {
    /// One scale, or one per slice.
    pub scales: Vec<f32>,
    /// As many zero points as scales.
    pub zero_points: Vec<i32>,
    /// Dimension along which the scales run.
    pub axis: usize,
}

/// An operator with its tensors.
#[derive(Clone, Debug)]
pub struct Node {
    /// Index in the subgraph's operator list.
    pub index: usize,
    /// What it computes.
    pub op: Op,
    /// Inputs; `None` where an optional input is absent.
    pub inputs: Vec<Option<TensorId>>,
    /// Outputs.
    pub outputs: Vec<TensorId>,
    /// Internal tensors that carry quantization parameters (LSTM).
    pub intermediates: Vec<TensorId>,
}

impl Graph {
    /// The tensor's elements in one sample.
    pub fn elements(&self, id: TensorId) -> usize {
        self.tensors[id].elements()
    }

    /// Whether the tensor is computed or fed, and so has a value for each sample.
    pub fn is_activation(&self, id: TensorId) -> bool {
        self.tensors[id].constant.is_none()
    }

    /// What a run is for: the outputs that are computed, then what the operators read that are not.
    pub fn results(&self) -> Vec<TensorId> {
        let opaque = || self.nodes.iter().filter(|n| n.op.is_opaque());
        let out_of_reach: HashSet<TensorId> = opaque().flat_map(|n| &n.outputs).copied().collect();
        let computed = self.nodes.iter().filter(|n| !n.op.is_opaque());
        let computed: HashSet<TensorId> = computed.flat_map(|n| &n.outputs).copied().collect();
        let mut results = self.outputs.clone();
        results.retain(|id| !out_of_reach.contains(id));
        for &id in opaque().flat_map(|n| n.inputs.iter().flatten()) {
            if computed.contains(&id) && !results.contains(&id) {
                results.push(id);
            }
        }
        results
    }

    /// What is not computed, and what there is instead, for a user.
    pub fn opaque_notes(&self) -> impl Iterator<Item = String> + '_ {
        let opaque = self.nodes.iter().filter(|n| n.op.is_opaque());
        opaque.map(|node| {
            format!(
                "{}: {} stays as it is, in float, and is not computed here; its inputs take the place of its outputs",
                self.file,
                node.describe()
            )
        })
    }

    /// `tensor 40 'conv2d/Relu'`, for messages.
    pub fn describe(&self, id: TensorId) -> String {
        format!("tensor {id} '{}'", self.tensors[id].name)
    }
}

impl Tensor {
    /// Number of elements in one sample.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The real numbers that values of this tensor stand for: integers without parameters stand for themselves.
    pub fn real(&self, values: &Values) -> Vec<f32> {
        let affine = self.affine();
        values.to_f32(|q| affine.map_or(q as f32, |a| a.scale * (q as f32 - a.zero_point as f32)))
    }

    /// The parameters of a tensor quantized as a whole.
    pub fn affine(&self) -> Option<Affine> {
        let q = self.quantization.as_ref()?;
        match (q.scales.as_slice(), q.zero_points.as_slice()) {
            (&[scale], &[zero_point]) => Some(Affine { scale, zero_point }),
            _ => None,
        }
    }
}

impl Node {
    /// `CONV_2D (operator 3)`, for messages.
    pub fn describe(&self) -> String {
        format!("{} (operator {})", self.op.name(), self.index)
    }
}
