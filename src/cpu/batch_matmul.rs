//! Products of two activations.

use super::operands::Operands;
use crate::kernel::{MatmulF32, MatmulI8, MatmulShape};
use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2, ShapeBuilder};

/// A view of a matrix within an operand.
fn view<T>(x: &[T], rows: u32, columns: u32, [down, across]: [u32; 2]) -> ArrayView2<'_, T> {
    let shape = (rows as usize, columns as usize).strides((down as usize, across as usize));
    ArrayView2::from_shape(shape, x).expect("kernel::prepare checked sizes and strides")
}

/// Calls `f` with every pair of matrices of all samples, and its number.
pub fn matrices<T>(
    s: &MatmulShape,
    x: Operands<'_>,
    (a, b): (&[T], &[T]),
    samples: usize,
    mut f: impl FnMut(usize, ArrayView2<'_, T>, ArrayView2<'_, T>),
) {
    let matrices: u32 = s.batch.iter().product();
    for sample in 0..samples {
        let (a, b) = (part(x, 0, a, sample), part(x, 1, b, sample));
        s.each(|i, [at_a, at_b]| {
            let a = view(&a[at_a..], s.rows, s.depth, s.x);
            let b = view(&b[at_b..], s.depth, s.columns, s.y);
            f(sample * matrices as usize + i, a, b);
        });
    }
}

fn part<'a, T>(x: Operands<'_>, i: usize, all: &'a [T], sample: usize) -> &'a [T] {
    if x.constant(i) {
        return all;
    }
    let n = all.len() / x.samples;
    &all[sample * n..][..n]
}

/// Floats, with a bias where there is a third operand.
pub fn f32(k: &MatmulF32, x: Operands<'_>, y: &mut [f32]) {
    let s = &k.shape;
    let size = s.rows as usize * s.columns as usize;
    matrices(s, x, (x.f32s(0), x.f32s(1)), x.samples, |i, a, b| {
        let y = &mut y[i * size..][..size];
        let shape = (s.rows as usize, s.columns as usize);
        let mut c = ArrayViewMut2::from_shape(shape, y).expect("it is a whole matrix");
        general_mat_mul(1.0, &a, &b, 0.0, &mut c);
    });
    if x.len() > 2 {
        let bias = x.f32s(2);
        let n = y.len() / x.samples;
        for (sample, y) in y.chunks_exact_mut(n).enumerate() {
            let bias = part(x, 2, bias, sample);
            for row in y.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        }
    }
    super::conv::clamp(y, k.bounds);
}

/// The definition of the int8 kernel.
pub fn i8(k: &MatmulI8, x: Operands<'_>, y: &mut [i8]) {
    let s = &k.shape;
    let size = s.rows as usize * s.columns as usize;
    let [zero_a, zero_b] = k.input_zero_points;
    matrices(s, x, (x.i8s(0), x.i8s(1)), x.samples, |i, a, b| {
        let y = &mut y[i * size..][..size];
        for (at, y) in y.iter_mut().enumerate() {
            let (row, column) = (at / s.columns as usize, at % s.columns as usize);
            let products = a.row(row).into_iter().zip(b.column(column));
            let sum = products.fold(0i32, |sum, (&a, &b)| {
                sum.wrapping_add((i32::from(a) - zero_a) * (i32::from(b) - zero_b))
            });
            *y = finish(k, sum);
        }
    });
}

fn finish(k: &MatmulI8, sum: i32) -> i8 {
    let q = k.multiplier.apply(sum).saturating_add(k.output_zero_point);
    q.clamp(-128, 127) as i8
}

/// The same on float units, which hold every sum of so few products exactly: see [`super::gemm`].
pub fn fast_i8(k: &MatmulI8, x: Operands<'_>, y: &mut [i8]) {
    let s = &k.shape;
    let size = s.rows as usize * s.columns as usize;
    let real = |i: usize| -> Vec<f32> {
        let zero = k.input_zero_points[i];
        x.i8s(i)
            .iter()
            .map(|&q| (i32::from(q) - zero) as f32)
            .collect()
    };
    let (a, b) = (real(0), real(1));
    let mut sums = vec![0.0; size];
    matrices(s, x, (&a, &b), x.samples, |i, a, b| {
        let shape = (s.rows as usize, s.columns as usize);
        let mut c = ArrayViewMut2::from_shape(shape, &mut sums).expect("it is a whole matrix");
        general_mat_mul(1.0, &a, &b, 0.0, &mut c);
        let y = &mut y[i * size..][..size];
        y.iter_mut()
            .zip(&sums)
            .for_each(|(y, &sum)| *y = finish(k, sum as i32));
    });
}

/// Whether [`fast_i8`] is exact: sums of products of 9 and 9 bits stay below 2^24.
pub fn is_exact(k: &MatmulI8) -> bool {
    let reach = |zero: i32| u64::from((127 - zero).max(zero + 128).unsigned_abs());
    let [a, b] = k.input_zero_points;
    reach(a) * reach(b) * u64::from(k.shape.depth) < 1 << 24
}
