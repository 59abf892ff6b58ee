//! The oldest TensorFlow Lite that has the kernels of a model, by LiteRT's `tools/versioning/runtime_version.cc`.

use super::plan::OperatorPlan;

/// The release that has all that is older: the converter names none before it for quantized models.
const BASE: (u32, u32) = (1, 14);

/// The release in which a version of an operator came, where that is after [`BASE`]. Versions that are never written are
/// left out.
fn release(name: &str, version: i32) -> (u32, u32) {
    match (name, version) {
        ("DEQUANTIZE", 3) | ("HARD_SWISH", 1) | ("QUANTIZE", 2) => (1, 15),
        ("RELU", 2) => (2, 1),
        ("REVERSE_V2" | "TILE" | "TRANSPOSE_CONV", 2) | ("SELECT_V2", 1) | ("SVDF", 3) => (2, 2),
        ("GATHER_ND" | "LEAKY_RELU" | "MIRROR_PAD" | "SPLIT_V", 2)
        | (
            "AVERAGE_POOL_2D"
            | "CONCATENATION"
            | "LOGISTIC"
            | "MAX_POOL_2D"
            | "NOT_EQUAL"
            | "PACK"
            | "SOFTMAX"
            | "TANH"
            | "TRANSPOSE_CONV"
            | "UNIDIRECTIONAL_SEQUENCE_LSTM",
            3,
        )
        | ("CONV_2D" | "MAXIMUM" | "MINIMUM" | "MUL" | "SPLIT" | "UNPACK", 4)
        | ("DEPTHWISE_CONV_2D", 5 | 6)
        | ("FULLY_CONNECTED", 7 | 9) => (2, 3),
        ("ABS", 2)
        | ("ADD" | "BATCH_MATMUL" | "MEAN" | "PAD" | "PADV2", 3)
        | ("GATHER" | "RESIZE_NEAREST_NEIGHBOR" | "SLICE", 4)
        | ("CONV_2D" | "SUB" | "TRANSPOSE", 5) => (2, 4),
        ("BROADCAST_TO" | "RSQRT" | "SQUARED_DIFFERENCE", 2)
        | (
            "ABS" | "BROADCAST_TO" | "GATHER_ND" | "REDUCE_MAX" | "REDUCE_MIN" | "RELU" | "RELU6",
            3,
        )
        | ("BATCH_MATMUL" | "RESIZE_BILINEAR", 4) => (2, 5),
        ("GELU", _) => (2, 9),
        ("RELU_0_TO_1", 1) => (2, 10),
        ("EXP" | "SELECT_V2", 2)
        | ("MIRROR_PAD", 3)
        | ("BATCH_TO_SPACE_ND" | "SPACE_TO_BATCH_ND", 4) => (2, 12),
        ("LOG", 2) => (2, 15),
        ("FULLY_CONNECTED", 12) => (2, 17),
        _ => BASE,
    }
}

/// The oldest release for a model of these operators, whose conversions are of 16 bits where `wide`.
pub(super) fn oldest(operators: &[OperatorPlan], wide: bool) -> String {
    let quantized = operators.iter().filter(|o| o.scheme.is_some());
    let releases = quantized.map(|o| release(&o.name, o.version));
    let conversions = match wide {
        true => release("QUANTIZE", 2),
        false => BASE,
    };
    let (major, minor) = releases.max().unwrap_or(BASE).max(conversions);
    format!("{major}.{minor}.0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::NodeScheme;

    #[test]
    fn the_newest_operator_decides() {
        let operator = |name: &str, version| OperatorPlan {
            index: 0,
            name: name.into(),
            scheme: Some(NodeScheme::Int8),
            float: None,
            fallback: false,
            version,
        };
        let oldest_of = |list: &[(&str, i32)], wide| {
            let all: Vec<_> = list.iter().map(|&(name, v)| operator(name, v)).collect();
            oldest(&all, wide)
        };
        assert_eq!(oldest_of(&[("CONV_2D", 3), ("ADD", 2)], false), "1.14.0");
        assert_eq!(oldest_of(&[("CONV_2D", 3), ("ADD", 2)], true), "1.15.0");
        assert_eq!(oldest_of(&[("CONV_2D", 5), ("SVDF", 3)], false), "2.4.0");
        // 2.12 is after 2.5.
        assert_eq!(oldest_of(&[("EXP", 2), ("RSQRT", 2)], false), "2.12.0");
    }
}
