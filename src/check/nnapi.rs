//! What TensorFlow Lite's NNAPI delegate leaves to the CPU, on Android 11 and later (NNAPI 1.3, the first with int8).
//!
//! Read in github.com/google-ai-edge/LiteRT, commit f674577 of August 2026, `tflite/delegates/nnapi/nnapi_delegate.cc`,
//! `NNAPIDelegateKernel::Validate`. The version of MUL is that for a chosen accelerator. Two things that the delegate hands
//! over and NNAPI then refuses: weights of FULLY_CONNECTED with scales by channel (google-ai-edge/LiteRT issue 3596, with
//! Android's own error), and UNIDIRECTIONAL_SEQUENCE_LSTM in other types than float (Android's
//! packages/modules/NeuralNetworks, `common/operations/UnidirectionalSequenceLSTMValidation.cpp`). Drivers may take less.

use super::{Bound, Finding, Place};
use crate::model::BuiltinOptions as O;
use crate::model::TensorType::{self, Bool, Float16, Float32, Int8, Int32, Uint8};

/// What the delegate takes of an operator.
struct Row {
    name: &'static str,
    /// Newest version.
    version: i32,
    /// Types of the data; none where it does not look.
    types: &'static [TensorType],
    /// Whether tensors may have at most four dimensions.
    four: bool,
}

const ANY: &[TensorType] = &[];

const fn row(name: &'static str, version: i32, types: &'static [TensorType], four: bool) -> Row {
    Row {
        name,
        version,
        types,
        four,
    }
}

/// By name.
#[rustfmt::skip]
const ROWS: [Row; 91] = [
    row("ABS", 1, &[Float32], false),
    row("ADD", 2, &[Float32, Uint8, Int8, Int32], true),
    row("ARG_MAX", 2, &[Float32, Float16, Int32, Uint8, Int8], false),
    row("ARG_MIN", 2, &[Float32, Float16, Int32, Uint8, Int8], false),
    row("AVERAGE_POOL_2D", 2, &[Float32, Uint8, Int8], false),
    row("BATCH_TO_SPACE_ND", 2, ANY, false),
    row("BIDIRECTIONAL_SEQUENCE_LSTM", 1, ANY, false),
    row("CAST", 1, &[Float32, Int32, Uint8, Int8], false),
    row("CONCATENATION", 2, &[Float32, Float16, Uint8, Int8], true),
    row("CONV_2D", 5, ANY, false),
    row("COS", 1, &[Float32], false),
    row("DENSIFY", 1, ANY, false),
    row("DEPTHWISE_CONV_2D", 3, ANY, false),
    row("DEPTH_TO_SPACE", 9, &[Float32, Uint8, Int8], false),
    row("DEQUANTIZE", 2, &[Uint8, Int8, Float16], false),
    row("DIV", 1, &[Float32], true),
    row("ELU", 1, &[Float32], false),
    row("EMBEDDING_LOOKUP", 1, ANY, false),
    row("EQUAL", 2, &[Float32, Uint8, Int8, Bool, Int32], false),
    row("EXP", 1, &[Float32], false),
    row("EXPAND_DIMS", 1, &[Float32, Float16, Int32, Uint8, Int8], false),
    row("FILL", 1, ANY, false),
    row("FLOOR", 1, ANY, false),
    row("FULLY_CONNECTED", 5, ANY, false),
    row("GATHER", 2, &[Float32, Float16, Int32, Uint8, Int8], false),
    row("GREATER", 2, &[Float32, Uint8, Int8, Bool, Int32], false),
    row("GREATER_EQUAL", 2, &[Float32, Uint8, Int8, Bool, Int32], false),
    row("HARD_SWISH", 9, &[Float32, Uint8, Int8], false),
    row("HASHTABLE_LOOKUP", 1, ANY, false),
    row("L2_NORMALIZATION", 2, ANY, false),
    row("L2_POOL_2D", 1, &[Float32], false),
    row("LEAKY_RELU", 1, &[Float32, Uint8, Int8], false),
    row("LESS", 2, &[Float32, Uint8, Int8, Bool, Int32], false),
    row("LESS_EQUAL", 2, &[Float32, Uint8, Int8, Bool, Int32], false),
    row("LOCAL_RESPONSE_NORMALIZATION", 1, ANY, false),
    row("LOG", 1, &[Float32], false),
    row("LOGICAL_AND", 1, &[Bool], false),
    row("LOGICAL_NOT", 1, &[Bool], false),
    row("LOGICAL_OR", 1, &[Bool], false),
    row("LOGISTIC", 2, &[Float32, Uint8, Int8], false),
    row("LOG_SOFTMAX", 1, &[Float32], false),
    row("LSH_PROJECTION", 1, ANY, false),
    row("LSTM", 3, ANY, false),
    row("MAXIMUM", 3, &[Float32, Uint8, Int8, Int32], false),
    row("MAX_POOL_2D", 2, &[Float32, Uint8, Int8], false),
    row("MEAN", 2, &[Float32, Uint8, Int8], true),
    row("MINIMUM", 3, &[Float32, Uint8, Int8, Int32], false),
    row("MUL", 3, &[Float32, Uint8, Int8, Int32], true),
    row("NEG", 2, &[Float32, Int32], false),
    row("NOT_EQUAL", 2, &[Float32, Uint8, Int8, Bool, Int32], false),
    row("PACK", 2, &[Float32, Int8], false),
    row("PAD", 2, &[Float32, Uint8, Int8], false),
    row("PADV2", 2, &[Float32, Uint8, Int8], false),
    row("POW", 1, &[Float32], false),
    row("PRELU", 1, &[Float32, Uint8, Int8], false),
    row("QUANTIZE", 2, &[Float32, Uint8, Int8], false),
    row("REDUCE_ANY", 2, ANY, false),
    row("REDUCE_MAX", 2, &[Float32, Uint8, Int8], false),
    row("REDUCE_MIN", 2, &[Float32, Uint8, Int8], false),
    row("REDUCE_PROD", 1, &[Float32], false),
    row("RELU", 2, &[Float32, Uint8, Int8], false),
    row("RELU6", 2, &[Float32, Uint8, Int8], false),
    row("RELU_N1_TO_1", 2, &[Float32, Uint8, Int8], false),
    row("RESHAPE", 1, &[Float32, Uint8, Int8], true),
    row("RESIZE_BILINEAR", 3, &[Float32, Uint8, Int8], true),
    row("RESIZE_NEAREST_NEIGHBOR", 3, &[Float32, Uint8, Int8], false),
    row("RNN", 1, ANY, false),
    row("RSQRT", 2, &[Float32], false),
    row("SELECT", 2, &[Float32, Int32, Uint8, Int8], false),
    row("SIN", 1, &[Float32], false),
    row("SLICE", 2, &[Float32, Int32, Uint8, Int8], false),
    row("SOFTMAX", 2, &[Float32, Uint8, Int8], true),
    row("SPACE_TO_BATCH_ND", 2, ANY, false),
    row("SPACE_TO_DEPTH", 2, &[Float32, Uint8, Int8], false),
    row("SPLIT", 3, &[Float32, Uint8, Int8, Int32], false),
    row("SPLIT_V", 2, &[Float32, Uint8, Int8, Int32], false),
    row("SQRT", 1, &[Float32], false),
    row("SQUARED_DIFFERENCE", 2, &[Float32, Uint8, Int8, Int32], true),
    row("SQUEEZE", 1, ANY, false),
    row("STRIDED_SLICE", 2, &[Float32, Uint8, Int8], false),
    row("SUB", 3, &[Float32, Uint8, Int8, Int32], true),
    row("SUM", 1, &[Float32], false),
    row("SVDF", 1, ANY, false),
    row("TANH", 2, &[Float32, Uint8, Int8], false),
    row("TILE", 1, &[Float32, Int8, Uint8, Int32], false),
    row("TOPK_V2", 2, &[Float32, Int32, Uint8, Int8], false),
    row("TRANSPOSE", 2, ANY, false),
    row("TRANSPOSE_CONV", 4, ANY, false),
    row("UNIDIRECTIONAL_SEQUENCE_LSTM", 2, &[Float32], false),
    row("UNIDIRECTIONAL_SEQUENCE_RNN", 1, ANY, false),
    row("UNPACK", 2, &[Float32, Uint8, Int8], true),
];

