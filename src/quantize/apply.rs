//! Carries a [`Plan`] out on the tree of a file. Tensors keep their numbers and new ones go to the end, so whatever else
//! names a tensor (signatures, metadata) stays right.

use super::Error;
use super::fit;
use super::plan::{ConstantPlan, ConversionOperator, Intermediates, Io, Place, Plan, Role};
use super::scheme::NodeScheme;
use crate::graph::{Graph, TensorId};
use crate::model::{
    Buffer, BuiltinOperator, BuiltinOptions, Model, Operator, OperatorCode, QuantizationParameters,
    SubGraph, Tensor, TensorType, builtin_code,
};
use crate::num::affine::{quantize, quantize_bias, quantize_weight};
use crate::num::{Affine, DType, Values};
use std::collections::{BTreeMap, HashMap};

/// The metadata entry that says how old an interpreter may be.
const MIN_RUNTIME_VERSION: &str = "min_runtime_version";

/// The quantized model: `model` changed as `plan` says; `graph` must have been made of `model`, and `plan` of `graph`.
/// Subgraphs other than the first stay as they are.
///
/// # Errors
/// If the three do not belong together, or the plan has parameters that mean nothing.
pub fn apply(model: &Model, graph: &Graph, plan: &Plan) -> Result<Model, Error> {
    fit::check(graph, plan)?;
    let mut result = model.clone();
    let mut subgraphs = result.subgraphs.take().unwrap_or_default();
    let mut buffers = Buffers::new(&mut result, &subgraphs);
    let Some((subgraph, others)) = subgraphs.split_first_mut() else {
        return Err(Error::model(graph, "it has no subgraph"));
    };
    let mut edit = Edit {
        graph,
        plan,
        tensors: subgraph.tensors.take().unwrap_or_default(),
        added: BTreeMap::new(),
    };
    if edit.tensors.len() != graph.tensors.len() || plan.operators.len() != graph.nodes.len() {
        return Err(edit.mismatch());
    }
    edit.activations()?;
    for constant in &plan.constants {
        edit.constant(constant, &mut buffers)?;
    }
    for intermediates in &plan.intermediates {
        edit.intermediates(intermediates);
    }
    for (id, tensor) in std::mem::take(&mut edit.added) {
        if id != edit.tensors.len() {
            return Err(edit.mismatch());
        }
        edit.tensors.push(tensor);
    }
    let mut codes = Codes {
        old: result.operator_codes.take().unwrap_or_default(),
        new: Vec::new(),
        numbers: HashMap::new(),
    };
    let operators = subgraph.operators.take().unwrap_or_default();
    subgraph.operators = Some(edit.operators(operators, &mut codes)?);
    for operator in others
        .iter_mut()
        .flat_map(|s| s.operators.iter_mut().flatten())
    {
        let number = codes.renew(operator.opcode_index, 1);
        operator.opcode_index = number.ok_or_else(|| edit.mismatch())?;
    }
    subgraph.tensors = Some(edit.tensors);
    result.operator_codes = Some(codes.new);
    raise_runtime_version(&mut result, &mut buffers, &plan.min_runtime_version);
    result.buffers = Some(buffers.list);
    result.subgraphs = Some(subgraphs);
    Ok(result)
}

struct Edit<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    tensors: Vec<Tensor>,
    /// To be appended, by number.
    added: BTreeMap<TensorId, Tensor>,
}

