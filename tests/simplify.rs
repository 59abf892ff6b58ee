//! Dynamic dimensions of a model's inputs. What is folded and how branches are taken, `tests/ops` judges by LiteRT.

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
