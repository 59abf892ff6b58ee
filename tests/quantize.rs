//! Quantization of models of a few operators: what is shared, read twice, passed on or refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use zeropoint::graph::{self, Graph};
use zeropoint::kernel;
use zeropoint::model::{
    AddOptions, Buffer, BuiltinOperator as B, BuiltinOptions as O, FullyConnectedOptions, Metadata,
    Model, Operator, OperatorCode, SubGraph, Tensor, TensorType,
};
use zeropoint::num::{Affine, DType, Range, Values};
use zeropoint::quantize::{self, Error, FloatReason, Io, Plan, Role, Why};

const RANGE: Option<Range> = Some(Range {
    min: -2.0,
    max: 2.0,
});

/// A model of float tensors under construction.
struct Tiny {
    tensors: Vec<Tensor>,
    buffers: Vec<Buffer>,
    operators: Vec<Operator>,
}

impl Tiny {
    fn new() -> Self {
        Tiny {
            tensors: Vec::new(),
            buffers: vec![Buffer::default()],
            operators: Vec::new(),
        }
    }

    fn tensor(&mut self, name: &str, shape: &[i32]) -> i32 {
        self.tensors.push(Tensor {
            name: Some(name.into()),
            shape: Some(shape.to_vec()),
            has_rank: true,
            ..Tensor::default()
        });
        self.tensors.len() as i32 - 1
    }

    fn constant(&mut self, name: &str, shape: &[i32], values: &[f32]) -> i32 {
        let data = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.buffers.push(Buffer {
            data: Some(data),
            ..Buffer::default()
        });
        let id = self.tensor(name, shape);
        self.tensors[id as usize].buffer = self.buffers.len() as u32 - 1;
        id
    }

    fn operator(&mut self, code: u32, inputs: &[i32], output: i32, options: Option<O>) {
        self.operators.push(Operator {
            opcode_index: code,
            inputs: Some(inputs.to_vec()),
            outputs: Some(vec![output]),
            builtin_options: options,
            ..Operator::default()
        });
    }

    fn add(&mut self, a: i32, b: i32, output: i32) {
        let options = Some(O::AddOptions(Box::<AddOptions>::default()));
        self.operator(0, &[a, b], output, options);
    }

    fn dense(&mut self, input: i32, weights: i32, bias: i32, output: i32) {
        let options = Box::new(FullyConnectedOptions::default());
        let options = Some(O::FullyConnectedOptions(options));
        self.operator(1, &[input, weights, bias], output, options);
    }

    fn reshape(&mut self, input: i32, output: i32) {
        self.operator(2, &[input], output, None);
    }

    fn model(self, inputs: &[i32], outputs: &[i32]) -> Model {
        let code = |code: B, version: i32| OperatorCode {
            deprecated_builtin_code: code as i8,
            version,
            ..OperatorCode::default()
        };
        Model {
            version: 3,
            operator_codes: Some(vec![
                code(B::Add, 1),
                // A version above that of int8, as for `keep_num_dims`.
                code(B::FullyConnected, 5),
                code(B::Reshape, 1),
            ]),
            buffers: Some(self.buffers),
            subgraphs: Some(vec![SubGraph {
                tensors: Some(self.tensors),
                operators: Some(self.operators),
                inputs: Some(inputs.to_vec()),
                outputs: Some(outputs.to_vec()),
                ..SubGraph::default()
            }]),
            ..Model::default()
        }
    }
}

/// Quantizes with the same range for all, checks that the result can be prepared, and returns all there is.
fn quantize(model: &Model, io: Io) -> (Plan, Model, Graph) {
    let float = graph::load(model, "float").unwrap();
    let plan = quantize::plan(&float, &vec![RANGE; float.tensors.len()], io).unwrap();
    let quantized = quantize::apply(model, &float, &plan).unwrap();
    let bytes = zeropoint::model::to_bytes(&quantized).unwrap();
    let quantized = zeropoint::model::parse(&bytes).unwrap();
    let graph = graph::load(&quantized, "quantized").unwrap();
    kernel::prepare(graph.clone()).unwrap();
    for node in &graph.nodes {
        for &id in node.inputs.iter().flatten() {
            let surface = graph.inputs.contains(&id);
            assert!(surface || graph.tensors[id].dtype != DType::F32);
        }
    }
    (plan, quantized, graph)
}

fn names(graph: &Graph) -> Vec<&str> {
    graph.nodes.iter().map(|n| n.op.name()).collect()
}

