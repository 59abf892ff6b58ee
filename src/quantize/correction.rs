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
use rayon::prelude::*;
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
        // What the rounding of weight k takes from its channel.
        let lost = |k: usize, channel: usize| {
            let (inner, tap) = (k % last, k / last % (rows * columns));
            let mean = match depthwise {
                true => means[inner / (last / means.len()).max(1)],
                false => means[channel / channels.div_ceil(groups.max(1)) * last + inner],
            };
            let (w, scale) = (values[k], scale(channel));
            let rounded = f32::from(quantize_weight(w, 1.0 / scale)) * scale;
            let share = vertical[tap / columns] * horizontal[tap % columns];
            f64::from(w - rounded) * f64::from(mean) * share
        };
        let taps = rows * columns;
        let of_channel = |channel: usize| -> f64 {
            match depthwise {
                true => (0..taps)
                    .map(|tap| lost(tap * last + channel, channel))
                    .sum(),
                false => {
                    let all = channel * taps * last..(channel + 1) * taps * last;
                    all.map(|k| lost(k, channel)).sum()
                }
            }
        };
        let lost = (0..channels).into_par_iter().map(of_channel);
        Some(lost.map(|x| x as f32).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Tensor};
    use crate::num::DType;
    use proptest::prelude::*;

    fn tensor(shape: &[usize], constant: Option<Vec<f32>>) -> Tensor {
        Tensor {
            name: String::new(),
            shape: shape.to_vec(),
            dtype: DType::F32,
            quantization: None,
            constant: constant.map(Values::F32),
            variable: false,
        }
    }

    /// A graph of one node with input, weights and bias.
    fn graph(op: Op, input: &[usize], weights: &[usize], values: &[f32], units: usize) -> Graph {
        let node = Node {
            index: 0,
            op,
            inputs: vec![Some(0), Some(1), Some(2)],
            outputs: vec![3],
            intermediates: Vec::new(),
        };
        Graph {
            file: "test".into(),
            tensors: vec![
                tensor(input, None),
                tensor(weights, Some(values.to_vec())),
                tensor(&[units], Some(vec![0.0; units])),
                tensor(&[1], None),
            ],
            nodes: vec![node],
            inputs: vec![0],
            outputs: vec![3],
        }
    }

    fn rounded(w: f32, scale: f32) -> f32 {
        f32::from(quantize_weight(w, 1.0 / scale)) * scale
    }

    proptest! {
        /// Where every pixel is the mean, the correction is what the outputs lose on average, padding included.
        #[test]
        fn a_convolution_loses_nothing_on_average(
            values in prop::collection::vec(-1f32..1.0, 3 * 9 * 2),
            means in prop::collection::vec(-5f32..5.0, 2),
            scales in prop::collection::vec(0.01f32..0.3, 3),
            stride in 1usize..3,
            dilation in 1usize..3,
            same in any::<bool>(),
            depthwise in any::<bool>(),
        ) {
            let size: [usize; 2] = [7, 6];
            let window = Window {
                padding: if same { Padding::Same } else { Padding::Valid },
                stride: [stride, stride],
                dilation: [dilation, dilation],
                activation: Activation::None,
            };
            let (op, shape, units) = match depthwise {
                true => (Op::DepthwiseConv2d(window), [1, 3, 3, 2], 2),
                false => (Op::Conv2d(window), [3, 3, 3, 2], 3),
            };
            let values = &values[..shape.iter().product()];
            let graph = graph(op, &[1, 7, 6, 2], &shape, values, units);
            prop_assert_eq!(Correction::wanted(&graph), vec![(0, 2)]);
            let correction = Correction::new([((0, 2), means.clone())].into());
            let found = correction.of(&graph, &graph.nodes[0], &scales[..units]).unwrap();
            prop_assert_eq!(found.len(), units);
            // Output by output, tap by tap.
            let span = 2 * dilation + 1;
            let [rows, columns] = size.map(|n| if same { n.div_ceil(stride) } else { (n - span) / stride + 1 });
            let pad = |n: usize, outputs: usize| match same {
                true => ((outputs - 1) * stride + span).saturating_sub(n) / 2,
                false => 0,
            };
            let [top, left] = [pad(size[0], rows), pad(size[1], columns)];
            for unit in 0..units {
                let mut lost = 0f64;
                for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
                    for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
                        let row = (y * stride + i * dilation).checked_sub(top);
                        let column = (x * stride + j * dilation).checked_sub(left);
                        if row.is_none_or(|r| r >= size[0]) || column.is_none_or(|c| c >= size[1]) {
                            continue;
                        }
                        for channel in 0..2 {
                            let w = match depthwise {
                                true if channel != unit => continue,
                                true => values[(i * 3 + j) * 2 + unit],
                                false => values[((unit * 3 + i) * 3 + j) * 2 + channel],
                            };
                            lost += f64::from(w - rounded(w, scales[unit])) * f64::from(means[channel]);
                        }
                    }
                }
                let mean = lost / (rows * columns) as f64;
                prop_assert!((f64::from(found[unit]) - mean).abs() < 1e-4, "{} {}", found[unit], mean);
            }
        }
    }

    #[test]
    fn a_unit_of_a_dense_layer_has_a_mean_for_each_weight() {
        let op = Op::FullyConnected {
            activation: Activation::None,
            asymmetric: false,
        };
        let values = [0.3, -0.4, 0.26, 0.9];
        let graph = graph(op, &[1, 2, 1, 1], &[2, 2], &values, 2);
        assert_eq!(Correction::wanted(&graph), [(0, 2)]);
        let correction = Correction::new([((0, 2), vec![10.0, 1.0])].into());
        // One scale for all: 0.3 becomes 0.25, -0.4 becomes -0.5, 0.26 becomes 0.25, 0.9 becomes 1.
        let found = correction.of(&graph, &graph.nodes[0], &[0.25]).unwrap();
        let expected = [0.05 * 10.0 + 0.1, 0.01 * 10.0 - 0.1];
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-5),
            "{found:?}"
        );
        // Nothing is known of this tensor.
        assert!(
            Correction::default()
                .of(&graph, &graph.nodes[0], &[0.25])
                .is_none()
        );
    }
}
