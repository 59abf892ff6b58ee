//! Float CONV_2D and DEPTHWISE_CONV_2D. Input NHWC, output NHWC, samples outermost.

use super::gemm::{matrix, matrix_mut, multiply};
use crate::kernel::{ConvF32, ConvShape};
use ndarray::{ArrayView2, ArrayViewMut2, s};

/// Rows of the input matrix gathered at once: a tile that stays in the second-level cache.
pub(super) const TILE: usize = 128;

/// What a row of the input matrix is filled from: each valid tap's channels, or the value of padding.
struct Window<'a, T> {
    shape: &'a ConvShape,
    input: &'a [T],
    padding: f32,
}

impl<T: Copy + Into<f32>> Window<'_, T> {
    /// Gathers the taps of output pixels `from..to` of one sample for one group, `[pixels, k_h · k_w · group_in]`.
    fn gather(&self, from: usize, to: usize, group: usize, rows: &mut Vec<f32>) {
        let s = self.shape;
        let (out_w, out_h) = (s.out_w as usize, s.out_h as usize);
        let channels = s.group_in as usize;
        rows.clear();
        for pixel in from..to {
            let (x, y, b) = (
                pixel % out_w,
                pixel / out_w % out_h,
                pixel / (out_w * out_h),
            );
            for ky in 0..s.k_h {
                let in_y = tap(y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
                for kx in 0..s.k_w {
                    let in_x = tap(x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                    match (in_y, in_x) {
                        (Some(in_y), Some(in_x)) => {
                            let at = ((b * s.in_h as usize + in_y) * s.in_w as usize + in_x)
                                * s.in_c as usize
                                + group * channels;
                            rows.extend(self.input[at..at + channels].iter().map(|&v| v.into()));
                        }
                        _ => rows.resize(rows.len() + channels, self.padding),
                    }
                }
            }
        }
    }
}

/// Input position of a tap, `None` in the padding.
pub(super) fn tap(
    out: usize,
    stride: u32,
    k: u32,
    dilation: u32,
    pad: u32,
    size: u32,
) -> Option<usize> {
    let at = (out * stride as usize + k as usize * dilation as usize).checked_sub(pad as usize)?;
    (at < size as usize).then_some(at)
}

/// Whether the input itself is the matrix: 1×1, stride 1, one group.
pub(super) fn is_pointwise(s: &ConvShape) -> bool {
    s.k_h == 1 && s.k_w == 1 && s.stride_h == 1 && s.stride_w == 1 && s.group_in == s.in_c
}

fn groups(s: &ConvShape) -> usize {
    (s.in_c / s.group_in) as usize
}

pub(super) fn input_len(s: &ConvShape) -> usize {
    s.batch as usize * s.in_h as usize * s.in_w as usize * s.in_c as usize
}

pub(super) fn output_len(s: &ConvShape) -> usize {
    s.pixels() * s.out_c as usize
}

/// Float CONV_2D.
pub fn f32(k: &ConvF32, x: &[f32], y: &mut [f32]) {
    let s = &k.shape;
    let (depth, out_c, per_group) = (s.depth(), s.out_c as usize, s.group_out as usize);
    let weights = matrix(&k.weights, out_c, depth);
    let mut rows = Vec::new();
    for row in y.chunks_exact_mut(out_c) {
        row.copy_from_slice(&k.bias);
    }
    for (x, y) in x
        .chunks_exact(input_len(s))
        .zip(y.chunks_exact_mut(output_len(s)))
    {
        for (tile, y) in y.chunks_mut(TILE * out_c).enumerate() {
            let (from, pixels) = (tile * TILE, y.len() / out_c);
            let mut y: ArrayViewMut2<'_, f32> = matrix_mut(y, pixels, out_c);
            for group in 0..groups(s) {
                let a: ArrayView2<'_, f32> = if is_pointwise(s) {
                    matrix(&x[from * depth..][..pixels * depth], pixels, depth)
                } else {
                    Window {
                        shape: s,
                        input: x,
                        padding: 0.0,
                    }
                    .gather(from, from + pixels, group, &mut rows);
                    matrix(&rows, pixels, depth)
                };
                let channels = group * per_group..(group + 1) * per_group;
                let w = weights.slice(s![channels.clone(), ..]);
                multiply(a, w, &mut y.slice_mut(s![.., channels]), true);
            }
        }
    }
    clamp(y, k.bounds);
}

/// Applies the bounds of a fused activation.
pub fn clamp(y: &mut [f32], (low, high): (f32, f32)) {
    if low == f32::NEG_INFINITY && high == f32::INFINITY {
        return;
    }
    // Comparisons written so that NaN passes through and is noticed.
    for v in y {
        *v = if *v < low { low } else { *v };
        *v = if *v > high { high } else { *v };
    }
}

/// For each output pixel, adds every valid tap's product to a row of accumulators.
fn depthwise<T, A: Copy>(
    s: &ConvShape,
    x: &[T],
    weights: &[T],
    start: &[A],
    mut multiply: impl FnMut(&mut [A], &[T], &[T]),
    mut done: impl FnMut(usize, &[A]),
) {
    let (in_c, out_c) = (s.in_c as usize, s.out_c as usize);
    let mut acc = start.to_vec();
    for pixel in 0..s.pixels() {
        let (out_x, rest) = (pixel % s.out_w as usize, pixel / s.out_w as usize);
        let (out_y, b) = (rest % s.out_h as usize, rest / s.out_h as usize);
        acc.copy_from_slice(start);
        for ky in 0..s.k_h {
            let Some(in_y) = tap(out_y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else {
                continue;
            };
            for kx in 0..s.k_w {
                let Some(in_x) = tap(out_x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w)
                else {
                    continue;
                };
                let pixel = (b * s.in_h as usize + in_y) * s.in_w as usize + in_x;
                let w = (ky * s.k_w + kx) as usize * out_c;
                multiply(&mut acc, &x[pixel * in_c..][..in_c], &weights[w..][..out_c]);
            }
        }
        done(pixel, &acc);
    }
}

/// Float DEPTHWISE_CONV_2D.
pub fn depthwise_f32(k: &ConvF32, x: &[f32], y: &mut [f32]) {
    let s = &k.shape;
    let (out_c, multiplier) = (s.out_c as usize, s.group_out as usize);
    for (x, y) in x
        .chunks_exact(input_len(s))
        .zip(y.chunks_exact_mut(output_len(s)))
    {
        let accumulate = |acc: &mut [f32], x: &[f32], w: &[f32]| {
            if multiplier == 1 {
                acc.iter_mut()
                    .zip(x)
                    .zip(w)
                    .for_each(|((a, &x), &w)| *a += x * w);
            } else {
                acc.iter_mut()
                    .zip(w)
                    .enumerate()
                    .for_each(|(i, (a, &w))| *a += x[i / multiplier] * w);
            }
        };
        depthwise(s, x, &k.weights, &k.bias, accumulate, |pixel, acc| {
            y[pixel * out_c..][..out_c].copy_from_slice(acc);
        });
    }
    clamp(y, k.bounds);
}
