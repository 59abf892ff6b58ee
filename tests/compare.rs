//! `zeropoint compare` as a user calls it: the figures of `evaluate` and `verify`, the same for every batch, a page that
//! needs nothing else, and refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use support::{errors, har, zeropoint};
use zeropoint::data::NpzWriter;
use zeropoint::num::Values;

/// Samples that are compared.
const LIMIT: &str = "30";

/// The example in four schemes, made once: int8 with float and with int8 outside, dynamic range, float16.
fn models() -> [&'static Path; 4] {
    static FILES: LazyLock<(tempfile::TempDir, [PathBuf; 4])> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let calib = har("calib.npz");
        let data = [
            "--data", &calib, "--limit", "12", "--effort", "0", "--device", "cpu",
        ];
        let int8 =
            |name, io| support::quantize(folder.path(), name, &[&data[..], &["--io", io]].concat());
        let scheme = |name, scheme| support::quantize(folder.path(), name, &["--scheme", scheme]);
        let files = [
            int8("int8.tflite", "float"),
            int8("bytes.tflite", "uint8"),
            scheme("dynamic.tflite", "dynamic"),
            scheme("float16.tflite", "float16"),
        ];
        (folder, files)
    });
    FILES.1.each_ref().map(PathBuf::as_path)
}

/// Arguments behind a command's name and the float model.
fn command<'a>(name: &'a str, models: &[&'a Path], more: &[&'a str]) -> Vec<String> {
    let models = models.iter().map(|m| m.display().to_string());
    let fixed = [
        "--data".to_owned(),
        har("eval.npz"),
        "--device".to_owned(),
        "cpu".to_owned(),
    ];
    let first = [name.to_owned(), har("model.tflite")];
    let more = more.iter().map(|&word| word.to_owned());
    first
        .into_iter()
        .chain(models)
        .chain(fixed)
        .chain(more)
        .collect()
}

