//! Operators of the quantized model in float: the same operator over real values, with the constants of the quantized model
//! or with those of the float one.
//!
//! A quantized operator computes what its float form computes from real inputs and real constants, rounded to the output's
//! parameters; what it makes otherwise is integer arithmetic. So whatever is to be told apart is a choice of what such a form
//! reads and of what is done to its output.

use super::weave::{Weave, producers};
use super::{Matching, Task};
use crate::graph::{Activation, Binary, Graph, Move, Node, Op, Pool, Reduce, Tensor, TensorId};
use crate::graph::{Quantization, lstm_inputs};
use crate::num::{DType, Values};
use std::collections::HashMap;

/// Operators that are looked through at most, from a tensor back to the operator that was meant.
const LONGEST: usize = 8;

/// What a constant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Weight,
    Bias,
}

/// A constant of a quantized operator, in real values.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub place: usize,
    pub kind: Kind,
    /// What the quantized model has.
    pub rounded: Vec<f32>,
    /// What the float model has; none if it has none of this size, or the same values.
    pub float: Option<Vec<f32>>,
}

/// Both models, and who computes the float one's tensors.
pub(super) struct Pair<'a> {
    pub float: &'a Graph,
    pub quantized: &'a Graph,
    pub matching: &'a Matching,
    pub producers: HashMap<TensorId, usize>,
}

impl<'a> Pair<'a> {
    pub fn new(task: Task<'a>, matching: &'a Matching) -> Pair<'a> {
        Pair {
            float: task.float,
            quantized: task.quantized,
            matching,
            producers: producers(task.float),
        }
    }

    /// The float model's operator of the same kind; an activation behind it may be fused in the quantized model.
    pub fn counterpart(&self, node: &Node) -> Option<&'a Node> {
        let float = self.float;
        let output = node.outputs.iter().find_map(|&id| self.matching.float[id]);
        let mut id = output?;
        for _ in 0..LONGEST {
            let found = &float.nodes[*self.producers.get(&id)?];
            if found.op.name() == node.op.name() {
                return Some(found);
            }
            let mut read = found.inputs.iter().flatten().copied();
            id = read.find(|&id| float.is_activation(id) && !float.tensors[id].variable)?;
        }
        None
    }

    /// Constants of a node that stand for real numbers; not shapes and indices.
    pub fn constants(&self, node: &Node) -> Vec<Constant> {
        let other = self.counterpart(node);
        let mut found = Vec::new();
        for (place, id) in node.inputs.iter().enumerate() {
            let Some(id) = *id else { continue };
            let Some(rounded) = real(&self.quantized.tensors[id]) else {
                continue;
            };
            let float = other.and_then(|other| self.float_constant(node, other, place));
            let same = |v: &[f32]| v.iter().map(|x| x.to_bits()).eq(bits(&rounded));
            found.push(Constant {
                place,
                kind: match biases(&node.op).contains(&place) {
                    true => Kind::Bias,
                    false => Kind::Weight,
                },
                float: float.filter(|v| v.len() == rounded.len() && !same(v)),
                rounded,
            });
        }
        found
    }

    fn float_constant(&self, node: &Node, other: &Node, place: usize) -> Option<Vec<f32>> {
        let float_values = |id: TensorId| match &self.float.tensors[id].constant {
            Some(Values::F32(v)) => Some(v.clone()),
            _ => None,
        };
        if matches!(node.op, Op::Binary(..)) {
            // Converters swap the operands of sums.
            return other
                .inputs
                .iter()
                .flatten()
                .find_map(|&id| float_values(id));
        }
        float_values((*other.inputs.get(place)?)?)
    }
}

fn bits(values: &[f32]) -> impl Iterator<Item = u32> + '_ {
    values.iter().map(|x| x.to_bits())
}

/// Places of the biases of an operator.
fn biases(op: &Op) -> &'static [usize] {
    match op {
        Op::Conv2d(_)
        | Op::DepthwiseConv2d(_)
        | Op::Convolution2dTransposeBias(_)
        | Op::FullyConnected { .. } => &[2],
        Op::TransposeConv(_) | Op::UnidirectionalSequenceRnn { .. } | Op::Svdf { .. } => &[3],
        Op::UnidirectionalSequenceLstm(_) => &lstm_inputs::BIAS,
        _ => &[],
    }
}

/// The real values of a constant; none of an integer without parameters, which is a shape or an index.
pub(super) fn real(tensor: &Tensor) -> Option<Vec<f32>> {
    let codes: Vec<i64> = match tensor.constant.as_ref()? {
        Values::F32(v) => return Some(v.clone()),
        Values::I8(v) => v.iter().map(|&q| i64::from(q)).collect(),
        Values::U8(v) => v.iter().map(|&q| i64::from(q)).collect(),
        Values::I16(v) => v.iter().map(|&q| i64::from(q)).collect(),
        Values::I32(v) => v.iter().map(|&q| i64::from(q)).collect(),
        Values::I64(v) => v.clone(),
        _ => return None,
    };
    let q: &Quantization = tensor.quantization.as_ref()?;
    let channels = q.scales.len();
    if channels == 0 || q.zero_points.len() != channels {
        return None;
    }
    let inner: usize = match channels {
        1 => 1,
        _ => tensor.shape.get(q.axis + 1..)?.iter().product(),
    };
    let one = |(i, code): (usize, &i64)| {
        let channel = i / inner.max(1) % channels;
        let steps = (code - i64::from(q.zero_points[channel])) as f64;
        (f64::from(q.scales[channel]) * steps) as f32
    };
    Some(codes.iter().enumerate().map(one).collect())
}

