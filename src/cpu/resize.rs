//! RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR. Input and output NHWC.

use super::operands::Operands;
use super::pool::Small;
use crate::kernel::{Bilinear, Nearest, ResizeShape, Tap};

fn sizes(s: &ResizeShape) -> (usize, usize, usize) {
    let image = |[h, w]: [u32; 2]| h as usize * w as usize * s.channels as usize;
    (image(s.input), image(s.output), s.channels as usize)
}

/// The nearest pixels; `T` is as wide as an element.
pub fn nearest<T: bytemuck::AnyBitPattern>(k: &Nearest, x: Operands<'_>, y: &mut [T]) {
    let x: &[T] = bytemuck::cast_slice(x.bytes(0));
    let (input, output, channels) = sizes(&k.shape);
    let width = k.shape.input[1] as usize;
    // Samples and the model's own batch are the same here.
    for (x, y) in x.chunks_exact(input).zip(y.chunks_exact_mut(output)) {
        let pixels = k.rows.iter().flat_map(|&r| {
            let columns = k.columns.iter();
            columns.map(move |&c| r as usize * width + c as usize)
        });
        for (at, y) in pixels.zip(y.chunks_exact_mut(channels)) {
            y.copy_from_slice(&x[at * channels..][..channels]);
        }
    }
}

/// Calls `f` with the output's channels, those of the four neighbours, and the taps of every pixel.
fn pixels<T, W>(
    k: &Bilinear<W>,
    x: &[T],
    y: &mut [T],
    f: impl Fn(&mut [T], [&[T]; 4], &Tap<W>, &Tap<W>),
) {
    let (input, output, channels) = sizes(&k.shape);
    let width = k.shape.input[1] as usize;
    for (x, y) in x.chunks_exact(input).zip(y.chunks_exact_mut(output)) {
        let taps = k
            .rows
            .iter()
            .flat_map(|r| k.columns.iter().map(move |c| (r, c)));
        for ((r, c), y) in taps.zip(y.chunks_exact_mut(channels)) {
            let at = |row: u32, column: u32| {
                &x[(row as usize * width + column as usize) * channels..][..channels]
            };
            let neighbours = [
                at(r.lower, c.lower),
                at(r.upper, c.lower),
                at(r.lower, c.upper),
                at(r.upper, c.upper),
            ];
            f(y, neighbours, r, c);
        }
    }
}

/// The rows of the input between which an output row lies, brought to its width and kept as long as they serve: most
/// serve several times.
struct Wide<T> {
    rows: [(Option<u32>, T); 2],
}

impl<T: Default> Wide<T> {
    fn new() -> Self {
        Wide {
            rows: [(None, T::default()), (None, T::default())],
        }
    }

    /// Two rows; `make` makes what is not there yet.
    fn get(&mut self, lower: u32, upper: u32, mut make: impl FnMut(u32, &mut T)) -> [&T; 2] {
        for (row, other) in [(lower, upper), (upper, lower)] {
            if self.rows.iter().all(|(known, _)| *known != Some(row)) {
                let old = usize::from(self.rows[0].0 == Some(other));
                make(row, &mut self.rows[old].1);
                self.rows[old].0 = Some(row);
            }
        }
        [lower, upper].map(|row| {
            let at = usize::from(self.rows[0].0 != Some(row));
            &self.rows[at].1
        })
    }
}

/// Each column's number as often as there are channels.
fn by_column<W, T: Copy>(k: &Bilinear<W>, of: impl Fn(&Tap<W>) -> T) -> Vec<T> {
    let channels = k.shape.channels as usize;
    let columns = k.columns.iter();
    columns
        .flat_map(|c| std::iter::repeat_n(of(c), channels))
        .collect()
}

/// Calls `f` with every output row, its taps, and the input rows between which it lies, as `make` widened them.
fn rows<T: Copy, W, R: Default>(
    k: &Bilinear<W>,
    x: &[T],
    y: &mut [T],
    mut make: impl FnMut(&[T], &mut R),
    mut f: impl FnMut(&mut [T], &Tap<W>, [&R; 2]),
) {
    let (input, output, channels) = sizes(&k.shape);
    let row = k.shape.input[1] as usize * channels;
    let wide_row = k.shape.output[1] as usize * channels;
    for (x, y) in x.chunks_exact(input).zip(y.chunks_exact_mut(output)) {
        let mut wide = Wide::new();
        for (r, y) in k.rows.iter().zip(y.chunks_exact_mut(wide_row)) {
            let both = wide.get(r.lower, r.upper, |at, to| {
                make(&x[at as usize * row..][..row], to);
            });
            f(y, r, both);
        }
    }
}

