//! MEAN over constant axes.

use crate::kernel::{Mean, MeanI8};

/// Offset of element `i` of a nest of (size, stride) dimensions, outermost first.
fn offset(mut i: u32, dims: &[[u32; 2]]) -> usize {
    let mut at = 0;
    for &[size, stride] in dims.iter().rev() {
        at += (i % size) as usize * stride as usize;
        i /= size;
    }
    at
}

/// Calls `done` with the sum of each output's summands in one sample.
fn sums<T: Copy, A: Copy>(
    k: &Mean,
    x: &[T],
    zero: A,
    add: impl Fn(A, T) -> A,
    mut done: impl FnMut(usize, A),
) {
    let [a, b, c, d] = k
        .reduced
        .map(|[size, stride]| (size as usize, stride as usize));
    for output in 0..k.outputs {
        let base = offset(output, &k.kept);
        let mut sum = zero;
        for i in 0..a.0 * b.0 {
            let row = base + i / b.0 * a.1 + i % b.0 * b.1;
            for j in 0..c.0 {
                let row = row + j * c.1;
                sum = (0..d.0).fold(sum, |sum, l| add(sum, x[row + l * d.1]));
            }
        }
        done(output as usize, sum);
    }
}

/// Float; sums in double, so that the order of the summands does not matter.
pub fn f32(k: &Mean, samples: usize, x: &[f32], y: &mut [f32]) {
    let n = x.len() / samples;
    for (x, y) in x
        .chunks_exact(n)
        .zip(y.chunks_exact_mut(k.outputs as usize))
    {
        let mean = |sum: f64| (sum / f64::from(k.count)) as f32;
        sums(
            k,
            x,
            0.0,
            |sum: f64, x| sum + f64::from(x),
            |i, sum| y[i] = mean(sum),
        );
    }
}

/// The definition of the int8 kernel.
pub fn i8(k: &MeanI8, samples: usize, x: &[i8], y: &mut [i8]) {
    let n = x.len() / samples;
    let offset = k.input_zero_point.wrapping_mul(k.shape.count as i32);
    for (x, y) in x
        .chunks_exact(n)
        .zip(y.chunks_exact_mut(k.shape.outputs as usize))
    {
        sums(
            &k.shape,
            x,
            0i32,
            |sum, x| sum.wrapping_add(i32::from(x)),
            |i, sum| {
                let q = k
                    .multiplier
                    .apply(sum.wrapping_sub(offset))
                    .saturating_add(k.output_zero_point);
                y[i] = q.clamp(-128, 127) as i8;
            },
        );
    }
}
