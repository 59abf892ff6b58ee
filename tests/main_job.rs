//! The whole job on the model and data of `examples/har`, as a program would call the library, judged by LiteRT.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use support::root;
use zeropoint::calibrate::{self, Calibration};
use zeropoint::cpu::Cpu;
use zeropoint::data::Options;
use zeropoint::evaluate::{Classification, Metrics};
use zeropoint::graph::{self, Graph, Op};
use zeropoint::kernel::{self, Device, Keep, Program, SessionConfig, Statistics};
use zeropoint::model;
use zeropoint::num::Values;
use zeropoint::quantize::{self, Io};
use zeropoint::stream;

/// Windows for which every tensor is compared.
const WINDOWS: usize = 40;
/// The same on a GPU that is emulated in software.
const EMULATED: usize = 4;
/// Windows for which predictions are compared with LiteRT's.
const PREDICTED: usize = 250;

fn har(file: &str) -> PathBuf {
    root().join("examples/har").join(file)
}

fn load(path: &Path) -> Program {
    let model = model::read(path).unwrap();
    kernel::prepare(graph::load(&model, &path.display().to_string()).unwrap()).unwrap()
}

fn limit(n: usize) -> Options {
    Options {
        limit: Some(n),
        scale_offset: None,
    }
}

fn ranges(
    device: &dyn Device,
    program: &Program,
    data: &Path,
    options: &Options,
    batch: Option<usize>,
) -> Calibration {
    let (mut data, feeds) = stream::open(data, &program.graph, options).unwrap();
    calibrate::min_max(device, program, &mut data, feeds, batch, |_| {}).unwrap()
}

/// The model quantized with all calibration data on the CPU, float outside.
fn quantized(folder: &Path, to: &Path) {
    let model = model::read(&folder.join("model.tflite")).unwrap();
    let program = load(&folder.join("model.tflite"));
    let options = Options::default();
    let data = folder.join("calib.npz");
    let calibration = ranges(&Cpu::new(), &program, &data, &options, None);
    assert_eq!(calibration.samples, 500);
    let plan = quantize::plan(&program.graph, &calibration.ranges, Io::Float).unwrap();
    let result = quantize::apply(&model, &program.graph, &plan).unwrap();
    model::write(to, &result).unwrap();
}

/// The int8 model of the example, made once.
fn int8() -> &'static Path {
    static FILE: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("har_int8.tflite");
        quantized(&root().join("examples/har"), &path);
        (folder, path)
    });
    &FILE.1
}

/// Runs over a data set and gives every batch's first output and its labels away.
fn evaluate(
    device: &dyn Device,
    program: &Program,
    data: &Path,
    options: &Options,
) -> (Vec<f32>, Metrics) {
    let graph = &program.graph;
    let (mut data, feeds) = stream::open(data, graph, options).unwrap();
    let labels = data.labels().unwrap().clone();
    let classes = graph.elements(graph.outputs[0]);
    let config = SessionConfig {
        batch: None,
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.clone(),
    };
    let mut session = device.session(program, &config).unwrap();
    let (mut scores, mut tally) = (Vec::new(), Classification::new(classes).unwrap());
    stream::each(&mut data, session.batch(), |batch| {
        session.run(batch.samples, &stream::feed(&feeds, batch.inputs))?;
        let Values::F32(values) = session.read(graph.outputs[0])? else {
            panic!("float outside")
        };
        for (i, row) in values.chunks_exact(classes).enumerate() {
            tally.add(row, labels.accepted(batch.first + i)).unwrap();
        }
        scores.extend(values);
        Ok::<(), stream::Error>(())
    })
    .unwrap();
    (scores, tally.metrics().unwrap())
}

/// What LiteRT computes; nothing where it is not installed.
fn litert(
    model: &Path,
    data: &Path,
    arguments: &[&str],
) -> Option<std::collections::BTreeMap<String, support::Array>> {
    let python = support::python()?;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.npz");
    let output = Command::new(python)
        .arg(root().join("tests/litert/run.py"))
        .args([model, data, &out])
        .args(arguments)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    Some(support::read_npz(&out))
}

