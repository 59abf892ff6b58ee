//! `zeropoint debug` on the example, through the program: the figures against plain arithmetic on the tensors that `run`
//! writes, on every device; TensorFlow's own debugger where the shared models are; the verdict.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use std::path::Path;
use support::{Array, errors, har, quantize, read_npz, zeropoint};
use zeropoint::num::Values;

/// The report of a run on the example.
fn debug(quantized: &Path, options: &[&str]) -> Value {
    let (model, data) = (har("model.tflite"), har("eval.npz"));
    let quantized = quantized.display().to_string();
    let fixed = ["debug", &model, &quantized, "--data", &data, "--json"];
    let ran = zeropoint(&[&fixed[..], options].concat()).success();
    serde_json::from_slice(&ran.get_output().stdout).unwrap()
}

fn int8(folder: &Path) -> std::path::PathBuf {
    let calib = har("calib.npz");
    let data = ["--data", &calib, "--limit", "60", "--device", "cpu"];
    quantize(
        folder,
        "int8.tflite",
        &[&data[..], &["--effort", "0"]].concat(),
    )
}

fn ops(report: &Value) -> &Vec<Value> {
    report["ops"].as_array().unwrap()
}

fn near(a: f64, b: f64, part: f64) -> bool {
    (a - b).abs() <= part * a.abs().max(b.abs())
}

/// All samples of a tensor as real numbers.
fn real(array: &Array, op: &Value) -> Vec<f64> {
    let scale = op["affine"]["scale"].as_f64();
    let zero = op["affine"]["zero_point"].as_f64().unwrap_or(0.0);
    let values: Vec<f32> = array.values.to_f32(|q| q as f32);
    match (&array.values, scale) {
        (Values::F32(_), _) | (_, None) => values.into_iter().map(f64::from).collect(),
        (_, Some(scale)) => values
            .into_iter()
            .map(|q| f64::from(scale as f32 * (q - zero as f32)))
            .collect(),
    }
}

#[test]
fn cumulative_errors_are_those_of_the_tensors_that_run_writes() {
    let folder = tempfile::tempdir().unwrap();
    let quantized = int8(folder.path());
    let report = debug(
        &quantized,
        &["--limit", "12", "--device", "cpu", "--at-output", "off"],
    );
    assert_eq!(report["schema_version"], 1);
    let run = |model: &str, name: &str| {
        let to = folder.path().join(name);
        let out = to.display().to_string();
        let data = har("eval.npz");
        zeropoint(&[
            "run",
            model,
            "--data",
            &data,
            "--limit",
            "12",
            "--all-tensors",
            "-o",
            &out,
            "--device",
            "cpu",
        ])
        .success();
        read_npz(&to)
    };
    let float = run(&har("model.tflite"), "float.npz");
    let test = run(&quantized.display().to_string(), "test.npz");
    let mut compared = 0;
    for op in ops(&report) {
        let t = real(&test[&format!("tensor_{}", op["tensor"])], op);
        let r = real(
            &float[&format!("tensor_{}", op["float_tensor"])],
            &Value::Null,
        );
        assert_eq!(t.len(), r.len());
        let n = t.len() as f64;
        let d: Vec<f64> = t.iter().zip(&r).map(|(t, r)| t - r).collect();
        let squares = d.iter().map(|d| d * d).sum::<f64>();
        let mean = |d: &[f64]| d.iter().sum::<f64>() / d.len() as f64;
        let far = &op["cumulative"];
        let figure = |name: &str| far[name].as_f64().unwrap();
        assert!(
            near(figure("mean_squared_error"), squares / n, 1e-5),
            "{op}"
        );
        assert!(near(
            figure("largest_error"),
            d.iter().fold(0.0, |m: f64, d| m.max(d.abs())),
            1e-5
        ));
        // TensorFlow's definitions: figures of a sample, then their mean.
        let samples: Vec<&[f64]> = d.chunks(d.len() / 12).collect();
        let most = samples
            .iter()
            .map(|s| s.iter().fold(0.0, |m: f64, d| m.max(d.abs())));
        assert!(near(
            figure("max_abs_error"),
            most.sum::<f64>() / 12.0,
            1e-5
        ));
        let deviation = samples.iter().map(|s| {
            let m = mean(s);
            (s.iter().map(|d| (d - m) * (d - m)).sum::<f64>() / s.len() as f64).sqrt()
        });
        assert!(near(figure("stddev"), deviation.sum::<f64>() / 12.0, 1e-4));
        let bias = figure("mean_error") - mean(&d);
        assert!(bias.abs() <= 1e-5 * (squares / n).sqrt(), "{op}");
        if let Some(sqnr) = far["sqnr_db"].as_f64() {
            let signal: f64 = r.iter().map(|r| r * r).sum();
            assert!((sqnr - 10.0 * (signal / squares).log10()).abs() < 1e-4);
        }
        if op["dtype"] == "i8" {
            let codes = op["codes"].as_array().unwrap();
            let Values::I8(q) = &test[&format!("tensor_{}", op["tensor"])].values else {
                panic!("not int8")
            };
            for (i, n) in codes.iter().enumerate() {
                let found = q
                    .iter()
                    .filter(|&&q| i32::from(q) == i as i32 - 128)
                    .count();
                assert_eq!(n.as_u64(), Some(found as u64));
            }
            compared += 1;
        }
    }
    assert!(compared >= 10);
}

