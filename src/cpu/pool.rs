//! Pools. Input and output NHWC.

use crate::graph::Pool;
use crate::kernel::{PoolF32, PoolI8, PoolShape};

/// An integer of 8 or 16 bits.
pub trait Small: Copy + Ord + Into<i32> {
    /// The lowest.
    const MIN: Self;
    /// The highest.
    const MAX: Self;
    /// The low bits.
    fn cut(x: i32) -> Self;
}

impl Small for i8 {
    const MIN: i8 = i8::MIN;
    const MAX: i8 = i8::MAX;
    fn cut(x: i32) -> i8 {
        x as i8
    }
}

impl Small for i16 {
    const MIN: i16 = i16::MIN;
    const MAX: i16 = i16::MAX;
    fn cut(x: i32) -> i16 {
        x as i16
    }
}

/// For each output pixel, calls `tap` with every input pixel's channels, then `done` with how many there were.
fn windows<T, A: Copy>(
    s: &PoolShape,
    x: &[T],
    start: A,
    tap: impl Fn(&mut A, &T),
    mut done: impl FnMut(usize, usize, &[A]),
) {
    let channels = s.channels as usize;
    let mut acc = vec![start; channels];
    let pixels = (s.batch * s.out_h * s.out_w) as usize;
    for pixel in 0..pixels {
        let (out_x, rest) = (pixel % s.out_w as usize, pixel / s.out_w as usize);
        let (out_y, b) = (rest % s.out_h as usize, rest / s.out_h as usize);
        acc.fill(start);
        let (rows, columns) = (s.rows(out_y), s.columns(out_x));
        for y in rows.clone() {
            for column in columns.clone() {
                let at = (b * s.in_h as usize + y) * s.in_w as usize + column;
                let x = &x[at * channels..][..channels];
                acc.iter_mut().zip(x).for_each(|(a, x)| tap(a, x));
            }
        }
        done(pixel, rows.len() * columns.len(), &acc);
    }
}

fn sizes(s: &PoolShape) -> (usize, usize) {
    let pixels = (s.batch * s.in_h * s.in_w) as usize;
    let out = (s.batch * s.out_h * s.out_w) as usize;
    (pixels * s.channels as usize, out * s.channels as usize)
}

/// Floats.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
pub fn f32(k: &PoolF32, x: &[f32], y: &mut [f32]) {
    let (inputs, outputs) = sizes(&k.shape);
    let channels = k.shape.channels as usize;
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
        let pixel = |y: &mut [f32], i: usize, acc: &[f32], f: &dyn Fn(f32) -> f32| {
            let y = &mut y[i * channels..][..channels];
            y.iter_mut().zip(acc).for_each(|(y, &a)| *y = f(a));
        };
        match k.kind {
            Pool::Max => {
                let larger = |a: &mut f32, x: &f32| *a = if *x > *a { *x } else { *a };
                windows(&k.shape, x, f32::MIN, larger, |i, _, acc| {
                    y[i * channels..][..channels].copy_from_slice(acc);
                });
            }
            Pool::Average => {
                windows(
                    &k.shape,
                    x,
                    0.0,
                    |a: &mut f32, x: &f32| *a += x,
                    |i, n, acc| {
                        pixel(y, i, acc, &|a| a / n as f32);
                    },
                );
            }
            Pool::L2 => {
                windows(
                    &k.shape,
                    x,
                    0.0,
                    |a: &mut f32, x: &f32| *a += x * x,
                    |i, n, acc| {
                        pixel(y, i, acc, &|a| (a / n as f32).sqrt());
                    },
                );
            }
        }
    }
    super::conv::clamp(y, k.bounds);
}

/// int8; an average is rounded half away from zero.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub fn i8(k: &PoolI8, x: &[i8], y: &mut [i8]) {
    integers(k, x, y);
}

/// int8 or int16.
#[inline(always)]
pub fn integers<T: Small>(k: &PoolI8, x: &[T], y: &mut [T]) {
    let (inputs, outputs) = sizes(&k.shape);
    let channels = k.shape.channels as usize;
    let (low, high) = k.bounds;
    for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact_mut(outputs)) {
        if k.kind == Pool::Max {
            windows(
                &k.shape,
                x,
                T::MIN,
                |a: &mut T, x: &T| *a = (*a).max(*x),
                |i, _, acc| {
                    let y = &mut y[i * channels..][..channels];
                    for (y, &a) in y.iter_mut().zip(acc) {
                        *y = T::cut(a.into().max(low).min(high));
                    }
                },
            );
            continue;
        }
        windows(
            &k.shape,
            x,
            0i32,
            |a: &mut i32, x: &T| *a = a.wrapping_add((*x).into()),
            |i, n, acc| {
                let (n, half) = (n as i32, n as i32 / 2);
                let y = &mut y[i * channels..][..channels];
                for (y, &a) in y.iter_mut().zip(acc) {
                    let mean = if a > 0 {
                        a.wrapping_add(half) / n
                    } else {
                        a.wrapping_sub(half) / n
                    };
                    *y = T::cut(mean.max(low).min(high));
                }
            },
        );
    }
}
