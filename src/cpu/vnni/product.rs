//! Products of int8 rows with int8 weights.

use super::scale::{Channel, LANES, Scale, start};
use crate::cpu::gemm_i8::Target;
use crate::cpu::requantize::Place;
use std::arch::x86_64::{
    _mm_max_epi8, _mm_min_epi8, _mm_set1_epi8, _mm512_cvtsepi32_epi8, _mm512_dpbusd_epi32,
    _mm512_set1_epi32, _mm512_setzero_si512,
};
use std::ops::Range;

/// Vectors of weights that a tile holds: with 12 rows, 24 sums stay in registers.
const COLUMNS: usize = 2;
const ROWS: usize = 12;

/// Four weights of each of sixteen rows.
type Quads = [[i8; 4]; LANES];

/// Weights `[n, k]` in panels of 32 rows, the last of 16 if that is enough: `[panel][k / 4][16 or 32]` quads of k.
#[derive(Debug)]
pub struct Weights {
    panels: Vec<Quads>,
    /// −128·Σw of every row, and 0 behind the last.
    starts: Vec<[i32; LANES]>,
    n: usize,
    k: usize,
}

/// How the sums of every row of weights become int8.
#[derive(Debug)]
pub struct Outputs {
    scales: Vec<Scale>,
    starts: Vec<[i32; LANES]>,
    bounds: (i8, i8),
}

impl Outputs {
    /// From the weights as they were; `None` if a row is outside of what [`Scale`] can do.
    pub fn new(prepared: &Weights, weights: &[i8], target: Target<'_>) -> Option<Outputs> {
        let mut starts = prepared.starts.clone();
        for (starts, bias) in starts.iter_mut().zip(target.bias.chunks(LANES)) {
            for (s, &bias) in starts.iter_mut().zip(bias) {
                *s = start(s.wrapping_add(bias));
            }
        }
        let rows = weights.chunks_exact(prepared.k).zip(target.bias);
        let channels: Vec<Channel> = rows
            .zip(target.multipliers)
            .map(|((w, &bias), &multiplier)| {
                let reach = 128 * w.iter().map(|&w| i64::from(w).abs()).sum::<i64>();
                Channel {
                    multiplier,
                    range: (i64::from(bias) - reach, i64::from(bias) + reach),
                    zero_point: target.zero_point,
                }
            })
            .collect();
        Some(Outputs {
            scales: channels
                .chunks(LANES)
                .map(Scale::new)
                .collect::<Option<_>>()?,
            starts,
            bounds: (target.bounds.0 as i8, target.bounds.1 as i8),
        })
    }
}

/// Where results go.
enum Sink<'a> {
    /// Sums, in rows of `n`.
    Sums { y: &'a mut [i32], n: usize },
    /// Outputs.
    Outputs {
        with: &'a Outputs,
        y: &'a mut [i8],
        place: Place,
    },
}

impl Weights {
    /// Prepares weights of `n` rows.
    pub fn new(weights: &[i8], n: usize) -> Weights {
        let k = weights.len() / n;
        let weight = |row: usize, at: usize| {
            if row < n && at < k {
                weights[row * k + at]
            } else {
                0
            }
        };
        let vectors = n.div_ceil(LANES);
        let mut panels = Vec::with_capacity(vectors * k.div_ceil(4));
        for first in (0..vectors).step_by(COLUMNS) {
            for quad in 0..k.div_ceil(4) {
                for vector in first..vectors.min(first + COLUMNS) {
                    let row = |lane: usize| vector * LANES + lane;
                    let lane = |l: usize| std::array::from_fn(|i| weight(row(l), 4 * quad + i));
                    panels.push(std::array::from_fn(lane));
                }
            }
        }
        let sum = |row: usize| (0..k).map(|at| i32::from(weight(row, at))).sum::<i32>();
        let starts = (0..vectors)
            .map(|v| std::array::from_fn(|l| -128 * sum(v * LANES + l)))
            .collect();
        Weights {
            panels,
            starts,
            n,
            k,
        }
    }

    /// acc = x · wᵀ for the `m` rows of `x`; acc is `[m, n]`, `flipped` is reused between calls.
    pub fn multiply(&self, x: &[i8], m: usize, acc: &mut Vec<i32>, flipped: &mut Vec<[u8; 4]>) {
        acc.resize(m * self.n, 0);
        let n = self.n;
        self.tiles(x, m, &mut Sink::Sums { y: acc, n }, flipped);
    }

    /// The outputs of as many rows of `x` as `y` has, each at its place.
    pub fn outputs(
        &self,
        x: &[i8],
        with: &Outputs,
        y: &mut [i8],
        place: Place,
        flipped: &mut Vec<[u8; 4]>,
    ) {
        let m = y.len() / place.stride;
        self.tiles(x, m, &mut Sink::Outputs { with, y, place }, flipped);
    }

