//! Float CONV_2D. Input NHWC, output NHWC, samples outermost.

use super::conv::{Rows, depthwise, groups, input_len, is_pointwise, output_len, reach, tap};
use super::dots::COLUMNS;
use super::memory::Scratch;
use super::product::{PADDING, Packed, Start, block_of};
use crate::kernel::{ConvF32, ConvShape};
use std::ops::Range;

/// Channels from which on the taps are read in place instead of being gathered.
const IN_PLACE: u32 = 8;
/// Channels that fill a vector or two.
const FEW: u32 = 32;

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

    /// Runs all images in `x`.
    pub fn run(&self, k: &ConvF32, x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let s = &k.shape;
        if is_pointwise(s) {
            return self.groups[0].rows(x, y, k.bounds);
        }
        let Some(frame) = &self.frame else {
            return self.pixels(k, Rows { data: x, first: 0 }, 0, y, scratch);
        };
        let images = x.chunks_exact((s.in_h * s.in_w * s.in_c) as usize);
        for (data, y) in
            images.zip(y.chunks_exact_mut(s.pixels() / s.batch as usize * s.out_c as usize))
        {
            self.framed(
                k,
                frame,
                Rows { data, first: 0 },
                0..s.out_h as usize,
                y,
                scratch,
            );
        }
    }

    /// Output rows `out` of one image, of which `x` has all rows that they read.
    pub fn rows(
        &self,
        k: &ConvF32,
        x: Rows<'_>,
        out: Range<usize>,
        y: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let s = &k.shape;
        if is_pointwise(s) {
            let row = (s.in_w * s.in_c) as usize;
            let x = &x.data[(out.start - x.first) * row..(out.end - x.first) * row];
            return self.groups[0].rows(x, y, k.bounds);
        }
        match &self.frame {
            Some(frame) => self.framed(k, frame, x, out, y, scratch),
            None => self.pixels(k, x, out.start * s.out_w as usize, y, scratch),
        }
    }

    /// Rows of an image of few channels.
    fn framed(
        &self,
        k: &ConvF32,
        frame: &Frame,
        x: Rows<'_>,
        out: Range<usize>,
        y: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let s = &k.shape;
        let out_c = s.out_c as usize;
        let from = frame.fill(s, x, out.clone(), &mut scratch.padded);
        let rows = block_of(y.len() / out_c);
        let mut places = Vec::with_capacity(rows * s.k_h as usize);
        for (block, y) in y.chunks_mut(rows * out_c).enumerate() {
            let pixels = block * rows..block * rows + y.len() / out_c;
            frame.place(s, pixels, &mut places);
            self.groups[0].block(from, &places, y, out_c, Start::Bias, k.bounds);
        }
    }

    /// Output pixels from `first` on, counted over all images; `x` begins in the first one.
    fn pixels(&self, k: &ConvF32, x: Rows<'_>, first: usize, y: &mut [f32], scratch: &mut Scratch) {
        let s = &k.shape;
        let out_c = s.out_c as usize;
        let mut places = Vec::new();
        let rows = block_of(y.len() / out_c);
        for (block, y) in y.chunks_mut(rows * out_c).enumerate() {
            let from = first + block * rows;
            let pixels = from..from + y.len() / out_c;
            for group in 0..groups(s) {
                place(s, pixels.clone(), group, x.first, &mut places);
                let from = if in_place(s) {
                    x.data
                } else {
                    let rows = &mut scratch.padded;
                    gather(x.data, &places, s.group_in as usize, rows);
                    places.clear();
                    places.extend((0..rows.len()).step_by(s.depth()));
                    rows
                };
                let y = &mut y[group * s.group_out as usize..];
                self.groups[group].block(from, &places, y, out_c, Start::Bias, k.bounds);
            }
        }
    }
}

fn taps(s: &ConvShape) -> usize {
    (s.k_h * s.k_w) as usize
}

