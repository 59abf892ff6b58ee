//! With the activations' parameters taken from the file TensorFlow made, everything else in our file must equal it:
//! operators and their versions, weights, biases, states, intermediates, every scale and zero point. And LiteRT must
//! run what we write.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use zeropoint::graph::{self, Graph, Node, Op};
use zeropoint::kernel;
use zeropoint::model::{self, Model};
use zeropoint::num::{Affine, Range};
use zeropoint::quantize::{Io, apply, plan, plan_with_parameters};

/// The folder of reference models, or nothing, said loudly.
fn models() -> Option<PathBuf> {
    let shared = std::env::var_os("ZEROPOINT_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let models = shared.join("models");
    if models.is_dir() {
        return Some(models);
    }
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!(
            "SKIPPED: no reference models at {}; set ZEROPOINT_SHARED\n",
            models.display()
        ),
    );
    None
}

fn load(path: PathBuf) -> (Model, Graph) {
    let model = model::read(&path).unwrap();
    let graph = graph::load(&model, &path.display().to_string()).unwrap();
    (model, graph)
}

/// The nodes that the float model has too.
fn own_nodes(graph: &Graph) -> impl Iterator<Item = &Node> {
    let added = |n: &&Node| !matches!(n.op, Op::Quantize | Op::Dequantize);
    graph.nodes.iter().filter(added)
}

/// TensorFlow's parameters for each tensor of the float graph that has some.
fn parameters(float: &Graph, quantized: &Graph) -> Vec<Option<Affine>> {
    let mut all = vec![None; float.tensors.len()];
    for (a, b) in float.nodes.iter().zip(own_nodes(quantized)) {
        assert_eq!(a.op, b.op);
        let ids = |n: &Node| -> Vec<Option<usize>> {
            let outputs = n.outputs.iter().map(|&id| Some(id));
            n.inputs.iter().copied().chain(outputs).collect()
        };
        for (x, y) in ids(a).into_iter().zip(ids(b)) {
            if let (Some(x), Some(y)) = (x, y)
                && float.is_activation(x)
            {
                all[x] = quantized.tensors[y].affine();
            }
        }
    }
    all
}

fn versions(model: &Model) -> Vec<(String, i32)> {
    let codes = model.operator_codes.as_deref().unwrap();
    codes
        .iter()
        .map(|c| {
            assert_eq!(i32::from(c.deprecated_builtin_code), c.builtin_code);
            (model::operator_name(c).into_owned(), c.version)
        })
        .collect()
}

fn runtime_version(model: &Model) -> Vec<u8> {
    let mut entries = model.metadata.iter().flatten();
    let entry = entries
        .find(|m| m.name.as_deref() == Some("min_runtime_version"))
        .unwrap();
    model.buffers.as_ref().unwrap()[entry.buffer as usize]
        .data
        .clone()
        .unwrap()
}

fn assert_equal(ours: &Graph, theirs: &Graph) {
    assert_eq!(ours.nodes.len(), theirs.nodes.len());
    let mut constants = 0;
    for (a, b) in ours.nodes.iter().zip(&theirs.nodes) {
        assert_eq!(a.op, b.op);
        assert_eq!(a.inputs.len(), b.inputs.len());
        assert_eq!(a.intermediates.len(), b.intermediates.len());
        let mut pairs = Vec::new();
        for (&x, &y) in a.inputs.iter().zip(&b.inputs) {
            assert_eq!(x.is_some(), y.is_some());
            pairs.extend(x.zip(y));
        }
        pairs.extend(a.outputs.iter().copied().zip(b.outputs.iter().copied()));
        let inner = b.intermediates.iter().copied();
        pairs.extend(a.intermediates.iter().copied().zip(inner));
        for (x, y) in pairs {
            let (x, y) = (&ours.tensors[x], &theirs.tensors[y]);
            let place = format!("{}: '{}' and '{}'", a.describe(), x.name, y.name);
            assert_eq!((x.dtype, x.variable), (y.dtype, y.variable), "{place}");
            assert_eq!(x.shape, y.shape, "{place}");
            assert_eq!(x.quantization, y.quantization, "{place}");
            assert_eq!(x.constant, y.constant, "{place}");
            constants += usize::from(x.constant.is_some());
        }
    }
    assert_eq!(constants, 38);
    let name = |g: &Graph, id: usize| g.tensors[id].name.clone();
    let (a, b) = (ours, theirs);
    assert_eq!(name(a, a.inputs[0]), name(b, b.inputs[0]));
    assert_eq!(name(a, a.outputs[0]), name(b, b.outputs[0]));
}

