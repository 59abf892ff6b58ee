//! The geometry that CONV_2D and DEPTHWISE_CONV_2D share. Input NHWC, output NHWC, samples outermost.

use crate::kernel::ConvShape;

/// Some rows of an image.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The rows, without gaps.
    pub data: &'a [f32],
    /// The number in the image of the first one.
    pub first: usize,
}

/// Input position of a tap, `None` in the padding.
pub fn tap(out: usize, stride: u32, k: u32, dilation: u32, pad: u32, size: u32) -> Option<usize> {
    let at = (out * stride as usize + k as usize * dilation as usize).checked_sub(pad as usize)?;
    (at < size as usize).then_some(at)
}

/// Input positions from the first tap of the first output to the last tap of the last, both included.
pub fn reach(outputs: usize, stride: u32, k: u32, dilation: u32) -> usize {
    outputs.saturating_sub(1) * stride as usize + (k as usize - 1) * dilation as usize + 1
}

/// Whether the input itself is the matrix: 1×1, stride 1, one group.
pub fn is_pointwise(s: &ConvShape) -> bool {
    // The output is larger where a transposed convolution leaves a border.
    s.k_h == 1
        && s.k_w == 1
        && (s.out_h, s.out_w) == (s.in_h, s.in_w)
        && s.stride_h == 1
        && s.stride_w == 1
        && s.group_in == s.in_c
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
