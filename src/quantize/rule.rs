//! What each operator asks of the parameters of its tensors, as data.

use super::plan::FloatReason;
use crate::graph::{
    Activation, Binary, Graph, Move, Node, Op, Pool, Reduce, Unary, has_i16, i16_fixed_output,
    i16_version, lstm_inputs,
};
use crate::num::{Affine, DType};

/// How an operator is quantized.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// It has no float tensors: nothing changes.
    Untouched,
    /// It has no int8 kernel, or none that is safe: it stays float.
    Float,
    /// Its activations stay float, its weights become int8: [`dynamic_weights`].
    Dynamic,
    /// Inputs with parameters of their own; its float output, if it has one, takes those of its range.
    Free,
    /// As [`Rule::Free`], with weights that have a scale for each slice along `axis`.
    Weighted {
        /// Places of input, weights and bias.
        at: [usize; 3],
        /// Dimension of the weights.
        axis: usize,
    },
    /// A whole LSTM layer.
    Lstm,
    /// An SVDF layer.
    Svdf,
    /// The specification fixes the output's parameters.
    Fixed(Affine),
    /// Outputs have the parameters of the input at this place.
    Inherit(usize),
    /// All of these inputs have the parameters of the output.
    Together {
        /// First such place.
        from: usize,
    },
}

const fn fixed(scale: f32, zero_point: i32) -> Rule {
    Rule::Fixed(Affine { scale, zero_point })
}

/// The rule for a node of a float graph.
pub(super) fn rule(graph: &Graph, node: &Node) -> Rule {
    let is_float = |id: usize| graph.tensors[id].dtype == DType::F32;
    let tensors = node.inputs.iter().flatten().chain(&node.outputs);
    if !tensors.into_iter().any(|&id| is_float(id)) {
        return Rule::Untouched;
    }
    let is_constant = |place: usize| {
        let id = node.inputs.get(place).copied().flatten();
        id.is_some_and(|id| graph.tensors[id].constant.is_some())
    };
    let weighted = |at: [usize; 3], axis: usize| {
        // Weights that are computed have no int8 kernel with a scale for each channel.
        let computed =
            !is_constant(at[1]) || (node.inputs.len() > at[2] && computed_bias(graph, node, at[2]));
        if computed {
            Rule::Float
        } else {
            Rule::Weighted { at, axis }
        }
    };
    match &node.op {
        Op::Conv2d(_) | Op::FullyConnected { .. } => weighted([0, 1, 2], 0),
        Op::DepthwiseConv2d(_) => weighted([0, 1, 2], 3),
        Op::TransposeConv(_) => weighted([2, 1, 3], 0),
        Op::UnidirectionalSequenceLstm(_) => Rule::Lstm,
        // LiteRT's int8 kernel demands this activation.
        Op::Svdf {
            activation: Activation::Relu,
            ..
        } if is_constant(1) && is_constant(2) => Rule::Svdf,
        Op::BatchMatmul { .. } | Op::Arg { .. } => Rule::Free,
        Op::Unary(Unary::Logistic) => fixed(1.0 / 256.0, -128),
        Op::Unary(Unary::Tanh) => fixed(1.0 / 128.0, 0),
        Op::Unary(unary) if unary.has_i8() => Rule::Free,
        Op::Binary(Binary::Maximum | Binary::Minimum, _) => Rule::Together { from: 0 },
        Op::Binary(binary, _) if binary.has_i8() && !binary.is_comparison() => Rule::Free,
        Op::Select { .. } => Rule::Together { from: 1 },
        Op::Reduce(Reduce::Mean) => Rule::Free,
        Op::Reduce(Reduce::Max | Reduce::Min) => Rule::Inherit(0),
        Op::Pool(Pool::Average | Pool::Max, _) | Op::Resize { .. } => Rule::Inherit(0),
        Op::Softmax { .. } => fixed(1.0 / 256.0, -128),
        Op::LogSoftmax => fixed(16.0 / 256.0, 127),
        Op::L2Normalization => fixed(1.0 / 128.0, 0),
        Op::Move(Move::Concatenation(_) | Move::Pack(_)) => Rule::Together { from: 0 },
        Op::Move(motion) => Rule::Inherit(motion.first()),
        Op::Gather { .. } | Op::GatherNd => Rule::Inherit(0),
        Op::EmbeddingLookup => Rule::Inherit(1),
        Op::Unary(_)
        | Op::Binary(..)
        | Op::Reduce(_)
        | Op::Pool(Pool::L2, _)
        | Op::Convolution2dTransposeBias(_)
        | Op::UnidirectionalSequenceRnn { .. }
        | Op::Svdf { .. }
        | Op::Cast
        | Op::Cumsum { .. }
        | Op::TopK
        | Op::OneHot { .. }
        | Op::Rfft2d
        | Op::Complex(_)
        | Op::Static(_)
        | Op::Opaque(_)
        | Op::Distance
        | Op::Quantize
        | Op::Dequantize => Rule::Float,
    }
}