    fn tiles(&self, x: &[i8], m: usize, sink: &mut Sink<'_>, flipped: &mut Vec<[u8; 4]>) {
        let quads = self.k.div_ceil(4);
        flip(x, self.k, flipped);
        let starts = match sink {
            Sink::Sums { .. } => &self.starts,
            Sink::Outputs { with, .. } => &with.starts,
        };
        for vector in (0..starts.len()).step_by(COLUMNS) {
            let starts = &starts[vector..starts.len().min(vector + COLUMNS)];
            let panel = &self.panels[vector * quads..][..starts.len() * quads];
            let columns = vector * LANES..self.n.min((vector + COLUMNS) * LANES);
            let mut row = 0;
            while row < m {
                let rows = if m - row >= ROWS {
                    ROWS
                } else if m - row >= 4 {
                    4
                } else {
                    1
                };
                let x = &flipped[row * quads..][..rows * quads];
                let c = columns.clone();
                // SAFETY: these weights are only made where `available` found the features that `tile` needs.
                #[allow(unsafe_code)]
                unsafe {
                    match (rows, starts.len()) {
                        (ROWS, COLUMNS) => tile::<ROWS, COLUMNS>(x, panel, starts, sink, row, c),
                        (4, COLUMNS) => tile::<4, COLUMNS>(x, panel, starts, sink, row, c),
                        (_, COLUMNS) => tile::<1, COLUMNS>(x, panel, starts, sink, row, c),
                        (ROWS, _) => tile::<ROWS, 1>(x, panel, starts, sink, row, c),
                        (4, _) => tile::<4, 1>(x, panel, starts, sink, row, c),
                        _ => tile::<1, 1>(x, panel, starts, sink, row, c),
                    }
                }
                row += rows;
            }
        }
    }
}

/// x + 128 in quads; rows that are no multiple of 4 long end in zeros, as those of the weights do.
fn flip(x: &[i8], k: usize, quads: &mut Vec<[u8; 4]>) {
    quads.clear();
    let flip = |q: [i8; 4]| (u32::from_ne_bytes(q.map(|v| v as u8)) ^ 0x8080_8080).to_ne_bytes();
    if k.is_multiple_of(4) {
        quads.extend(x.as_chunks::<4>().0.iter().map(|&q| flip(q)));
        return;
    }
    for row in x.chunks_exact(k) {
        let (whole, rest) = row.as_chunks::<4>();
        quads.extend(whole.iter().map(|&q| flip(q)));
        let last = |i: usize| rest.get(i).copied().unwrap_or_default();
        quads.push(flip(std::array::from_fn(last)));
    }
}

/// R rows times a panel of C vectors, into its columns of what `sink` holds from `row` on.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile<const R: usize, const C: usize>(
    x: &[[u8; 4]],
    panel: &[Quads],
    starts: &[[i32; LANES]],
    sink: &mut Sink<'_>,
    row: usize,
    columns: Range<usize>,
) {
    let (panel, _) = panel.as_chunks::<C>();
    let depth = panel.len();
    let mut rows: [&[[u8; 4]]; R] = [&[]; R];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = &x[r * depth..][..depth];
    }
    let mut sums = [[_mm512_setzero_si512(); C]; R];
    for sums in &mut sums {
        for (sum, &start) in sums.iter_mut().zip(starts) {
            *sum = bytemuck::cast(start);
        }
    }
    for (at, weights) in panel.iter().enumerate() {
        for r in 0..R {
            let x = _mm512_set1_epi32(i32::from_le_bytes(rows[r][at]));
            for c in 0..C {
                sums[r][c] = _mm512_dpbusd_epi32(sums[r][c], x, bytemuck::cast(weights[c]));
            }
        }
    }
    match sink {
        Sink::Sums { y, n } => {
            for (r, sums) in sums.iter().enumerate() {
                let y = &mut y[(row + r) * *n..][columns.clone()];
                for (sum, y) in sums.iter().zip(y.chunks_mut(LANES)) {
                    y.copy_from_slice(&bytemuck::cast::<_, [i32; LANES]>(*sum)[..y.len()]);
                }
            }
        }
        Sink::Outputs { with, y, place } => {
            let scales = &with.scales[columns.start / LANES..];
            let (low, high) = (_mm_set1_epi8(with.bounds.0), _mm_set1_epi8(with.bounds.1));
            for c in 0..C {
                let scale = &scales[c];
                let column = columns.start + c * LANES;
                let lanes = (columns.end - column).min(LANES);
                for (r, sums) in sums.iter().enumerate() {
                    let bytes = _mm512_cvtsepi32_epi8(scale.apply(sums[c]));
                    let bytes = _mm_min_epi8(_mm_max_epi8(bytes, low), high);
                    let at = (row + r) * place.stride + place.first + column;
                    let y = &mut y[at..at + lanes];
                    match y.first_chunk_mut::<LANES>() {
                        Some(y) => *y = bytemuck::cast(bytes),
                        None => {
                            y.copy_from_slice(&bytemuck::cast::<_, [i8; LANES]>(bytes)[..lanes]);
                        }
                    }
                }
            }
        }
    }
}
