//! `zeropoint calibrate` through the real program: the file of statistics, the report, and its refusals.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod files;
mod samples;
#[path = "../support/mod.rs"]
mod support;

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use zeropoint::calibrate::StatisticsFile;
use zeropoint::data::{DataSet, InputSpec, NpzWriter, Options};
use zeropoint::num::DType;

fn example(name: &str) -> PathBuf {
    support::root().join("examples/har").join(name)
}

/// Exit code, stdout, stderr of `zeropoint calibrate MODEL` on the CPU.
fn calibrate(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_zeropoint"))
        .arg("calibrate")
        .arg(example("model.tflite"))
        .args(["--device", "cpu"])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn statistics(data: &Path, arguments: &[&str]) -> StatisticsFile {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("stats.json");
    let files = [
        "--data",
        data.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
    ];
    let (code, _, err) = calibrate(&[&files, arguments].concat());
    assert_eq!(code, 0, "{err}");
    StatisticsFile::parse(&std::fs::read_to_string(out).unwrap()).unwrap()
}

/// Samples `from..to` of the example's data, in a file of their own.
fn shard(folder: &Path, from: usize, to: usize) -> PathBuf {
    let input = InputSpec {
        name: "x".into(),
        shape: vec![1, 128, 6, 1],
        dtype: DType::F32,
    };
    let mut set = DataSet::open(&example("calib.npz"), &[input], &Options::default()).unwrap();
    set.next_batch(from).unwrap().filter(|_| from > 0);
    if from == 0 {
        set.rewind().unwrap();
    }
    let batch = set.next_batch(to - from).unwrap().unwrap();
    assert_eq!(batch.samples, to - from);
    let path = folder.join(format!("{from}.npz"));
    let mut writer = NpzWriter::create(&path).unwrap();
    writer
        .append("input_0", &[128, 6, 1], &batch.inputs[0])
        .unwrap();
    writer.finish().unwrap();
    path
}

#[test]
fn statistics_do_not_depend_on_the_batch_and_shards_merge() {
    let folder = tempfile::tempdir().unwrap();
    let all = shard(folder.path(), 0, 40);
    let whole = statistics(&all, &[]);
    assert_eq!(whole.samples, 40);
    for batch in ["1", "7"] {
        assert_eq!(
            statistics(&all, &["--batch", batch]),
            whole,
            "--batch {batch}"
        );
    }
    // Every value of the input is in its histogram.
    let input = &whole.tensors[0];
    assert_eq!(input.histogram.as_ref().unwrap().total(), 40 * 128 * 6);
    // The cell state of an LSTM counts at every step: 112 of them, 128 cells.
    let cells = whole.tensors.iter().find(|t| t.tensor == 45).unwrap();
    assert_eq!(cells.histogram.as_ref().unwrap().total(), 40 * 112 * 128);
    let rest = shard(folder.path(), 40, 65);
    let merged = whole.merge(&statistics(&rest, &[])).unwrap();
    let both = statistics(&example("calib.npz"), &["--limit", "65"]);
    assert_eq!((merged.samples, both.samples), (65, 65));
    assert_eq!(merged.tensors, both.tensors);
}

#[test]
fn ranges_alone_have_no_histograms() {
    let file = statistics(&example("calib.npz"), &["--limit", "3", "--ranges-only"]);
    assert!(file.tensors.iter().all(|t| t.histogram.is_none()));
    assert!(file.tensors.len() > 10);
}

#[test]
fn a_profile_shows_every_operator_and_the_limits_of_the_device() {
    let data = example("calib.npz");
    let data = [
        "--data",
        data.to_str().unwrap(),
        "--limit",
        "4",
        "--profile",
    ];
    let (code, out, err) = calibrate(&data);
    assert_eq!(code, 0, "{err}");
    for word in [
        "CONV_2D → 40",
        "UNIDIRECTIONAL_SEQUENCE_LSTM → 46",
        "SOFTMAX → 52",
        "B/s through memory",
        "statistics",
    ] {
        assert!(out.contains(word), "no '{word}' in: {out}");
    }
    let (_, out, _) = calibrate(&[&data[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    // 124 × 6 pixels of 64 channels from 5 taps of one channel.
    let first = &json["profile"]["floors"]["steps"][0];
    assert_eq!(first["operations"], 124 * 6 * 64 * 5 * 2);
    assert_eq!(first["bytes"], 4 * (128 * 6 + 124 * 6 * 64));
    assert_eq!(json["upload_bytes"], 4 * 128 * 6);
    assert_eq!(
        json["profile"]["profile"]["steps"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
    assert!(
        json["profile"]["roofline"]["operations_per_second"]
            .as_f64()
            .unwrap()
            > 1e8
    );
}

#[test]
fn a_gpu_gathers_histograms_with_and_without_checks_and_measures_a_profile() {
    let Some(device) = support::gpu() else {
        return;
    };
    let data = example("calib.npz");
    let data = ["--data", data.to_str().unwrap(), "--limit", "2"];
    let gpu = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_zeropoint"))
            .arg("calibrate")
            .arg(example("model.tflite"))
            .args(["--device", "gpu", "--json"])
            .args(data)
            .args(more)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, out, err) = gpu(&[]);
    assert_eq!(code, 0, "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (_, cpu, _) = calibrate(&[&data[..], &["--json"]].concat());
    let cpu: serde_json::Value = serde_json::from_str(&cpu).unwrap();
    for tensor in json["tensors"].as_array().unwrap() {
        let range = [&tensor["range"]["min"], &tensor["range"]["max"]].map(|x| x.as_f64().unwrap());
        for quantile in tensor["quantiles"].as_array().unwrap() {
            let x = quantile.as_f64().unwrap();
            assert!(range[0] <= x && x <= range[1], "{tensor}");
        }
    }
    // The input is the same on both, so are its quantiles.
    assert_eq!(json["tensors"][0], cpu["tensors"][0]);
    assert!(json["tensors"][0]["quantiles"].is_array());
    let (code, out, err) = gpu(&["--checked-shaders"]);
    assert_eq!(code, 0, "{err}");
    let checked: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(checked["device"].as_str().unwrap().contains("checked"));
    assert_eq!(checked["tensors"], json["tensors"]);
    let (code, out, err) = gpu(&["--profile"]);
    if !device.summary().timestamp_queries {
        assert_eq!((code, out.as_str()), (3, ""), "{err}");
        assert!(err.contains("--device cpu"), "{err}");
        return;
    }
    assert_eq!(code, 0, "{err}");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let profile = &json["profile"]["profile"];
    let times = |of: &str| -> Vec<f64> {
        let times = profile[of].as_array().unwrap();
        times.iter().map(|t| t.as_f64().unwrap()).collect()
    };
    let (steps, statistics) = (times("steps"), times("statistics"));
    assert_eq!((steps.len(), statistics.len()), (10, 10));
    // What a RESHAPE moves is not looked at.
    let unseen = statistics.iter().filter(|&&t| t == 0.0).count();
    assert!(steps.iter().all(|&t| t > 0.0) && unseen == 1, "{profile}");
    let total: f64 = steps.iter().chain(&statistics).sum();
    assert!(total < json["seconds"].as_f64().unwrap(), "{json}");
    for limit in ["operations_per_second", "bytes_per_second"] {
        let limit = json["profile"]["roofline"][limit].as_f64().unwrap();
        assert!(limit > 1e8, "{limit}");
    }
}

#[test]
fn the_model_is_not_replaced_by_its_statistics() {
    let model = example("model.tflite");
    let data = example("calib.npz");
    let before = std::fs::read(&model).unwrap();
    let arguments = [
        "--data",
        data.to_str().unwrap(),
        "-o",
        model.to_str().unwrap(),
    ];
    let (code, out, err) = calibrate(&arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("would be replaced"), "{err}");
    assert_eq!(std::fs::read(&model).unwrap(), before);
}

#[test]
fn measured_tiles_are_kept_in_the_cache_folder_and_change_nothing() {
    if support::gpu().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let data = example("calib.npz");
    let gpu = |tiles: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_zeropoint"))
            .arg("calibrate")
            .arg(example("model.tflite"))
            .args(["--data", data.to_str().unwrap(), "--limit", "2"])
            .args(["--device", "gpu", "--json", "--tiles", tiles])
            .envs(["XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"].map(|name| (name, home)))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json["tensors"].clone()
    };
    let kept = || {
        let folders = [home.to_owned(), home.join("Library/Caches")];
        let files = folders.map(|folder| folder.join("zeropoint/tiles.json"));
        let text = files.iter().find_map(|f| std::fs::read_to_string(f).ok());
        text.map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap())
    };
    let reasoned = gpu("reasoned");
    assert_eq!(kept(), None);
    for _ in 0..2 {
        assert_eq!(gpu("measured"), reasoned);
    }
    let adapters = kept().unwrap()["adapters"].clone();
    assert_eq!(adapters.as_object().unwrap().len(), 1, "{adapters}");
    assert!(adapters.to_string().contains("float"), "{adapters}");
}
