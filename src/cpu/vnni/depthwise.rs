//! DEPTHWISE_CONV_2D: four taps of sixteen channels an instruction.
//!
//! A sample is copied once into a frame of its own: padding written out, every value + 128, as often side by side as it
//! has output channels, and the columns apart by their remainder of the stride. Then the inputs of one tap for a row of
//! outputs lie together, `[pixel][channel]`, and 64 bytes of them are one *segment*, whatever pixels it spans. The
//! weights are laid out for as many segments as it takes until channels and segments start together again (a *block*
//! of pixels), or for one pixel where that is not much worse.
//!
//! The bytes of four taps are interleaved to quads within each 128 bits, which brings the channels of a segment into the
//! order of [`channel_of`]; the saturating packs at the end bring them back.

use super::scale::{Channel, LANES, Scale, start};
use crate::cpu::conv::reach;
use crate::cpu::memory::Line;
use crate::kernel::{ConvI8, ConvShape};
use std::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_max_epi8, _mm512_min_epi8, _mm512_packs_epi16,
    _mm512_packs_epi32, _mm512_set1_epi8, _mm512_unpackhi_epi8, _mm512_unpackhi_epi16,
    _mm512_unpacklo_epi8, _mm512_unpacklo_epi16,
};

/// Bytes of a segment.
const SEGMENT: usize = 64;
/// Sums of a segment.
const VECTORS: usize = SEGMENT / LANES;
/// Most pixels of a block.
const MOST_PIXELS: usize = 16;

/// The constants of a segment.
#[derive(Debug)]
struct Segment {
    starts: [[i32; LANES]; VECTORS],
    scales: [Scale; VECTORS],
    /// Of every four taps.
    quads: Vec<[[[i8; 4]; LANES]; VECTORS]>,
}

/// A depthwise convolution.
#[derive(Debug)]
pub struct Depthwise {
    frame: Frame,
    /// Pixels of a block.
    pixels: usize,
    segments: Vec<Segment>,
    /// Offset of every tap in the frame; a multiple of four of them.
    taps: Vec<usize>,
    bounds: (i8, i8),
}

impl Segment {
    /// The segment `at` of a block.
    fn new(k: &ConvI8, at: usize) -> Option<Segment> {
        let s = &k.shape;
        let (taps, channels) = ((s.k_h * s.k_w) as usize, s.out_c as usize);
        let mut segment = Segment {
            starts: [[0; LANES]; VECTORS],
            scales: [Scale::default(); VECTORS],
            // Taps that only fill a quad count nothing.
            quads: vec![[[[0; 4]; LANES]; VECTORS]; taps.div_ceil(4)],
        };
        for vector in 0..VECTORS {
            let mut of = Vec::with_capacity(LANES);
            for lane in 0..LANES {
                let channel = (at * SEGMENT + channel_of(vector, lane)) % channels;
                let weights = k.weights[channel..].iter().step_by(channels);
                let (mut sum, mut reach) = (0, 0);
                for (tap, &w) in weights.enumerate() {
                    segment.quads[tap / 4][vector][lane][tap % 4] = w;
                    sum += i32::from(w);
                    reach += 255 * i64::from(w).abs();
                }
                let bias = k.bias[channel];
                // What stands for the real 0 is zero point + 128 here.
                let zero = sum * (k.input_zero_point + 128);
                segment.starts[vector][lane] = start(bias.wrapping_sub(zero));
                of.push(Channel {
                    multiplier: k.multipliers[channel],
                    range: (i64::from(bias) - reach, i64::from(bias) + reach),
                    zero_point: k.output_zero_point,
                });
            }
            segment.scales[vector] = Scale::new(&of)?;
        }
        Some(segment)
    }
}

