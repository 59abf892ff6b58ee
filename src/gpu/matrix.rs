//! Products on matrix units (wgpu's cooperative matrix): tiles, and weights in the order in which the tiles read them.
//! `shaders/int8/conv_2d_matrix.wgsl` and `shaders/f32/conv_2d_matrix.wgsl` say how and why the results are right.
//!
//! The bits of a result do not depend on the tile: every element is summed in steps of 32 k, inside a step matrix by
//! matrix, and in long sums of floats in pieces of 8 steps, whatever tile it lies in. So tiles may be chosen for speed alone.

use super::launch::{Binding, Params};
use super::shader::Define;
use crate::kernel::ConvShape;
use half::f16;

/// k of one step.
const STEP: usize = 32;
/// Sums below this are exact in f32.
const EXACT: u32 = 1 << 24;
/// Steps of a float sum above which it is cut into pieces of 8. One sum more costs registers; below, the truncation of
/// the units stays a fraction of the tolerance.
const LONG: usize = 64;
/// Pieces that are exact whatever the weights: 31 · 32 · 128 · 128 < 2²⁴.
const SAFE_STEPS: usize = 31;

/// Matrix units that multiply f16 and add f32: which matrices, and what a workgroup may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Rows, columns and depth of a matrix: 8 or 16.
    pub size: u32,
    /// Invocations of the largest subgroup.
    pub subgroup: u32,
    /// Invocations that a workgroup may have.
    pub invocations: u32,
    /// Bytes of workgroup memory.
    pub memory: u32,
}

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Numbers {
    Int8,
    Float,
}

/// A workgroup: rows × columns of subgroups, each of rows × columns of matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    subgroups: [u32; 2],
    fragments: [u32; 2],
}

const fn tile(subgroups: [u32; 2], fragments: [u32; 2]) -> Tile {
    Tile {
        subgroups,
        fragments,
    }
}

/// The tiles, with what a column costs in them: the wider, the less often rows are loaded. Sizes with 16 × 16 matrices.
const TILES: [(Tile, f64); 5] = [
    // 128 × 128; too many sums for the two of every float.
    (tile([2, 4], [4, 2]), 1.0),
    // 128 × 64.
    (tile([4, 2], [2, 2]), 1.15),
    // 128 × 32.
    (tile([4, 1], [2, 2]), 1.5),
    // 128 × 16.
    (tile([4, 1], [2, 1]), 2.2),
    // 64 × 64, for products of few rows, which otherwise would not fill the device.
    (tile([2, 2], [2, 2]), 1.3),
];
const WIDE: Tile = TILES[0].0;
const FEW_ROWS: Tile = TILES[4].0;
/// Rows a sample up to which rows are few.
const FEW: usize = 64;

impl Tile {
    pub fn rows(self, unit: Unit) -> u32 {
        self.subgroups[0] * self.fragments[0] * unit.size
    }

    pub fn columns(self, unit: Unit) -> u32 {
        self.subgroups[1] * self.fragments[1] * unit.size
    }

    fn invocations(self, unit: Unit) -> u32 {
        self.subgroups[0] * self.subgroups[1] * unit.subgroup
    }

    /// Its name among the tiles: subgroups, and the matrices of each.
    pub fn name(self) -> String {
        let ([rows, columns], [down, across]) = (self.subgroups, self.fragments);
        format!("{rows}x{columns} of {down}x{across}")
    }

    /// Bytes of workgroup memory, as the shaders declare it.
    fn memory(self, unit: Unit, numbers: Numbers) -> u32 {
        let (rows, columns) = (self.rows(unit), self.columns(unit));
        let sum_rows = self.subgroups[0] * unit.size;
        match numbers {
            Numbers::Int8 => (rows + columns) * 10 * 8 + sum_rows * (columns / 4 + 1) * 16,
            Numbers::Float => {
                let sums = sum_rows * self.subgroups[1] * unit.size * 4;
                // Two words for the range of what is written.
                (rows + columns) * 18 * 8 + sums + rows * 8 + 8
            }
        }
    }

