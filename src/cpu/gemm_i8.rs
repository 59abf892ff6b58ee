//! Exact int8 matrix products: by the processor's own (AVX-512 VNNI) where it has them, else on float units.
//!
//! VNNI multiplies unsigned by signed bytes and adds four products to an i32 without saturating. So inputs go in as
//! x + 128, and 128·Σw of every row of weights is taken off at the end. Sums wrap, as those of the definition do.

use super::gemm::ExactWeights;

/// int8 weights `[n, k]` ready for products.
#[derive(Debug)]
pub enum WeightsI8 {
    /// On float units, in pieces that stay exact.
    Float(ExactWeights),
    /// In the order of VNNI.
    #[cfg(target_arch = "x86_64")]
    Vnni(vnni::Weights),
}

/// Memory that products use again.
#[derive(Debug, Default)]
pub struct Scratch {
    floats: Vec<f32>,
    sums: Vec<f32>,
    #[cfg(target_arch = "x86_64")]
    quads: Vec<[u8; 4]>,
}

impl WeightsI8 {
    /// Prepares weights of `n` rows, in the best way this processor knows.
    pub fn new(weights: &[i8], n: usize) -> WeightsI8 {
        #[cfg(target_arch = "x86_64")]
        if vnni::available() {
            return WeightsI8::Vnni(vnni::Weights::new(weights, n));
        }
        WeightsI8::Float(ExactWeights::new(weights, n))
    }