#[test]
fn every_scheme_is_analysed_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let calib = har("calib.npz");
    let data = [
        "--data", &calib, "--limit", "20", "--effort", "0", "--device", "cpu",
    ];
    let convs = ["--skip-op", "CONV_2D", "--skip-scheme"];
    let cases = [
        (
            "wide",
            [&data[..], &["--scheme", "int16x8"]].concat(),
            "int16x8",
        ),
        ("dynamic", vec!["--scheme", "dynamic"], "dynamic"),
        ("half", vec!["--scheme", "float16"], "float"),
        (
            "mixed",
            [&data[..], &convs, &["dynamic"]].concat(),
            "dynamic",
        ),
        (
            "mixed16",
            [&data[..], &convs, &["int16x8"]].concat(),
            "int16x8",
        ),
        ("bytes", [&data[..], &["--io", "int8"]].concat(), "int8"),
    ];
    for (name, options, scheme) in cases {
        let quantized = quantize(folder.path(), &format!("{name}.tflite"), &options);
        let report = debug(
            &quantized,
            &[
                "--limit",
                "6",
                "--device",
                "cpu",
                "--at-output-samples",
                "4",
            ],
        );
        assert_eq!(report["unmatched"], Value::Array(Vec::new()), "{name}");
        let ops = ops(&report);
        assert!(ops.iter().any(|op| op["scheme"] == scheme), "{name}");
        assert!(ops.iter().all(|op| !op["local"].is_null()), "{name}");
        // Something is quantized, so something is lost, and every operator with a loss was asked about.
        let lossy = |op: &&Value| op["local"]["mean_squared_error"].as_f64() > Some(0.0);
        assert!(ops.iter().filter(lossy).count() >= 4, "{name}");
        let inner = ["QUANTIZE"];
        let unasked = ops
            .iter()
            .filter(lossy)
            .filter(|op| op["at_output"].is_null());
        assert!(
            unasked
                .clone()
                .all(|op| inner.contains(&op["op_name"].as_str().unwrap())),
            "{name}"
        );
        assert!(
            report["at_output"]["quantized"]["loss"].as_f64() > Some(0.0),
            "{name}"
        );
        assert_eq!(report["at_output"]["float"]["loss"], 0.0, "{name}");
    }
}

#[test]
fn a_model_beside_itself_has_no_error() {
    let float = har("model.tflite");
    let report = debug(Path::new(&float), &["--limit", "5", "--device", "cpu"]);
    for op in ops(&report) {
        assert_eq!(op["cumulative"]["mean_squared_error"], 0.0);
        assert_eq!(op["local"]["mean_squared_error"], 0.0);
    }
    let verdict = report["verdict"][0].as_str().unwrap();
    assert!(verdict.contains("equal the float model's"), "{verdict}");
}