    fn suits(self, unit: Unit, numbers: Numbers) -> bool {
        let invocations = self.invocations(unit);
        self.memory(unit, numbers) <= unit.memory
            && invocations <= unit.invocations
            // Every invocation loads equally many words of rows.
            && (self.rows(unit) * 8).is_multiple_of(invocations)
            && !(numbers == Numbers::Float && self == WIDE)
    }

    /// What the shaders are written for.
    pub fn defines(self, unit: Unit, numbers: Numbers) -> Vec<Define> {
        let (rows, columns) = (self.rows(unit), self.columns(unit));
        let invocations = self.invocations(unit);
        // Eights of a column in one step.
        let vectors = match numbers {
            Numbers::Int8 => 4,
            Numbers::Float => 8,
        };
        let sums = self.subgroups[0] * unit.size * columns / 4;
        vec![
            ("SIZE", unit.size),
            ("ROWS", rows),
            ("COLUMNS", columns),
            ("INVOCATIONS", invocations),
            ("SUBGROUP_ROWS", self.subgroups[0]),
            ("SUBGROUP_COLUMNS", self.subgroups[1]),
            ("FRAGMENT_ROWS", self.fragments[0]),
            ("FRAGMENT_COLUMNS", self.fragments[1]),
            ("STEP_FRAGMENTS", STEP as u32 / unit.size),
            ("ROW_LOADS", rows * 8 / invocations),
            ("COLUMN_LOADS", (columns * vectors).div_ceil(invocations)),
            ("SUM_LOADS", sums.div_ceil(invocations)),
        ]
    }
}

/// THE choice of tile without a measurement; `None` where the units are not worth it or no tile fits the device. Whether a
/// product runs on the units hangs on this alone, as floats have other bits there.
pub(super) fn choose(unit: Unit, numbers: Numbers, shape: &ConvShape) -> Option<Tile> {
    let wanted = |tile: Tile| (tile == FEW_ROWS) == (shape.pixels() <= FEW);
    let narrow = |tile: Tile| tile.columns(unit) < FEW_ROWS.columns(unit);
    let (tile, _) = suitable(unit, numbers, shape)
        .into_iter()
        .find(|&(tile, _)| wanted(tile) || narrow(tile))?;
    is_worth(shape, tile, unit).then_some(tile)
}

/// The tiles that may be measured, the choice without a measurement first, without those that should take more than twice
/// its time; none where the units are not worth it.
pub(super) fn candidates(unit: Unit, numbers: Numbers, shape: &ConvShape) -> Vec<Tile> {
    let all = suitable(unit, numbers, shape);
    let chosen = choose(unit, numbers, shape);
    let Some(&(first, cost)) = all.iter().find(|&&(tile, _)| Some(tile) == chosen) else {
        return Vec::new();
    };
    let others = all.iter().filter(|&&(tile, other)| {
        tile != first && other <= 2.0 * cost && is_worth(shape, tile, unit)
    });
    std::iter::once(first)
        .chain(others.map(|&(tile, _)| tile))
        .collect()
}

/// The tiles that fit the device with what the product should cost in them, the fastest first.
fn suitable(unit: Unit, numbers: Numbers, shape: &ConvShape) -> Vec<(Tile, f64)> {
    let columns = |tile: Tile| shape.group_out.next_multiple_of(tile.columns(unit));
    let fits = TILES
        .into_iter()
        .filter(|&(tile, _)| tile.suits(unit, numbers));
    let mut all: Vec<_> = fits
        .map(|(tile, per_column)| (tile, f64::from(columns(tile)) * per_column))
        .collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    all
}

/// Many small groups would be mostly padding.
fn is_worth(shape: &ConvShape, tile: Tile, unit: Unit) -> bool {
    let real = shape.out_c as usize * shape.depth();
    let stored = groups(shape) * padded(shape, tile, unit) * steps(shape) * STEP;
    stored <= real.saturating_mul(8).saturating_add(1 << 20)
}

