//! What each operator can do where, as data: printed by `zeropoint ops` and checked against the README.

/// Which devices have a kernel of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernels {
    /// None.
    None,
    /// CPU and GPU.
    CpuAndGpu,
    /// None is needed: it is computed when the model is read.
    Folded,
}

/// One row of the support table.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct OpSupport {
    /// Name in the TFLite schema.
    pub op: &'static str,
    /// Kernels for float32, or for the other types that the limits name.
    pub float: Kernels,
    /// Kernels for int8.
    pub int8: Kernels,
    /// Limits worth knowing.
    pub limits: &'static str,
}

impl std::fmt::Display for Kernels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kernels::None => "–",
            Kernels::CpuAndGpu => "CPU, GPU",
            Kernels::Folded => "folded",
        })
    }
}

/// Operators with kernels for int16 activations and int8 weights: those of [`has_i16`](super::has_i16), and PRELU, whose
/// slopes have to be int8.
const INT16: [&str; 57] = [
    "ABS",
    "ADD",
    "AVERAGE_POOL_2D",
    "BATCH_MATMUL",
    "BATCH_TO_SPACE_ND",
    "BROADCAST_TO",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "DEQUANTIZE",
    "EQUAL",
    "EXP",
    "EXPAND_DIMS",
    "FULLY_CONNECTED",
    "GATHER",
    "GATHER_ND",
    "GELU",
    "LEAKY_RELU",
    "LOG",
    "LOGISTIC",
    "MAXIMUM",
    "MAX_POOL_2D",
    "MEAN",
    "MINIMUM",
    "MIRROR_PAD",
    "MUL",
    "NOT_EQUAL",
    "PACK",
    "PAD",
    "PADV2",
    "PRELU",
    "QUANTIZE",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "RELU",
    "RELU6",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "REVERSE_V2",
    "RSQRT",
    "SELECT",
    "SELECT_V2",
    "SLICE",
    "SOFTMAX",
    "SPACE_TO_BATCH_ND",
    "SPLIT",
    "SPLIT_V",
    "SQRT",
    "SQUEEZE",
    "STRIDED_SLICE",
    "SUB",
    "TANH",
    "TILE",
    "TRANSPOSE",
    "TRANSPOSE_CONV",
    "UNPACK",
];

/// Operators with kernels for float activations and int8 weights.
const DYNAMIC: [&str; 4] = [
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
];

impl OpSupport {
    /// Kernels for int16 activations, with int8 weights.
    pub fn int16(&self) -> Kernels {
        listed(&INT16, self.op)
    }

    /// Kernels for float activations that are quantized as they run, with int8 weights.
    pub fn dynamic(&self) -> Kernels {
        listed(&DYNAMIC, self.op)
    }
}

fn listed(all: &[&str], op: &str) -> Kernels {
    if all.contains(&op) {
        Kernels::CpuAndGpu
    } else {
        Kernels::None
    }
}

/// Kernels for float and int8.
const fn both(op: &'static str, limits: &'static str) -> OpSupport {
    OpSupport {
        op,
        float: Kernels::CpuAndGpu,
        int8: Kernels::CpuAndGpu,
        limits,
    }
}

/// Kernels for float only.
const fn float(op: &'static str, limits: &'static str) -> OpSupport {
    OpSupport {
        int8: Kernels::None,
        ..both(op, limits)
    }
}

/// Computed when the model is read.
const fn folded(op: &'static str, limits: &'static str) -> OpSupport {
    OpSupport {
        float: Kernels::Folded,
        ..float(op, limits)
    }
}

