//! `zeropoint debug`

use super::choices::Choices;
use super::schemes::Scheme;
use super::target::{DataArguments, DeviceArguments, NumericsArguments, NumericsName};
use super::{Failure, output, progress};
use clap::{Args, Parser};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;
use zeropoint::cpu::Cpu;
use zeropoint::debug::{self, Asked, Event, Task, Wanted, Watched};
use zeropoint::graph::Graph;
use zeropoint::kernel::Device;
use zeropoint::{evaluate, model, quantize, report};

/// Arguments of `zeropoint debug`.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Arguments {
    /// The float model
    float: PathBuf,
    /// The quantized model, from any tool; left out with --scheme or --recipe, which make one here
    #[arg(required_unless_present_any = ["scheme", "recipe"])]
    quantized: Option<PathBuf>,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    device: DeviceArguments,
    #[command(flatten)]
    numerics: NumericsArguments,
    /// Quantize the float model in this way, and analyse that
    #[arg(
        long,
        value_enum,
        value_name = "int8|int8-only|int16x8|dynamic|float16|weight-only",
        hide_possible_values = true,
        conflicts_with_all = ["quantized", "recipe"]
    )]
    scheme: Option<Scheme>,
    /// Quantize the float model by this recipe, and analyse that
    #[arg(long, value_name = "RECIPE.toml", conflicts_with = "quantized")]
    recipe: Option<PathBuf>,
    /// Representative data for --scheme and --recipe; without it the ranges are those of --data
    #[arg(long, value_name = "FILE", conflicts_with = "quantized")]
    calibration_data: Option<PathBuf>,
    /// Let states of LSTMs go on from sample to sample and round as LiteRT's default interpreter does (--numerics xnnpack,
    /// unless another is named): what TensorFlow's debugger does; on the CPU, one sample after another
    #[arg(long)]
    carry_state: bool,
    /// Of which operators to learn what they do to the outputs: the K with the worst local errors, all, or off; off also
    /// leaves out waterfalls, gates and time steps of LSTMs and run-time scales, so that one pass over the data is all
    #[arg(long, value_name = "off|top:K|all", default_value = "top:16")]
    at_output: AtOutputChoice,
    /// Samples for that
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    at_output_samples: u32,
    /// Which output holds the class scores
    #[arg(long, value_name = "N", default_value_t = 0)]
    scores: usize,
    /// Metrics of output --scores, for both models; `zeropoint compare --help` lists them
    #[arg(long = "metric", value_name = "NAME,…", value_delimiter = ',', value_parser = evaluate::known)]
    metrics: Vec<&'static evaluate::Known>,
    /// Write files into this folder: all kinds, or those that are named
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// A table of all tensors as CSV, TensorFlow's columns first; on stdout without -o
    #[arg(long)]
    csv: bool,
    /// Everything for machines; on stdout without -o
    #[arg(long)]
    json: bool,
    /// A page (HTML) that needs no network, and node data for Google's Model Explorer; needs -o
    #[arg(long, requires = "output")]
    html: bool,
}

const HELP: &str = "\
Three errors of every tensor:
  local       what its operator adds: its output, less what the float operator makes of the same inputs
  so far      what has come together: its value, less that of the float model
  outputs     what is lost where this operator alone is quantized, and won back where it alone is left float: the noise of the
              outputs as a share of their signal, mean over samples
Which operators of a model from another tool hurt?
  zeropoint debug model.tflite model_int8.tflite --data eval.npz
Beside TensorFlow's figures, and everything in files:
  zeropoint debug model.tflite model_int8.tflite --data eval.npz -o report
How would dynamic range do?
  zeropoint debug model.tflite --scheme dynamic --data eval.npz";

/// Of which operators to learn what they do to the outputs.
#[derive(Clone, Copy, Debug)]
struct AtOutputChoice(Option<Asked>);

