//! Every float model of the grids, and the random graphs: quantized by zeropoint, run by LiteRT's reference kernels, and
//! compared tensor by tensor with what every device here makes of it.

use super::{Case, cases, compare, source, support};
use std::path::Path;
use std::process::Command;
use zeropoint::cpu::Cpu;
use zeropoint::graph::{self, Graph};
use zeropoint::kernel::{self, Device, Feed, Keep, Program, SessionConfig, Statistics};
use zeropoint::model::{self, Model};
use zeropoint::num::Values;
use zeropoint::quantize::{self, Io};
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

/// The model as `zeropoint quantize` would write it; `None` where the model itself is refused, which other tests judge.
fn quantized(
    float: Model,
    name: &str,
    arrays: &std::collections::BTreeMap<String, support::Array>,
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
    let plan = quantize::plan(&graph, &ranges, Io::Float).map_err(|e| e.to_string())?;
    let model = quantize::apply(&float, &graph, &plan).map_err(|e| e.to_string())?;
    Ok(Some((model, graph, inputs)))
}

fn job(folder: &Path, case: &Case) -> Result<Option<Job>, String> {
    let float = model::read(&folder.join(&case.model)).map_err(|e| e.to_string())?;
    let data = folder.join(&case.data);
    let arrays = support::read_npz(&data);
    let Some((model, _, inputs)) = quantized(float, &case.model, &arrays)? else {
        return Ok(None);
    };
    let path = folder.join(format!("quantized/{}-{}.tflite", case.op, case.case));
    model::write(&path, &model).map_err(|e| e.to_string())?;
    let graph = graph::load(&model, &case.case).map_err(|e| e.to_string())?;
    let program = kernel::prepare(graph).map_err(|e| e.to_string())?;
    Ok(Some(Job {
        name: format!("{}/{}", case.op, case.case),
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
                if let Some(what) = compare(&got, &want.values, tolerance, source) {
                    failures.extend(fail(format!("{}: {what}", graph.describe(id))));
                }
            }
            Err(error) => failures.extend(fail(error.to_string())),
        }
    }
    failures
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
        match job(folder, case) {
            Ok(job) => jobs.extend(job),
            Err(error) => failures.push(format!("{}/{}: {error}", case.op, case.case)),
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
    assert!(jobs.len() > 300, "only {} models", jobs.len());
    let shown: Vec<&String> = failures.iter().take(40).collect();
    assert!(
        failures.is_empty(),
        "{} failures in {} models:\n{shown:#?}",
        failures.len(),
        jobs.len()
    );
}
