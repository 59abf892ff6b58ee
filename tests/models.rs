//! Real models that others trained (`ZEROPOINT_SHARED`): the program quantizes each of them, and LiteRT's reference
//! kernels must run the result to the same integers in every tensor. Float outputs must be LiteRT's.

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
        let (float, quantized) = (here.join("model.tflite"), folder.path().join(name));
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
        let (float, quantized) = (path(&float), path(&quantized));
        let quantize = ["quantize", &float, "--data", &calib, "-o", &quantized];
        zeropoint(&[&quantize[..], &["--device", "cpu"], &scale].concat());
        for (kind, model) in [("float", &float), ("int8", &quantized)] {
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
            }));
        }
    }
    support::judge_by_litert(&python, &list, 10);
}
