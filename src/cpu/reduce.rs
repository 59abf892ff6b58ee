//! Operators that bring axes down to one value.

use super::binary::Integer;
use super::operands::Operands;
use super::pool::Small;
use crate::graph::Reduce;
use crate::kernel::{Arg, Axes, MeanI8, ReduceOf};
use crate::num::{DType, Values};

/// Offset of element `i` of a nest of (size, stride) dimensions, outermost first.
fn offset(mut i: u32, dims: &[[u32; 2]]) -> usize {
    let mut at = 0;
    for &[size, stride] in dims.iter().rev() {
        at += (i % size) as usize * stride as usize;
        i /= size;
    }
    at
}

/// Calls `done` with what `add` makes of each output's elements in one sample.
fn fold<T: Copy, A: Copy>(
    k: &Axes,
    x: &[T],
    zero: A,
    add: impl Fn(A, T) -> A,
    mut done: impl FnMut(usize, A),
) {
    let [a, b, c, d] = k
        .reduced
        .map(|[size, stride]| (size as usize, stride as usize));
    for output in 0..k.outputs {
        let base = offset(output, &k.kept);
        let mut sum = zero;
        for i in 0..a.0 * b.0 {
            let row = base + i / b.0 * a.1 + i % b.0 * b.1;
            for j in 0..c.0 {
                let row = row + j * c.1;
                sum = (0..d.0).fold(sum, |sum, l| add(sum, x[row + l * d.1]));
            }
        }
        done(output as usize, sum);
    }
}

/// Samples of input and output side by side.
fn samples<'a, T, R>(
    k: &Axes,
    x: &'a [T],
    y: &'a mut [R],
) -> impl Iterator<Item = (&'a [T], &'a mut [R])> {
    let (inputs, outputs) = (k.outputs as usize * k.count as usize, k.outputs as usize);
    x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs))
}

/// Float; sums and products in double, so that the order does not matter.
pub fn f32(k: &ReduceOf, x: &[f32], y: &mut [f32]) {
    let shape = &k.shape;
    for (x, y) in samples(shape, x, y) {
        match k.op {
            Reduce::Mean => {
                let mean = |sum: f64| (sum / f64::from(shape.count)) as f32;
                fold(
                    shape,
                    x,
                    0.0,
                    |s: f64, x| s + f64::from(x),
                    |i, s| y[i] = mean(s),
                );
            }
            Reduce::Sum => fold(
                shape,
                x,
                0.0,
                |s: f64, x| s + f64::from(x),
                |i, s| y[i] = s as f32,
            ),
            Reduce::Prod => fold(
                shape,
                x,
                1.0,
                |s: f64, x| s * f64::from(x),
                |i, s| y[i] = s as f32,
            ),
            // A comparison with NaN keeps what was there, as in LiteRT.
            Reduce::Max => {
                let larger = |s: f32, x: f32| if x > s { x } else { s };
                fold(shape, x, f32::MIN, larger, |i, s| y[i] = s);
            }
            _ => {
                let smaller = |s: f32, x: f32| if x < s { x } else { s };
                fold(shape, x, f32::MAX, smaller, |i, s| y[i] = s);
            }
        }
    }
}

/// int8 maximum and minimum.
pub fn i8(k: &ReduceOf, x: &[i8], y: &mut [i8]) {
    extreme(k, x, y);
}

/// Maximum and minimum of int8 or int16.
#[inline(always)]
pub fn extreme<T: Small>(k: &ReduceOf, x: &[T], y: &mut [T]) {
    for (x, y) in samples(&k.shape, x, y) {
        match k.op {
            Reduce::Max => fold(&k.shape, x, T::MIN, T::max, |i, s| y[i] = s),
            _ => fold(&k.shape, x, T::MAX, T::min, |i, s| y[i] = s),
        }
    }
}

/// int32 and int64, wrapping; a mean is cut toward zero.
pub fn int<T: Integer>(k: &ReduceOf, x: &[T], y: &mut [T]) {
    for (x, y) in samples(&k.shape, x, y) {
        let add = |s: i64, x: T| {
            let x: i64 = x.into();
            match k.op {
                Reduce::Mean | Reduce::Sum => s.wrapping_add(x),
                Reduce::Prod => s.wrapping_mul(x),
                Reduce::Max => s.max(x),
                _ => s.min(x),
            }
        };
        let start = match k.op {
            Reduce::Mean | Reduce::Sum => 0,
            Reduce::Prod => 1,
            Reduce::Max => i64::MIN,
            _ => i64::MAX,
        };
        let divisor = if k.op == Reduce::Mean {
            i64::from(k.shape.count)
        } else {
            1
        };
        fold(&k.shape, x, start, add, |i, s| {
            y[i] = T::wrap(i128::from(s / divisor));
        });
    }
}

/// Whether any, or all, are true.
pub fn bool(k: &ReduceOf, x: &[u8], y: &mut [u8]) {
    for (x, y) in samples(&k.shape, x, y) {
        match k.op {
            Reduce::Any => fold(&k.shape, x, 0, |s, x| s | x, |i, s| y[i] = s),
            _ => fold(&k.shape, x, 1, |s, x| s & x, |i, s| y[i] = s),
        }
    }
}

/// The definition of MEAN of int8.
pub fn mean_i8(k: &MeanI8, x: &[i8], y: &mut [i8]) {
    mean(k, (-128, 127), x, y);
}

/// MEAN of int8 or int16, within the limits of the type.
#[inline(always)]
pub fn mean<T: Small>(k: &MeanI8, (low, high): (i32, i32), x: &[T], y: &mut [T]) {
    let offset = k.input_zero_point.wrapping_mul(k.shape.count as i32);
    for (x, y) in samples(&k.shape, x, y) {
        fold(
            &k.shape,
            x,
            0i32,
            |sum, x: T| sum.wrapping_add(x.into()),
            |i, sum| {
                if let Some((factor, zero)) = k.float {
                    let q = (sum as f32 * factor + zero).round_ties_even() as i32;
                    y[i] = T::cut(q.max(low).min(high));
                    return;
                }
                let q = k
                    .multiplier
                    .apply(sum.wrapping_sub(offset))
                    .saturating_add(k.output_zero_point);
                y[i] = T::cut(q.clamp(low, high));
            },
        );
    }
}

/// ARG_MAX and ARG_MIN; the first of equals.
pub fn arg(k: &Arg, x: Operands<'_>, output: DType) -> Values {
    let found = match x.dtype(0) {
        DType::F32 => first_best(k, x.f32s(0)),
        DType::I8 => first_best(k, x.i8s(0)),
        DType::I32 => first_best(k, bytemuck::cast_slice::<u8, i32>(x.bytes(0))),
        _ => first_best(k, x.bytes(0)),
    };
    match output {
        DType::I64 => Values::I64(found.into_iter().map(i64::from).collect()),
        _ => Values::I32(found),
    }
}

fn first_best<T: Copy + PartialOrd>(k: &Arg, x: &[T]) -> Vec<i32> {
    let s = &k.shape;
    let inputs = s.outputs as usize * s.count as usize;
    let [.., [size, stride]] = s.reduced;
    x.chunks_exact(inputs)
        .flat_map(|x| {
            (0..s.outputs).map(move |output| {
                let base = offset(output, &s.kept);
                let at = |i: u32| x[base + (i * stride) as usize];
                (1..size).fold(0, |best, i| {
                    let better = if k.largest {
                        at(i) > at(best)
                    } else {
                        at(i) < at(best)
                    };
                    if better { i } else { best }
                }) as i32
            })
        })
        .collect()
}