#[test]
fn equals_tensorflow_but_for_the_ranges() {
    let Some(models) = models() else { return };
    for variant in ["deepconvlstm_gdps", "deepconvlstm_norm"] {
        let folder = models.join(variant);
        let (model, float) = load(folder.join("model.tflite"));
        for (file, io) in [("fiq.tflite", Io::Float), ("fiq_int8io.tflite", Io::Int8)] {
            let path = folder.join("tensorflow").join(file);
            let size = std::fs::metadata(&path).unwrap().len();
            let (their_model, theirs) = load(path);
            let plan = plan_with_parameters(&float, &parameters(&float, &theirs), io).unwrap();
            let our_model = apply(&model, &float, &plan).unwrap();
            let bytes = model::to_bytes(&our_model).unwrap();
            let reread = model::parse(&bytes).unwrap();
            let ours = graph::load(&reread, "ours").unwrap();
            assert_equal(&ours, &theirs);
            if io == Io::Float {
                let name = |g: &Graph, node: &Node| g.tensors[node.outputs[0]].name.clone();
                assert_eq!(name(&ours, &ours.nodes[0]), "tfl.quantize");
                let (a, b) = (&ours.nodes[10], &theirs.nodes[10]);
                assert_eq!(name(&ours, a), name(&theirs, b));
            }
            assert_eq!(versions(&reread), versions(&their_model));
            assert_eq!(runtime_version(&reread), runtime_version(&their_model));
            assert_eq!(reread.description, model.description);
            let difference = (bytes.len() as f64 / size as f64 - 1.0).abs();
            assert!(difference < 0.01, "{} bytes, theirs {size}", bytes.len());
            eprintln!(
                "{variant} {file}: equal, {} bytes, theirs {size}",
                bytes.len()
            );
        }
    }
}

/// A file that TensorFlow's calibrator has seen brings intermediate tensors of its own.
#[test]
fn intermediates_in_the_float_model_are_replaced() {
    let Some(models) = models() else { return };
    let folder = models.join("deepconvlstm_norm");
    let (mut model, _) = load(folder.join("model.tflite"));
    let subgraph = &mut model.subgraphs.as_mut().unwrap()[0];
    let tensors = subgraph.tensors.as_mut().unwrap();
    let first = tensors.len() as i32;
    for name in ["input_to_input_intermediate", "b", "c", "d", "e"] {
        tensors.push(model::Tensor {
            name: Some(name.into()),
            shape: Some(vec![0]),
            ..model::Tensor::default()
        });
    }
    subgraph.operators.as_mut().unwrap()[5].intermediates = Some((first..first + 5).collect());
    let float = graph::load(&model, "calibrated").unwrap();
    let (_, theirs) = load(folder.join("tensorflow/fiq.tflite"));
    let parameters = parameters(&float, &theirs);
    let plan = plan_with_parameters(&float, &parameters, Io::Float).unwrap();
    assert_eq!(
        plan.intermediates[0].names[0],
        "input_to_input_intermediate1"
    );
    let ours = graph::load(&apply(&model, &float, &plan).unwrap(), "ours").unwrap();
    assert_equal(&ours, &theirs);
}

/// The Python that has `ai-edge-litert`, or nothing, said loudly.
fn python() -> Option<PathBuf> {
    let path = std::env::var_os("ZEROPOINT_PYTHON").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"),
        PathBuf::from,
    );
    let probe = Command::new(&path)
        .args(["-c", "import ai_edge_litert.interpreter, numpy"])
        .output();
    if probe.is_ok_and(|o| o.status.success()) {
        return Some(path);
    }
    let hint = format!("no Python with ai-edge-litert at {}", path.display());
    assert!(
        std::env::var_os("ZEROPOINT_REQUIRE_LITERT").is_none(),
        "{hint}"
    );
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {hint}\n"));
    None
}

#[test]
fn litert_runs_what_we_write() {
    let (Some(models), Some(python)) = (models(), python()) else {
        return;
    };
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/quantize_litert.py");
    let run = |arguments: &[&str]| -> String {
        let command = Command::new(&python).arg(&script).args(arguments).output();
        let output = command.unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, tolerance) in [("deepconvlstm_gdps", 0.1), ("efficientnet_lite0", 0.1)] {
        let path = models.join(name).join("model.tflite");
        let out = folder.path().join(name);
        let out = out.to_str().unwrap();
        let (model, float) = load(path.clone());
        let mut ranges = vec![None; float.tensors.len()];
        for line in run(&["ranges", path.to_str().unwrap(), out]).lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let id: usize = fields[0].parse().unwrap();
            // The interpreter may list temporary tensors behind those of the file.
            if let Some(range) = ranges.get_mut(id) {
                let (min, max) = (fields[1].parse().unwrap(), fields[2].parse().unwrap());
                *range = Some(Range { min, max });
            }
        }
        for node in &float.nodes {
            if let Op::UnidirectionalSequenceLstm(lstm) = &node.op {
                let (min, max) = (-lstm.cell_clip, lstm.cell_clip);
                ranges[node.inputs[19].unwrap()] = Some(Range { min, max });
            }
        }
        for (io, dtype) in [
            (Io::Float, "float32"),
            (Io::Int8, "int8"),
            (Io::Uint8, "uint8"),
        ] {
            let quantized = apply(&model, &float, &plan(&float, &ranges, io).unwrap()).unwrap();
            let graph = graph::load(&quantized, name).unwrap();
            let program = kernel::prepare(graph).unwrap();
            assert!(program.steps.len() >= float.nodes.len());
            let file = format!("{out}_{dtype}.tflite");
            model::write(Path::new(&file), &quantized).unwrap();
            let distance: f64 = run(&["check", &file, out, dtype]).trim().parse().unwrap();
            eprintln!("{name}, {dtype}: at most {distance} from float");
            assert!(distance < tolerance, "{name}, {dtype}: {distance}");
        }
    }
}