/// Taken from a later feature level of NNAPI on.
const LATER: [&str; 3] = ["BATCH_MATMUL", "MIRROR_PAD", "REVERSE_V2"];

pub(super) fn check(place: Place<'_>) -> Vec<Finding> {
    let name = place.name();
    let half = |t: &Bound<'_>| t.is_constant() && t.is(Float16);
    if name == "DEQUANTIZE" && place.input(0).as_ref().is_some_and(half) {
        // The delegate unpacks weights of float16 itself, whatever the version.
        return Vec::new();
    }
    let row = ROWS.binary_search_by(|row| row.name.cmp(&name));
    let Some(row) = row.ok().map(|i| &ROWS[i]).filter(|_| !place.is_custom()) else {
        let what = format!("{name} is not in the delegate's list");
        return vec![if LATER.contains(&name.as_str()) {
            let remedy =
                "the delegate takes it from feature level 6 or 7 of NNAPI on (Android 12 and 13)";
            place.note("operator", what, remedy)
        } else {
            let remedy = "it stays on the CPU: express it by other operators";
            place.finding("operator", what, remedy)
        }];
    };
    let mut findings = Vec::new();
    if place.version() > row.version {
        let what = format!(
            "version {}, at most {} is taken",
            place.version(),
            row.version
        );
        let remedy = "it stays on the CPU: newer versions are newer types or attributes";
        findings.push(place.finding("version", what, remedy));
    }
    let data = place.input(data(&name));
    let taken = |t: &Bound<'_>| row.types.is_empty() || row.types.iter().any(|&k| t.is(k));
    if let Some(data) = data.filter(|t| !taken(t)) {
        let what = format!("{} is {}", data.describe(), data.type_name());
        findings.push(place.finding(
            "type",
            what,
            "it is not taken in this type: leave it to the CPU",
        ));
    }
    let deep = place
        .inputs()
        .chain(place.outputs())
        .find(|t| t.dims().len() > 4);
    if let Some(deep) = deep.filter(|_| row.four) {
        let what = format!("{} has {} dimensions", deep.describe(), deep.dims().len());
        findings.push(place.finding("rank", what, "reshape it to at most four dimensions"));
    }
    findings.extend(constants(place, &name));
    findings.extend(special(place, &name));
    if let Some(open) = open(place) {
        let what = format!("{} has an open shape", open.describe());
        let remedy = "it is compiled for one shape unless allow_dynamic_dimensions is set";
        findings.push(place.note("dynamic shape", what, remedy));
    }
    findings
}

