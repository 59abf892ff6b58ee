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
    let (a, b) = (x.f32s(0), x.f32s(1));
    if is_plain(k) && !x.constant(0) && !x.constant(1) {
        return plain(k, a, b, y);
    }
    match repeated(&k.shape) {
        Some(few) => {
            let n = y.len() / x.samples;
            for (s, y) in y.chunks_exact_mut(n).enumerate() {
                let operands = [x.sample(0, a, s), x.sample(1, b, s)];
                rows(k, operands[1 - few], operands[few], few, y);
            }
        }
        None => any(k, x, y),
    }
}

/// The operand that is repeated over the whole of the other one: a number, or one for each channel.
pub fn repeated(shape: &Broadcast<2>) -> Option<usize> {
    let (dims, last) = (&shape.dims, shape.dims.len() - 1);
    let is_few = |few: usize| shape.strides[few][..last].iter().all(|&s| s == 0);
    let mut inside = 1;
    let mut is_whole = [true; 2];
    for d in (0..=last).rev().filter(|&d| dims[d] != 1) {
        for (is_whole, strides) in is_whole.iter_mut().zip(&shape.strides) {
            *is_whole &= strides[d] == inside;
        }
        inside *= dims[d];
    }
    (0..2).find(|&few| is_few(few) && is_whole[1 - few])
}

/// Such a function of floats: `few`, which is operand `place`, over and over again.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn rows(k: &BinaryF32, many: &[f32], few: &[f32], place: usize, y: &mut [f32]) {
    // The common ones apart: vectors need a loop without a choice in it.
    match (k.op, place) {
        (Binary::Add, _) => over(many, few, y, |a, b| a + b),
        (Binary::Mul, _) => over(many, few, y, |a, b| a * b),
        (Binary::Sub, 0) => over(many, few, y, |b, a| a - b),
        (Binary::Sub, _) => over(many, few, y, |a, b| a - b),
        (Binary::Div, 0) => over(many, few, y, |b, a| a / b),
        (Binary::Div, _) => over(many, few, y, |a, b| a / b),
        (Binary::Prelu, 1) => over(many, few, y, |a, b| if a >= 0.0 { a } else { a * b }),
        (_, 0) => over(many, few, y, |b, a| apply(k.op, a, b)),
        (_, _) => over(many, few, y, |a, b| apply(k.op, a, b)),
    }
    super::conv::clamp(y, k.bounds);
}

#[inline(always)]
fn over(many: &[f32], few: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32 + Copy) {
    /// Floats that are worth a loop.
    const LONG: usize = 256;
    if let [one] = *few {
        return one_by_one(y, many, |x| f(x, one));
    }
    if few.len() == many.len() {
        return pairs(y, many, few, f);
    }
    let tile = few.repeat(LONG.div_ceil(few.len()).min(many.len() / few.len()));
    for (y, many) in y.chunks_mut(tile.len()).zip(many.chunks(tile.len())) {
        pairs(y, many, &tile[..many.len()], f);
    }
}

/// Any shapes.
fn any(k: &BinaryF32, x: Operands<'_>, y: &mut [f32]) {
    let (a, b, s) = (x.f32s(0), x.f32s(1), &k.shape);
    match k.op {
        Binary::Add => each(s, x, a, b, y, |a, b| a + b),
        Binary::Sub => each(s, x, a, b, y, |a, b| a - b),
        Binary::Mul => each(s, x, a, b, y, |a, b| a * b),
        Binary::Div => each(s, x, a, b, y, |a, b| a / b),
        _ => each(s, x, a, b, y, |a, b| apply(k.op, a, b)),
    }
    super::conv::clamp(y, k.bounds);
}

/// The function of two floats.
#[inline(always)]
fn apply(op: Binary, a: f32, b: f32) -> f32 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Pow => a.powf(b),
        Binary::FloorDiv => (a / b).floor(),
        Binary::FloorMod => floor_mod(a, b),
        Binary::Maximum => {
            if a > b {
                a
            } else {
                b
            }
        }
        Binary::Minimum => {
            if a < b {
                a
            } else {
                b
            }
        }
        Binary::SquaredDifference => (a - b) * (a - b),
        Binary::Prelu => {
            if a >= 0.0 {
                a
            } else {
                a * b
            }
        }
        _ => unreachable!("kernel::prepare gives comparisons bool outputs"),
    }
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
