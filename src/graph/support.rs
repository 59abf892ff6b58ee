//! What each operator can do where, as data: printed by `zeropoint ops` and checked against the README.

/// One row of the support table.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct OpSupport {
    /// Name in the TFLite schema.
    pub op: &'static str,
    /// Types it takes as float.
    pub float: bool,
    /// Whether it has an int8 kernel.
    pub int8: bool,
    /// Limits worth knowing.
    pub limits: &'static str,
}

const fn row(op: &'static str, limits: &'static str) -> OpSupport {
    OpSupport {
        op,
        float: true,
        int8: true,
        limits,
    }
}

/// The operators, in the order of the schema; all run on CPU and GPU.
pub const SUPPORT: [OpSupport; 11] = [
    row("ADD", "broadcasting up to rank 6"),
    row(
        "CONV_2D",
        "constant weights; groups; activations NONE, RELU, RELU6, RELU_N1_TO_1",
    ),
    row(
        "DEPTHWISE_CONV_2D",
        "constant weights; any depth multiplier",
    ),
    row("DEQUANTIZE", "int8 and uint8 to float32"),
    row("FULLY_CONNECTED", "constant weights, default format"),
    row("MEAN", "constant axes"),
    row("QUANTIZE", "float32, int8, uint8 to int8 and uint8"),
    row("RESHAPE", "to the shape in the file"),
    row("SOFTMAX", "last dimension; int8 output 1/256, -128"),
    row(
        "STRIDED_SLICE",
        "constant begin, end, strides; rank up to 6",
    ),
    row(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "four gates, TANH, cell clip; int8 with int16 cell",
    ),
];
