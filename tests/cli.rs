//! The real program: commands, exit codes, what goes to stdout and what to stderr, refusals, and files left behind.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zeropoint::data::NpzWriter;
use zeropoint::model::{self, BuiltinOperator};
use zeropoint::num::Values;

/// Elements of one window.
const WINDOW: usize = 128 * 6;

struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }

    /// Stdout as JSON, and nothing but JSON.
    fn json(self) -> Value {
        serde_json::from_str(&self.ok().out).unwrap()
    }

    /// A refusal: this exit code, all of these words on stderr, nothing on stdout.
    fn refused(self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.err);
        assert_eq!(self.out, "", "a failure prints no data");
        assert!(self.err.contains("error: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "no '{word}' in: {}", self.err);
        }
    }
}

fn zp(arguments: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_zeropoint"))
        .args(arguments)
        .output()
        .unwrap();
    Outcome {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// On the CPU, wherever the tests run.
fn cpu(arguments: &[&str]) -> Outcome {
    zp(&[arguments, &["--device", "cpu"]].concat())
}

/// The float model, the calibration and the evaluation data of the example.
fn har() -> [String; 3] {
    ["model.tflite", "calib.npz", "eval.npz"].map(|file| {
        let path = support::root().join("examples/har").join(file);
        path.to_str().unwrap().to_owned()
    })
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Names of all files, hidden ones too.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let name = |e: std::io::Result<std::fs::DirEntry>| e.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(|e| name(e).to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// An .npz of these arrays.
    fn npz(&self, name: &str, arrays: &[(&str, &[usize], Values)]) -> String {
        let path = self.path(name);
        let mut writer = NpzWriter::create(Path::new(&path)).unwrap();
        for (array, row, values) in arrays {
            writer.append(array, row, values).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    /// The example's int8 model, from a few windows.
    fn int8(&self, name: &str, io: &str) -> String {
        let ([float, calib, _], to) = (har(), self.path(name));
        let limit = ["--limit", "6", "--io", io];
        let command = ["quantize", &float, "--data", &calib, "-o", &to];
        cpu(&[&command[..], &limit].concat()).ok();
        to
    }
}

/// Whole numbers that mean something between −3 and 3 by 0.05 · u − 3.
fn bytes(windows: usize) -> Vec<u8> {
    (0..windows * WINDOW)
        .map(|i| ((i * 37 + i / 11) % 121) as u8)
        .collect()
}

const ROW: &[usize] = &[128, 6, 1];

#[test]
fn quantize_verify_evaluate_run_inspect() {
    let folder = Folder::new();
    let [float, calib, eval] = har();
    let int8 = folder.path("q.tflite");
    let quantize = ["quantize", &float, "--data", &calib, "-o", &int8, "--limit"];
    let report = cpu(&[&quantize[..], &["8", "--json"]].concat()).json();
    assert_eq!(report["samples"], 8);
    assert_eq!(report["output"], int8.as_str());
    assert_eq!(report["plan"]["io"], "float");
    assert!(report["plan"]["activations"].as_array().unwrap().len() > 8);
    assert!(report["ranges"].as_array().unwrap().len() > 20);
    let size = std::fs::metadata(&int8).unwrap().len();
    assert_eq!(report["sizes"][1]["bytes"], size);
    assert!(size * 3 < std::fs::metadata(&float).unwrap().len());
    let text = cpu(&[&quantize[..], &["8"]].concat()).ok();
    assert!(text.out.contains("calibrated on 8 samples"), "{}", text.out);
    assert!(text.out.contains("times smaller"), "{}", text.out);
    // The example's cell states reach their bound; no progress where there is no terminal.
    let warnings = text.err.lines().filter(|l| l.starts_with("warning: "));
    assert_eq!(warnings.count(), 2, "{}", text.err);
    assert_eq!(text.err.lines().count(), 2, "{}", text.err);

    let verify = [
        "verify", &float, &int8, "--data", &eval, "--limit", "3", "--device", "cpu",
    ];
    let report = zp(&[&verify[..], &["--json"]].concat()).json();
    assert_eq!(report["samples"], 3);
    let tensors = report["tensors"].as_array().unwrap();
    assert!(tensors.len() > 10);
    assert!(
        tensors
            .iter()
            .all(|t| t["differing"] == 0 && t["elements"].as_u64() > Some(0))
    );
    assert!(
        report["outputs"][0]["max_abs_error"]
            .as_f64()
            .is_some_and(|e| e > 0.0)
    );
    let text = zp(&verify).ok();
    assert!(text.out.contains("every element is equal"), "{}", text.out);

    let names = support::root().join("examples/har/classes.txt");
    let evaluate = ["evaluate", &float, &int8, "--data", &eval, "--limit", "20"];
    let report = cpu(&[&evaluate[..], &["--json"]].concat()).json();
    let models = report["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    for model in models {
        assert_eq!(model["metrics"]["samples"], 20);
        assert!((0.0..=1.0).contains(&model["metrics"]["accuracy"].as_f64().unwrap()));
    }
    let text = cpu(&[&evaluate[..], &["--class-names", names.to_str().unwrap()]].concat()).ok();
    for word in ["20 samples", "accuracy", "kappa", "PEN"] {
        assert!(text.out.contains(word), "no {word}: {}", text.out);
    }

    let out = folder.path("out.npz");
    let run = ["run", &int8, "--data", &eval, "-o", &out, "--limit", "3"];
    let text = cpu(&[&run[..], &["--all-tensors"]].concat()).ok();
    assert_eq!(text.out, "");
    assert!(text.err.contains("3 samples"), "{}", text.err);
    let arrays = support::read_npz(Path::new(&out));
    assert_eq!(arrays["output_0"].shape, [3, 7]);
    let tensors = arrays.keys().filter(|k| k.starts_with("tensor_")).count();
    assert!(tensors > 10, "{tensors}");
    let report = cpu(&[&run[..], &["--json"]].concat()).json();
    assert_eq!(support::read_npz(Path::new(&out)).len(), 1);
    assert_eq!(report["samples"], 3);
    assert!(report["device"].as_str().unwrap().contains("CPU"));
    assert!(report["seconds"].as_f64().unwrap() > 0.0);

    let report = zp(&["inspect", &int8, "--json"]).json();
    assert!(
        report["subgraphs"][0]["operators"]
            .as_array()
            .unwrap()
            .len()
            > 10
    );
    let pair = zp(&["inspect", &har()[0], &int8]).ok().out;
    let row = |name: &str| -> Vec<String> {
        let line = pair.lines().find(|l| l.trim_start().starts_with(name));
        let cells = line.unwrap().trim_start()[name.len()..].split("  ");
        let cells = cells.map(str::trim).filter(|c| !c.is_empty());
        cells.map(str::to_owned).collect()
    };
    // What the float model has not, and what both have.
    assert_eq!(row("QUANTIZE"), ["–", "1"], "{pair}");
    assert_eq!(row("CONV_2D"), ["4", "4"], "{pair}");
    assert_eq!(
        row("float32 bytes of constants"),
        ["1 828 636", "–"],
        "{pair}"
    );
    let summary = zp(&["inspect", "--summary", "--json", &int8]).json();
    assert_eq!(summary[0]["operators"]["UNIDIRECTIONAL_SEQUENCE_LSTM"], 2);
    let text = zp(&["inspect", &int8]).ok();
    assert!(text.out.contains("UNIDIRECTIONAL_SEQUENCE_LSTM"));
    assert_eq!(folder.names(), ["out.npz", "q.plan.json", "q.tflite"]);
}

#[test]
fn devices_and_operators() {
    let report = zp(&["devices", "--json"]).json();
    assert!(report["cpu"].as_str().unwrap().contains("CPU"));
    assert!(report["adapters"].is_array());
    assert!(zp(&["devices"]).ok().out.contains("CPU"));
    let report = zp(&["ops", "--json"]).json();
    assert_eq!(
        report.as_array().unwrap().len(),
        zeropoint::graph::SUPPORT.len()
    );
    let text = zp(&["ops"]).ok().out;
    assert!(
        report
            .as_array()
            .unwrap()
            .iter()
            .all(|row| text.contains(row["op"].as_str().unwrap()))
    );
}

#[test]
fn help_shows_examples_and_wrong_usage_is_2() {
    let help = zp(&["--help"]).ok().out;
    for words in ["zeropoint quantize model.tflite --data", "Exit codes: 0 ok"] {
        assert!(help.contains(words), "{help}");
    }
    for command in [
        "quantize", "run", "evaluate", "compare", "verify", "inspect", "devices", "ops",
    ] {
        assert!(help.contains(command));
        let own = zp(&[command, "--help"]).ok().out;
        assert!(own.contains("Usage: zeropoint"), "{own}");
    }
    let [float, calib, _] = har();
    for arguments in [
        &[][..],
        &["fly"],
        &["quantize"],
        &["quantize", &float],
        &["quantize", &float, "--data", &calib, "--limit", "0"],
        &["quantize", &float, "--data", &calib, "--batch", "0"],
        &["quantize", &float, "--data", &calib, "--io", "int4"],
        &["quantize", &float, "--data", &calib, "--input-offset", "1"],
        &["quantize", &float, "--data", &calib, "--input-scale", "nan"],
    ] {
        let outcome = zp(arguments);
        assert_eq!(outcome.code, 2, "{arguments:?}");
        assert_eq!(outcome.out, "", "{arguments:?}");
    }
}

#[test]
fn the_output_is_named_after_the_model_and_never_replaces_an_input() {
    let folder = Folder::new();
    let [float, calib, _] = har();
    let (model, data) = (folder.path("m.tflite"), folder.path("d.npz"));
    std::fs::copy(&float, &model).unwrap();
    std::fs::copy(&calib, &data).unwrap();
    cpu(&["quantize", &model, "--data", &data, "--limit", "2"]).ok();
    assert_eq!(
        folder.names(),
        ["d.npz", "m.tflite", "m_int8.plan.json", "m_int8.tflite"]
    );
    let before = std::fs::read(&model).unwrap();
    let nowhere = folder.path("no/such/folder/q.tflite");
    let itself = folder.path("./m.tflite");
    for to in [&model, &itself, &data] {
        cpu(&["quantize", &model, "--data", &data, "-o", to]).refused(2, &["another -o"]);
        cpu(&["run", &model, "--data", &data, "-o", to]).refused(2, &["another -o"]);
    }
    for to in [&nowhere, folder.0.path().to_str().unwrap()] {
        cpu(&["quantize", &model, "--data", &data, "-o", to]).refused(2, &["folder"]);
        cpu(&["run", &model, "--data", &data, "-o", to]).refused(2, &["folder"]);
    }
    assert!(std::fs::read(&model).unwrap() == before);
    assert!(std::fs::read(&data).unwrap() == std::fs::read(&calib).unwrap());
}

#[test]
fn bad_data_is_refused_with_its_place() {
    let folder = Folder::new();
    let [float, ..] = har();
    let to = folder.path("q.tflite");
    let quantize = |data: &str| cpu(&["quantize", &float, "--data", data, "-o", &to]);
    quantize(&folder.path("none.npz")).refused(2, &["none.npz"]);
    quantize(&float).refused(2, &["model.tflite", ".npz"]);
    let wrong = Values::F32(vec![0.0; 2 * 64 * 6]);
    let wrong = folder.npz("wrong.npz", &[("input_0", &[64, 6, 1], wrong)]);
    quantize(&wrong).refused(2, &["wrong.npz", "input_0", "64", "128"]);
    let mut values = vec![0.25; 5 * WINDOW];
    values[4 * WINDOW + 7] = f32::NAN;
    let row = [("input_0", ROW, Values::F32(values))];
    let nan = folder.npz("nan.npz", &row);
    quantize(&nan).refused(2, &["nan.npz", "input_0", "sample 4, element 7"]);
    cpu(&["run", &float, "--data", &nan, "-o", &folder.path("out.npz")])
        .refused(2, &["sample 4, element 7"]);
    let integers = folder.npz("u8.npz", &[("input_0", ROW, Values::U8(bytes(2)))]);
    quantize(&integers).refused(2, &["u8.npz", "uint8", "scale"]);
    // Nothing of the output, no temporary file.
    assert_eq!(folder.names(), ["nan.npz", "u8.npz", "wrong.npz"]);
}

#[test]
fn integers_with_a_scale_are_the_floats_they_mean() {
    let folder = Folder::new();
    let [float, ..] = har();
    let (scale, offset) = (0.05f32, -3.0f32);
    let raw = bytes(4);
    let real = raw.iter().map(|&u| f32::from(u) * scale + offset).collect();
    let wide = raw.iter().map(|&u| u.into()).collect();
    let forms = [
        ("f32", Values::F32(real)),
        ("u8", Values::U8(raw)),
        ("i32", Values::I32(wide)),
    ];
    let quantized = forms.map(|(name, values)| {
        let data = folder.npz(&format!("{name}.npz"), &[("input_0", ROW, values)]);
        let to = folder.path(name);
        let scaled = ["--input-scale", "0.05", "--input-offset", "-3"];
        let scaled = if name == "f32" { &[][..] } else { &scaled };
        let command = ["quantize", &float, "--data", &data, "-o", &to];
        cpu(&[&command[..], scaled].concat()).ok();
        std::fs::read(to).unwrap()
    });
    assert!(quantized[0] == quantized[1], "uint8 gives another model");
    assert!(quantized[0] == quantized[2], "int32 gives another model");
}

#[test]
fn inputs_and_outputs_of_any_type_score_the_same() {
    let folder = Folder::new();
    let [_, _, eval] = har();
    let scores = ["float", "int8", "uint8"].map(|io| {
        let model = folder.int8(&format!("{io}.tflite"), io);
        let evaluate = [
            "evaluate", &model, "--data", &eval, "--limit", "24", "--json",
        ];
        let report = cpu(&evaluate).json();
        let inspection = zp(&["inspect", &model, "--json"]).json();
        let graph = &inspection["subgraphs"][0];
        for place in ["inputs", "outputs"] {
            let id = graph[place][0].as_u64().unwrap() as usize;
            let want = if io == "float" { "float32" } else { io };
            assert_eq!(graph["tensors"][id]["dtype"], want);
        }
        let out = folder.path("out.npz");
        let run = ["run", &model, "--data", &eval, "--limit", "24", "-o", &out];
        cpu(&run).ok();
        let output = support::read_npz(Path::new(&out)).remove("output_0");
        (
            report["models"][0]["metrics"].clone(),
            output.unwrap().values,
        )
    });
    let [(float, reals), (int8, signed), (uint8, unsigned)] = scores;
    assert_eq!(float["samples"], 24);
    assert_eq!(float, int8);
    assert_eq!(float, uint8);
    // The same integers, whatever stands for them: scale 1/256 and zero point -128 or 0.
    assert_eq!(
        reals,
        Values::F32(signed.to_f32(|q| (q + 128) as f32 / 256.0))
    );
    assert_eq!(reals, Values::F32(unsigned.to_f32(|q| q as f32 / 256.0)));
}

#[test]
fn unsuitable_models_are_refused_early() {
    let folder = Folder::new();
    let [float, calib, eval] = har();
    let int8 = folder.int8("q.tflite", "float");
    let missing = folder.path("none.npz");
    // Refused for what it is, before the data is even looked for.
    cpu(&["quantize", &int8, "--data", &missing]).refused(2, &["q.tflite", "quantized already"]);
    let strange = unique(&folder, BuiltinOperator::Conv2d);
    let place = "operator 0 of subgraph 0 is UNIQUE";
    cpu(&["quantize", &strange, "--data", &calib]).refused(2, &["strange.tflite", place]);
    assert!(zp(&["inspect", &strange]).ok().out.contains("UNIQUE"));
    let broken = folder.path("broken.tflite");
    std::fs::write(&broken, &std::fs::read(&float).unwrap()[..1000]).unwrap();
    zp(&["inspect", &broken]).refused(2, &["broken.tflite"]);
    cpu(&["verify", &float, &broken, "--data", &eval]).refused(2, &["broken.tflite"]);
    let bare = Values::F32(vec![0.5; 2 * WINDOW]);
    let bare = folder.npz("bare.npz", &[("input_0", ROW, bare)]);
    cpu(&["evaluate", &float, "--data", &bare]).refused(2, &["bare.npz", "labels"]);
    cpu(&[
        "evaluate", &float, "--data", &eval, "--scores", "3", "--limit", "1",
    ])
    .refused(2, &["output 3"]);
    let names = folder.path("names.txt");
    std::fs::write(&names, "one\ntwo\n").unwrap();
    let evaluate = ["evaluate", &float, "--data", &eval, "--limit", "1"];
    cpu(&[&evaluate[..], &["--class-names", &names]].concat()).refused(2, &["has 2 names"]);
}

/// The example with UNIQUE in place of another operator.
fn unique(folder: &Folder, instead_of: BuiltinOperator) -> String {
    let mut model = model::read(Path::new(&har()[0])).unwrap();
    let codes = model.operator_codes.as_mut().unwrap();
    let mut codes = codes.iter_mut();
    let code = codes.find(|c| model::builtin_code(c) == instead_of as i32);
    let code = code.unwrap();
    code.deprecated_builtin_code = BuiltinOperator::Unique as i8;
    code.builtin_code = BuiltinOperator::Unique as i32;
    let strange = folder.path("strange.tflite");
    model::write(Path::new(&strange), &model).unwrap();
    strange
}

/// What stands at the end and is not computed stays there, and the result is what it reads.
#[test]
fn an_unknown_operator_may_be_the_last() {
    let folder = Folder::new();
    let [_, calib, eval] = har();
    let strange = unique(&folder, BuiltinOperator::Softmax);
    let (int8, out) = (folder.path("q.tflite"), folder.path("out.npz"));
    let note = "UNIQUE (operator 9) stays as it is";
    let quantize = ["quantize", &strange, "--data", &calib, "-o", &int8];
    let limit = ["--limit", "5"];
    assert!(
        cpu(&[&quantize[..], &limit].concat())
            .ok()
            .err
            .contains(note)
    );
    assert!(zp(&["inspect", &int8]).ok().out.contains("UNIQUE"));
    let verify = ["verify", &strange, &int8, "--data", &eval];
    let verified = cpu(&[&verify[..], &limit].concat()).ok();
    assert!(
        verified.out.contains("every element is equal"),
        "{}",
        verified.out
    );
    cpu(&[&["run", &int8, "--data", &eval, "-o", &out], &limit[..]].concat()).ok();
    let arrays = support::read_npz(Path::new(&out));
    let names: Vec<&String> = arrays.keys().collect();
    assert!(
        names.len() == 1 && names[0].starts_with("tensor_"),
        "{names:?}"
    );
    let only = ["quantize", &strange, "--data", &calib, "--io", "int8"];
    cpu(&[&only[..], &limit].concat()).refused(2, &["UNIQUE (operator 9)", "--io float"]);
}

#[test]
fn unknown_devices_are_exit_code_3() {
    let [float, calib, _] = har();
    let folder = Folder::new();
    let to = folder.path("q.tflite");
    let quantize = ["quantize", &float, "--data", &calib, "-o", &to, "--adapter"];
    let nonsense = [&quantize[..], &["nonsense"]].concat();
    zp(&nonsense).refused(3, &[]);
    let adapters = zp(&["devices", "--json"]).json()["adapters"].clone();
    for adapter in adapters.as_array().unwrap() {
        zp(&nonsense).refused(3, &["nonsense", adapter["name"].as_str().unwrap()]);
    }
    cpu(&nonsense).refused(2, &["nonsense", "--device cpu"]);
    for option in [
        ["--int8-path", "matrix"],
        ["--float", "fast"],
        ["--tiles", "measured"],
    ] {
        let quantize = [&quantize[..quantize.len() - 1], &option].concat();
        cpu(&quantize).refused(2, &[&option.join(" "), "--device cpu"]);
    }
    let checked = [&quantize[..quantize.len() - 1], &["--checked-shaders"]].concat();
    cpu(&checked).refused(2, &["--checked-shaders", "--device cpu"]);
    assert!(folder.names().is_empty());
}

#[test]
fn numerics_are_the_cpus() {
    let ([_, data, _], folder) = (har(), Folder::new());
    let (model, out) = (folder.int8("q.tflite", "float"), folder.path("out.npz"));
    let run = ["run", &model, "--data", &data, "-o", &out, "--limit", "2"];
    let run = [&run[..], &["--numerics", "xnnpack"]].concat();
    let said = zp(&run).ok().err;
    assert!(said.contains("xnnpack numerics: running on the CPU"));
    assert!(said.contains("native kernels, xnnpack numerics)"));
    std::fs::remove_file(&out).unwrap();
    for gpu in [
        &["--device", "gpu"][..],
        &["--adapter", "x"],
        &["--checked-shaders"],
    ] {
        zp(&[&run[..], gpu].concat()).refused(2, &["--numerics xnnpack", &gpu.join(" ")]);
    }
    assert_eq!(folder.names(), ["q.plan.json", "q.tflite"]);
}

#[test]
fn any_batch_gives_the_same_model() {
    let folder = Folder::new();
    let [float, calib, _] = har();
    let models = [&[][..], &["--batch", "1"], &["--batch", "7"]].map(|batch| {
        let to = folder.path("q.tflite");
        let quantize = ["quantize", &float, "--data", &calib, "-o", &to];
        cpu(&[&quantize[..], &["--limit", "24"], batch].concat()).ok();
        std::fs::read(to).unwrap()
    });
    assert!(models[0] == models[1], "batch 1 gives another model");
    assert!(models[0] == models[2], "batch 7 gives another model");
}

#[test]
fn a_killed_run_leaves_nothing() {
    let folder = Folder::new();
    let [float, _, eval] = har();
    let out = PathBuf::from(folder.path("out.npz"));
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_zeropoint"))
        .args(["run", &float, "--data", &eval, "--device", "cpu", "-o"])
        .arg(&out)
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    child.kill().unwrap();
    let done = child.wait().unwrap().success();
    // On a fast machine it may have finished; then the file must be whole.
    if done {
        assert_eq!(support::read_npz(&out)["output_0"].shape, [1031, 7]);
    } else {
        assert_eq!(folder.names(), [] as [String; 0]);
    }
}
