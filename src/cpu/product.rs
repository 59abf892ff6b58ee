//! Float products with constant weights: packed once, then multiplied by rows that are read where they lie.
//!
//! Weights lie in panels of up to four vectors of columns, k-major. A tile of rows times a panel is summed in
//! registers: every element adds its products in the order of k, then its bias. So a result depends on
//! neither the number of rows nor the panel, and nothing is copied or added up afterwards. A row is one run of the
//! input, or several of them (the taps of a convolution). The vectors are the widest ones of this processor.

use super::dots;
use super::simd::{Arch, arch};
use pulp::{Simd, WithSimd};

/// Rows that go through all panels together: they stay in the second-level cache.
const BLOCK: usize = 96;

/// The rows of a block where they share `rows` evenly, in whole tiles: a few rows left over would cost as much as many.
pub fn block_of(rows: usize) -> usize {
    /// A multiple of all heights of tiles but one, which is narrow.
    const TILE: usize = 12;
    let each = rows.div_ceil(rows.div_ceil(BLOCK).max(1));
    each.next_multiple_of(TILE).max(TILE)
}

/// Place of a tap in the padding.
pub const PADDING: usize = usize::MAX;

/// Weights `[n, taps · depth]` and a bias, ready for products.
#[derive(Debug)]
pub struct Packed {
    arch: Arch,
    n: usize,
    taps: usize,
    depth: usize,
    lanes: usize,
    widest: usize,
    /// From `start` on, where a cache line begins: panels, or of few columns ([`dots`]) the weights as they were.
    data: Vec<f32>,
    start: usize,
    /// Filled up with zeros to whole panels, if there are any.
    bias: Vec<f32>,
    /// What a tap in the padding reads.
    zeros: Vec<f32>,
}

/// Floats in a cache line and in the widest vector.
pub const LINE: usize = 16;

/// Lanes of a vector, and most vectors in a panel.
struct Width;

impl WithSimd for Width {
    type Output = (usize, usize);
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
        // As many sums as registers hold beside the operands.
        (S::F32_LANES, if S::REGISTER_COUNT >= 32 { 4 } else { 2 })
    }
}

/// Vectors in the panel that begins at column `from`.
fn panel(n: usize, from: usize, lanes: usize, widest: usize) -> usize {
    (n - from).div_ceil(lanes).min(widest)
}

impl Packed {
    /// Packs `weights`, `[n, k]`, whose rows of k consist of `taps` runs.
    pub fn new(weights: &[f32], taps: usize, bias: &[f32]) -> Self {
        let (n, arch) = (bias.len(), arch());
        let k = weights.len() / n;
        let (lanes, widest) = arch.dispatch(Width);
        let few = n <= dots::COLUMNS;
        let columns = if few { n } else { n.div_ceil(lanes) * lanes };
        let mut data = vec![0.0; columns * k + LINE];
        let start = data.as_ptr().align_offset(LINE * size_of::<f32>());
        // A pointer that cannot be aligned is only slower.
        let start = if start < LINE { start } else { 0 };
        if few {
            data[start..start + n * k].copy_from_slice(weights);
        }
        let (mut from, mut at) = (0, start);
        while from < n && !few {
            let width = panel(n, from, lanes, widest) * lanes;
            for c in from..n.min(from + width) {
                for i in 0..k {
                    data[at + i * width + c - from] = weights[c * k + i];
                }
            }
            at += width * k;
            from += width;
        }
        let mut padded = bias.to_vec();
        padded.resize(columns, 0.0);
        Self {
            arch,
            n,
            taps,
            depth: k / taps,
            lanes,
            widest,
            data,
            start,
            bias: padded,
            zeros: vec![0.0; k / taps],
        }
    }

    /// How many runs a row has.
    pub fn taps(&self) -> usize {
        self.taps
    }

    /// The run of a row that begins at `place` of `x`.
    #[inline(always)]
    pub fn run<'a>(&'a self, x: &'a [f32], place: usize) -> &'a [f32] {
        match place {
            PADDING => &self.zeros[..self.depth],
            at => &x[at..][..self.depth],
        }
    }

    /// The run of a tap of a column's weights, where there are few columns.
    #[inline(always)]
    pub fn weights(&self, column: usize, tap: usize) -> &[f32] {
        &self.data[self.start + (column * self.taps + tap) * self.depth..][..self.depth]
    }

    /// y = x · wᵀ + bias within `bounds`; x is `[m, k]`, y `[m, n]`.
    pub fn rows(&self, x: &[f32], y: &mut [f32], bounds: (f32, f32)) {
        self.all(x, y, Start::Bias, bounds);
    }

