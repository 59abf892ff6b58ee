//! Products of int16 with int8 weights. Input and output NHWC, samples outermost.

use crate::cpu::conv::{groups, input_len, output_len, tap};
use crate::kernel::{Conv, ConvI16};

/// Products that are summed in 32 bits: each is at most 2²², so that 2⁸ of them fit.
const SHORT: usize = 1 << 8;

/// A position of the window that lies in the image: the first element of the input there, and its number.
type Tap = (usize, usize);

/// All samples in `x`.
pub fn conv(k: &ConvI16, x: &[i16], y: &mut [i16]) {
    let s = &k.shape;
    let out_c = s.out_c as usize;
    let samples = x
        .chunks_exact(input_len(s))
        .zip(y.chunks_exact_mut(output_len(s)));
    let (mut taps, mut row, mut sums) = (Vec::new(), Vec::new(), vec![0; out_c]);
    for (x, y) in samples {
        for (pixel, y) in y.chunks_exact_mut(out_c).enumerate() {
            find_taps(k, pixel, &mut taps);
            match k.kind {
                Conv::Full => full(k, x, &taps, &mut row, &mut sums),
                Conv::Depthwise => depthwise(k, x, &taps, &mut sums),
            }
            for (channel, (y, &sum)) in y.iter_mut().zip(&sums).enumerate() {
                *y = k.finish(channel, k.bias[channel] + sum);
            }
        }
    }
}

fn find_taps(k: &ConvI16, pixel: usize, taps: &mut Vec<Tap>) {
    let s = &k.shape;
    let (out_x, rest) = (pixel % s.out_w as usize, pixel / s.out_w as usize);
    let (out_y, b) = (rest % s.out_h as usize, rest / s.out_h as usize);
    taps.clear();
    for ky in 0..s.k_h {
        let in_y = tap(out_y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
        for kx in 0..s.k_w {
            let in_x = tap(out_x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
            if let (Some(in_y), Some(in_x)) = (in_y, in_x) {
                let at = (b * s.in_h as usize + in_y) * s.in_w as usize + in_x;
                taps.push((at * s.in_c as usize, (ky * s.k_w + kx) as usize));
            }
        }
    }
}

/// The sums of a pixel: the taps of a group side by side, zeros in the padding, times each filter.
fn full(k: &ConvI16, x: &[i16], taps: &[Tap], row: &mut Vec<i16>, sums: &mut [i64]) {
    let s = &k.shape;
    let (channels, depth, filters) = (s.group_in as usize, s.depth(), s.group_out as usize);
    row.resize(depth, 0);
    for group in 0..groups(s) {
        if taps.len() * channels < depth {
            row.fill(0);
        }
        for &(at, tap) in taps {
            let x = &x[at + group * channels..][..channels];
            row[tap * channels..][..channels].copy_from_slice(x);
        }
        let weights = &k.weights[group * filters * depth..][..filters * depth];
        dots(row, weights, &mut sums[group * filters..][..filters]);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn dots(row: &[i16], weights: &[i8], sums: &mut [i64]) {
    for (w, sum) in weights.chunks_exact(row.len()).zip(sums) {
        *sum = 0;
        for (x, w) in row.chunks(SHORT).zip(w.chunks(SHORT)) {
            let products = x.iter().zip(w).map(|(&x, &w)| i32::from(x) * i32::from(w));
            *sum += i64::from(products.sum::<i32>());
        }
    }
}

/// The sums of a pixel of a depthwise convolution.
fn depthwise(k: &ConvI16, x: &[i16], taps: &[Tap], sums: &mut [i64]) {
    let s = &k.shape;
    let (in_c, out_c, multiplier) = (s.in_c as usize, s.out_c as usize, s.group_out as usize);
    sums.fill(0);
    for &(at, tap) in taps {
        let (x, w) = (&x[at..][..in_c], &k.weights[tap * out_c..][..out_c]);
        add_products(x, w, multiplier, sums);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn add_products(x: &[i16], w: &[i8], multiplier: usize, sums: &mut [i64]) {
    let product = |x: i16, w: i8| i64::from(i32::from(x) * i32::from(w));
    if multiplier == 1 {
        for ((sum, &x), &w) in sums.iter_mut().zip(x).zip(w) {
            *sum += product(x, w);
        }
        return;
    }
    let outputs = sums.chunks_exact_mut(multiplier);
    for ((sums, w), &x) in outputs.zip(w.chunks_exact(multiplier)).zip(x) {
        for (sum, &w) in sums.iter_mut().zip(w) {
            *sum += product(x, w);
        }
    }
}
