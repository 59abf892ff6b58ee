//! Operators that are several kernels, with tensors between them that the file does not have.

use super::conv::Conv;
use super::hybrid::{self, is_hybrid};
use super::transpose_conv::{self, TRANSPOSE_BIAS, TRANSPOSE_CONV};
use super::{Context, Kernel};
use crate::graph::{Error, Op, Quantization, Tensor, lstm_inputs};
use crate::num::DType;

/// A kernel of a node.
pub(super) struct Stage {
    pub kernel: Kernel,
    /// What it reads of the tensors between the node's kernels, in the order they are written; none means the node's own
    /// inputs.
    pub reads: Vec<usize>,
    /// Tensors between kernels that it writes; none means the node's own outputs.
    pub writes: Vec<Between>,
}

/// A tensor that the file does not have.
pub(super) struct Between {
    pub name: String,
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub quantization: Option<Quantization>,
}

impl Between {
    /// As a tensor of the program.
    pub fn tensor(self) -> Tensor {
        Tensor {
            name: self.name,
            shape: self.shape,
            dtype: self.dtype,
            quantization: self.quantization,
            constant: None,
            variable: false,
        }
    }
}

impl Context<'_> {
    /// The kernels of output `place`, in order.
    pub fn stages(self, place: usize) -> Result<Vec<Stage>, Error> {
        match &self.node.op {
            Op::TransposeConv(w) => transpose_conv::stages(self, w, &TRANSPOSE_CONV),
            Op::Convolution2dTransposeBias(w) => transpose_conv::stages(self, w, &TRANSPOSE_BIAS),
            Op::Conv2d(w) if is_hybrid(self, 0, 1) => hybrid::conv(self, w, Conv::Full),
            Op::DepthwiseConv2d(w) if is_hybrid(self, 0, 1) => {
                hybrid::conv(self, w, Conv::Depthwise)
            }
            Op::FullyConnected {
                activation,
                asymmetric,
            } if is_hybrid(self, 0, 1) => hybrid::dense(self, *activation, *asymmetric),
            Op::UnidirectionalSequenceLstm(a)
                if is_hybrid(self, 0, lstm_inputs::INPUT_WEIGHTS[1]) =>
            {
                hybrid::lstm(self, a)
            }
            _ => Ok(vec![Stage {
                kernel: self.kernel(place)?,
                reads: Vec::new(),
                writes: Vec::new(),
            }]),
        }
    }
}