fn in_place(s: &ConvShape) -> bool {
    // Products with few columns are quicker in long runs.
    let long = s.out_c as usize <= COLUMNS && s.group_in == s.in_c && s.in_c < FEW;
    s.group_in >= IN_PLACE && !long || taps(s) == 1
}

/// A copy of rows of an image of few channels with the padding around them, in which the taps of a row of the filter lie together.
#[derive(Debug)]
struct Frame {
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
        (rows.checked_mul(columns)? <= 4 * image + 65_536).then_some(Frame { columns })
    }

    /// Copies what some rows of outputs read.
    fn fill<'a>(
        &self,
        s: &ConvShape,
        x: Rows<'_>,
        out: Range<usize>,
        padded: &'a mut Vec<f32>,
    ) -> &'a [f32] {
        let channels = s.in_c as usize;
        let (width, row) = (self.columns * channels, s.in_w as usize * channels);
        let left = (s.pad_left as usize * channels).min(width);
        // Strides may leave the last columns out.
        let n = row.min(width - left);
        let first = out.start * s.stride_h as usize;
        let rows = reach(out.len(), s.stride_h, s.k_h, s.dilation_h);
        if padded.len() < rows * width {
            padded.resize(rows * width, 0.0);
        }
        let padded = &mut padded[..rows * width];
        for (i, to) in padded.chunks_exact_mut(width).enumerate() {
            let at = (first + i).checked_sub(s.pad_top as usize);
            let Some(at) = at.filter(|&at| at < s.in_h as usize) else {
                to.fill(0.0);
                continue;
            };
            to[..left].fill(0.0);
            to[left..left + n].copy_from_slice(&x.data[(at - x.first) * row..][..n]);
            to[left + n..].fill(0.0);
        }
        padded
    }

    /// Where each row of the filter begins, for some pixels, both counted from the first row that was copied.
    fn place(&self, s: &ConvShape, pixels: Range<usize>, places: &mut Vec<usize>) {
        places.clear();
        let [stride_h, stride_w, dilation] =
            [s.stride_h, s.stride_w, s.dilation_h].map(|n| n as usize);
        let (out_w, channels) = (s.out_w as usize, s.in_c as usize);
        let step = dilation * self.columns * channels;
        let (mut y, mut x) = (pixels.start / out_w, pixels.start % out_w);
        for _ in pixels {
            let first = (y * stride_h * self.columns + x * stride_w) * channels;
            places.extend((0..s.k_h as usize).map(|ky| first + ky * step));
            x += 1;
            if x == out_w {
                (x, y) = (0, y + 1);
            }
        }
    }
}

/// Where the taps of output pixels, counted over all images, begin in an input whose first row is row `above` of the
/// first image.
fn place(s: &ConvShape, pixels: Range<usize>, group: usize, above: usize, places: &mut Vec<usize>) {
    places.clear();
    let (out_w, out_h) = (s.out_w as usize, s.out_h as usize);
    let [in_w, in_c, channels] = [s.in_w, s.in_c, s.group_in].map(|n| n as usize);
    let (mut x, mut y) = (pixels.start % out_w, pixels.start / out_w);
    for _ in pixels {
        let first_row = y / out_h * s.in_h as usize;
        for ky in 0..s.k_h {
            let in_y = tap(y % out_h, s.stride_h, ky, s.dilation_h, s.pad_top, s.in_h);
            for kx in 0..s.k_w {
                let in_x = tap(x, s.stride_w, kx, s.dilation_w, s.pad_left, s.in_w);
                places.push(match (in_y, in_x) {
                    (Some(in_y), Some(in_x)) => {
                        ((first_row + in_y - above) * in_w + in_x) * in_c + group * channels
                    }
                    _ => PADDING,
                });
            }
        }
        x += 1;
        if x == out_w {
            (x, y) = (0, y + 1);
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

/// DEPTHWISE_CONV_2D of any kind: what [`super::depthwise_f32`] does not take, filters with several outputs a channel.
pub fn multiplied(k: &ConvF32, x: &[f32], y: &mut [f32]) {
    let s = &k.shape;
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
