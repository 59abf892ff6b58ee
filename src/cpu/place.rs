//! Operators that move elements.

use super::operands::Operands;
use crate::kernel::{Box8, Place, VIEW};
use std::ops::Range;

/// All samples. `T` is as wide as an element.
pub fn place<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
    k: &Place,
    x: Operands<'_>,
    y: &mut [T],
) {
    if let Some(fill) = &k.fill {
        let value: T = bytemuck::pod_read_unaligned(&fill[..size_of::<T>()]);
        y.fill(value);
    }
    let inputs: Vec<&[T]> = (0..x.len())
        .map(|i| bytemuck::cast_slice(x.bytes(i)))
        .collect();
    let n = y.len() / x.samples;
    for (s, y) in y.chunks_exact_mut(n).enumerate() {
        for part in &k.boxes {
            let i = part.input as usize;
            fill_box(&k.dims, part, x.sample(i, inputs[i], s), y);
        }
    }
}

/// How rows of an image are made of rows of another one with padding around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Padded {
    /// The outermost dimension of the box that is more than 1.
    outermost: usize,
    /// Elements of the output in one step along it.
    inside: usize,
    /// Rows of padding above.
    pub above: usize,
    /// Elements of a row of the input.
    row: usize,
}

impl Padded {
    /// Whether `k` is the padding of one image, `[height, row]` from `[height, row]`.
    pub fn new(k: &Place, from: [usize; 2], to: [usize; 2]) -> Option<Padded> {
        let [one] = &k.boxes[..] else { return None };
        let dims = k.dims.map(|d| d as usize);
        let outermost = dims.iter().position(|&d| d != 1)?;
        let inside: usize = dims[outermost + 1..].iter().product();
        let [[_, from_row], [height, row]] = [from, to];
        // Where rows have no padding of their own, they may be cut into pixels.
        let steps = row.checked_div(inside).filter(|n| n * inside == row)?;
        let (start, count) = (one.start[outermost] as usize, one.count[outermost] as usize);
        // A row reads one row.
        let reach = |d: usize| (one.count[d] as usize - 1) * one.strides[d].unsigned_abs() as usize;
        let reach: usize = (outermost + 1..VIEW).map(reach).sum();
        let is_padding = one.strides.iter().all(|&s| s >= 0)
            && one.base == 0
            && one.step == [1; VIEW]
            && steps > 0
            && dims[outermost] == height * steps
            && [start, count].iter().all(|n| n.is_multiple_of(steps))
            && count / steps == from[0]
            && one.strides[outermost] as usize * steps == from_row
            && reach < from_row / steps;
        is_padding.then_some(Padded {
            outermost,
            inside,
            above: start / steps,
            row: from_row,
        })
    }

    /// Some rows of the output, from rows of the input that begin with row `first`.
    pub fn rows(&self, k: &Place, out: Range<usize>, x: &[f32], first: usize, y: &mut [f32]) {
        let fill = k
            .fill
            .map_or(0.0, |f| f32::from_le_bytes([f[0], f[1], f[2], f[3]]));
        y.fill(fill);
        let d = self.outermost;
        let mut part = k.boxes[0];
        let mut dims = k.dims;
        let steps = y.len() / self.inside;
        let begin = out.start * (steps / out.len().max(1));
        dims[d] = steps as u32;
        let (start, end) = (
            part.start[d] as usize,
            (part.start[d] + part.count[d]) as usize,
        );
        let inner = start.max(begin)..end.min(begin + steps);
        if inner.is_empty() {
            return;
        }
        part.start[d] = (inner.start - begin) as u32;
        part.count[d] = inner.len() as u32;
        part.base = ((inner.start - start) * part.strides[d] as usize - first * self.row) as u32;
        fill_box(&dims, &part, x, y);
    }
}

fn fill_box<T: Copy>(dims: &[u32; VIEW], part: &Box8, x: &[T], y: &mut [T]) {
    let mut out_steps = [1usize; VIEW];
    for d in (1..VIEW).rev() {
        out_steps[d - 1] = out_steps[d] * dims[d] as usize;
    }
    let mut to: usize = (0..VIEW)
        .map(|d| part.start[d] as usize * out_steps[d])
        .sum();
    let mut from = part.base as isize;
    let step = |d: usize| part.step[d] as usize * out_steps[d];
    const LAST: usize = VIEW - 1;
    let (count, stride) = (part.count[LAST] as usize, part.strides[LAST] as isize);
    let rows: usize = part.count[..LAST].iter().map(|&c| c as usize).product();
    let mut index = [0u32; LAST];
    for _ in 0..rows {
        if step(LAST) == 1 && stride == 1 {
            y[to..to + count].copy_from_slice(&x[from as usize..][..count]);
        } else {
            let mut at = from;
            for y in y[to..].iter_mut().step_by(step(LAST)).take(count) {
                *y = x[at as usize];
                at += stride;
            }
        }
        for d in (0..LAST).rev() {
            index[d] += 1;
            to += step(d);
            from += part.strides[d] as isize;
            if index[d] < part.count[d] {
                break;
            }
            to -= step(d) * part.count[d] as usize;
            from -= part.strides[d] as isize * part.count[d] as isize;
            index[d] = 0;
        }
    }
}
