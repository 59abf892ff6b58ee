//! Float CONV_2D and DEPTHWISE_CONV_2D. Input NHWC, output NHWC, samples outermost.

use super::conv::{depthwise, groups, input_len, is_pointwise, output_len, reach, tap};
use super::memory::Scratch;
use super::product::{BLOCK, PADDING, Packed, Start, load, store, within};
use super::simd::arch;
use crate::kernel::{ConvF32, ConvShape};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Channels from which on the taps are read in place instead of being gathered.
const IN_PLACE: u32 = 8;

/// CONV_2D with packed weights.
#[derive(Debug)]
pub struct Conv {
    groups: Vec<Packed>,
    frame: Option<Frame>,
}

impl Conv {
    /// Packs the weights once.
    pub fn new(k: &ConvF32) -> Self {
        let s = &k.shape;
        let (depth, per_group) = (s.depth(), s.group_out as usize);
        let frame = Frame::new(s);
        let taps = match (in_place(s), &frame) {
            (true, _) => taps(s),
            (false, Some(_)) => s.k_h as usize,
            (false, None) => 1,
        };
        let weights = k.weights.chunks_exact(per_group * depth);
        Self {
            groups: weights
                .zip(k.bias.chunks_exact(per_group))
                .map(|(w, bias)| Packed::new(w, taps, bias))
                .collect(),
            frame,
        }
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &ConvF32, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let s = &k.shape;
        if is_pointwise(s) {
            return self.groups[0].rows(x, y, k.bounds);
        }
        let out_c = s.out_c as usize;
        if let Some(frame) = &self.frame {
            let pixels = (s.out_h * s.out_w) as usize;
            let mut places = Vec::with_capacity(BLOCK * s.k_h as usize);
            let images = x.chunks_exact((s.in_h * s.in_w * s.in_c) as usize);
            for (x, y) in images.zip(y.chunks_exact_mut(pixels * out_c)) {
                let from = frame.fill(s, x, &mut scratch.padded);
                for (block, y) in y.chunks_mut(BLOCK * out_c).enumerate() {
                    frame.place(
                        s,
                        block * BLOCK..block * BLOCK + y.len() / out_c,
                        &mut places,
                    );
                    self.groups[0].block(from, &places, y, out_c, Start::Bias, k.bounds);
                }
            }
            return;
        }
        let (mut places, mut rows) = (Vec::new(), Vec::new());
        for (block, y) in y.chunks_mut(BLOCK * out_c).enumerate() {
            let pixels = block * BLOCK..block * BLOCK + y.len() / out_c;
            for group in 0..groups(s) {
                let first = group * s.group_out as usize;
                place(s, pixels.clone(), group, &mut places);
                let from = if in_place(s) {
                    x
                } else {
                    gather(x, &places, s.group_in as usize, &mut rows);
                    places.clear();
                    places.extend((0..rows.len()).step_by(s.depth()));
                    &rows
                };
                let y = &mut y[first..];
                self.groups[group].block(from, &places, y, out_c, Start::Bias, k.bounds);
            }
        }
    }
}

fn taps(s: &ConvShape) -> usize {
    (s.k_h * s.k_w) as usize
}

fn in_place(s: &ConvShape) -> bool {
    s.group_in >= IN_PLACE || taps(s) == 1
}

/// A copy of an image of few channels with its padding around it, in which the taps of a row of the filter lie together.
#[derive(Debug)]
struct Frame {
    rows: usize,
    columns: usize,
}

impl Frame {
    /// `None` where taps are read in place, lie apart, or the padding is large.
    fn new(s: &ConvShape) -> Option<Frame> {
        if in_place(s) || s.dilation_w != 1 || s.group_in != s.in_c {
            return None;
        }
        let rows = reach(s.out_h as usize, s.stride_h, s.k_h, s.dilation_h);
        let columns = reach(s.out_w as usize, s.stride_w, s.k_w, 1);
        let image = s.in_h as usize * s.in_w as usize;
        (rows.checked_mul(columns)? <= 4 * image + 65_536).then_some(Frame { rows, columns })
    }

    /// Copies an image.
    fn fill<'a>(&self, s: &ConvShape, x: &[f32], padded: &'a mut Vec<f32>) -> &'a [f32] {
        let channels = s.in_c as usize;
        let (top, left) = (s.pad_top as usize, s.pad_left as usize * channels);
        let width = self.columns * channels;
        padded.clear();
        padded.resize(self.rows * width, 0.0);
        let rows = padded.chunks_exact_mut(width).skip(top);
        for (to, from) in rows.zip(x.chunks_exact(s.in_w as usize * channels)) {
            // Strides may leave the last columns out.
            let n = from.len().min(width.saturating_sub(left));
            to[left..left + n].copy_from_slice(&from[..n]);
        }
        padded
    }

    /// Where each row of the filter begins, for some output pixels.
    fn place(&self, s: &ConvShape, pixels: Range<usize>, places: &mut Vec<usize>) {
        places.clear();
        for pixel in pixels {
            let (y, x) = (pixel / s.out_w as usize, pixel % s.out_w as usize);
            for ky in 0..s.k_h {
                let row = y * s.stride_h as usize + (ky * s.dilation_h) as usize;
                let column = x * s.stride_w as usize;
                places.push((row * self.columns + column) * s.in_c as usize);
            }
        }
    }
}

