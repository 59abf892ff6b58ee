//! `zeropoint inspect` through the real program: everything that is in a file is told, for people and for machines.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use assert_cmd::Command;
use serde_json::{Value, json};
use std::path::Path;
use zeropoint::model::{
    self, Buffer, BuiltinOperator, Metadata, Model, Operator, OperatorCode, QuantizationParameters,
    SignatureDef, SubGraph, Tensor, TensorMap, TensorType,
};

fn inspect(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zeropoint"));
    let done = command.arg("inspect").args(arguments).assert().success();
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

fn json_of(arguments: &[&str]) -> Value {
    serde_json::from_str(&inspect(&[arguments, &["--json"]].concat())).unwrap()
}

fn har(file: &str) -> String {
    let path = support::root().join("examples/har").join(file);
    path.display().to_string()
}

/// A tensor that is constant if its buffer is not 0.
fn tensor(name: &str, kind: TensorType, shape: &[i32], buffer: u32) -> Tensor {
    Tensor {
        name: Some(name.into()),
        type_: kind as i8,
        shape: Some(shape.to_vec()),
        buffer,
        ..Tensor::default()
    }
}

/// Two subgraphs, a signature, metadata, and constants of many types; one buffer serves two tensors.
fn sample() -> Model {
    let buffer = |data: &[u8]| Buffer {
        data: (!data.is_empty()).then(|| data.to_vec()),
        ..Buffer::default()
    };
    let floats: Vec<u8> = (0..10)
        .flat_map(|i| (i as f32 * 0.25).to_le_bytes())
        .collect();
    let buffers = vec![
        buffer(&[]),
        buffer(&floats),
        buffer(&[0xf1, 0x08]),
        buffer(b"1.14.0\0\0\0\0"),
        buffer(&[0x00, 0x3c, 0x01, 0x00]),
        buffer(&[1, 0]),
        buffer(&[0xff; 16]),
    ];
    let mut input = tensor("x", TensorType::Int8, &[1, 10], 0);
    input.shape_signature = Some(vec![-1, 10]);
    input.quantization = Some(Box::new(QuantizationParameters {
        scale: Some(vec![0.5]),
        zero_point: Some(vec![-3]),
        ..QuantizationParameters::default()
    }));
    let mut weights = tensor("w", TensorType::Int4, &[3], 2);
    weights.quantization = Some(Box::new(QuantizationParameters {
        scale: Some(vec![0.25, 0.125, 1.0]),
        zero_point: Some(vec![0, 7, -7]),
        quantized_dimension: 2,
        ..QuantizationParameters::default()
    }));
    let mut state = tensor("h", TensorType::Float32, &[1, 4], 0);
    state.is_variable = true;
    let tensors = vec![
        input,
        tensor("f", TensorType::Float32, &[10], 1),
        tensor("again", TensorType::Float32, &[10], 1),
        weights,
        tensor("half", TensorType::Float16, &[2], 4),
        tensor("flags", TensorType::Bool, &[2], 5),
        tensor("long", TensorType::Int64, &[2], 6),
        state,
        tensor("y", TensorType::Float32, &[1, 10], 0),
    ];
    let operator = Operator {
        inputs: Some(vec![0, -1, 1]),
        outputs: Some(vec![8]),
        intermediates: Some(vec![7]),
        ..Operator::default()
    };
    let main = SubGraph {
        name: Some("main".into()),
        inputs: Some(vec![0]),
        outputs: Some(vec![8]),
        operators: Some(vec![operator]),
        tensors: Some(tensors),
        ..SubGraph::default()
    };
    let map = |name: &str, tensor_index| TensorMap {
        name: Some(name.into()),
        tensor_index,
    };
    Model {
        version: 3,
        description: Some("made by hand".into()),
        operator_codes: Some(vec![OperatorCode {
            deprecated_builtin_code: 127,
            builtin_code: BuiltinOperator::Gelu as i32,
            version: 2,
            ..OperatorCode::default()
        }]),
        buffers: Some(buffers),
        metadata: Some(vec![Metadata {
            name: Some("min_runtime_version".into()),
            buffer: 3,
        }]),
        signature_defs: Some(vec![SignatureDef {
            inputs: Some(vec![map("image", 0)]),
            outputs: Some(vec![map("logits", 8)]),
            signature_key: Some("serving_default".into()),
            subgraph_index: 0,
        }]),
        subgraphs: Some(vec![
            main,
            SubGraph {
                name: Some("other".into()),
                ..SubGraph::default()
            },
        ]),
        ..Model::default()
    }
}

#[test]
fn a_listing_tells_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.tflite");
    model::write(&path, &sample()).unwrap();
    let path = path.display().to_string();
    let text = inspect(&[&path]);
    for words in [
        "made by hand",
        "signature serving_default: (image = 0) -> (logits = 8)",
        "metadata min_runtime_version: 10 bytes in buffer 3 '1.14.0'",
        "subgraph 0 'main': inputs [0], outputs [8]",
        "subgraph 1 'other'",
        "0  GELU        2  0 – 1   8 (inside: 7)",
        "[1, 10] of [-1, 10]",
        "scale 5.000000e-1 zero point -3",
        "3 scales 1.2500e-1 … 1.0000e0 along 2, zero points -7 … 7",
        "0 0.25000 0.50000 0.75000 1 1.25000 1.50000 1.75000 …",
        "1 -1 -8",
        "true false",
        "state",
        "constants: bool 2 bytes, float16 4 bytes, float32 40 bytes, int4 2 bytes, int64 16 bytes",
    ] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
}

