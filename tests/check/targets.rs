//! Targets: a model of the right kind passes, and every rule can be broken.

use crate::small::{T, custom, i8s, int32, one, t};
use crate::{int8, tensor, zeropoint};
use zeropoint::check::{Severity, Target, check};
use zeropoint::model::{self, BuiltinOperator as B, BuiltinOptions as O, Model, TensorType};

/// A 3 × 3 convolution of an image of 8 × 8.
fn conv() -> Model {
    conv_with(1, 1, 1)
}

fn conv_with(version: i32, dilation_h: i32, dilation_w: i32) -> Model {
    let options = model::Conv2DOptions {
        dilation_h_factor: dilation_h,
        dilation_w_factor: dilation_w,
        ..model::Conv2DOptions::default()
    };
    one(
        B::Conv2d,
        version,
        Some(O::Conv2DOptions(Box::new(options))),
        &[
            i8s(&[1, 8, 8, 3]),
            i8s(&[4, 3, 3, 3]).constant(1),
            int32(&[0; 4]).scales(&[1.0]),
        ],
        i8s(&[1, 8, 8, 4]),
    )
}

/// A dense layer with these weights.
fn dense(weights: T, output: &[i32]) -> Model {
    let bias = int32(&[0; 4]).scales(&[1.0]);
    one(
        B::FullyConnected,
        1,
        None,
        &[i8s(&[1, 3]), weights, bias],
        i8s(output),
    )
}

fn unary(code: B, input: T, output: T) -> Model {
    one(code, 1, None, &[input], output)
}

fn found(model: &Model, target: Target, rule: &str) -> Option<Severity> {
    let findings = check(model, target);
    findings.iter().find(|f| f.rule == rule).map(|f| f.severity)
}

/// Each model breaks this rule, which names what is there and a remedy.
fn broken(target: Target, cases: &[(&str, Model)]) {
    for (rule, model) in cases {
        let findings = check(model, target);
        let finding = findings.iter().find(|f| f.rule == *rule);
        let finding = finding.unwrap_or_else(|| panic!("{target:?}, {rule}: {findings:#?}"));
        assert_eq!(finding.severity, Severity::Error, "{finding:?}");
        assert!(finding.place.contains("(operator 0)"), "{finding:?}");
        assert!(
            finding.what.len() > 3 && finding.remedy.len() > 8,
            "{finding:?}"
        );
    }
}

#[test]
fn a_convolution_of_int8_passes_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conv.tflite");
    model::write(&path, &conv()).unwrap();
    let path = path.display().to_string();
    for target in ["spec", "tflm", "cmsis-nn", "nnapi", "edgetpu"] {
        let passed = zeropoint(&["check", &path, "--target", target]).success();
        let text = String::from_utf8_lossy(&passed.get_output().stdout).into_owned();
        assert!(text.contains("nothing breaks a rule"), "{target}: {text}");
        assert!(!text.contains("note"), "{target}: {text}");
        let json = zeropoint(&["check", &path, "--target", target, "--json"]).success();
        assert_eq!(json.get_output().stdout, b"[]\n");
    }
    zeropoint(&["check", &path, "--target", "vax"]).code(2);
    let help = zeropoint(&["check", "--help"]).success();
    let help = String::from_utf8_lossy(&help.get_output().stdout).into_owned();
    assert!(help.contains("edgetpu   Coral's Edge TPU"), "{help}");
}

#[test]
fn tflm() {
    let strings = one(B::Unique, 1, None, &[i8s(&[4])], i8s(&[4]));
    let float_dense = one(
        B::FullyConnected,
        1,
        None,
        &[t(TensorType::Float32, &[1, 3]), i8s(&[4, 3]).constant(1)],
        t(TensorType::Float32, &[1, 4]),
    );
    let mut bytes = conv();
    for tensor in bytes.subgraphs.as_mut().unwrap()[0]
        .tensors
        .as_mut()
        .unwrap()
    {
        if tensor.buffer == 0 {
            tensor.type_ = TensorType::Uint8 as i8;
        }
    }
    let half = unary(
        B::Relu,
        t(TensorType::Float16, &[4]),
        t(TensorType::Float16, &[4]),
    );
    let channels = i8s(&[4, 3]).constant(1).scales(&[1.0; 4]);
    let cases = [
        ("operator", strings),
        (
            "operator",
            one(B::Lstm, 1, None, &[i8s(&[1, 4])], i8s(&[1, 4])),
        ),
        ("operator", custom("FlexErf")),
        ("hybrid", float_dense),
        ("uint8", bytes),
        ("float16", half),
        (
            "dynamic shape",
            unary(B::Relu, i8s(&[-1, 4]), i8s(&[-1, 4])),
        ),
        ("per-channel FULLY_CONNECTED", dense(channels, &[1, 4])),
    ];
    broken(Target::Tflm, &cases);
    broken(Target::CmsisNn, &cases);
    assert_eq!(
        found(&custom("mine"), Target::Tflm, "custom operator"),
        Some(Severity::Note)
    );
    assert_eq!(check(&custom("SignalWindow"), Target::Tflm), []);
    assert_eq!(
        check(&dense(i8s(&[4, 3]).constant(1), &[1, 4]), Target::Tflm),
        []
    );
}

