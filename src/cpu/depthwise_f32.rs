//! Float DEPTHWISE_CONV_2D with one output channel for each input channel. Input NHWC, output NHWC, samples outermost.
//!
//! A row of an image is one run of floats, in which a tap of the filter is a distance. With a horizontal stride of 1 a
//! row of outputs is such a run too: it is computed vector by vector, whatever the number of channels, since the weights
//! of vectors repeat after a while. With other strides every pixel is a run. Several rows of outputs are computed
//! together, because they share most of their inputs. Outputs whose taps lie beside the image read from a copy of these
//! columns with the padding around it.
//!
//! Every output adds its products in the order of the taps, whichever way it goes, and then its bias, all of it rounded
//! as in LiteRT's kernel. So a result does not depend on which rows are computed together.

use super::conv::{Rows, reach};
use super::product::{LINE, load, store, within};
use super::simd::arch;
use crate::kernel::{ConvF32, ConvShape};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Output rows computed together.
const ROWS: usize = 4;
/// Floats of packed weights that are never too many: 16 MiB.
const LARGE: usize = 4 << 20;

/// The weights, packed once.
#[derive(Debug)]
pub struct Depthwise {
    /// For each place of a vector in a run: a vector for each tap, then the biases. After as many places as there are
    /// vectors in the shortest run of whole pixels and whole vectors they repeat. One more place is that of the last
    /// vector of a run that ends with a pixel and not with a vector.
    weights: Vec<f32>,
    /// Where they begin: at the beginning of a cache line.
    start: usize,
    /// Places that repeat.
    period: usize,
    /// A row of padding.
    zeros: Vec<f32>,
}

/// Lanes of a vector.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

impl Depthwise {
    /// Packs the weights; `None` if filters have several outputs a channel, or if the packed weights would be huge: of many
    /// channels that do not fill vectors.
    pub fn new(k: &ConvF32) -> Option<Self> {
        let s = &k.shape;
        if s.group_out != 1 {
            return None;
        }
        let (c, k_h, k_w) = (s.out_c as usize, s.k_h as usize, s.k_w as usize);
        let lanes = arch().dispatch(Lanes);
        let pixels = (1..=lanes).find(|pixels| (pixels * c).is_multiple_of(lanes))?;
        let period = pixels * c / lanes;
        let last = (c - lanes % c) % c;
        let n = (period + 1) * (k_h * k_w + 1) * lanes;
        if n > LARGE && n > 2 * k.weights.len() {
            return None;
        }
        let mut weights: Vec<f32> = Vec::with_capacity(n + LINE);
        let start = weights.as_ptr().align_offset(LINE * size_of::<f32>());
        // A pointer that cannot be aligned is only slower.
        let start = if start < LINE { start } else { 0 };
        weights.resize(start, 0.0);
        for first in (0..period).map(|place| place * lanes).chain([last]) {
            let channels = || (first..first + lanes).map(|i| i % c);
            for tap in k.weights.chunks_exact(c) {
                weights.extend(channels().map(|channel| tap[channel]));
            }
            weights.extend(channels().map(|channel| k.bias[channel]));
        }
        Some(Self {
            weights,
            start,
            period,
            zeros: vec![0.0; s.in_w as usize * c],
        })
    }

    /// All images in `x`.
    pub fn run(&self, k: &ConvF32, x: &[f32], y: &mut [f32], frame: &mut Vec<f32>) {
        let s = &k.shape;
        let images = x.chunks_exact((s.in_h * s.in_w * s.in_c) as usize);
        let outputs = y.chunks_exact_mut((s.out_h * s.out_w * s.out_c) as usize);
        for (data, y) in images.zip(outputs) {
            self.rows(k, Rows { data, first: 0 }, 0..s.out_h as usize, y, frame);
        }
    }

