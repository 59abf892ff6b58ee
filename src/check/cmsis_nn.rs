//! Which operators of TensorFlow Lite Micro run by Arm's CMSIS-NN. The others run by reference kernels: right, but slow.
//!
//! Read in github.com/tensorflow/tflite-micro, commit 90b983c of August 2026, folder
//! `tensorflow/lite/micro/kernels/cmsis_nn`, and in the table of operators of github.com/ARM-software/CMSIS-NN, `README.md`
//! of July 2026: what the kernels call for int8, int16 and int4 weights, and where ADD and MUL fall back.

use super::{Bound, Finding, Place};
use crate::model::TensorType;

/// For which types of activations there is a kernel.
#[derive(PartialEq)]
enum Kernels {
    Int8,
    Both,
}

fn kernels(name: &str) -> Option<Kernels> {
    match name {
        "ADD"
        | "AVERAGE_POOL_2D"
        | "BATCH_MATMUL"
        | "CONV_2D"
        | "DEPTHWISE_CONV_2D"
        | "FULLY_CONNECTED"
        | "MAX_POOL_2D"
        | "MUL"
        | "SOFTMAX"
        | "UNIDIRECTIONAL_SEQUENCE_LSTM" => Some(Kernels::Both),
        "MAXIMUM" | "MINIMUM" | "PAD" | "PADV2" | "SVDF" | "TRANSPOSE" | "TRANSPOSE_CONV" => {
            Some(Kernels::Int8)
        }
        _ => None,
    }
}

/// Nothing but a copy, which no kernel makes faster.
const COPIES: [&str; 3] = ["EXPAND_DIMS", "RESHAPE", "SQUEEZE"];

pub(super) fn check(place: Place<'_>) -> Option<Finding> {
    let name = place.name();
    if place.is_custom() || COPIES.contains(&name.as_str()) {
        return None;
    }
    let numbers = [TensorType::Float32, TensorType::Int8, TensorType::Int16];
    let number = |t: &Bound<'_>| numbers.iter().any(|&kind| t.is(kind));
    // State has a type of its own.
    let mut data = place.activations().filter(|t| !t.tensor.is_variable);
    let data = data.find(number)?;
    let covered = match kernels(&name) {
        Some(Kernels::Both) => data.is(TensorType::Int8) || data.is(TensorType::Int16),
        Some(Kernels::Int8) => data.is(TensorType::Int8),
        None => false,
    };
    if !covered {
        let what = format!("there is no kernel for {}", data.type_name());
        let remedy =
            "it runs by TensorFlow Lite Micro's reference kernel: measure whether it matters";
        return Some(place.note("reference kernel", what, remedy));
    }
    let (a, b) = (place.input(0)?, place.input(1)?);
    if ["ADD", "MUL"].contains(&name.as_str()) && a.dims() != b.dims() {
        let what = format!("{:?} and {:?} are broadcast", a.dims(), b.dims());
        let remedy = "only equal shapes run by CMSIS-NN, others by the reference kernel";
        return Some(place.note("broadcast", what, remedy));
    }
    None
}
