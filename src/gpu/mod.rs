//! Runs kernels on a GPU through wgpu: Vulkan, Metal or DX12. The only room that names wgpu.
//!
//! A session turns every [`Step`](crate::kernel::Step) into a few launches once (one file an operator family, one shader
//! an operator and type), then records all of them into one compute pass for each run: nothing is read back between
//! operators, and ranges are reduced on the device. int8 shaders use integers only, or matrix units whose floats hold
//! every sum, and give the bits of the CPU.

mod adapter;
mod add;
mod buffers;
mod clock;
mod conv;
mod copy;
mod device;
mod fully_connected;
mod launch;
mod loaded;
mod lstm;
mod matrix;
mod mean;
mod paths;
mod plan;
mod product;
mod quantize;
mod ranges;
mod roofline;
mod session;
mod shader;
mod softmax;
mod strided_slice;
#[cfg(test)]
mod tests;
mod upload;

pub use adapter::{AdapterKind, AdapterSummary, adapters};
pub use device::Gpu;
pub use paths::{FloatPath, Int8Path, Options};

use crate::kernel::Kernel;
use launch::{Launch, Op};

/// What a step asks the GPU to do.
fn launches(op: Op<'_>) -> Vec<Launch> {
    match &op.step.kernel {
        Kernel::ConvF32(k) => conv::f32(op, k),
        Kernel::ConvI8(k) => conv::i8(op, k),
        Kernel::DepthwiseF32(k) => conv::depthwise_f32(op, k),
        Kernel::DepthwiseI8(k) => conv::depthwise_i8(op, k),
        Kernel::FullyConnectedF32(k) => fully_connected::f32(op, k),
        Kernel::FullyConnectedI8(k) => fully_connected::i8(op, k),
        Kernel::LstmF32(k) => lstm::f32(op, k),
        Kernel::LstmI8(k) => lstm::i8(op, k),
        Kernel::AddF32(k) => add::f32(op, k),
        Kernel::AddI8(k) => add::i8(op, k),
        Kernel::MeanF32(k) => mean::f32(op, k),
        Kernel::MeanI8(k) => mean::i8(op, k),
        Kernel::Copy => copy::copy(op),
        Kernel::Gather(k) => strided_slice::gather(op, k),
        Kernel::SoftmaxF32(k) => softmax::f32(op, k),
        Kernel::SoftmaxI8(k) => softmax::i8(op, k),
        Kernel::Quantize(k) => quantize::quantize(op, k),
        Kernel::Requantize(k) => quantize::requantize(op, k),
        Kernel::Dequantize(k) => quantize::dequantize(op, k),
    }
}