#[test]
fn every_tensor_is_litert_s_on_every_device() {
    let program = load(int8());
    let limit_text = WINDOWS.to_string();
    let Some(judge) = litert(int8(), &har("eval.npz"), &["--limit", &limit_text]) else {
        return;
    };
    let graph = &program.graph;
    let mut devices: Vec<(Box<dyn Device>, usize)> = vec![
        (Box::new(Cpu::definition()), WINDOWS),
        (Box::new(Cpu::new()), WINDOWS),
    ];
    if let Some(gpu) = support::gpu() {
        let windows = if gpu.is_software() { EMULATED } else { WINDOWS };
        devices.push((Box::new(gpu), windows));
    }
    for (device, windows) in devices {
        let (mut data, feeds) = stream::open(&har("eval.npz"), graph, &limit(windows)).unwrap();
        let config = SessionConfig {
            batch: Some(windows),
            keep: Keep::All,
            statistics: Statistics::Nothing,
            profile: false,
            feeds: feeds.clone(),
        };
        let mut session = device.session(&program, &config).unwrap();
        let batch = data.next_batch(windows).unwrap().unwrap();
        session
            .run(windows, &stream::feed(&feeds, batch.inputs))
            .unwrap();
        let ids = program.values();
        assert!(ids.len() > 15, "{} tensors", ids.len());
        for id in ids {
            let (got, want) = (session.read(id).unwrap(), &judge[&format!("tensor_{id}")]);
            assert_eq!(want.shape[0], WINDOWS);
            let size = graph.tensors[id].dtype.size();
            let bytes = windows * graph.elements(id) * size;
            let (got, want) = (got.bytes(), &want.values.bytes()[..bytes]);
            let pairs = got.chunks(size).zip(want.chunks(size));
            let differ = pairs.filter(|(a, b)| a != b).count();
            assert!(
                got.len() == bytes && differ == 0,
                "{} on {}: {differ} of {} elements differ",
                graph.describe(id),
                device.name(),
                bytes / size
            );
        }
    }
}

#[test]
fn the_float_model_scores_what_litert_s_does() {
    let program = load(&har("model.tflite"));
    let (_, metrics) = evaluate(&Cpu::new(), &program, &har("eval.npz"), &Options::default());
    assert_eq!(metrics.samples, 1031);
    assert!((metrics.accuracy - 0.8215).abs() < 5e-4, "{metrics:?}");
    assert!((metrics.kappa.unwrap() - 0.791).abs() < 5e-4, "{metrics:?}");
}

#[test]
fn the_int8_model_predicts_what_litert_does() {
    let text = PREDICTED.to_string();
    let arguments = ["--limit", &text, "--kernels", "builtin", "--outputs-only"];
    let Some(judge) = litert(int8(), &har("eval.npz"), &arguments) else {
        return;
    };
    let Values::F32(want) = &judge["output_0"].values else {
        panic!("float outside")
    };
    let program = load(int8());
    let (scores, metrics) = evaluate(&Cpu::new(), &program, &har("eval.npz"), &limit(PREDICTED));
    assert_eq!(metrics.samples, PREDICTED as u64);
    assert!(&scores == want, "a score differs");
}