/// All definitions that a launch may come with, on all devices.
#[cfg(test)]
pub(super) fn all_defines(numbers: Numbers) -> impl Iterator<Item = Vec<Define>> {
    let units = [8, 16].into_iter().flat_map(|size| {
        [8, 32, 64].map(|subgroup| Unit {
            size,
            subgroup,
            invocations: 1024,
            memory: 48 << 10,
        })
    });
    units.flat_map(move |unit| {
        let tiles = TILES.into_iter().map(|(tile, _)| tile);
        tiles
            .filter(move |tile| tile.suits(unit, numbers))
            .map(move |tile| tile.defines(unit, numbers))
    })
}

fn groups(shape: &ConvShape) -> usize {
    (shape.out_c / shape.group_out) as usize
}

/// Columns of a group, padded to whole tiles.
fn padded(shape: &ConvShape, tile: Tile, unit: Unit) -> usize {
    shape.group_out.next_multiple_of(tile.columns(unit)) as usize
}

/// Quads of k of a filter.
fn quads(shape: &ConvShape) -> usize {
    (shape.k_h * shape.k_w) as usize * (shape.group_in as usize).div_ceil(4)
}

/// Steps of 32 k.
pub(super) fn steps(shape: &ConvShape) -> usize {
    quads(shape).div_ceil(STEP / 4)
}

/// Workgroups for a number of samples.
pub(super) fn workgroups(
    shape: &ConvShape,
    tile: Tile,
    unit: Unit,
) -> impl Fn(usize) -> usize + Send + Sync + use<> {
    let (pixels, rows) = (shape.pixels(), tile.rows(unit) as usize);
    let strips = groups(shape) * padded(shape, tile, unit) / tile.columns(unit) as usize;
    move |samples| (samples * pixels).div_ceil(rows) * strips
}

/// Whether a float sum is cut into pieces.
pub(super) fn in_pieces(shape: &ConvShape) -> bool {
    steps(shape) > LONG
}

/// Appends taps outside of every input up to whole steps.
pub(super) fn pad_taps(mut taps: Params, shape: &ConvShape) -> Binding {
    for _ in quads(shape)..steps(shape) * STEP / 4 {
        taps = taps.u32([1 << 30, 1 << 30, 0, 1]);
    }
    taps.binding()
}

/// After how many steps the sums of int8 products must become integers: all, where none can leave the exact range.
pub(super) fn piece(shape: &ConvShape, weights: &[i8]) -> usize {
    let steps = steps(shape);
    let mut piece = steps;
    while piece > SAFE_STEPS && !exact(shape, weights, piece) {
        piece = piece.div_ceil(2).max(SAFE_STEPS);
    }
    piece.max(1)
}

/// Whether 128 · Σ|w| over every piece of every filter stays below 2²⁴.
fn exact(shape: &ConvShape, weights: &[i8], piece: usize) -> bool {
    // A step has at most so many k; where taps are padded it has fewer, so that pieces end elsewhere: count by taps.
    let (group_in, padded_in) = (
        shape.group_in as usize,
        shape.group_in.next_multiple_of(4) as usize,
    );
    weights.chunks_exact(shape.depth()).all(|filter| {
        let mut sums = vec![0u32; steps(shape).div_ceil(piece)];
        for (tap, of_tap) in filter.chunks_exact(group_in).enumerate() {
            for (channel, w) in of_tap.iter().enumerate() {
                let k = tap * padded_in + channel;
                let sum = &mut sums[k / (piece * STEP)];
                *sum = sum.saturating_add(128 * u32::from(w.unsigned_abs()));
            }
        }
        sums.into_iter().all(|sum| sum < EXACT)
    })
}

/// Calls `visit` for each group, step and column, with the places of its 32 k in the weights; `None` is padding.
fn for_each_column(
    shape: &ConvShape,
    padded: usize,
    mut visit: impl FnMut(Option<usize>, &mut dyn Iterator<Item = Option<usize>>),
) {
    let (group_in, group_out) = (shape.group_in as usize, shape.group_out as usize);
    let quads_a_tap = group_in.div_ceil(4);
    let depth = shape.depth();
    for group in 0..groups(shape) {
        for step in 0..steps(shape) {
            for column in 0..padded {
                let channel = (column < group_out).then_some(group * group_out + column);
                let mut places = (step * STEP..(step + 1) * STEP).map(|k| {
                    let quad = k / 4;
                    let within = quad % quads_a_tap * 4 + k % 4;
                    let place = quad / quads_a_tap * group_in + within;
                    let exists = within < group_in && place < depth;
                    channel.filter(|_| exists).map(|c| c * depth + place)
                });
                visit(channel, &mut places);
            }
        }
    }
}

