//! int8 CONV_2D and DEPTHWISE_CONV_2D: the definition, and the fast kernels that must equal it. Input NHWC, output NHWC,
//! samples outermost.

use super::conv::{input_len, is_pointwise, output_len, tap};
use super::gemm_i8::{ProductI8, Target};
use super::memory::Scratch;
use super::requantize::{Place, Requantize};
#[cfg(target_arch = "x86_64")]
use super::vnni;
use crate::kernel::{ConvI8, ConvShape, fold_zero_point};
use std::ops::Range;

/// Rows gathered at once: a tile that stays in the second-level cache.
const TILE: usize = 120;

/// Fast int8 CONV_2D: tiles of gathered rows times the weights.
#[derive(Debug)]
pub struct FastConvI8 {
    groups: Vec<ProductI8>,
}

impl FastConvI8 {
    /// Converts the weights once.
    pub fn new(k: &ConvI8) -> Self {
        let (depth, per_group) = (k.shape.depth(), k.shape.group_out as usize);
        let bias = fold_zero_point(&k.weights, depth, &k.bias, k.input_zero_point);
        let group = |(group, w): (usize, &[i8])| {
            let rows = group * per_group..(group + 1) * per_group;
            let target = Target {
                bias: &bias[rows.clone()],
                multipliers: &k.multipliers[rows],
                zero_point: k.output_zero_point,
                bounds: k.bounds,
            };
            ProductI8::new(w, target)
        };
        Self {
            groups: k
                .weights
                .chunks_exact(per_group * depth)
                .enumerate()
                .map(group)
                .collect(),
        }
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &ConvI8, x: &[i8], y: &mut [i8], scratch: &mut Scratch) {
        let s = &k.shape;
        let (out_c, depth) = (s.out_c as usize, s.depth());
        let place = |group: usize| Place {
            stride: out_c,
            first: group * s.group_out as usize,
        };
        if is_pointwise(s) {
            let tiles = x.chunks(TILE * depth).zip(y.chunks_mut(TILE * out_c));
            for (x, y) in tiles {
                self.groups[0].run(x, y, place(0), scratch);
            }
            return;
        }
        let mut gathered = std::mem::take(&mut scratch.gathered);
        let samples = x
            .chunks_exact(input_len(s))
            .zip(y.chunks_exact_mut(output_len(s)));
        // Padding is the real value 0, which is the zero point: it cancels against the folded bias.
        let padding = k.input_zero_point as i8;
        for (x, y) in samples {
            for (tile, y) in y.chunks_mut(TILE * out_c).enumerate() {
                let pixels = tile * TILE..tile * TILE + y.len() / out_c;
                for (at, group) in self.groups.iter().enumerate() {
                    gather(s, x, pixels.clone(), at, padding, &mut gathered);
                    group.run(&gathered, y, place(at), scratch);
                }
            }
        }
        scratch.gathered = gathered;
    }
}

/// The taps of output pixels of one sample for one group, `[pixels, k_h · k_w · group_in]`.
fn gather(
    s: &ConvShape,
    x: &[i8],
    pixels: Range<usize>,
    group: usize,
    padding: i8,
    rows: &mut Vec<i8>,
) {
    let (out_w, out_h, k_w) = (s.out_w as usize, s.out_h as usize, s.k_w as usize);
    let (in_c, channels) = (s.in_c as usize, s.group_in as usize);
    // The columns of a filter lie side by side in the input as well.
    let together = s.dilation_w == 1 && channels == in_c;
    rows.resize(pixels.len() * s.depth(), 0);
    for (pixel, row) in pixels.zip(rows.chunks_exact_mut(s.depth())) {
        let (out_x, out_y, b) = (
            pixel % out_w,
            pixel / out_w % out_h,
            pixel / (out_w * out_h),
        );
        for (ky, line) in row.chunks_exact_mut(k_w * channels).enumerate() {
            let in_y = tap(
                out_y,
                s.stride_h,
                ky as u32,
                s.dilation_h,
                s.pad_top,
                s.in_h,
            );
            let Some(in_y) = in_y else {
                line.fill(padding);
                continue;
            };
            let first = (b * s.in_h as usize + in_y) * s.in_w as usize;
            let in_x = |kx: usize| {
                let at = tap(
                    out_x,
                    s.stride_w,
                    kx as u32,
                    s.dilation_w,
                    s.pad_left,
                    s.in_w,
                )?;
                Some((first + at) * in_c + group * channels)
            };
            if together && let (Some(at), Some(_)) = (in_x(0), in_x(k_w - 1)) {
                line.copy_from_slice(&x[at..at + k_w * channels]);
                continue;
            }
            for (kx, to) in line.chunks_exact_mut(channels).enumerate() {
                match in_x(kx) {
                    Some(at) => to.copy_from_slice(&x[at..at + channels]),
                    None => to.fill(padding),
                }
            }
        }
    }
}

