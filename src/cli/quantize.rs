//! `zeropoint quantize`

use super::selection::Selection;
use super::target::{DataArguments, DeviceArguments, load_for};
use super::{Failure, output, progress};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Instant;
use zeropoint::calibrate::StatisticsFile;
use zeropoint::graph::{Graph, Op, lstm_inputs};
use zeropoint::kernel::Range;
use zeropoint::quantize::{self, Io};
use zeropoint::report::{self, ModelSize};
use zeropoint::{calibrate, graph, kernel, model, simplify};

/// Arguments of `zeropoint quantize`.
#[derive(Args)]
#[command(after_help = SCHEMES, mut_arg("data", |data| data.required(false)))]
pub struct Arguments {
    #[command(flatten)]
    choices: Choices,
    /// Where to write the quantized model; MODEL_SCHEME.tflite if not given
    #[arg(short, long, value_name = "OUT.tflite")]
    output: Option<PathBuf>,
}

/// What is to become of which model, by which ranges.
#[derive(Args)]
pub struct Choices {
    /// Float model
    pub model: PathBuf,
    #[command(flatten)]
    data: Option<DataArguments>,
    /// Ranges from a file that `zeropoint calibrate -o` wrote for this model, in place of --data
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    calibration: Option<PathBuf>,
    /// What becomes of the model, see below
    #[arg(
        long,
        value_enum,
        default_value = "int8",
        value_name = "SCHEME",
        hide_possible_values = true
    )]
    pub scheme: Scheme,
    /// Type of the model's inputs and outputs: float keeps them and converts inside the model. float if not given, int8
    /// for int8-only
    #[arg(
        long,
        value_enum,
        value_name = "float|int8|uint8",
        hide_possible_values = true
    )]
    io: Option<IoChoice>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print the result for machines
    #[arg(long)]
    pub json: bool,
}

pub const SCHEMES: &str = "\
Schemes:
  int8         int8 weights and activations; operators that have no int8 kernel stay float. Needs --data or --calibration
  int8-only    the same, but an operator that would stay float is an error, and no input or output is float
  float16      weights as float16, computed in float32; needs no data
  weight-only  weights as int8, computed in float32; needs no data";

/// What becomes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scheme {
    /// int8 with float where there is no kernel
    Int8,
    /// int8 throughout
    Int8Only,
    /// float16 constants
    Float16,
    /// int8 weights
    WeightOnly,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IoChoice {
    /// float32
    Float,
    /// int8
    Int8,
    /// uint8
    Uint8,
}

impl Scheme {
    /// Whether it computes in integers.
    pub fn is_integer(self) -> bool {
        matches!(self, Scheme::Int8 | Scheme::Int8Only)
    }

    /// As on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |v| v.get_name().to_owned())
    }
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.choices.scheme.is_integer() {
        integer(arguments)
    } else {
        constants(arguments)
    }
}

/// The schemes that change constants alone.
fn constants(arguments: &Arguments) -> Result<(), Failure> {
    let choices = &arguments.choices;
    let scheme = choices.scheme.name();
    let senseless = [
        ("--data", choices.data.is_some()),
        ("--calibration", choices.calibration.is_some()),
        ("--io", choices.io.is_some()),
        ("the options of devices", !choices.device.is_default()),
        (
            "a choice of operators",
            choices.selection != Selection::default(),
        ),
    ];
    if let Some((option, _)) = senseless.iter().find(|(_, given)| *given) {
        return Err(Failure::Input(format!(
            "--scheme {scheme} changes constants alone: leave out {option}"
        )));
    }
    let to = arguments.output_path(&[])?;
    let float = model::read(&choices.model)?;
    let (quantized, count) = match choices.scheme {
        Scheme::Float16 => quantize::float16(&float),
        _ => quantize::weight_only(&float),
    };
    if count == 0 {
        output::note(&format!(
            "warning: {} has no constants that --scheme {scheme} would make smaller; it is written as it is",
            choices.model.display()
        ));
    }
    let sizes = arguments.write(&to, &float, &quantized)?;
    if choices.json {
        return output::print_json(&serde_json::json!({
            "output": to.display().to_string(),
            "scheme": scheme,
            "constants": count,
            "sizes": sizes,
        }));
    }
    let what = format!("{count} constants as {scheme}");
    output::print(&report::quantize(&what, &[], &sizes));
    Ok(())
}

impl Arguments {
    fn output_path(&self, inputs: &[&Path]) -> Result<PathBuf, Failure> {
        let model = &self.choices.model;
        let default = || default_output(model, self.choices.scheme);
        let to = self.output.clone().unwrap_or_else(default);
        output::check_place(&to, &[&[model.as_path()], inputs].concat())?;
        Ok(to)
    }

