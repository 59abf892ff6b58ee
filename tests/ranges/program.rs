//! `quantize --method` and recipes, on the example.

use super::support;
use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

fn har(file: &str) -> String {
    let path = support::root().join("examples/har").join(file);
    path.display().to_string()
}

fn zeropoint(arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zeropoint"));
    command.args(arguments).assert()
}

/// Refused with these words, and nothing written.
fn refused(arguments: &[&str], words: &[&str]) {
    let refused = zeropoint(arguments).code(2);
    let error = String::from_utf8_lossy(&refused.get_output().stderr).into_owned();
    for word in words {
        assert!(error.contains(word), "no '{word}' in: {error}");
    }
}

const LIMIT: [&str; 4] = ["--limit", "40", "--device", "cpu"];

/// Quantizes the example; returns the activations of the plan.
fn quantize(to: &str, options: &[&str]) -> Vec<Value> {
    let (model, data) = (har("model.tflite"), har("calib.npz"));
    let fixed = ["quantize", &model, "--data", &data, "-o", to];
    zeropoint(&[&fixed, &LIMIT[..], options].concat()).success();
    activations(to)
}

fn activations(model: &str) -> Vec<Value> {
    let plan = std::fs::read_to_string(Path::new(model).with_extension("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    plan["plan"]["activations"].as_array().unwrap().clone()
}

fn scale(activation: &Value) -> f64 {
    activation["scale"].as_f64().unwrap()
}

fn is_chosen(activation: &Value) -> bool {
    activation["why"].get("chosen").is_some()
}

#[test]
fn percentiles_narrow_ranges_and_litert_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let all = quantize(&path("all.tflite"), &["--effort", "0"]);
    let cut = quantize(&path("cut.tflite"), &["--method", "percentile:0.1,99.9"]);
    assert_eq!(all.len(), cut.len());
    for (a, b) in all.iter().zip(&cut) {
        assert!(scale(b) <= scale(a), "{b}");
        assert_eq!(
            is_chosen(b),
            a["dtype"] == "i8" && a["why"].get("range").is_some(),
            "{b}"
        );
        // Cell states and what is fixed or follows from another stay.
        assert!(is_chosen(b) || a["why"] == b["why"], "{b}");
    }
    assert!(scale(&cut[0]) < 0.9 * scale(&all[0]), "{}", cut[0]);
    let wide = path("wide.tflite");
    quantize(&wide, &["--scheme", "int16x8", "--method", "mse"]);
    let Some(python) = support::python() else {
        return;
    };
    let eval = har("eval.npz");
    let jobs = ["cut", "wide"].map(|name| {
        let (model, ours, theirs) = (
            path(&format!("{name}.tflite")),
            path(&format!("{name}-ours.npz")),
            path(&format!("{name}-theirs.npz")),
        );
        let run = ["run", &model, "--data", &eval, "-o", &ours, "--limit", "8"];
        zeropoint(&[&run[..], &["--all-tensors", "--device", "cpu"]].concat()).success();
        serde_json::json!({ "model": model, "data": eval, "limit": 8, "out": theirs, "ours": ours })
    });
    support::judge_by_litert(&python, &jobs, 8);
}

#[test]
fn histograms_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, data) = (har("model.tflite"), har("calib.npz"));
    let (full, bare) = (path("full.zpc"), path("bare.zpc"));
    let calibrate = ["calibrate", &model, "--data", &data];
    zeropoint(&[&calibrate[..], &LIMIT, &["-o", &full]].concat()).success();
    zeropoint(&[&calibrate[..], &LIMIT, &["-o", &bare, "--ranges-only"]].concat()).success();
    for method in [
        "mse",
        "entropy",
        "percentile:1,99",
        "histogram-mse-max-frequency",
    ] {
        let (now, then) = (path("now.tflite"), path("then.tflite"));
        quantize(&now, &["--method", method]);
        let from_file = ["quantize", &model, "--calibration", &full, "-o", &then];
        zeropoint(&[&from_file[..], &["--method", method]].concat()).success();
        assert_eq!(
            std::fs::read(&now).unwrap(),
            std::fs::read(&then).unwrap(),
            "{method}"
        );
        let plan = ["plan", &model, "--calibration", &full, "--method", method];
        let shown = zeropoint(&plan).success();
        let text = String::from_utf8_lossy(&shown.get_output().stdout).into_owned();
        let why = format!("{} [", method.parse::<zeropoint::ranges::Choice>().unwrap());
        assert!(text.contains(&why), "no '{why}' in: {text}");
    }
    let never = path("never.tflite");
    let from_bare = ["quantize", &model, "--calibration", &bare, "-o", &never];
    refused(
        &[&from_bare[..], &["--method", "mse"]].concat(),
        &["bare.zpc", "ranges alone", "mse", "--ranges-only", "--data"],
    );
    assert!(!Path::new(&never).exists());
    zeropoint(&[&from_bare[..], &["--method", "minmax"]].concat()).success();
}

#[test]
fn rules_give_single_operators_their_method() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let recipe = path("recipe.toml");
    let of = |text: &str, name: &str| {
        std::fs::write(&recipe, text).unwrap();
        quantize(&path(name), &["--recipe", &recipe])
    };
    let rule = "[[rule]]\nop = 'CONV_2D'\nmethod = 'percentile:5,95'\n";
    let plain = of("version = 1\nmethod = 'minmax'\n", "plain.tflite");
    let convs = of(
        &format!("version = 1\nmethod = 'minmax'\n{rule}"),
        "convs.tflite",
    );
    let others = of(
        &format!("version = 1\nmethod = 'mse'\n{rule}"),
        "others.tflite",
    );
    let method = |a: &Value| a["why"]["chosen"]["method"].as_str().map(str::to_owned);
    let of_convs: Vec<bool> = convs.iter().map(is_chosen).collect();
    assert_eq!(of_convs.iter().filter(|&&chosen| chosen).count(), 4);
    for ((a, b), c) in plain.iter().zip(&convs).zip(&others) {
        match is_chosen(b) {
            true => assert_eq!(method(c).as_deref(), Some("percentile:5,95")),
            false => {
                // Also where it inherits from a convolution.
                assert_eq!(a["why"], b["why"]);
                assert!(method(c).is_none_or(|m| m == "mse"));
            }
        }
    }
    // The input has no operator: the method of the whole applies.
    assert_eq!(method(&others[0]).as_deref(), Some("mse"));
    let (model, data) = (har("model.tflite"), har("calib.npz"));
    std::fs::write(&recipe, "version = 1\n[[rule]]\nmethod = 'kl'\n").unwrap();
    refused(
        &["plan", &model, "--data", &data, "--recipe", &recipe],
        &["recipe.toml", "'kl'", "entropy", "percentile:LOW,HIGH"],
    );
}

#[test]
fn methods_without_a_meaning_are_refused() {
    let (model, data) = (har("model.tflite"), har("calib.npz"));
    let fixed = ["plan", &model, "--data", &data];
    refused(
        &[&fixed[..], &["--method", "kl"]].concat(),
        &["'kl'", "minmax", "entropy", "histogram-mse-symmetric"],
    );
    refused(
        &[&fixed[..], &["--method", "percentile:9"]].concat(),
        &["two percentages"],
    );
    let dynamic = ["plan", &model, "--scheme", "dynamic", "--method", "mse"];
    refused(&dynamic, &["nothing to choose"]);
    let float16 = ["quantize", &model, "--scheme", "float16", "--method", "mse"];
    refused(&float16, &["leave out --method"]);
}