impl FromStr for AtOutputChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(AtOutputChoice(match text {
            "off" => None,
            "all" => Some(Asked::All),
            _ => {
                let number = text.strip_prefix("top:").and_then(|k| k.parse().ok());
                let number = number.filter(|&k: &usize| k > 0);
                Some(Asked::Top(number.ok_or_else(|| {
                    "it is off, all, or top:K with K from 1 on".to_owned()
                })?))
            }
        }))
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(folder) = &arguments.output {
        check_folder(folder)?;
    } else if arguments.json && arguments.csv {
        return Err(Failure::Input(
            "--json and --csv cannot both go to stdout; name a folder with -o".into(),
        ));
    }
    let (_, float) = arguments.data.load(&arguments.float)?;
    let quantized = arguments.quantized()?;
    let matching = debug::matching(&float, &quantized)?;
    let (mut data, float_feeds) = arguments.data.open(&float)?;
    let (_, feeds) = arguments.data.open(&quantized)?;
    if arguments.scores >= quantized.results().len() {
        return Err(Failure::Input(format!(
            "{}: no output {}, the model has {}",
            quantized.file,
            arguments.scores,
            quantized.results().len()
        )));
    }
    // Everything is asked of the runtime that was named; it is compared with the reference once more at the end.
    let rounding = arguments.rounding();
    let device = match arguments.carry_state {
        true => rounding.open_carrying(&arguments.device)?,
        false => rounding.open(&arguments.device)?,
    };
    let task = Task {
        float: &float,
        quantized: &quantized,
        float_feeds: &float_feeds,
        feeds: &feeds,
        device: device.as_ref(),
        batch: arguments.device.batch,
    };
    let wanted = Wanted {
        at_output: arguments.at_output.0,
        samples: arguments.at_output_samples as usize,
        scores: arguments.scores,
    };
    let unlabelled = data.labels().is_none();
    if let Some(known) = arguments.metrics.iter().find(|k| k.labels && unlabelled) {
        return Err(Failure::Input(format!(
            "{}: no array 'labels'; --metric {} needs one class number a sample",
            arguments.data.data.display(),
            known.name
        )));
    }
    let metrics = arguments.metrics.iter().map(|known| Watched {
        float: known.start(),
        quantized: known.start(),
    });
    let metrics = metrics.collect();
    let start = Instant::now();
    let mut bar = progress::bar("debug", data.len());
    let event = |event: Event| match event {
        Event::Samples(n) => bar.inc(n as u64),
        Event::Models {
            what,
            models,
            samples,
        } => {
            bar.finish_and_clear();
            output::note(&format!(
                "{what}: up to {models} models over {samples} samples, most from the middle on; --at-output off \
                 leaves them out"
            ));
            bar = progress::models(what, models);
        }
        Event::Model => bar.inc(1),
        Event::More(_) => {}
    };
    let mut found = debug::debug(task, &matching, &mut data, wanted, metrics, event)?;
    bar.finish_and_clear();
    if let Some(name) = rounding.other() {
        let bar = progress::bar("numerics", data.len());
        let reference = match arguments.carry_state {
            true => Cpu::new().carrying_state(),
            false => Cpu::new(),
        };
        let devices: [&dyn Device; 2] = [&reference, device.as_ref()];
        let scores = arguments.scores;
        found.numerics = Some(debug::numerics(
            &quantized,
            &feeds,
            devices,
            &name,
            &mut data,
            scores,
            |n| bar.inc(n as u64),
        )?);
        bar.finish_and_clear();
    }
    output::note(&format!(
        "{} samples in {:.2} s on {}",
        found.samples,
        start.elapsed().as_secs_f64(),
        found.device
    ));
    arguments.write(&found)
}

impl Arguments {
    /// The rounding that was asked for. States are carried to lie beside TensorFlow's debugger, which runs on XNNPACK.
    fn rounding(&self) -> NumericsArguments {
        let usual = self.carry_state.then_some(NumericsName::Xnnpack);
        NumericsArguments {
            numerics: self.numerics.numerics.or(usual),
        }
    }

    /// The graph of the quantized model, read or made.
    fn quantized(&self) -> Result<Graph, Failure> {
        let Some(path) = &self.quantized else {
            return self.made();
        };
        Ok(self.data.load(path)?.1)
    }

