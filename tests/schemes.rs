//! Every scheme on the example, through the program: LiteRT's reference kernels must run what is written, to the same
//! integers, and to floats within 10⁻⁴ of their range.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use support::{errors, har, quantize, zeropoint};

const SAMPLES: &str = "8";

#[test]
fn litert_runs_every_scheme() {
    let Some(python) = support::python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (calib, eval) = (har("calib.npz"), har("eval.npz"));
    let data = ["--data", &calib, "--limit", "40", "--device", "cpu"];
    let schemes: [(&str, Vec<&str>); 6] = [
        ("float16", vec!["--scheme", "float16"]),
        ("weights", vec!["--scheme", "weight-only"]),
        ("int8", data.to_vec()),
        ("convs", [&data[..], &["--skip-op", "conv_2d"]].concat()),
        (
            "dense",
            [&data[..], &["--only", "FULLY_CONNECTED"]].concat(),
        ),
        ("lstm", [&data[..], &["--skip-node", "lstm1?$"]].concat()),
    ];
    let mut jobs = Vec::new();
    for (name, options) in &schemes {
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
            "model": model, "data": eval, "limit": 8, "out": theirs, "ours": ours,
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
        &[&["--data", &calib][..], &limit].concat(),
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
        text.contains("6 operators int8") && text.contains("4 float"),
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
    assert_eq!(done["plan"], planned);
    zeropoint(&["plan", &model, "--scheme", "float16"]).code(2);
}

/// Options that a scheme has no use for are refused, and so is a scheme without what it needs.
#[test]
fn options_are_honoured_or_refused() {
    let (model, calib) = (har("model.tflite"), har("calib.npz"));
    let quantize = ["quantize", &model];
    for (options, why) in [
        (vec![], "--data or --calibration"),
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
    ] {
        let refused = zeropoint(&[&quantize[..], &options].concat()).code(2);
        let error = errors(&refused);
        assert!(error.contains(why), "{options:?}: {error}");
    }
}