    /// Output rows `out` of an image, of which `x` has all rows that they read.
    pub fn rows(
        &self,
        k: &ConvF32,
        x: Rows<'_>,
        out: Range<usize>,
        y: &mut [f32],
        frame: &mut Vec<f32>,
    ) {
        let s = &k.shape;
        let job = Job {
            weights: self,
            k,
            x,
            out,
            y,
            frame,
        };
        // Rows of filters that lie apart share nothing.
        match (s.k_h, s.k_w, s.stride_h, s.dilation_h) {
            (3, 3, 1, 1) => arch().dispatch(Square::<3, 10, 1, 6>(job)),
            (3, 3, 2, 1) => arch().dispatch(Square::<3, 10, 2, 9>(job)),
            (5, 5, 1, 1) => arch().dispatch(Square::<5, 26, 1, 8>(job)),
            (5, 5, 2, 1) => arch().dispatch(Square::<5, 26, 2, 11>(job)),
            _ => arch().dispatch(Any(job)),
        }
    }
}

/// Output rows of one image.
struct Job<'a> {
    weights: &'a Depthwise,
    k: &'a ConvF32,
    x: Rows<'a>,
    out: Range<usize>,
    y: &'a mut [f32],
    frame: &'a mut Vec<f32>,
}

/// Filters of K × K taps, which with a bias make T vectors, on output rows that lie STRIDE input rows apart: [`ROWS`] of
/// them read N.
struct Square<'a, const K: usize, const T: usize, const STRIDE: usize, const N: usize>(Job<'a>);

impl<const K: usize, const T: usize, const STRIDE: usize, const N: usize> WithSimd
    for Square<'_, K, T, STRIDE, N>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Job { out, .. } = &self.0;
        let (mut from, end, many) = (out.start, out.end, out.len() >= ROWS);
        let mut job = self.0;
        while from + ROWS <= end {
            job.lines(from, ROWS, |run| {
                run.together::<S, ROWS, K, T, STRIDE, N>(simd);
            });
            from += ROWS;
        }
        if from < end && many {
            // Some rows again, to the same result, are cheaper than one by one.
            job.lines(end - ROWS, ROWS, |run| {
                run.together::<S, ROWS, K, T, STRIDE, N>(simd);
            });
            return;
        }
        for from in from..end {
            job.lines(from, 1, |run| {
                run.together::<S, 1, K, T, STRIDE, K>(simd);
            });
        }
    }
}

/// Filters of any size.
struct Any<'a>(Job<'a>);

impl WithSimd for Any<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for from in self.0.out.clone() {
            self.0.lines(from, 1, |run| {
                let n = run.n;
                run.one_by_one(simd, 0, 0..n);
            });
        }
    }
}

impl Job<'_> {
    /// Some output rows from row `out_y` on, in runs.
    #[inline(always)]
    fn lines(&mut self, out_y: usize, lines: usize, mut compute: impl FnMut(&mut Run<'_>)) {
        let s = &self.k.shape;
        let (c, width) = (s.out_c as usize, s.out_w as usize);
        let row = s.in_w as usize * c;
        let above = out_y * s.stride_h as usize;
        // Side by side for filters without dilation, else just those of a single output row.
        let dilation = s.dilation_h as usize;
        let read = reach(lines, s.stride_h, s.k_h, s.dilation_h).div_ceil(dilation);
        let mut inputs: Vec<&[f32]> = Vec::with_capacity(read);
        for i in 0..read {
            let at = (above + i * dilation).checked_sub(s.pad_top as usize);
            let inside = at.filter(|&at| at < s.in_h as usize);
            inputs.push(inside.map_or(&self.weights.zeros, |at| {
                &self.x.data[(at - self.x.first) * row..][..row]
            }));
        }
        for segment in segments(s) {
            let first = segment.columns.start * s.stride_w as usize;
            let columns = segment.columns.len();
            let begin = ((out_y - self.out.start) * width + segment.columns.start) * c;
            let mut framed: Vec<&[f32]> = Vec::new();
            let (rows, at) = if segment.framed {
                let pitch = reach(columns, s.stride_w, s.k_w, s.dilation_w) * c;
                surround(s, &inputs, first, pitch, self.frame);
                framed.extend(self.frame.chunks_exact(pitch).take(read));
                (&framed, 0)
            } else {
                (&inputs, (first - s.pad_left as usize) * c)
            };
            let (runs, n) = match s.stride_w {
                1 => (1, columns * c),
                _ => (columns, c),
            };
            for run in 0..runs {
                compute(&mut Run {
                    weights: self.weights,
                    k: self.k,
                    rows,
                    at: at + run * s.stride_w as usize * c,
                    n,
                    y: &mut self.y[begin + run * c..],
                });
            }
        }
    }
}

