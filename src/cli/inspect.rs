//! `zeropoint inspect`

use super::{Failure, output};
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use zeropoint::report::{self, Inspection, Structure};
use zeropoint::{kernel, model, simplify};

/// Arguments of `zeropoint inspect`.
#[derive(Args)]
pub struct Arguments {
    /// Any .tflite models, also with operators that cannot be run; several are laid side by side
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Figures in place of the listing: operators, types, bytes, operations, and what is alive at once
    #[arg(long)]
    summary: bool,
    /// For machines
    #[arg(long)]
    json: bool,
}

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
    let operations = operations(model.clone(), &name);
    Ok(Structure::new(&name, &model, size(path), operations))
}

/// Operations by kind of operator, where the model can be prepared.
fn operations(model: model::Model, name: &str) -> Option<BTreeMap<String, u64>> {
    let (_, graph) = simplify::load(model, name).ok()?;
    let program = kernel::prepare(graph).ok()?;
    let mut all = BTreeMap::new();
    for (step, floor) in program.steps.iter().zip(program.floors().steps) {
        let kind = program.graph.nodes[step.node].op.name().to_owned();
        *all.entry(kind).or_insert(0) += floor.operations;
    }
    Some(all)
}
