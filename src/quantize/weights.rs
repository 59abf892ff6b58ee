//! Schemes that change constants alone and need no data: a constant is stored in fewer bytes, and a DEQUANTIZE at the
//! start of the model makes floats of it. Every operator computes in float as before.
//!
//! - [`float16`]: every float32 constant that float16 can hold.
//! - [`weight_only`]: weights as symmetric int8, with a scale for each output channel where an operator has those.
//!
//! Tensors keep their numbers: what was a constant is written by its DEQUANTIZE. All subgraphs are changed. A constant
//! that is float16 already, behind a DEQUANTIZE, becomes int8 where it is.

use super::apply::{Buffers, parameters, raise_runtime_version};
use super::rule::LEAST_WEIGHTS;
use crate::model::{
    Buffer, BuiltinOperator, Model, Operator, OperatorCode, QuantizationParameters, SubGraph,
    Tensor, TensorType, builtin_code,
};
use crate::num::affine::{quantize_weight, symmetric_8bit};
use std::collections::{HashMap, HashSet};

/// Elements from which on float16 makes a file smaller: a tensor and its DEQUANTIZE take 116 to 208 bytes in the example,
/// the difference being the length of the name.
const LEAST_HALVES: usize = 80;
/// The oldest TensorFlow Lite with the DEQUANTIZE of each scheme (LiteRT's `tools/versioning/runtime_version.cc`).
const RUNTIME_OF_HALVES: &str = "1.15.0";
const RUNTIME_OF_WEIGHTS: &str = "2.7.0";

/// What becomes of a constant.
struct Packed {
    type_: TensorType,
    data: Vec<u8>,
    quantization: Option<Box<QuantizationParameters>>,
}

/// The model with its constants as float16 and how many there are. Those that reach beyond float16 stay as they are.
pub fn float16(model: &Model) -> (Model, usize) {
    let pack = |_: &Reading, _: &Tensor, values: &[f32]| {
        let halves: Vec<half::f16> = values.iter().map(|&x| half::f16::from_f32(x)).collect();
        let fits = values
            .iter()
            .zip(&halves)
            .all(|(x, h)| h.is_finite() || !x.is_finite());
        (values.len() >= LEAST_HALVES && fits).then(|| Packed {
            type_: TensorType::Float16,
            data: bytemuck::cast_slice(&halves).to_vec(),
            quantization: None,
        })
    };
    pack_all(model, 3, RUNTIME_OF_HALVES, pack)
}

/// The model with its weights as int8 and how many there are.
pub fn weight_only(model: &Model) -> (Model, usize) {
    let pack = |reading: &Reading, tensor: &Tensor, values: &[f32]| {
        let axis = match *reading {
            Reading::Other => return None,
            Reading::Weights(axis) => axis,
        };
        if values.len() < LEAST_WEIGHTS || values.iter().any(|x| !x.is_finite()) {
            return None;
        }
        let dims: Vec<usize> = tensor.shape.iter().flatten().map(|&d| d as usize).collect();
        let channels = axis.map_or(1, |axis| dims[axis]);
        let step: usize = axis.map_or(values.len(), |axis| dims[axis + 1..].iter().product());
        let mut largest = vec![0f32; channels];
        for (k, x) in values.iter().enumerate() {
            let slot = &mut largest[k / step % channels];
            *slot = slot.max(x.abs());
        }
        let scales: Vec<f32> = largest.into_iter().map(symmetric_8bit).collect();
        let quantized = values.iter().enumerate();
        let quantized =
            quantized.map(|(k, &x)| quantize_weight(x, 1.0 / scales[k / step % channels]) as u8);
        Some(Packed {
            type_: TensorType::Int8,
            data: quantized.collect(),
            quantization: Some(parameters(scales, 0, axis.unwrap_or(0))),
        })
    };
    // Version 5 takes a scale for each channel.
    pack_all(model, 5, RUNTIME_OF_WEIGHTS, pack)
}

/// How a constant is read.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    /// As weights, with output channels along an axis.
    Weights(Option<usize>),
    /// In another way.
    Other,
}

fn reading(op: i32, place: usize, rank: usize) -> Reading {
    let is = |other: BuiltinOperator| op == other as i32;
    let along = |axis: usize| Reading::Weights((axis < rank).then_some(axis));
    match place {
        1 if is(BuiltinOperator::DepthwiseConv2d) => along(3),
        1 if is(BuiltinOperator::Conv2d)
            || is(BuiltinOperator::TransposeConv)
            || is(BuiltinOperator::FullyConnected)
            || is(BuiltinOperator::EmbeddingLookup) =>
        {
            along(0)
        }
        0 if is(BuiltinOperator::Gather) => Reading::Weights(None),
        0 | 1 if is(BuiltinOperator::BatchMatmul) => Reading::Weights(None),
        1..=8 if is(BuiltinOperator::UnidirectionalSequenceLstm) => Reading::Weights(None),
        1 | 2 if is(BuiltinOperator::UnidirectionalSequenceRnn) => Reading::Weights(None),
        1 if is(BuiltinOperator::Svdf) => Reading::Weights(None),
        _ => Reading::Other,
    }
}