/// Output columns, and whether they need padding.
struct Segment {
    columns: Range<usize>,
    framed: bool,
}

/// The columns in the middle, whose taps all lie in the image, and those around them.
fn segments(s: &ConvShape) -> impl Iterator<Item = Segment> {
    let (width, stride) = (s.out_w as usize, s.stride_w as usize);
    let start = (s.pad_left as usize).div_ceil(stride).min(width);
    // Columns of the image and the padding before it that are left where the filter stands in column 0.
    let room =
        (s.in_w as usize + s.pad_left as usize).checked_sub(reach(1, 1, s.k_w, s.dilation_w));
    let end = room.map_or(start, |room| (room / stride + 1).clamp(start, width));
    let middle = end - start;
    let parts = if 2 * middle < width {
        // Nearly all of it is copied anyway.
        [0..width, width..width, width..width]
    } else {
        [0..start, start..end, end..width]
    };
    let framed = 2 * middle < width;
    parts
        .into_iter()
        .enumerate()
        .filter(|(_, columns)| !columns.is_empty())
        .map(move |(i, columns)| Segment {
            columns,
            framed: framed || i != 1,
        })
}

/// Copies `pitch` floats of each row, from column `first` of the padded image on, with the padding.
fn surround(s: &ConvShape, rows: &[&[f32]], first: usize, pitch: usize, frame: &mut Vec<f32>) {
    let c = s.out_c as usize;
    if frame.len() < rows.len() * pitch {
        frame.resize(rows.len() * pitch, 0.0);
    }
    let pad = ((s.pad_left as usize).saturating_sub(first) * c).min(pitch);
    let from = first.saturating_sub(s.pad_left as usize) * c;
    for (to, row) in frame.chunks_exact_mut(pitch).zip(rows) {
        let n = row.len().saturating_sub(from).min(pitch - pad);
        to[..pad].fill(0.0);
        to[pad..pad + n].copy_from_slice(&row[row.len().min(from)..][..n]);
        to[pad + n..].fill(0.0);
    }
}

/// A run of outputs in each of some rows, all of whose taps lie in the rows that are given.
struct Run<'a> {
    weights: &'a Depthwise,
    k: &'a ConvF32,
    /// Rows of inputs.
    rows: &'a [&'a [f32]],
    /// Where the first tap of the first output reads in each of them.
    at: usize,
    /// Floats of the run.
    n: usize,
    /// Begins with the first output.
    y: &'a mut [f32],
}