    /// Writes the model. What we write must be what we can run: the file's own bytes go through the whole way once more.
    fn write(
        &self,
        to: &Path,
        float: &model::Model,
        quantized: &model::Model,
    ) -> Result<[ModelSize; 2], Failure> {
        let bytes = model::to_bytes(quantized)?;
        let read = model::parse(&bytes)?;
        if self.choices.scheme.is_integer() {
            kernel::prepare(graph::load(&read, &to.display().to_string())?)?;
        }
        model::write(to, quantized)?;
        let model = &self.choices.model;
        let float_bytes = std::fs::metadata(model).map_or(0, |m| m.len());
        Ok([
            ModelSize::new(&model.display().to_string(), float, float_bytes),
            ModelSize::new(&to.display().to_string(), quantized, bytes.len() as u64),
        ])
    }
}

impl Choices {
    fn io(&self) -> Result<Io, Failure> {
        let integer_only = self.scheme == Scheme::Int8Only;
        match self.io {
            Some(IoChoice::Float) if integer_only => Err(Failure::Input(
                "--scheme int8-only leaves no float: --io int8 or uint8".into(),
            )),
            Some(IoChoice::Float) => Ok(Io::Float),
            Some(IoChoice::Uint8) => Ok(Io::Uint8),
            Some(IoChoice::Int8) => Ok(Io::Int8),
            None if integer_only => Ok(Io::Int8),
            None => Ok(Io::Float),
        }
    }

    /// The float model without what is known beforehand, and its graph.
    fn load(&self) -> Result<(model::Model, Graph, Option<StatisticsFile>), Failure> {
        match (&self.data, &self.calibration) {
            (Some(data), _) => {
                let (model, graph) = data.load(&self.model)?;
                Ok((model, graph, None))
            }
            (None, Some(path)) => {
                let file = statistics(path, &self.model)?;
                let model = model::read(&self.model)?;
                let inputs = model.subgraphs.iter().flatten().take(1);
                let inputs = inputs.flat_map(|s| s.inputs.iter().flatten());
                let shapes: Vec<_> = inputs.map(|&id| file.shape(id as usize)).collect();
                let (model, graph) = load_for(model, &self.model, &shapes)?;
                Ok((model, graph, Some(file)))
            }
            (None, None) => Err(Failure::Input(format!(
                "--scheme {} chooses scales by what the model computes: give --data or --calibration",
                self.scheme.name()
            ))),
        }
    }
}

