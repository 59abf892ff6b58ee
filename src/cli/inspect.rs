//! `zeropoint inspect`

use super::{Failure, output};
use clap::Args;
use std::path::PathBuf;
use zeropoint::{model, report};

/// Arguments of `zeropoint inspect`.
#[derive(Args)]
pub struct Arguments {
    /// Any .tflite model, also one with operators that cannot be run
    model: PathBuf,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let model = model::read(&arguments.model)?;
    let bytes = std::fs::metadata(&arguments.model).map_or(0, |m| m.len());
    let inspection = report::Inspection::new(&arguments.model.display().to_string(), &model, bytes);
    if arguments.json {
        return output::print_json(&inspection);
    }
    output::print(&report::inspect(&inspection));
    Ok(())
}