impl Depthwise {
    /// Prepares the weights; `None` where the frame would be large or a channel is outside of what [`Scale`] can do.
    pub fn new(k: &ConvI8) -> Option<Depthwise> {
        let s = &k.shape;
        let frame = Frame::new(s)?;
        let taps = s.k_h * s.k_w;
        let pixels = block(s.out_c as usize);
        let segments = (pixels * s.out_c as usize).div_ceil(SEGMENT);
        Some(Depthwise {
            pixels,
            segments: (0..segments)
                .map(|at| Segment::new(k, at))
                .collect::<Option<_>>()?,
            taps: (0..taps.next_multiple_of(4))
                .map(|tap| if tap < taps { tap } else { 0 })
                .map(|tap| frame.tap(s, tap / s.k_w, tap % s.k_w))
                .collect(),
            bounds: (k.bounds.0 as i8, k.bounds.1 as i8),
            frame,
        })
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &ConvI8, x: &[i8], y: &mut [i8], lines: &mut Vec<Line>) {
        let s = &k.shape;
        let input = (s.in_h * s.in_w * s.in_c) as usize;
        let row = (s.out_w * s.out_c) as usize;
        let step = self.pixels * s.out_c as usize;
        // Loads may reach a line beyond the end.
        lines.resize(self.frame.len().div_ceil(SEGMENT) + 1, Line([0; SEGMENT]));
        let frame: &mut [u8] = bytemuck::cast_slice_mut(lines);
        // The padding stays what it is for all images.
        self.frame.pad(s, flip(k.input_zero_point as i8), frame);
        let images = x
            .chunks_exact(input)
            .zip(y.chunks_exact_mut(s.out_h as usize * row));
        for (x, y) in images {
            self.frame.fill(s, x, frame);
            // A row may be shorter than a block.
            let segments = self.segments.iter().take(row.div_ceil(SEGMENT));
            for (at, segment) in segments.enumerate() {
                for (out_y, y) in y.chunks_exact_mut(row).enumerate() {
                    let first = self.frame.row(s, out_y) + at * SEGMENT;
                    let y = &mut y[at * SEGMENT..];
                    let width = (step - at * SEGMENT).min(SEGMENT);
                    // SAFETY: this is only made where `available` found the features that `row` needs.
                    #[allow(unsafe_code)]
                    unsafe {
                        self.row(segment, &frame[first..], y, (step, width));
                    }
                }
            }
        }
    }

    /// One segment of every block of a row, `width` bytes of each; `x` and `y` start at the first of them.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn row(&self, segment: &Segment, x: &[u8], y: &mut [i8], (step, width): (usize, usize)) {
        let (low, high) = (
            _mm512_set1_epi8(self.bounds.0),
            _mm512_set1_epi8(self.bounds.1),
        );
        let (taps, _) = self.taps.as_chunks::<4>();
        for (at, y) in y.chunks_mut(step).enumerate() {
            let x = &x[at * step..];
            let mut sums: [__m512i; VECTORS] = bytemuck::cast(segment.starts);
            for (taps, weights) in taps.iter().zip(&segment.quads) {
                let (a, b) = (load(&x[taps[0]..]), load(&x[taps[1]..]));
                let (c, d) = (load(&x[taps[2]..]), load(&x[taps[3]..]));
                let ab = (_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b));
                let cd = (_mm512_unpacklo_epi8(c, d), _mm512_unpackhi_epi8(c, d));
                let quads = [
                    _mm512_unpacklo_epi16(ab.0, cd.0),
                    _mm512_unpackhi_epi16(ab.0, cd.0),
                    _mm512_unpacklo_epi16(ab.1, cd.1),
                    _mm512_unpackhi_epi16(ab.1, cd.1),
                ];
                for v in 0..VECTORS {
                    sums[v] = _mm512_dpbusd_epi32(sums[v], quads[v], bytemuck::cast(weights[v]));
                }
            }
            for (sum, scale) in sums.iter_mut().zip(&segment.scales) {
                *sum = scale.apply(*sum);
            }
            let halves = [
                _mm512_packs_epi32(sums[0], sums[1]),
                _mm512_packs_epi32(sums[2], sums[3]),
            ];
            let bytes = _mm512_packs_epi16(halves[0], halves[1]);
            let bytes = _mm512_min_epi8(_mm512_max_epi8(bytes, low), high);
            let bytes: [i8; SEGMENT] = bytemuck::cast(bytes);
            let width = width.min(y.len());
            match <&mut [i8; SEGMENT]>::try_from(&mut y[..width]) {
                Ok(y) => *y = bytes,
                Err(_) => y[..width].copy_from_slice(&bytes[..width]),
            }
        }
    }
}

/// The copy of a sample: `[phase][row][column][output channel]`, the phase being the remainder of the stride.
#[derive(Debug)]
struct Frame {
    rows: usize,
    columns: usize,
    channels: usize,
    stride: usize,
}