impl Edit<'_> {
    fn mismatch(&self) -> Error {
        Error::model(self.graph, "the plan was made for another model")
    }

    fn tensor(&mut self, id: TensorId) -> Result<&mut Tensor, Error> {
        let error = self.mismatch();
        self.tensors.get_mut(id).ok_or(error)
    }

    fn activations(&mut self) -> Result<(), Error> {
        let (graph, plan) = (self.graph, self.plan);
        for added in &plan.tensors {
            let mut tensor = self.tensor(added.like)?.clone();
            tensor.name = Some(added.name.clone());
            tensor.buffer = 0;
            if let Some(affine) = added.affine {
                set_activation(&mut tensor, added.dtype, affine);
            }
            self.added.insert(added.tensor, tensor);
        }
        let surface: std::collections::HashSet<TensorId> =
            graph.inputs.iter().chain(&graph.outputs).copied().collect();
        for activation in &plan.activations {
            let (id, affine) = (activation.tensor, activation.affine);
            let tensor = self.tensor(id)?;
            if plan.io != Io::Float || !surface.contains(&id) {
                set_activation(tensor, activation.dtype, affine);
            }
            if tensor.is_variable {
                tensor.buffer = 0;
            }
        }
        for outside in &plan.surface {
            let tensor = self.tensor(outside.tensor)?;
            set_activation(tensor, outside.dtype, outside.affine);
        }
        Ok(())
    }

    fn constant(&mut self, constant: &ConstantPlan, buffers: &mut Buffers) -> Result<(), Error> {
        let source = self.graph.tensors.get(constant.source);
        let Some(Values::F32(values)) = source.and_then(|t| t.constant.as_ref()) else {
            return Err(self.mismatch());
        };
        let shape = &self.graph.tensors[constant.source].shape;
        let fits = match constant.axis {
            None => constant.scales.len() == 1,
            Some(axis) => shape.get(axis) == Some(&constant.scales.len()),
        };
        if !fits {
            return Err(self.mismatch());
        }
        let step = constant
            .axis
            .map_or(values.len(), |axis| shape[axis + 1..].iter().product());
        let corrected: Vec<f32>;
        let values = match constant.correction.as_slice() {
            [] => values,
            all if all.len() == values.len() => {
                corrected = values.iter().zip(all).map(|(x, c)| x + c).collect();
                &corrected
            }
            _ => return Err(self.mismatch()),
        };
        let data = integers(constant, values, step);
        let copy = constant.tensor != constant.source;
        let mut tensor = if copy {
            Tensor {
                name: Some(constant.name.clone()),
                buffer: 0,
                ..self.tensor(constant.source)?.clone()
            }
        } else {
            std::mem::take(self.tensor(constant.source)?)
        };
        tensor.buffer = buffers.replace(tensor.buffer, data.bytes().to_vec());
        set_type(&mut tensor, constant.role.dtype());
        tensor.sparsity = None;
        tensor.quantization = Some(parameters(
            constant.scales.clone(),
            constant.zero_point,
            constant.axis.unwrap_or(0),
        ));
        if copy {
            self.added.insert(constant.tensor, tensor);
        } else {
            *self.tensor(constant.source)? = tensor;
        }
        Ok(())
    }

    fn intermediates(&mut self, plan: &Intermediates) {
        for (k, name) in plan.names.iter().enumerate() {
            let mut tensor = Tensor {
                name: Some(name.clone()),
                shape: Some(vec![0]),
                has_rank: true,
                ..Tensor::default()
            };
            if k == 4 {
                set_activation(&mut tensor, DType::I8, plan.hidden);
            }
            self.added.insert(plan.first + k, tensor);
        }
    }

    /// Whether a tensor has 16 bits.
    fn is_wide(&self, id: TensorId) -> bool {
        let tensor = self.tensors.get(id);
        tensor.is_some_and(|t| t.type_ == TensorType::Int16 as i8)
    }

    /// The operators with their new inputs, outputs and versions, and the conversions around them.
    fn operators(
        &self,
        mut operators: Vec<Operator>,
        codes: &mut Codes,
    ) -> Result<Vec<Operator>, Error> {
        let plan = self.plan;
        if operators.len() != plan.operators.len() {
            return Err(self.mismatch());
        }
        let number = |id: TensorId| i32::try_from(id).map_err(|_| self.mismatch());
        for moved in &plan.moved {
            let (list, at) = match moved.at {
                Place::Input(at) => (operators.get_mut(at.node).map(|o| &mut o.inputs), at),
                Place::Output(at) => (operators.get_mut(at.node).map(|o| &mut o.outputs), at),
            };
            let id = list
                .and_then(Option::as_mut)
                .and_then(|l| l.get_mut(at.input));
            *id.ok_or_else(|| self.mismatch())? = number(moved.tensor)?;
        }
        for constant in &plan.constants {
            for place in &constant.uses {
                let inputs = operators
                    .get_mut(place.node)
                    .and_then(|o| o.inputs.as_mut());
                let id = inputs.and_then(|inputs| inputs.get_mut(place.input));
                *id.ok_or_else(|| self.mismatch())? = number(constant.tensor)?;
            }
        }
        for i in &plan.intermediates {
            let ids = (i.first..i.first + i.names.len())
                .map(number)
                .collect::<Result<_, _>>()?;
            let operator = operators.get_mut(i.node).ok_or_else(|| self.mismatch())?;
            operator.intermediates = Some(ids);
        }
        let mut all = Vec::with_capacity(operators.len() + plan.conversions.len());
        let end = operators.len();
        let operators = operators.into_iter().map(Some).chain([None]);
        for (i, operator) in operators.enumerate() {
            let last = i == end;
            let here = plan.conversions.iter();
            for c in here.filter(|c| c.before == i || (last && c.before > end)) {
                let wide = [c.from, c.to].iter().any(|&id| self.is_wide(id));
                let (code, version) = match (c.operator, wide) {
                    (ConversionOperator::Dequantize, false) => (BuiltinOperator::Dequantize, 2),
                    (ConversionOperator::Dequantize, true) => (BuiltinOperator::Dequantize, 3),
                    (ConversionOperator::Quantize, false) => (BuiltinOperator::Quantize, 1),
                    (ConversionOperator::Quantize, true) => (BuiltinOperator::Quantize, 2),
                };
                all.push(Operator {
                    opcode_index: codes.builtin(code, version),
                    inputs: Some(vec![number(c.from)?]),
                    outputs: Some(vec![number(c.to)?]),
                    ..Operator::default()
                });
            }
            if let Some(mut operator) = operator {
                operator.opcode_index = codes
                    .renew(operator.opcode_index, plan.operators[i].version)
                    .ok_or_else(|| self.mismatch())?;
                if let Some(scheme) = plan.operators[i].scheme {
                    set_options(&mut operator, scheme);
                }
                all.push(operator);
            }
        }
        Ok(all)
    }
}