/// Why [`rule`] leaves a node float.
pub(super) fn reason(op: &Op) -> FloatReason {
    match op {
        Op::Binary(Binary::Div, _) => FloatReason::DivisionByZero,
        Op::Binary(binary, _) if binary.is_comparison() => FloatReason::Comparison,
        Op::Reduce(Reduce::Sum)
        | Op::Unary(Unary::Neg)
        | Op::Binary(Binary::FloorDiv | Binary::FloorMod, _) => FloatReason::UnreliableKernel,
        Op::Conv2d(_)
        | Op::DepthwiseConv2d(_)
        | Op::TransposeConv(_)
        | Op::FullyConnected { .. } => FloatReason::ComputedWeights,
        Op::Svdf { .. } => FloatReason::Activation,
        Op::Opaque(_) => FloatReason::Opaque,
        _ => FloatReason::NoKernel,
    }
}

fn computed_bias(graph: &Graph, node: &Node, place: usize) -> bool {
    let id = node.inputs.get(place).copied().flatten();
    id.is_some_and(|id| graph.tensors[id].constant.is_none())
}

/// Places of the inputs that are activations (or constants in their stead) for this rule.
pub(super) fn operands(node: &Node, rule: Rule) -> Vec<usize> {
    match rule {
        Rule::Untouched => Vec::new(),
        Rule::Weighted { at, .. } => vec![at[0]],
        Rule::Lstm | Rule::Svdf | Rule::Fixed(_) => vec![0],
        Rule::Inherit(place) => match node.op {
            Op::Move(Move::PadV2) => vec![place, 2],
            _ => vec![place],
        },
        Rule::Together { from } => (from..node.inputs.len()).collect(),
        Rule::Free => match node.op {
            Op::BatchMatmul { .. } | Op::Binary(..) => vec![0, 1],
            _ => vec![0],
        },
        // Every float input stays as it is.
        Rule::Float | Rule::Dynamic => (0..node.inputs.len()).collect(),
    }
}

/// Weights become int8 from so many elements on: the converter's limit for dynamic range.
pub(super) const LEAST_WEIGHTS: usize = 1024;

/// Constants of a node that become int8 for a hybrid kernel: places among its inputs, and the dimension along which they
/// can have a scale for each channel. Else why it stays float: for one thing, because it has fewer weights than `least`.
pub(super) fn dynamic_weights(
    graph: &Graph,
    node: &Node,
    least: usize,
) -> Result<Vec<(usize, Option<usize>)>, FloatReason> {
    let weights: Vec<(usize, Option<usize>)> = match &node.op {
        Op::Conv2d(_) | Op::FullyConnected { .. } => vec![(1, Some(0))],
        Op::DepthwiseConv2d(_) => vec![(1, Some(3))],
        Op::UnidirectionalSequenceLstm(_) => lstm_inputs::INPUT_WEIGHTS
            .into_iter()
            .chain(lstm_inputs::RECURRENT_WEIGHTS)
            .map(|place| (place, None))
            .collect(),
        Op::Opaque(_) => return Err(FloatReason::Opaque),
        _ => return Err(FloatReason::NoWeights),
    };
    let mut most = 0;
    for &(place, _) in &weights {
        let id = node.inputs.get(place).copied().flatten();
        let constant = id.filter(|&id| graph.tensors[id].constant.is_some());
        let id = constant.ok_or(FloatReason::ComputedWeights)?;
        most = most.max(graph.elements(id));
    }
    if most < least {
        return Err(FloatReason::SmallWeights);
    }
    Ok(weights)
}

/// Whether a node has a kernel with 16-bit activations for its rule.
pub(super) fn is_wide(_graph: &Graph, node: &Node, rule: Rule) -> bool {
    let integer = !matches!(
        rule,
        Rule::Untouched | Rule::Float | Rule::Dynamic | Rule::Lstm | Rule::Svdf
    );
    // These stop on what they do not take, and without a zero point nothing keeps it from them.
    let picky = matches!(node.op, Op::Unary(Unary::Sqrt | Unary::Rsqrt));
    integer && !picky && has_i16(&node.op)
}

/// The parameters that the specification fixes for a 16-bit output.
pub(super) fn wide_output(op: &Op) -> Option<Affine> {
    let scale = i16_fixed_output(op)?;
    Some(Affine {
        scale,
        zero_point: 0,
    })
}

/// Least version of the operator that has the kernel of its rule, with activations of this type if it computes in
/// integers.
pub(super) fn version(op: &Op, rule: Rule, integer: Option<DType>, per_channel: bool) -> i32 {
    match rule {
        Rule::Untouched | Rule::Float => return 1,
        Rule::Dynamic => {
            return match op {
                Op::Conv2d(_) => 5,
                Op::DepthwiseConv2d(_) => 6,
                Op::FullyConnected { .. } if per_channel => 12,
                Op::FullyConnected { .. } => 9,
                _ => 3,
            };
        }
        _ => {}
    }
    if integer == Some(DType::I16) {
        return i16_version(op);
    }
    match op {
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::Svdf { .. } => 3,
        Op::FullyConnected { .. } | Op::BatchMatmul { .. } => 4,
        Op::UnidirectionalSequenceLstm(_) | Op::Quantize => 1,
        Op::Move(Move::Reshape | Move::Squeeze(_) | Move::ExpandDims | Move::DepthToSpace(_)) => 1,
        Op::Unary(Unary::HardSwish | Unary::ReluN1To1 | Unary::Relu0To1 | Unary::Elu) => 1,
        Op::Unary(Unary::Gelu { .. }) => 2,
        Op::Binary(Binary::Prelu, _) => 1,
        _ => 2,
    }
}
