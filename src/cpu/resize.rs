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

/// Floats.
pub fn f32(k: &Bilinear<f32>, x: &[f32], y: &mut [f32]) {
    pixels(k, x, y, |y, [ll, ul, lu, uu], r, c| {
        for (i, y) in y.iter_mut().enumerate() {
            *y = ll[i] * r.below * c.below
                + ul[i] * r.above * c.below
                + lu[i] * r.below * c.above
                + uu[i] * r.above * c.above;
        }
    });
}

/// int8, rounded half away from zero.
pub fn i8(k: &Bilinear<i32>, x: &[i8], y: &mut [i8]) {
    integers(k, x, y);
}

/// int8 or int16.
#[inline(always)]
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