#[test]
fn cmsis_nn_has_notes_alone() {
    let shape = &[1, 2, 2, 4];
    let add = |b: &[i32]| one(B::Add, 1, None, &[i8s(shape), i8s(b)], i8s(shape));
    assert_eq!(check(&add(shape), Target::CmsisNn), []);
    let wide = t(TensorType::Int16, shape);
    let cases = [
        (
            "reference kernel",
            unary(
                B::Tanh,
                i8s(shape).scales(&[0.1]),
                i8s(shape).scales(&[1.0 / 128.0]),
            ),
        ),
        (
            "reference kernel",
            unary(
                B::Relu,
                t(TensorType::Float32, shape),
                t(TensorType::Float32, shape),
            ),
        ),
        (
            "reference kernel",
            one(B::Maximum, 1, None, &[wide.clone(), wide.clone()], wide),
        ),
        ("broadcast", add(&[1, 1, 1, 4])),
    ];
    for (rule, model) in &cases {
        assert_eq!(
            found(model, Target::CmsisNn, rule),
            Some(Severity::Note),
            "{rule}"
        );
        assert_eq!(check(model, Target::CmsisNn).len(), 1);
        assert_eq!(check(model, Target::Tflm), []);
    }
    // Copies are no matter of kernels.
    assert_eq!(
        check(&unary(B::Reshape, i8s(&[1, 4]), i8s(&[4])), Target::CmsisNn),
        []
    );
    // Notes alone are no failure.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tanh.tflite");
    model::write(&path, &cases[0].1).unwrap();
    let path = path.display().to_string();
    let passed = zeropoint(&["check", &path, "--target", "cmsis-nn"]).success();
    let text = String::from_utf8_lossy(&passed.get_output().stdout).into_owned();
    for word in [
        "nothing breaks a rule",
        "worth a note",
        "TANH (operator 0)",
        "reference kernel",
    ] {
        assert!(text.contains(word), "{text}");
    }
    let json = zeropoint(&["check", &path, "--target", "cmsis-nn", "--json"]).success();
    let json: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert_eq!(json[0]["severity"], "note");
}

