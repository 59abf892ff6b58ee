//! What TensorFlow Lite Micro refuses when it prepares a model, beyond the specification.
//!
//! Read in github.com/tensorflow/tflite-micro, commit 90b983c of August 2026: the operators in
//! `tensorflow/lite/micro/micro_mutable_op_resolver.h`; types of products in `conv_common.cc`,
//! `depthwise_conv_common.cc`, `fully_connected_common.cc`, `transpose_conv.cc`, `svdf_common.cc`, `batch_matmul.cc` and
//! `unidirectional_sequence_lstm.cc` of `tensorflow/lite/micro/kernels`; open shapes in `micro_interpreter_graph.cc`;
//! float16 in `dequantize_common.cc`. Scales by channel of FULLY_CONNECTED: pull requests 2602 and 2673.

use super::{Bound, Finding, Place};
use crate::model::TensorType;

/// Builtin operators with a kernel.
#[rustfmt::skip]
const OPERATORS: [&str; 100] = [
    "ABS",
    "ADD",
    "ADD_N",
    "ARG_MAX",
    "ARG_MIN",
    "ASSIGN_VARIABLE",
    "AVERAGE_POOL_2D",
    "BATCH_MATMUL",
    "BATCH_TO_SPACE_ND",
    "BROADCAST_ARGS",
    "BROADCAST_TO",
    "CALL_ONCE",
    "CAST",
    "CEIL",
    "CONCATENATION",
    "CONV_2D",
    "COS",
    "CUMSUM",
    "DEPTHWISE_CONV_2D",
    "DEPTH_TO_SPACE",
    "DEQUANTIZE",
    "DIV",
    "DYNAMIC_UPDATE_SLICE",
    "ELU",
    "EMBEDDING_LOOKUP",
    "EQUAL",
    "EXP",
    "EXPAND_DIMS",
    "FILL",
    "FLOOR",
    "FLOOR_DIV",
    "FLOOR_MOD",
    "FULLY_CONNECTED",
    "GATHER",
    "GATHER_ND",
    "GREATER",
    "GREATER_EQUAL",
    "HARD_SWISH",
    "IF",
    "L2_NORMALIZATION",
    "L2_POOL_2D",
    "LEAKY_RELU",
    "LESS",
    "LESS_EQUAL",
    "LOG",
    "LOGICAL_AND",
    "LOGICAL_NOT",
    "LOGICAL_OR",
    "LOGISTIC",
    "LOG_SOFTMAX",
    "MAXIMUM",
    "MAX_POOL_2D",
    "MEAN",
    "MINIMUM",
    "MIRROR_PAD",
    "MUL",
    "NEG",
    "NOT_EQUAL",
    "PACK",
    "PAD",
    "PADV2",
    "PRELU",
    "QUANTIZE",
    "READ_VARIABLE",
    "REDUCE_ALL",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "RELU",
    "RELU6",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "REVERSE_V2",
    "ROUND",
    "RSQRT",
    "SELECT_V2",
    "SHAPE",
    "SIN",
    "SLICE",
    "SOFTMAX",
    "SPACE_TO_BATCH_ND",
    "SPACE_TO_DEPTH",
    "SPLIT",
    "SPLIT_V",
    "SQRT",
    "SQUARE",
    "SQUARED_DIFFERENCE",
    "SQUEEZE",
    "STRIDED_SLICE",
    "SUB",
    "SUM",
    "SVDF",
    "TANH",
    "TRANSPOSE",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "UNPACK",
    "VAR_HANDLE",
    "WHILE",
    "ZEROS_LIKE",
];

/// Custom operators that come with it.
const CUSTOM: [&str; 17] = [
    "CIRCULAR_BUFFER",
    "SignalDelay",
    "SignalEnergy",
    "SignalFftAutoScale",
    "SignalFilterBank",
    "SignalFilterBankLog",
    "SignalFilterBankSquareRoot",
    "SignalFramer",
    "SignalIrfft",
    "SignalOverlapAdd",
    "SignalPCAN",
    "SignalRfft",
    "SignalStacker",
    "SignalWindow",
    "TFLM_DECODE",
    "TFLite_Detection_PostProcess",
    "ethos-u",
];