/// Whether a tensor holds integers that stand for real numbers.
pub(super) fn is_quantized(tensor: &Tensor) -> bool {
    matches!(tensor.dtype, DType::I8 | DType::U8 | DType::I16) && tensor.quantization.is_some()
}

/// Whether what a node writes has the values of what it reads, and needs no rounding: it moves or picks elements and keeps
/// their parameters.
pub(super) fn keeps(graph: &Graph, node: &Node) -> bool {
    let picks = match &node.op {
        Op::Move(motion) => !matches!(motion, Move::PadV2),
        Op::Pool(kind, w) => *kind == Pool::Max && w.window.activation == Activation::None,
        Op::Reduce(kind) => matches!(kind, Reduce::Max | Reduce::Min),
        Op::Resize { bilinear, .. } => !bilinear,
        Op::Binary(op, _) => matches!(op, Binary::Maximum | Binary::Minimum),
        Op::Gather { .. } | Op::GatherNd | Op::EmbeddingLookup | Op::Select { .. } => true,
        _ => false,
    };
    let read = node.inputs.iter().flatten().map(|&id| &graph.tensors[id]);
    let mut read = read.filter(|t| is_quantized(t));
    let Some(output) = node.outputs.first().map(|&id| &graph.tensors[id]) else {
        return false;
    };
    picks && read.all(|t| t.affine() == output.affine() && t.dtype == output.dtype)
}

/// A node of the quantized model in float: it reads what `read` has, by place, else what it is; returns what it writes. States
/// are its own.
pub(super) fn float_form(
    weave: &mut Weave<'_>,
    node: &Node,
    read: &HashMap<usize, TensorId>,
) -> Vec<TensorId> {
    let in_float = |tensor: &Tensor| match is_quantized(tensor) {
        true => Tensor {
            dtype: DType::F32,
            quantization: None,
            ..tensor.clone()
        },
        false => tensor.clone(),
    };
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for (place, id) in node.inputs.iter().enumerate() {
        inputs.push(match (read.get(&place), *id) {
            (Some(&other), _) => Some(other),
            (None, Some(id)) if weave.graph.tensors[id].variable => {
                let state = in_float(&weave.graph.tensors[id]);
                Some(weave.push(state))
            }
            (None, id) => id,
        });
    }
    let mut outputs = Vec::with_capacity(node.outputs.len());
    for &id in &node.outputs {
        let output = in_float(&weave.graph.tensors[id]);
        outputs.push(weave.push(output));
    }
    weave.node(Node {
        index: node.index,
        op: node.op.clone(),
        inputs,
        outputs: outputs.clone(),
        intermediates: Vec::new(),
    });
    outputs
}

/// What is done to a real value that becomes an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// It is rounded to the scale.
    pub rounded: bool,
    /// It is cut off at the ends of the type.
    pub clamped: bool,
}

/// Real values with the fate that a tensor of the quantized model has for them. Rounding without a clamp is that to int16 with
/// the same scale, 128 times as far; beyond int16 there is nothing wider, so there the clamp stays.
pub(super) fn settled(weave: &mut Weave<'_>, id: TensorId, like: TensorId, fate: Fate) -> TensorId {
    let tensor = &weave.graph.tensors[like];
    let Some(affine) = tensor.affine().filter(|_| is_quantized(tensor)) else {
        return id;
    };
    let (low, high) = match tensor.dtype {
        DType::I8 => (-128, 127),
        DType::U8 => (0, 255),
        _ => (-32768, 32767),
    };
    let rounded = match (fate.rounded, fate.clamped) {
        (true, false) if tensor.dtype != DType::I16 => weave.rounded_wide(id, affine.scale),
        (true, _) => weave.rounded(id, like),
        (false, true) => {
            let end = |q: i32| (f64::from(affine.scale) * f64::from(q - affine.zero_point)) as f32;
            let above = between(weave, id, Binary::Maximum, end(low));
            return between(weave, above, Binary::Minimum, end(high));
        }
        (false, false) => return id,
    };
    weave.real(rounded)
}

/// A function of a tensor and a number.
fn between(weave: &mut Weave<'_>, id: TensorId, op: Binary, bound: f32) -> TensorId {
    let shape = weave.graph.tensors[id].shape.clone();
    let constant = weave.add("(bound)", vec![1], DType::F32);
    weave.graph.tensors[constant].constant = Some(Values::F32(vec![bound]));
    let name = weave.graph.tensors[id].name.clone();
    let to = weave.add(&name, shape, DType::F32);
    let index = weave.graph.nodes.len();
    weave.node(Node {
        index,
        op: Op::Binary(op, Activation::None),
        inputs: vec![Some(id), Some(constant)],
        outputs: vec![to],
        intermediates: Vec::new(),
    });
    to
}
