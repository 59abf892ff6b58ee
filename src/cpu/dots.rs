//! Float products with a column or two: vectors of columns would be nearly empty, so vectors lie along the depth. What ends
//! a segmentation or a heat map is of this kind.

use super::product::{PADDING, Start};
use super::simd::{Arch, arch};
use pulp::{Simd, WithSimd};

/// Most columns.
pub const COLUMNS: usize = 2;
/// Rows that share what is read of the weights.
const ROWS: usize = 4;

/// Weights `[n, taps · depth]` and a bias.
#[derive(Debug)]
pub struct Dots {
    arch: Arch,
    taps: usize,
    depth: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// What a tap in the padding reads.
    zeros: Vec<f32>,
}

impl Dots {
    /// `None` if there are more columns.
    pub fn new(weights: &[f32], taps: usize, bias: &[f32]) -> Option<Dots> {
        let n = bias.len();
        let depth = weights.len() / n / taps;
        (n <= COLUMNS).then(|| Dots {
            arch: arch(),
            taps,
            depth,
            weights: weights.to_vec(),
            bias: bias.to_vec(),
            zeros: vec![0.0; depth],
        })
    }

    /// See [`super::product::Packed::block`].
    pub fn block(
        &self,
        x: &[f32],
        places: &[usize],
        y: &mut [f32],
        stride: usize,
        start: Start,
        bounds: (f32, f32),
    ) {
        let job = Job {
            dots: self,
            x,
            places,
            y,
            stride,
            start,
            bounds,
        };
        match self.bias.len() {
            1 => self.arch.dispatch(Columns::<1>(job)),
            _ => self.arch.dispatch(Columns::<COLUMNS>(job)),
        }
    }
}

struct Job<'a> {
    dots: &'a Dots,
    x: &'a [f32],
    places: &'a [usize],
    y: &'a mut [f32],
    stride: usize,
    start: Start,
    bounds: (f32, f32),
}

/// C columns.
struct Columns<'a, const C: usize>(Job<'a>);

impl<const C: usize> WithSimd for Columns<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.0.places.len() / self.0.dots.taps;
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
        let d = self.dots;
        let depth = d.depth;
        let mut sums: [[S::f32s; C]; R] = [[simd.splat_f32s(0.0); C]; R];
        for tap in 0..d.taps {
            let mut weights: [(&[S::f32s], &[f32]); C] = [(&[], &[]); C];
            for c in 0..C {
                let run = &d.weights[(c * d.taps + tap) * depth..][..depth];
                weights[c] = S::as_simd_f32s(run);
            }
            let mut runs: [(&[S::f32s], &[f32]); R] = [(&[], &[]); R];
            for r in 0..R {
                let run = match self.places[(row + r) * d.taps + tap] {
                    PADDING => &d.zeros[..depth],
                    at => &self.x[at..][..depth],
                };
                runs[r] = S::as_simd_f32s(run);
            }
            for i in 0..depth / S::F32_LANES {
                for r in 0..R {
                    let x = runs[r].0[i];
                    for c in 0..C {
                        sums[r][c] = simd.mul_add_e_f32s(x, weights[c].0[i], sums[r][c]);
                    }
                }
            }
            if !depth.is_multiple_of(S::F32_LANES) {
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
                    Start::Bias => d.bias[c],
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