/// Rounding alone: the errors of many values that are spread over far more than a step.
#[test]
fn pure_rounding_is_a_step_over_root_twelve() {
    let folder = tempfile::tempdir().unwrap();
    let calib = har("calib.npz");
    let options = [
        "--data", &calib, "--effort", "0", "--scheme", "int16x8", "--device", "cpu",
    ];
    let quantized = quantize(folder.path(), "wide.tflite", &options);
    let (model, to) = (har("model.tflite"), quantized.display().to_string());
    // The samples that made the ranges: nothing is cut off.
    let ran = zeropoint(&[
        "debug",
        &model,
        &to,
        "--data",
        &calib,
        "--json",
        "--at-output",
        "off",
        "--device",
        "cpu",
    ])
    .success();
    let report: Value = serde_json::from_slice(&ran.get_output().stdout).unwrap();
    let input = ops(&report)
        .iter()
        .find(|op| op["op_name"] == "QUANTIZE")
        .unwrap();
    let rmse = input["local"]["rmse_over_scale"].as_f64().unwrap();
    assert!(near(rmse, 12f64.powf(-0.5), 0.01), "{rmse}");
}

#[test]
fn neither_batches_nor_threads_matter() {
    let folder = tempfile::tempdir().unwrap();
    let quantized = int8(folder.path());
    let with = |batch: &str| {
        let options = [
            "--limit",
            "10",
            "--device",
            "cpu",
            "--at-output-samples",
            "6",
            "--batch",
            batch,
        ];
        debug(&quantized, &options)
    };
    assert_eq!(with("1"), with("7"));
}

#[test]
fn devices_count_the_same_integers_and_nearly_the_same_errors() {
    if support::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let quantized = int8(folder.path());
    let with = |device: &str| {
        debug(
            &quantized,
            &["--limit", "4", "--at-output", "off", "--device", device],
        )
    };
    let (cpu, gpu) = (with("cpu"), with("gpu"));
    assert_eq!(ops(&cpu).len(), ops(&gpu).len());
    for (a, b) in ops(&cpu).iter().zip(ops(&gpu)) {
        for exact in ["codes", "at_ends", "tensor", "float_tensor", "scheme"] {
            assert_eq!(a[exact], b[exact], "{exact}");
        }
        for kind in ["local", "cumulative"] {
            let (x, y) = (&a[kind], &b[kind]);
            let size = x["mean_squared_error"].as_f64().unwrap().sqrt();
            let ends = ["min", "max"].map(|end| a["extremes"][end][0].as_f64().unwrap().abs());
            let largest = ends[0].max(ends[1]);
            for figure in [
                "mean_squared_error",
                "stddev",
                "max_abs_error",
                "mean_error",
            ] {
                let (x, y) = (x[figure].as_f64().unwrap(), y[figure].as_f64().unwrap());
                // A mean may be near 0, where only the size of the errors is a measure; the largest is that of one element,
                // which is off by the last bits of the reference itself.
                let room = match figure {
                    "mean_error" => 1e-5 * x.abs().max(size),
                    "max_abs_error" => 1e-5 * x.abs() + largest * 4.0 * f64::from(f32::EPSILON),
                    _ => 1e-5 * x.abs(),
                };
                assert!(
                    (x - y).abs() <= room + 1e-12,
                    "{kind} {figure} of {}: {x} {y}",
                    a["tensor_name"]
                );
            }
        }
    }
}

