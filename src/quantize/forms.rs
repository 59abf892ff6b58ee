//! In which forms a float tensor exists in the quantized model, and the conversions between them.
//!
//! Every tensor has a home: int8 or int16 where an operator with such a kernel computes it, else float. Inputs and outputs
//! of the model have the type that the caller asked for, with a twin inside where that is another one. Where an operator
//! wants another form than there is, a QUANTIZE or DEQUANTIZE makes it, once for all who want it.

use super::added::{Added, is_float};
use super::plan::{AddedTensor, Conversion, ConversionOperator, Io};
use super::rule::operands;
use super::scheme::Decision;
use crate::graph::{Graph, TensorId};
use crate::num::{Affine, DType};
use std::collections::{HashMap, HashSet};

/// An integer form: type, bits of the scale, zero point. None is float.
type Form = Option<(DType, u32, i32)>;

/// The forms of all tensors.
pub(super) struct Forms<'a> {
    graph: &'a Graph,
    io: Io,
    pub added: Added,
    /// The integer type in which a tensor is computed (or fed); none is float.
    home: Vec<Option<DType>>,
    /// Tensors inside that stand for inputs and outputs of the model.
    twins: HashMap<TensorId, (TensorId, String)>,
    /// Types of the twins of inputs.
    twin_types: HashMap<TensorId, DType>,
    made: HashMap<(TensorId, Form), TensorId>,
    pub conversions: Vec<Conversion>,
    pub tensors: Vec<AddedTensor>,
}

impl Io {
    /// The type of inputs and outputs.
    pub(super) fn dtype(self) -> DType {
        match self {
            Io::Float => DType::F32,
            Io::Int8 => DType::I8,
            Io::Uint8 => DType::U8,
            Io::Int16 => DType::I16,
        }
    }

    /// The type with which inputs and outputs are computed; uint8 has no kernels.
    fn inside(self) -> Option<DType> {
        match self {
            Io::Float => None,
            Io::Int8 | Io::Uint8 => Some(DType::I8),
            Io::Int16 => Some(DType::I16),
        }
    }
}

impl<'a> Forms<'a> {
    pub fn new(graph: &'a Graph, io: Io, decisions: &[Decision]) -> Self {
        let mut home = vec![None; graph.tensors.len()];
        let mut read: HashMap<TensorId, DType> = HashMap::new();
        for (node, decision) in graph.nodes.iter().zip(decisions) {
            for &id in node.outputs.iter().filter(|&&id| is_float(graph, id)) {
                home[id] = decision.integer();
            }
            let Some(dtype) = decision.integer() else {
                continue;
            };
            for place in operands(node, decision.rule) {
                let id = node.inputs.get(place).copied().flatten();
                if let Some(id) = id.filter(|&id| is_float(graph, id)) {
                    // The twin of an input is int8 where anybody wants that.
                    let first = read.entry(id).or_insert(dtype);
                    if dtype == DType::I8 {
                        *first = dtype;
                    }
                }
            }
        }
        let mut forms = Forms {
            graph,
            io,
            added: Added::new(graph),
            home,
            twins: HashMap::new(),
            twin_types: HashMap::new(),
            made: HashMap::new(),
            conversions: Vec::new(),
            tensors: Vec::new(),
        };
        forms.surface(&read);
        forms
    }

    /// Settles where inputs and outputs need a twin, given the type in which tensors are read as integers.
    fn surface(&mut self, integers: &HashMap<TensorId, DType>) {
        let graph = self.graph;
        let read: HashSet<TensorId> = graph
            .nodes
            .iter()
            .flat_map(|n| n.inputs.iter().flatten().copied())
            .collect();
        for &id in graph.inputs.iter().filter(|&&id| is_float(graph, id)) {
            self.home[id] = self.io.inside();
            let twin = match self.io {
                Io::Float => integers.get(&id).copied(),
                Io::Int8 | Io::Int16 => None,
                Io::Uint8 => read.contains(&id).then_some(DType::I8),
            };
            if let Some(dtype) = twin {
                let twin = self.added.tensor("tfl.quantize");
                self.twins.insert(id, twin);
                self.twin_types.insert(id, dtype);
            }
        }
        // An input that is an output as well has been seen to; an output listed twice needs one conversion.
        let mut done: HashSet<TensorId> = graph.inputs.iter().copied().collect();
        for &id in &graph.outputs {
            let as_asked = self.io != Io::Uint8 && self.home[id] == self.io.inside();
            if is_float(graph, id) && done.insert(id) && !as_asked {
                let twin = self.added.tensor(&graph.tensors[id].name);
                self.twins.insert(id, twin);
            }
        }
    }

    /// Whether a tensor needs parameters of its own range: it is an integer somewhere.
    pub fn needs_affine(&self, id: TensorId) -> bool {
        let surface = self.graph.inputs.contains(&id) || self.graph.outputs.contains(&id);
        self.twins.contains_key(&id) || (surface && self.io != Io::Float)
    }

