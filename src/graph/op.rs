//! THE list of operators: every other room matches on [`Op`] exhaustively, so the compiler finds what a new one needs.

/// An operator and its attributes, as the file gives them.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// 2-D convolution: input NHWC, filter OHWI; grouped where the filter has fewer input channels.
    Conv2d(Window),
    /// Depthwise convolution: input NHWC, filter `[1, H, W, O]`.
    DepthwiseConv2d(Window),
    /// Transposed convolution: output shape, filter OHWI, input NHWC, bias.
    TransposeConv(Window),
    /// MediaPipe's custom operator `Convolution2DTransposeBias`: input NHWC, filter OHWI, bias.
    Convolution2dTransposeBias(Window),
    /// Matrix product with weights `[units, depth]`.
    FullyConnected {
        /// Fused activation.
        activation: Activation,
        /// How float rows are quantized for int8 weights: with a zero point, or without.
        asymmetric: bool,
    },
    /// Matrix products of two activations, batch by batch.
    BatchMatmul {
        /// Whether the first operand is transposed.
        adj_x: bool,
        /// Whether the second operand is transposed.
        adj_y: bool,
    },
    /// A whole LSTM layer.
    UnidirectionalSequenceLstm(Lstm),
    /// A whole layer of a simple recurrent network.
    UnidirectionalSequenceRnn {
        /// Activation of the state.
        activation: RnnActivation,
        /// Whether the input is `[time, batch, input]` instead of `[batch, time, input]`.
        time_major: bool,
    },
    /// Singular value decomposition filter: a rank of time filters over projected features.
    Svdf {
        /// Filters that make one unit.
        rank: usize,
        /// Fused activation.
        activation: Activation,
    },
    /// A function of each element.
    Unary(Unary),
    /// A function of each pair of elements, with broadcasting.
    Binary(Binary, Activation),
    /// Takes elements of the second or third operand, as the first says.
    Select {
        /// Whether operands are broadcast (SELECT_V2).
        broadcast: bool,
    },
    /// Brings constant axes down to one value.
    Reduce(Reduce),
    /// Index of the largest or smallest element along an axis.
    Arg {
        /// Largest, or smallest.
        largest: bool,
    },
    /// A window that slides over height and width.
    Pool(Pool, PoolWindow),
    /// Softmax over the last dimension.
    Softmax {
        /// Factor on the logits.
        beta: f32,
    },
    /// Logarithm of softmax over the last dimension.
    LogSoftmax,
    /// Divides vectors along the last dimension by their length.
    L2Normalization,
    /// Moves elements without changing them.
    Move(Move),
    /// Images in another size.
    Resize {
        /// Between neighbours, or the nearest.
        bilinear: bool,
        /// Whether the centres of the corners keep their places.
        align_corners: bool,
        /// Whether pixels lie at half coordinates.
        half_pixel_centers: bool,
    },
    /// Slices of the first input along an axis, by indices.
    Gather {
        /// The axis; negative from the end.
        axis: i32,
        /// Dimensions that both inputs share.
        batch_dims: i32,
    },
    /// Slices of the first input, by tuples of indices.
    GatherNd,
    /// Rows of a table, by indices (which are the first input).
    EmbeddingLookup,
    /// Another element type.
    Cast,
    /// Running sums along an axis.
    Cumsum {
        /// Whether an element is left out of its own sum.
        exclusive: bool,
        /// Whether sums run from the end.
        reverse: bool,
    },
    /// The largest elements along the last dimension, and where they are.
    TopK,
    /// Vectors with one value that differs.
    OneHot {
        /// Where the new dimension goes; -1 is the end.
        axis: i32,
    },
    /// Real Fourier transform over the last two dimensions.
    Rfft2d,
    /// A real number of each complex one.
    Complex(Part),
    /// Computes a shape or fills one: known when the model is read.
    Static(Static),
    /// Float to integer, or integer to other integer parameters.
    Quantize,
    /// Integer to float.
    Dequantize,
    /// No operator of a file: how far the first input is from the second, as sums by channel and counts. See
    /// `kernel::distance`.
    Distance,
    /// One that zeropoint does not compute, by its name: it stays as it is, at the end of the model.
    Opaque(String),
}

