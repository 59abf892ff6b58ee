//! `zeropoint calibrate`

use super::choices::statistics_of;
use super::target::{DataArguments, DeviceArguments, load_for};
use super::{Failure, detail, output, progress};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Instant;
use zeropoint::calibrate::{self, Calibration, Channel, Named, Source, StatisticsFile};
use zeropoint::kernel::{self, Program, Statistics};
use zeropoint::num::Histogram;
use zeropoint::report::{
    self, CalibrateReport, CalibrateRun, DetailReport, ProfileReport, SeenChannel, SeenTensor,
};
use zeropoint::{model, quantize};

/// Arguments of `zeropoint calibrate`.
#[derive(Args)]
#[command(after_help = EXAMPLES, mut_arg("data", |data| data.required(false)))]
pub struct Arguments {
    /// Float model
    model: PathBuf,
    #[command(flatten)]
    data: Option<DataArguments>,
    /// Add statistics that -o wrote for this model, from other samples; may be repeated, also without --data
    #[arg(long, value_name = "STATS.zpc")]
    merge: Vec<PathBuf>,
    /// Take ranges by tensor name in place of data: {"name": [min, max], …} or {"name": {"min": …, "max": …}, …}
    #[arg(long, value_name = "RANGES.json", conflicts_with_all = ["data", "merge"])]
    import_ranges: Option<PathBuf>,
    /// Write the statistics, to merge and for `quantize --calibration`: ranges and exact histograms of all float
    /// tensors, and where they come from
    #[arg(short, long, value_name = "STATS.zpc")]
    output: Option<PathBuf>,
    /// Write the ranges by tensor name, for other tools: {"name": [min, max], …}
    #[arg(long, value_name = "RANGES.json")]
    export_ranges: Option<PathBuf>,
    /// Run the data twice and write a page (HTML) about every tensor: histogram, what each method would keep, which
    /// samples set its ends, and whether there were enough of them; in a folder it gets the model's name
    #[arg(long, value_name = "FILE.html", requires = "data", conflicts_with_all = ["merge", "ranges_only"])]
    report: Option<PathBuf>,
    /// As --report, but print this tensor alone
    #[arg(long, value_name = "NAME|NUMBER", requires = "data", conflicts_with_all = ["merge", "ranges_only"])]
    report_tensor: Option<String>,
    /// Run the data twice and show minimum, mean and maximum of each index of every tensor's last dimension
    #[arg(long, requires = "data", conflicts_with = "merge")]
    per_channel: bool,
    /// Gather minimum and maximum alone
    #[arg(long, requires = "data")]
    ranges_only: bool,
    /// Show where the time goes: each operator beside what the device can do at most
    #[arg(long, requires = "data")]
    profile: bool,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print the report for machines
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Calibrate once, quantize often:
  zeropoint calibrate model.tflite --data calib.npz -o stats.zpc
  zeropoint quantize model.tflite --calibration stats.zpc -o model_int8.tflite
In parts, also on several machines; the result is that of all samples at once:
  zeropoint calibrate model.tflite --data part1.npz -o a.zpc
  zeropoint calibrate model.tflite --data part2.npz -o b.zpc
  zeropoint calibrate model.tflite --merge a.zpc --merge b.zpc -o all.zpc
With ranges from elsewhere, or for elsewhere:
  zeropoint calibrate model.tflite --import-ranges ranges.json -o stats.zpc
  zeropoint calibrate model.tflite --merge stats.zpc --export-ranges ranges.json
Are the samples enough, and which of them set the ranges?
  zeropoint calibrate model.tflite --data calib.npz --report report.html
  zeropoint calibrate model.tflite --data calib.npz --report-tensor conv2d/Relu

The same input gives the same bytes. A file belongs to one model, by its bytes.";

/// What further passes over the data told.
#[derive(Default)]
struct More {
    details: Option<DetailReport>,
    /// By tensor number.
    channels: Option<Vec<Vec<Channel>>>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.check_places()?;
    let merged = arguments.merge.iter().map(|path| {
        let file = statistics_of(path, &arguments.model)?;
        Ok((path.as_path(), file))
    });
    let merged = merged.collect::<Result<Vec<_>, Failure>>()?;
    let (mut all, run, more) = match (&arguments.data, &arguments.import_ranges) {
        (Some(data), _) => {
            // Before the work, not after it.
            if let Some((path, _)) = merged
                .iter()
                .find(|(_, file)| file.has_histograms() == arguments.ranges_only)
            {
                return Err(arguments.of_another_kind(path));
            }
            let (file, run, more) = arguments.gather(data)?;
            (Some(file), Some(run), more)
        }
        (None, path) => {
            if !arguments.device.is_default() {
                return Err(Failure::Input(
                    "without --data nothing is computed: leave out the options of devices".into(),
                ));
            }
            let file = path.as_deref().map(|path| arguments.import(path));
            (file.transpose()?, None, More::default())
        }
    };
    for (path, file) in merged {
        let failed = |e| Failure::Input(format!("{}: {e}", path.display()));
        all = Some(match all {
            Some(all) => all.merge(&file).map_err(failed)?,
            None => file,
        });
    }
    let Some(all) = all else {
        return Err(Failure::Input(
            "there is nothing to take statistics from: give --data, --merge or --import-ranges"
                .into(),
        ));
    };
    for source in all.repeated_sources() {
        output::note(&format!(
            "warning: counted more than once: {source}; merge each part of the data once"
        ));
    }
    let More { details, channels } = more;
    let which = arguments.report_tensor.as_deref();
    let detail = match (&details, which) {
        (Some(details), Some(which)) => Some(detail::find(details, which)?.clone()),
        _ => None,
    };
    arguments.write(&all)?;
    if let (Some(details), Some(to)) = (&details, &arguments.report) {
        let to = detail::place(to, &arguments.model);
        output::write_whole(&to, &report::page(details))?;
        output::note(&format!("{}: a page about every tensor", to.display()));
    }
    let tensors = all.tensors.iter().map(|t| SeenTensor {
        channels: channels.as_ref().map(|all| by_channel(&all[t.tensor])),
        ..seen(t)
    });
    let report = CalibrateReport {
        run,
        samples: all.samples,
        sources: all.sources.iter().map(ToString::to_string).collect(),
        tensors: tensors.collect(),
        verdict: details.as_ref().map(report::DetailReport::sentence),
        detail,
    };
    if arguments.json {
        return output::print_json(&report);
    }
    output::print(&report::calibrate(&report));
    Ok(())
}

impl Arguments {
    fn check_places(&self) -> Result<(), Failure> {
        let data = self.data.iter().map(|data| data.data.as_path());
        let mut inputs: Vec<&Path> = vec![&self.model];
        inputs.extend(data);
        inputs.extend(self.merge.iter().map(PathBuf::as_path));
        inputs.extend(self.import_ranges.as_deref());
        if let Some(to) = &self.output {
            output::check_place(to, &inputs)?;
        }
        if let Some(to) = &self.report {
            let to = detail::place(to, &self.model);
            let others = [self.output.as_ref(), self.export_ranges.as_ref()];
            if others.into_iter().flatten().any(|other| *other == to) {
                return Err(Failure::Input(format!(
                    "{}: --report and another option name the same file",
                    to.display()
                )));
            }
            output::check_place_of("--report", &to, &inputs)?;
        }
        let Some(to) = &self.export_ranges else {
            return Ok(());
        };
        if self.output.as_ref() == Some(to) {
            return Err(Failure::Input(format!(
                "{}: -o and --export-ranges name the same file",
                to.display()
            )));
        }
        output::check_place_of("--export-ranges", to, &inputs)
    }