#[test]
fn the_json_carries_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.tflite");
    model::write(&path, &sample()).unwrap();
    let json = json_of(&[&path.display().to_string()]);
    assert_eq!(
        (&json["format"], &json["version"]),
        (&json!("zeropoint inspection"), &json!(1))
    );
    assert_eq!(
        (&json["schema"], &json["description"]),
        (&json!(3), &json!("made by hand"))
    );
    assert_eq!(json["bytes"], std::fs::metadata(&path).unwrap().len());
    let signature = json!({"key": "serving_default", "subgraph": 0, "inputs": [["image", 0]], "outputs": [["logits", 8]]});
    assert_eq!(json["signatures"], json!([signature]));
    let metadata =
        json!({"name": "min_runtime_version", "buffer": 3, "bytes": 10, "text": "1.14.0"});
    assert_eq!(json["metadata"], json!([metadata]));
    let main = &json["subgraphs"][0];
    let operator = json!({"name": "GELU", "version": 2, "inputs": [0, -1, 1], "outputs": [8], "intermediates": [7]});
    assert_eq!(main["operators"], json!([operator]));
    let tensors = &main["tensors"];
    let input = json!({
        "name": "x", "dtype": "int8", "shape": [1, 10], "shape_signature": [-1, 10], "buffer": 0, "bytes": 0,
        "values": [], "variable": false, "sparse": false, "scales": [0.5], "zero_points": [-3], "axis": 0,
    });
    assert_eq!(tensors[0], input);
    assert_eq!(
        tensors[1]["values"],
        json!([0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75])
    );
    assert_eq!(
        (&tensors[2]["buffer"], &tensors[2]["bytes"]),
        (&json!(1), &json!(40))
    );
    assert_eq!(
        (&tensors[3]["values"], &tensors[3]["axis"]),
        (&json!([1, -1, -8]), &json!(2))
    );
    assert_eq!(
        (&tensors[5]["values"], &tensors[6]["values"]),
        (&json!([true, false]), &json!([-1, -1]))
    );
    assert_eq!(tensors[7]["variable"], true);
    assert_eq!(json["constant_bytes"]["float32"], 40);
}

#[test]
fn a_summary_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample.tflite");
    model::write(&path, &sample()).unwrap();
    let path = path.display().to_string();
    let json = json_of(&["--summary", &path]);
    let summary = &json[0];
    assert_eq!(
        (&summary["format"], &summary["version"]),
        (&json!("zeropoint summary"), &json!(1))
    );
    assert_eq!(summary["operators"], json!({"GELU": 1}));
    let float = json!({"constants": 2, "constant_bytes": 40, "activations": 2});
    assert_eq!(summary["tensors"]["float32"], float);
    assert_eq!(summary["constant_bytes"], 64);
    // x, the state and y, in blocks of 16 bytes.
    assert_eq!(summary["alive_bytes"], 16 + 16 + 48);
    let text = inspect(&["--summary", &har("model.tflite")]);
    for words in [
        "bytes of the rest",
        "bytes of activations alive at once",
        "multiply-adds a sample",
    ] {
        assert!(text.contains(words), "no '{words}' in:\n{text}");
    }
    let json = json_of(&["--summary", &har("model.tflite")]);
    // 124 × 6 pixels of 64 channels from 5 taps, then three of 64 channels; two LSTMs of 128 cells over 112 steps; a dense
    // layer of 7.
    let convs: u64 = 64 * 6 * 5 * (124 + 64 * (120 + 116 + 112));
    let cells = 112 * 4 * 128 * ((384 + 128) + (128 + 128));
    assert_eq!(json[0]["multiply_adds"], convs + cells + 7 * 128);
    assert!(json[0]["operations"]["UNIDIRECTIONAL_SEQUENCE_LSTM"].as_u64() > Some(2 * cells));
    let help = inspect(&["--help"]);
    assert!(help.contains("side by side"), "{help}");
}

#[test]
fn the_float_model_and_its_scales() {
    let json = json_of(&[&har("model.tflite")]);
    let tensors = json["subgraphs"][0]["tensors"].as_array().unwrap();
    let constants = tensors.iter().filter(|t| t["bytes"].as_u64() > Some(0));
    for t in constants {
        let values = t["values"].as_array().unwrap();
        assert!((1..=8).contains(&values.len()), "{t}");
        assert!(t["buffer"].as_u64() > Some(0), "{t}");
    }
    assert!(Path::new(&har("model.tflite")).exists());
}