/// Functions of one element.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names of the operators say it")]
pub enum Unary {
    Abs,
    Ceil,
    Cos,
    Elu,
    Exp,
    Floor,
    /// x · Φ(x)
    Gelu {
        /// By tanh instead of erf.
        approximate: bool,
    },
    HardSwish,
    /// x, or alpha · x below 0
    LeakyRelu {
        /// Slope below 0.
        alpha: f32,
    },
    Log,
    LogicalNot,
    /// 1 / (1 + e^−x)
    Logistic,
    Neg,
    Relu,
    Relu0To1,
    Relu6,
    ReluN1To1,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sqrt,
    Square,
    Tanh,
}

/// Functions of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the operators say it")]
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    FloorDiv,
    FloorMod,
    Maximum,
    Minimum,
    SquaredDifference,
    /// x, or alpha · x below 0, alpha being the second operand
    Prelu,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    LogicalAnd,
    LogicalOr,
}

/// What is made of the elements of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the operators say it")]
pub enum Reduce {
    Mean,
    Sum,
    Max,
    Min,
    Prod,
    Any,
    All,
}

/// What is made of the elements of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The mean.
    Average,
    /// The largest.
    Max,
    /// The square root of the mean square.
    L2,
}

/// Operators that only move elements, and shape arguments that are attributes.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names of the operators say it")]
pub enum Move {
    BatchToSpaceNd,
    BroadcastTo,
    /// Along an axis; negative from the end.
    Concatenation(i32),
    /// By a block size.
    DepthToSpace(i32),
    ExpandDims,
    /// Whether the border itself is left out (REFLECT).
    MirrorPad {
        reflect: bool,
    },
    /// Along a new axis.
    Pack(i32),
    Pad,
    PadV2,
    Reshape,
    ReverseV2,
    Slice,
    SpaceToBatchNd,
    /// By a block size.
    SpaceToDepth(i32),
    Split,
    SplitV,
    /// These dimensions; all of size 1 if there are none.
    Squeeze(Vec<i32>),
    StridedSlice(StridedSlice),
    Tile,
    Transpose,
    /// Along an axis that vanishes.
    Unpack(i32),
}

/// What is taken of a complex number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Part {
    Real,
    Imaginary,
    Magnitude,
}

/// Operators whose result depends on shapes and constants alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the operators say it")]
pub enum Static {
    Shape,
    Rank,
    Range,
    Fill,
    ZerosLike,
    Densify,
}

/// Activation of a simple recurrent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum RnnActivation {
    None,
    Relu,
    ReluN1To1,
    Relu6,
    Tanh,
}

/// Window of a pool; pairs are (height, width).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolWindow {
    /// Size.
    pub size: [usize; 2],
    /// How it moves; its dilation is 1.
    pub window: Window,
}

/// Sliding window of a convolution; pairs are (height, width).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// How the border is treated.
    pub padding: Padding,
    /// Stride.
    pub stride: [usize; 2],
    /// Dilation.
    pub dilation: [usize; 2],
    /// Fused activation.
    pub activation: Activation,
}

/// Attributes of UNIDIRECTIONAL_SEQUENCE_LSTM.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lstm {
    /// Bound on the magnitude of the cell state; 0 is no bound.
    pub cell_clip: f32,
    /// Whether the input is `[time, batch, input]` instead of `[batch, time, input]`.
    pub time_major: bool,
    /// How a layer with float activations and int8 weights quantizes its input and state: with zero points, or without.
    pub asymmetric: bool,
}

/// Masks of STRIDED_SLICE, a bit for each entry of begin/end/strides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StridedSlice {
    /// Ignore begin: start at the border.
    pub begin_mask: u32,
    /// Ignore end: go to the border.
    pub end_mask: u32,
    /// Stands for as many full dimensions as are missing.
    pub ellipsis_mask: u32,
    /// Inserts a dimension of 1.
    pub new_axis_mask: u32,
    /// Takes one index and drops the dimension.
    pub shrink_axis_mask: u32,
    /// `end` counts from `begin`.
    pub offset: bool,
}

/// Padding of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Output size is input size over stride, rounded up.
    Same,
    /// Only windows that fit.
    Valid,
}

/// An activation fused into an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    None,
    /// max(0, x)
    Relu,
    /// clamp to [−1, 1]
    ReluN1To1,
    /// clamp to [0, 6]
    Relu6,
}

