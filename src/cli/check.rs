//! `zeropoint check`

use super::{Failure, output};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use zeropoint::{check, model, report};

/// Arguments of `zeropoint check`.
#[derive(Args)]
pub struct Arguments {
    /// Quantized model, also with operators that cannot be run
    model: PathBuf,
    /// The rules: the TensorFlow Lite 8-bit specification, or TensorFlow Lite Micro's as well
    #[arg(
        long,
        value_enum,
        default_value = "spec",
        value_name = "spec|tflm",
        hide_possible_values = true
    )]
    target: Target,
    /// For machines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// The 8-bit specification
    Spec,
    /// TensorFlow Lite Micro
    Tflm,
}

/// Runs the command: exit code 1 if a rule is broken.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let target = match arguments.target {
        Target::Spec => check::Target::Spec,
        Target::Tflm => check::Target::Tflm,
    };
    let model = model::read(&arguments.model)?;
    let findings = check::check(&model, target);
    let name = arguments.model.display().to_string();
    if arguments.json {
        output::print_json(&findings)?;
    } else {
        output::print(&report::check(&name, &findings));
    }
    match findings.len() {
        0 => Ok(()),
        n => Err(Failure::Check(format!("{name}: {n} rules are broken"))),
    }
}
