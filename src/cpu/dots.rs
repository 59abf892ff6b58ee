//! Float products with a column or two: vectors of columns would be nearly empty, so vectors lie along the depth. What ends
//! a segmentation or a heat map is of this kind.

use super::product::{Packed, Start};
use super::simd::Arch;
use pulp::{Simd, WithSimd};

/// Most columns.
pub const COLUMNS: usize = 2;
/// Rows that share what is read of the weights.
const ROWS: usize = 4;

/// One block of rows: see [`Packed::block`].
pub struct Job<'a> {
    pub packed: &'a Packed,
    pub bias: &'a [f32],
    pub x: &'a [f32],
    pub places: &'a [usize],
    pub y: &'a mut [f32],
    pub stride: usize,
    pub start: Start,
    pub bounds: (f32, f32),
}

/// Computes it.
pub fn block(arch: Arch, job: Job<'_>) {
    match job.bias.len() {
        1 => arch.dispatch(Columns::<1>(job)),
        _ => arch.dispatch(Columns::<COLUMNS>(job)),
    }
}

/// C columns.
struct Columns<'a, const C: usize>(Job<'a>);

impl<const C: usize> WithSimd for Columns<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.0.places.len() / self.0.packed.taps();
        let mut row = 0;
        while row + ROWS <= rows {
            self.0.rows::<S, ROWS, C>(simd, row);
            row += ROWS;
        }
        while row < rows {
            self.0.rows::<S, 1, C>(simd, row);
            row += 1;
        }
    }
}

impl Job<'_> {
    /// R rows from `row` on. Each adds its products in the same order, whatever R is.
    #[allow(
        clippy::needless_range_loop,
        reason = "iterators are not always inlined"
    )]
    #[inline(always)]
    fn rows<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, row: usize) {
        let taps = self.packed.taps();
        let mut sums: [[S::f32s; C]; R] = [[simd.splat_f32s(0.0); C]; R];
        for tap in 0..taps {
            let mut weights: [(&[S::f32s], &[f32]); C] = [(&[], &[]); C];
            for c in 0..C {
                weights[c] = S::as_simd_f32s(self.packed.weights(c, tap));
            }
            let mut runs: [(&[S::f32s], &[f32]); R] = [(&[], &[]); R];
            for r in 0..R {
                let place = self.places[(row + r) * taps + tap];
                runs[r] = S::as_simd_f32s(self.packed.run(self.x, place));
            }
            for i in 0..weights[0].0.len() {
                for r in 0..R {
                    let x = runs[r].0[i];
                    for c in 0..C {
                        sums[r][c] = simd.mul_add_e_f32s(x, weights[c].0[i], sums[r][c]);
                    }
                }
            }
            if !weights[0].1.is_empty() {
                for r in 0..R {
                    let x = simd.partial_load_f32s(runs[r].1);
                    for c in 0..C {
                        let w = simd.partial_load_f32s(weights[c].1);
                        sums[r][c] = simd.mul_add_e_f32s(x, w, sums[r][c]);
                    }
                }
            }
        }
        for r in 0..R {
            let y = &mut self.y[(row + r) * self.stride..][..C];
            for c in 0..C {
                let begin = match self.start {
                    Start::Bias => self.bias[c],
                    Start::Output => y[c],
                };
                let sum = simd.reduce_sum_f32s(sums[r][c]) + begin;
                let (low, high) = self.bounds;
                let sum = if sum < low { low } else { sum };
                y[c] = if sum > high { high } else { sum };
            }
        }
    }
}
