//! `check`: what we write breaks no rule, and every rule can be broken.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod small;
#[path = "../support/mod.rs"]
mod support;
mod targets;

use assert_cmd::Command;
use std::path::Path;
use zeropoint::check::{Finding, Target, check};
use zeropoint::model::{self, Model, QuantizationParameters, Tensor};

fn har(file: &str) -> String {
    let path = support::root().join("examples/har").join(file);
    path.display().to_string()
}

fn zeropoint(arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zeropoint"));
    command.args(arguments).assert()
}

/// The example, quantized.
fn quantized(folder: &Path, options: &[&str]) -> Model {
    let to = folder.join("q.tflite").display().to_string();
    let model = har("model.tflite");
    zeropoint(&[&["quantize", &model, "-o", &to], options].concat()).success();
    model::read(Path::new(&to)).unwrap()
}

fn int8(folder: &Path) -> Model {
    let calib = har("calib.npz");
    let options = ["--data", &calib, "--limit", "20", "--device", "cpu"];
    quantized(folder, &options)
}

/// A tensor by operator and place among its inputs, or its first output.
fn tensor<'a>(model: &'a mut Model, name: &str, input: Option<usize>) -> &'a mut Tensor {
    let codes = model.operator_codes.clone().unwrap();
    let subgraph = &mut model.subgraphs.as_mut().unwrap()[0];
    let named =
        |o: &&model::Operator| model::operator_name(&codes[o.opcode_index as usize]) == name;
    let operator = subgraph.operators.as_ref().unwrap().iter().find(named);
    let operator = operator.unwrap();
    let id = match input {
        Some(i) => operator.inputs.as_ref().unwrap()[i],
        None => operator.outputs.as_ref().unwrap()[0],
    };
    &mut subgraph.tensors.as_mut().unwrap()[id as usize]
}

fn parameters(tensor: &mut Tensor) -> &mut QuantizationParameters {
    tensor.quantization.as_mut().unwrap()
}

fn rules(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|f| f.rule).collect()
}

#[test]
fn what_we_write_breaks_no_rule() {
    let folder = tempfile::tempdir().unwrap();
    let model = int8(folder.path());
    assert_eq!(check(&model, Target::Spec), []);
    // Nothing but a matter of old releases.
    let findings = check(&model, Target::Tflm);
    assert_eq!(rules(&findings), ["per-channel FULLY_CONNECTED"]);
    let path = folder.path().join("q.tflite").display().to_string();
    zeropoint(&["check", &path]).success();
    let refused = zeropoint(&["check", &path, "--target", "tflm"]).code(1);
    let text = String::from_utf8_lossy(&refused.get_output().stdout).into_owned();
    assert!(text.contains("FULLY_CONNECTED (operator 9)"), "{text}");
}

#[test]
fn every_rule_can_be_broken() {
    let folder = tempfile::tempdir().unwrap();
    let sound = int8(folder.path());
    let broken = |change: &dyn Fn(&mut Model), rule: &str, place: &str| {
        let mut model = sound.clone();
        change(&mut model);
        let findings = check(&model, Target::Spec);
        let found = findings
            .iter()
            .any(|f| f.rule == rule && f.place.contains(place));
        assert!(found, "{rule}: {findings:#?}");
    };
    let scale = |tensor: &mut Tensor, by: f32| {
        let scales = parameters(tensor).scale.as_mut().unwrap();
        scales.iter_mut().for_each(|s| *s *= by);
    };
    broken(
        &|m| scale(tensor(m, "SOFTMAX", None), 2.0),
        "fixed output",
        "SOFTMAX",
    );
    broken(
        &|m| scale(tensor(m, "RESHAPE", None), 2.0),
        "same parameters",
        "RESHAPE (operator 5)",
    );
    broken(
        &|m| scale(tensor(m, "CONV_2D", Some(2)), 2.0),
        "bias",
        "CONV_2D (operator 1)",
    );
    broken(
        &|m| parameters(tensor(m, "CONV_2D", Some(1))).quantized_dimension = 3,
        "output channels",
        "CONV_2D",
    );
    broken(
        &|m| {
            parameters(tensor(m, "CONV_2D", Some(1)))
                .zero_point
                .as_mut()
                .unwrap()[3] = 1;
        },
        "symmetric weights",
        "CONV_2D",
    );
    broken(
        &|m| {
            let buffer = tensor(m, "CONV_2D", Some(1)).buffer as usize;
            m.buffers.as_mut().unwrap()[buffer].data.as_mut().unwrap()[7] = 0x80;
        },
        "weights in [-127, 127]",
        "CONV_2D",
    );
    broken(
        &|m| tensor(m, "SOFTMAX", Some(0)).quantization = None,
        "scale",
        "SOFTMAX",
    );
    broken(
        &|m| parameters(tensor(m, "SOFTMAX", Some(0))).scale = Some(vec![1.0; 7]),
        "per-tensor activations",
        "SOFTMAX",
    );
    broken(
        &|m| parameters(tensor(m, "SOFTMAX", Some(0))).zero_point = Some(vec![200]),
        "zero point",
        "SOFTMAX",
    );
}

#[test]
fn tensorflow_lite_micro_refuses_more() {
    let folder = tempfile::tempdir().unwrap();
    let halves = quantized(folder.path(), &["--scheme", "float16"]);
    assert_eq!(check(&halves, Target::Spec), []);
    let findings = check(&halves, Target::Tflm);
    assert!(rules(&findings).contains(&"float16"), "{findings:?}");
    let mut open = halves;
    tensor(&mut open, "RESHAPE", None).shape = Some(vec![-1, 112, 384]);
    assert!(rules(&check(&open, Target::Tflm)).contains(&"dynamic shape"));
    // Weights of int8 behind a float input.
    let mut hybrid = int8(folder.path());
    tensor(&mut hybrid, "CONV_2D", Some(0)).type_ = 0;
    let findings = check(&hybrid, Target::Tflm);
    assert!(rules(&findings).contains(&"hybrid"), "{findings:?}");
}
