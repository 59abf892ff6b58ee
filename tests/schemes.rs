//! Every scheme on the example, through the program: LiteRT's reference kernels must run what is written, to the same
//! integers, and to floats within 10⁻⁴ of their range.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use support::{errors, har, quantize, zeropoint};

const SAMPLES: &str = "8";
const WIDE_CONVS: [&str; 4] = ["--skip-op", "CONV_2D", "--skip-scheme", "int16x8"];
const DYNAMIC_CONVS: [&str; 4] = ["--skip-op", "CONV_2D", "--skip-scheme", "dynamic"];

#[test]
fn litert_runs_every_scheme() {
    let Some(python) = support::python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (calib, eval) = (har("calib.npz"), har("eval.npz"));
    let data = ["--data", &calib, "--limit", "40", "--device", "cpu"];
    // What ranges are does not matter here; two schemes have those that are found by a search, and corrected biases.
    let searched = |options: &[&'static str]| [&data[..], options].concat();
    let by_data = |options: &[&'static str]| [&data[..], &["--effort", "0"], options].concat();
    let wide = ["--scheme", "int16x8"];
    // Floats within this part of their range. A dynamic LSTM turns roundings of its floats into other codes of a row.
    let (exact, codes) = (1e-4, 5e-2);
    let schemes = [
        ("float16", vec!["--scheme", "float16"], exact),
        ("weights", vec!["--scheme", "weight-only"], exact),
        ("int8", by_data(&[]), exact),
        ("searched", searched(&[]), exact),
        ("wide-searched", searched(&wide), exact),
        ("convs", by_data(&["--skip-op", "conv_2d"]), exact),
        ("dense", by_data(&["--only", "FULLY_CONNECTED"]), exact),
        ("lstm", by_data(&["--skip-node", "lstm1?$"]), exact),
        ("tensors", by_data(&["--per-tensor-weights"]), exact),
        ("bytes", by_data(&["--io", "int8"]), exact),
        ("unsigned", by_data(&["--io", "uint8"]), exact),
        ("dynamic", vec!["--scheme", "dynamic"], codes),
        ("wide", by_data(&wide), exact),
        (
            "wide-io",
            by_data(&[&wide[..], &["--io", "int16"]].concat()),
            exact,
        ),
        (
            "wide-bytes",
            by_data(&[&wide[..], &["--io", "int8"]].concat()),
            exact,
        ),
        (
            "wide-unsigned",
            by_data(&[&wide[..], &["--io", "uint8"]].concat()),
            exact,
        ),
        (
            "wide-float",
            by_data(&[&wide[..], &["--fallback", "float"]].concat()),
            exact,
        ),
        (
            "wide-convs",
            by_data(&[&WIDE_CONVS[..], &["--io", "int16"]].concat()),
            exact,
        ),
        (
            "wide-convs-unsigned",
            by_data(&[&WIDE_CONVS[..], &["--io", "uint8"]].concat()),
            exact,
        ),
        ("dynamic-convs", by_data(&DYNAMIC_CONVS), codes),
        (
            "dynamic-convs-unsigned",
            by_data(&[&DYNAMIC_CONVS[..], &["--io", "uint8"]].concat()),
            codes,
        ),
    ];
    let mut jobs = Vec::new();
    for (name, options, tolerance) in &schemes {
        let model = quantize(folder.path(), name, options);
        let model = model.display().to_string();
        let path = |kind: &str| folder.path().join(format!("{name}-{kind}.npz"));
        let (ours, theirs) = (path("ours"), path("theirs"));
        let to = ours.display().to_string();
        let run = [
            "run", &model, "--data", &eval, "-o", &to, "--limit", SAMPLES,
        ];
        let options = ["--all-tensors", "--device", "cpu"];
        zeropoint(&[&run[..], &options].concat()).success();
        jobs.push(serde_json::json!({
            "model": model, "data": eval, "limit": 8, "out": theirs, "ours": ours, "tolerance": tolerance,
            // Integers of floats that are equal within the tolerance alone.
            "steps": if *name == "wide-float" || name.starts_with("dynamic-") { 8 } else { 0 },
        }));
    }
    support::judge_by_litert(&python, &jobs, 8);
}

/// Where an operator would stay float, it is listed with its reason, and nothing is written.
#[test]
fn integer_only_lists_what_stays_float() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("q.tflite").display().to_string();
    let (model, calib) = (har("model.tflite"), har("calib.npz"));
    let arguments = [
        "quantize",
        &model,
        "--scheme",
        "int8-only",
        "--data",
        &calib,
        "-o",
        &to,
        "--limit",
        "5",
        "--device",
        "cpu",
    ];
    let refused = zeropoint(&[&arguments[..], &["--skip-op", "SOFTMAX"]].concat()).code(2);
    let error = errors(&refused);
    assert!(error.contains("SOFTMAX (operator 9): as asked"), "{error}");
    assert!(!Path::new(&to).exists());
    zeropoint(&[&arguments[..], &["--io", "float"]].concat()).code(2);
    zeropoint(&arguments).success();
    let written = zeropoint::model::read(Path::new(&to)).unwrap();
    let tensors = written.subgraphs.unwrap().remove(0).tensors.unwrap();
    let float = tensors.iter().filter(|t| t.type_ == 0);
    // Intermediates of LSTMs, which hold nothing.
    assert!(float.clone().all(|t| t.shape.as_deref() == Some(&[0])));
}

/// One pass over the data serves any number of models; a file of another model is refused.
#[test]
fn ranges_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, calib, statistics) = (har("model.tflite"), har("calib.npz"), path("stats.json"));
    let limit = ["--limit", "30", "--device", "cpu"];
    let calibrate = ["calibrate", &model, "--data", &calib, "-o", &statistics];
    zeropoint(&[&calibrate[..], &limit].concat()).success();
    let by_data = quantize(
        folder.path(),
        "data",
        &[&["--data", &calib, "--effort", "0"][..], &limit].concat(),
    );
    let by_file = quantize(folder.path(), "file", &["--calibration", &statistics]);
    assert_eq!(
        std::fs::read(by_data).unwrap(),
        std::fs::read(by_file).unwrap()
    );
    let other = path("file");
    let refused = zeropoint(&["quantize", &other, "--calibration", &statistics]).code(2);
    let error = errors(&refused);
    assert!(error.contains("another model"), "{error}");
}

