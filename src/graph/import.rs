//! From the tree of a file to a checked graph. Everything later rooms rely on is checked here.

use super::{Error, Graph, Move, Node, Op, Quantization, Tensor, TensorId, attributes, sparse};
use crate::model::{self, Model, TensorType};
use crate::num::{DType, Values, fixed};
use std::collections::HashSet;

/// Most elements one tensor may have in one sample: devices index with 32 bits.
const MAX_ELEMENTS: usize = 1 << 31;

/// Control flow and resources: what they do is not told by their tensors.
const CONTROL: [&str; 8] = [
    "IF",
    "WHILE",
    "CALL",
    "CALL_ONCE",
    "VAR_HANDLE",
    "READ_VARIABLE",
    "ASSIGN_VARIABLE",
    "HASHTABLE",
];

/// Makes the graph of the model's first subgraph.
///
/// # Errors
/// If an operator is not supported, or tensors, types or shapes are not what a graph can be made of.
pub fn load(model: &Model, file: &str) -> Result<Graph, Error> {
    Import { model, file }.graph()
}

struct Import<'a> {
    model: &'a Model,
    file: &'a str,
}

impl Import<'_> {
    fn model_error(&self, what: impl Into<String>) -> Error {
        Error::Model {
            file: self.file.into(),
            what: what.into(),
        }
    }

    fn graph(&self) -> Result<Graph, Error> {
        let subgraph = self
            .model
            .subgraphs
            .as_deref()
            .and_then(|s| s.first())
            .ok_or_else(|| self.model_error("the model has no subgraph"))?;
        let tensors = subgraph.tensors.as_deref().unwrap_or_default();
        let operators = subgraph.operators.as_deref().unwrap_or_default();
        let nodes = operators
            .iter()
            .enumerate()
            .map(|(i, o)| self.node(i, o, tensors.len()))
            .collect::<Result<Vec<_>, _>>()?;
        let ids = |list: Option<&[i32]>, what: &str| {
            let list = list.unwrap_or_default();
            if list.is_empty() {
                return Err(self.model_error(format!("the model has no {what}")));
            }
            list.iter()
                .map(|&i| {
                    index(i, tensors.len()).ok_or_else(|| {
                        self.model_error(format!("{what} {i} is not a tensor of the subgraph"))
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        let inputs = ids(subgraph.inputs.as_deref(), "inputs")?;
        let outputs = ids(subgraph.outputs.as_deref(), "outputs")?;
        self.check_tail(&nodes, tensors.len())?;
        let mut used = vec![false; tensors.len()];
        for &id in &inputs {
            used[id] = true;
        }
        let opaque = nodes.iter().filter(|n| n.op.is_opaque());
        let opaque: HashSet<TensorId> = opaque.flat_map(|n| &n.outputs).copied().collect();
        for &id in outputs.iter().filter(|id| !opaque.contains(id)) {
            used[id] = true;
        }
        for node in nodes.iter().filter(|n| !n.op.is_opaque()) {
            for &id in node
                .inputs
                .iter()
                .flatten()
                .chain(&node.outputs)
                .chain(&node.intermediates)
            {
                used[id] = true;
            }
        }
        let mut written = vec![false; tensors.len()];
        for &id in nodes.iter().flat_map(|n: &Node| &n.outputs) {
            written[id] = true;
        }
        let tensors = tensors
            .iter()
            .enumerate()
            .map(|(i, t)| {
                if used[i] && written[i] && self.is_without_data(t) {
                    // Also one without elements, whose data would be none.
                    self.tensor(
                        i,
                        &model::Tensor {
                            buffer: 0,
                            ..t.clone()
                        },
                    )
                } else if used[i] {
                    self.tensor(i, t)
                } else {
                    Ok(unused(t))
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        let graph = Graph {
            file: self.file.into(),
            tensors,
            nodes,
            inputs,
            outputs,
        };
        self.check_order(&graph)?;
        self.check_i16(&graph, operators)?;
        Ok(graph)
    }

    /// Options that say how int16 is computed, which are no attributes of the operators.
    fn check_i16(&self, graph: &Graph, operators: &[model::Operator]) -> Result<(), Error> {
        for node in &graph.nodes {
            let input = |i: usize| Some(&graph.tensors[node.inputs.get(i).copied().flatten()?]);
            let first = input(usize::from(matches!(node.op, Op::TransposeConv(_))) * 2);
            if first.is_none_or(|t| t.dtype != DType::I16) {
                continue;
            }
            let bias = match node.op {
                Op::TransposeConv(_) => input(3),
                _ => input(2),
            };
            let tensors = node.inputs.iter().flatten().chain(&node.outputs);
            let mut scales = tensors.map(|&id| graph.tensors[id].affine().map(|a| a.scale));
            let powers = scales.all(|s| s.is_some_and(|s| fixed::log2(s).1));
            attributes::check_i16(&operators[node.index], bias.map(|t| t.dtype), powers).map_err(
                |what| Error::Node {
                    file: self.file.into(),
                    node: node.describe(),
                    what,
                },
            )?;
        }
        Ok(())
    }

    /// Operators that are not computed are welcome where nothing that is computed reads what they write: for instance the
    /// postprocessing of a detector.
    fn check_tail(&self, nodes: &[Node], tensors: usize) -> Result<(), Error> {
        let mut from = vec![None; tensors];
        for node in nodes {
            let read = node.inputs.iter().flatten().find_map(|&id| from[id]);
            // The first of several behind each other is the one to name.
            let cause: Option<&Node> = node.op.is_opaque().then(|| read.unwrap_or(node));
            let refused = match (cause, read) {
                (None, Some(before)) => Some(before),
                (Some(_), _) if CONTROL.contains(&node.op.name()) => Some(node),
                _ => None,
            };
            if let Some(node) = refused {
                return Err(Error::UnsupportedOp {
                    file: self.file.into(),
                    index: node.index,
                    subgraph: 0,
                    name: node.op.name().into(),
                });
            }
            for &id in node.outputs.iter().filter(|_| cause.is_some()) {
                from[id] = cause;
            }
        }
        Ok(())
    }

    fn is_without_data(&self, t: &model::Tensor) -> bool {
        let buffers = self.model.buffers.as_deref().unwrap_or_default();
        let buffer = buffers.get(t.buffer as usize);
        buffer.is_some_and(|b| b.data.as_ref().is_none_or(Vec::is_empty))
    }

    /// Every value must exist before it is read, and be written once.
    fn check_order(&self, graph: &Graph) -> Result<(), Error> {
        let mut known: Vec<bool> = graph
            .tensors
            .iter()
            .map(|t| t.constant.is_some() || t.variable)
            .collect();
        let error = |node: &Node, what: String| Error::Node {
            file: self.file.into(),
            node: node.describe(),
            what,
        };
        for &id in &graph.inputs {
            if std::mem::replace(&mut known[id], true) {
                return Err(self.model_error(format!(
                    "input {} is a constant or listed twice",
                    graph.describe(id)
                )));
            }
        }
        let mut states = vec![false; graph.tensors.len()];
        for node in graph.nodes.iter().filter(|n| !n.op.is_opaque()) {
            for (place, id) in node.inputs.iter().enumerate() {
                let &Some(id) = id else { continue };
                if !known[id] {
                    return Err(error(
                        node,
                        format!("it reads {} before anything writes it", graph.describe(id)),
                    ));
                }
                let state = graph.tensors[id].variable;
                if state && !node.op.states().contains(&place) {
                    return Err(error(
                        node,
                        format!(
                            "it reads the state {} as input {place}; states are inputs 18 and 19 of an LSTM and 4 of an RNN or SVDF",
                            graph.describe(id)
                        ),
                    ));
                }
                if state && std::mem::replace(&mut states[id], true) {
                    return Err(error(
                        node,
                        format!("its state {} is used twice", graph.describe(id)),
                    ));
                }
            }
            for &id in &node.outputs {
                if std::mem::replace(&mut known[id], true) {
                    return Err(error(
                        node,
                        format!("its output {} has a value already", graph.describe(id)),
                    ));
                }
            }
        }
        let opaque = graph.nodes.iter().filter(|n| n.op.is_opaque());
        for &id in opaque.flat_map(|n| &n.outputs) {
            known[id] = true;
        }
        for &id in &graph.outputs {
            if !known[id] || graph.tensors[id].variable {
                return Err(
                    self.model_error(format!("output {} is not computed", graph.describe(id)))
                );
            }
        }
        Ok(())
    }

    fn node(&self, i: usize, operator: &model::Operator, tensors: usize) -> Result<Node, Error> {
        let codes = self.model.operator_codes.as_deref().unwrap_or_default();
        let code = codes.get(operator.opcode_index as usize).ok_or_else(|| {
            self.model_error(format!(
                "operator {i} has code {}, but there are {}",
                operator.opcode_index,
                codes.len()
            ))
        })?;
        let name = model::operator_name(code).into_owned();
        let error = |what: String| Error::Node {
            file: self.file.into(),
            node: format!("{name} (operator {i})"),
            what,
        };
        let op = attributes::op(model::builtin_code(code), &name, operator)
            .map_err(&error)?
            .unwrap_or_else(|| Op::Opaque(name.clone()));
        let out_of_range = |id: i32| error(format!("tensor {id} is not in the subgraph"));
        let required = |list: &Option<Vec<i32>>| {
            list.iter()
                .flatten()
                .map(|&id| index(id, tensors).ok_or_else(|| out_of_range(id)))
                .collect::<Result<Vec<_>, _>>()
        };
        let inputs = operator
            .inputs
            .iter()
            .flatten()
            .map(|&id| match id {
                -1 => Ok(None),
                id => index(id, tensors).map(Some).ok_or_else(|| out_of_range(id)),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let (outputs, intermediates) = (
            required(&operator.outputs)?,
            required(&operator.intermediates)?,
        );
        let several = matches!(
            op,
            Op::Move(Move::Split | Move::SplitV | Move::Unpack(_)) | Op::TopK
        );
        let fits = outputs.len() == 1 || (several && !outputs.is_empty());
        if !fits && !op.is_opaque() {
            return Err(error(format!(
                "it has {} outputs, expected 1",
                outputs.len()
            )));
        }
        Ok(Node {
            index: i,
            op,
            inputs,
            outputs,
            intermediates,
        })
    }

    fn tensor(&self, i: usize, t: &model::Tensor) -> Result<Tensor, Error> {
        let name = t.name.clone().unwrap_or_default();
        let error = |what: String| Error::Tensor {
            file: self.file.into(),
            index: i,
            name: name.clone(),
            what,
        };
        let dtype = dtype(t.type_).ok_or_else(|| {
            let known = TensorType::try_from(t.type_)
                .map_or_else(|_| t.type_.to_string(), |t| format!("{t:?}"));
            error(format!("element type {known} is not supported"))
        })?;
        let shape = t
            .shape
            .iter()
            .flatten()
            .map(|&d| match d {
                -1 => Ok(1),
                d => usize::try_from(d).map_err(|_| error(format!("dimension {d} is negative"))),
            })
            .collect::<Result<Vec<_>, _>>()?;
        // Without its zeros, so that the product of any of the dimensions is bounded as well.
        shape
            .iter()
            .filter(|&&d| d > 0)
            .try_fold(1usize, |n, &d| n.checked_mul(d))
            .filter(|&n| n < MAX_ELEMENTS)
            .ok_or_else(|| error(format!("shape {shape:?} has 2^31 elements or more")))?;
        let constant = if t.is_variable {
            None
        } else {
            self.constant(t, dtype, &shape, &error)?
        };
        Ok(Tensor {
            quantization: quantization(t, shape.len(), &error)?,
            name: name.clone(),
            shape,
            dtype,
            constant,
            variable: t.is_variable,
        })
    }

    fn constant(
        &self,
        t: &model::Tensor,
        dtype: DType,
        shape: &[usize],
        error: &dyn Fn(String) -> Error,
    ) -> Result<Option<Values>, Error> {
        let elements: usize = shape.iter().product();
        let buffers = self.model.buffers.as_deref().unwrap_or_default();
        if t.external_buffer != 0 {
            return Err(error(
                "its data is in a file of its own, which is not supported".into(),
            ));
        }
        if t.buffer == 0 {
            return Ok(None);
        }
        let buffer = buffers
            .get(t.buffer as usize)
            .ok_or_else(|| error(format!("buffer {} does not exist", t.buffer)))?;
        let bytes = buffer.data.as_deref().unwrap_or_default();
        if bytes.is_empty() && elements > 0 {
            return Ok(None);
        }
        let unpacked = match &t.sparsity {
            Some(sparsity) => {
                Some(sparse::dense(sparsity, shape, dtype.size(), bytes).map_err(error)?)
            }
            None => None,
        };
        let bytes = unpacked.as_deref().unwrap_or(bytes);
        if bytes.len() != elements * dtype.size() {
            return Err(error(format!(
                "its buffer has {} bytes, but its shape needs {}",
                bytes.len(),
                elements * dtype.size()
            )));
        }
        // float16 stays bits: it becomes float32 behind a DEQUANTIZE.
        let value = Values::from_bytes(dtype, bytes)
            .unwrap_or_else(|| Values::U16(bytemuck::pod_collect_to_vec(bytes)));
        Ok(Some(value))
    }
}

fn index(i: i32, len: usize) -> Option<usize> {
    usize::try_from(i).ok().filter(|&i| i < len)
}

/// A tensor nothing refers to: kept so that numbers stay those of the file.
fn unused(t: &model::Tensor) -> Tensor {
    Tensor {
        name: t.name.clone().unwrap_or_default(),
        shape: vec![0],
        dtype: DType::U8,
        quantization: None,
        constant: None,
        variable: false,
    }
}

fn dtype(code: i8) -> Option<DType> {
    Some(match TensorType::try_from(code).ok()? {
        TensorType::Float32 => DType::F32,
        TensorType::Float16 => DType::F16,
        TensorType::Complex64 => DType::C64,
        TensorType::Int8 => DType::I8,
        TensorType::Uint8 => DType::U8,
        TensorType::Int16 => DType::I16,
        TensorType::Uint16 => DType::U16,
        TensorType::Int32 => DType::I32,
        TensorType::Uint32 => DType::U32,
        TensorType::Int64 => DType::I64,
        TensorType::Bool => DType::Bool,
        _ => return None,
    })
}

fn quantization(
    t: &model::Tensor,
    rank: usize,
    error: &dyn Fn(String) -> Error,
) -> Result<Option<Quantization>, Error> {
    let Some(q) = t.quantization.as_deref() else {
        return Ok(None);
    };
    let scales = q.scale.as_deref().unwrap_or_default();
    if scales.is_empty() {
        return Ok(None);
    }
    if q.details.is_some() {
        return Err(error(
            "custom, blockwise or multi-axis quantization is not supported".into(),
        ));
    }
    if let Some(bad) = scales.iter().find(|s| !s.is_finite() || **s <= 0.0) {
        return Err(error(format!("scale {bad} is not a positive number")));
    }
    let zero_points = match q.zero_point.as_deref().unwrap_or_default() {
        [] => vec![0; scales.len()],
        &[z] => vec![z; scales.len()],
        many if many.len() == scales.len() => many.to_vec(),
        many => {
            return Err(error(format!(
                "it has {} scales but {} zero points",
                scales.len(),
                many.len()
            )));
        }
    };
    let zero_points = zero_points
        .into_iter()
        .map(|z| {
            i32::try_from(z).map_err(|_| error(format!("zero point {z} is outside of any type")))
        })
        .collect::<Result<_, _>>()?;
    let axis = usize::try_from(q.quantized_dimension)
        .ok()
        .filter(|&a| a < rank.max(1));
    let axis = axis.ok_or_else(|| {
        error(format!(
            "quantized dimension {} is outside of its shape",
            q.quantized_dimension
        ))
    })?;
    Ok(Some(Quantization {
        scales: scales.to_vec(),
        zero_points,
        axis,
    }))
}