/// Statistics of this very model.
pub fn statistics(path: &Path, model: &Path) -> Result<StatisticsFile, Failure> {
    let failed = |what: String| Failure::Input(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    let file = StatisticsFile::parse(&text).map_err(|e| failed(e.to_string()))?;
    let bytes =
        std::fs::read(model).map_err(|e| Failure::Input(format!("{}: {e}", model.display())))?;
    if !file.is_of(&bytes) {
        return Err(failed(format!(
            "it was made for another model ('{}', {} bytes) than {}",
            file.model.file,
            file.model.bytes,
            model.display()
        )));
    }
    Ok(file)
}

/// A plan with what it was made of.
pub struct Planned {
    /// The float model, without what is known beforehand and with activations fused.
    pub float: model::Model,
    /// Its graph.
    pub graph: Graph,
    /// What becomes of it.
    pub plan: quantize::Plan,
    seen: Seen,
}

impl Choices {
    /// The files that are read.
    fn files(&self) -> Vec<&Path> {
        let data = self.data.as_ref().map(|d| d.data.as_path());
        let files = data.into_iter().chain(self.calibration.as_deref());
        files.collect()
    }

    /// Decides what becomes of the model.
    pub fn plan(&self) -> Result<Planned, Failure> {
        let io = self.io()?;
        if self.calibration.is_some() && !self.device.is_default() {
            return Err(Failure::Input(
                "with --calibration nothing is computed: leave out the options of devices".into(),
            ));
        }
        let (float, graph, file) = self.load()?;
        quantize::check_float(&graph)?;
        let float = simplify::fuse(float, &graph);
        let graph = graph::load(&float, &graph.file)?;
        let program = kernel::prepare(graph.clone())?;
        let options = quantize::Options {
            io,
            float: self.selection.float(&graph)?,
            integer_only: self.scheme == Scheme::Int8Only,
        };
        quantize::check_options(&graph, &options)?;
        let seen = match (&self.data, file) {
            (Some(data), _) => self.calibrate(data, &program)?,
            (None, file) => Seen::of(file, &graph)?,
        };
        let plan = quantize::plan_with(&graph, &seen.ranges, &options)?;
        Ok(Planned {
            float,
            graph,
            plan,
            seen,
        })
    }
}

/// The schemes that compute in integers.
fn integer(arguments: &Arguments) -> Result<(), Failure> {
    let choices = &arguments.choices;
    let to = arguments.output_path(&choices.files())?;
    let Planned {
        float,
        graph,
        plan,
        seen,
    } = choices.plan()?;
    let quantized = quantize::apply(&float, &graph, &plan)?;
    let sizes = arguments.write(&to, &float, &quantized)?;
    let mut warnings = warnings(&graph, &seen.ranges);
    let others = float.subgraphs.iter().flatten().skip(1);
    warnings.extend(others.zip(1..).map(|(subgraph, i)| {
        let name = subgraph.name.as_deref().unwrap_or_default();
        format!("subgraph {i} '{name}' stays as it is; only the first is quantized")
    }));
    for warning in &warnings {
        output::note(&format!("warning: {warning}"));
    }
    if choices.json {
        return output::print_json(&Report {
            output: to.display().to_string(),
            scheme: choices.scheme.name(),
            seen: &seen,
            plan: &plan,
            sizes,
            warnings,
        });
    }
    output::print(&report::quantize(&seen.text(), &plan.operators, &sizes));
    Ok(())
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Report<'a> {
    output: String,
    scheme: String,
    #[serde(flatten)]
    seen: &'a Seen,
    plan: &'a quantize::Plan,
    sizes: [ModelSize; 2],
    warnings: Vec<String>,
}

/// Ranges, and where they come from.
#[derive(serde::Serialize)]
struct Seen {
    ranges: Vec<Option<Range>>,
    samples: u64,
    seconds: f64,
    /// The device that gathered them just now; none if they are from a file.
    device: Option<String>,
}

impl Seen {
    fn of(file: Option<StatisticsFile>, graph: &Graph) -> Result<Seen, Failure> {
        let file = file.ok_or_else(|| Failure::Input("give --data or --calibration".into()))?;
        Ok(Seen {
            ranges: file.ranges(graph.tensors.len()),
            samples: file.samples,
            seconds: 0.0,
            device: None,
        })
    }

    fn text(&self) -> String {
        let Seen {
            samples, seconds, ..
        } = self;
        match &self.device {
            Some(device) => {
                let rate = *samples as f64 / seconds.max(1e-9);
                format!(
                    "calibrated on {samples} samples in {seconds:.2} s ({rate:.0} samples/s) on {device}"
                )
            }
            None => format!("with the ranges of {samples} samples"),
        }
    }
}

impl Choices {
    fn calibrate(&self, data: &DataArguments, program: &kernel::Program) -> Result<Seen, Failure> {
        let (mut set, feeds) = data.open(&program.graph)?;
        let device = self.device.open()?;
        let bar = progress::bar("calibrate", set.len());
        let start = Instant::now();
        let calibration = calibrate::min_max(
            device.as_ref(),
            program,
            &mut set,
            feeds,
            self.device.batch,
            |n| {
                bar.set_position(n as u64);
            },
        )?;
        let seconds = start.elapsed().as_secs_f64();
        bar.finish_and_clear();
        Ok(Seen {
            ranges: calibration.ranges,
            samples: calibration.samples as u64,
            seconds,
            device: Some(device.name()),
        })
    }
}

fn default_output(model: &Path, scheme: Scheme) -> PathBuf {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    model.with_file_name(format!("{stem}_{}.tflite", scheme.name().replace('-', "_")))
}

/// What a user should know about this model although nothing is wrong with it.
fn warnings(graph: &Graph, ranges: &[Option<Range>]) -> Vec<String> {
    let mut all = Vec::new();
    for node in &graph.nodes {
        let Op::UnidirectionalSequenceLstm(lstm) = &node.op else {
            continue;
        };
        let cell = node
            .inputs
            .get(lstm_inputs::CELL_STATE)
            .copied()
            .flatten()
            .and_then(|id| ranges[id]);
        let reached = cell.is_some_and(|r| r.max.max(-r.min) >= lstm.cell_clip);
        if lstm.cell_clip > 0.0 && reached {
            all.push(format!(
                "{}: its cell state reached the bound of {} that the converter wrote into the file; Keras has no such \
                 bound, so results can differ from the model as it was trained",
                node.describe(),
                lstm.cell_clip
            ));
        }
    }
    all
}