#[test]
fn ranges_do_not_depend_on_the_batch() {
    let program = load(&har("model.tflite"));
    let all = |device: &dyn Device, windows: usize, batch: Option<usize>| {
        let data = har("calib.npz");
        ranges(device, &program, &data, &limit(windows), batch)
    };
    let cpu = all(&Cpu::new(), 67, None);
    for batch in [1, 3, 32] {
        let other = all(&Cpu::new(), 67, Some(batch));
        assert!(other == cpu, "CPU, batch {batch}");
    }
    let Some(gpu) = support::gpu() else { return };
    let (windows, batches): (usize, &[usize]) = if gpu.is_software() {
        (5, &[1, 3])
    } else {
        (67, &[1, 3, 32])
    };
    let cpu = all(&Cpu::new(), windows, None);
    let on_gpu = all(&gpu, windows, None);
    for &batch in batches {
        let other = all(&gpu, windows, Some(batch));
        assert!(other == on_gpu, "GPU, batch {batch}");
    }
    for (id, (a, b)) in cpu.ranges.iter().zip(&on_gpu.ranges).enumerate() {
        let tensor = program.graph.describe(id);
        assert_eq!(a.is_some(), b.is_some(), "{tensor}");
        let Some((a, b)) = a.zip(*b) else { continue };
        let limit = 1e-4 * (a.max - a.min).max(1e-3);
        assert!(
            (a.min - b.min).abs() <= limit && (a.max - b.max).abs() <= limit,
            "{tensor}: {a:?} on the CPU, {b:?} on the GPU"
        );
    }
}

/// Activations that both models have, in order: (ours, theirs, whether an LSTM has come before).
fn activations(ours: &Graph, theirs: &Graph) -> Vec<(usize, usize, bool)> {
    let own = |g: &Graph| -> Vec<graph::Node> {
        let added = |n: &&graph::Node| !matches!(n.op, Op::Quantize | Op::Dequantize);
        g.nodes.iter().filter(added).cloned().collect()
    };
    let (a, b) = (own(ours), own(theirs));
    assert_eq!(a.len(), b.len());
    let (mut pairs, mut lstm) = (Vec::new(), false);
    for (x, y) in a.iter().zip(&b) {
        assert_eq!(x.op, y.op);
        let first = |n: &graph::Node| n.inputs[0].unwrap();
        pairs.push((first(x), first(y), lstm));
        lstm |= matches!(x.op, Op::UnidirectionalSequenceLstm(_));
        pairs.push((x.outputs[0], y.outputs[0], lstm));
    }
    pairs
}

#[test]
fn the_normalised_variant_and_tensorflow_s_parameters() {
    let Some(shared) = support::shared() else {
        return;
    };
    let folder = shared.join("models/deepconvlstm_norm");
    let float = load(&folder.join("model.tflite"));
    let (_, metrics) = evaluate(
        &Cpu::new(),
        &float,
        &folder.join("eval.npz"),
        &Options::default(),
    );
    assert!((metrics.accuracy - 0.785).abs() < 5e-4, "{metrics:?}");
    assert!((metrics.kappa.unwrap() - 0.747).abs() < 5e-4, "{metrics:?}");
    let temporary = tempfile::tempdir().unwrap();
    for variant in ["deepconvlstm_norm", "deepconvlstm_gdps"] {
        let folder = shared.join("models").join(variant);
        let file = temporary.path().join(variant);
        quantized(&folder, &file);
        let (ours, theirs) = (load(&file), load(&folder.join("tensorflow/fiq.tflite")));
        let mut equal = 0;
        for (a, b, after_lstm) in activations(&ours.graph, &theirs.graph) {
            let (x, y) = (
                ours.graph.tensors[a].affine().unwrap(),
                theirs.graph.tensors[b].affine().unwrap(),
            );
            let distance = (x.scale / y.scale - 1.0).abs();
            let close = distance < 1e-5 && x.zero_point == y.zero_point;
            equal += usize::from(close);
            if !close {
                eprintln!(
                    "{variant}: {}: {x:?}, TensorFlow {y:?}",
                    ours.graph.describe(a)
                );
            }
            // TensorFlow's calibrator lets one sample's state reach the next, so only what comes before can agree.
            assert!(close || after_lstm, "{variant}: {}", ours.graph.describe(a));
        }
        eprintln!("{variant}: {equal} activations as TensorFlow has them");
        assert!(equal >= 6, "{variant}: only {equal} agree");
    }
}