fn ran(arguments: &[String]) -> assert_cmd::assert::Assert {
    zeropoint(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

fn text(arguments: &[String]) -> String {
    let ran = ran(arguments).success();
    String::from_utf8(ran.get_output().stdout.clone()).unwrap()
}

fn json(arguments: &[String]) -> Value {
    serde_json::from_str(&text(arguments)).unwrap()
}

#[test]
fn figures_are_those_of_evaluate_and_verify() {
    let models = models();
    let more = [
        "--limit",
        LIMIT,
        "--json",
        "--metric",
        "accuracy,f1,top5",
        "--metric",
        "agreement,rmse,sqnr,cosine,max-error,auc",
    ];
    let compared = json(&command("compare", &models, &more));
    assert_eq!(compared["schema_version"], 1);
    assert_eq!(compared["samples"], 30);
    assert_eq!(compared["labels"], true);
    assert_eq!(compared["scores"]["elements"], 7);
    let names: Vec<&str> = compared["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "accuracy",
            "f1",
            "top5",
            "agreement",
            "rmse",
            "sqnr",
            "cosine",
            "max-error",
            "auc"
        ]
    );
    let evaluated = json(&command("evaluate", &models, &["--limit", LIMIT, "--json"]));
    let all = [&compared["float"]]
        .into_iter()
        .chain(compared["models"].as_array().unwrap());
    let all: Vec<&Value> = all.collect();
    assert_eq!(all.len(), 5);
    for (ours, theirs) in all.iter().zip(evaluated["models"].as_array().unwrap()) {
        assert_eq!(
            (&ours["file"], &ours["bytes"]),
            (&theirs["file"], &theirs["bytes"])
        );
        let (metrics, wanted) = (&ours["metrics"], &theirs["metrics"]);
        assert_eq!(metrics["accuracy"], wanted["accuracy"]);
        assert_eq!(metrics["f1"], wanted["macro_f1"]);
        assert_eq!(metrics["top5"], wanted["top5_accuracy"]);
        assert_eq!(ours["confusion"], wanted["confusion"]);
        assert!((0.5..=1.0).contains(&metrics["auc"].as_f64().unwrap()));
        assert!(ours["time"]["seconds_per_sample"].as_f64() > Some(0.0));
    }
    let accuracy = |model: &Value| model["metrics"]["accuracy"].as_f64().unwrap() * 30.0;
    for (ours, path) in all[1..].iter().zip(models) {
        let verified = json(&command("verify", &[path], &["--limit", LIMIT, "--json"]));
        assert_eq!(ours["outputs"], verified["outputs"], "{}", path.display());
        let d = &verified["outputs"][0];
        let metrics = &ours["metrics"];
        assert_eq!(metrics["agreement"], d["arg_max_agreement"]);
        assert_eq!(metrics["sqnr"], d["sqnr_db"]);
        assert_eq!(metrics["cosine"], d["cosine"]);
        assert_eq!(metrics["rmse"], d["rmse"]);
        assert_eq!(metrics["max-error"], d["max_abs_error"]);
        let flips = &ours["flips"];
        let count = |key: &str| flips[key].as_u64().unwrap();
        assert_eq!(
            count("flipped"),
            30 - d["arg_max_agreeing"].as_u64().unwrap()
        );
        let gained = count("became_right") as f64 - count("became_wrong") as f64;
        assert!((accuracy(ours) - accuracy(all[0]) - gained).abs() < 1e-9);
    }
}

/// The example by hand: two LSTMs, convolutions and a dense layer of 896 weights, which dynamic range leaves alone as it does
/// the first convolution.
#[test]
fn multiply_adds_are_told_by_what_they_are_computed_in() {
    let compared = json(&command("compare", &models(), &["--limit", "2", "--json"]));
    let counts = |model: &Value| {
        ["integer", "dynamic", "float"].map(|kind| model["multiply_adds"][kind].as_u64().unwrap())
    };
    let first = 64 * 6 * 5 * 124;
    let convs = 64 * 6 * 5 * 64 * (120 + 116 + 112);
    let cells = 112 * 4 * 128 * ((384 + 128) + (128 + 128));
    let all = first + convs + cells + 7 * 128;
    assert_eq!(counts(&compared["float"]), [0, 0, all]);
    let models = &compared["models"];
    assert_eq!(counts(&models[0]), [all, 0, 0]);
    assert_eq!(counts(&models[1]), [all, 0, 0]);
    assert_eq!(counts(&models[2]), [0, convs + cells, first + 7 * 128]);
    assert_eq!(counts(&models[3]), [0, 0, all]);
}

/// Takes out what is called `time`.
fn without_time(value: &mut Value) {
    match value {
        Value::Object(all) => {
            all.remove("time");
            all.values_mut().for_each(without_time);
        }
        Value::Array(all) => all.iter_mut().for_each(without_time),
        _ => {}
    }
}

#[test]
fn the_batch_changes_nothing_but_the_time() {
    let models = models();
    let told = ["1", "7", "100"].map(|batch| {
        let mut told = json(&command(
            "compare",
            &models,
            &["--limit", "12", "--json", "--batch", batch],
        ));
        let used = told["time"]["batch"].as_u64().unwrap();
        assert_eq!(used.to_string(), batch);
        without_time(&mut told);
        serde_json::to_string(&told).unwrap()
    });
    assert!(!told[0].contains("seconds"));
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

#[test]
fn the_page_has_every_model_and_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let models = models();
    let (to, classes) = (folder.path().display().to_string(), har("classes.txt"));
    let more = ["--limit", "20", "--html", &to, "--class-names", &classes];
    let out = text(&command("compare", &models, &more));
    let page = std::fs::read_to_string(folder.path().join("model.html")).unwrap();
    let html = page.replace("http://www.w3.org/2000/svg", "");
    for reference in [
        "http", "src=", "href=", "url(", "@import", "<script", "<link",
    ] {
        assert!(!html.contains(reference), "{reference}");
    }
    for word in ["model.tflite", "PEN", "class=\"confusion\"", "</html>"] {
        assert!(html.contains(word), "no {word}");
    }
    for model in models {
        let name = model.file_name().unwrap().to_str().unwrap();
        assert!(html.contains(&format!("<td>{name}</td>")), "{name}");
        assert!(out.contains(name), "{name} in {out}");
    }
    // Five metrics and the size.
    assert_eq!(html.matches("<svg").count(), 6);
    assert_eq!(html.matches("class=\"confusion\"").count(), 5);
    for words in [
        "what they answer",
        "what they cost",
        "within one point of float by accuracy",
        "not of the runtime",
    ] {
        assert!(out.contains(words), "no '{words}' in {out}");
    }
    assert!(!out.contains('\u{1b}'), "colour without a terminal");
}

#[test]
fn without_labels_models_are_compared_with_the_float_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("d.npz");
    let mut writer = NpzWriter::create(&data).unwrap();
    let values = (0..3 * 768).map(|i| ((i * 37 % 101) as f32 - 50.0) / 20.0);
    writer
        .append("input_0", &[128, 6, 1], &Values::F32(values.collect()))
        .unwrap();
    writer.finish().unwrap();
    let (float, int8, data) = (
        har("model.tflite"),
        models()[0].display().to_string(),
        data.display().to_string(),
    );
    let base = ["compare", &float, &int8, "--data", &data, "--device", "cpu"].map(str::to_owned);
    let told = json(&[&base[..], &["--json".to_owned()]].concat());
    let names: Vec<&str> = told["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["agreement", "sqnr", "cosine"]);
    assert_eq!(told["models"][0]["flips"]["became_right"], Value::Null);
    assert_eq!(told["models"][0]["confusion"], Value::Null);
    let refused =
        ran(&[&base[..], &["--metric".to_owned(), "accuracy".to_owned()]].concat()).code(2);
    let said = errors(&refused);
    assert!(
        said.contains("d.npz") && said.contains("labels") && said.contains("accuracy"),
        "{said}"
    );
}

#[test]
fn refusals_have_exit_code_2_and_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let [int8, ..] = models();
    let refuse = |arguments: Vec<String>, words: &[&str]| {
        let ran = ran(&arguments).code(2);
        assert!(ran.get_output().stdout.is_empty());
        let said = errors(&ran);
        for word in words {
            assert!(said.contains(word), "no '{word}' in {said}");
        }
    };
    refuse(command("compare", &[], &[]), &["QUANTIZED"]);
    let metric = |name| command("compare", &[int8], &["--limit", "2", "--metric", name]);
    refuse(
        metric("accurancy"),
        &["accurancy", "accuracy, f1, top5, auc", "max-error"],
    );
    // The label of the twentieth sample is 2.
    let areas = ["--limit", "20", "--metric", "auc-max"];
    refuse(
        command("compare", &[int8], &areas),
        &["label", "auc-max", "model.tflite"],
    );
    refuse(
        command("compare", &[int8], &["--scores", "1"]),
        &["output 1", "--scores"],
    );
    let names = folder.path().join("names.txt");
    std::fs::write(&names, "one\n").unwrap();
    let page = folder.path().join("p.html").display().to_string();
    let more = ["--html", &page, "--class-names", names.to_str().unwrap()];
    refuse(command("compare", &[int8], &more), &["has 1 names"]);
    let itself = int8.display().to_string();
    refuse(
        command("compare", &[int8], &["--html", &itself]),
        &["input of this command", "--html"],
    );
    // Another model: it stops before the softmax's classes are made.
    let mut other = zeropoint::model::read(int8).unwrap();
    let graph = &mut other.subgraphs.as_mut().unwrap()[0];
    let hidden = graph.operators.as_ref().unwrap()[2].outputs.clone();
    graph.outputs = hidden;
    other.signature_defs = None;
    let path = folder.path().join("other.tflite");
    zeropoint::model::write(&path, &other).unwrap();
    refuse(
        command("compare", &[int8, &path], &[]),
        &["model.tflite", "other.tflite", "[1, 7]", "shapes"],
    );
    assert!(!folder.path().join("p.html").exists());
}