impl Run<'_> {
    /// R rows of outputs.
    #[allow(
        clippy::needless_range_loop,
        reason = "iterators are not always inlined"
    )]
    #[inline(always)]
    fn together<
        S: Simd,
        const R: usize,
        const K: usize,
        const T: usize,
        const STRIDE: usize,
        const N: usize,
    >(
        &mut self,
        simd: S,
    ) {
        let s = &self.k.shape;
        let (c, lanes) = (s.out_c as usize, S::F32_LANES);
        let (pitch, step) = (s.out_w as usize * c, s.dilation_w as usize * c);
        let whole = self.n / lanes;
        // What each tap reads: slices of one known length, so that the loop below needs no checks.
        let mut taps: [[&[S::f32s]; K]; N] = [[&[]; K]; N];
        for kx in 0..K {
            for r in 0..N {
                let x = &self.rows[r][self.at + kx * step..][..self.n];
                taps[r][kx] = &S::as_simd_f32s(x).0[..whole];
            }
        }
        let (low, high) = self.k.bounds;
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        let weights = S::as_simd_f32s(&self.weights.weights[self.weights.start..])
            .0
            .as_chunks::<T>()
            .0;
        let weights = &weights[..self.weights.period];
        let mut place = 0;
        for i in 0..whole {
            let w = &weights[place];
            place = if place + 1 == weights.len() {
                0
            } else {
                place + 1
            };
            let mut sums = [simd.splat_f32s(0.0); R];
            for r in 0..N {
                for kx in 0..K {
                    let x = taps[r][kx][i];
                    for o in 0..R {
                        if r >= o * STRIDE && r - o * STRIDE < K {
                            // Not fused: few products, rounded and added just as LiteRT does.
                            let product = simd.mul_f32s(x, w[(r - o * STRIDE) * K + kx]);
                            sums[o] = simd.add_f32s(sums[o], product);
                        }
                    }
                }
            }
            for o in 0..R {
                let sum = simd.add_f32s(sums[o], w[T - 1]);
                let y = &mut self.y[o * pitch + i * lanes..][..lanes];
                S::as_mut_simd_f32s(y).0[0] = within(simd, sum, low, high);
            }
        }
        for o in 0..R {
            self.one_by_one(simd, o, whole * lanes..self.n);
        }
    }

    /// Some floats of row `o` of the outputs, from the beginning of a vector to the end of the run.
    #[inline(always)]
    fn one_by_one<S: Simd>(&mut self, simd: S, o: usize, floats: Range<usize>) {
        let s = &self.k.shape;
        let (c, lanes) = (s.out_c as usize, S::F32_LANES);
        let (k_h, k_w) = (s.k_h as usize, s.k_w as usize);
        let (pitch, step) = (s.out_w as usize * c, s.dilation_w as usize * c);
        // Filters that lie apart come one row at a time.
        let rows = &self.rows[o * s.stride_h as usize..][..k_h];
        let weights = S::as_simd_f32s(&self.weights.weights[self.weights.start..]).0;
        let (low, high) = self.k.bounds;
        let (low, high) = (simd.splat_f32s(low), simd.splat_f32s(high));
        let mut from = floats.start;
        while from < floats.end {
            // The last vector: some outputs again, to the same result, or only a part of it.
            let again = from + lanes > self.n && self.n >= lanes;
            let (at, place) = match again {
                true => (self.n - lanes, self.weights.period),
                false => (from, from / lanes % self.weights.period),
            };
            let n = lanes.min(self.n - at);
            let w = &weights[place * (k_h * k_w + 1)..][..k_h * k_w + 1];
            let mut sum = simd.splat_f32s(0.0);
            for (ky, row) in rows.iter().enumerate() {
                for kx in 0..k_w {
                    let [x] = load::<S, 1>(simd, &row[self.at + kx * step + at..][..n]);
                    sum = simd.add_f32s(sum, simd.mul_f32s(x, w[ky * k_w + kx]));
                }
            }
            let sum = within(simd, simd.add_f32s(sum, w[k_h * k_w]), low, high);
            store(simd, &mut self.y[o * pitch + at..][..n], &[sum]);
            from += lanes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::conv_f32::multiplied;

    /// A SAME convolution of one image with numbers in it.
    fn case(size: u32, channels: u32, k: u32) -> (ConvF32, Vec<f32>) {
        let shape = ConvShape {
            batch: 1,
            in_h: size,
            in_w: size,
            in_c: channels,
            out_h: size,
            out_w: size,
            out_c: channels,
            k_h: k,
            k_w: k,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: k / 2,
            pad_left: k / 2,
            group_in: 1,
            group_out: 1,
        };
        let numbers = |n: u32| (0..n).map(|i| (i * 31 % 89) as f32 * 0.02 - 0.9).collect();
        let kernel = ConvF32 {
            shape,
            weights: numbers(k * k * channels),
            bias: numbers(channels),
            bounds: (-1.0, 6.0),
        };
        (kernel, numbers(size * size * channels))
    }

    #[test]
    fn runs_give_what_the_general_way_gives() {
        for (size, channels, k) in [(7, 24, 3), (9, 5, 5), (4, 33, 3), (6, 16, 5), (3, 1, 4)] {
            let (kernel, x) = case(size, channels, k);
            let [mut y, mut want] = [vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]];
            let fast = Depthwise::new(&kernel).unwrap();
            fast.run(&kernel, &x, &mut y, &mut Vec::new());
            multiplied(&kernel, &x, &mut want);
            // The bias comes first there.
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
            assert!(y.iter().zip(&want).all(near), "{size} {channels} {k}");
        }
    }

    #[test]
    fn weights_that_would_grow_too_large_are_not_packed() {
        assert!(Depthwise::new(&case(1, 65_535, 3).0).is_none());
        assert!(Depthwise::new(&case(1, 65_536, 3).0).is_some());
    }
}