    /// acc = x · wᵀ for the `m` rows of `x`; acc is `[m, n]`.
    pub fn multiply(&self, x: &[i8], m: usize, acc: &mut Vec<i32>, scratch: &mut Scratch) {
        match self {
            WeightsI8::Float(weights) => {
                scratch.floats.clear();
                scratch.floats.extend(x.iter().map(|&v| f32::from(v)));
                weights.multiply(&scratch.floats, m, acc, &mut scratch.sums);
            }
            #[cfg(target_arch = "x86_64")]
            WeightsI8::Vnni(weights) => weights.multiply(x, m, acc, &mut scratch.quads),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vnni {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_set1_epi32, _mm512_setzero_si512,
    };

    /// Rows of weights in one vector.
    const LANES: usize = 16;
    /// Vectors of weights that a tile holds: with 12 rows, 24 sums stay in registers.
    const COLUMNS: usize = 2;
    const PANEL: usize = COLUMNS * LANES;
    const ROWS: usize = 12;

    /// Whether the processor has AVX-512 VNNI.
    pub fn available() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
    }

    /// Weights in panels of 32 rows: `[panel][k / 4][32]` quads of k.
    #[derive(Debug)]
    pub struct Weights {
        panels: Vec<[[[i8; 4]; LANES]; COLUMNS]>,
        /// −128·Σw of every row, for whole panels.
        corrections: Vec<[i32; LANES]>,
        n: usize,
        k: usize,
    }

    impl Weights {
        pub fn new(weights: &[i8], n: usize) -> Weights {
            let k = weights.len() / n;
            let quads = k.div_ceil(4);
            let mut panels = Vec::with_capacity(n.div_ceil(PANEL) * quads);
            let mut corrections = Vec::new();
            for first in (0..n).step_by(PANEL) {
                let weight = |row: usize, at: usize| {
                    let inside = first + row < n && at < k;
                    if inside {
                        weights[(first + row) * k + at]
                    } else {
                        0
                    }
                };
                for quad in 0..quads {
                    let lane = |column: usize, lane: usize| {
                        std::array::from_fn(|i| weight(column * LANES + lane, 4 * quad + i))
                    };
                    panels.push(std::array::from_fn(|c| std::array::from_fn(|l| lane(c, l))));
                }
                let sum = |row: usize| (0..k).map(|at| i32::from(weight(row, at))).sum::<i32>();
                for column in 0..COLUMNS {
                    let lane = |lane: usize| -128 * sum(column * LANES + lane);
                    corrections.push(std::array::from_fn(lane));
                }
            }
            Weights {
                panels,
                corrections,
                n,
                k,
            }
        }

        pub fn multiply(&self, x: &[i8], m: usize, acc: &mut Vec<i32>, quads: &mut Vec<[u8; 4]>) {
            let per_row = self.k.div_ceil(4);
            quads.clear();
            for row in x.chunks_exact(self.k) {
                let (whole, rest) = row.as_chunks::<4>();
                quads.extend(whole.iter().map(|q| q.map(|v| v as u8 ^ 0x80)));
                if !rest.is_empty() {
                    // The weights behind the end are 0.
                    let last = |i: usize| rest.get(i).map_or(0, |&v| v as u8 ^ 0x80);
                    quads.push(std::array::from_fn(last));
                }
            }
            acc.resize(m * self.n, 0);
            let panels = self.panels.chunks_exact(per_row);
            for (at, (panel, corrections)) in panels
                .zip(self.corrections.chunks_exact(COLUMNS))
                .enumerate()
            {
                let columns = at * PANEL..self.n.min((at + 1) * PANEL);
                let mut row = 0;
                while row < m {
                    let rows = if m - row >= ROWS {
                        ROWS
                    } else if m - row >= 4 {
                        4
                    } else {
                        1
                    };
                    let x = &quads[row * per_row..(row + rows) * per_row];
                    let y = &mut acc[row * self.n..(row + rows) * self.n];
                    // SAFETY: these weights are only made where `available` found the features that `tile` needs.
                    #[allow(unsafe_code)]
                    unsafe {
                        match rows {
                            ROWS => tile::<ROWS>(x, panel, corrections, y, columns.clone()),
                            4 => tile::<4>(x, panel, corrections, y, columns.clone()),
                            _ => tile::<1>(x, panel, corrections, y, columns.clone()),
                        }
                    }
                    row += rows;
                }
            }
        }
    }

    /// R rows times a panel, into its columns of y.
    #[target_feature(enable = "avx512f,avx512vnni")]
    fn tile<const R: usize>(
        x: &[[u8; 4]],
        panel: &[[[[i8; 4]; LANES]; COLUMNS]],
        corrections: &[[i32; LANES]],
        y: &mut [i32],
        columns: std::ops::Range<usize>,
    ) {
        let (depth, n) = (panel.len(), y.len() / R);
        let rows: [&[[u8; 4]]; R] = std::array::from_fn(|r| &x[r * depth..(r + 1) * depth]);
        let mut sums = [[_mm512_setzero_si512(); COLUMNS]; R];
        for (at, weights) in panel.iter().enumerate() {
            let weights = weights.map(bytemuck::cast::<_, __m512i>);
            for (row, sums) in rows.iter().zip(&mut sums) {
                let x = _mm512_set1_epi32(i32::from_le_bytes(row[at]));
                for (sum, w) in sums.iter_mut().zip(weights) {
                    *sum = _mm512_dpbusd_epi32(*sum, x, w);
                }
            }
        }
        for (sums, y) in sums.iter().zip(y.chunks_exact_mut(n)) {
            let parts = y[columns.clone()].chunks_mut(LANES);
            for ((sum, &correction), y) in sums.iter().zip(corrections).zip(parts) {
                let sum = _mm512_add_epi32(*sum, bytemuck::cast(correction));
                y.copy_from_slice(&bytemuck::cast::<_, [i32; LANES]>(sum)[..y.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(weights: &WeightsI8, x: &[i8], w: &[i8], m: usize, n: usize, k: usize) {
        let (mut acc, mut scratch) = (Vec::new(), Scratch::default());
        weights.multiply(x, m, &mut acc, &mut scratch);
        let dot = |row: usize, column: usize| {
            let pairs = x[row * k..][..k].iter().zip(&w[column * k..][..k]);
            pairs.fold(0i32, |sum, (&x, &w)| {
                sum.wrapping_add(i32::from(x) * i32::from(w))
            })
        };
        let expected: Vec<i32> = (0..m * n).map(|i| dot(i / n, i % n)).collect();
        assert_eq!(acc, expected, "{m} x {n} x {k}");
    }

    proptest! {
        #[test]
        fn every_way_is_exact(
            m in 1usize..30, n in 1usize..70, k in 1usize..200, seed in any::<u64>(), extreme in any::<bool>(),
        ) {
            let mut s = seed | 1;
            let mut byte = || {
                s ^= s << 13;
                s ^= s >> 7;
                s ^= s << 17;
                if extreme { if s >> 60 & 1 == 0 { -128 } else { 127 } } else { (s >> 32) as i8 }
            };
            let x: Vec<i8> = (0..m * k).map(|_| byte()).collect();
            let w: Vec<i8> = (0..n * k).map(|_| byte()).collect();
            check(&WeightsI8::Float(ExactWeights::new(&w, n)), &x, &w, m, n, k);
            check(&WeightsI8::new(&w, n), &x, &w, m, n, k);
        }
    }

    #[test]
    fn long_sums_do_not_saturate() {
        let k = 5000;
        let (x, w) = (vec![-128; 13 * k], vec![-128; 3 * k]);
        check(&WeightsI8::new(&w, 3), &x, &w, 13, 3, k);
    }
}
