//! A small model with every operator that a float model can have, and its int8 form, which has the other two.

use zeropoint::graph;
use zeropoint::model::{
    ActivationFunctionType, AddOptions, Buffer, BuiltinOperator as B, BuiltinOptions as O,
    Conv2DOptions, DepthwiseConv2DOptions, FullyConnectedOptions, Metadata, Model, Operator,
    OperatorCode, Padding, ReducerOptions, SignatureDef, SoftmaxOptions, StridedSliceOptions,
    SubGraph, Tensor, TensorMap, TensorType, UnidirectionalSequenceLstmOptions,
};
use zeropoint::num::Range;
use zeropoint::quantize::{self, Io};

/// Ranges as a calibration could have found them.
pub fn ranges(tensors: usize) -> Vec<Option<Range>> {
    let range = |i: usize| Range {
        min: -1.0 - (i % 5) as f32,
        max: 2.0 + (i % 3) as f32,
    };
    (0..tensors).map(|i| Some(range(i))).collect()
}

/// The int8 form of a float model.
pub fn int8(model: &Model, io: Io) -> Model {
    let graph = graph::load(model, "float").unwrap();
    let plan = quantize::plan(&graph, &ranges(graph.tensors.len()), io).unwrap();
    quantize::apply(model, &graph, &plan).unwrap()
}

#[derive(Default)]
struct Builder {
    tensors: Vec<Tensor>,
    buffers: Vec<Buffer>,
    operators: Vec<Operator>,
    codes: Vec<OperatorCode>,
}

impl Builder {
    fn tensor(&mut self, shape: &[i32]) -> i32 {
        let id = self.tensors.len();
        self.tensors.push(Tensor {
            name: Some(format!("t{id}")),
            shape: Some(shape.to_vec()),
            has_rank: true,
            ..Tensor::default()
        });
        id as i32
    }

    fn data(&mut self, shape: &[i32], type_: TensorType, data: Vec<u8>) -> i32 {
        let id = self.tensor(shape);
        self.buffers.push(Buffer {
            data: Some(data),
            ..Buffer::default()
        });
        let tensor = &mut self.tensors[id as usize];
        tensor.buffer = self.buffers.len() as u32 - 1;
        tensor.type_ = type_ as i8;
        id
    }

    /// A constant of small numbers of both signs.
    fn weights(&mut self, shape: &[i32]) -> i32 {
        let n: i32 = shape.iter().product();
        let values = (0..n).map(|i| ((i * 37) % 19 - 9) as f32 * 0.05);
        let data = values.flat_map(f32::to_le_bytes).collect();
        self.data(shape, TensorType::Float32, data)
    }

    fn integers(&mut self, values: &[i32]) -> i32 {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.data(&[values.len() as i32], TensorType::Int32, data)
    }

    fn state(&mut self, shape: &[i32]) -> i32 {
        let id = self.tensor(shape);
        self.tensors[id as usize].is_variable = true;
        id
    }

    /// Adds an operator with an output of this shape and returns the output.
    fn operator(&mut self, code: B, inputs: &[i32], shape: &[i32], options: Option<O>) -> i32 {
        let output = self.tensor(shape);
        self.codes.push(OperatorCode {
            deprecated_builtin_code: code as i8,
            builtin_code: code as i32,
            version: 1,
            ..OperatorCode::default()
        });
        self.operators.push(Operator {
            opcode_index: self.codes.len() as u32 - 1,
            inputs: Some(inputs.to_vec()),
            outputs: Some(vec![output]),
            builtin_options: options,
            ..Operator::default()
        });
        output
    }
}

