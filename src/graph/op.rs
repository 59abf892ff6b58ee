//! THE list of operators: every other room matches on [`Op`] exhaustively, so the compiler finds what a new one needs.

/// An operator and its attributes, as the file gives them.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// 2-D convolution: input NHWC, filter OHWI; grouped where the filter has fewer input channels.
    Conv2d(Window),
    /// Depthwise convolution: input NHWC, filter `[1, H, W, O]`.
    DepthwiseConv2d(Window),
    /// Matrix product with weights `[units, depth]`.
    FullyConnected {
        /// Fused activation.
        activation: Activation,
    },
    /// A whole LSTM layer.
    UnidirectionalSequenceLstm(Lstm),
    /// Elementwise sum with broadcasting.
    Add {
        /// Fused activation.
        activation: Activation,
    },
    /// Arithmetic mean over constant axes.
    Mean,
    /// The same elements in another shape.
    Reshape,
    /// Every n-th element of a box.
    StridedSlice(StridedSlice),
    /// Softmax over the last dimension.
    Softmax {
        /// Factor on the logits.
        beta: f32,
    },
    /// Float to integer, or integer to other integer parameters.
    Quantize,
    /// Integer to float.
    Dequantize,
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
    /// The name in the TFLite schema.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv2d(_) => "CONV_2D",
            Op::DepthwiseConv2d(_) => "DEPTHWISE_CONV_2D",
            Op::FullyConnected { .. } => "FULLY_CONNECTED",
            Op::UnidirectionalSequenceLstm(_) => "UNIDIRECTIONAL_SEQUENCE_LSTM",
            Op::Add { .. } => "ADD",
            Op::Mean => "MEAN",
            Op::Reshape => "RESHAPE",
            Op::StridedSlice(_) => "STRIDED_SLICE",
            Op::Softmax { .. } => "SOFTMAX",
            Op::Quantize => "QUANTIZE",
            Op::Dequantize => "DEQUANTIZE",
        }
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