    /// The type whose parameters are the tensor's own: that of its home, or of its twin, or of the model's surface.
    pub fn own_type(&self, id: TensorId) -> Option<DType> {
        let twin = self.twin_types.get(&id).copied();
        let surface = self.graph.outputs.contains(&id).then(|| self.io.inside());
        self.home[id].or(twin).or(surface.flatten())
    }

    /// Inputs and outputs whose type is not that of their own parameters, with their type.
    pub fn surfaces(&self) -> Vec<(TensorId, DType)> {
        let mut done = HashSet::new();
        let ids = self.graph.inputs.iter().chain(&self.graph.outputs).copied();
        let ids = ids.filter(|&id| is_float(self.graph, id) && done.insert(id));
        let dtype = self.io.dtype();
        let ids = ids.filter(|&id| self.io != Io::Float && self.own_type(id) != Some(dtype));
        ids.map(|id| (id, dtype)).collect()
    }

    /// The conversions at the inputs, once their parameters are known.
    pub fn inputs(&mut self, affine: &[Option<Affine>]) {
        for &id in &self.graph.inputs {
            let Some((twin, name)) = self.twins.get(&id).cloned() else {
                continue;
            };
            let dtype = self.twin_types.get(&id).copied().unwrap_or(DType::I8);
            self.add(id, twin, name, affine[id].map(|a| (dtype, a)));
            self.convert(id, twin, ConversionOperator::Quantize, 0);
        }
    }

    /// The conversions at the outputs; `eight` are the int8 parameters of those that are uint8 outside.
    pub fn outputs(&mut self, affine: &[Option<Affine>], eight: &HashMap<TensorId, Affine>) {
        let end = self.graph.nodes.len();
        let mut done: HashSet<TensorId> = self.graph.inputs.iter().copied().collect();
        for &id in &self.graph.outputs {
            let Some((twin, name)) = self.twins.get(&id).cloned() else {
                continue;
            };
            if !done.insert(id) {
                continue;
            }
            let inside = self.home[id].and_then(|dtype| Some((dtype, affine[id]?)));
            self.add(id, twin, name, inside);
            let operator = if self.io == Io::Float {
                ConversionOperator::Dequantize
            } else {
                ConversionOperator::Quantize
            };
            let from = match eight.get(&id) {
                // LiteRT makes uint8 of int8 alone.
                Some(&eight) if self.home[id] != Some(DType::I8) => {
                    self.make(id, twin, Some((DType::I8, eight)), end)
                }
                _ => twin,
            };
            self.convert(from, id, operator, end);
        }
    }

    fn add(
        &mut self,
        like: TensorId,
        tensor: TensorId,
        name: String,
        integer: Option<(DType, Affine)>,
    ) {
        self.tensors.push(AddedTensor {
            tensor,
            name,
            like,
            dtype: integer.map_or(DType::F32, |(dtype, _)| dtype),
            affine: integer.map(|(_, affine)| affine),
        });
    }

    fn convert(
        &mut self,
        from: TensorId,
        to: TensorId,
        operator: ConversionOperator,
        before: usize,
    ) {
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

    /// The tensor with the integer form of the tensor's own parameters, if there is one.
    fn own_integer(&self, id: TensorId) -> Option<TensorId> {
        let twin = self.twins.get(&id).map(|(twin, _)| *twin);
        if self.graph.inputs.contains(&id) {
            return twin.or(self.home[id].map(|_| id));
        }
        self.home[id].map(|_| twin.unwrap_or(id))
    }

    /// The tensor with the float form, made before operator `before` where there is none.
    pub fn float(&mut self, id: TensorId, before: usize) -> TensorId {
        if self.home[id].is_none() {
            return self.home(id);
        }
        let from = self.own_integer(id).unwrap_or(id);
        self.make(id, from, None, before)
    }

    /// The tensor with an integer form of this type and these parameters, `own` being those of the tensor itself.
    pub fn integer(
        &mut self,
        id: TensorId,
        own: Option<Affine>,
        (dtype, wanted): (DType, Affine),
        before: usize,
    ) -> TensorId {
        if own == Some(wanted)
            && self.own_type(id) == Some(dtype)
            && let Some(tensor) = self.own_integer(id)
        {
            return tensor;
        }
        let from = match self.home[id] {
            Some(_) => self.own_integer(id).unwrap_or(id),
            None => self.home(id),
        };
        self.make(id, from, Some((dtype, wanted)), before)
    }

    fn make(
        &mut self,
        id: TensorId,
        from: TensorId,
        integer: Option<(DType, Affine)>,
        before: usize,
    ) -> TensorId {
        let form = integer.map(|(dtype, a)| (dtype, a.scale.to_bits(), a.zero_point));
        if let Some(&made) = self.made.get(&(id, form)) {
            return made;
        }
        let name = &self.graph.tensors[id].name;
        let (base, operator) = match integer {
            Some((dtype, _)) => (format!("{name}_{dtype}"), ConversionOperator::Quantize),
            None => (format!("{name}_float"), ConversionOperator::Dequantize),
        };
        let (tensor, name) = self.added.tensor(&base);
        self.add(id, tensor, name, integer);
        self.convert(from, tensor, operator, before);
        self.made.insert((id, form), tensor);
        tensor
    }
}
