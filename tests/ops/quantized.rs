//! Every float model of the grids, and the random graphs: quantized by zeropoint in three ways (int8, 16x8, and a scheme
//! drawn for each operator), run by LiteRT's reference kernels, and compared tensor by tensor with what every device here
//! makes of it.

use super::{Case, cases, compare, source, support};
use std::path::Path;
use std::process::Command;
use zeropoint::cpu::Cpu;
use zeropoint::graph::{self, Graph};
use zeropoint::kernel::{self, Device, Feed, Keep, Program, SessionConfig, Statistics};
use zeropoint::model::{self, Model};
use zeropoint::num::Values;
use zeropoint::quantize::{self, Io, NodeScheme, Options};
use zeropoint::simplify;

/// A quantized model and where LiteRT's tensors of it will be.
struct Job {
    name: String,
    model: String,
    data: String,
    out: String,
    program: Program,
    inputs: Vec<Values>,
}

fn config(statistics: Statistics, keep: Keep, inputs: usize) -> SessionConfig {
    SessionConfig {
        batch: None,
        keep,
        statistics,
        profile: false,
        feeds: vec![Feed::Direct; inputs],
    }
}

/// The ways to quantize a model.
const WAYS: [&str; 3] = ["int8", "int16x8", "mixed"];

/// The options of a way; what is drawn follows from the model's name.
fn options(way: &str, graph: &Graph, name: &str) -> Options {
    let mut options = Options::new(Io::Float);
    match way {
        "int8" => {}
        "int16x8" => options.scheme = NodeScheme::Int16x8,
        _ => {
            let seed = |h: u32, b: u8| (h ^ u32::from(b)).wrapping_mul(0x0100_0193);
            let mut state = name.bytes().fold(0x811c_9dc5, seed) | 1;
            let mut draw = |n: u32| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                (state >> 8) % n
            };
            options.least_weights = 0;
            for node in 0..graph.nodes.len() {
                let scheme = match draw(4) {
                    0 => NodeScheme::Int8,
                    1 => NodeScheme::Int16x8,
                    2 => NodeScheme::Dynamic,
                    _ => NodeScheme::Float,
                };
                options.nodes.insert(node, scheme);
                if draw(3) == 0 {
                    options.per_tensor.insert(node);
                }
            }
        }
    }
    options
}

/// The model as `zeropoint quantize` would write it; `None` where the model itself is refused, which other tests judge.
fn quantized(
    float: Model,
    name: &str,
    arrays: &std::collections::BTreeMap<String, support::Array>,
    way: &str,
) -> Result<Option<(Model, Graph, Vec<Values>)>, String> {
    let Ok((float, graph)) = simplify::load(float, name) else {
        return Ok(None);
    };
    let float = simplify::fuse(float, &graph);
    let Ok(graph) = graph::load(&float, name) else {
        return Err("it cannot be read again after its activations were fused".into());
    };
    if quantize::check_float(&graph).is_err() {
        return Ok(None);
    }
    let options = options(way, &graph, name);
    // Columns of convolutions along one axis have scales of their own.
    let nodes = simplify::separable(&graph, &options.dynamic(&graph));
    let split = simplify::columns(float, &graph, &nodes);
    let (float, options) = (split.model, options.moved(&split.origin));
    let graph = graph::load(&float, name).map_err(|e| e.to_string())?;
    let Ok(program) = kernel::prepare(graph.clone()) else {
        return Ok(None);
    };
    let inputs: Vec<Values> = (0..graph.inputs.len())
        .map(|i| arrays[&format!("input_{i}")].values.clone())
        .collect();
    let samples = arrays["input_0"].shape[0];
    let cpu = Cpu::new();
    let ranges = {
        let config = config(Statistics::Ranges, Keep::Nothing, inputs.len());
        let mut session = cpu.session(&program, &config).map_err(|e| e.to_string())?;
        // A batch at a time, as the session asks for.
        let run = session.run(samples, &inputs);
        if run.is_err() {
            // What is not finite has no range.
            return Ok(None);
        }
        session.ranges().map_err(|e| e.to_string())?
    };
    let plan = quantize::plan_with(&graph, &ranges, &options).map_err(|e| e.to_string())?;
    let model = quantize::apply(&float, &graph, &plan).map_err(|e| e.to_string())?;
    Ok(Some((model, graph, inputs)))
}