/// Where the taps of output pixels, counted over all samples, begin in the input.
fn place(s: &ConvShape, pixels: Range<usize>, group: usize, places: &mut Vec<usize>) {
    places.clear();
    let (out_w, out_h) = (s.out_w as usize, s.out_h as usize);
    for pixel in pixels {
        let (x, y, image) = (
            pixel % out_w,
            pixel / out_w % out_h,
            pixel / (out_w * out_h),
        );
        for ky in 0..s.k_h {
            let in_y = tap(y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
            for kx in 0..s.k_w {
                let in_x = tap(x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                places.push(match (in_y, in_x) {
                    (Some(in_y), Some(in_x)) => {
                        ((image * s.in_h as usize + in_y) * s.in_w as usize + in_x)
                            * s.in_c as usize
                            + group * s.group_in as usize
                    }
                    _ => PADDING,
                });
            }
        }
    }
}

/// Copies taps of a few channels side by side.
fn gather(x: &[f32], places: &[usize], channels: usize, rows: &mut Vec<f32>) {
    rows.clear();
    rows.resize(places.len() * channels, 0.0);
    for (row, &at) in rows.chunks_exact_mut(channels).zip(places) {
        if at == PADDING {
            continue;
        }
        // So few that a call of memcpy would cost more than it copies.
        for (to, &from) in row.iter_mut().zip(&x[at..at + channels]) {
            *to = from;
        }
    }
}

/// DEPTHWISE_CONV_2D.
pub fn depthwise_f32(k: &ConvF32, x: &[f32], y: &mut [f32]) {
    let s = &k.shape;
    if s.group_out == 1 {
        return arch().dispatch(Depthwise { k, x, y });
    }
    let (out_c, multiplier) = (s.out_c as usize, s.group_out as usize);
    for (x, y) in x
        .chunks_exact(input_len(s))
        .zip(y.chunks_exact_mut(output_len(s)))
    {
        let accumulate = |acc: &mut [f32], x: &[f32], w: &[f32]| {
            let each = acc.iter_mut().zip(w).enumerate();
            each.for_each(|(i, (a, &w))| *a += x[i / multiplier] * w);
        };
        depthwise(s, x, &k.weights, &k.bias, accumulate, |pixel, acc| {
            y[pixel * out_c..][..out_c].copy_from_slice(acc);
        });
    }
    super::conv::clamp(y, k.bounds);
}

/// One output channel for each input channel: pixels side by side share the weights, channels are the lanes.
struct Depthwise<'a> {
    k: &'a ConvF32,
    x: &'a [f32],
    y: &'a mut [f32],
}

/// Pixels computed together.
const PIXELS: usize = 4;

impl WithSimd for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let s = &self.k.shape;
        let c = s.out_c as usize;
        let (image, out_row) = ((s.in_h * s.in_w) as usize * c, s.out_w as usize * c);
        let mut taps = Vec::new();
        for (row, y) in self.y.chunks_exact_mut(out_row).enumerate() {
            let (out_y, at) = (row % s.out_h as usize, row / s.out_h as usize * image);
            let mut line = Line {
                simd,
                k: self.k,
                image: &self.x[at..at + image],
                out_y,
                y,
                taps: &mut taps,
                inside: None,
            };
            let (mut from, width) = (0, s.out_w as usize);
            while from + PIXELS <= width {
                line.pixels::<PIXELS>(from);
                from += PIXELS;
            }
            if from < width && width >= PIXELS {
                // Some pixels again, to the same result, are cheaper than one by one.
                line.pixels::<PIXELS>(width - PIXELS);
            } else {
                (from..width).for_each(|from| line.pixels::<1>(from));
            }
        }
    }
}

/// A tap of some pixels side by side.
#[derive(Clone, Copy)]
struct Tap {
    weights: usize,
    /// Where the first pixel reads; wraps around if that is in the padding.
    input: usize,
    /// A bit for each pixel that does not read padding.
    inside: u32,
}