impl Activation {
    /// Bounds of the real-valued result; infinite where there is none.
    pub fn bounds(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::ReluN1To1 => (-1.0, 1.0),
            Activation::Relu6 => (0.0, 6.0),
        }
    }
}

impl Op {
    /// Whether it stays as it is and is not computed.
    pub fn is_opaque(&self) -> bool {
        matches!(self, Op::Opaque(_))
    }

    /// The name in the TFLite schema.
    pub fn name(&self) -> &str {
        match self {
            Op::Conv2d(_) => "CONV_2D",
            Op::DepthwiseConv2d(_) => "DEPTHWISE_CONV_2D",
            Op::TransposeConv(_) => "TRANSPOSE_CONV",
            Op::Convolution2dTransposeBias(_) => "Convolution2DTransposeBias",
            Op::FullyConnected { .. } => "FULLY_CONNECTED",
            Op::BatchMatmul { .. } => "BATCH_MATMUL",
            Op::UnidirectionalSequenceLstm(_) => "UNIDIRECTIONAL_SEQUENCE_LSTM",
            Op::UnidirectionalSequenceRnn { .. } => "UNIDIRECTIONAL_SEQUENCE_RNN",
            Op::Svdf { .. } => "SVDF",
            Op::Unary(unary) => unary.name(),
            Op::Binary(binary, _) => binary.name(),
            Op::Select { broadcast: false } => "SELECT",
            Op::Select { broadcast: true } => "SELECT_V2",
            Op::Reduce(reduce) => reduce.name(),
            Op::Arg { largest: true } => "ARG_MAX",
            Op::Arg { largest: false } => "ARG_MIN",
            Op::Pool(Pool::Average, _) => "AVERAGE_POOL_2D",
            Op::Pool(Pool::Max, _) => "MAX_POOL_2D",
            Op::Pool(Pool::L2, _) => "L2_POOL_2D",
            Op::Softmax { .. } => "SOFTMAX",
            Op::LogSoftmax => "LOG_SOFTMAX",
            Op::L2Normalization => "L2_NORMALIZATION",
            Op::Move(motion) => motion.name(),
            Op::Resize { bilinear: true, .. } => "RESIZE_BILINEAR",
            Op::Resize {
                bilinear: false, ..
            } => "RESIZE_NEAREST_NEIGHBOR",
            Op::Gather { .. } => "GATHER",
            Op::GatherNd => "GATHER_ND",
            Op::EmbeddingLookup => "EMBEDDING_LOOKUP",
            Op::Cast => "CAST",
            Op::Cumsum { .. } => "CUMSUM",
            Op::TopK => "TOPK_V2",
            Op::OneHot { .. } => "ONE_HOT",
            Op::Rfft2d => "RFFT2D",
            Op::Complex(Part::Real) => "REAL",
            Op::Complex(Part::Imaginary) => "IMAG",
            Op::Complex(Part::Magnitude) => "COMPLEX_ABS",
            Op::Static(fixed) => fixed.name(),
            Op::Quantize => "QUANTIZE",
            Op::Dequantize => "DEQUANTIZE",
            Op::Distance => "(distance)",
            Op::Opaque(name) => name,
        }
    }
}

impl Op {
    /// Places of the inputs that are states.
    pub fn states(&self) -> &'static [usize] {
        match self {
            Op::UnidirectionalSequenceLstm(_) => {
                &[lstm_inputs::OUTPUT_STATE, lstm_inputs::CELL_STATE]
            }
            Op::UnidirectionalSequenceRnn { .. } | Op::Svdf { .. } => &[4],
            _ => &[],
        }
    }
}

/// Gives each variant its name in the TFLite schema.
macro_rules! names {
    ($type:ident: $($pattern:pat => $name:literal,)*) => {
        impl $type {
            /// The name in the TFLite schema.
            pub fn name(&self) -> &'static str {
                #[allow(clippy::enum_glob_use, reason = "the variants of one type")]
                use $type::*;
                match self {
                    $($pattern => $name,)*
                }
            }
        }
    };
}

