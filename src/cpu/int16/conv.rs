//! Products of int16 with int8 weights. Input and output NHWC, samples outermost.

use crate::cpu::conv::{input_len, output_len, tap};
use crate::kernel::{Conv, ConvI16};

/// Products that are summed in 32 bits: each is at most 2²², so that 2⁸ of them fit.
const SHORT: usize = 1 << 8;

/// All samples in `x`.
pub fn conv(k: &ConvI16, x: &[i16], y: &mut [i16]) {
    let s = &k.shape;
    let out_c = s.out_c as usize;
    let samples = x
        .chunks_exact(input_len(s))
        .zip(y.chunks_exact_mut(output_len(s)));
    // The first element of the input and the tap of every position of the window that lies in the image.
    let mut taps = Vec::new();
    for (x, y) in samples {
        for (pixel, y) in y.chunks_exact_mut(out_c).enumerate() {
            taps.clear();
            let (out_x, rest) = (pixel % s.out_w as usize, pixel / s.out_w as usize);
            let (out_y, b) = (rest % s.out_h as usize, rest / s.out_h as usize);
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
            for (channel, y) in y.iter_mut().enumerate() {
                *y = k.finish(channel, sum(k, x, &taps, channel));
            }
        }
    }
}

/// The sum of one output channel.
fn sum(k: &ConvI16, x: &[i16], taps: &[(usize, usize)], channel: usize) -> i64 {
    let s = &k.shape;
    let group = channel / s.group_out as usize;
    let mut sum = k.bias[channel];
    if k.kind == Conv::Depthwise {
        for &(at, tap) in taps {
            let w = k.weights[tap * s.out_c as usize + channel];
            sum += i64::from(i32::from(x[at + group]) * i32::from(w));
        }
        return sum;
    }
    let depth = s.group_in as usize;
    let filter = &k.weights[channel * s.depth()..][..s.depth()];
    for &(at, tap) in taps {
        let x = &x[at + group * depth..][..depth];
        sum += dot(x, &filter[tap * depth..][..depth]);
    }
    sum
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn dot(x: &[i16], w: &[i8]) -> i64 {
    let mut sum = 0;
    for (x, w) in x.chunks(SHORT).zip(w.chunks(SHORT)) {
        let products = x.iter().zip(w).map(|(&x, &w)| i32::from(x) * i32::from(w));
        sum += i64::from(products.sum::<i32>());
    }
    sum
}
