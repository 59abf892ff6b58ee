//! `zeropoint check`

use super::{Failure, output};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use zeropoint::check::{self, Severity};
use zeropoint::{model, report};

/// Arguments of `zeropoint check`.
#[derive(Args)]
#[command(after_help = TARGETS)]
pub struct Arguments {
    /// Quantized model, also with operators that cannot be run
    model: PathBuf,
    /// Where the model is to run, see below
    #[arg(
        long,
        value_enum,
        default_value = "spec",
        value_name = "TARGET",
        hide_possible_values = true
    )]
    target: Target,
    /// For machines
    #[arg(long)]
    json: bool,
}

const TARGETS: &str = "\
Targets:
  spec      the TensorFlow Lite 8-bit quantization specification; the others check it as well
  tflm      TensorFlow Lite Micro: its operators, no hybrid kernels, no float16, fixed shapes
  cmsis-nn  the same, with notes on what has no CMSIS-NN kernel and runs by a reference kernel
  nnapi     TensorFlow Lite's NNAPI delegate on Android 11 and later: what it leaves to the CPU
  edgetpu   Coral's Edge TPU: what its compiler leaves to the CPU

Every finding names operator, rule, what is there and a remedy. A broken rule is exit code 1; notes alone are 0.
What a file cannot tell (memory, drivers, sizes that a compiler finds too large) is not checked.";

#[derive(Clone, Copy, ValueEnum)]
enum Target {
    /// The 8-bit specification
    Spec,
    /// TensorFlow Lite Micro
    Tflm,
    /// TensorFlow Lite Micro with CMSIS-NN
    CmsisNn,
    /// Android's NNAPI
    Nnapi,
    /// Coral's Edge TPU
    Edgetpu,
}

/// Runs the command: exit code 1 if a rule is broken.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let target = match arguments.target {
        Target::Spec => check::Target::Spec,
        Target::Tflm => check::Target::Tflm,
        Target::CmsisNn => check::Target::CmsisNn,
        Target::Nnapi => check::Target::Nnapi,
        Target::Edgetpu => check::Target::Edgetpu,
    };
    let model = model::read(&arguments.model)?;
    let findings = check::check(&model, target);
    let name = arguments.model.display().to_string();
    if arguments.json {
        output::print_json(&findings)?;
    } else {
        output::print(&report::check(&name, &findings));
    }
    let broken = findings.iter().filter(|f| f.severity == Severity::Error);
    match broken.count() {
        0 => Ok(()),
        n => Err(Failure::Check(format!("{name}: {n} rules are broken"))),
    }
}