    /// y = x · wᵀ + y.
    pub fn add_rows(&self, x: &[f32], y: &mut [f32]) {
        self.all(x, y, Start::Output, (f32::NEG_INFINITY, f32::INFINITY));
    }

    fn all(&self, x: &[f32], y: &mut [f32], start: Start, bounds: (f32, f32)) {
        let k = self.taps * self.depth;
        let block = block_of(y.len() / self.n);
        let mut places = Vec::with_capacity(block * self.taps);
        for (x, y) in x.chunks(block * k).zip(y.chunks_mut(block * self.n)) {
            places.clear();
            places.extend((0..x.len()).step_by(self.depth));
            self.block(x, &places, y, self.n, start, bounds);
        }
    }

    /// One block: rows whose taps begin at `places` of `x`, into rows of `y` that lie `stride` apart.
    pub fn block(
        &self,
        x: &[f32],
        places: &[usize],
        y: &mut [f32],
        stride: usize,
        start: Start,
        bounds: (f32, f32),
    ) {
        if self.n <= dots::COLUMNS {
            let job = dots::Job {
                packed: self,
                bias: &self.bias,
                x,
                places,
                y,
                stride,
                start,
                bounds,
            };
            return dots::block(self.arch, job);
        }
        // Rows without gaps: whole vectors are written, the last panel before the others and row after row, so that what
        // they write into the next row is written once more.
        let beyond = stride == self.n && start == Start::Bias;
        let width = self.widest * self.lanes;
        for from in (0..self.n).step_by(width).rev() {
            let vectors = panel(self.n, from, self.lanes, self.widest);
            let k = self.taps * self.depth;
            let panel = &self.data[self.start + from * k..][..vectors * self.lanes * k];
            let job = Panel {
                packed: self,
                panel,
                bias: &self.bias[from..from + vectors * self.lanes],
                columns: (self.n - from).min(vectors * self.lanes),
                x,
                places,
                y: &mut y[from..],
                stride,
                start,
                bounds,
                beyond,
            };
            // As many rows at once as registers allow.
            match (vectors, self.widest) {
                (4, _) => self.arch.dispatch(Tiles::<6, 4>(job)),
                (3, _) => self.arch.dispatch(Tiles::<8, 3>(job)),
                (2, 4) => self.arch.dispatch(Tiles::<12, 2>(job)),
                (2, _) => self.arch.dispatch(Tiles::<6, 2>(job)),
                _ => self.arch.dispatch(Tiles::<12, 1>(job)),
            }
        }
    }
}

/// What the sums of products are added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The bias.
    Bias,
    /// What the output holds.
    Output,
}

/// All rows of a block times one panel.
struct Panel<'a> {
    packed: &'a Packed,
    panel: &'a [f32],
    bias: &'a [f32],
    /// Columns that are not just padding of the panel.
    columns: usize,
    x: &'a [f32],
    places: &'a [usize],
    y: &'a mut [f32],
    stride: usize,
    start: Start,
    bounds: (f32, f32),
    /// Whether whole vectors may be written where only some of their columns belong to the row.
    beyond: bool,
}

/// A panel of C vectors, R rows at once.
struct Tiles<'a, const R: usize, const C: usize>(Panel<'a>);

impl<const R: usize, const C: usize> WithSimd for Tiles<'_, R, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let rows = self.0.places.len() / self.0.packed.taps;
        let mut row = 0;
        while row + R <= rows {
            self.0.tile::<S, R, C>(simd, row, 0);
            row += R;
        }
        if row < rows && rows >= R {
            // Some rows again, without a store, are cheaper than one by one.
            self.0.tile::<S, R, C>(simd, rows - R, row + R - rows);
            return;
        }
        while row < rows {
            self.0.tile::<S, 1, C>(simd, row, 0);
            row += 1;
        }
    }
}