/// Settles how an operator's kernel works where its options have a choice.
fn set_options(operator: &mut Operator, scheme: NodeScheme) {
    match (scheme, &mut operator.builtin_options) {
        // A hybrid kernel quantizes its inputs with zero points.
        (NodeScheme::Dynamic, Some(BuiltinOptions::FullyConnectedOptions(o))) => {
            o.asymmetric_quantize_inputs = true;
        }
        (NodeScheme::Dynamic, Some(BuiltinOptions::UnidirectionalSequenceLstmOptions(o))) => {
            o.asymmetric_quantize_inputs = true;
        }
        // Any scale, not powers of two alone.
        (NodeScheme::Int16x8, Some(BuiltinOptions::AddOptions(o))) => o.pot_scale_int16 = false,
        (NodeScheme::Int16x8, Some(BuiltinOptions::SubOptions(o))) => o.pot_scale_int16 = false,
        _ => {}
    }
}

/// The constant's integers; the scale changes every `step` elements.
fn integers(constant: &ConstantPlan, values: &[f32], step: usize) -> Values {
    let scales = &constant.scales;
    let channel = |k: usize| k / step % scales.len();
    match constant.role {
        Role::Weight => {
            let mut inverses: Vec<f32> = scales.iter().map(|s| 1.0 / s).collect();
            let largest = values.iter().fold(0f32, |m, x| m.max(x.abs()));
            if constant.axis.is_none() && scales[0] == (f64::from(largest) / 127.0) as f32 {
                // The converter does not go through the rounded scale here.
                inverses[0] = 127.0 / largest;
            }
            let mut integers = Vec::with_capacity(values.len());
            for (i, part) in values.chunks(step.max(1)).enumerate() {
                let inverse = inverses[i % inverses.len()];
                integers.extend(part.iter().map(|&x| quantize_weight(x, inverse)));
            }
            Values::I8(integers)
        }
        Role::Time => Values::I16(
            values
                .iter()
                .map(|&x| (x * (1.0 / scales[0])).round().clamp(-512.0, 511.0) as i16)
                .collect(),
        ),
        Role::Bias => Values::I32(
            values
                .iter()
                .enumerate()
                .map(|(k, &x)| quantize_bias(x, scales[channel(k)]))
                .collect(),
        ),
        Role::WideBias => Values::I64(
            values
                .iter()
                .enumerate()
                .map(|(k, &x)| (f64::from(x) / f64::from(scales[channel(k)])).round() as i64)
                .collect(),
        ),
        Role::WideOperand => Values::I16(
            values
                .iter()
                .map(|&x| (x * (1.0 / scales[0])).round().clamp(-32767.0, 32767.0) as i16)
                .collect(),
        ),
        Role::Operand => {
            let affine = Affine {
                scale: scales[0],
                zero_point: constant.zero_point,
            };
            let integers = values.iter().map(|&x| quantize(x, affine, -128, 127) as i8);
            Values::I8(integers.collect())
        }
    }
}

fn set_activation(tensor: &mut Tensor, dtype: DType, affine: Affine) {
    set_type(tensor, dtype);
    tensor.quantization = Some(parameters(vec![affine.scale], affine.zero_point, 0));
}

