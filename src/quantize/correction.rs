//! Biases that make up for the rounding of weights.
//!
//! A weight w becomes ŵ, and the output of a channel is off by Σ (ŵ − w) · x. Its mean over the data, Σ (ŵ − w) · E[x], is
//! known beforehand and goes into the bias. It costs nothing as the model runs, and it is what few weights a channel, as
//! those of DEPTHWISE_CONV_2D, suffer from most: the errors of many average out.
//!
//! The method is bias correction (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
//! 2019, section 4.2), here with means of activations that were measured instead of derived from batch normalization. A tap
//! of a filter that lies in the padding for some outputs counts for the others alone.

use crate::graph::{Graph, Node, Op, Padding, TensorId, Window};
use crate::num::Values;
use crate::num::affine::quantize_weight;
use std::collections::HashMap;

/// Means of activations that weights are multiplied with.
#[derive(Clone, Debug, Default)]
pub struct Correction {
    /// By tensor and number of means: element k of the tensor belongs to mean k modulo that number.
    means: HashMap<(TensorId, usize), Vec<f32>>,
}

impl Correction {
    /// The means that are wanted of a graph: of which tensor, and how many. Element k of a tensor belongs to mean k modulo
    /// their number, which is that of channels for a convolution and that of weights a unit for FULLY_CONNECTED.
    pub fn wanted(graph: &Graph) -> Vec<(TensorId, usize)> {
        let mut all: Vec<(TensorId, usize)> =
            graph.nodes.iter().filter_map(|n| place(graph, n)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// With those means.
    pub fn new(means: HashMap<(TensorId, usize), Vec<f32>>) -> Correction {
        Correction { means }
    }

    /// What is to be added to the bias of a node, given the scales of its weights; none where nothing is known.
    pub(super) fn of(&self, graph: &Graph, node: &Node, scales: &[f32]) -> Option<Vec<f32>> {
        let key = place(graph, node)?;
        let means = self.means.get(&key).filter(|m| m.len() == key.1)?;
        let weights = node.inputs.get(1).copied().flatten()?;
        let Some(Values::F32(values)) = &graph.tensors[weights].constant else {
            return None;
        };
        let &[first, rows, columns, last] = match graph.tensors[weights].shape.as_slice() {
            &[units, depth] => &[units, 1, 1, depth],
            shape => <&[usize; 4]>::try_from(shape).ok()?,
        };
        let depthwise = matches!(node.op, Op::DepthwiseConv2d(_));
        let channels = if depthwise { last } else { first };
        let scale = |channel: usize| *scales.get(channel).unwrap_or(&scales[0]);
        // How much of the output a tap contributes to.
        let [vertical, horizontal] = match &node.op {
            Op::Conv2d(window) | Op::DepthwiseConv2d(window) => {
                let shape = &graph.tensors[key.0].shape;
                shares(window, shape.get(1..3)?.try_into().ok()?, [rows, columns])
            }
            _ => [vec![1.0], vec![1.0]],
        };
        // A group of a convolution sees its own channels alone.
        let groups = if depthwise {
            1
        } else {
            means.len() / last.max(1)
        };
        let mut lost = vec![0f64; channels];
        for (k, &w) in values.iter().enumerate() {
            let inner = k % last;
            let tap = k / last % (rows * columns);
            let (channel, mean) = match depthwise {
                true => (inner, means[inner / (last / means.len()).max(1)]),
                false => {
                    let channel = k / (last * rows * columns);
                    let group = channel / channels.div_ceil(groups.max(1));
                    (channel, means[group * last + inner])
                }
            };
            let scale = scale(channel);
            let rounded = f32::from(quantize_weight(w, 1.0 / scale)) * scale;
            let share = vertical[tap / columns] * horizontal[tap % columns];
            lost[channel] += f64::from(w - rounded) * f64::from(mean) * share;
        }
        Some(lost.into_iter().map(|x| x as f32).collect())
    }
}

/// The tensor that a node multiplies its weights with, and how many means are wanted of it.
fn place(graph: &Graph, node: &Node) -> Option<(TensorId, usize)> {
    let input = |k: usize| node.inputs.get(k).copied().flatten();
    let (x, weights) = (input(0)?, input(1)?);
    // Without a bias there is nothing to correct, and what is computed beforehand is exact.
    input(2).filter(|&id| graph.tensors[id].constant.is_some())?;
    if graph.tensors[x].constant.is_some() {
        return None;
    }
    let shape = &graph.tensors[weights].shape;
    let channels = *graph.tensors[x].shape.last()?;
    let many = match (&node.op, shape.as_slice()) {
        (Op::Conv2d(_), &[_, _, _, inner]) => (channels % inner.max(1) == 0).then_some(channels),
        (Op::DepthwiseConv2d(_), &[1, _, _, outer]) => {
            (outer % channels.max(1) == 0).then_some(channels)
        }
        (Op::FullyConnected { .. }, &[_, depth]) => Some(depth),
        _ => None,
    };
    many.filter(|&n| n > 0).map(|n| (x, n))
}

/// For each tap of a filter the share of outputs for which it does not lie in the padding: rows, then columns.
fn shares(window: &Window, size: [usize; 2], taps: [usize; 2]) -> [Vec<f64>; 2] {
    [0, 1].map(|i| {
        let (stride, dilation) = (window.stride[i].max(1), window.dilation[i]);
        let span = (taps[i] - 1).saturating_mul(dilation).saturating_add(1);
        let (outputs, before) = match window.padding {
            Padding::Valid => (size[i].saturating_sub(span) / stride + 1, 0),
            Padding::Same => {
                let outputs = size[i].div_ceil(stride);
                let needed = (outputs.saturating_sub(1) * stride).saturating_add(span);
                (outputs, needed.saturating_sub(size[i]) / 2)
            }
        };
        let inside = |tap: usize| {
            let places =
                (0..outputs).map(|y| (y * stride).saturating_add(tap.saturating_mul(dilation)));
            let inside = places.filter(|&y| y >= before && y - before < size[i]);
            inside.count() as f64 / outputs.max(1) as f64
        };
        (0..taps[i]).map(inside).collect()
    })
}