/// What `plan` shows is what `quantize` does, and it writes nothing.
#[test]
fn a_plan_is_shown_before_it_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let (model, calib) = (har("model.tflite"), har("calib.npz"));
    let options = [
        "--data",
        &calib,
        "--limit",
        "10",
        "--device",
        "cpu",
        "--skip-op",
        "CONV_2D",
    ];
    let plan = ["plan", &model];
    let shown = zeropoint(&[&plan[..], &options].concat()).success();
    let text = String::from_utf8_lossy(&shown.get_output().stdout).into_owned();
    let line = |start: &str| {
        text.lines()
            .find(|l| l.trim_start().starts_with(start))
            .unwrap()
    };
    assert!(line("3  CONV_2D").contains("float") && line("3  CONV_2D").contains("as asked"));
    assert!(
        line("9  SOFTMAX").contains("fixed by the specification"),
        "{text}"
    );
    assert!(
        text.contains("operators float (") && text.contains(" 6 int8 ("),
        "{text}"
    );
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = zeropoint(arguments).success();
        serde_json::from_slice(&output.get_output().stdout).unwrap()
    };
    let to = folder.path().join("q.tflite").display().to_string();
    let quantize = ["quantize", &model, "-o", &to, "--json"];
    let done = json(&[&quantize[..], &options].concat());
    let planned = json(&[&["plan", &model, "--json"], &options[..]].concat());
    assert_eq!(done["plan"], planned["plan"]);
    zeropoint(&["plan", &model, "--scheme", "float16"]).code(2);
}

/// Options that a scheme has no use for are refused, and so is a scheme without what it needs.
#[test]
fn options_are_honoured_or_refused() {
    let (model, calib) = (har("model.tflite"), har("calib.npz"));
    let classes = har("classes.txt");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("q.tflite").display().to_string();
    let quantize = ["quantize", &model, "-o", &out];
    for (options, why) in [
        (vec![], "--data or --calibration"),
        (
            vec!["--scheme", "float16", "--fallback", "float"],
            "leave out --fallback",
        ),
        (
            vec!["--data", &calib, "--dynamic-rows", "column"],
            "--dynamic-rows is for operators",
        ),
        (
            vec!["--scheme", "dynamic", "--fallback", "float"],
            "--fallback is for operators",
        ),
        (
            vec!["--scheme", "float16", "--data", &calib],
            "leave out --data",
        ),
        (
            vec!["--scheme", "weight-only", "--io", "int8"],
            "leave out --io",
        ),
        (
            vec!["--data", &calib, "--skip-node", "("],
            "--skip-node '('",
        ),
        (vec!["--limit", "3"], "--data"),
        (
            vec!["--scheme", "float16", "--batch", "2"],
            "leave out the options of devices",
        ),
        (
            vec!["--calibration", &calib, "--device", "cpu"],
            "leave out the options of devices",
        ),
        (
            vec!["--scheme", "dynamic", "--data", &calib],
            "leave out --data",
        ),
        (
            vec!["--scheme", "dynamic", "--device", "cpu"],
            "leave out the options of devices",
        ),
        (
            vec!["--scheme", "dynamic", "--io", "int8"],
            "--data or --calibration",
        ),
        (vec!["--scheme", "int16x8"], "--data or --calibration"),
        (
            vec!["--data", &calib, "--skip-scheme", "dynamic"],
            "--skip-scheme is for what",
        ),
        (
            vec!["--scheme", "weight-only", "--per-tensor-weights"],
            "leave out --per-tensor-weights",
        ),
        (
            vec!["--scheme", "float16", "--no-fallback"],
            "leave out --no-fallback",
        ),
        (
            vec!["--no-fallback", "--fallback", "int8"],
            "cannot be used with",
        ),
        (
            vec!["--plan", &calib, "--data", &calib],
            "cannot be used with",
        ),
        (
            vec!["--plan", &calib, "--device", "cpu"],
            "leave out the options of devices",
        ),
        (vec!["--plan", &classes], "not a plan"),
    ] {
        let refused = zeropoint(&[&quantize[..], &options].concat()).code(2);
        let error = errors(&refused);
        assert!(error.contains(why), "{options:?}: {error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What cannot have the scheme that it was to have is listed, before data is read, and nothing is written.
#[test]
fn without_a_fallback_all_that_need_one_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("q.tflite").display().to_string();
    let (model, calib) = (har("model.tflite"), har("calib.npz"));
    let wide = ["--scheme", "int16x8", "--no-fallback"];
    let given = ["quantize", &model, "--data", &calib, "-o", &to];
    let refused = zeropoint(&[&given[..], &wide].concat()).code(2);
    let error = errors(&refused);
    for lstm in ["(operator 5)", "(operator 6)"] {
        let line = format!("UNIDIRECTIONAL_SEQUENCE_LSTM {lstm} as int16x8: ");
        assert!(error.contains(&line), "{error}");
    }
    assert_eq!(error.matches("(operator ").count(), 2, "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // Without the LSTMs it can be done.
    let rest = ["--skip-node", "lstm1?$", "--limit", "5", "--device", "cpu"];
    zeropoint(&[&given[..], &wide, &rest].concat()).success();
}
