//! Functions of two elements, with broadcasting.

use super::operands::Operands;
use crate::graph::Binary;
use crate::kernel::{BinaryF32, BinaryInt, BinaryTable, Broadcast};

/// Calls `f` for every pair of elements of all samples.
pub fn each<A: Copy, R>(
    shape: &Broadcast<2>,
    x: Operands<'_>,
    a: &[A],
    b: &[A],
    y: &mut [R],
    f: impl Fn(A, A) -> R + Copy,
) {
    let n = y.len() / x.samples;
    let row = *shape.dims.last().unwrap_or(&1) as usize;
    for (s, y) in y.chunks_exact_mut(n).enumerate() {
        let one = |i: usize, all| sample(x, i, all, s);
        let (a, b) = (one(0, a), one(1, b));
        shape.rows(|first, [at_a, at_b]| {
            let y = &mut y[first..first + row];
            match shape.steps() {
                [1, 1] => pairs(y, &a[at_a..][..row], &b[at_b..][..row], f),
                [1, 0] => {
                    let b = b[at_b];
                    one_by_one(y, &a[at_a..][..row], |a| f(a, b));
                }
                [0, 1] => {
                    let a = a[at_a];
                    one_by_one(y, &b[at_b..][..row], |b| f(a, b));
                }
                [step_a, step_b] => {
                    for (i, y) in y.iter_mut().enumerate() {
                        *y = f(a[at_a + i * step_a], b[at_b + i * step_b]);
                    }
                }
            }
        });
    }
}

fn sample<'a, T>(x: Operands<'_>, i: usize, all: &'a [T], sample: usize) -> &'a [T] {
    if x.constant(i) {
        return all;
    }
    let n = all.len() / x.samples;
    &all[sample * n..][..n]
}

#[inline(always)]
fn pairs<A: Copy, R>(y: &mut [R], a: &[A], b: &[A], f: impl Fn(A, A) -> R) {
    y.iter_mut()
        .zip(a)
        .zip(b)
        .for_each(|((y, &a), &b)| *y = f(a, b));
}

#[inline(always)]
fn one_by_one<A: Copy, R>(y: &mut [R], a: &[A], f: impl Fn(A) -> R) {
    y.iter_mut().zip(a).for_each(|(y, &a)| *y = f(a));
}

/// Whether it is a sum, difference or product of operands of one shape.
pub fn is_plain(k: &BinaryF32) -> bool {
    k.shape.same_shape && matches!(k.op, Binary::Add | Binary::Sub | Binary::Mul)
}

/// Such a function of floats that lie side by side.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn plain(k: &BinaryF32, a: &[f32], b: &[f32], y: &mut [f32]) {
    match k.op {
        Binary::Add => pairs(y, a, b, |a, b| a + b),
        Binary::Sub => pairs(y, a, b, |a, b| a - b),
        _ => pairs(y, a, b, |a, b| a * b),
    }
    super::conv::clamp(y, k.bounds);
}

/// Floats.
pub fn f32(k: &BinaryF32, x: Operands<'_>, y: &mut [f32]) {
    let (a, b, s) = (x.f32s(0), x.f32s(1), &k.shape);
    if is_plain(k) && !x.constant(0) && !x.constant(1) {
        return plain(k, a, b, y);
    }
    match k.op {
        Binary::Add => each(s, x, a, b, y, |a, b| a + b),
        Binary::Sub => each(s, x, a, b, y, |a, b| a - b),
        Binary::Mul => each(s, x, a, b, y, |a, b| a * b),
        Binary::Div => each(s, x, a, b, y, |a, b| a / b),
        Binary::Pow => each(s, x, a, b, y, f32::powf),
        Binary::FloorDiv => each(s, x, a, b, y, |a, b| (a / b).floor()),
        Binary::FloorMod => each(s, x, a, b, y, floor_mod),
        Binary::Maximum => each(s, x, a, b, y, |a, b| if a > b { a } else { b }),
        Binary::Minimum => each(s, x, a, b, y, |a, b| if a < b { a } else { b }),
        Binary::SquaredDifference => each(s, x, a, b, y, |a, b| (a - b) * (a - b)),
        Binary::Prelu => each(s, x, a, b, y, |a, b| if a >= 0.0 { a } else { a * b }),
        _ => unreachable!("kernel::prepare gives comparisons bool outputs"),
    }
    super::conv::clamp(y, k.bounds);
}

