//! A small model, built in Rust, with the parts of the schema that ordinary models leave out.

use zeropoint::model::*;

/// Two subgraphs, a signature, metadata, custom and StableHLO options, sparsity, per-axis quantization, state.
pub fn sample() -> Model {
    Model {
        version: 3,
        operator_codes: Some(vec![
            code(BuiltinOperator::DepthwiseConv2d, None),
            code(BuiltinOperator::Custom, Some("Convolution2DTransposeBias")),
            code(BuiltinOperator::StablehloGather, None),
        ]),
        subgraphs: Some(vec![main_graph(), SubGraph::default()]),
        description: Some("sample – späte Prüfung".to_owned()),
        buffers: Some(vec![
            Buffer::default(),
            data((0..=255).cycle().take(1001).collect()),
            data(Vec::new()),
            data(vec![7]),
            // Equal to the one before: each buffer keeps data of its own.
            data(vec![7]),
            data(vec![1; 16]),
        ]),
        metadata_buffer: Some(vec![5, -1]),
        metadata: Some(vec![Metadata {
            name: Some("min_runtime_version".to_owned()),
            buffer: 5,
        }]),
        signature_defs: Some(vec![SignatureDef {
            inputs: Some(vec![map("x", 0)]),
            outputs: Some(vec![map("y", 1), map("z", 2)]),
            signature_key: Some("serving_default".to_owned()),
            subgraph_index: 1,
        }]),
        external_buffer_groups: Some(vec![ExternalBufferGroup {
            name: Some("weights.bin".to_owned()),
        }]),
        external_buffers: Some(vec![ExternalBuffer {
            id: 1,
            group: 0,
            offset: 1 << 40,
            length: 12,
            packing: None,
        }]),
    }
}

fn code(operator: BuiltinOperator, custom: Option<&str>) -> OperatorCode {
    OperatorCode {
        deprecated_builtin_code: (operator as i32).min(127) as i8,
        builtin_code: operator as i32,
        custom_code: custom.map(str::to_owned),
        version: 4,
    }
}

fn data(data: Vec<u8>) -> Buffer {
    Buffer {
        data: Some(data),
        ..Buffer::default()
    }
}

fn map(name: &str, tensor_index: u32) -> TensorMap {
    TensorMap {
        name: Some(name.to_owned()),
        tensor_index,
    }
}

fn main_graph() -> SubGraph {
    SubGraph {
        tensors: Some(vec![per_axis(), sparse(), state(), Tensor::default()]),
        inputs: Some(vec![0]),
        outputs: Some(vec![]),
        operators: Some(vec![depthwise(), custom(), gather(), Operator::default()]),
        name: Some(String::new()),
        debug_metadata_index: 3,
    }
}

fn per_axis() -> Tensor {
    Tensor {
        shape: Some(vec![1, 7, 11, 13]),
        // Newer than the schema.
        type_: 99,
        buffer: 1,
        name: Some("weights".to_owned()),
        quantization: Some(Box::new(QuantizationParameters {
            min: None,
            max: Some(vec![]),
            scale: Some(vec![0.5, f32::MIN_POSITIVE, f32::INFINITY]),
            zero_point: Some(vec![0, i64::MIN, -128]),
            details: Some(QuantizationDetails::CustomQuantization(Box::new(
                CustomQuantization {
                    custom: Some(vec![1, 2, 3]),
                },
            ))),
            quantized_dimension: 3,
        })),
        shape_signature: Some(vec![-1, 7, 11, 13]),
        ..Tensor::default()
    }
}

fn sparse() -> Tensor {
    let segments = Uint16Vector {
        values: Some(vec![0, 2, 65535]),
    };
    let indices = Uint8Vector {
        values: Some(vec![0, 1, 255]),
    };
    Tensor {
        type_: TensorType::Int8 as i8,
        buffer: 3,
        sparsity: Some(Box::new(SparsityParameters {
            traversal_order: Some(vec![0, 1]),
            block_map: Some(vec![]),
            dim_metadata: Some(vec![
                DimensionMetadata::default(),
                DimensionMetadata {
                    format: DimensionType::SparseCsr as i8,
                    dense_size: 0,
                    array_segments: Some(SparseIndexVector::Uint16Vector(Box::new(segments))),
                    array_indices: Some(SparseIndexVector::Uint8Vector(Box::new(indices))),
                },
            ]),
        })),
        ..Tensor::default()
    }
}

fn state() -> Tensor {
    Tensor {
        shape: Some(vec![]),
        is_variable: true,
        has_rank: true,
        variant_tensors: Some(vec![VariantSubType {
            shape: Some(vec![4]),
            type_: TensorType::Int16 as i8,
            has_rank: true,
        }]),
        ..Tensor::default()
    }
}

fn depthwise() -> Operator {
    Operator {
        inputs: Some(vec![0, 1, -1]),
        outputs: Some(vec![2]),
        builtin_options: Some(BuiltinOptions::DepthwiseConv2DOptions(Box::new(
            DepthwiseConv2DOptions {
                padding: Padding::Valid as i8,
                stride_w: 2,
                stride_h: 3,
                depth_multiplier: 4,
                fused_activation_function: ActivationFunctionType::Relu6 as i8,
                dilation_w_factor: 1,
                dilation_h_factor: 5,
            },
        ))),
        mutating_variable_inputs: Some(vec![false, true, false]),
        intermediates: Some(vec![1, 2, 3, 4, 5]),
        ..Operator::default()
    }
}

fn custom() -> Operator {
    Operator {
        opcode_index: 1,
        custom_options: Some(vec![0, 1, 2, 254, 255]),
        debug_metadata_index: 12,
        ..Operator::default()
    }
}

fn gather() -> Operator {
    Operator {
        opcode_index: 2,
        builtin_options2: Some(BuiltinOptions2::StablehloGatherOptions(Box::new(
            StablehloGatherOptions {
                offset_dims: Some(vec![1, i64::MAX]),
                collapsed_slice_dims: Some(vec![]),
                start_index_map: None,
                index_vector_dim: -1,
                slice_sizes: Some(vec![1, 1]),
                indices_are_sorted: true,
            },
        ))),
        ..Operator::default()
    }
}
