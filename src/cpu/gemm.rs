//! Matrix products: f32 by `matrixmultiply` (through ndarray), and int8 exactly on top of the same.
//!
//! An int8 product is at most 2¹⁴ and every integer up to 2²⁴ is an f32, so a float sum of int8 products is exact, in
//! any order, while 128·Σ|w| stays below 2²⁴ for each row of weights. Longer rows are cut into pieces for which
//! that holds, and the pieces are added as integers.
//!
//! The result of a row never depends on how many rows are computed at once: `matrixmultiply` blocks the depth by a
//! constant. That keeps statistics identical for any batch size.

use ndarray::{ArrayView2, ArrayViewMut2, linalg::general_mat_mul};
use std::ops::Range;

/// y = x · wᵀ: x is `[m, k]`, w `[n, k]`, y `[m, n]`; all may be strided.
pub fn multiply(x: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>, y: &mut ArrayViewMut2<'_, f32>) {
    general_mat_mul(1.0, &x, &w.t(), 0.0, y);
}

/// A `[rows, columns]` view of a slice that is exactly that long.
pub fn matrix(data: &[f32], rows: usize, columns: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows, columns), data)
        .expect("callers pass slices of rows * columns elements")
}

/// A mutable `[rows, columns]` view.
pub fn matrix_mut(data: &mut [f32], rows: usize, columns: usize) -> ArrayViewMut2<'_, f32> {
    ArrayViewMut2::from_shape((rows, columns), data)
        .expect("callers pass slices of rows * columns elements")
}

/// int8 weights `[n, k]` ready for exact products on float units.
#[derive(Debug)]
pub struct ExactWeights {
    weights: Vec<f32>,
    n: usize,
    k: usize,
    pieces: Vec<Range<usize>>,
}

impl ExactWeights {
    /// Prepares weights of `n` rows.
    pub fn new(weights: &[i8], n: usize) -> Self {
        let k = weights.len() / n;
        Self {
            weights: weights.iter().map(|&w| f32::from(w)).collect(),
            n,
            k,
            pieces: pieces(weights, k),
        }
    }

    /// acc = x · wᵀ for `m` rows of integers in [−128, 127] given as floats; `scratch` is reused between calls.
    pub fn multiply(&self, x: &[f32], m: usize, acc: &mut Vec<i32>, scratch: &mut Vec<f32>) {
        let (n, k) = (self.n, self.k);
        acc.clear();
        scratch.resize(m * n, 0.0);
        for (i, piece) in self.pieces.iter().enumerate() {
            let columns = ndarray::s![.., piece.clone()];
            let mut y = matrix_mut(scratch, m, n);
            multiply(
                matrix(x, m, k).slice(columns),
                matrix(&self.weights, n, k).slice(columns),
                &mut y,
            );
            if i == 0 {
                acc.extend(scratch.iter().map(|&v| v as i32));
            } else {
                acc.iter_mut()
                    .zip(scratch.iter())
                    .for_each(|(a, &v)| *a = a.wrapping_add(v as i32));
            }
        }
    }
}

/// The longest runs of columns for which every row's 128·Σ|w| stays below 2²⁴.
fn pieces(weights: &[i8], k: usize) -> Vec<Range<usize>> {
    const BOUND: u32 = (1 << 24) / 128;
    let mut sums = vec![0u32; weights.len() / k];
    let (mut pieces, mut start) = (Vec::new(), 0);
    for column in 0..k {
        let add = |sum: &u32, row: usize| sum + u32::from(weights[row * k + column].unsigned_abs());
        if sums
            .iter()
            .enumerate()
            .any(|(row, sum)| add(sum, row) >= BOUND)
        {
            pieces.push(start..column);
            start = column;
            sums.fill(0);
        }
        for (row, sum) in sums.iter_mut().enumerate() {
            *sum += u32::from(weights[row * k + column].unsigned_abs());
        }
    }
    pieces.push(start..k);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn definition(x: &[i8], w: &[i8], m: usize, n: usize, k: usize) -> Vec<i32> {
        let dot = |i: usize, j: usize| {
            (0..k)
                .map(|c| i32::from(x[i * k + c]) * i32::from(w[j * k + c]))
                .sum()
        };
        (0..m * n).map(|e| dot(e / n, e % n)).collect()
    }

    fn check(x: &[i8], w: &[i8], m: usize, n: usize, k: usize) {
        let floats: Vec<f32> = x.iter().map(|&v| f32::from(v)).collect();
        let (mut acc, mut scratch) = (Vec::new(), Vec::new());
        ExactWeights::new(w, n).multiply(&floats, m, &mut acc, &mut scratch);
        assert_eq!(acc, definition(x, w, m, n, k));
    }

    #[test]
    fn exact_at_the_extremes() {
        let k = 5000;
        check(&vec![-128; 2 * k], &vec![-127; 3 * k], 2, 3, k);
        check(&vec![-128; 2 * k], &vec![-128; 3 * k], 2, 3, k);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn exact(m in 1usize..20, n in 1usize..20, k in 1usize..600, seed in any::<u64>()) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as i8
            };
            let x: Vec<i8> = (0..m * k).map(|_| next()).collect();
            let w: Vec<i8> = (0..n * k).map(|_| next()).collect();
            check(&x, &w, m, n, k);
        }

        #[test]
        fn a_row_does_not_depend_on_its_neighbours(m in 2usize..40, n in 1usize..70, k in 1usize..700) {
            let x: Vec<f32> = (0..m * k).map(|i| ((i * 7919) % 1000) as f32 * 0.013 - 6.0).collect();
            let w: Vec<f32> = (0..n * k).map(|i| ((i * 104_729) % 1000) as f32 * 0.002 - 1.0).collect();
            let mut all = vec![0.0; m * n];
            multiply(matrix(&x, m, k), matrix(&w, n, k), &mut matrix_mut(&mut all, m, n));
            for row in 0..m {
                let mut one = vec![0.0; n];
                multiply(matrix(&x[row * k..][..k], 1, k), matrix(&w, n, k), &mut matrix_mut(&mut one, 1, n));
                prop_assert_eq!(&one, &all[row * n..][..n]);
            }
        }
    }
}