/// The operators, by name.
pub const SUPPORT: [OpSupport; 112] = [
    both("ABS", ""),
    both("ADD", "also int32; broadcasting over up to six dimensions"),
    folded("ADD_N", "becomes ADDs"),
    both("ARG_MAX", "constant axis; int32 or int64 result"),
    both("ARG_MIN", "constant axis; int32 or int64 result"),
    both("AVERAGE_POOL_2D", ""),
    both("BATCH_MATMUL", "up to four batch dimensions"),
    both("BATCH_TO_SPACE_ND", "constant block and crops"),
    both("BROADCAST_TO", "constant shape"),
    float("CAST", "between float32, int8, uint8, bool, int32, int64"),
    float("CEIL", ""),
    float("COMPLEX_ABS", ""),
    both("CONCATENATION", ""),
    both(
        "CONV_2D",
        "constant weights; groups; activations NONE, RELU, RELU6, RELU_N1_TO_1",
    ),
    float("COS", ""),
    float("CUMSUM", "constant axis; also int32"),
    float(
        "Convolution2DTransposeBias",
        "MediaPipe's custom operator; constant weights",
    ),
    folded("DENSIFY", "of constants"),
    both(
        "DEPTHWISE_CONV_2D",
        "constant weights; any depth multiplier",
    ),
    both("DEPTH_TO_SPACE", ""),
    both(
        "DEQUANTIZE",
        "int8, uint8 and int16 to float32; float16 constants",
    ),
    float(
        "DIV",
        "also int32; int8 fails in LiteRT where a divisor rounds to zero",
    ),
    both("ELU", ""),
    both("EMBEDDING_LOOKUP", ""),
    both(
        "EQUAL",
        "also int32 and bool; stays float in quantized models",
    ),
    both("EXP", ""),
    both("EXPAND_DIMS", ""),
    folded("FILL", ""),
    float("FLOOR", ""),
    float("FLOOR_DIV", "also int32"),
    float("FLOOR_MOD", "also int32"),
    both(
        "FULLY_CONNECTED",
        "default format; weights that are computed in float only",
    ),
    both("GATHER", "indices of int32 or int64"),
    both("GATHER_ND", "tuples of up to six indices"),
    both("GELU", ""),
    both("GREATER", "also int32; stays float in quantized models"),
    both(
        "GREATER_EQUAL",
        "also int32; stays float in quantized models",
    ),
    both("HARD_SWISH", ""),
    float("IMAG", ""),
    both("L2_NORMALIZATION", "int8 output 1/128, 0"),
    float("L2_POOL_2D", ""),
    both("LEAKY_RELU", ""),
    both("LESS", "also int32; stays float in quantized models"),
    both("LESS_EQUAL", "also int32; stays float in quantized models"),
    both("LOG", ""),
    float("LOGICAL_AND", "bool"),
    float("LOGICAL_NOT", "bool"),
    float("LOGICAL_OR", "bool"),
    both("LOGISTIC", "int8 output 1/256, -128"),
    both("LOG_SOFTMAX", "last dimension; int8 output 16/256, 127"),
    both("MAXIMUM", "also int32"),
    both("MAX_POOL_2D", ""),
    both("MEAN", "constant axes"),
    both("MINIMUM", "also int32"),
    both("MIRROR_PAD", "constant paddings"),
    both("MUL", "also int32"),
    float("NEG", "int8 ignores scales in LiteRT"),
    both(
        "NOT_EQUAL",
        "also int32 and bool; stays float in quantized models",
    ),
    float("ONE_HOT", "constant depth and values"),
    both("PACK", ""),
    both("PAD", "constant paddings"),
    both("PADV2", "constant paddings and value"),
    float("POW", "also int32"),
    both("PRELU", ""),
    both(
        "QUANTIZE",
        "float32, int8, uint8, int16 to int8, uint8, int16",
    ),
    folded("RANGE", ""),
    folded("RANK", ""),
    float("REAL", ""),
    float("REDUCE_ALL", "bool"),
    float("REDUCE_ANY", "bool"),
    both("REDUCE_MAX", "also int32"),
    both("REDUCE_MIN", "also int32"),
    float("REDUCE_PROD", "also int32"),
    both("RELU", ""),
    both("RELU6", ""),
    both("RELU_0_TO_1", ""),
    both("RELU_N1_TO_1", ""),
    both("RESHAPE", "shape known beforehand"),
    both("RESIZE_BILINEAR", "constant size"),
    both("RESIZE_NEAREST_NEIGHBOR", "constant size"),
    both("REVERSE_V2", "constant axes"),
    float("RFFT2D", "lengths are powers of two"),
    float("ROUND", ""),
    both("RSQRT", ""),
    both("SELECT", ""),
    both("SELECT_V2", "broadcasting over up to six dimensions"),
    folded("SHAPE", ""),
    float("SIGN", ""),
    float("SIN", ""),
    both("SLICE", "constant begin and size"),
    both("SOFTMAX", "last dimension; int8 output 1/256, -128"),
    both("SPACE_TO_BATCH_ND", "constant block and paddings"),
    both("SPACE_TO_DEPTH", ""),
    both("SPLIT", "constant axis"),
    both("SPLIT_V", "constant axis and sizes"),
    both("SQRT", ""),
    float("SQUARE", ""),
    both("SQUARED_DIFFERENCE", "also int32"),
    both("SQUEEZE", ""),
    both("STRIDED_SLICE", "constant begin, end, strides"),
    both("SUB", "also int32"),
    float("SUM", "also int32; LiteRT's kernels disagree on int8"),
    both(
        "SVDF",
        "constant weights; int8 with the activation RELU; state is zero at the start of every sample",
    ),
    both("TANH", ""),
    both("TILE", "constant multiples"),
    float("TOPK_V2", "constant k"),
    both("TRANSPOSE", "constant permutation"),
    both("TRANSPOSE_CONV", "constant weights"),
    both(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        "four gates, TANH, cell clip; int8 with int16 cell",
    ),
    float(
        "UNIDIRECTIONAL_SEQUENCE_RNN",
        "state is zero at the start of every sample",
    ),
    both("UNPACK", ""),
    folded("ZEROS_LIKE", ""),
];