/// Fast int8 DEPTHWISE_CONV_2D.
#[derive(Debug)]
pub enum FastDepthwiseI8 {
    /// In 16 bits.
    Widened(WidenedDepthwise),
    /// By VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni(vnni::Depthwise),
}

impl FastDepthwiseI8 {
    /// Converts the weights once, in the best way this processor knows.
    pub fn new(k: &ConvI8) -> Self {
        #[cfg(target_arch = "x86_64")]
        if vnni::available()
            && let Some(fast) = vnni::Depthwise::new(k)
        {
            return Self::Vnni(fast);
        }
        Self::Widened(WidenedDepthwise::new(k))
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &ConvI8, x: &[i8], y: &mut [i8], scratch: &mut Scratch) {
        match self {
            Self::Widened(fast) => fast.run(k, x, y),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(fast) => fast.run(k, x, y, &mut scratch.frame),
        }
    }
}

/// DEPTHWISE_CONV_2D with the channels of a pixel side by side, their sums in registers.
#[derive(Debug)]
pub struct WidenedDepthwise {
    /// `[taps][channels]`.
    weights: Vec<i16>,
    requantize: Requantize,
}

impl WidenedDepthwise {
    /// Converts the weights once.
    pub fn new(k: &ConvI8) -> Self {
        Self {
            weights: k.weights.iter().map(|&w| i16::from(w)).collect(),
            requantize: Requantize::new(&k.bias, |channel| k.multipliers[channel]),
        }
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &ConvI8, x: &[i8], y: &mut [i8]) {
        let s = &k.shape;
        let (in_c, out_c, multiplier) = (s.in_c as usize, s.out_c as usize, s.group_out as usize);
        let place = Place {
            stride: out_c,
            first: 0,
        };
        // Inputs less their zero point, as 16 bits, once for each channel that they make.
        let (mut reals, mut taps, mut acc) = (Vec::new(), Vec::new(), vec![0; out_c]);
        let samples = x
            .chunks_exact(input_len(s))
            .zip(y.chunks_exact_mut(output_len(s)));
        for (x, y) in samples {
            widen(x, k.input_zero_point as i16, in_c, multiplier, &mut reals);
            for (pixel, y) in y.chunks_exact_mut(out_c).enumerate() {
                valid_taps(s, pixel, &mut taps);
                sum_taps(&reals, &self.weights, &taps, &mut acc);
                self.requantize
                    .to_i8(&acc, y, place, k.output_zero_point, k.bounds);
            }
        }
    }
}

/// x − zero point, each value `multiplier` times in a row.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn widen(x: &[i8], zero_point: i16, in_c: usize, multiplier: usize, reals: &mut Vec<i16>) {
    reals.clear();
    if multiplier == 1 {
        reals.extend(x.iter().map(|&v| i16::from(v) - zero_point));
        return;
    }
    for pixel in x.chunks_exact(in_c) {
        for &v in pixel {
            reals.resize(reals.len() + multiplier, i16::from(v) - zero_point);
        }
    }
}

/// The pixels of the input and the taps of the filter that meet in an output pixel.
fn valid_taps(s: &ConvShape, pixel: usize, taps: &mut Vec<(usize, usize)>) {
    let (out_x, rest) = (pixel % s.out_w as usize, pixel / s.out_w as usize);
    let (out_y, b) = (rest % s.out_h as usize, rest / s.out_h as usize);
    taps.clear();
    for ky in 0..s.k_h {
        let Some(in_y) = tap(out_y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h) else {
            continue;
        };
        for kx in 0..s.k_w {
            if let Some(in_x) = tap(out_x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w) {
                let pixel = (b * s.in_h as usize + in_y) * s.in_w as usize + in_x;
                taps.push((pixel, (ky * s.k_w + kx) as usize));
            }
        }
    }
}

