//! Graphs that are woven of two models: nodes of both side by side, with conversions between their tensors.
//!
//! What the debugger asks is asked of such graphs, and any device can run them: the float operator fed with what the quantized
//! one is fed with; the float model with one operator of the quantized one in it; the quantized one with one left float.

use super::Matching;
use crate::graph::{Graph, Move, Node, Op, Quantization, Tensor, TensorId};
use crate::kernel::distance::{channels, counts_of, sums};
use crate::num::{DType, Values};
use std::collections::HashMap;

/// A graph in the making. Tensors of the quantized model keep their numbers, those of the float model follow.
pub(super) struct Weave<'a> {
    float: &'a Graph,
    quantized: &'a Graph,
    pub graph: Graph,
    /// Real values of integer tensors, by tensor.
    real: HashMap<TensorId, TensorId>,
    /// Tensors in the float model's order of dimensions, by tensor.
    straight: HashMap<TensorId, TensorId>,
}

/// Where the figures of a comparison come out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub sums: TensorId,
    /// None for floats.
    pub counts: Option<TensorId>,
}

impl<'a> Weave<'a> {
    pub fn new(float: &'a Graph, quantized: &'a Graph) -> Weave<'a> {
        let mut tensors = quantized.tensors.clone();
        tensors.extend(float.tensors.iter().cloned());
        Weave {
            float,
            quantized,
            graph: Graph {
                file: quantized.file.clone(),
                tensors,
                nodes: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
            },
            real: HashMap::new(),
            straight: HashMap::new(),
        }
    }

    /// The number of a tensor of the float model.
    pub fn of_float(&self, id: TensorId) -> TensorId {
        self.quantized.tensors.len() + id
    }

    pub fn add(&mut self, name: &str, shape: Vec<usize>, dtype: DType) -> TensorId {
        self.push(Tensor {
            name: name.into(),
            shape,
            dtype,
            quantization: None,
            constant: None,
            variable: false,
        })
    }

    pub fn push(&mut self, tensor: Tensor) -> TensorId {
        self.graph.tensors.push(tensor);
        self.graph.tensors.len() - 1
    }

    /// A float constant like another one.
    pub fn constant(&mut self, like: TensorId, values: Vec<f32>) -> TensorId {
        let tensor = Tensor {
            dtype: DType::F32,
            quantization: None,
            constant: Some(Values::F32(values)),
            ..self.graph.tensors[like].clone()
        };
        self.push(tensor)
    }

    pub fn node(&mut self, node: Node) {
        self.graph.nodes.push(node);
    }

    /// A node of the quantized model as it is.
    pub fn quantized_node(&mut self, node: &Node) {
        self.node(node.clone());
    }

    /// A node of the float model as it is.
    pub fn float_node(&mut self, node: &Node) {
        let moved = |id: &TensorId| self.of_float(*id);
        let node = Node {
            inputs: node
                .inputs
                .iter()
                .map(|id| id.as_ref().map(moved))
                .collect(),
            outputs: node.outputs.iter().map(moved).collect(),
            intermediates: node.intermediates.iter().map(moved).collect(),
            ..node.clone()
        };
        self.node(node);
    }

    /// A node of the float model with other inputs where `read` has them, by place, and outputs and states of its own; these
    /// are returned.
    pub fn float_copy(&mut self, node: &Node, read: &HashMap<usize, TensorId>) -> Vec<TensorId> {
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for (place, id) in node.inputs.iter().enumerate() {
            inputs.push(match (read.get(&place), id) {
                (Some(&other), _) => Some(other),
                (None, &Some(id)) if self.float.tensors[id].variable => {
                    let state = self.float.tensors[id].clone();
                    Some(self.push(state))
                }
                (None, id) => id.map(|id| self.of_float(id)),
            });
        }
        let outputs = self.outputs_like(node);
        let node = Node {
            inputs,
            outputs: outputs.clone(),
            ..node.clone()
        };
        self.node(node);
        outputs
    }

    fn outputs_like(&mut self, node: &Node) -> Vec<TensorId> {
        let tensors: Vec<Tensor> = node
            .outputs
            .iter()
            .map(|&id| self.float.tensors[id].clone())
            .collect();
        tensors.into_iter().map(|t| self.push(t)).collect()
    }

    /// The real values of a tensor: itself if it is float.
    pub fn real(&mut self, id: TensorId) -> TensorId {
        let tensor = &self.graph.tensors[id];
        if !matches!(tensor.dtype, DType::I8 | DType::U8 | DType::I16) {
            return id;
        }
        if let Some(&known) = self.real.get(&id) {
            return known;
        }
        let (name, shape) = (tensor.name.clone(), tensor.shape.clone());
        let real = self.add(&name, shape, DType::F32);
        self.convert(Op::Dequantize, id, real);
        self.real.insert(id, real);
        real
    }

    /// A float tensor with the type and the parameters of another one.
    pub fn rounded(&mut self, id: TensorId, like: TensorId) -> TensorId {
        let to = Tensor {
            shape: self.graph.tensors[id].shape.clone(),
            constant: None,
            variable: false,
            ..self.graph.tensors[like].clone()
        };
        let to = self.push(to);
        self.convert(Op::Quantize, id, to);
        to
    }

    /// A float tensor as int16 of the same scale: rounded, but not cut off.
    pub fn rounded_wide(&mut self, id: TensorId, scale: f32) -> TensorId {
        let from = self.graph.tensors[id].clone();
        let to = self.push(Tensor {
            dtype: DType::I16,
            quantization: Some(Quantization {
                scales: vec![scale],
                zero_points: vec![0],
                axis: 0,
            }),
            ..from
        });
        self.convert(Op::Quantize, id, to);
        to
    }

    /// A tensor with its dimensions in another order: the i-th is the `order[i]`-th of what it was.
    pub fn transposed(&mut self, id: TensorId, order: &[usize]) -> TensorId {
        let from = &self.graph.tensors[id];
        let to = Tensor {
            shape: order.iter().map(|&axis| from.shape[axis]).collect(),
            constant: None,
            variable: false,
            ..from.clone()
        };
        let to = self.push(to);
        self.transpose_into(id, order, to);
        to
    }

    /// The same into a tensor that is there.
    pub fn transpose_into(&mut self, id: TensorId, order: &[usize], to: TensorId) {
        let permutation = self.add("(order)", vec![order.len()], DType::I32);
        let values = order.iter().map(|&axis| axis as i32).collect();
        self.graph.tensors[permutation].constant = Some(Values::I32(values));
        let index = self.graph.nodes.len();
        self.node(Node {
            index,
            op: Op::Move(Move::Transpose),
            inputs: vec![Some(id), Some(permutation)],
            outputs: vec![to],
            intermediates: Vec::new(),
        });
    }

    /// A tensor of the quantized model with its dimensions in the order of the float model.
    pub fn straight(&mut self, id: TensorId, matching: &Matching) -> TensorId {
        let Some(turn) = matching.turned.get(&id) else {
            return id;
        };
        if let Some(&known) = self.straight.get(&id) {
            return known;
        }
        let straight = self.transposed(id, turn);
        self.straight.insert(id, straight);
        straight
    }

    pub fn convert(&mut self, op: Op, from: TensorId, to: TensorId) {
        let index = self.graph.nodes.len();
        self.node(Node {
            index,
            op,
            inputs: vec![Some(from)],
            outputs: vec![to],
            intermediates: Vec::new(),
        });
    }

    /// Has the last node that writes a tensor write another one instead.
    pub fn alias(&mut self, from: TensorId, to: TensorId) {
        let node = self.graph.nodes.iter_mut().rev();
        let outputs = node.flat_map(|n| &mut n.outputs).filter(|id| **id == from);
        outputs.take(1).for_each(|id| *id = to);
    }

    /// Measures how far a tensor is from a float one.
    pub fn measure(&mut self, test: TensorId, reference: TensorId) -> Measured {
        self.measured(test, reference, false)
    }

    /// The same, and counts the codes of an 8-bit tensor.
    pub fn measure_codes(&mut self, test: TensorId, reference: TensorId) -> Measured {
        self.measured(test, reference, true)
    }

    fn measured(&mut self, test: TensorId, reference: TensorId, codes: bool) -> Measured {
        let tensor = &self.graph.tensors[test];
        let (shape, dtype) = (tensor.shape.clone(), tensor.dtype);
        let size = channels(&shape) * sums::LEN;
        let index = self.graph.nodes.len();
        let sums = self.add("(sums)", vec![size], DType::F32);
        let mut outputs = vec![sums];
        let counts = (dtype != DType::F32)
            .then(|| self.add("(counts)", vec![counts_of(dtype, codes)], DType::I32));
        outputs.extend(counts);
        self.node(Node {
            index,
            op: Op::Distance,
            inputs: vec![Some(test), Some(reference)],
            outputs: outputs.clone(),
            intermediates: Vec::new(),
        });
        self.graph.outputs.extend(outputs);
        Measured { sums, counts }
    }
}

/// The order that undoes another one.
pub(super) fn undone(order: &[usize]) -> Vec<usize> {
    let place = |axis: usize| order.iter().position(|&o| o == axis).unwrap_or(axis);
    (0..order.len()).map(place).collect()
}

/// The positions of the nodes that compute each tensor.
pub(super) fn producers(graph: &Graph) -> HashMap<TensorId, usize> {
    let nodes = graph.nodes.iter().enumerate();
    nodes
        .flat_map(|(i, node)| node.outputs.iter().map(move |&id| (id, i)))
        .collect()
}
