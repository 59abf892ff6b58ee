//! Files of statistics: where they come from, merging, and ranges by name.

use crate::{calibrate, example, shard, statistics};
use assert_cmd::Command;
use std::path::Path;
use zeropoint::calibrate::StatisticsFile;
use zeropoint::data::NpzWriter;

/// A refusal with exit code 2: nothing on stdout, and these words on stderr.
fn refused(arguments: &[&str], words: &[&str]) {
    let (code, out, err) = calibrate(arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
    for word in words {
        assert!(err.contains(word), "no '{word}' in: {err}");
    }
}

/// As [`calibrate`], without the choice of a device, which only data needs.
fn without_data(model: &str, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zeropoint"));
    let output = command.args(["calibrate", model]).args(arguments).output();
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A folder with statistics of two parts of the data, `a.zpc` and `b.zpc`, and paths in it.
struct Parts(tempfile::TempDir);

impl Parts {
    fn new(options: &[&str]) -> Parts {
        let parts = Parts(tempfile::tempdir().unwrap());
        for (name, from, to) in [("a", 0, 7), ("b", 7, 12)] {
            let data = shard(parts.0.path(), from, to).display().to_string();
            let to = parts.path(&format!("{name}.zpc"));
            let (code, _, err) = calibrate(&[&["--data", &data, "-o", &to], options].concat());
            assert_eq!(code, 0, "{err}");
        }
        parts
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    /// Changes a text file.
    fn rewrite(&self, from: &str, to: &str, change: impl Fn(&str) -> String) -> String {
        let text = String::from_utf8(self.bytes(from)).unwrap();
        std::fs::write(self.path(to), change(&text)).unwrap();
        self.path(to)
    }

    fn exists(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }
}

#[test]
fn parts_merge_on_the_command_line_to_what_all_samples_give() {
    let parts = Parts::new(&[]);
    let model = example("model.tflite").display().to_string();
    let [a, b] = ["a.zpc", "b.zpc"].map(|name| parts.path(name));
    for (files, to) in [([&a, &b], "ab.zpc"), ([&b, &a], "ba.zpc")] {
        let to = parts.path(to);
        let merge = ["--merge", files[0], "--merge", files[1], "-o", &to];
        let (code, out, err) = without_data(&model, &merge);
        assert_eq!((code, err.as_str()), (0, ""));
        for word in [
            "statistics of 12 samples",
            "7 samples of 0.npz",
            "5 samples of 7.npz",
        ] {
            assert!(out.contains(word), "{out}");
        }
    }
    assert!(
        parts.bytes("ab.zpc") == parts.bytes("ba.zpc"),
        "the order matters"
    );
    let merged = String::from_utf8(parts.bytes("ab.zpc")).unwrap();
    let merged = StatisticsFile::parse(&merged).unwrap();
    let all = statistics(&example("calib.npz"), &["--limit", "12"]);
    assert_eq!(merged.tensors, all.tensors);
    assert_eq!((merged.samples, merged.sources.len()), (12, 2));
    // New samples and a file.
    let data = parts.path("0.npz");
    let to = parts.path("again.zpc");
    let (code, out, err) = calibrate(&["--data", &data, "--merge", &b, "-o", &to]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("calibrated on 7 samples"), "{out}");
    assert!(parts.bytes("again.zpc") == parts.bytes("ab.zpc"));
    // The same part twice is a mistake that can be seen.
    let (code, _, err) = without_data(&model, &["--merge", &a, "--merge", &a]);
    assert_eq!(code, 0);
    assert!(
        err.contains("warning: counted more than once: 7 samples of 0.npz"),
        "{err}"
    );
    let (_, out, _) = without_data(&model, &["--merge", &a, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&json["samples"], &json["gathered"]),
        (&7.into(), &serde_json::Value::Null)
    );
}

#[test]
fn a_file_says_what_it_was_made_of() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = (0..3 * 128 * 6).map(|i| (i % 121) as u8).collect();
    let data = folder.path().join("raw.npz");
    let mut writer = NpzWriter::create(&data).unwrap();
    let values = zeropoint::num::Values::U8(bytes);
    writer.append("input_0", &[128, 6, 1], &values).unwrap();
    writer.finish().unwrap();
    let scaled = [
        "--input-scale",
        "0.05",
        "--input-offset",
        "-3",
        "--limit",
        "2",
    ];
    let file = statistics(&data, &scaled);
    let json: serde_json::Value = serde_json::from_str(&file.text()).unwrap();
    let source = &json["sources"][0];
    assert_eq!(json["version"], 2);
    assert_eq!(source["kind"], "data");
    assert_eq!(source["zeropoint"], env!("CARGO_PKG_VERSION"));
    assert!(
        source["device"].as_str().unwrap().contains("CPU"),
        "{source}"
    );
    assert_eq!(
        (&source["file"], &source["samples"]),
        (&"raw.npz".into(), &2.into())
    );
    let array = &source["arrays"][0];
    let shape = serde_json::json!([3, 128, 6, 1]);
    assert_eq!(
        (&array["name"], &array["dtype"]),
        (&"input_0".into(), &"uint8".into())
    );
    assert_eq!(
        (&array["shape"], &array["offset"]),
        (&shape, &(-3.0).into())
    );
    assert!(
        array["scale"]
            .as_f64()
            .is_some_and(|s| (s - 0.05).abs() < 1e-6)
    );
    assert_eq!(statistics(&data, &scaled).text(), file.text());
}

#[test]
fn what_cannot_be_merged_is_refused_by_name() {
    let parts = Parts::new(&[]);
    let model = example("model.tflite").display().to_string();
    let [a, b, to] = ["a.zpc", "b.zpc", "to.zpc"].map(|name| parts.path(name));
    let (data, bare) = (parts.path("0.npz"), parts.path("bare.zpc"));
    let (code, ..) = calibrate(&["--data", &data, "-o", &bare, "--ranges-only"]);
    assert_eq!(code, 0);
    let refused_merge = |files: &[&str], words: &[&str]| {
        let merges = files.iter().flat_map(|file| ["--merge", file]);
        let arguments: Vec<&str> = merges.chain(["-o", &to]).collect();
        let (code, out, err) = without_data(&model, &arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        for word in words {
            assert!(err.contains(word), "no '{word}' in: {err}");
        }
    };
    let foreign = parts.rewrite("b.zpc", "foreign.zpc", |text| {
        let mut file = StatisticsFile::parse(text).unwrap();
        file.model.crc32 ^= 1;
        file.text()
    });
    refused_merge(&[&a, &foreign], &["foreign.zpc", "another model"]);
    refused_merge(
        &[&a, &bare],
        &["bare.zpc", "only one of them has histograms"],
    );
    let short = parts.rewrite("b.zpc", "short.zpc", |text| {
        let mut file = StatisticsFile::parse(text).unwrap();
        file.tensors.pop();
        file.text()
    });
    refused_merge(&[&a, &short], &["short.zpc", "different tensors"]);
    refused_merge(&[&a, &data], &["0.npz"]);
    refused_merge(&[&a, &parts.path("none.zpc")], &["none.zpc"]);
    // Before anything is computed.
    let with_data = ["--data", &data, "--merge"];
    refused(
        &[&with_data[..], &[&bare, "-o", &to]].concat(),
        &["bare.zpc", "add --ranges-only"],
    );
    let bare_data = [&b, "--ranges-only", "-o", &to];
    refused(
        &[&with_data[..], &bare_data].concat(),
        &["b.zpc", "leave out --ranges-only"],
    );
    assert!(!parts.exists("to.zpc"));
    // An input stays what it is.
    let before = parts.bytes("a.zpc");
    for option in ["-o", "--export-ranges"] {
        let (code, _, err) = without_data(&model, &["--merge", &a, option, &a]);
        assert_eq!(code, 2);
        assert!(err.contains(&format!("choose another {option}")), "{err}");
    }
    assert!(parts.bytes("a.zpc") == before);
}

#[test]
fn options_that_nothing_honours_are_refused() {
    let parts = Parts::new(&["--ranges-only"]);
    let model = example("model.tflite").display().to_string();
    let [a, to] = ["a.zpc", "to.zpc"].map(|name| parts.path(name));
    // A device that has nothing to compute.
    refused(&[], &["options of devices"]);
    for (options, word) in [
        (
            &["--merge", &a, "--device", "cpu"][..],
            "options of devices",
        ),
        (&["--merge", &a, "--batch", "2"], "options of devices"),
        (&["--merge", &a, "--profile"], "--data"),
        (&["--merge", &a, "--ranges-only"], "--data"),
        (&["--merge", &a, "--limit", "3"], "--data"),
        (&["--merge", &a, "--import-ranges", &a], "--import-ranges"),
        (
            &["--merge", &a, "-o", &to, "--export-ranges", &to],
            "same file",
        ),
        (&[], "give --data, --merge or --import-ranges"),
    ] {
        let (code, out, err) = without_data(&model, options);
        assert_eq!((code, out.as_str()), (2, ""), "{options:?}: {err}");
        assert!(err.contains(word), "{options:?}: {err}");
    }
    assert!(!parts.exists("to.zpc"));
    let (_, help, _) = without_data("--help", &[]);
    for words in [
        "--merge a.zpc --merge b.zpc -o all.zpc",
        "--calibration stats.zpc",
    ] {
        assert!(help.contains(words), "{help}");
    }
}

/// The model that `quantize` makes with these statistics.
fn quantized(parts: &Parts, statistics: &str) -> Vec<u8> {
    let (model, to) = (example("model.tflite"), parts.path("q.tflite"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_zeropoint"));
    let quantize = command.arg("quantize").arg(model);
    let quantize = quantize.args(["--calibration", statistics, "-o", &to]);
    quantize.assert().success();
    parts.bytes("q.tflite")
}

#[test]
fn ranges_by_name_go_out_and_come_back() {
    let parts = Parts::new(&[]);
    let model = example("model.tflite").display().to_string();
    let [a, named, back] = ["a.zpc", "named.json", "back.zpc"].map(|name| parts.path(name));
    let (code, _, err) = without_data(&model, &["--merge", &a, "--export-ranges", &named]);
    assert_eq!((code, err.as_str()), (0, ""));
    // Also as objects.
    let objects = parts.rewrite("named.json", "objects.json", |text| {
        let mut json: serde_json::Value = serde_json::from_str(text).unwrap();
        for value in json.as_object_mut().unwrap().values_mut() {
            *value = serde_json::json!({"max": value[1], "min": value[0]});
        }
        json.to_string()
    });
    let sound = quantized(&parts, &a);
    for file in [&named, &objects] {
        let (code, out, err) = without_data(&model, &["--import-ranges", file, "-o", &back]);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.contains("ranges of "), "{out}");
        assert!(quantized(&parts, &back) == sound, "{file}: another model");
    }
    // What came in can go out again, as it was.
    let again = parts.path("again.json");
    let (code, ..) = without_data(
        &model,
        &["--import-ranges", &named, "--export-ranges", &again],
    );
    assert_eq!(code, 0);
    assert!(parts.bytes("again.json") == parts.bytes("named.json"));
}

#[test]
fn ranges_that_do_not_fit_the_model_are_refused_by_name() {
    let parts = Parts::new(&["--ranges-only"]);
    let model = example("model.tflite").display().to_string();
    let [a, named, to] = ["a.zpc", "named.json", "to.zpc"].map(|name| parts.path(name));
    let (code, ..) = without_data(&model, &["--merge", &a, "--export-ranges", &named]);
    assert_eq!(code, 0);
    let input = "\"serving_default_input:0\": [";
    let import = |change: &dyn Fn(&str) -> String| {
        let bad = parts.rewrite("named.json", "bad.json", change);
        without_data(&model, &["--import-ranges", &bad, "-o", &to])
    };
    let refused = |change: &dyn Fn(&str) -> String, words: &[&str]| {
        let (code, out, err) = import(change);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        for word in [&["bad.json"], words].concat() {
            assert!(err.contains(word), "no '{word}' in: {err}");
        }
        assert!(!parts.exists("to.zpc"));
    };
    let name = |text: &str| text.replacen("serving_default_input:0", "serving_default_inputs", 1);
    refused(
        &name,
        &[
            "'serving_default_inputs'",
            "nearest name is 'serving_default_input:0'",
        ],
    );
    let change = |by: &'static str| move |text: &str| text.replacen(input, by, 1);
    let first = "'serving_default_input:0'";
    refused(
        &change("\"serving_default_input:0\": [1e9, 1], \"x\": ["),
        &[first, "above"],
    );
    refused(
        &change("\"serving_default_input:0\": [NaN, 1], \"x\": ["),
        &["no NaN"],
    );
    refused(
        &change("\"serving_default_input:0\": [-1e99, 1], \"x\": ["),
        &[first, "float32"],
    );
    let twice = "\"serving_default_input:0\": [0, 1], \"serving_default_input:0\": [";
    refused(&change(twice), &[first, "twice"]);
    refused(&|_| "[1, 2]".into(), &["ranges by tensor name"]);
    refused(&|_| "{}".into(), &["no range"]);
    // A tensor without a range is a warning: perhaps nobody needs it.
    let (code, _, err) = import(&|text| {
        let lines = text.lines().filter(|line| !line.contains(input));
        lines.collect::<Vec<_>>().join("\n")
    });
    assert_eq!(code, 0, "{err}");
    assert!(
        err.contains("warning: ") && err.contains("without a range: 'serving_default"),
        "{err}"
    );
    // A range of a constant changes nothing.
    let constant = |text: &str| text.replacen('{', "{\"arith.constant1\": [0, 1],", 1);
    let (code, _, err) = import(&constant);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("need none: 'arith.constant1'"), "{err}");
}

#[test]
fn tensors_of_one_name_cannot_be_told_apart_by_name() {
    let parts = Parts::new(&["--ranges-only"]);
    let mut twins = zeropoint::model::read(&example("model.tflite")).unwrap();
    let tensors = twins.subgraphs.as_mut().unwrap()[0]
        .tensors
        .as_mut()
        .unwrap();
    for id in [40, 41] {
        tensors[id].name = Some("twin".into());
    }
    let twins_at = parts.path("twins.tflite");
    zeropoint::model::write(Path::new(&twins_at), &twins).unwrap();
    let data = parts.path("0.npz");
    let [stats, named] = ["stats.zpc", "named.json"].map(|name| parts.path(name));
    let gather = ["--data", &data, "--ranges-only", "-o", &stats];
    let (code, out, err) = without_data(
        &twins_at,
        &[&gather[..], &["--export-ranges", &named]].concat(),
    );
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("named.json: 'twin': tensors 40, 41"), "{err}");
    assert!(!parts.exists("stats.zpc") && !parts.exists("named.json"));
    std::fs::write(&named, "{\"twin\": [0, 1]}").unwrap();
    let (code, _, err) = without_data(&twins_at, &["--import-ranges", &named, "-o", &stats]);
    assert_eq!(code, 2);
    assert!(err.contains("'twin': tensors 40, 41"), "{err}");
}
