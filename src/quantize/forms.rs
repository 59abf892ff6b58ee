//! In which forms a float tensor exists in the quantized model, and the conversions between them.
//!
//! Every tensor has a home: int8 where an operator with an int8 kernel computes it, else float. Inputs and outputs of the
//! model have the type that the caller asked for, with a twin inside where that is another one. Where an operator wants
//! another form than there is, a QUANTIZE or DEQUANTIZE makes it, once for all who want it.

use super::added::{Added, is_float};
use super::plan::{AddedTensor, Conversion, Io};
use super::rule::{Rule, operands};
use crate::graph::{Graph, TensorId};
use crate::num::Affine;
use std::collections::{HashMap, HashSet};

/// A form of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Float,
    /// int8, by the bits of its scale and its zero point.
    Int8(u32, i32),
}

/// An int8 form.
fn int8(affine: Affine) -> Form {
    Form::Int8(affine.scale.to_bits(), affine.zero_point)
}

/// The forms of all tensors.
pub(super) struct Forms<'a> {
    graph: &'a Graph,
    io: Io,
    pub added: Added,
    /// Whether a tensor is computed (or fed) as int8.
    pub home_is_int8: Vec<bool>,
    /// Tensors inside that stand for inputs and outputs of the model.
    twins: HashMap<TensorId, (TensorId, String)>,
    made: HashMap<(TensorId, Form), TensorId>,
    pub conversions: Vec<Conversion>,
    pub tensors: Vec<AddedTensor>,
}

impl<'a> Forms<'a> {
    pub fn new(graph: &'a Graph, io: Io, rules: &[Rule]) -> Self {
        let mut home_is_int8 = vec![false; graph.tensors.len()];
        let mut read_as_int8 = HashSet::new();
        for (node, &rule) in graph.nodes.iter().zip(rules) {
            let in_int8 = !matches!(rule, Rule::Float | Rule::Untouched);
            for &id in node.outputs.iter().filter(|&&id| is_float(graph, id)) {
                home_is_int8[id] = in_int8;
            }
            for place in operands(node, rule) {
                let id = node.inputs.get(place).copied().flatten();
                if let Some(id) = id.filter(|&id| in_int8 && is_float(graph, id)) {
                    read_as_int8.insert(id);
                }
            }
        }
        let mut forms = Forms {
            graph,
            io,
            added: Added::new(graph),
            home_is_int8,
            twins: HashMap::new(),
            made: HashMap::new(),
            conversions: Vec::new(),
            tensors: Vec::new(),
        };
        forms.surface(&read_as_int8);
        forms
    }

    /// Settles where inputs and outputs need a twin.
    fn surface(&mut self, read_as_int8: &HashSet<TensorId>) {
        let graph = self.graph;
        let read: HashSet<TensorId> = graph
            .nodes
            .iter()
            .flat_map(|n| n.inputs.iter().flatten().copied())
            .collect();
        for &id in graph.inputs.iter().filter(|&&id| is_float(graph, id)) {
            self.home_is_int8[id] = self.io != Io::Float;
            let needed = match self.io {
                Io::Float => read_as_int8.contains(&id),
                Io::Int8 => false,
                Io::Uint8 => read.contains(&id),
            };
            if needed {
                let twin = self.added.tensor("tfl.quantize");
                self.twins.insert(id, twin);
            }
        }
        // An input that is an output as well has been seen to; an output listed twice needs one conversion.
        let mut done: HashSet<TensorId> = graph.inputs.iter().copied().collect();
        for &id in &graph.outputs {
            let as_asked = match self.io {
                Io::Float => !self.home_is_int8[id],
                Io::Int8 => self.home_is_int8[id],
                Io::Uint8 => false,
            };
            if is_float(graph, id) && done.insert(id) && !as_asked {
                let twin = self.added.tensor(&graph.tensors[id].name);
                self.twins.insert(id, twin);
            }
        }
    }

