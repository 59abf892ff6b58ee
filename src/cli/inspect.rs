//! `zeropoint inspect`

use super::{Failure, output};
use clap::Args;
use std::path::{Path, PathBuf};
use zeropoint::kernel;
use zeropoint::report::{self, Cost, Inspection, Structure};
use zeropoint::{model, simplify};

/// Arguments of `zeropoint inspect`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Any .tflite models, also with operators that cannot be run; several are laid side by side
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Figures in place of the listing: operators, tensors and weights by type, bytes of constants and of the rest,
    /// operations, multiply-adds, and the bytes of activations that are alive at once: no arena can be smaller
    #[arg(long)]
    summary: bool,
    /// For machines: the same, every scale among it
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
The listing shows signatures, metadata, and of every subgraph operators (version, tensors) and tensors: type, shape (and the
shape it may take), buffer, bytes, scales and zero points, first values of constants.
  zeropoint inspect model.tflite
  zeropoint inspect --summary model.tflite
  zeropoint inspect model.tflite model_int8.tflite      side by side
  zeropoint inspect --json model.tflite";

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    if let ([path], false) = (arguments.models.as_slice(), arguments.summary) {
        let model = model::read(path)?;
        let inspection = Inspection::new(&path.display().to_string(), &model, size(path));
        if arguments.json {
            return output::print_json(&inspection);
        }
        output::print(&report::inspect(&inspection));
        return Ok(());
    }
    let models = arguments.models.iter().map(|path| structure(path));
    let models = models.collect::<Result<Vec<_>, _>>()?;
    if arguments.json {
        return output::print_json(&models);
    }
    output::print(&report::structure(&models));
    Ok(())
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
}

fn structure(path: &Path) -> Result<Structure, Failure> {
    let model = model::read(path)?;
    let name = path.display().to_string();
    let cost = cost(model.clone(), &name);
    Ok(Structure::new(&name, &model, size(path), cost))
}

/// What a sample costs, where the model can be prepared.
fn cost(model: model::Model, name: &str) -> Option<Cost> {
    let (_, graph) = simplify::load(model, name).ok()?;
    let program = kernel::prepare(graph).ok()?;
    let mut all = Cost::default();
    for (step, floor) in program.steps.iter().zip(program.floors().steps) {
        let kind = program.graph.nodes[step.node].op.name().to_owned();
        *all.operations.entry(kind).or_insert(0) += floor.operations;
    }
    all.multiply_adds = program.multiply_adds().total();
    Some(all)
}
