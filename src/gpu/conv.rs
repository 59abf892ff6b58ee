//! (under construction)
use super::launch::{Launch, Op};
use super::shader::Source;
use crate::kernel;

pub(super) const SHADERS: &[Source] = &[];

pub(super) fn f32(_: Op<'_>, _: &kernel::ConvF32) -> Vec<Launch> {
    Vec::new()
}
pub(super) fn i8(_: Op<'_>, _: &kernel::ConvI8) -> Vec<Launch> {
    Vec::new()
}
pub(super) fn depthwise_f32(_: Op<'_>, _: &kernel::ConvF32) -> Vec<Launch> {
    Vec::new()
}
pub(super) fn depthwise_i8(_: Op<'_>, _: &kernel::ConvI8) -> Vec<Launch> {
    Vec::new()
}