#[test]
fn a_constant_with_two_uses_gets_two_forms() {
    let mut t = Tiny::new();
    let (x, y, z) = (
        t.tensor("x", &[2, 2]),
        t.tensor("y", &[2, 2]),
        t.tensor("z", &[2, 2]),
    );
    let c = t.constant("c", &[2, 2], &[0.5, 1.0, 3.0, 4.0]);
    let b = t.constant("b", &[2], &[0.25, -0.25]);
    t.add(x, c, y);
    t.dense(y, c, b, z);
    let model = t.model(&[x], &[z]);
    let (plan, quantized, graph) = quantize(&model, Io::Int8);

    let forms: Vec<_> = plan.constants.iter().filter(|p| p.source == 3).collect();
    assert_eq!(forms.len(), 2);
    assert_eq!((forms[0].role, forms[0].tensor), (Role::Operand, 3));
    assert_eq!((forms[1].role, forms[1].tensor), (Role::Weight, 5));
    assert_eq!((forms[1].name.as_str(), forms[1].axis), ("c1", Some(0)));
    // As an operand from 0 to 4, as weights a scale for each row.
    let operand = Affine {
        scale: 4.0 / 255.0,
        zero_point: -128,
    };
    assert_eq!(graph.tensors[3].affine(), Some(operand));
    let value = |id: usize| graph.tensors[id].constant.clone().unwrap();
    assert_eq!(value(3), Values::I8(vec![-96, -64, 63, 127]));
    assert_eq!(value(5), Values::I8(vec![64, 127, 95, 127]));
    assert_eq!(graph.nodes[0].inputs[1], Some(3));
    assert_eq!(graph.nodes[1].inputs[1], Some(5));
    let float_bytes = quantized
        .buffers
        .unwrap()
        .iter()
        .any(|b| b.data.as_ref().is_some_and(|d| d.len() == 16));
    assert!(!float_bytes, "the float values are still in the file");
}

