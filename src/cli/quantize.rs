//! `zeropoint quantize`

use super::target::{DataArguments, DeviceArguments};
use super::{Failure, output, progress};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Instant;
use zeropoint::graph::{Graph, Op, lstm_inputs};
use zeropoint::kernel::Range;
use zeropoint::quantize::{self, Io};
use zeropoint::report::{self, ModelSize};
use zeropoint::{calibrate, graph, kernel, model, simplify};

/// Arguments of `zeropoint quantize`.
#[derive(Args)]
pub struct Arguments {
    /// Float model
    model: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    /// Where to write the int8 model; MODEL_int8.tflite if not given
    #[arg(short, long, value_name = "OUT.tflite")]
    output: Option<PathBuf>,
    /// Type of the model's inputs and outputs: float keeps them and converts inside the model
    #[arg(
        long,
        value_enum,
        default_value = "float",
        value_name = "float|int8|uint8",
        hide_possible_values = true
    )]
    io: IoChoice,
    #[command(flatten)]
    device: DeviceArguments,
    /// Print the calibration and the plan for machines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum IoChoice {
    /// float32
    Float,
    /// int8
    Int8,
    /// uint8
    Uint8,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let io = match arguments.io {
        IoChoice::Float => Io::Float,
        IoChoice::Int8 => Io::Int8,
        IoChoice::Uint8 => Io::Uint8,
    };
    let to = arguments
        .output
        .clone()
        .unwrap_or_else(|| default_output(&arguments.model));
    output::check_place(&to, &[&arguments.model, &arguments.data.data])?;
    let name = arguments.model.display().to_string();
    let (float, graph) = arguments.data.load(&arguments.model)?;
    quantize::check_float(&graph)?;
    let float = simplify::fuse(float, &graph);
    let graph = graph::load(&float, &name)?;
    let program = kernel::prepare(graph.clone())?;
    let (mut data, feeds) = arguments.data.open(&graph)?;
    let device = arguments.device.open()?;
    let bar = progress::bar("calibrate", data.len());
    let start = Instant::now();
    let calibration = calibrate::min_max(
        device.as_ref(),
        &program,
        &mut data,
        feeds,
        arguments.device.batch,
        |n| {
            bar.set_position(n as u64);
        },
    )?;
    let seconds = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let plan = quantize::plan(&graph, &calibration.ranges, io)?;
    let quantized = quantize::apply(&float, &graph, &plan)?;
    let bytes = model::to_bytes(&quantized)?;
    // What we write must be what we can run: the file's own bytes go through the whole way once more.
    let name = to.display().to_string();
    kernel::prepare(graph::load(&model::parse(&bytes)?, &name)?)?;
    model::write(&to, &quantized)?;
    let mut warnings = warnings(&graph, &calibration.ranges);
    let others = float.subgraphs.iter().flatten().skip(1);
    warnings.extend(others.zip(1..).map(|(subgraph, i)| {
        let name = subgraph.name.as_deref().unwrap_or_default();
        format!("subgraph {i} '{name}' stays as it is; only the first is quantized")
    }));
    for warning in &warnings {
        output::note(&format!("warning: {warning}"));
    }
    let float_bytes = std::fs::metadata(&arguments.model).map_or(0, |m| m.len());
    let sizes = [
        ModelSize::new(&arguments.model.display().to_string(), &float, float_bytes),
        ModelSize::new(&name, &quantized, bytes.len() as u64),
    ];
    if arguments.json {
        return output::print_json(&serde_json::json!({
            "output": name,
            "device": device.name(),
            "samples": calibration.samples,
            "seconds": seconds,
            "ranges": calibration.ranges,
            "plan": plan,
            "sizes": sizes,
            "warnings": warnings,
        }));
    }
    output::print(&report::quantize(
        &device.name(),
        calibration.samples,
        seconds,
        &sizes,
    ));
    Ok(())
}

fn default_output(model: &Path) -> PathBuf {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    model.with_file_name(format!("{stem}_int8.tflite"))
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
