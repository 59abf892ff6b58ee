//! Dynamic dimensions of a model's inputs, and columns as images. What is folded and how branches are taken, `tests/ops` judges by LiteRT.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use zeropoint::model::{Model, Operator, OperatorCode, SubGraph, Tensor};
use zeropoint::simplify;

/// TANH of a tensor of this shape and signature.
fn tanh(shape: &[i32], signature: Option<&[i32]>) -> Model {
    let tensor = |name: &str| Tensor {
        name: Some(name.into()),
        shape: Some(shape.to_vec()),
        shape_signature: signature.map(<[i32]>::to_vec),
        ..Tensor::default()
    };
    Model {
        version: 3,
        operator_codes: Some(vec![OperatorCode {
            builtin_code: 28,
            deprecated_builtin_code: 28,
            version: 1,
            ..OperatorCode::default()
        }]),
        subgraphs: Some(vec![SubGraph {
            tensors: Some(vec![tensor("x"), tensor("y")]),
            inputs: Some(vec![0]),
            outputs: Some(vec![1]),
            operators: Some(vec![Operator {
                inputs: Some(vec![0]),
                outputs: Some(vec![1]),
                ..Operator::default()
            }]),
            ..SubGraph::default()
        }]),
        buffers: Some(vec![zeropoint::model::Buffer::default()]),
        ..Model::default()
    }
}

fn shapes(model: Model, array: &[usize]) -> [Vec<usize>; 2] {
    let (model, graph) = simplify::load_for(model, "m.tflite", &[array.to_vec()]).unwrap();
    let tensors = model.subgraphs.unwrap().remove(0).tensors.unwrap();
    for (tensor, known) in tensors.iter().zip(&graph.tensors) {
        let written = tensor.shape.iter().flatten().map(|&d| d as usize);
        assert_eq!(written.collect::<Vec<_>>(), known.shape);
    }
    [
        graph.tensors[0].shape.clone(),
        graph.tensors[1].shape.clone(),
    ]
}

#[test]
fn dynamic_dimensions_are_those_of_the_data() {
    let dynamic = || tanh(&[-1, -1, 3], None);
    assert_eq!(simplify::dynamic_inputs(&dynamic()), Some(vec!["x".into()]));
    // With the batch dimension, and without it.
    assert_eq!(shapes(dynamic(), &[1, 7, 3]), [[1, 7, 3], [1, 7, 3]]);
    assert_eq!(shapes(dynamic(), &[7, 3]), [[1, 7, 3], [1, 7, 3]]);
    // What does not fit is for the reader of the data to refuse.
    assert_eq!(shapes(dynamic(), &[7, 5]), [[1, 7, 3], [1, 7, 3]]);
    assert_eq!(shapes(dynamic(), &[7]), [[1, 1, 3], [1, 1, 3]]);
}

#[test]
fn a_signature_tells_what_is_dynamic() {
    let signed = || tanh(&[1, 1, 3], Some(&[-1, -1, 3]));
    assert_eq!(shapes(signed(), &[7, 3]), [[1, 7, 3], [1, 7, 3]]);
    let fixed = || tanh(&[1, 4, 3], Some(&[-1, 4, 3]));
    assert_eq!(shapes(fixed(), &[7, 3]), [[1, 4, 3], [1, 4, 3]]);
    assert_eq!(simplify::dynamic_inputs(&tanh(&[1, 4, 3], None)), None);
}

#[test]
fn huge_dimensions_are_refused() {
    let arrays = [vec![1 << 40, 3]];
    let error = simplify::load_for(tanh(&[-1, -1, 3], None), "m.tflite", &arrays);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("2^31"), "{error}");
}