/// Image → CONV_2D → DEPTHWISE_CONV_2D → ADD → RESHAPE → LSTM → STRIDED_SLICE → FULLY_CONNECTED → SOFTMAX, and MEAN
/// of the sum as a second output.
pub fn all_operators() -> Model {
    let mut b = Builder {
        buffers: vec![Buffer::default()],
        ..Builder::default()
    };
    let x = b.tensor(&[1, 8, 6, 4]);
    let (filter, bias) = (b.weights(&[6, 3, 3, 4]), b.weights(&[6]));
    let options = O::Conv2DOptions(Box::new(Conv2DOptions {
        padding: Padding::Same as i8,
        stride_h: 1,
        stride_w: 1,
        fused_activation_function: ActivationFunctionType::Relu6 as i8,
        dilation_h_factor: 1,
        dilation_w_factor: 1,
        ..Conv2DOptions::default()
    }));
    let conv = b.operator(B::Conv2d, &[x, filter, bias], &[1, 8, 6, 6], Some(options));
    let (filter, bias) = (b.weights(&[1, 2, 2, 6]), b.weights(&[6]));
    let options = O::DepthwiseConv2DOptions(Box::new(DepthwiseConv2DOptions {
        padding: Padding::Valid as i8,
        stride_h: 2,
        stride_w: 2,
        depth_multiplier: 1,
        dilation_h_factor: 1,
        dilation_w_factor: 1,
        ..DepthwiseConv2DOptions::default()
    }));
    let depthwise = b.operator(
        B::DepthwiseConv2d,
        &[conv, filter, bias],
        &[1, 4, 3, 6],
        Some(options),
    );
    let constant = b.weights(&[6]);
    let options = O::AddOptions(Box::<AddOptions>::default());
    let sum = b.operator(B::Add, &[depthwise, constant], &[1, 4, 3, 6], Some(options));
    let axes = b.integers(&[1, 2]);
    let options = O::ReducerOptions(Box::<ReducerOptions>::default());
    let mean = b.operator(B::Mean, &[sum, axes], &[1, 6], Some(options));
    let shape = b.integers(&[1, 12, 6]);
    let sequence = b.operator(B::Reshape, &[sum, shape], &[1, 12, 6], None);
    let mut inputs = vec![-1; 24];
    inputs[0] = sequence;
    for gate in 0..4 {
        inputs[1 + gate] = b.weights(&[5, 6]);
        inputs[5 + gate] = b.weights(&[5, 5]);
        inputs[12 + gate] = b.weights(&[5]);
    }
    inputs[18] = b.state(&[1, 5]);
    inputs[19] = b.state(&[1, 5]);
    let options =
        O::UnidirectionalSequenceLstmOptions(Box::new(UnidirectionalSequenceLstmOptions {
            fused_activation_function: ActivationFunctionType::Tanh as i8,
            cell_clip: 10.0,
            ..UnidirectionalSequenceLstmOptions::default()
        }));
    let lstm = b.operator(
        B::UnidirectionalSequenceLstm,
        &inputs,
        &[1, 12, 5],
        Some(options),
    );
    let bounds = [[0, -1, 0], [0, 0, 0], [1, 1, 1]].map(|v| b.integers(&v));
    let options = O::StridedSliceOptions(Box::new(StridedSliceOptions {
        begin_mask: 5,
        end_mask: 5,
        shrink_axis_mask: 2,
        ..StridedSliceOptions::default()
    }));
    let [begin, end, strides] = bounds;
    let last = b.operator(
        B::StridedSlice,
        &[lstm, begin, end, strides],
        &[1, 5],
        Some(options),
    );
    let (weights, bias) = (b.weights(&[3, 5]), b.weights(&[3]));
    let options = O::FullyConnectedOptions(Box::<FullyConnectedOptions>::default());
    let logits = b.operator(
        B::FullyConnected,
        &[last, weights, bias],
        &[1, 3],
        Some(options),
    );
    let options = O::SoftmaxOptions(Box::new(SoftmaxOptions { beta: 1.0 }));
    let scores = b.operator(B::Softmax, &[logits], &[1, 3], Some(options));
    b.buffers.push(Buffer {
        data: Some(b"1.5.0\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
        ..Buffer::default()
    });
    let map = |name: &str, id: i32| TensorMap {
        name: Some(name.into()),
        tensor_index: id as u32,
    };
    Model {
        version: 3,
        operator_codes: Some(b.codes),
        metadata: Some(vec![Metadata {
            name: Some("min_runtime_version".into()),
            buffer: b.buffers.len() as u32 - 1,
        }]),
        buffers: Some(b.buffers),
        signature_defs: Some(vec![SignatureDef {
            inputs: Some(vec![map("x", x)]),
            outputs: Some(vec![map("scores", scores), map("mean", mean)]),
            signature_key: Some("serving_default".into()),
            subgraph_index: 0,
        }]),
        subgraphs: Some(vec![SubGraph {
            tensors: Some(b.tensors),
            operators: Some(b.operators),
            inputs: Some(vec![x]),
            outputs: Some(vec![scores, mean]),
            ..SubGraph::default()
        }]),
        ..Model::default()
    }
}
