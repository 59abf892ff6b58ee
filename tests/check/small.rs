//! Models of one operator.

use zeropoint::model::{
    Buffer, BuiltinOperator, BuiltinOptions, Model, Operator, OperatorCode, QuantizationParameters,
    SubGraph, Tensor, TensorType,
};

/// A tensor: type, shape, scales, and the bytes of a constant.
#[derive(Clone)]
pub struct T {
    kind: TensorType,
    shape: Vec<i32>,
    signature: Option<Vec<i32>>,
    scales: Vec<f32>,
    data: Vec<u8>,
}

/// An activation; int8 has the scale 1.
pub fn t(kind: TensorType, shape: &[i32]) -> T {
    let quantized = [TensorType::Int8, TensorType::Uint8, TensorType::Int16].contains(&kind);
    T {
        kind,
        shape: shape.to_vec(),
        signature: None,
        scales: if quantized { vec![1.0] } else { Vec::new() },
        data: Vec::new(),
    }
}

/// An int8 activation.
pub fn i8s(shape: &[i32]) -> T {
    t(TensorType::Int8, shape)
}

/// A constant of int32.
pub fn int32(values: &[i32]) -> T {
    T {
        data: values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        ..t(TensorType::Int32, &[values.len() as i32])
    }
}

impl T {
    /// With a value: so many bytes.
    pub fn constant(mut self, byte: u8) -> T {
        let elements: i32 = self.shape.iter().product();
        self.data = vec![byte; elements.max(1) as usize];
        self
    }

    /// With other scales.
    pub fn scales(mut self, scales: &[f32]) -> T {
        self.scales = scales.to_vec();
        self
    }

    /// With a shape that is open.
    pub fn open(mut self, signature: &[i32]) -> T {
        self.signature = Some(signature.to_vec());
        self
    }
}

/// A model of one operator; the activations among its inputs are the model's.
pub fn one(
    code: BuiltinOperator,
    version: i32,
    options: Option<BuiltinOptions>,
    inputs: &[T],
    output: T,
) -> Model {
    let mut buffers = vec![Buffer::default()];
    let mut tensors = Vec::new();
    for (i, t) in inputs.iter().chain([&output]).enumerate() {
        let buffer = if t.data.is_empty() {
            0
        } else {
            buffers.len() as u32
        };
        if buffer > 0 {
            buffers.push(Buffer {
                data: Some(t.data.clone()),
                ..Buffer::default()
            });
        }
        let quantization = QuantizationParameters {
            zero_point: Some(vec![0; t.scales.len()]),
            scale: Some(t.scales.clone()),
            ..QuantizationParameters::default()
        };
        tensors.push(Tensor {
            name: Some(format!("t{i}")),
            type_: t.kind as i8,
            shape: Some(t.shape.clone()),
            shape_signature: t.signature.clone(),
            buffer,
            quantization: (!t.scales.is_empty()).then(|| Box::new(quantization)),
            ..Tensor::default()
        });
    }
    let ids: Vec<i32> = (0..inputs.len() as i32).collect();
    let result = vec![inputs.len() as i32];
    let fed = ids
        .iter()
        .copied()
        .filter(|&id| tensors[id as usize].buffer == 0);
    Model {
        version: 3,
        operator_codes: Some(vec![OperatorCode {
            deprecated_builtin_code: (code as i32).min(127) as i8,
            builtin_code: code as i32,
            version,
            ..OperatorCode::default()
        }]),
        buffers: Some(buffers),
        subgraphs: Some(vec![SubGraph {
            inputs: Some(fed.collect()),
            outputs: Some(result.clone()),
            operators: Some(vec![Operator {
                inputs: Some(ids),
                outputs: Some(result),
                builtin_options: options,
                ..Operator::default()
            }]),
            tensors: Some(tensors),
            ..SubGraph::default()
        }]),
        ..Model::default()
    }
}

/// The same with a custom operator of this name.
pub fn custom(name: &str) -> Model {
    let mut model = one(
        BuiltinOperator::Custom,
        1,
        None,
        &[i8s(&[1, 4])],
        i8s(&[1, 4]),
    );
    model.operator_codes.as_mut().unwrap()[0].custom_code = Some(name.into());
    model
}