/// int8 weights as f16.
pub(super) fn weights_i8(shape: &ConvShape, weights: &[i8], tile: Tile, unit: Unit) -> Binding {
    let mut bytes = Vec::new();
    for_each_column(shape, padded(shape, tile, unit), |_, places| {
        for place in places {
            let w = place.map_or(0.0, |at| f32::from(weights[at]));
            bytes.extend(f16::from_f32(w).to_le_bytes());
        }
    });
    Binding::Constant(bytes)
}

/// The power of two of each channel that brings its largest weight to 2¹³ … 2¹⁴, and its inverse; `None` where one is
/// too far from 1 for the scales of rows beside it, or a weight is not finite.
pub(super) fn scales(shape: &ConvShape, weights: &[f32]) -> Option<Vec<[f32; 2]>> {
    /// Powers of two that scales keep to.
    const FARTHEST: i32 = 60;
    let one = |filter: &[f32]| {
        let largest = filter.iter().fold(0.0f32, |m, w| m.max(w.abs()));
        if largest == 0.0 {
            return filter.iter().all(|w| w.is_finite()).then_some([1.0; 2]);
        }
        if !filter.iter().all(|w| w.is_finite()) || !largest.is_normal() {
            return None;
        }
        // The exponent field is that of the power of two below.
        let exponent = 13 - ((largest.to_bits() >> 23) as i32 - 127);
        (exponent.abs() <= FARTHEST).then(|| [exponent, -exponent].map(|e| 2f32.powi(e)))
    };
    weights.chunks_exact(shape.depth()).map(one).collect()
}

/// Float weights, scaled, as high and low parts.
pub(super) fn weights_f32(
    shape: &ConvShape,
    weights: &[f32],
    scales: &[[f32; 2]],
    tile: Tile,
    unit: Unit,
) -> Binding {
    let mut bytes = Vec::new();
    for_each_column(shape, padded(shape, tile, unit), |channel, places| {
        let scale = channel.map_or(0.0, |c| scales[c][0]);
        let mut lows = [f16::ZERO; STEP];
        for (low, place) in lows.iter_mut().zip(places) {
            let (high, rest) = split(place.map_or(0.0, |at| weights[at] * scale));
            bytes.extend(high.to_le_bytes());
            *low = rest;
        }
        bytes.extend(lows.into_iter().flat_map(f16::to_le_bytes));
    });
    Binding::Constant(bytes)
}