/// The remainder with the sign of the divisor.
fn floor_mod(a: f32, b: f32) -> f32 {
    let r = a % b;
    if r != 0.0 && (b < 0.0) != (r < 0.0) {
        r + b
    } else {
        r
    }
}

/// Comparisons of floats.
pub fn compare_f32(k: &BinaryF32, x: Operands<'_>, y: &mut [u8]) {
    let (a, b) = (x.f32s(0), x.f32s(1));
    each(&k.shape, x, a, b, y, |a, b| u8::from(k.op.holds(a, b)));
}

/// Integers of one type.
pub trait Integer: Copy + PartialOrd + Into<i64> + bytemuck::Pod {
    /// The low bits.
    fn wrap(x: i128) -> Self;
}

impl Integer for i32 {
    fn wrap(x: i128) -> i32 {
        x as i32
    }
}

impl Integer for i64 {
    fn wrap(x: i128) -> i64 {
        x as i64
    }
}

/// Integers; a division by zero gives 0.
pub fn int<T: Integer>(k: &BinaryInt, x: Operands<'_>, y: &mut [T]) {
    let (a, b) = (
        bytemuck::cast_slice::<u8, T>(x.bytes(0)),
        bytemuck::cast_slice::<u8, T>(x.bytes(1)),
    );
    let f = |a: T, b: T| {
        let (a, b): (i64, i64) = (a.into(), b.into());
        let (a, b) = (i128::from(a), i128::from(b));
        let result = match k.op {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div if b != 0 => a / b,
            // a − r is a multiple of b whose quotient is rounded down.
            Binary::FloorDiv if b != 0 => (a - floor_mod_int(a, b)) / b,
            Binary::FloorMod if b != 0 => floor_mod_int(a, b),
            Binary::Pow => {
                let exponent = u32::try_from(b).unwrap_or(0);
                if b < 0 {
                    0
                } else {
                    a.checked_pow(exponent.min(126)).unwrap_or(0)
                }
            }
            Binary::Maximum => a.max(b),
            Binary::Minimum => a.min(b),
            Binary::SquaredDifference => (a - b).wrapping_mul(a - b),
            _ => 0,
        };
        let (low, high) = (i128::from(k.bounds.0), i128::from(k.bounds.1));
        T::wrap(result.max(low).min(high))
    };
    each(&k.shape(), x, a, b, y, f);
}

/// The remainder with the sign of the divisor, which is not 0.
fn floor_mod_int(a: i128, b: i128) -> i128 {
    let r = a % b;
    if r != 0 && (r < 0) != (b < 0) {
        r + b
    } else {
        r
    }
}

/// Comparisons of integers.
pub fn compare_int<T: Integer>(k: &BinaryInt, x: Operands<'_>, y: &mut [u8]) {
    let (a, b) = (
        bytemuck::cast_slice::<u8, T>(x.bytes(0)),
        bytemuck::cast_slice::<u8, T>(x.bytes(1)),
    );
    each(&k.shape(), x, a, b, y, |a, b| u8::from(k.op.holds(a, b)));
}

/// Bytes.
pub fn table(k: &BinaryTable, x: Operands<'_>, y: &mut [u8]) {
    let (a, b) = (x.bytes(0), x.bytes(1));
    each(&k.shape, x, a, b, y, |a, b| {
        k.table[usize::from(a) << 8 | usize::from(b)]
    });
}
