//! int16 activations: an invocation owns words of two elements.

mod conv;

use super::launch::{Launch, Op};
use super::shader::{Source, embed};
use crate::kernel::Int16;

pub(super) const SHADERS: &[Source] = &[embed!("int16/conv_2d")];

/// The launches of a kernel of int16.
pub(super) fn launches(op: Op<'_>, k: &Int16) -> Option<Vec<Launch>> {
    Some(match k {
        Int16::Conv(k) => conv::conv(op, k),
    })
}
