//! `zeropoint calibrate`

use super::target::{DataArguments, DeviceArguments};
use super::{Failure, output, progress};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Instant;
use zeropoint::calibrate::{self, Calibration, StatisticsFile};
use zeropoint::kernel::{Program, Range, Statistics};
use zeropoint::report::{self, CalibrateReport, ProfileReport, SeenTensor};

/// Arguments of `zeropoint calibrate`.
#[derive(Args)]
pub struct Arguments {
    /// Float model
    model: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    /// Also write the statistics, to merge or to work on: ranges and exact histograms of all float tensors
    #[arg(short, long, value_name = "STATS.json")]
    output: Option<PathBuf>,
    /// Gather minimum and maximum alone
    #[arg(long)]
    ranges_only: bool,
    /// Show where the time goes: each operator beside what the device can do at most
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print the report for machines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let inputs: [&Path; 2] = [&arguments.model, &arguments.data.data];
    if let Some(to) = &arguments.output {
        output::check_place(to, &inputs)?;
    }
    let (_, program) = arguments.data.program(&arguments.model)?;
    zeropoint::quantize::check_float(&program.graph)?;
    let (mut data, feeds) = arguments.data.open(&program.graph)?;
    let upload_bytes = data
        .arrays()
        .zip(&program.graph.inputs)
        .map(|(array, &id)| (program.graph.elements(id) * array.delivered.size()) as u64)
        .sum();
    let device = arguments.device.open()?;
    let options = calibrate::Options {
        batch: arguments.device.batch,
        statistics: if arguments.ranges_only {
            Statistics::Ranges
        } else {
            Statistics::Histograms
        },
        profile: arguments.profile,
    };
    let bar = progress::bar("calibrate", data.len());
    let start = Instant::now();
    let seen = calibrate::gather(device.as_ref(), &program, &mut data, feeds, options, |n| {
        bar.set_position(n as u64);
    })?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    if let Some(to) = &arguments.output {
        let bytes = std::fs::read(&arguments.model)
            .map_err(|e| Failure::Input(format!("{}: {e}", arguments.model.display())))?;
        let file = StatisticsFile::new(&program.graph, &bytes, &seen);
        output::write_whole(to, &file.text())?;
    }
    let floors = program.floors();
    let report = CalibrateReport {
        device: device.name(),
        samples: seen.samples,
        seconds,
        upload_bytes,
        floor: floors.total,
        tensors: tensors(&program, &seen),
        profile: seen.profile.map(|profile| ProfileReport {
            profile,
            floors,
            steps: names(&program),
            roofline: device.roofline(),
        }),
    };
    if arguments.json {
        return output::print_json(&report);
    }
    output::print(&report::calibrate(&report));
    Ok(())
}

fn tensors(program: &Program, seen: &Calibration) -> Vec<SeenTensor> {
    let tensor = |(tensor, range): (usize, &Option<Range>)| {
        let range = (*range)?;
        let histogram = seen.histograms.get(tensor).and_then(Option::as_ref);
        Some(SeenTensor {
            tensor,
            name: program.graph.tensors[tensor].name.clone(),
            range,
            // The middle of an outermost bin may lie beyond the outermost value.
            quantiles: histogram.map(|h| {
                let within = |x: f64| x.clamp(f64::from(range.min), f64::from(range.max));
                [0.001, 0.5, 0.999].map(|f| within(h.quantile(f)))
            }),
        })
    };
    seen.ranges.iter().enumerate().filter_map(tensor).collect()
}

/// Operator and output of each step.
fn names(program: &Program) -> Vec<String> {
    let graph = &program.graph;
    let name = |step: &zeropoint::kernel::Step| {
        let output = &graph.tensors[step.outputs[0]];
        let dims: Vec<String> = output.shape.iter().map(ToString::to_string).collect();
        format!(
            "{} → {} {}",
            graph.nodes[step.node].op.name(),
            step.outputs[0],
            dims.join("×")
        )
    };
    program.steps.iter().map(name).collect()
}