    fn of_another_kind(&self, path: &Path) -> Failure {
        let remedy = match self.ranges_only {
            true => "it has histograms: leave out --ranges-only",
            false => "it has ranges alone: add --ranges-only",
        };
        Failure::Input(format!("{}: {remedy} to merge it", path.display()))
    }

    fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let failed = |e| Failure::Input(format!("{}: {e}", self.model.display()));
        std::fs::read(&self.model).map_err(failed)
    }

    /// Runs the data.
    fn gather(
        &self,
        data: &DataArguments,
    ) -> Result<(StatisticsFile, CalibrateRun, More), Failure> {
        let (_, program) = data.program(&self.model)?;
        quantize::check_float(&program.graph)?;
        let (mut set, feeds) = data.open(&program.graph)?;
        let upload_bytes = set
            .arrays()
            .zip(&program.graph.inputs)
            .map(|(array, &id)| (program.graph.elements(id) * array.delivered.size()) as u64)
            .sum();
        let device = self.device.open()?;
        let options = calibrate::Options {
            batch: self.device.batch,
            statistics: if self.ranges_only {
                Statistics::Ranges
            } else {
                Statistics::Histograms
            },
            profile: self.profile,
        };
        let source = Source::data(&data.data, &set, device.name());
        let bar = progress::bar("calibrate", set.len());
        let start = Instant::now();
        let seen = calibrate::gather(device.as_ref(), &program, &mut set, feeds, options, |n| {
            bar.set_position(n as u64);
        })?;
        let seconds = start.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let file = StatisticsFile::new(&program, &self.bytes()?, &seen, source);
        let floors = program.floors();
        let run = CalibrateRun {
            device: device.name(),
            gathered: seen.samples,
            seconds,
            upload_bytes,
            floor: floors.total,
            profile: seen.profile.map(|profile| ProfileReport {
                profile,
                floors,
                steps: names(&program),
                roofline: device.roofline(),
            }),
        };
        let wanted = self.report.is_some() || self.report_tensor.is_some();
        let (device, batch) = (device.as_ref(), self.device.batch);
        let details = wanted.then(|| detail::gather(device, &program, data, batch, &file));
        let channels = self
            .per_channel
            .then(|| detail::channels(device, &program, data, batch));
        let more = More {
            details: details.transpose()?,
            channels: channels.transpose()?,
        };
        Ok((file, run, more))
    }

