//! int16 activations: the definition, and the only kernels.

mod conv;

use super::operands::Operands;
use crate::kernel::Int16;

/// Runs all samples; `y` is the output's bytes.
pub fn run(k: &Int16, x: Operands<'_>, y: &mut [u8]) {
    match k {
        Int16::Conv(k) => conv::conv(k, i16s(x, 0), bytemuck::cast_slice_mut(y)),
    }
}

/// The i-th input.
fn i16s(x: Operands<'_>, i: usize) -> &[i16] {
    bytemuck::cast_slice(x.bytes(i))
}