/// Control flow and resources are refused by name, also where they have no outputs or nobody reads them.
#[test]
fn control_flow_is_refused_by_name() {
    use zeropoint::model::BuiltinOperator as B;
    for (code, outputs, name) in [
        (B::CallOnce, vec![], "CALL_ONCE"),
        (B::AssignVariable, vec![], "ASSIGN_VARIABLE"),
        (B::While, vec![2], "WHILE"),
        (B::If, vec![2], "IF"),
        (B::VarHandle, vec![2], "VAR_HANDLE"),
    ] {
        let mut model = tanh(&[1, 3], None);
        model.operator_codes.as_mut().unwrap().push(OperatorCode {
            builtin_code: code as i32,
            version: 1,
            ..OperatorCode::default()
        });
        let subgraph = &mut model.subgraphs.as_mut().unwrap()[0];
        let tensors = subgraph.tensors.as_mut().unwrap();
        tensors.push(tensors[0].clone());
        subgraph.operators.as_mut().unwrap().push(Operator {
            opcode_index: 1,
            inputs: Some(vec![0]),
            outputs: Some(outputs),
            ..Operator::default()
        });
        let error = simplify::load(model, "m.tflite").unwrap_err().to_string();
        let expected = format!("operator 1 of subgraph 0 is {name},");
        assert!(error.contains(&expected), "{error}");
    }
}

/// With columns as images a convolution along time computes the same floats, and of several in a row only the first and
/// the last have a TRANSPOSE.
#[test]
fn columns_become_images() {
    use zeropoint::cpu::Cpu;
    use zeropoint::graph::{self, Graph, Move, Op};
    use zeropoint::kernel::{self, Device, Feed, Keep, SessionConfig, Statistics};
    use zeropoint::num::Values;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/har/model.tflite");
    let model = zeropoint::model::read(std::path::Path::new(path)).unwrap();
    let (model, graph) = simplify::load(model, path).unwrap();
    let all = (0..graph.nodes.len()).collect();
    let nodes = simplify::separable(&graph, &all);
    assert!(nodes.len() > 2, "{nodes:?}");
    let x: Vec<f32> = (0..3 * graph.elements(graph.inputs[0]))
        .map(|i| ((i * 7919 % 1009) as f32 / 500.0 - 1.0) * (1 + i % 5) as f32)
        .collect();
    let outputs = |graph: Graph| -> Vec<f32> {
        let program = kernel::prepare(graph).unwrap();
        let config = SessionConfig {
            batch: None,
            keep: Keep::Outputs,
            statistics: Statistics::Nothing,
            profile: false,
            feeds: vec![Feed::Direct],
        };
        let cpu = Cpu::new();
        let mut session = cpu.session(&program, &config).unwrap();
        session.run(3, &[Values::F32(x.clone())]).unwrap();
        match session.read(program.graph.outputs[0]).unwrap() {
            Values::F32(y) => y,
            other => panic!("{}", other.dtype()),
        }
    };
    let want = outputs(graph.clone());
    // All in a row, then each by itself.
    let alone = nodes.iter().map(|&i| vec![i]);
    for chosen in [nodes.clone()].into_iter().chain(alone) {
        let split = simplify::columns(model.clone(), &graph, &chosen);
        let turned = graph::load(&split.model, path).unwrap();
        let transposes = turned.nodes.iter();
        let transposes = transposes.filter(|n| matches!(n.op, Op::Move(Move::Transpose)));
        assert_eq!(transposes.count(), 2, "{chosen:?}");
        assert_eq!(turned.nodes.len(), split.origin.len());
        for (node, origin) in turned.nodes.iter().zip(&split.origin) {
            assert!(origin.is_none_or(|i| graph.nodes[i].op.name() == node.op.name()));
        }
        for &(copy, of) in &split.copies {
            assert_eq!(turned.elements(copy), graph.elements(of));
        }
        let got = outputs(turned);
        let far = got.iter().zip(&want).map(|(a, b)| (a - b).abs());
        assert!(far.fold(0.0, f32::max) < 1e-5, "{chosen:?}");
    }
    assert!(simplify::separable(&graph, &[usize::MAX].into()).is_empty());
}
