//! `zeropoint verify`

use super::target::{DataArguments, DeviceArguments};
use super::{Failure, output, progress};
use clap::Args;
use std::path::PathBuf;
use zeropoint::cpu::Cpu;
use zeropoint::evaluate::{Distance, Equality};
use zeropoint::graph::{Graph, TensorId};
use zeropoint::kernel::{Device, Keep, Program, Session, SessionConfig, Statistics};
use zeropoint::num::{DType, Values};
use zeropoint::report::{self, OutputDistance, TensorEquality, Verification};
use zeropoint::stream;

/// Arguments of `zeropoint verify`.
#[derive(Args)]
pub struct Arguments {
    /// The float model
    float: PathBuf,
    /// The quantized model
    quantized: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    device: DeviceArguments,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Memory for the tensors of the three runs of a batch.
const BATCH_BYTES: usize = 96 << 20;

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (_, float) = arguments.data.program(&arguments.float)?;
    let (_, quantized) = arguments.data.program(&arguments.quantized)?;
    check_outputs(&float.graph, &quantized.graph)?;
    note_float(&quantized);
    let (mut data, float_feeds) = arguments.data.open(&float.graph)?;
    let (_, feeds) = arguments.data.open(&quantized.graph)?;
    // With a GPU it is judged by the CPU's fast kernels, which tests hold to the definition; without one these are
    // judged by the definition itself.
    let (fast, definition) = (Cpu::new(), Cpu::definition());
    let gpu = arguments.device.gpu()?;
    let (judged, judge): (&dyn Device, &dyn Device) = match &gpu {
        Some(gpu) => (gpu, &fast),
        None => (&fast, &definition),
    };
    let needs = float
        .bytes_per_sample()
        .max(quantized.bytes_per_sample())
        .max(1);
    let batch = arguments
        .device
        .batch
        .unwrap_or((BATCH_BYTES / needs).clamp(1, 128));
    let config = |keep, feeds: &[_]| SessionConfig {
        batch: Some(batch),
        keep,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.to_vec(),
    };
    let mut a = judged.session(&quantized, &config(Keep::All, &feeds))?;
    let mut b = judge.session(&quantized, &config(Keep::All, &feeds))?;
    let mut reference = fast.session(&float, &config(Keep::Outputs, &float_feeds))?;
    let mut tensors: Vec<TensorEquality> = quantized
        .values()
        .into_iter()
        .map(|id| named(&quantized, id))
        .collect();
    let mut outputs: Vec<Distance> = float
        .graph
        .results()
        .iter()
        .map(|_| Distance::new())
        .collect();
    let bar = progress::bar("verify", data.len());
    let size = a.batch().min(b.batch()).min(reference.batch());
    stream::each(&mut data, size, |batch| {
        reference.run(
            batch.samples,
            &stream::feed(&float_feeds, batch.inputs.clone()),
        )?;
        let inputs = stream::feed(&feeds, batch.inputs);
        a.run(batch.samples, &inputs)?;
        b.run(batch.samples, &inputs)?;
        compare(
            &quantized,
            a.as_mut(),
            b.as_mut(),
            &mut tensors,
            &float,
            reference.as_mut(),
            &mut outputs,
            batch.first,
        )?;
        bar.inc(batch.samples as u64);
        Ok::<(), Failure>(())
    })?;
    bar.finish_and_clear();
    let outputs = quantized
        .graph
        .results()
        .iter()
        .zip(outputs)
        .map(|(&id, distance)| {
            let name = quantized.graph.tensors[id].name.clone();
            Ok(OutputDistance {
                tensor: id,
                name,
                distance: distance.figures()?,
            })
        })
        .collect::<Result<_, Failure>>()?;
    let result = Verification {
        samples: data.len(),
        judged: judged.name(),
        judge: judge.name(),
        tensors,
        outputs,
    };
    if arguments.json {
        output::print_json(&result)?;
    } else {
        output::print(&report::verify(&result));
    }
    match result.differing() {
        0 => Ok(()),
        n => Err(Failure::Check(format!(
            "{n} elements differ between {} and {}",
            result.judged, result.judge
        ))),
    }
}

fn named(program: &Program, id: TensorId) -> TensorEquality {
    let tensor = &program.graph.tensors[id];
    TensorEquality {
        tensor: id,
        exact: program.tolerance(id) == 0.0,
        name: tensor.name.clone(),
        dtype: tensor.dtype,
        equality: Equality::default(),
    }
}

/// Compares every tensor of the quantized model between its two runs, and its outputs with the float model's.
#[allow(
    clippy::too_many_arguments,
    reason = "three sessions and their tallies; a struct would only rename them"
)]
fn compare(
    quantized: &Program,
    a: &mut dyn Session,
    b: &mut dyn Session,
    tensors: &mut [TensorEquality],
    float: &Program,
    reference: &mut dyn Session,
    outputs: &mut [Distance],
    first: usize,
) -> Result<(), Failure> {
    let graph = &quantized.graph;
    let (float_ids, ids) = (float.graph.results(), graph.results());
    // Read once a run, though a tensor may be several outputs.
    let mut results: Vec<(TensorId, Values)> = Vec::new();
    let mut references: Vec<(TensorId, Values)> = Vec::new();
    for tensor in tensors {
        let (x, y) = (a.read(tensor.tensor)?, b.read(tensor.tensor)?);
        let elements = graph.elements(tensor.tensor);
        tensor
            .equality
            .add(x.bytes(), y.bytes(), tensor.dtype.size(), elements, first);
        if ids.contains(&tensor.tensor) {
            results.push((tensor.tensor, x));
        }
    }
    for &id in ids.iter().filter(|&&id| !graph.is_activation(id)) {
        results.push((id, a.read(id)?));
    }
    for (i, distance) in outputs.iter_mut().enumerate() {
        let (from, to) = (float_ids[i], ids[i]);
        if !references.iter().any(|(id, _)| *id == from) {
            references.push((from, reference.read(from)?));
        }
        let find = |list: &[(TensorId, Values)], graph: &Graph, id: TensorId| {
            let value = list.iter().find(|(other, _)| *other == id).map(|(_, v)| v);
            value.map(|v| graph.tensors[id].real(v)).unwrap_or_default()
        };
        let (x, y) = (
            find(&references, &float.graph, from),
            find(&results, graph, to),
        );
        let elements = graph.elements(to).max(1);
        for (x, y) in x.chunks_exact(elements).zip(y.chunks_exact(elements)) {
            distance.add(x, y)?;
        }
    }
    Ok(())
}

/// The quantized model must be one of the float model's.
pub(super) fn check_outputs(float: &Graph, quantized: &Graph) -> Result<(), Failure> {
    let shapes = |g: &Graph| -> Vec<Vec<usize>> {
        g.results()
            .iter()
            .map(|&id| g.tensors[id].shape.clone())
            .collect()
    };
    let (a, b) = (shapes(float), shapes(quantized));
    if a == b {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "{} has outputs of shapes {a:?} but {} of {b:?}; are these two forms of one model?",
        float.file, quantized.file
    )))
}

/// Only integers are promised to be equal: a float model has nothing to compare bit for bit.
fn note_float(quantized: &Program) {
    let graph = &quantized.graph;
    let is_integer = |&id: &TensorId| matches!(graph.tensors[id].dtype, DType::I8 | DType::I16);
    if quantized.values().iter().any(is_integer) {
        return;
    }
    output::note(&format!(
        "note: {} computes no integers; devices differ in the last bits of floats, so only the distance to the float model counts",
        graph.file
    ));
}
