//! int8 CONV_2D and DEPTHWISE_CONV_2D, and the geometry that float shares. Input NHWC, output NHWC, samples outermost.

use super::gemm::ExactWeights;
use crate::kernel::{ConvI8, ConvShape, fold_zero_point};

/// Rows of the input matrix gathered at once: a tile that stays in the second-level cache.
const TILE: usize = 128;

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
pub fn tap(out: usize, stride: u32, k: u32, dilation: u32, pad: u32, size: u32) -> Option<usize> {
    let at = (out * stride as usize + k as usize * dilation as usize).checked_sub(pad as usize)?;
    (at < size as usize).then_some(at)
}

/// Whether the input itself is the matrix: 1×1, stride 1, one group.
pub fn is_pointwise(s: &ConvShape) -> bool {
    s.k_h == 1 && s.k_w == 1 && s.stride_h == 1 && s.stride_w == 1 && s.group_in == s.in_c
}

/// Groups of channels.
pub fn groups(s: &ConvShape) -> usize {
    (s.in_c / s.group_in) as usize
}

/// Elements of one sample's input.
pub fn input_len(s: &ConvShape) -> usize {
    s.batch as usize * s.in_h as usize * s.in_w as usize * s.in_c as usize
}

/// Elements of one sample's output.
pub fn output_len(s: &ConvShape) -> usize {
    s.pixels() * s.out_c as usize
}

/// Applies the bounds of a fused activation.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
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

/// int8 CONV_2D on float units, exactly.
#[derive(Debug)]
pub struct FastConvI8 {
    groups: Vec<ExactWeights>,
    bias: Vec<i32>,
}

impl FastConvI8 {
    /// Converts the weights once.
    pub fn new(k: &ConvI8) -> Self {
        let s = &k.shape;
        let (depth, per_group) = (s.depth(), s.group_out as usize);
        Self {
            groups: k
                .weights
                .chunks_exact(per_group * depth)
                .map(|w| ExactWeights::new(w, per_group))
                .collect(),
            bias: fold_zero_point(&k.weights, depth, &k.bias, k.input_zero_point),
        }
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &ConvI8, x: &[i8], y: &mut [i8]) {
        let s = &k.shape;
        let (out_c, per_group) = (s.out_c as usize, s.group_out as usize);
        let (mut rows, mut acc, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for (x, y) in x
            .chunks_exact(input_len(s))
            .zip(y.chunks_exact_mut(output_len(s)))
        {
            for (tile, y) in y.chunks_mut(TILE * out_c).enumerate() {
                let (from, pixels) = (tile * TILE, y.len() / out_c);
                for (group, weights) in self.groups.iter().enumerate() {
                    // Padding is the real value 0, which is the zero point: it cancels against the folded bias.
                    let window = Window {
                        shape: s,
                        input: x,
                        padding: k.input_zero_point as f32,
                    };
                    window.gather(from, from + pixels, group, &mut rows);
                    weights.multiply(&rows, pixels, &mut acc, &mut scratch);
                    let first = group * per_group;
                    for (y, acc) in y.chunks_exact_mut(out_c).zip(acc.chunks_exact(per_group)) {
                        for (j, (y, &acc)) in
                            y[first..first + per_group].iter_mut().zip(acc).enumerate()
                        {
                            *y = finish(k, first + j, acc.wrapping_add(self.bias[first + j]));
                        }
                    }
                }
            }
        }
    }
}

/// Accumulator to output.
fn finish(k: &ConvI8, channel: usize, acc: i32) -> i8 {
    let scaled = k.multipliers[channel]
        .apply(acc)
        .saturating_add(k.output_zero_point);
    scaled.clamp(k.bounds.0, k.bounds.1) as i8
}

/// The definition of int8 CONV_2D and DEPTHWISE_CONV_2D; `weight` finds a filter's element.
fn plain(k: &ConvI8, x: &[i8], y: &mut [i8], weight: impl Fn(usize, u32, u32, usize) -> i8) {
    let s = &k.shape;
    let out_c = s.out_c as usize;
    for (x, y) in x
        .chunks_exact(input_len(s))
        .zip(y.chunks_exact_mut(output_len(s)))
    {
        for (at, y) in y.iter_mut().enumerate() {
            let (channel, pixel) = (at % out_c, at / out_c);
            let (out_x, rest) = (pixel % s.out_w as usize, pixel / s.out_w as usize);
            let (out_y, b) = (rest % s.out_h as usize, rest / s.out_h as usize);
            let first = channel / s.group_out as usize * s.group_in as usize;
            let mut acc = k.bias[channel];
            for ky in 0..s.k_h {
                for kx in 0..s.k_w {
                    let in_y = tap(out_y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
                    let in_x = tap(out_x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                    let (Some(in_y), Some(in_x)) = (in_y, in_x) else {
                        continue;
                    };
                    let pixel = (b * s.in_h as usize + in_y) * s.in_w as usize + in_x;
                    for c in 0..s.group_in as usize {
                        let value =
                            i32::from(x[pixel * s.in_c as usize + first + c]) - k.input_zero_point;
                        acc = acc.wrapping_add(value * i32::from(weight(channel, ky, kx, c)));
                    }
                }
            }
            *y = finish(k, channel, acc);
        }
    }
}

/// The definition of int8 CONV_2D.
pub fn i8(k: &ConvI8, x: &[i8], y: &mut [i8]) {
    let s = k.shape;
    plain(k, x, y, |channel, ky, kx, c| {
        k.weights[((channel * s.k_h as usize + ky as usize) * s.k_w as usize + kx as usize)
            * s.group_in as usize
            + c]
    });
}

/// The definition of int8 DEPTHWISE_CONV_2D.
pub fn depthwise_i8(k: &ConvI8, x: &[i8], y: &mut [i8]) {
    let s = k.shape;
    plain(k, x, y, |channel, ky, kx, _| {
        k.weights[(ky as usize * s.k_w as usize + kx as usize) * s.out_c as usize + channel]
    });
}

/// For each output pixel, adds every valid tap's product to a row of accumulators.
pub fn depthwise<T, A: Copy>(
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

/// Fast int8 DEPTHWISE_CONV_2D: the same sums, a pixel's channels side by side.
pub fn depthwise_i8_fast(k: &ConvI8, x: &[i8], y: &mut [i8]) {
    let s = &k.shape;
    let (out_c, multiplier) = (s.out_c as usize, s.group_out as usize);
    for (x, y) in x
        .chunks_exact(input_len(s))
        .zip(y.chunks_exact_mut(output_len(s)))
    {
        let value = |x: i8, w: i8| (i32::from(x) - k.input_zero_point) * i32::from(w);
        let accumulate = |acc: &mut [i32], x: &[i8], w: &[i8]| {
            if multiplier == 1 {
                acc.iter_mut()
                    .zip(x)
                    .zip(w)
                    .for_each(|((a, &x), &w)| *a = a.wrapping_add(value(x, w)));
            } else {
                let each = acc.iter_mut().zip(w).enumerate();
                each.for_each(|(i, (a, &w))| *a = a.wrapping_add(value(x[i / multiplier], w)));
            }
        };
        depthwise(s, x, &k.weights, &k.bias, accumulate, |pixel, acc| {
            let row = &mut y[pixel * out_c..][..out_c];
            row.iter_mut()
                .zip(acc)
                .enumerate()
                .for_each(|(c, (y, &acc))| *y = finish(k, c, acc));
        });
    }
}