impl Frame {
    /// `None` if padding makes it much larger than input and output.
    fn new(s: &ConvShape) -> Option<Frame> {
        let rows = reach(s.out_h as usize, s.stride_h, s.k_h, s.dilation_h);
        let stride = s.stride_w as usize;
        let columns = reach(s.out_w as usize, s.stride_w, s.k_w, s.dilation_w).div_ceil(stride);
        let channels = s.out_c as usize;
        let len = [stride, rows, columns, channels]
            .iter()
            .try_fold(1usize, |n, &d| n.checked_mul(d))?;
        let seen = (s.in_h as usize * s.in_w as usize + s.out_h as usize * s.out_w as usize)
            .checked_mul(channels)?;
        (len <= 4 * seen + 65_536).then_some(Frame {
            rows,
            columns,
            channels,
            stride,
        })
    }

    fn len(&self) -> usize {
        self.stride * self.rows * self.columns * self.channels
    }

    /// Where the inputs of a tap lie, for the first output.
    fn tap(&self, s: &ConvShape, ky: u32, kx: u32) -> usize {
        let (y, x) = (ky * s.dilation_h, (kx * s.dilation_w) as usize);
        let row = x % self.stride * self.rows + y as usize;
        (row * self.columns + x / self.stride) * self.channels
    }

    /// Where a row of outputs starts, behind the offset of the tap.
    fn row(&self, s: &ConvShape, out_y: usize) -> usize {
        out_y * s.stride_h as usize * self.columns * self.channels
    }

    /// Writes what lies around an image.
    fn pad(&self, s: &ConvShape, value: u8, frame: &mut [u8]) {
        let (top, left) = (s.pad_top as usize, s.pad_left as usize);
        let width = self.columns * self.channels;
        for (at, row) in frame
            .chunks_exact_mut(width)
            .take(self.stride * self.rows)
            .enumerate()
        {
            let (phase, y) = (at / self.rows, at % self.rows);
            if y < top || y >= top + s.in_h as usize {
                row.fill(value);
                continue;
            }
            // The first column of this phase at or behind one of the image.
            let first = |x: usize| {
                x.saturating_sub(phase)
                    .div_ceil(self.stride)
                    .min(self.columns)
            };
            row[..first(left) * self.channels].fill(value);
            row[first(left + s.in_w as usize) * self.channels..].fill(value);
        }
    }

    /// Copies an image into its place.
    fn fill(&self, s: &ConvShape, x: &[i8], frame: &mut [u8]) {
        let (in_c, row) = (s.in_c as usize, (s.in_w * s.in_c) as usize);
        let multiplier = self.channels / in_c;
        let top = s.pad_top as usize;
        for (y, x) in x
            .chunks_exact(row)
            .enumerate()
            .take(self.rows.saturating_sub(top))
        {
            let at = |column: usize| {
                let row = column % self.stride * self.rows + y + top;
                (row * self.columns + column / self.stride) * self.channels
            };
            let left = s.pad_left as usize;
            let width = (self.columns * self.stride).saturating_sub(left);
            if self.stride == 1 && multiplier == 1 {
                let width = width.min(s.in_w as usize) * in_c;
                copy(&x[..width], &mut frame[at(left)..][..width]);
                continue;
            }
            for (column, pixel) in x.chunks_exact(in_c).enumerate().take(width) {
                let to = &mut frame[at(left + column)..][..self.channels];
                if multiplier == 1 {
                    copy(pixel, to);
                    continue;
                }
                for (to, &value) in to.chunks_exact_mut(multiplier).zip(pixel) {
                    to.fill(flip(value));
                }
            }
        }
    }
}

/// A value as VNNI takes it.
fn flip(value: i8) -> u8 {
    value as u8 ^ 0x80
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl"))]
fn copy(from: &[i8], to: &mut [u8]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = flip(from);
    }
}

/// The next 64 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(x: &[u8]) -> __m512i {
    let line = x.first_chunk::<SEGMENT>();
    bytemuck::cast(*line.expect("a frame ends in a spare line"))
}

/// The channel of a lane of one of a segment's vectors, from the segment's first.
fn channel_of(vector: usize, lane: usize) -> usize {
    16 * (lane / 4) + 4 * vector + lane % 4
}

/// Pixels of a block: as few as fill their segments well.
fn block(channels: usize) -> usize {
    let full = |pixels: usize| {
        let bytes = pixels * channels;
        bytes as f64 / bytes.next_multiple_of(SEGMENT) as f64
    };
    let mut best = 1;
    for pixels in 2..=MOST_PIXELS {
        if full(pixels) > full(best) + 0.05 {
            best = pixels;
        }
    }
    best
}
