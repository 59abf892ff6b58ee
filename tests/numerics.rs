//! The CPU in XNNPACK's rounding against LiteRT's default interpreter, which is XNNPACK where that takes an operator: every
//! code of every output must be equal. `tests/litert/profiles.py` makes the models and runs them. The other profiles are
//! judged by properties of their arithmetic, next to it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::process::Command;
use zeropoint::cpu::{Cpu, Numerics};
use zeropoint::kernel::{self, Device, Feed, Keep, Program, SessionConfig, Statistics};
use zeropoint::num::Values;
use zeropoint::{model, simplify};

#[derive(serde::Deserialize)]
struct Case {
    op: String,
    case: String,
    model: String,
    data: String,
    what: String,
    delegated: bool,
}

/// What was compared of an operator.
#[derive(Default)]
struct Tally {
    cases: usize,
    delegated: usize,
    codes: usize,
    differ: usize,
    /// Codes that the reference profile gives differently.
    reference: usize,
}

/// What a device makes of a program's only output.
fn output(device: &dyn Device, program: &Program, samples: usize, inputs: &[Values]) -> Values {
    let config = SessionConfig {
        batch: None,
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: vec![Feed::Direct; inputs.len()],
    };
    let mut session = device.session(program, &config).unwrap();
    session.run(samples, inputs).unwrap();
    session.read(program.graph.outputs[0]).unwrap()
}

fn differing(a: &Values, b: &Values) -> usize {
    assert_eq!((a.dtype(), a.len()), (b.dtype(), b.len()));
    a.bytes()
        .iter()
        .zip(b.bytes())
        .filter(|(a, b)| a != b)
        .count()
}

/// Operators whose codes XNNPACK rounds differently, and the least number of codes to compare.
const MATCHED: [(&str, usize); 12] = [
    ("CONV_2D", 400_000),
    ("DEPTHWISE_CONV_2D", 400_000),
    ("FULLY_CONNECTED", 200_000),
    ("TRANSPOSE_CONV", 70_000),
    ("BATCH_MATMUL", 10_000),
    ("ADD", 1_000_000),
    ("SUB", 1_000_000),
    ("MUL", 900_000),
    ("MEAN", 5_000),
    ("LEAKY_RELU", 15_000),
    ("QUANTIZE", 100_000),
    ("RESIZE_BILINEAR", 8_000),
];

