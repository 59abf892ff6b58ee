//! `zeropoint run`

use super::target::{DataArguments, DeviceArguments, NumericsArguments};
use super::{Failure, output, progress};
use clap::Args;
use std::path::PathBuf;
use std::time::Instant;
use zeropoint::data::NpzWriter;
use zeropoint::kernel::{Keep, SessionConfig, Statistics};
use zeropoint::stream;

/// Arguments of `zeropoint run`.
#[derive(Args)]
pub struct Arguments {
    /// Model to run, float or quantized
    model: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    /// Where to write: output_0, output_1, … with the sample first, raw as the model gives them
    #[arg(short, long, value_name = "OUT.npz")]
    output: PathBuf,
    /// Also write every tensor that has a value as tensor_K, K being its number in the file
    #[arg(long)]
    all_tensors: bool,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    numerics: NumericsArguments,
    /// Print a report for machines: device, samples, and seconds from the loading of the device to the last output
    #[arg(long)]
    json: bool,
}

/// What a run took.
#[derive(serde::Serialize)]
struct Report {
    /// Device and how it computes.
    device: String,
    /// Samples that ran.
    samples: usize,
    /// From the loading of the device to the last output.
    seconds: f64,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    output::check_place(&arguments.output, &[&arguments.model, &arguments.data.data])?;
    let (_, program) = arguments.data.program(&arguments.model)?;
    let graph = &program.graph;
    let (mut data, feeds) = arguments.data.open(graph)?;
    let device = arguments.numerics.open(&arguments.device)?;
    let keep = if arguments.all_tensors {
        Keep::All
    } else {
        Keep::Outputs
    };
    let config = SessionConfig {
        batch: arguments.device.batch,
        keep,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.clone(),
    };
    let start = Instant::now();
    let mut session = device.session(&program, &config)?;
    let mut writer = NpzWriter::create(&arguments.output)?;
    let mut tensors = if arguments.all_tensors {
        program.values()
    } else {
        Vec::new()
    };
    let results = graph.results();
    tensors.extend(&results);
    tensors.sort_unstable();
    tensors.dedup();
    let bar = progress::bar("run", data.len());
    stream::each(&mut data, session.batch(), |batch| {
        session.run(batch.samples, &stream::feed(&feeds, batch.inputs))?;
        for &id in &tensors {
            let shape = &graph.tensors[id].shape;
            let value = session.read(id)?;
            if arguments.all_tensors && graph.is_activation(id) {
                writer.append(&format!("tensor_{id}"), shape, &value)?;
            }
            if !graph.outputs.contains(&id) && !arguments.all_tensors {
                writer.append(&format!("tensor_{id}"), shape, &value)?;
            }
            for (i, _) in graph
                .outputs
                .iter()
                .enumerate()
                .filter(|&(_, &output)| output == id)
            {
                // The model's own batch dimension of 1 is the sample's.
                let row = if shape.len() > 1 && shape[0] == 1 {
                    &shape[1..]
                } else {
                    shape
                };
                writer.append(&format!("output_{i}"), row, &value)?;
            }
        }
        bar.inc(batch.samples as u64);
        Ok::<(), Failure>(())
    })?;
    bar.finish_and_clear();
    writer.finish()?;
    let seconds = start.elapsed().as_secs_f64();
    output::note(&format!(
        "{} samples on {} -> {}",
        data.len(),
        device.name(),
        arguments.output.display()
    ));
    if arguments.json {
        return output::print_json(&Report {
            device: device.name(),
            samples: data.len(),
            seconds,
        });
    }
    Ok(())
}
