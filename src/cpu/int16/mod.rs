//! int16 activations: the definition, and the only kernels.

mod conv;
mod rows;

use super::operands::Operands;
use super::{batch_matmul, binary, pool, reduce, resize};
use crate::kernel::{BinaryI16, Int16, MatmulI16};
use crate::num::DType;

/// Runs all samples; `y` is the output's bytes.
pub fn run(k: &Int16, x: Operands<'_>, y: &mut [u8]) {
    let first = i16s(x, 0);
    match k {
        Int16::Conv(k) => conv::conv(k, first, i16s_mut(y)),
        Int16::Matmul(k) => matmul(k, x, i16s_mut(y)),
        Int16::Binary(k) => two(k, x, y),
        Int16::Pool(k) => pool::integers(k, first, i16s_mut(y)),
        Int16::Reduce(k) => reduce::extreme(k, first, i16s_mut(y)),
        Int16::Mean(k) => reduce::mean(k, (-32768, 32767), first, i16s_mut(y)),
        Int16::Bilinear(k) => resize::integers(k, first, i16s_mut(y)),
        Int16::Softmax(k) => rows::softmax(k, first, i16s_mut(y)),
    }
}

/// The i-th input.
fn i16s(x: Operands<'_>, i: usize) -> &[i16] {
    bytemuck::cast_slice(x.bytes(i))
}

/// The i-th input as int16 if it is int8.
fn widened(x: Operands<'_>, i: usize) -> Option<Vec<i16>> {
    (x.dtype(i) == DType::I8).then(|| x.i8s(i).iter().map(|&q| q.into()).collect())
}

fn i16s_mut(y: &mut [u8]) -> &mut [i16] {
    bytemuck::cast_slice_mut(y)
}

fn two(k: &BinaryI16, x: Operands<'_>, y: &mut [u8]) {
    let (a, wide) = (i16s(x, 0), widened(x, 1));
    let b = wide.as_deref().unwrap_or_else(|| i16s(x, 1));
    if k.op.is_comparison() {
        return binary::each(&k.shape, x, a, b, y, |a, b| k.apply(a, b) as u8);
    }
    binary::each(&k.shape, x, a, b, i16s_mut(y), |a, b| k.apply(a, b) as i16);
}

fn matmul(k: &MatmulI16, x: Operands<'_>, y: &mut [i16]) {
    let (a, wide) = (i16s(x, 0), widened(x, 1));
    let b = wide.as_deref().unwrap_or_else(|| i16s(x, 1));
    let size = k.shape.rows as usize * k.shape.columns as usize;
    batch_matmul::matrices(&k.shape, x, (a, b), x.samples, |i, a, b| {
        let columns = k.shape.columns as usize;
        for (at, y) in y[i * size..][..size].iter_mut().enumerate() {
            let products = a.row(at / columns).into_iter().zip(b.column(at % columns));
            let products = products.map(|(&a, &b)| i64::from(i32::from(a) * i32::from(b)));
            let scaled = k.multiplier.apply_wide(products.sum());
            *y = scaled.clamp(-32768, 32767) as i16;
        }
    });
}