/// Floats.
pub fn f32(k: &Bilinear<f32>, x: &[f32], y: &mut [f32]) {
    let weights = [by_column(k, |c| c.below), by_column(k, |c| c.above)];
    let channels = k.shape.channels as usize;
    let spread = |x: &[f32], [lower, upper]: &mut [Vec<f32>; 2]| {
        lower.clear();
        upper.clear();
        for c in &k.columns {
            lower.extend_from_slice(&x[c.lower as usize * channels..][..channels]);
            upper.extend_from_slice(&x[c.upper as usize * channels..][..channels]);
        }
    };
    rows(k, x, y, spread, |y, r, [lower, upper]| {
        blend(y, (r.below, r.above), &weights, lower, upper);
    });
}

/// In LiteRT's order.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn blend(
    y: &mut [f32],
    (below, above): (f32, f32),
    weights: &[Vec<f32>; 2],
    lower: &[Vec<f32>; 2],
    upper: &[Vec<f32>; 2],
) {
    let n = y.len();
    let [before, behind] = [&weights[0][..n], &weights[1][..n]];
    let [ll, lu] = [&lower[0][..n], &lower[1][..n]];
    let [ul, uu] = [&upper[0][..n], &upper[1][..n]];
    for i in 0..n {
        y[i] = ll[i] * below * before[i]
            + ul[i] * above * before[i]
            + lu[i] * below * behind[i]
            + uu[i] * above * behind[i];
    }
}

/// int8, rounded half away from zero (XNNPACK: up).
pub fn i8(k: &Bilinear<i32>, x: &[i8], y: &mut [i8]) {
    // Weights of 10 or 11 bits a dimension: sums stay below 2³⁰.
    let channels = k.shape.channels as usize;
    let spread = |x: &[i8], to: &mut Vec<i32>| {
        to.clear();
        for c in &k.columns {
            let lower = &x[c.lower as usize * channels..][..channels];
            let upper = &x[c.upper as usize * channels..][..channels];
            let both = lower.iter().zip(upper);
            to.extend(both.map(|(&l, &u)| i32::from(l) * c.below + i32::from(u) * c.above));
        }
    };
    rows(k, x, y, spread, |y, r, [lower, upper]| {
        blend_i8(y, (r.below, r.above), lower, upper, (2 * k.bits, k.ties_up));
    });
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn blend_i8(
    y: &mut [i8],
    (below, above): (i32, i32),
    lower: &[i32],
    upper: &[i32],
    (shift, ties_up): (u32, bool),
) {
    let half = 1i32 << (shift - 1);
    let sums = lower.iter().zip(upper);
    for (y, (&l, &u)) in y.iter_mut().zip(sums) {
        let sum = l * below + u * above;
        // The sign of the sum, where halves go away from zero.
        let sign = if ties_up { 0 } else { sum >> 31 };
        *y = ((((sum ^ sign) - sign + half) >> shift ^ sign) - sign) as i8;
    }
}

/// int16; the definition for int8.
pub fn integers<T: Small>(k: &Bilinear<i32>, x: &[T], y: &mut [T]) {
    pixels(k, x, y, |y, neighbours, r, c| {
        let weights = [
            r.below * c.below,
            r.above * c.below,
            r.below * c.above,
            r.above * c.above,
        ];
        for (i, y) in y.iter_mut().enumerate() {
            let products = neighbours.iter().zip(weights);
            let sum: i64 = products
                .map(|(x, w)| i64::from(x[i].into()) * i64::from(w))
                .sum();
            let half = 1i64 << (2 * k.bits - 1);
            let rounded = match k.ties_up {
                true => (sum + half) >> (2 * k.bits),
                false if sum > 0 => (sum + half) / (2 * half),
                false => (sum - half) / (2 * half),
            };
            *y = T::cut(rounded as i32);
        }
    });
}