impl Panel<'_> {
    /// R rows from `row` on, of which the first `skip` are done already.
    #[allow(
        clippy::needless_range_loop,
        reason = "iterators are not always inlined"
    )]
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const C: usize>(&mut self, simd: S, row: usize, skip: usize) {
        let p = self.packed;
        let (depth, x) = (p.depth, self.x);
        let places = &self.places[row * p.taps..(row + R) * p.taps];
        let (panel, bias) = (S::as_simd_f32s(self.panel).0, S::as_simd_f32s(self.bias).0);
        let bias = &bias.as_chunks::<C>().0[0];
        let mut sums: [[S::f32s; C]; R] = [[simd.splat_f32s(0.0); C]; R];
        for (tap, panel) in panel.as_chunks::<C>().0.chunks_exact(depth).enumerate() {
            // Slices of one known length: the loop below needs no checks.
            let mut runs: [&[f32]; R] = [&p.zeros[..depth]; R];
            for (r, run) in runs.iter_mut().enumerate() {
                let at = places[r * p.taps + tap];
                if at != PADDING {
                    *run = &x[at..][..depth];
                }
            }
            let panel = &panel[..depth];
            for i in 0..depth {
                let w = panel[i];
                for r in 0..R {
                    let x = simd.splat_f32s(runs[r][i]);
                    for c in 0..C {
                        sums[r][c] = simd.mul_add_e_f32s(x, w[c], sums[r][c]);
                    }
                }
            }
        }
        let (low, high) = (
            simd.splat_f32s(self.bounds.0),
            simd.splat_f32s(self.bounds.1),
        );
        // Small loops of constant length: they are unrolled, and the sums never leave the registers.
        let width = C * S::F32_LANES;
        let room = self.y.len() >= (row + R - 1) * self.stride + width;
        if !room || !(self.beyond || self.columns == width) {
            let spilled = sums;
            self.edge::<S, R, C>(simd, row, skip, &spilled);
        } else if self.start == Start::Output {
            for r in 0..R {
                if r >= skip {
                    let y = &mut self.y[(row + r) * self.stride..][..width];
                    let y = &mut S::as_mut_simd_f32s(y).0[..C];
                    for c in 0..C {
                        y[c] = simd.add_f32s(sums[r][c], y[c]);
                    }
                }
            }
        } else {
            for r in 0..R {
                if r >= skip {
                    // What lies beyond the last column is overwritten by what belongs there.
                    let y = &mut self.y[(row + r) * self.stride..][..width];
                    let y = &mut S::as_mut_simd_f32s(y).0[..C];
                    for c in 0..C {
                        y[c] = within(simd, simd.add_f32s(sums[r][c], bias[c]), low, high);
                    }
                }
            }
        }
    }

    /// Writes rows of which only some columns may be written.
    #[inline(always)]
    fn edge<S: Simd, const R: usize, const C: usize>(
        &mut self,
        simd: S,
        row: usize,
        skip: usize,
        sums: &[[S::f32s; C]; R],
    ) {
        let (low, high) = (
            simd.splat_f32s(self.bounds.0),
            simd.splat_f32s(self.bounds.1),
        );
        for (r, sums) in sums.iter().enumerate().skip(skip) {
            let y = &mut self.y[(row + r) * self.stride..][..self.columns];
            let begin: [S::f32s; C] = match self.start {
                Start::Bias => load(simd, self.bias),
                Start::Output => load(simd, y),
            };
            let mut values = *sums;
            for c in 0..C {
                values[c] = within(simd, simd.add_f32s(values[c], begin[c]), low, high);
            }
            store(simd, y, &values);
        }
    }
}

// No closures and iterators in these: what is not inlined is compiled without the wide vectors.

/// V vectors, or as much of them as there is.
#[inline(always)]
pub fn load<S: Simd, const V: usize>(simd: S, from: &[f32]) -> [S::f32s; V] {
    let mut vectors = [simd.splat_f32s(0.0); V];
    if from.len() == V * S::F32_LANES {
        let from = S::as_simd_f32s(from).0;
        vectors.copy_from_slice(&from[..V]);
        return vectors;
    }
    for (v, from) in from.chunks(S::F32_LANES).enumerate() {
        vectors[v] = simd.partial_load_f32s(from);
    }
    vectors
}

/// Stores vectors, or as much of them as there is room for.
#[inline(always)]
pub fn store<S: Simd, const V: usize>(simd: S, to: &mut [f32], values: &[S::f32s; V]) {
    if to.len() == V * S::F32_LANES {
        let to = S::as_mut_simd_f32s(to).0;
        to[..V].copy_from_slice(values);
        return;
    }
    for (v, to) in to.chunks_mut(S::F32_LANES).enumerate() {
        simd.partial_store_f32s(to, values[v]);
    }
}