/// The input that is looked at.
fn data(name: &str) -> usize {
    match name {
        "SELECT" | "SPLIT" => 1,
        _ => 0,
    }
}

/// An input of the model whose shape is open: once, not at everything behind it.
fn open(place: Place<'_>) -> Option<Bound<'_>> {
    let fed = place.subgraph.inputs.as_deref().unwrap_or_default();
    let mut tensors = place.inputs().filter(|t| fed.contains(&t.id));
    tensors.find(|t| t.tensor.shape_signature.iter().flatten().any(|&d| d < 0))
}

/// Operands that must be constants.
fn constants(place: Place<'_>, name: &str) -> Option<Finding> {
    let operands: &[usize] = match name {
        "EXPAND_DIMS"
        | "RESHAPE"
        | "RESIZE_BILINEAR"
        | "RESIZE_NEAREST_NEIGHBOR"
        | "TOPK_V2"
        | "TRANSPOSE" => &[1],
        "BATCH_TO_SPACE_ND" => &[2],
        "FILL" | "SPLIT" => &[0],
        "SPLIT_V" => &[1, 2],
        "TRANSPOSE_CONV" => &[0, 1],
        _ => &[],
    };
    let operands = operands.iter().filter_map(|&i| place.input(i));
    let computed = operands.into_iter().find(|t| !t.is_constant())?;
    let what = format!("{} is computed", computed.describe());
    Some(place.finding("constant operand", what, "it has to be a constant"))
}

fn special(place: Place<'_>, name: &str) -> Option<Finding> {
    let fused = match &place.operator.builtin_options {
        Some(O::ConcatenationOptions(o)) => o.fused_activation_function,
        Some(O::L2NormOptions(o)) => o.fused_activation_function,
        _ => 0,
    };
    if fused != 0 {
        let what = format!("it has the fused activation {fused}");
        return Some(place.finding("fused activation", what, "use an operator of its own"));
    }
    let inputs = place.operator.inputs.as_ref().map_or(0, Vec::len);
    match name {
        "CONV_2D" if inputs < 3 => {
            let what = "it has no bias".into();
            Some(place.finding("bias", what, "give it a bias, of zeros if need be"))
        }
        "FULLY_CONNECTED" => {
            let weights = place
                .input(1)
                .filter(|t| t.is(Int8) && t.scales().len() > 1)?;
            let what = format!(
                "{} has {} scales",
                weights.describe(),
                weights.scales().len()
            );
            let remedy = "NNAPI takes one scale for them: quantize dense layers by tensor";
            Some(place.finding("per-channel FULLY_CONNECTED", what, remedy))
        }
        "BIDIRECTIONAL_SEQUENCE_LSTM"
        | "UNIDIRECTIONAL_SEQUENCE_LSTM"
        | "UNIDIRECTIONAL_SEQUENCE_RNN" => {
            let weights = place.input(if name.ends_with("RNN") { 1 } else { 2 })?;
            let float = place.input(0).is_some_and(|t| t.is(Float32));
            let hybrid = float && (weights.is(Int8) || weights.is(Uint8));
            let what = format!(
                "{} is {} behind a float input",
                weights.describe(),
                weights.type_name()
            );
            let remedy = "hybrid (dynamic range) cells stay on the CPU";
            hybrid.then(|| place.finding("hybrid", what, remedy))
        }
        "MEAN" | "REDUCE_ANY" | "REDUCE_PROD" | "SUM" => {
            let scalar = place.output(0).filter(|t| t.dims().is_empty())?;
            let what = format!("{} is a scalar", scalar.describe());
            Some(place.finding("scalar output", what, "keep the dimensions"))
        }
        "RNN" | "SVDF" => {
            let weights = place.input(1).filter(|t| !t.is(Float32))?;
            let what = format!("{} is {}", weights.describe(), weights.type_name());
            Some(place.finding("float weights", what, "only float weights are taken"))
        }
        "BATCH_TO_SPACE_ND" => {
            let crops = place.input(2)?.integers()?;
            let what = format!("its crops are {crops:?}");
            let some = crops.iter().any(|&c| c != 0);
            some.then(|| place.finding("crops", what, "crop with a SLICE behind it"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_sorted() {
        assert!(ROWS.is_sorted_by(|a, b| a.name < b.name));
    }
}
