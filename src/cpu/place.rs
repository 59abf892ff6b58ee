//! Operators that move elements.

use super::operands::Operands;
use crate::kernel::{Box8, Place, VIEW};

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
