//! Real models that others trained (`ZEROPOINT_SHARED`): the program quantizes each of them in several ways, and LiteRT's
//! reference kernels must run the results to the same integers in every tensor. Float outputs must be LiteRT's.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use assert_cmd::Command;
use std::path::Path;

/// Folder, samples, and scale and offset of raw pixels.
const MODELS: [(&str, usize, Option<[&str; 2]>); 5] = [
    ("blazeface_short", 2, Some(["0.00784313725490196", "-1.0"])),
    ("deepconvlstm_gdps", 6, None),
    ("deepconvlstm_norm", 6, None),
    ("ina_speech_music_noise", 40, None),
    ("textgenrnn_lstm", 40, None),
];

fn zeropoint(arguments: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zeropoint"));
    command.args(arguments).assert().success();
}

#[test]
fn real_models_equal_litert() {
    let (Some(shared), Some(python)) = (support::shared(), support::python()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut list = Vec::new();
    for (name, samples, pixels) in MODELS {
        let here = shared.join("models").join(name);
        let path = |p: &Path| p.display().to_string();
        let limit = samples.to_string();
        let scale = pixels.map(|[scale, offset]| {
            [
                format!("--input-scale={scale}"),
                format!("--input-offset={offset}"),
            ]
        });
        let scale: Vec<&str> = scale.iter().flatten().map(String::as_str).collect();
        let (calib, eval) = (path(&here.join("calib.npz")), path(&here.join("eval.npz")));
        let float = path(&here.join("model.tflite"));
        let data = ["--data", &calib, "--device", "cpu"];
        let data = [&data[..], &scale].concat();
        let dense = ["--skip-op", "FULLY_CONNECTED"];
        let mix = [&data[..], &dense, &["--skip-scheme", "int16x8"]].concat();
        let ways = [
            ("float", None),
            ("int8", Some(data.clone())),
            (
                "int16x8",
                Some([&data[..], &["--scheme", "int16x8"]].concat()),
            ),
            ("mix", Some(mix)),
            ("dynamic", Some(vec!["--scheme", "dynamic"])),
        ];
        for (kind, options) in ways {
            let mut model = float.clone();
            if let Some(options) = options {
                model = path(&folder.path().join(format!("{name}-{kind}.tflite")));
                zeropoint(&[&["quantize", &float, "-o", &model][..], &options].concat());
            }
            let model = &model;
            // What LSTMs quantize as they run depends on the last bits of floats.
            let loose =
                kind == "dynamic" && !["blazeface_short", "ina_speech_music_noise"].contains(&name);
            let ours = path(&folder.path().join(format!("{name}-{kind}-ours.npz")));
            let theirs = path(&folder.path().join(format!("{name}-{kind}-theirs.npz")));
            let run = [
                "run", model, "--data", &eval, "-o", &ours, "--limit", &limit,
            ];
            let options = ["--device", "cpu", "--all-tensors"];
            zeropoint(&[&run[..], &options, &scale].concat());
            list.push(serde_json::json!({
                "model": model, "data": eval, "out": theirs, "limit": samples, "ours": ours,
                "scale": pixels.map(|p| p[0].parse::<f32>().unwrap()),
                "offset": pixels.map(|p| p[1].parse::<f32>().unwrap()),
                "tolerance": if loose { 5e-2 } else { 1e-4 },
            }));
        }
    }
    support::judge_by_litert(&python, &list, 10);
}