/// The value within bounds; NaN passes through and is noticed.
#[inline(always)]
pub fn within<S: Simd>(simd: S, v: S::f32s, low: S::f32s, high: S::f32s) -> S::f32s {
    let v = simd.select_f32s(simd.less_than_f32s(v, low), low, v);
    simd.select_f32s(simd.less_than_f32s(high, v), high, v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPEN: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

    fn data(m: usize, n: usize, k: usize) -> [Vec<f32>; 3] {
        let of = |len: usize, step: usize| -> Vec<f32> {
            (0..len)
                .map(|i| ((i * step) % 1000) as f32 * 0.004 - 2.0)
                .collect()
        };
        [of(m * k, 7919), of(n * k, 104_729), of(n, 37)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn products_are_right_and_rows_do_not_depend_on_their_neighbours(
            m in 1usize..110, n in 1usize..140, k in 1usize..200, bounded in any::<bool>()
        ) {
            let [x, w, bias] = data(m, n, k);
            let packed = Packed::new(&w, 1, &bias);
            let bounds = if bounded { (-1.0, 6.0) } else { OPEN };
            let mut all = vec![f32::NAN; m * n];
            packed.rows(&x, &mut all, bounds);
            for row in 0..m {
                let x = &x[row * k..][..k];
                let mut one = vec![f32::NAN; n];
                packed.rows(x, &mut one, bounds);
                prop_assert_eq!(&one, &all[row * n..][..n]);
                for (c, &got) in one.iter().enumerate() {
                    let terms = || x.iter().zip(&w[c * k..]).map(|(&x, &w)| f64::from(x) * f64::from(w));
                    let want = (terms().sum::<f64>() + f64::from(bias[c]))
                        .clamp(f64::from(bounds.0), f64::from(bounds.1));
                    let size = terms().map(f64::abs).sum::<f64>() + 2.0;
                    prop_assert!((f64::from(got) - want).abs() < size * 1e-5, "{} {}", got, want);
                }
            }
        }

        #[test]
        fn columns_do_not_depend_on_their_panel(n in 3usize..140, k in 1usize..100) {
            let [x, w, bias] = data(1, n, k);
            let mut all = vec![0.0; n];
            Packed::new(&w, 1, &bias).rows(&x, &mut all, OPEN);
            let mut last = [0.0; 3];
            Packed::new(&w[(n - 3) * k..], 1, &bias[n - 3..]).rows(&x, &mut last, OPEN);
            prop_assert_eq!(&last, &all[n - 3..]);
        }

        /// One or two columns, which are summed in another order; in taps, among padding, and onto what is there.
        #[test]
        fn few_columns_are_dots(n in 1usize..3, m in 1usize..12, taps in 1usize..4, depth in 1usize..40) {
            let [x, w, bias] = data(m, n, taps * depth);
            let packed = Packed::new(&w, taps, &bias);
            let place = |i: usize| if i % 5 == 3 { PADDING } else { i * depth };
            let places: Vec<usize> = (0..m * taps).map(place).collect();
            let mut y = vec![0.5; m * 3];
            packed.block(&x, &places, &mut y, 3, Start::Output, (-1.0, f32::INFINITY));
            for row in 0..m {
                for column in 0..3 {
                    let product = |i: usize| match places[row * taps + i / depth] {
                        PADDING => 0.0,
                        at => x[at + i % depth] * w[column * taps * depth + i],
                    };
                    let sum = || (0..taps * depth).map(product).map(f64::from).sum::<f64>();
                    let want = if column < n { (0.5 + sum()).max(-1.0) } else { 0.5 };
                    prop_assert!((f64::from(y[row * 3 + column]) - want).abs() < 1e-3 * want.abs().max(1.0));
                }
            }
            packed.block(&x, &places, &mut y, 3, Start::Bias, OPEN);
            for row in 0..m {
                let mut alone = vec![0.0; n];
                packed.block(&x, &places[row * taps..][..taps], &mut alone, n, Start::Bias, OPEN);
                prop_assert_eq!(&alone, &y[row * 3..][..n]);
            }
        }
    }

    #[test]
    fn taps_lie_apart_and_padding_is_zero() {
        let [x, w, bias] = data(2, 5, 6);
        let packed = Packed::new(&w, 3, &bias);
        let mut y = [1.0; 7 * 2];
        let places = [4, PADDING, 0, 2, 7, 9];
        packed.block(&x, &places, &mut y, 7, Start::Bias, OPEN);
        let rows: Vec<f32> = [&x[4..6], &[0.0; 2], &x[..2], &x[2..4], &x[7..9], &x[9..11]].concat();
        let mut want = [0.0; 10];
        Packed::new(&w, 1, &bias).rows(&rows, &mut want, OPEN);
        assert_eq!(
            (&y[..5], &y[5..7], &y[7..12]),
            (&want[..5], &[1.0; 2][..], &want[5..])
        );
        // Sums may start from what is there.
        packed.block(&x, &places, &mut y, 7, Start::Output, OPEN);
        assert!((y[0] + bias[0] - 2.0 * want[0]).abs() < 1e-5);
    }

    #[test]
    fn nan_is_not_hidden_by_bounds() {
        let mut y = [0.0; 3];
        Packed::new(&[1.0; 3], 1, &[0.0; 3]).rows(&[f32::NAN], &mut y, (0.0, 6.0));
        assert!(y.iter().all(|v| v.is_nan()));
    }
}