/// Ranges of gyroscope and accelerometer differ a hundredfold, and one scale holds both: the first convolutions are to blame,
/// not the LSTMs with their larger local errors.
#[test]
fn the_true_culprit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let quantized = int8(folder.path());
    let report = debug(
        &quantized,
        &["--limit", "64", "--device", "cpu", "--at-output", "all"],
    );
    let asked = report["at_output"]["ops"].as_array().unwrap();
    let name = |op: &Value| op["name"].as_str().unwrap().to_owned();
    assert!(
        name(&asked[0]).contains("CONV_2D") || name(&asked[0]).contains("input"),
        "{}",
        asked[0]
    );
    let alone = |op: &Value| op["alone_loss"].as_f64().unwrap();
    for op in asked.iter().filter(|op| name(op).contains("LSTM")) {
        assert!(alone(op) < 0.2 * alone(&asked[0]), "{op}");
    }
    // By local errors, the LSTMs are worst.
    let rmse = |op: &&Value| op["local"]["rmse_over_scale"].as_f64().unwrap_or(0.0);
    let worst = ops(&report)
        .iter()
        .max_by(|a, b| rmse(a).total_cmp(&rmse(b)))
        .unwrap();
    assert!(
        worst["op_name"].as_str().unwrap().contains("LSTM"),
        "{worst}"
    );
    let verdict = report["verdict"].as_array().unwrap();
    let blamed = verdict
        .iter()
        .find(|s| s.as_str().unwrap().starts_with("To blame"));
    let blamed = blamed.unwrap().as_str().unwrap();
    assert!(
        blamed.contains("CONV_2D") && !blamed.contains("LSTM"),
        "{blamed}"
    );
    assert!(
        verdict
            .iter()
            .any(|s| s.as_str().unwrap().contains("--skip-scheme int16x8"))
    );
    // Flips are samples whose classes differ, and no more than disagree.
    let decisions = &report["decisions"];
    let flips = decisions["flips"].as_array().unwrap();
    assert_eq!(
        flips.len() as u64,
        64 - decisions["agreeing"].as_u64().unwrap()
    );
    assert!(
        flips
            .iter()
            .all(|f| f["float_class"] != f["quantized_class"])
    );
}

#[test]
fn files_have_tensorflows_columns_first() {
    let folder = tempfile::tempdir().unwrap();
    let quantized = int8(folder.path());
    let (model, data) = (har("model.tflite"), har("eval.npz"));
    let quantized = quantized.display().to_string();
    let out = folder.path().join("report");
    let to = out.display().to_string();
    let fixed = [
        "debug",
        &model,
        &quantized,
        "--data",
        &data,
        "--limit",
        "3",
        "--device",
        "cpu",
        "--at-output",
        "off",
    ];
    let ran = zeropoint(&[&fixed[..], &["-o", &to]].concat()).success();
    let text = String::from_utf8_lossy(&ran.get_output().stdout).into_owned();
    assert!(
        !text.contains('\u{1b}'),
        "no colour where there is no terminal"
    );
    let csv = std::fs::read_to_string(out.join("errors.csv")).unwrap();
    let heading = csv.lines().next().unwrap();
    assert!(heading.starts_with(
        "op_name,tensor_idx,num_elements,stddev,mean_error,max_abs_error,mean_squared_error,scale,zero_point,tensor_name,range,rmse/scale,"
    ));
    let columns = heading.split(',').count();
    assert!(
        csv.lines().all(|line| line.split(',').count() == columns),
        "no name of the example has a comma"
    );
    let json: Value =
        serde_json::from_str(&std::fs::read_to_string(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 1 + ops(&json).len());
}

#[test]
fn another_rounding_is_compared_with_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let quantized = int8(folder.path());
    let options = [
        "--limit",
        "8",
        "--at-output",
        "off",
        "--numerics",
        "single-rounding",
        "--device",
        "cpu",
    ];
    let numerics = &debug(&quantized, &options)["numerics"];
    let figure = |name: &str| numerics[name].as_u64().unwrap();
    assert_eq!(figure("samples"), 8);
    assert!(
        figure("differing_codes") > 0 && figure("differing_codes") * 4 < figure("codes"),
        "{numerics}"
    );
}

