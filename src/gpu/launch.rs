//! What an operator asks the GPU to do: a list of [`Launch`]es, made once a session, free of any wgpu type.
//!
//! # Memory layout
//! A tensor is `[samples][elements]`. Floats take a word each. 8-bit elements lie four in a word, 16-bit elements two
//! in a word, little-endian, and **every sample starts at a word boundary** ([`words`] is the stride between samples).
//! An invocation that writes 8-bit elements owns whole words. Constant operands are a single sample: their stride
//! between samples is 0, which the operator passes in its parameters.
//!
//! # Bindings
//! Group 0. Binding 0 is always `var<uniform> run: Run` (see `shaders/shared/run.wgsl`), the bindings of the launch
//! follow from 1 in order. Parameters are a constant binding of `u32`/`i32`/`f32` words that the shader declares as a
//! struct.
//!
//! # Grid
//! A launch asks for a number of workgroups; the recorder folds it into two dimensions, and the shader rebuilds the
//! linear index with `linear_workgroup` of `shared/run.wgsl`.

use crate::graph::TensorId;
use crate::num::DType;

/// One dispatch.
pub(super) struct Launch {
    /// Path below `shaders/` without the extension, like `int8/conv_2d`.
    pub shader: &'static str,
    /// Values of the shader's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Bindings 1, 2, ….
    pub bindings: Vec<Binding>,
    /// Number of workgroups for a number of samples.
    pub workgroups: Box<dyn Fn(usize) -> usize + Send + Sync>,
}

/// What is bound.
pub(super) enum Binding {
    /// A tensor, read.
    Read(TensorId),
    /// A tensor, written (and perhaps read).
    Write(TensorId),
    /// Constant bytes (parameters, weights, tables); uploaded once. Must be a multiple of 4 bytes long.
    Constant(Vec<u8>),
    /// Room between the launches of one operator, read and written, of so many bytes a sample.
    Scratch {
        /// Which one, from 0 in each operator.
        slot: usize,
        /// Size for one sample, a multiple of 4.
        bytes_per_sample: usize,
    },
}

/// Words that `elements` of a type take: the stride between samples.
pub(super) fn words(elements: usize, dtype: DType) -> usize {
    (elements * dtype.size()).div_ceil(4)
}
