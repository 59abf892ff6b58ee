//! `zeropoint evaluate`

use super::target::{DataArguments, DeviceArguments, NumericsArguments};
use super::{Failure, output, progress};
use clap::Args;
use std::path::{Path, PathBuf};
use zeropoint::evaluate::{Classification, Metrics};
use zeropoint::kernel::{Device, Keep, SessionConfig, Statistics};
use zeropoint::num::Values;
use zeropoint::report::{self, Evaluation, ModelSize};
use zeropoint::stream;

/// Arguments of `zeropoint evaluate`.
#[derive(Args)]
pub struct Arguments {
    /// Models to score, float or quantized
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    /// Which output holds the class scores
    #[arg(long, value_name = "N", default_value_t = 0)]
    scores: usize,
    /// Names of the classes, one a line, for the tables
    #[arg(long, value_name = "FILE")]
    class_names: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    numerics: NumericsArguments,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let names = arguments
        .class_names
        .as_deref()
        .map(read_names)
        .transpose()?;
    let device = arguments.numerics.open(&arguments.device)?;
    let mut evaluations = Vec::new();
    for path in &arguments.models {
        evaluations.push(evaluate(
            arguments,
            path,
            names.as_deref(),
            device.as_ref(),
        )?);
    }
    if arguments.json {
        return output::print_json(
            &serde_json::json!({ "device": device.name(), "models": evaluations }),
        );
    }
    output::print(&report::evaluate(
        &device.name(),
        &evaluations,
        names.as_deref(),
    ));
    Ok(())
}

fn evaluate(
    arguments: &Arguments,
    path: &Path,
    names: Option<&[String]>,
    device: &dyn Device,
) -> Result<Evaluation, Failure> {
    let (model, program) = arguments.data.program(path)?;
    let graph = &program.graph;
    let (mut data, feeds) = arguments.data.open(graph)?;
    let labels = data.labels().cloned().ok_or_else(|| {
        Failure::Input(format!(
            "{}: no array 'labels'; evaluation needs one class number a sample",
            arguments.data.data.display()
        ))
    })?;
    let results = graph.results();
    let &scores = results.get(arguments.scores).ok_or_else(|| {
        Failure::Input(format!(
            "{}: no output {}, the model has {}",
            path.display(),
            arguments.scores,
            results.len()
        ))
    })?;
    let classes = graph.elements(scores);
    if let Some(names) = names.filter(|names| names.len() != classes) {
        return Err(Failure::Input(format!(
            "{}: {classes} classes, but --class-names has {} names",
            path.display(),
            names.len()
        )));
    }
    let mut tally = Classification::new(classes)?;
    let config = SessionConfig {
        batch: arguments.device.batch,
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.clone(),
    };
    let mut session = device.session(&program, &config)?;
    let bar = progress::bar("evaluate", data.len());
    stream::each(&mut data, session.batch(), |batch| {
        session.run(batch.samples, &stream::feed(&feeds, batch.inputs))?;
        let values = session.read(scores)?;
        for i in 0..batch.samples {
            let accepted = labels.accepted(batch.first + i);
            let row = i * classes..(i + 1) * classes;
            match &values {
                Values::F32(v) => tally.add(&v[row], accepted)?,
                // One scale for all classes: the integers are in the same order as the reals.
                Values::I8(v) => tally.add(&v[row], accepted)?,
                Values::U8(v) => tally.add(&v[row], accepted)?,
                Values::I16(v) => tally.add(&v[row], accepted)?,
                other => {
                    return Err(Failure::Input(format!(
                        "{}: {} is {}, not class scores",
                        path.display(),
                        graph.describe(scores),
                        other.dtype()
                    )));
                }
            }
        }
        bar.inc(batch.samples as u64);
        Ok(())
    })?;
    bar.finish_and_clear();
    let metrics: Metrics = tally.metrics()?;
    let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    Ok(Evaluation {
        size: ModelSize::new(&path.display().to_string(), &model, bytes),
        metrics,
    })
}

/// Class names, one a line; a name stands for its line's number.
pub(super) fn read_names(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::Input(format!("{}: {e}", path.display())))?;
    Ok(text
        .lines()
        .map(|l| l.trim().to_owned())
        .filter(|l| !l.is_empty())
        .collect())
}