/// One row of output pixels.
struct Line<'a, S> {
    simd: S,
    k: &'a ConvF32,
    image: &'a [f32],
    out_y: usize,
    y: &'a mut [f32],
    taps: &'a mut Vec<Tap>,
    /// The column that `taps` were found for, if none of them reads padding there.
    inside: Option<usize>,
}

impl<S: Simd> Line<'_, S> {
    /// P pixels from column `at`.
    #[inline(always)]
    fn pixels<const P: usize>(&mut self, at: usize) {
        let s = &self.k.shape;
        let first = (at * s.stride_w as usize).checked_sub(s.pad_left as usize);
        let end = first.map(|first| first + reach(P, s.stride_w, s.k_w, s.dilation_w));
        // Whether no tap of any of these pixels lies beside the image.
        let whole = end.is_some_and(|end| end <= s.in_w as usize);
        if let (Some(from), true) = (self.inside, whole) {
            // The same taps, further to the right or to the left.
            let step = s.stride_w as usize * s.out_c as usize;
            let distance = (at * step).wrapping_sub(from * step);
            for tap in self.taps.iter_mut() {
                tap.input = tap.input.wrapping_add(distance);
                tap.inside = (1 << P) - 1;
            }
            self.inside = Some(at);
            return self.all_channels::<P, false>(at);
        }
        if self.find_taps(at, P) {
            self.inside = None;
            self.all_channels::<P, true>(at);
        } else {
            // Where a whole column of the filter lies in the padding, others have more taps.
            self.inside = whole.then_some(at);
            self.all_channels::<P, false>(at);
        }
    }

    /// Collects the taps that any of the pixels needs; tells whether some of them are in the padding.
    fn find_taps(&mut self, at: usize, pixels: usize) -> bool {
        let s = &self.k.shape;
        let c = s.out_c as usize;
        self.taps.clear();
        let mut edge = false;
        for ky in 0..s.k_h {
            let in_y = tap(self.out_y, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
            let Some(in_y) = in_y else { continue };
            for kx in 0..s.k_w {
                let in_x = |p| tap(at + p, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                let inside =
                    (0..pixels).fold(0, |bits, p| bits | u32::from(in_x(p).is_some()) << p);
                if inside == 0 {
                    continue;
                }
                edge |= inside != (1 << pixels) - 1;
                let column = at * s.stride_w as usize + (kx * s.dilation_w) as usize;
                let input = (in_y * s.in_w as usize + column).wrapping_sub(s.pad_left as usize);
                self.taps.push(Tap {
                    weights: (ky * s.k_w + kx) as usize * c,
                    input: input.wrapping_mul(c),
                    inside,
                });
            }
        }
        edge
    }

    #[inline(always)]
    fn all_channels<const P: usize, const EDGE: bool>(&mut self, at: usize) {
        let c = self.k.shape.out_c as usize;
        let pair = 2 * S::F32_LANES;
        let mut channel = 0;
        while channel + pair <= c {
            self.channels::<P, 2, EDGE>(at, channel);
            channel += pair;
        }
        while channel < c {
            self.channels::<P, 1, EDGE>(at, channel);
            channel += S::F32_LANES;
        }
    }

    /// V vectors of channels of P pixels; the last vector may be cut off by the end of the channels.
    #[allow(
        clippy::needless_range_loop,
        reason = "iterators are not always inlined"
    )]
    #[inline(always)]
    fn channels<const P: usize, const V: usize, const EDGE: bool>(
        &mut self,
        at: usize,
        channel: usize,
    ) {
        let simd = self.simd;
        let (c, lanes) = (self.k.shape.out_c as usize, S::F32_LANES);
        let columns = (c - channel).min(V * lanes);
        let bias = load::<S, V>(simd, &self.k.bias[channel..][..columns]);
        let mut sums = [[simd.splat_f32s(0.0); V]; P];
        let step = self.k.shape.stride_w as usize * c;
        for tap in self.taps.iter() {
            let w = load::<S, V>(simd, &self.k.weights[tap.weights + channel..][..columns]);
            for (p, sums) in sums.iter_mut().enumerate() {
                if EDGE && tap.inside >> p & 1 == 0 {
                    continue;
                }
                let x = tap.input.wrapping_add(p * step + channel);
                let x = load::<S, V>(simd, &self.image[x..][..columns]);
                for v in 0..V {
                    // Not fused: few products, rounded and added just as LiteRT does.
                    sums[v] = simd.add_f32s(sums[v], simd.mul_f32s(x[v], w[v]));
                }
            }
        }
        let (low, high) = self.k.bounds;
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        for p in 0..P {
            for v in 0..V {
                let sum = simd.add_f32s(sums[p][v], bias[v]);
                sums[p][v] = within(simd, sum, low, high);
            }
            let y = &mut self.y[(at + p) * c + channel..][..columns];
            store(simd, y, &sums[p]);
        }
    }
}