/// The sum of the taps' products for every channel.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn sum_taps(reals: &[i16], weights: &[i16], taps: &[(usize, usize)], acc: &mut [i32]) {
    /// Sums that stay in registers.
    const BLOCK: usize = 64;
    let channels = acc.len();
    let product = |x: i16, w: i16| {
        // At most 255 · 128, which 16 bits hold.
        i32::from(x.wrapping_mul(w))
    };
    let (blocks, rest) = acc.as_chunks_mut::<BLOCK>();
    for (block, acc) in blocks.iter_mut().enumerate() {
        let mut sums = [0i32; BLOCK];
        for &(pixel, tap) in taps {
            let x = &reals[pixel * channels + block * BLOCK..][..BLOCK];
            let w = &weights[tap * channels + block * BLOCK..][..BLOCK];
            for i in 0..BLOCK {
                sums[i] = sums[i].wrapping_add(product(x[i], w[i]));
            }
        }
        *acc = sums;
    }
    let first = channels - rest.len();
    rest.fill(0);
    for &(pixel, tap) in taps {
        let x = &reals[pixel * channels + first..][..rest.len()];
        let w = &weights[tap * channels + first..][..rest.len()];
        for ((sum, &x), &w) in rest.iter_mut().zip(x).zip(w) {
            *sum = sum.wrapping_add(product(x, w));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{Multiplier, Rounding};
    use proptest::prelude::*;

    /// Output size and padding before, for SAME or VALID.
    fn window(size: u32, k: u32, stride: u32, dilation: u32, same: bool) -> Option<(u32, u32)> {
        let reach = (k - 1) * dilation + 1;
        if same {
            let out = size.div_ceil(stride);
            Some((out, ((out - 1) * stride + reach).saturating_sub(size) / 2))
        } else {
            (size >= reach).then(|| ((size - reach) / stride + 1, 0))
        }
    }

    proptest! {
        #[test]
        fn fast_equals_the_definition(
            size in prop::array::uniform2(1u32..12),
            k in prop::array::uniform2(1u32..6),
            stride in prop::array::uniform2(1u32..4),
            dilation in prop::array::uniform2(1u32..3),
            channels in prop_oneof![1u32..40, Just(32), Just(64), Just(96), 60u32..150],
            out in prop_oneof![1u32..40, 1u32..4],
            same in any::<bool>(),
            depthwise in any::<bool>(),
            scale in prop_oneof![1e-5f64..0.02, 0.001f64..2.0],
            large_bias in any::<bool>(),
            zero_points in prop::array::uniform2(-128i32..128),
            low in prop_oneof![Just(-128i32), -128i32..100],
            rounding in prop_oneof![
                4 => Just(Rounding::Double), 1 => Just(Rounding::Single), 1 => Just(Rounding::Float)
            ],
            seed in any::<u64>(),
        ) {
            let side = |i: usize| window(size[i], k[i], stride[i], dilation[i], same);
            let [Some((out_h, pad_top)), Some((out_w, pad_left))] = [side(0), side(1)] else {
                return Ok(());
            };
            // A depth multiplier for depthwise.
            let (group_in, group_out) = if depthwise { (1, 1 + out % 3) } else { (channels, out) };
            let out_c = if depthwise { channels * group_out } else { out };
            let shape = ConvShape {
                batch: 1, in_h: size[0], in_w: size[1], in_c: channels, out_h, out_w, out_c,
                k_h: k[0], k_w: k[1], stride_h: stride[0], stride_w: stride[1],
                dilation_h: dilation[0], dilation_w: dilation[1], pad_top, pad_left, group_in, group_out,
            };
            let mut s = seed | 1;
            let mut random = || {
                s ^= s << 13;
                s ^= s >> 7;
                s ^= s << 17;
                (s >> 32) as i32
            };
            let conv = ConvI8 {
                shape,
                weights: (0..out_c as usize * shape.depth()).map(|_| random() as i8).collect(),
                bias: (0..out_c).map(|i| {
                    // One dead channel in five.
                    if large_bias && i % 5 == 0 { random() / 2 } else { random() >> 16 }
                }).collect(),
                multipliers: (0..out_c)
                    .map(|i| Multiplier::new(scale / f64::from(1 << (i % 5))).unwrap().rounded(rounding))
                    .collect(),
                input_zero_point: zero_points[0],
                output_zero_point: zero_points[1],
                bounds: (low, 127),
            };
            const SAMPLES: usize = 2;
            let x: Vec<i8> = (0..SAMPLES * input_len(&shape)).map(|_| random() as i8).collect();
            let n = SAMPLES * output_len(&shape);
            let (mut expected, mut fast, mut widened) = (vec![0; n], vec![1; n], vec![2; n]);
            let scratch = &mut Scratch::default();
            if depthwise {
                depthwise_i8(&conv, &x, &mut expected);
                FastDepthwiseI8::new(&conv).run(&conv, &x, &mut fast, scratch);
                WidenedDepthwise::new(&conv).run(&conv, &x, &mut widened);
                prop_assert_eq!(&widened, &expected);
            } else {
                i8(&conv, &x, &mut expected);
                FastConvI8::new(&conv).run(&conv, &x, &mut fast, scratch);
            }
            prop_assert_eq!(fast, expected);
        }
    }
}