fn pack_all(
    model: &Model,
    version: i32,
    runtime: &str,
    pack: impl Fn(&Reading, &Tensor, &[f32]) -> Option<Packed>,
) -> (Model, usize) {
    let mut result = model.clone();
    let mut subgraphs = result.subgraphs.take().unwrap_or_default();
    let mut buffers = Buffers::new(&mut result, &subgraphs);
    let codes = result.operator_codes.get_or_insert_default();
    let builtin: Vec<i32> = codes.iter().map(builtin_code).collect();
    let dequantize = codes.len() as u32;
    let mut changed = 0;
    for subgraph in &mut subgraphs {
        let readings = readings(subgraph, &builtin);
        let tensors = subgraph.tensors.get_or_insert_default();
        let mut operators = Vec::new();
        let mut stored = HashSet::new();
        for operator in subgraph.operators.iter_mut().flatten() {
            let is_dequantize = builtin.get(operator.opcode_index as usize)
                == Some(&(BuiltinOperator::Dequantize as i32));
            let (Some(&[from]), Some(&[to])) =
                (operator.inputs.as_deref(), operator.outputs.as_deref())
            else {
                continue;
            };
            let tensor = usize::try_from(from)
                .ok()
                .and_then(|id| tensors.get_mut(id));
            let (true, Some(tensor), Some(reading)) = (is_dequantize, tensor, readings.get(&to))
            else {
                continue;
            };
            if stored.contains(&from) {
                operator.opcode_index = dequantize;
                continue;
            }
            let packed = halves(tensor, &buffers.list).and_then(|v| pack(reading, tensor, &v));
            if let Some(packed) = packed.filter(|p| p.type_ != TensorType::Float16) {
                store(tensor, packed, &mut buffers);
                operator.opcode_index = dequantize;
                stored.insert(from);
                changed += 1;
            }
        }
        for id in 0..tensors.len() {
            let Some(reading) = readings.get(&(id as i32)) else {
                continue;
            };
            let Some(values) = floats(&tensors[id], &buffers.list) else {
                continue;
            };
            let Some(packed) = pack(reading, &tensors[id], &values) else {
                continue;
            };
            let mut constant = tensors[id].clone();
            store(&mut constant, packed, &mut buffers);
            tensors[id].buffer = 0;
            operators.push(Operator {
                opcode_index: dequantize,
                inputs: Some(vec![tensors.len() as i32]),
                outputs: Some(vec![id as i32]),
                ..Operator::default()
            });
            tensors.push(constant);
        }
        changed += operators.len();
        operators.extend(subgraph.operators.take().unwrap_or_default());
        subgraph.operators = Some(operators);
    }
    if changed > 0 {
        codes_of(&mut result).push(OperatorCode {
            deprecated_builtin_code: BuiltinOperator::Dequantize as i8,
            builtin_code: BuiltinOperator::Dequantize as i32,
            version,
            ..OperatorCode::default()
        });
        raise_runtime_version(&mut result, &mut buffers, runtime);
    }
    result.buffers = Some(buffers.list);
    result.subgraphs = Some(subgraphs);
    (result, changed)
}

/// Makes a tensor the packed constant.
fn store(tensor: &mut Tensor, packed: Packed, buffers: &mut Buffers) {
    let kind = format!("{:?}", packed.type_).to_lowercase();
    tensor.name = tensor.name.take().map(|name| format!("{name}_{kind}"));
    tensor.type_ = packed.type_ as i8;
    tensor.buffer = buffers.replace(tensor.buffer, packed.data);
    tensor.quantization = packed.quantization;
}

fn codes_of(model: &mut Model) -> &mut Vec<OperatorCode> {
    model.operator_codes.get_or_insert_default()
}

/// How each tensor that operators read is read; differing readers leave one scale, or none.
fn readings(subgraph: &SubGraph, builtin: &[i32]) -> HashMap<i32, Reading> {
    let tensors = subgraph.tensors.as_deref().unwrap_or_default();
    let mut all: HashMap<i32, Reading> = HashMap::new();
    for operator in subgraph.operators.iter().flatten() {
        let op = builtin.get(operator.opcode_index as usize).copied();
        for (place, &id) in operator.inputs.iter().flatten().enumerate() {
            let tensor = usize::try_from(id).ok().and_then(|id| tensors.get(id));
            let rank = tensor.and_then(|t| t.shape.as_ref()).map_or(0, Vec::len);
            let new = reading(op.unwrap_or(-1), place, rank);
            all.entry(id)
                .and_modify(|old| {
                    *old = match (*old, new) {
                        (a, b) if a == b => a,
                        (Reading::Weights(_), Reading::Weights(_)) => Reading::Weights(None),
                        _ => Reading::Other,
                    };
                })
                .or_insert(new);
        }
    }
    all
}

/// The values of a dense float32 constant.
fn floats(tensor: &Tensor, buffers: &[Buffer]) -> Option<Vec<f32>> {
    let data = dense(tensor, TensorType::Float32, 4, buffers)?;
    Some(bytemuck::pod_collect_to_vec(data))
}

/// The values of a dense float16 constant.
fn halves(tensor: &Tensor, buffers: &[Buffer]) -> Option<Vec<f32>> {
    let data = dense(tensor, TensorType::Float16, 2, buffers)?;
    let bits: Vec<half::f16> = bytemuck::pod_collect_to_vec(data);
    Some(bits.into_iter().map(half::f16::to_f32).collect())
}

/// The bytes of a dense constant of a type.
fn dense<'a>(
    tensor: &Tensor,
    type_: TensorType,
    size: usize,
    buffers: &'a [Buffer],
) -> Option<&'a [u8]> {
    let dims = tensor.shape.as_deref().unwrap_or_default();
    let elements = dims
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?))?;
    let data = buffers.get(tensor.buffer as usize)?.data.as_deref()?;
    let dense = tensor.type_ == type_ as i8
        && !tensor.is_variable
        && tensor.sparsity.is_none()
        && elements > 0
        && Some(data.len()) == elements.checked_mul(size);
    dense.then_some(data)
}