    /// Takes ranges by name.
    fn import(&self, path: &Path) -> Result<StatisticsFile, Failure> {
        let (_, graph) = load_for(model::read(&self.model)?, &self.model, &[])?;
        let program = kernel::prepare(graph)?;
        quantize::check_float(&program.graph)?;
        let failed = |what: String| Failure::Input(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let named = calibrate::import_ranges(&program, &text);
        let Named {
            ranges,
            missing,
            unused,
        } = named.map_err(|e| failed(e.to_string()))?;
        if ranges.iter().all(Option::is_none) {
            return Err(failed("it has no range for this model".into()));
        }
        let warn = |names: &[String], what: &str| {
            if !names.is_empty() {
                output::note(&format!(
                    "warning: {}: {what}: {}",
                    path.display(),
                    few(names)
                ));
            }
        };
        warn(&missing, "float tensors without a range");
        warn(&unused, "ranges of tensors that need none");
        let seen = Calibration {
            samples: 0,
            ranges,
            histograms: Vec::new(),
            profile: None,
        };
        let source = Source::ranges(path);
        Ok(StatisticsFile::new(&program, &self.bytes()?, &seen, source))
    }

    fn write(&self, all: &StatisticsFile) -> Result<(), Failure> {
        // Both texts first: what cannot be exported leaves nothing behind.
        let export = match &self.export_ranges {
            Some(to) => {
                let failed = |e| Failure::Input(format!("{}: {e}", to.display()));
                Some((to, calibrate::export_ranges(all).map_err(failed)?))
            }
            None => None,
        };
        if let Some(to) = &self.output {
            output::write_whole(to, &all.text())?;
        }
        match export {
            Some((to, text)) => output::write_whole(to, &text),
            None => Ok(()),
        }
    }
}

fn by_channel(channels: &[Channel]) -> Vec<SeenChannel> {
    let seen = |c: &Channel| SeenChannel {
        min: c.range.min,
        max: c.range.max,
        mean: c.mean,
    };
    channels.iter().map(seen).collect()
}

/// A few names, and how many there are.
fn few(names: &[String]) -> String {
    let first: Vec<String> = names.iter().take(5).map(|n| format!("'{n}'")).collect();
    let more = match names.len().saturating_sub(first.len()) {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    first.join(", ") + &more
}

fn seen(t: &calibrate::TensorStatistics) -> SeenTensor {
    SeenTensor {
        tensor: t.tensor,
        name: t.name.clone(),
        range: t.range(),
        values: t.histogram.as_ref().map(Histogram::total),
        zeros: t.histogram.as_ref().and_then(|h| h.zeros),
        moments: t.histogram.as_ref().and_then(Histogram::moments),
        // The middle of an outermost bin may lie beyond the outermost value.
        channels: None,
        quantiles: t.histogram.as_ref().map(|h| {
            let within = |x: f64| x.clamp(f64::from(t.min), f64::from(t.max));
            [0.001, 0.5, 0.999].map(|f| within(h.quantile(f)))
        }),
    }
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
