//! Commands, one file each. stdout is data, stderr is progress; exit codes are 0 ok, 1 a check failed, 2 usage or input,
//! 3 device.

mod calibrate;
mod check;
mod choices;
mod compare;
mod debug;
mod detail;
mod devices;
mod evaluate;
mod failure;
mod inspect;
mod ops;
mod output;
mod plan;
mod plan_file;
mod progress;
mod quantize;
mod ranges;
mod recipe;
mod run;
mod schemes;
mod seen;
mod selection;
mod target;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

pub use failure::Failure;

/// Calibrates, quantizes, verifies and evaluates TensorFlow Lite (LiteRT) models.
#[derive(Parser)]
#[command(name = "zeropoint", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
A float model and a few hundred real samples make an int8 model:
  zeropoint quantize model.tflite --data calib.npz -o model_int8.tflite
  zeropoint verify model.tflite model_int8.tflite --data eval.npz
  zeropoint evaluate model.tflite model_int8.tflite --data eval.npz
  zeropoint compare model.tflite model_int8.tflite model_int16x8.tflite --data eval.npz --html compare.html

Data is .npz or .npy: arrays input_0, input_1, … (or named like the model's inputs), first axis = sample; labels beside them.
Exit codes: 0 ok, 1 a check failed, 2 wrong usage or input, 3 device.";

#[derive(Subcommand)]
enum Command {
    /// Make an int8 model from a float model and representative data
    Quantize(quantize::Arguments),
    /// Show operator by operator what `quantize` would do and why, and what it costs; writes nothing
    Plan(plan::Arguments),
    /// Gather ranges and histograms of every float tensor over representative data; --profile shows where time goes
    Calibrate(calibrate::Arguments),
    /// Run a model over data and save its outputs
    Run(run::Arguments),
    /// Score classifiers against labels, several models side by side
    Evaluate(evaluate::Arguments),
    /// Set quantized models side by side: what they answer, how far they are from the float model, what they cost
    Compare(compare::Arguments),
    /// Prove that a quantized model gives the same bits on every device, and measure its distance to the float model
    Verify(verify::Arguments),
    /// Say which operators of a quantized model cost how much, and why
    Debug(debug::Arguments),
    /// Show what is in a model: operators, tensors, quantization, sizes
    Inspect(inspect::Arguments),
    /// Check a quantized model against the 8-bit specification, or a target: TensorFlow Lite Micro, CMSIS-NN, NNAPI, Edge TPU
    Check(check::Arguments),
    /// List the devices that models can run on
    Devices(devices::Arguments),
    /// List the supported operators
    Ops(ops::Arguments),
}

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Quantize(a) => quantize::run(&a),
        Command::Plan(a) => plan::run(&a),
        Command::Calibrate(a) => calibrate::run(&a),
        Command::Run(a) => run::run(&a),
        Command::Evaluate(a) => evaluate::run(&a),
        Command::Compare(a) => compare::run(&a),
        Command::Verify(a) => verify::run(&a),
        Command::Debug(a) => debug::run(&a),
        Command::Inspect(a) => inspect::run(&a),
        Command::Check(a) => check::run(&a),
        Command::Devices(a) => devices::run(&a),
        Command::Ops(a) => ops::run(&a),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