#[test]
fn nnapi() {
    let float = |shape: &[i32]| t(TensorType::Float32, shape);
    let shape = &[1, 2, 2, 4];
    let five = &[1, 1, 2, 2, 4];
    let fused = model::ConcatenationOptions {
        fused_activation_function: 1,
        ..model::ConcatenationOptions::default()
    };
    let fused = Some(O::ConcatenationOptions(Box::new(fused)));
    let two = [i8s(shape), i8s(shape)];
    let channels = i8s(&[4, 3]).constant(1).scales(&[1.0; 4]);
    let mut no_bias = conv();
    no_bias.subgraphs.as_mut().unwrap()[0]
        .operators
        .as_mut()
        .unwrap()[0]
        .inputs
        .as_mut()
        .unwrap()
        .pop();
    let cell = [
        float(&[1, 3, 4]),
        i8s(&[4, 4]).constant(1),
        i8s(&[4, 4]).constant(1),
    ];
    let blocks = [i8s(&[4, 2, 2, 4]), int32(&[2, 2]), int32(&[0, 1, 0, 0])];
    let svdf = [i8s(&[1, 4]), i8s(&[4, 4]).constant(1)];
    broken(
        Target::Nnapi,
        &[
            ("operator", unary(B::Ceil, float(shape), float(shape))),
            ("operator", custom("mine")),
            ("version", conv_with(6, 1, 1)),
            ("type", unary(B::Exp, i8s(shape), i8s(shape))),
            (
                "rank",
                one(B::Add, 1, None, &[i8s(five), i8s(five)], i8s(five)),
            ),
            (
                "constant operand",
                one(
                    B::Transpose,
                    1,
                    None,
                    &[i8s(shape), t(TensorType::Int32, &[4])],
                    i8s(shape),
                ),
            ),
            (
                "fused activation",
                one(B::Concatenation, 1, fused, &two, i8s(&[1, 2, 4, 4])),
            ),
            ("bias", no_bias),
            ("per-channel FULLY_CONNECTED", dense(channels, &[1, 4])),
            (
                "hybrid",
                one(
                    B::UnidirectionalSequenceRnn,
                    1,
                    None,
                    &cell,
                    float(&[1, 3, 4]),
                ),
            ),
            (
                "scalar output",
                one(B::Mean, 1, None, &[i8s(&[4]), int32(&[0])], i8s(&[])),
            ),
            ("float weights", one(B::Svdf, 1, None, &svdf, i8s(&[1, 4]))),
            (
                "crops",
                one(B::BatchToSpaceNd, 1, None, &blocks, i8s(&[1, 4, 4, 4])),
            ),
        ],
    );
    let note =
        |model: &Model, rule| assert_eq!(found(model, Target::Nnapi, rule), Some(Severity::Note));
    note(&one(B::BatchMatmul, 1, None, &two, i8s(shape)), "operator");
    note(
        &unary(B::Relu, i8s(shape).open(&[-1, 2, 2, 4]), i8s(shape)),
        "dynamic shape",
    );
    let halves = [t(TensorType::Float16, &[2]).constant(1)];
    let unpacked = one(B::Dequantize, 3, None, &halves, float(&[2]));
    assert_eq!(check(&unpacked, Target::Nnapi), []);
    let dense = dense(i8s(&[4, 3]).constant(1), &[1, 4]);
    assert_eq!(check(&dense, Target::Nnapi), []);
}

#[test]
fn edge_tpu() {
    let shape = &[1, 4, 4, 3];
    let pool = model::Pool2DOptions {
        fused_activation_function: 1,
        ..model::Pool2DOptions::default()
    };
    let pool = Some(O::Pool2DOptions(Box::new(pool)));
    let format = model::FullyConnectedOptions {
        weights_format: 1,
        ..model::FullyConnectedOptions::default()
    };
    let format = Some(O::FullyConnectedOptions(Box::new(format)));
    let slice = |mask| model::StridedSliceOptions {
        new_axis_mask: mask,
        ..model::StridedSliceOptions::default()
    };
    let slice = |mask| Some(O::StridedSliceOptions(Box::new(slice(mask))));
    let places = |stride| {
        [
            i8s(&[1, 8]),
            int32(&[0, 0]),
            int32(&[1, 8]),
            int32(&[1, stride]),
        ]
    };
    let pack = Some(O::PackOptions(Box::<model::PackOptions>::default()));
    let weights = i8s(&[4, 3]).constant(1);
    let bias = || int32(&[0; 4]).scales(&[1.0]);
    let reduce = |code, axis: i32| one(code, 1, None, &[i8s(shape), int32(&[axis])], i8s(shape));
    let softmax = |shape: &[i32]| unary(B::Softmax, i8s(shape), i8s(shape));
    let join = |constant: T| {
        one(
            B::Concatenation,
            1,
            None,
            &[i8s(shape), constant],
            i8s(&[1, 8, 4, 3]),
        )
    };
    let pad = |first| {
        one(
            B::Pad,
            1,
            None,
            &[i8s(shape), int32(&[first, 0, 1, 1, 1, 1, 0, 0])],
            i8s(shape),
        )
    };
    let prelu = |alpha: &[i32]| {
        one(
            B::Prelu,
            1,
            None,
            &[i8s(shape), i8s(alpha).constant(1)],
            i8s(shape),
        )
    };
    let float = t(TensorType::Float32, shape);
    broken(
        Target::Edgetpu,
        &[
            ("operator", unary(B::Abs, i8s(shape), i8s(shape))),
            ("operator", custom("mine")),
            (
                "8-bit tensors",
                unary(B::Quantize, float.clone(), i8s(shape)),
            ),
            ("8-bit tensors", unary(B::Relu, float.clone(), float)),
            (
                "dynamic shape",
                unary(B::Relu, i8s(&[-1, 4]), i8s(&[-1, 4])),
            ),
            (
                "dimensions",
                unary(B::Relu, i8s(&[2, 4, 4, 3]), i8s(&[2, 4, 4, 3])),
            ),
            (
                "fused activation",
                one(B::MaxPool2d, 1, pool, &[i8s(shape)], i8s(shape)),
            ),
            ("dilation", conv_with(1, 1, 2)),
            (
                "weights format",
                one(
                    B::FullyConnected,
                    1,
                    format,
                    &[i8s(&[1, 3]), weights.clone(), bias()],
                    i8s(&[1, 4]),
                ),
            ),
            ("constant parameters", dense(i8s(&[4, 3]), &[1, 4])),
            ("dense output", dense(weights, &[2, 4])),
            ("concatenated constant", join(i8s(shape).constant(1))),
            ("batch", reduce(B::Mean, 0)),
            ("batch", reduce(B::ReduceMax, -4)),
            ("mean over channels", reduce(B::Mean, 3)),
            (
                "batch",
                one(B::Pack, 1, pack, &[i8s(&[4]), i8s(&[4])], i8s(&[2, 4])),
            ),
            (
                "batch",
                one(B::Split, 1, None, &[int32(&[0]), i8s(shape)], i8s(shape)),
            ),
            ("batch", pad(1)),
            ("alpha", prelu(&[4, 4, 3])),
            ("softmax", softmax(&[1, 4, 3])),
            ("softmax", softmax(&[1, 16_001])),
            (
                "strided slice",
                one(B::StridedSlice, 1, slice(0), &places(2), i8s(&[1, 4])),
            ),
            (
                "strided slice",
                one(B::StridedSlice, 1, slice(1), &places(1), i8s(&[1, 8])),
            ),
        ],
    );
    // What these rules let pass; the output of SOFTMAX has no business here.
    let sound = [
        join(i8s(shape).constant(0)),
        reduce(B::Mean, 1),
        pad(0),
        prelu(&[1, 1, 3]),
        one(B::StridedSlice, 1, slice(0), &places(1), i8s(&[1, 8])),
        unary(B::Quantize, t(TensorType::Uint8, shape), i8s(shape)),
        dense(i8s(&[4, 3]).constant(1), &[1, 4]),
    ];
    for model in &sound {
        assert_eq!(check(model, Target::Edgetpu), []);
    }
    let resize = [i8s(shape), int32(&[8, 8])];
    let resize = one(B::ResizeBilinear, 1, None, &resize, i8s(&[1, 8, 8, 3]));
    assert_eq!(
        found(&resize, Target::Edgetpu, "resize"),
        Some(Severity::Note)
    );
}