fn job(folder: &Path, case: &Case, way: &str) -> Result<Option<Job>, String> {
    let float = model::read(&folder.join(&case.model)).map_err(|e| e.to_string())?;
    let data = folder.join(&case.data);
    let arrays = support::read_npz(&data);
    let Some((model, _, inputs)) = quantized(float, &case.model, &arrays, way)? else {
        return Ok(None);
    };
    let path = folder.join(format!("quantized/{}-{}-{way}.tflite", case.op, case.case));
    model::write(&path, &model).map_err(|e| e.to_string())?;
    let graph = graph::load(&model, &case.case).map_err(|e| e.to_string())?;
    let program = kernel::prepare(graph).map_err(|e| e.to_string())?;
    Ok(Some(Job {
        name: format!("{}/{} {way}", case.op, case.case),
        model: path.display().to_string(),
        data: data.display().to_string(),
        out: path.with_extension("npz").display().to_string(),
        program,
        inputs,
    }))
}

/// What differs between LiteRT and a device.
fn differences(device: &dyn Device, job: &Job) -> Vec<String> {
    let (program, graph) = (&job.program, &job.program.graph);
    let wanted = support::read_npz(Path::new(&job.out));
    let name = device.name();
    let fail = |what: String| vec![format!("{} on {name}: {what}", job.name)];
    let config = config(Statistics::Nothing, Keep::All, job.inputs.len());
    let mut session = match device.session(program, &config) {
        Ok(session) => session,
        Err(error) => return fail(error.to_string()),
    };
    let samples = job.inputs[0].len() / graph.elements(graph.inputs[0]);
    if let Err(error) = session.run(samples, &job.inputs) {
        return fail(error.to_string());
    }
    let mut failures = Vec::new();
    for id in program.values() {
        let Some(want) = wanted.get(&format!("tensor_{id}")) else {
            continue;
        };
        match session.read(id) {
            Ok(got) => {
                let tolerance = device.tolerance() * program.tolerance(id);
                let source = source(program, id, &wanted);
                // Floats that are not quite equal may round to other integers, a few of them.
                if tolerance > 0.0 && is_close(&got, &want.values) {
                    continue;
                }
                if let Some(what) = compare(&got, &want.values, tolerance, source) {
                    failures.extend(fail(format!("{}: {what}", graph.describe(id))));
                }
            }
            Err(error) => failures.extend(fail(error.to_string())),
        }
    }
    failures
}

/// Whether no more than one in twenty integers (and two more) differ.
fn is_close(got: &Values, want: &Values) -> bool {
    let differ = match (got, want) {
        (Values::I8(a), Values::I8(b)) => a.iter().zip(b).filter(|(a, b)| a != b).count(),
        (Values::I16(a), Values::I16(b)) => a.iter().zip(b).filter(|(a, b)| a != b).count(),
        _ => return false,
    };
    got.len() == want.len() && differ <= got.len() / 20 + 2
}

#[test]
fn what_we_quantize_litert_runs_to_the_same_integers() {
    let Some((folder, cases)) = cases() else {
        return;
    };
    let python = support::python().unwrap();
    std::fs::create_dir_all(folder.join("quantized")).unwrap();
    let (mut jobs, mut failures) = (Vec::new(), Vec::new());
    for case in cases.iter().filter(|c| c.kind == "float") {
        for way in WAYS {
            match job(folder, case, way) {
                Ok(job) => jobs.extend(job),
                Err(error) => failures.push(format!("{}/{} {way}: {error}", case.op, case.case)),
            }
        }
    }
    let list: Vec<_> = jobs
        .iter()
        .map(|j| serde_json::json!({"model": j.model, "data": j.data, "out": j.out}))
        .collect();
    let path = folder.join("quantized/list.json");
    std::fs::write(&path, serde_json::to_string(&list).unwrap()).unwrap();
    let output = Command::new(python)
        .arg(support::root().join("tests/litert/batch.py"))
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "LiteRT died of {:?}: {}",
        String::from_utf8_lossy(&output.stdout).lines().last(),
        String::from_utf8_lossy(&output.stderr)
    );
    let failed = std::fs::read_to_string(folder.join("quantized/list.json.failed")).unwrap();
    let failed: std::collections::BTreeMap<String, String> = serde_json::from_str(&failed).unwrap();
    let devices = support::devices();
    for job in &jobs {
        match failed.get(&job.model) {
            Some(why) => failures.push(format!("{}: LiteRT refuses it: {why}", job.name)),
            None => failures.extend(devices.iter().flat_map(|d| differences(d.as_ref(), job))),
        }
    }
    assert!(jobs.len() > 900, "only {} models", jobs.len());
    let shown: Vec<&String> = failures.iter().take(40).collect();
    assert!(
        failures.is_empty(),
        "{} failures in {} models:\n{shown:#?}",
        failures.len(),
        jobs.len()
    );
}
