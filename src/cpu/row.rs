//! CUMSUM, TOPK_V2 and ONE_HOT.

use super::binary::Integer;
use super::operands::Operands;
use crate::kernel::{Cumsum, OneHot, TopK};
use crate::num::Values;

/// Calls `f` with where each line starts, in all samples, and how far apart its elements are.
fn lines(k: &crate::kernel::Lines, elements: usize, mut f: impl FnMut(usize, usize)) {
    let (size, inner) = (k.size as usize, k.inner as usize);
    for outer in 0..elements / (size * inner) {
        for i in 0..inner {
            f(outer * size * inner + i, inner);
        }
    }
}

/// Adds along a line as asked for.
fn sums<T: Copy>(k: &Cumsum, x: &[T], y: &mut [T], zero: T, add: impl Fn(T, T) -> T) {
    let size = k.lines.size as usize;
    lines(&k.lines, y.len(), |first, step| {
        let mut sum = zero;
        for i in 0..size {
            let at = first + step * if k.reverse { size - 1 - i } else { i };
            let with = add(sum, x[at]);
            y[at] = if k.exclusive { sum } else { with };
            sum = with;
        }
    });
}

/// Floats.
pub fn cumsum_f32(k: &Cumsum, x: &[f32], y: &mut [f32]) {
    sums(k, x, y, 0.0, |a, b| a + b);
}

/// Integers, wrapping.
pub fn cumsum_int<T: Integer>(k: &Cumsum, x: &[T], y: &mut [T]) {
    let add = |a: T, b: T| {
        let (a, b): (i64, i64) = (a.into(), b.into());
        T::wrap(i128::from(a) + i128::from(b))
    };
    sums(k, x, y, T::wrap(0), add);
}

/// The largest floats, or where they are.
pub fn top_k(k: &TopK, x: &[f32]) -> Values {
    let (size, most) = (k.lines.size as usize, k.k as usize);
    let mut order: Vec<usize> = Vec::new();
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for x in x.chunks_exact(size) {
        order.clear();
        order.extend(0..size);
        order.sort_by(|&a, &b| x[b].total_cmp(&x[a]));
        for &at in &order[..most] {
            values.push(x[at]);
            places.push(at as i32);
        }
    }
    match k.indices {
        true => Values::I32(places),
        false => Values::F32(values),
    }
}

/// A line for each index.
pub fn one_hot(k: &OneHot, x: Operands<'_>, y: &mut [f32]) {
    let (size, inner) = (k.lines.size as usize, k.lines.inner as usize);
    lines(&k.lines, y.len(), |first, step| {
        let index = x.index(0, first / (size * inner) * inner + first % inner);
        for i in 0..size {
            y[first + i * step] = if i as i64 == index { k.on } else { k.off };
        }
    });
}