fn set_type(tensor: &mut Tensor, dtype: DType) {
    let code = match dtype {
        DType::I8 => TensorType::Int8,
        DType::U8 => TensorType::Uint8,
        DType::I16 => TensorType::Int16,
        DType::I32 => TensorType::Int32,
        DType::I64 => TensorType::Int64,
        _ => TensorType::Float32,
    };
    tensor.type_ = code as i8;
}

pub(super) fn parameters(
    scales: Vec<f32>,
    zero_point: i32,
    axis: usize,
) -> Box<QuantizationParameters> {
    Box::new(QuantizationParameters {
        zero_point: Some(vec![i64::from(zero_point); scales.len()]),
        scale: Some(scales),
        quantized_dimension: i32::try_from(axis).unwrap_or_default(),
        ..QuantizationParameters::default()
    })
}

/// The model's buffers, and how often each is named.
pub(super) struct Buffers {
    pub list: Vec<Buffer>,
    references: Vec<usize>,
}

impl Buffers {
    pub fn new(model: &mut Model, subgraphs: &[SubGraph]) -> Self {
        let list = model.buffers.take().unwrap_or_default();
        let mut references = vec![0; list.len()];
        let tensors = subgraphs.iter().flat_map(|s| s.tensors.iter().flatten());
        let tensors = tensors.map(|t| t.buffer);
        let metadata = model.metadata.iter().flatten().map(|m| m.buffer);
        let old_metadata = model.metadata_buffer.iter().flatten().map(|&b| b as u32);
        for buffer in tensors.chain(metadata).chain(old_metadata) {
            if let Some(count) = references.get_mut(buffer as usize) {
                *count += 1;
            }
        }
        Buffers { list, references }
    }

    /// Puts `data` where only this one reference to `old` sees it.
    pub fn replace(&mut self, old: u32, data: Vec<u8>) -> u32 {
        let buffer = Buffer {
            data: Some(data),
            ..Buffer::default()
        };
        match self.references.get_mut(old as usize) {
            // Buffer 0 means no data.
            Some(1) if old != 0 => {
                self.list[old as usize] = buffer;
                old
            }
            count => {
                if let Some(count) = count {
                    *count = count.saturating_sub(1);
                }
                if self.list.is_empty() {
                    self.list.push(Buffer::default());
                    self.references.push(0);
                }
                self.list.push(buffer);
                self.references.push(1);
                (self.list.len() - 1) as u32
            }
        }
    }
}

/// The list of operator codes, made anew.
struct Codes {
    old: Vec<OperatorCode>,
    new: Vec<OperatorCode>,
    numbers: HashMap<(i32, Option<String>, i32), u32>,
}

impl Codes {
    fn builtin(&mut self, code: BuiltinOperator, version: i32) -> u32 {
        self.number(code as i32, None, version)
    }

    /// The place of an old code with at least this version.
    fn renew(&mut self, old: u32, version: i32) -> Option<u32> {
        let old = self.old.get(old as usize)?;
        let (code, name) = (builtin_code(old), old.custom_code.clone());
        let version = old.version.max(version);
        Some(self.number(code, name, version))
    }

    fn number(&mut self, code: i32, name: Option<String>, version: i32) -> u32 {
        let new = &mut self.new;
        *self
            .numbers
            .entry((code, name.clone(), version))
            .or_insert_with(|| {
                new.push(OperatorCode {
                    // Codes that the old field cannot hold have 127 there.
                    deprecated_builtin_code: code.clamp(0, 127) as i8,
                    builtin_code: code,
                    custom_code: name,
                    version,
                });
                (new.len() - 1) as u32
            })
    }
}

/// Writes the version into the metadata if it is newer than what stands there; a file that says nothing stays so.
pub(super) fn raise_runtime_version(model: &mut Model, buffers: &mut Buffers, version: &str) {
    let entries = model.metadata.iter_mut().flatten();
    for entry in entries.filter(|m| m.name.as_deref() == Some(MIN_RUNTIME_VERSION)) {
        let old = buffers.list.get(entry.buffer as usize);
        let old = old.and_then(|b| b.data.as_deref()).unwrap_or_default();
        let old = String::from_utf8_lossy(old);
        if parts(old.trim_end_matches('\0')) < parts(version) {
            let mut data = version.as_bytes().to_vec();
            data.resize(data.len().max(16), 0);
            entry.buffer = buffers.replace(entry.buffer, data);
        }
    }
}

fn parts(version: &str) -> Vec<u32> {
    version.split('.').map(|p| p.parse().unwrap_or(0)).collect()
}