#[test]
fn the_quantized_example() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = int8(folder.path());
    let rules = |model: &Model, target, severity| {
        let findings = check(model, target);
        let found = findings.into_iter().filter(|f| f.severity == severity);
        found
            .map(|f| format!("{}: {}", f.place, f.rule))
            .collect::<Vec<_>>()
    };
    let notes = rules(&model, Target::CmsisNn, Severity::Note);
    for operator in ["QUANTIZE", "STRIDED_SLICE", "DEQUANTIZE"] {
        let noted = notes.iter().any(|n| n.starts_with(operator));
        assert!(noted, "{operator}: {notes:?}");
    }
    assert!(
        !notes
            .iter()
            .any(|n| n.starts_with("UNIDIRECTIONAL") || n.starts_with("CONV")),
        "{notes:?}"
    );
    // Dense weights of one scale, as old releases and NNAPI want them.
    let scale = |model: &mut Model, input| {
        let tensor = tensor(model, "FULLY_CONNECTED", Some(input));
        let parameters = tensor.quantization.as_mut().unwrap();
        parameters.scale.as_mut().unwrap().truncate(1);
        parameters.zero_point.as_mut().unwrap().truncate(1);
    };
    scale(&mut model, 1);
    scale(&mut model, 2);
    assert_eq!(
        rules(&model, Target::Tflm, Severity::Error),
        Vec::<String>::new()
    );
    assert_eq!(
        rules(&model, Target::CmsisNn, Severity::Error),
        Vec::<String>::new()
    );
    let nnapi = rules(&model, Target::Nnapi, Severity::Error);
    assert!(
        nnapi
            .iter()
            .any(|f| f.contains("LSTM") && f.ends_with("type")),
        "{nnapi:?}"
    );
    let edge = rules(&model, Target::Edgetpu, Severity::Error);
    assert!(
        edge.iter()
            .any(|f| f.starts_with("QUANTIZE") && f.ends_with("8-bit tensors")),
        "{edge:?}"
    );
}