    /// Whether a tensor needs parameters of its own range: it is int8 somewhere.
    pub fn needs_affine(&self, id: TensorId) -> bool {
        let surface = self.graph.inputs.contains(&id) || self.graph.outputs.contains(&id);
        self.twins.contains_key(&id) || (surface && self.io != Io::Float)
    }

    /// The conversions at the inputs, once their parameters are known.
    pub fn inputs(&mut self, affine: &[Option<Affine>]) {
        for &id in &self.graph.inputs {
            let Some((twin, name)) = self.twins.get(&id).cloned() else {
                continue;
            };
            self.add(id, twin, name, affine[id]);
            self.convert(id, twin, "QUANTIZE", 0);
        }
    }

    /// The conversions at the outputs.
    pub fn outputs(&mut self, affine: &[Option<Affine>]) {
        let end = self.graph.nodes.len();
        let mut done: HashSet<TensorId> = self.graph.inputs.iter().copied().collect();
        for &id in &self.graph.outputs {
            let Some((twin, name)) = self.twins.get(&id).cloned() else {
                continue;
            };
            if !done.insert(id) {
                continue;
            }
            let inside = affine[id].filter(|_| self.home_is_int8[id]);
            self.add(id, twin, name, inside);
            let operator = if self.io == Io::Float {
                "DEQUANTIZE"
            } else {
                "QUANTIZE"
            };
            self.convert(twin, id, operator, end);
        }
    }

    fn add(&mut self, like: TensorId, tensor: TensorId, name: String, affine: Option<Affine>) {
        self.tensors.push(AddedTensor {
            tensor,
            name,
            like,
            affine,
        });
    }

    fn convert(&mut self, from: TensorId, to: TensorId, operator: &'static str, before: usize) {
        self.conversions.push(Conversion {
            operator,
            from,
            to,
            before,
        });
    }

    /// The tensor that an operator which computes `id` writes.
    pub fn home(&self, id: TensorId) -> TensorId {
        match self.twins.get(&id) {
            Some((twin, _)) if !self.graph.inputs.contains(&id) => *twin,
            _ => id,
        }
    }

    /// The tensor with the int8 form of the tensor's own parameters, if there is one.
    fn own_int8(&self, id: TensorId) -> Option<TensorId> {
        let twin = self.twins.get(&id).map(|(twin, _)| *twin);
        if self.graph.inputs.contains(&id) {
            return twin.or(self.home_is_int8[id].then_some(id));
        }
        self.home_is_int8[id].then(|| twin.unwrap_or(id))
    }

    /// The tensor with the float form, made before operator `before` where there is none.
    pub fn float(&mut self, id: TensorId, before: usize) -> TensorId {
        if !self.home_is_int8[id] {
            return self.home(id);
        }
        let from = self.own_int8(id).unwrap_or(id);
        self.make(id, from, Form::Float, None, "DEQUANTIZE", before)
    }

    /// The tensor with an int8 form of these parameters, `own` being those of the tensor itself.
    pub fn int8(
        &mut self,
        id: TensorId,
        own: Option<Affine>,
        wanted: Affine,
        before: usize,
    ) -> TensorId {
        if own == Some(wanted)
            && let Some(tensor) = self.own_int8(id)
        {
            return tensor;
        }
        let from = match self.home_is_int8[id] {
            true => self.own_int8(id).unwrap_or(id),
            false => self.home(id),
        };
        self.make(id, from, int8(wanted), Some(wanted), "QUANTIZE", before)
    }

    fn make(
        &mut self,
        id: TensorId,
        from: TensorId,
        form: Form,
        affine: Option<Affine>,
        operator: &'static str,
        before: usize,
    ) -> TensorId {
        if let Some(&made) = self.made.get(&(id, form)) {
            return made;
        }
        let base = match affine {
            Some(_) => format!("{}_int8", self.graph.tensors[id].name),
            None => format!("{}_float", self.graph.tensors[id].name),
        };
        let (tensor, name) = self.added.tensor(&base);
        self.add(id, tensor, name, affine);
        self.convert(from, tensor, operator, before);
        self.made.insert((id, form), tensor);
        tensor
    }
}