/// Operators whose kernels take weights, and which input these are.
fn weights(name: &str) -> Option<usize> {
    match name {
        "BATCH_MATMUL" | "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" | "SVDF"
        | "TRANSPOSE_CONV" => Some(1),
        // The first gate may be absent.
        "UNIDIRECTIONAL_SEQUENCE_LSTM" => Some(2),
        _ => None,
    }
}

pub(super) fn check(place: Place<'_>) -> Vec<Finding> {
    let name = place.name();
    let mut findings: Vec<Finding> = operator(place, &name).into_iter().collect();
    let constant = |t: &Bound<'_>| t.is_constant();
    let weights = weights(&name).and_then(|i| place.input(i)).filter(constant);
    if let Some(weights) = weights {
        findings.extend(product(place, weights));
    }
    let half = place.inputs().find(|t| t.is(TensorType::Float16));
    if let Some(half) = half {
        let what = format!("{} is float16", half.describe());
        findings.push(place.finding(
            "float16",
            what,
            "there is no float16: keep float32, or quantize to int8",
        ));
    }
    if let Some(open) = place.open() {
        let what = format!("{} has the shape {:?}", open.describe(), open.dims());
        let remedy = "shapes are fixed there: convert the model for one shape";
        findings.push(place.finding("dynamic shape", what, remedy));
    }
    if name == "FULLY_CONNECTED"
        && let Some(weights) = weights.filter(|t| t.is(TensorType::Int8) && t.scales().len() > 1)
    {
        let what = format!(
            "{} has {} scales",
            weights.describe(),
            weights.scales().len()
        );
        let remedy = "releases before September 2024 refuse it, or compute it wrongly: update";
        findings.push(place.finding("per-channel FULLY_CONNECTED", what, remedy));
    }
    findings
}

fn operator(place: Place<'_>, name: &str) -> Option<Finding> {
    if place.is_custom() {
        if CUSTOM.contains(&name) {
            return None;
        }
        let what = format!("'{name}' is a custom operator");
        return Some(if name.starts_with("Flex") {
            let remedy = "it needs TensorFlow itself: convert the model without SELECT_TF_OPS";
            place.finding("operator", what, remedy)
        } else {
            let remedy = "the application has to bring its kernel (AddCustom)";
            place.note("custom operator", what, remedy)
        });
    }
    if OPERATORS.binary_search(&name).is_ok() {
        return None;
    }
    let remedy = if name.contains("LSTM") {
        "its only LSTM is UNIDIRECTIONAL_SEQUENCE_LSTM: convert the model so that layers are fused into it"
    } else {
        "there is no kernel for it: express it by other operators, or bring a kernel"
    };
    Some(place.finding("operator", format!("{name} is not in its list"), remedy))
}

fn product(place: Place<'_>, weights: Bound<'_>) -> Option<Finding> {
    let float = place
        .inputs()
        .any(|t| t.is(TensorType::Float32) && !t.is_constant());
    let narrow = [TensorType::Int8, TensorType::Int4]
        .iter()
        .any(|&t| weights.is(t));
    if float && narrow {
        let what = format!(
            "{} is {} behind a float input",
            weights.describe(),
            weights.type_name()
        );
        let remedy =
            "hybrid (dynamic range) kernels do not exist there: quantize activations as well";
        return Some(place.finding("hybrid", what, remedy));
    }
    let bytes = place.activations().find(|t| t.is(TensorType::Uint8))?;
    let what = format!("{} is uint8", bytes.describe());
    let remedy = "products take int8: convert with int8, uint8 at most outside of a QUANTIZE";
    Some(place.finding("uint8", what, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(OPERATORS.is_sorted());
    }
}