#[test]
fn xnnpack_numerics_equal_litert() {
    let Some(python) = support::python() else {
        return;
    };
    if !cfg!(target_arch = "x86_64") {
        eprintln!("SKIPPED: XNNPACK rounds differently on other processors than x86-64");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new(python)
        .arg(support::root().join("tests/litert/profiles.py"))
        .arg(folder.path())
        .output()
        .unwrap();
    let (said, errors) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{:?}: {errors}", said.lines().last());
    let index = std::fs::read_to_string(folder.path().join("index.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&index).unwrap();
    let profile = Numerics::Xnnpack;
    let devices = [Cpu::new(), Cpu::definition()].map(|cpu| cpu.with_numerics(profile));
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    let mut failures = Vec::new();
    for case in &cases {
        let model = model::read(&folder.path().join(&case.model)).unwrap();
        let program = simplify::load(model, &case.model).and_then(|(_, g)| kernel::prepare(g));
        // What is refused by design is `tests/ops`'s to judge, and so is what no step is left of.
        let Ok(program) = program else { continue };
        if program.steps.is_empty() {
            continue;
        }
        let mut arrays = support::read_npz(&folder.path().join(&case.data));
        let want = arrays.remove("output").unwrap().values;
        let samples = arrays["input_0"].shape[0];
        let inputs: Vec<Values> = arrays.into_values().map(|a| a.values).collect();
        // Where XNNPACK refuses the scales, LiteRT's optimized kernels take over; these two overflow to the other end.
        if !case.delegated && ["ADD", "MUL"].contains(&case.op.as_str()) {
            continue;
        }
        let tally = tallies.entry(&case.op).or_default();
        tally.cases += 1;
        tally.delegated += usize::from(case.delegated);
        tally.codes += want.len();
        let reference = output(&Cpu::new(), &program, samples, &inputs);
        tally.reference += differing(&reference, &want);
        for device in &devices {
            let got = output(device, &program, samples, &inputs);
            let differ = differing(&got, &want);
            if differ > 0 {
                tally.differ += differ;
                failures.push(format!(
                    "{} ({}; delegated: {}) on {}: {differ} of {} codes",
                    case.case,
                    case.what,
                    case.delegated,
                    device.name(),
                    want.len()
                ));
            }
        }
    }
    for (op, t) in &tallies {
        eprintln!(
            "{op}: {} cases, {} delegated, {} codes: {} differ, {} in reference numerics",
            t.cases, t.delegated, t.codes, t.differ, t.reference
        );
    }
    let shown = failures
        .iter()
        .take(40)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        failures.is_empty(),
        "{} differences:\n{shown}",
        failures.len()
    );
    for (op, least) in MATCHED {
        assert!(
            tallies[op].codes >= least,
            "{} codes of {op}",
            tallies[op].codes
        );
        assert!(
            tallies[op].reference > 0,
            "{op} rounds as the reference does"
        );
    }
}

/// Folder, samples, and scale and offset of raw pixels.
const MODELS: [(&str, &str, Option<[&str; 2]>); 4] = [
    (
        "blazeface_short",
        "4",
        Some(["0.00784313725490196", "-1.0"]),
    ),
    ("deepconvlstm_norm", "8", None),
    ("ina_speech_music_noise", "60", None),
    ("textgenrnn_lstm", "20", None),
];

/// Whole models that others trained: every output of `zeropoint run --numerics xnnpack` is that of LiteRT's default
/// interpreter.
#[test]
fn real_models_equal_the_default_interpreter() {
    let (Some(shared), Some(python)) = (support::shared(), support::python()) else {
        return;
    };
    if !cfg!(target_arch = "x86_64") {
        eprintln!("SKIPPED: XNNPACK rounds differently on other processors than x86-64");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let zeropoint = |arguments: &[&str]| {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_zeropoint"));
        command.args(arguments).assert().success();
    };
    let mut moved = 0;
    for (name, limit, pixels) in MODELS {
        let path = |file: &str| {
            folder
                .path()
                .join(format!("{name}-{file}"))
                .display()
                .to_string()
        };
        let given = |file: &str| {
            shared
                .join("models")
                .join(name)
                .join(file)
                .display()
                .to_string()
        };
        let (model, eval) = (path("int8.tflite"), given("eval.npz"));
        let ours =
            pixels.map(|[s, o]| [format!("--input-scale={s}"), format!("--input-offset={o}")]);
        let ours: Vec<&str> = ours.iter().flatten().map(String::as_str).collect();
        let theirs = pixels.map(|[s, o]| [format!("--scale={s}"), format!("--offset={o}")]);
        let (float, calib) = (given("model.tflite"), given("calib.npz"));
        let quantize = [
            "quantize", &float, "-o", &model, "--data", &calib, "--device", "cpu",
        ];
        zeropoint(
            &[
                &quantize[..],
                &["--limit", "60", "--method", "minmax"],
                &ours,
            ]
            .concat(),
        );
        let [reference, xnnpack] = ["reference", "xnnpack"].map(|numerics| {
            let out = path(&format!("{numerics}.npz"));
            let run = ["run", &model, "--data", &eval, "-o", &out, "--limit", limit];
            let device = ["--device", "cpu", "--numerics", numerics];
            zeropoint(&[&run[..], &device, &ours].concat());
            support::read_npz(out.as_ref())
        });
        let out = path("litert.npz");
        let ran = Command::new(&python)
            .arg(support::root().join("tests/litert/run.py"))
            .args([&model, &eval, &out, "--limit", limit])
            .args(["--outputs-only", "--kernels", "default"])
            .args(theirs.iter().flatten())
            .output()
            .unwrap();
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        for (output, want) in support::read_npz(out.as_ref()) {
            let count = |got: &Values| {
                let size = want.values.dtype().size();
                let (a, b) = (got.bytes().chunks(size), want.values.bytes().chunks(size));
                assert_eq!(a.len(), b.len());
                a.zip(b).filter(|(a, b)| a != b).count()
            };
            let (same, other) = (
                count(&xnnpack[&output].values),
                count(&reference[&output].values),
            );
            eprintln!(
                "{name}, {output}: of {} values {same} differ, {other} in reference numerics",
                want.values.len()
            );
            assert_eq!(same, 0, "{output} of {name}");
            moved += other;
        }
    }
    assert!(moved > 0, "the reference gives the same outputs");
}