#[test]
fn a_scheme_is_made_and_analysed_at_once() {
    let (model, data) = (har("model.tflite"), har("eval.npz"));
    let fixed = [
        "debug",
        &model,
        "--data",
        &data,
        "--limit",
        "4",
        "--at-output",
        "off",
        "--device",
        "cpu",
        "--json",
    ];
    for (scheme, name) in [
        ("dynamic", "dynamic"),
        ("int16x8", "int16x8"),
        ("float16", "float"),
    ] {
        let ran = zeropoint(&[&fixed[..], &["--scheme", scheme]].concat()).success();
        let report: Value = serde_json::from_slice(&ran.get_output().stdout).unwrap();
        assert!(
            ops(&report).iter().any(|op| op["scheme"] == name),
            "{scheme}"
        );
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (har("model.tflite"), har("eval.npz"));
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let file = file.display().to_string();
    let cases: [&[&str]; 7] = [
        &[&model, &model, "--json", "--csv"],
        &[&model, "--scheme", "dynamic", "--calibration-data", &data],
        &[&model, &model, "--at-output", "top:0"],
        &[&model, &model, "-o", &file],
        &[&model, &model, "--scores", "3"],
        &[&model],
        &[&model, &model, "--numerics", "xnnpack", "--device", "gpu"],
    ];
    for case in cases {
        let ran = zeropoint(&[&["debug", "--data", &data, "--limit", "2"][..], case].concat());
        let text = errors(&ran);
        ran.code(2);
        assert!(!text.contains("panicked"), "{text}");
    }
}

/// Figures of TensorFlow's debugger lie beside those of its int8 model, on the samples that calibrated it.
#[test]
fn local_errors_are_those_of_tensorflows_debugger() {
    let Some(shared) = support::shared() else {
        return;
    };
    for variant in ["deepconvlstm_gdps", "deepconvlstm_norm"] {
        let folder = shared.join("models").join(variant);
        let path = |name: &str| folder.join(name).display().to_string();
        let (model, quantized) = (path("model.tflite"), path("tensorflow/fiq.tflite"));
        let data = path("calib.npz");
        let fixed = [
            "debug",
            &model,
            &quantized,
            "--data",
            &data,
            "--at-output",
            "off",
            "--csv",
            "--device",
            "cpu",
        ];
        let table = |options: &[&str]| {
            let ran = zeropoint(&[&fixed[..], options].concat()).success();
            parse(&String::from_utf8_lossy(&ran.get_output().stdout))
        };
        let theirs =
            parse(&std::fs::read_to_string(folder.join("tensorflow/debugger.csv")).unwrap());
        let tables = [table(&[]), table(&["--carry-state"])].map(|mut t| {
            t.retain(|row| row.0 != "QUANTIZE");
            t
        });
        for (i, (name, mse, over_scale)) in theirs.iter().enumerate() {
            let [(_, reset, reset_over), (_, carried, carried_over)] =
                tables.each_ref().map(|t| &t[i]);
            // Moves have no error; theirs is the rounding of a dequantization.
            if ["RESHAPE", "STRIDED_SLICE"].contains(&name.as_str()) {
                assert!(*carried <= *mse && *mse < 1e-12);
                continue;
            }
            // Their states go on from sample to sample, and their interpreter rounds as XNNPACK does.
            assert!(
                near(*mse, *carried, 0.01),
                "{variant} {name} {mse} {carried}"
            );
            assert!(near(*over_scale, *carried_over, 0.01));
            // What reads an LSTM depends on its state.
            if !["UNIDIRECTIONAL_SEQUENCE_LSTM", "FULLY_CONNECTED"].contains(&name.as_str()) {
                assert!(near(*mse, *reset, 0.02), "{variant} {name} {mse} {reset}");
                assert!(near(*over_scale, *reset_over, 0.05));
            }
        }
    }
}

/// Operator, mean squared error and RMSE over scale of each row.
fn parse(csv: &str) -> Vec<(String, f64, f64)> {
    let mut lines = csv.lines();
    let heading: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| heading.iter().position(|h| *h == name).unwrap();
    let (mse, over_scale) = (at("mean_squared_error"), at("rmse/scale"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            (
                cells[0].to_owned(),
                cells[mse].parse().unwrap(),
                cells[over_scale].parse().unwrap(),
            )
        })
        .collect()
}