    fn made(&self) -> Result<Graph, Failure> {
        let without_data = [Scheme::Float16, Scheme::WeightOnly, Scheme::Dynamic];
        if let Some(scheme) = self.scheme.filter(|s| without_data.contains(s))
            && self.calibration_data.is_some()
        {
            return Err(Failure::Input(format!(
                "--scheme {} needs no ranges: leave out --calibration-data",
                scheme.name()
            )));
        }
        let float = model::read(&self.float)?;
        let made = match self.scheme {
            Some(Scheme::Float16) => quantize::float16(&float).0,
            Some(Scheme::WeightOnly) => quantize::weight_only(&float).0,
            _ => self.planned()?,
        };
        // What is analysed is what would be written.
        let made = model::parse(&model::to_bytes(&made)?)?;
        let name = format!("{} (quantized here)", self.float.display());
        Ok(self.data.load_model(made, Path::new(&name))?.1)
    }

    /// By the same way as `quantize`.
    fn planned(&self) -> Result<model::Model, Failure> {
        #[derive(Parser)]
        #[command(mut_arg("data", |data| data.required(false)))]
        struct Same {
            #[command(flatten)]
            choices: Choices,
        }
        let path = |path: &Path| path.as_os_str().to_owned();
        let mut words = vec!["quantize".into(), path(&self.float)];
        if let Some(scheme) = self.scheme {
            words.extend(["--scheme".into(), scheme.name().into()]);
        }
        if let Some(recipe) = &self.recipe {
            words.extend(["--recipe".into(), path(recipe)]);
        }
        let same = Same::try_parse_from(words).map_err(|e| Failure::Input(e.to_string()))?;
        let mut choices = same.choices;
        // Dynamic range needs neither data nor a device to see it on.
        if self.scheme != Some(Scheme::Dynamic) {
            choices.device = self.device.clone();
            let mut data = self.data.clone();
            match &self.calibration_data {
                Some(other) => (data.data, data.limit) = (other.clone(), None),
                None => output::note(
                    "note: the ranges come from the data that is analysed; --calibration-data names other samples",
                ),
            }
            choices.data = Some(data);
        }
        choices.plan()?.quantized()
    }

    /// Prints, or writes files.
    fn write(&self, found: &debug::Report) -> Result<(), Failure> {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let Some(folder) = &self.output else {
            return match (self.json, self.csv) {
                (true, _) => output::print_json(found),
                (_, true) => {
                    output::print(&report::debug_csv(found));
                    Ok(())
                }
                _ => {
                    output::print(&report::debug(found, colour));
                    Ok(())
                }
            };
        };
        std::fs::create_dir_all(folder)
            .map_err(|e| Failure::Input(format!("{}: {e}", folder.display())))?;
        let all = !(self.csv || self.json || self.html);
        let mut files: Vec<(String, String)> = Vec::new();
        if all || self.csv {
            files.push(("errors.csv".into(), report::debug_csv(found)));
        }
        if all || self.json {
            let text = serde_json::to_string_pretty(found)
                .map_err(|e| Failure::Input(format!("cannot write JSON: {e}")))?;
            files.push(("report.json".into(), text + "\n"));
        }
        if all || self.html {
            files.push(("report.html".into(), report::debug_page(found)));
            let nodes = report::model_explorer_files(found);
            files.extend(
                nodes
                    .into_iter()
                    .map(|(metric, text)| (format!("model_explorer_{metric}.json"), text)),
            );
        }
        for (name, text) in files {
            let to = folder.join(name);
            output::write_whole(&to, &text)?;
            output::note(&format!("-> {}", to.display()));
        }
        output::print(&report::debug(found, colour));
        Ok(())
    }
}

/// Refuses a place for a folder before any work is done.
fn check_folder(folder: &Path) -> Result<(), Failure> {
    let refuse = |what: &str| Err(Failure::Input(format!("{}: {what}", folder.display())));
    let parent = folder.parent().filter(|p| !p.as_os_str().is_empty());
    match (folder.exists(), folder.is_dir()) {
        (true, false) => refuse("it is a file; name a folder with -o"),
        (false, _) if !parent.unwrap_or(Path::new(".")).is_dir() => {
            refuse("the folder it is to be in does not exist")
        }
        _ => Ok(()),
    }
}
