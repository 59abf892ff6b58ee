//! Runs kernels on a GPU through wgpu: Vulkan, Metal or DX12. The only room that names wgpu.
//!
//! A session turns every [`Step`](crate::kernel::Step) into a few launches once (one file an operator family, one shader
//! an operator and type), then records all of them into one compute pass for each run: nothing is read back between
//! operators, and ranges are reduced on the device. int8 shaders use integers only, or matrix units whose floats hold
//! every sum, and give the bits of the CPU.

mod adapter;
mod batch_matmul;
mod binary;
mod buffers;
mod cast;
mod clock;
mod conv;
mod copy;
mod device;
mod distance;
mod fully_connected;
mod fused;
mod hybrid;
mod int16;
mod launch;
mod loaded;
mod lstm;
mod matrix;
mod norm;
mod paths;
mod place;
mod plan;
mod pool;
mod product;
mod quantize;
mod ranges;
mod recurrent;
mod reduce;
mod resize;
mod rfft;
mod roofline;
mod row;
mod select;
mod session;
mod shader;
mod softmax;
mod take;
#[cfg(test)]
mod tests;
mod tiles;
mod tuning;
mod unary;
mod upload;

pub use adapter::{AdapterKind, AdapterSummary, adapters};
pub use device::Gpu;
pub use paths::{FloatPath, Int8Path, Options};
pub use tuning::Tuning;

use crate::kernel::Kernel;
use launch::{Launch, Op};

/// What a step asks the GPU to do; `None` if it has no shader for that.
fn launches(op: Op<'_>) -> Option<Vec<Launch>> {
    Some(match &op.step.kernel {
        Kernel::ConvF32(k) => conv::f32(op, k),
        Kernel::ConvI8(k) => conv::i8(op, k),
        Kernel::DepthwiseF32(k) => conv::depthwise_f32(op, k),
        Kernel::DepthwiseI8(k) => conv::depthwise_i8(op, k),
        Kernel::FullyConnectedF32(k) => fully_connected::f32(op, k),
        Kernel::FullyConnectedI8(k) => fully_connected::i8(op, k),
        Kernel::Int16(k) => int16::launches(op, k)?,
        Kernel::LstmF32(k) => lstm::f32(op, k),
        Kernel::LstmI8(k) => lstm::i8(op, k),
        Kernel::BinaryF32(k) => binary::f32(op, k),
        Kernel::BinaryInt(k) => binary::int(op, k)?,
        Kernel::BinaryTable(k) => binary::table(op, k),
        Kernel::AddI8(k) => binary::add_i8(op, k),
        Kernel::ReduceF32(k) => reduce::f32(op, k),
        Kernel::ReduceI8(k) => reduce::i8(op, k),
        Kernel::ReduceInt(k) => reduce::int(op, k)?,
        Kernel::MeanI8(k) => reduce::mean_i8(op, k),
        Kernel::Arg(k) => reduce::arg(op, k),
        Kernel::Copy => copy::copy(op),
        Kernel::Place(k) => place::place(op, k),
        Kernel::SoftmaxF32(k) => softmax::f32(op, k),
        Kernel::SoftmaxI8(k) => softmax::i8(op, k),
        Kernel::Table(k) => quantize::table(op, k),
        Kernel::Table16(k) => quantize::table_16(op, k),
        Kernel::Quantize(k) => quantize::quantize(op, k),
        Kernel::RowQuantize(k) => hybrid::row_quantize(op, k),
        Kernel::RowScale(k) => hybrid::row_scale(op, k),
        Kernel::Dequantize(k) => quantize::dequantize(op, k),
        Kernel::MatmulF32(k) => batch_matmul::f32(op, k)?,
        Kernel::MatmulI8(k) => batch_matmul::i8(op, k)?,
        Kernel::RnnF32(k) => recurrent::rnn(op, k)?,
        Kernel::SvdfF32(k) => recurrent::svdf(op, k)?,
        Kernel::SvdfI8(k) => recurrent::svdf_i8(op, k)?,
        Kernel::UnaryF32(k) => unary::f32(op, *k),
        Kernel::Select(k) => select::select(op, k),
        Kernel::PoolF32(k) => pool::f32(op, k),
        Kernel::PoolI8(k) => pool::i8(op, k),
        Kernel::Nearest(k) => resize::nearest(op, k),
        Kernel::BilinearF32(k) => resize::f32(op, k),
        Kernel::BilinearI8(k) => resize::i8(op, k),
        Kernel::Take(k) => take::take(op, k),
        Kernel::LogSoftmaxF32(k) => softmax::log_f32(op, k),
        Kernel::LogSoftmaxI8(k) => norm::log_softmax_i8(op, k),
        Kernel::L2NormF32(k) => softmax::l2_f32(op, k),
        Kernel::L2NormI8(k) => norm::l2_i8(op, k),
        Kernel::Cumsum(k) => row::cumsum(op, k)?,
        Kernel::TopK(k) => row::top_k(op, k)?,
        Kernel::OneHot(k) => row::one_hot(op, k),
        Kernel::Distance(k) => distance::distance(op, k)?,
        Kernel::Cast => cast::cast(op)?,
        Kernel::Rfft(k) => rfft::rfft(op, k)?,
        Kernel::Complex(part) => rfft::part(op, *part),
    })
}