names! { Unary:
    Abs => "ABS", Ceil => "CEIL", Cos => "COS", Elu => "ELU", Exp => "EXP", Floor => "FLOOR",
    Gelu { .. } => "GELU", HardSwish => "HARD_SWISH", LeakyRelu { .. } => "LEAKY_RELU", Log => "LOG",
    LogicalNot => "LOGICAL_NOT", Logistic => "LOGISTIC", Neg => "NEG", Relu => "RELU",
    Relu0To1 => "RELU_0_TO_1", Relu6 => "RELU6", ReluN1To1 => "RELU_N1_TO_1", Round => "ROUND",
    Rsqrt => "RSQRT", Sign => "SIGN", Sin => "SIN", Sqrt => "SQRT", Square => "SQUARE", Tanh => "TANH",
}
names! { Binary:
    Add => "ADD", Sub => "SUB", Mul => "MUL", Div => "DIV", Pow => "POW", FloorDiv => "FLOOR_DIV",
    FloorMod => "FLOOR_MOD", Maximum => "MAXIMUM", Minimum => "MINIMUM",
    SquaredDifference => "SQUARED_DIFFERENCE", Prelu => "PRELU", Equal => "EQUAL",
    NotEqual => "NOT_EQUAL", Less => "LESS", LessEqual => "LESS_EQUAL", Greater => "GREATER",
    GreaterEqual => "GREATER_EQUAL", LogicalAnd => "LOGICAL_AND", LogicalOr => "LOGICAL_OR",
}
names! { Reduce:
    Mean => "MEAN", Sum => "SUM", Max => "REDUCE_MAX", Min => "REDUCE_MIN", Prod => "REDUCE_PROD",
    Any => "REDUCE_ANY", All => "REDUCE_ALL",
}
names! { Move:
    BatchToSpaceNd => "BATCH_TO_SPACE_ND", BroadcastTo => "BROADCAST_TO",
    Concatenation(_) => "CONCATENATION", DepthToSpace(_) => "DEPTH_TO_SPACE",
    ExpandDims => "EXPAND_DIMS", MirrorPad { .. } => "MIRROR_PAD", Pack(_) => "PACK", Pad => "PAD",
    PadV2 => "PADV2", Reshape => "RESHAPE", ReverseV2 => "REVERSE_V2", Slice => "SLICE",
    SpaceToBatchNd => "SPACE_TO_BATCH_ND", SpaceToDepth(_) => "SPACE_TO_DEPTH", Split => "SPLIT",
    SplitV => "SPLIT_V", Squeeze(_) => "SQUEEZE", StridedSlice(_) => "STRIDED_SLICE", Tile => "TILE",
    Transpose => "TRANSPOSE", Unpack(_) => "UNPACK",
}
names! { Static:
    Shape => "SHAPE", Rank => "RANK", Range => "RANGE", Fill => "FILL", ZerosLike => "ZEROS_LIKE",
    Densify => "DENSIFY",
}

impl Binary {
    /// Whether the result says yes or no.
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Binary::Equal
                | Binary::NotEqual
                | Binary::Less
                | Binary::LessEqual
                | Binary::Greater
                | Binary::GreaterEqual
        )
    }
}

impl Move {
    /// How many of the first inputs are moved; those behind them say where to. `None`: all inputs are.
    pub fn moved(&self) -> Option<usize> {
        match self {
            Move::Concatenation(_) | Move::Pack(_) => None,
            _ => Some(1),
        }
    }

    /// Which input is the first that is moved.
    pub fn first(&self) -> usize {
        usize::from(matches!(self, Move::Split))
    }
}

/// Input numbers of UNIDIRECTIONAL_SEQUENCE_LSTM.
pub mod lstm_inputs {
    /// Input-to-gate weights: input, forget, cell, output.
    pub const INPUT_WEIGHTS: [usize; 4] = [1, 2, 3, 4];
    /// Recurrent weights.
    pub const RECURRENT_WEIGHTS: [usize; 4] = [5, 6, 7, 8];
    /// Gate biases.
    pub const BIAS: [usize; 4] = [12, 13, 14, 15];
    /// Output state.
    pub const OUTPUT_STATE: usize = 18;
    /// Cell state.
    pub const CELL_STATE: usize = 19;
    /// Peephole, projection and layer-normalisation inputs.
    pub const UNSUPPORTED: [(usize, &str); 9] = [
        (9, "peephole connections"),
        (10, "peephole connections"),
        (11, "peephole connections"),
        (16, "a projection"),
        (17, "a projection"),
        (20, "layer normalisation"),
        (21, "layer normalisation"),
        (22, "layer normalisation"),
        (23, "layer normalisation"),
    ];
}