/// x = high + low / 2048, as `high_of` of the shader: the high part is 0 where f16 has not all its bits.
fn split(x: f32) -> (f16, f16) {
    let high = if x.abs() < 2f32.powi(-14) {
        0.0
    } else {
        f32::from_bits((x.to_bits() + 0x1000) & !0x1fff)
    };
    (f16::from_f32(high), f16::from_f32((x - high) * 2048.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::product::plain;

    const UNIT: Unit = Unit {
        size: 16,
        subgroup: 32,
        invocations: 1024,
        memory: 48 << 10,
    };

    #[test]
    fn sums_of_a_piece_are_exact_whatever_the_weights() {
        for (depth, w) in [
            (100, -128),
            (1023, -128),
            (1024, -128),
            (5000, -128),
            (5000, 25),
            (5000, 27),
            (100_000, 127),
        ] {
            let shape = plain(1, depth, 2);
            let mut weights = vec![0i8; 2 * depth];
            // Only the second filter has them.
            weights[depth..].fill(w);
            let piece = piece(&shape, &weights);
            let longest = (piece * STEP).min(depth) as u32;
            assert!(longest * 128 * u32::from(w.unsigned_abs()) < EXACT);
            let whole = depth as u32 * 128 * u32::from(w.unsigned_abs()) < EXACT;
            assert_eq!(piece == steps(&shape), whole, "{depth} {w}");
        }
    }

    #[test]
    fn split_floats_have_22_bits() {
        let mut worst = 0.0f64;
        for i in 0..100_000u32 {
            // All mantissas that matter, exponents from 2^-3 to 2^14.
            let x = f32::from_bits(0x3e00_0000 + i * 1361 % 0x0880_0000);
            let (high, low) = split(x);
            let back = f64::from(high.to_f32()) + f64::from(low.to_f32()) / 2048.0;
            worst = worst.max((back - f64::from(x)).abs() / f64::from(x));
        }
        assert!(worst <= 2f64.powi(-23), "{worst}");
        // Small ones lose at most 2^-27.
        for x in [1e-5f32, 6.1e-5, 1e-9, 2f32.powi(-15) * 1.9999] {
            let (high, low) = split(x);
            assert_eq!(high, f16::ZERO);
            let back = f64::from(low.to_f32()) / 2048.0;
            assert!((back - f64::from(x)).abs() <= 2f64.powi(-27), "{x}");
        }
    }

    #[test]
    fn narrow_products_get_narrow_tiles() {
        let columns = |rows, units, numbers| {
            let tile = choose(UNIT, numbers, &plain(rows, 64, units)).unwrap();
            (tile.rows(UNIT), tile.columns(UNIT))
        };
        for (units, want) in [
            (1, 16),
            (16, 16),
            (24, 32),
            (32, 32),
            (48, 64),
            (64, 64),
            (96, 128),
            (128, 128),
            (144, 64),
            (1280, 128),
        ] {
            assert_eq!(columns(784, units, Numbers::Int8).1, want, "{units}");
            assert!(columns(784, units, Numbers::Float).1 <= 64, "{units}");
        }
        assert_eq!(columns(1, 1000, Numbers::Int8), (64, 64));
        assert_eq!(columns(784, 1000, Numbers::Int8), (128, 128));
    }

    /// Whether a product runs on the units does not hang on what is measured.
    #[test]
    fn what_may_be_measured_begins_with_the_choice_and_is_nothing_where_there_is_none() {
        let mut grouped = plain(196, 64, 4096);
        (grouped.in_c, grouped.group_in, grouped.group_out) = (4096 * 4, 64, 16);
        let mut most = 0;
        for shape in [1, 16, 24, 96, 144, 1280]
            .map(|units| plain(784, 64, units))
            .into_iter()
            .chain([plain(1, 512, 1000), grouped])
        {
            for numbers in [Numbers::Int8, Numbers::Float] {
                let all = candidates(UNIT, numbers, &shape);
                assert_eq!(all.first().copied(), choose(UNIT, numbers, &shape));
                for (i, tile) in all.iter().enumerate() {
                    assert!(tile.suits(UNIT, numbers) && is_worth(&shape, *tile, UNIT));
                    assert!(all[..i].iter().all(|other| other.name() != tile.name()));
                }
                most = most.max(all.len());
            }
        }
        assert!(most > 2, "{most}");
        let mut small = plain(196, 9, 4096);
        (small.in_c, small.group_out) = (9 * 4096, 1);
        assert!(candidates(UNIT, Numbers::Float, &small).is_empty());
    }

    #[test]
    fn scales_are_powers_of_two_and_extremes_are_refused() {
        let shape = plain(1, 2, 3);
        let weights = [0.3, -0.9, 0.0, 0.0, 5.0, 8.0];
        let scales_of = |w: &[f32]| scales(&shape, w);
        let all = scales_of(&weights).unwrap();
        assert_eq!(all[0], [2f32.powi(14), 2f32.powi(-14)]);
        assert_eq!(all[1], [1.0, 1.0]);
        assert_eq!(all[2], [2f32.powi(10), 2f32.powi(-10)]);
        for bad in [f32::NAN, f32::INFINITY, 1e30, 1e-30, 1e-40] {
            let mut weights = weights;
            weights[2] = bad;
            assert!(scales_of(&weights).is_none(), "{bad}");
        }
    }
}