#[test]
fn a_bias_shared_by_two_layers_has_a_scale_for_each() {
    let mut t = Tiny::new();
    let ids = ["x", "y", "z"].map(|n| t.tensor(n, &[1, 2]));
    let [x, y, z] = ids;
    let b = t.constant("b", &[2], &[1.0, -1.0]);
    let v = t.constant("v", &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    let w = t.constant("w", &[2, 2], &[2.0, 0.0, 0.0, 2.0]);
    t.dense(x, v, b, y);
    t.dense(y, w, b, z);
    let (plan, _, graph) = quantize(&t.model(&[x], &[z]), Io::Int8);
    let bias = |node: usize| &graph.tensors[graph.nodes[node].inputs[2].unwrap()];
    let scale = |node: usize| bias(node).quantization.clone().unwrap().scales[0];
    let input = plan.activation(0).unwrap().affine.scale;
    assert_eq!(scale(0), input * (1.0f32 / 127.0));
    assert_eq!(scale(1), input * (2.0f32 / 127.0));
    assert_ne!(bias(0).constant, bias(1).constant);
}

#[test]
fn tensors_that_share_a_buffer_part() {
    let mut t = Tiny::new();
    let ids = ["x", "y", "z"].map(|n| t.tensor(n, &[1, 2]));
    let [x, y, z] = ids;
    let a = t.constant("a", &[1, 2], &[1.0, 2.0]);
    let b = t.tensor("b", &[2]);
    t.tensors[b as usize].buffer = t.tensors[a as usize].buffer;
    let w = t.constant("w", &[2, 2], &[1.0, 0.0, 0.0, 1.0]);
    t.add(x, a, y);
    t.dense(y, w, b, z);
    let (_, _, graph) = quantize(&t.model(&[x], &[z]), Io::Int8);
    assert_eq!(graph.tensors[3].dtype, DType::I8);
    assert_eq!(graph.tensors[4].dtype, DType::I32);
}

#[test]
fn reshapes_pass_parameters_on() {
    let mut t = Tiny::new();
    let x = t.tensor("x", &[1, 4]);
    let y = t.tensor("y", &[2, 2]);
    let z = t.tensor("z", &[4]);
    t.reshape(x, y);
    t.reshape(y, z);
    let model = t.model(&[x], &[z]);
    let float = graph::load(&model, "float").unwrap();
    // Only the input needs a range.
    let plan = quantize::plan(&float, &[RANGE, None, None], Io::Float).unwrap();
    assert_eq!(plan.activation(2).unwrap().why, Why::Inherited(1));
    assert_eq!(
        plan.activation(2).unwrap().affine,
        plan.activation(0).unwrap().affine
    );
    let (_, _, graph) = quantize(&model, Io::Float);
    assert_eq!(
        names(&graph),
        ["QUANTIZE", "RESHAPE", "RESHAPE", "DEQUANTIZE"]
    );
    assert_eq!(graph.tensors[0].dtype, DType::F32);
    assert_eq!(graph.tensors[2].dtype, DType::F32);
    assert_eq!(graph.tensors[3].name, "tfl.quantize");
    assert_eq!(graph.tensors[4].name, "z1");
    assert_eq!((graph.inputs, graph.outputs), (vec![0], vec![2]));
}

/// Two inputs, one of them an output too; an output that is read again and listed twice.
fn crossing() -> Model {
    let mut t = Tiny::new();
    let ids = ["a", "b", "sum", "more"].map(|n| t.tensor(n, &[1, 2]));
    let [a, b, sum, more] = ids;
    t.add(a, b, sum);
    t.add(sum, sum, more);
    t.model(&[a, b], &[sum, b, more, sum])
}

#[test]
fn outputs_may_be_inputs_read_again_or_listed_twice() {
    let model = crossing();
    let (_, _, graph) = quantize(&model, Io::Float);
    assert_eq!(
        names(&graph),
        [
            "QUANTIZE",
            "QUANTIZE",
            "ADD",
            "ADD",
            "DEQUANTIZE",
            "DEQUANTIZE"
        ]
    );
    assert_eq!(graph.outputs, [2, 1, 3, 2]);
    assert!((0..4).all(|id| graph.tensors[id].dtype == DType::F32));
    assert_eq!(graph.nodes[3].inputs, [Some(6), Some(6)]);

    let (_, _, graph) = quantize(&model, Io::Int8);
    assert_eq!(names(&graph), ["ADD", "ADD"]);
    assert_eq!(graph.tensors.len(), 4);

    let (plan, quantized, graph) = quantize(&model, Io::Uint8);
    assert_eq!(
        names(&graph),
        ["QUANTIZE", "QUANTIZE", "ADD", "ADD", "QUANTIZE", "QUANTIZE"]
    );
    let inside = plan.activation(0).unwrap().affine;
    let outside = graph.tensors[0].affine().unwrap();
    assert_eq!(graph.tensors[0].dtype, DType::U8);
    assert_eq!(outside.scale, inside.scale);
    assert_eq!(outside.zero_point, inside.zero_point + 128);
    assert_eq!(graph.tensors[graph.nodes[0].outputs[0]].dtype, DType::I8);
    let codes = quantized.operator_codes.unwrap();
    assert_eq!(codes.len(), 2, "one code for four QUANTIZE");
}

#[test]
fn versions_rise_but_never_fall() {
    let mut t = Tiny::new();
    let ids = ["x", "y"].map(|n| t.tensor(n, &[1, 1]));
    let w = t.constant("w", &[1, 1], &[1.0]);
    t.dense(ids[0], w, -1, ids[1]);
    let mut model = t.model(&ids[..1], &ids[1..]);
    let buffers = model.buffers.as_mut().unwrap();
    buffers.push(Buffer {
        data: Some(b"1.5.0\0".to_vec()),
        ..Buffer::default()
    });
    let buffer = buffers.len() as u32 - 1;
    model.metadata = Some(vec![Metadata {
        name: Some("min_runtime_version".into()),
        buffer,
    }]);
    let version = |m: &Model| {
        let buffer = m.metadata.as_ref().unwrap()[0].buffer;
        let data = m.buffers.as_ref().unwrap()[buffer as usize].data.clone();
        String::from_utf8(data.unwrap()).unwrap()
    };
    let (_, quantized, _) = quantize(&model, Io::Int8);
    assert_eq!(quantized.operator_codes.as_ref().unwrap()[0].version, 5);
    assert_eq!(version(&quantized).trim_end_matches('\0'), "1.14.0");

    model.buffers.as_mut().unwrap()[buffer as usize].data = Some(b"2.3.0".to_vec());
    assert_eq!(version(&quantize(&model, Io::Int8).1), "2.3.0");
}

/// One layer with the given weights and bias.
fn layer(weights: &[f32; 4], bias: &[f32; 2]) -> Model {
    let mut t = Tiny::new();
    let ids = ["x", "y"].map(|n| t.tensor(n, &[1, 2]));
    let w = t.constant("w", &[2, 2], weights);
    let b = t.constant("b", &[2], bias);
    t.dense(ids[0], w, b, ids[1]);
    t.model(&ids[..1], &ids[1..])
}

#[test]
fn a_dead_channel_keeps_its_bias() {
    let (plan, _, graph) = quantize(&layer(&[0.0, 0.0, 1.0, -1.0], &[3.0, 3.0]), Io::Int8);
    let weight = plan.constants.iter().find(|c| c.role == Role::Weight);
    assert_eq!(weight.unwrap().enlarged, [0]);
    let bias = &graph.tensors[3];
    let Some(Values::I32(q)) = &bias.constant else {
        panic!("{bias:?}")
    };
    let scales = &bias.quantization.as_ref().unwrap().scales;
    for (q, scale) in q.iter().zip(scales) {
        assert!((f64::from(*q) * f64::from(*scale) - 3.0).abs() < 0.01);
        assert!(q.abs() <= i32::MAX / 2 + 100);
    }
    assert_eq!(
        graph.tensors[2].constant,
        Some(Values::I8(vec![0, 0, 127, -127]))
    );
}

fn refusal(model: &Model, ranges: &[Option<Range>]) -> Error {
    let float = graph::load(model, "m.tflite").unwrap();
    quantize::plan(&float, ranges, Io::Float).unwrap_err()
}

#[test]
fn what_cannot_be_quantized_is_named() {
    let model = layer(&[1.0; 4], &[1.0; 2]);
    let error = refusal(&model, &[RANGE, None, None, None]);
    assert!(matches!(error, Error::MissingRange { .. }));
    assert!(error.to_string().contains("tensor 1 'y'"), "{error}");
    let error = refusal(&model, &[Some(Range::EMPTY), RANGE]);
    assert!(error.to_string().contains("tensor 0 'x'"), "{error}");
    for (min, max) in [(f32::NAN, 1.0), (1.0, 0.0)] {
        let error = refusal(&model, &[Some(Range { min, max }), RANGE]);
        assert!(matches!(error, Error::BadRange { .. }), "{error}");
    }

    let error = refusal(&layer(&[1.0, 1.0, f32::NAN, 1.0], &[1.0; 2]), &[RANGE; 4]);
    let text = error.to_string();
    assert!(text.contains("element 2 of tensor 2 'w' is NaN"), "{text}");
    let error = refusal(&layer(&[1.0; 4], &[1.0, f32::INFINITY]), &[RANGE; 4]);
    assert!(error.to_string().contains("'b'"), "{error}");

    for io in [Io::Float, Io::Int8] {
        let (_, quantized, _) = quantize(&model, io);
        let error = refusal(&quantized, &[RANGE; 9]);
        assert!(matches!(error, Error::AlreadyQuantized { .. }), "{error}");
    }
}

/// A range as wide as all floats, as masks with −3.4e38 have it, has no
/// scale: the operators around it stay float.
#[test]
fn a_range_beyond_any_scale_leaves_the_operator_float() {
    let model = layer(&[1.0; 4], &[1.0; 2]);
    let float = graph::load(&model, "m.tflite").unwrap();
    let all = Some(Range {
        min: f32::MIN,
        max: f32::MAX,
    });
    let plan = quantize::plan(&float, &[all, RANGE], Io::Float).unwrap();
    assert_eq!(plan.operators[0].float, Some(FloatReason::BeyondAnyScale));
    assert!(plan.activations.is_empty() && plan.conversions.is_empty());
}

#[test]
fn a_plan_for_another_model_is_refused() {
    let (plan, _, _) = quantize(&crossing(), Io::Float);
    let model = layer(&[1.0; 4], &[1.0; 2]);
    let float = graph::load(&model, "m.tflite").unwrap();
    quantize::apply(&model, &float, &plan).unwrap_err();
}

/// Another subgraph shares weights and operator codes with the first, and stays float.
#[test]
fn other_subgraphs_stay() {
    let mut twice = layer(&[1.0; 4], &[1.0; 2]);
    let subgraphs = twice.subgraphs.as_mut().unwrap();
    subgraphs.push(subgraphs[0].clone());
    let (_, quantized, _) = quantize(&twice, Io::Float);
    let (old, new) = (twice.subgraphs.unwrap(), quantized.subgraphs.unwrap());
    assert_ne!(old[0].tensors, new[0].tensors);
    assert_eq!(old[1].tensors, new[1].tensors);
    let operator = &new[1].operators.as_ref().unwrap()[0];
    let codes = quantized.operator_codes.unwrap();
    let code = &codes[operator.opcode_index as usize];
    assert_eq!(zeropoint::model::builtin_code(code), 9);
    let buffer = new[1].tensors.as_ref().unwrap()[2].buffer as usize;
    let data = |buffers: &[zeropoint::model::Buffer]| buffers[buffer].data.clone();
    let (old, new) = (twice.buffers.unwrap(), quantized.buffers.unwrap());
    assert_eq!(data(&old), data(&new));
}

#[test]
fn a_plan_can_be_read() {
    let (plan, quantized, _) = quantize(&layer(&[1.0; 4], &[1.0; 2]), Io::Float);
    let text = plan.to_string();
    assert!(text.contains("tensor 0 'x': int8, scale"), "{text}");
    assert!(text.contains("QUANTIZE: tensor 0 to tensor 4"), "{text}");
    assert!(text.contains("DEQUANTIZE: tensor 5 to tensor 1"), "{text}");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["activations"][0]["why"]["range"]["min"], -2.0);
    assert_eq!(json["io"], "float");
    let types: Vec<i8> = quantized.subgraphs.unwrap()[0]
        .tensors
        .iter()
        .flatten()
        .map(|t| t.type_)
        .collect();
    assert_eq!(types[2], TensorType::Int8 as i8);
    assert_eq!(types[3], TensorType::Int32 as i8);
}
