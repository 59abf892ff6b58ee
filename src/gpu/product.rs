//! The matrix product behind CONV_2D, FULLY_CONNECTED and the input projections of the LSTM: an implicit GEMM, see
//! `shaders/shared/product_f32.wgsl` and `shaders/int8/conv_2d.wgsl`; on matrix units see [`super::matrix`].
//!
//! The host brings the weights, OHWI in the file, into the order in which the tiles read them: `[group][k][channel]`
//! with k = (tap, input channel), where the input channels of a tap and the output channels of a group are padded to
//! multiples of 4. int8 weights lie four k to a word.

use super::launch::{Binding, Launch, Params};
use super::matrix::{self, Numbers};
use super::shader::Define;
use super::tiles::{Tiles, Wanted};
use crate::kernel::{ConvShape, FullyConnectedI8};
use crate::num::Multiplier;
use std::collections::HashMap;

/// The tile of a workgroup of 64 invocations, without matrix units: `across` invocations side by side, each with 8 rows
/// and `own` quads of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    across: u32,
    own: u32,
}

/// 64 × 64, 128 × 32 and 128 × 16. The bits of a result do not depend on the choice.
pub(super) const TILES: [Tile; 3] = [
    Tile { across: 8, own: 2 },
    Tile { across: 4, own: 2 },
    Tile { across: 4, own: 1 },
];

impl Tile {
    /// THE choice without a measurement.
    pub fn choose(shape: &ConvShape) -> Tile {
        Tile::candidates(shape)[0]
    }

    /// The tiles in the order in which they should be fast, without those that should take more than twice the time: the
    /// narrower, the more often rows are loaded.
    pub fn candidates(shape: &ConvShape) -> Vec<Tile> {
        let columns = u64::from(shape.group_out);
        let cost = |tile: Tile, per_column| columns.next_multiple_of(tile.columns()) * per_column;
        let all = TILES.into_iter().zip([10, 12, 16]);
        let mut all: Vec<_> = all.map(|(tile, per)| (cost(tile, per), tile)).collect();
        all.sort_by_key(|&(cost, _)| cost);
        let most = 2 * all[0].0;
        all.retain(|&(cost, _)| cost <= most);
        all.into_iter().map(|(_, tile)| tile).collect()
    }

    /// Its name among the tiles.
    pub fn name(self) -> String {
        format!("{}x{}", self.rows(), self.columns())
    }

    fn columns(self) -> u64 {
        u64::from(self.across * self.own * 4)
    }

    fn rows(self) -> usize {
        (64 / self.across * 8) as usize
    }

    /// What the shaders are written for.
    pub fn defines(self) -> Vec<Define> {
        vec![
            ("ACROSS", self.across),
            ("OWN", self.own),
            ("ROW_ITEMS", 8 / self.across),
            ("COLUMN_ITEMS", self.across * self.own / 4),
        ]
    }
}

/// A float product.
pub(super) struct ProductF32<'a> {
    pub shape: ConvShape,
    /// OHWI.
    pub weights: &'a [f32],
    /// One an output channel.
    pub bias: &'a [f32],
    /// Bounds of the result, perhaps infinite.
    pub bounds: (f32, f32),
}

/// An int8 product.
pub(super) struct ProductI8<'a> {
    pub shape: ConvShape,
    /// OHWI.
    pub weights: &'a [i8],
    /// One an output channel.
    pub bias: &'a [i32],
    pub input_zero_point: i32,
    pub finish: Finish<'a>,
}

/// How an accumulator becomes a result.
pub(super) enum Finish<'a> {
    /// By fixed-point multipliers.
    Multipliers {
        /// One an output channel.
        multipliers: &'a [Multiplier],
        output_zero_point: i32,
        /// Bounds of the result.
        bounds: (i32, i32),
    },
    /// As FULLY_CONNECTED does, by comparison with its levels.
    Levels(&'a FullyConnectedI8),
}

/// What a product reads and writes.
#[derive(Clone)]
pub(super) struct Io {
    pub input: Binding,
    /// Words from one sample of the input to the next.
    pub in_stride: u32,
    pub output: Binding,
}

/// How a product reads its input and writes its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    /// Four input channels lie in one vec4 or word.
    pub quads: bool,
    /// Four output channels lie in one word (int8) or vec4.
    pub packed: bool,
}

/// THE choice of variant.
pub(super) fn variant(shape: &ConvShape) -> Variant {
    Variant {
        quads: shape.group_in.is_multiple_of(4),
        packed: shape.group_out.is_multiple_of(4),
    }
}

/// The geometry of a plain product: `rows` of `depth` elements by `units` columns of weights.
pub(super) fn plain(rows: usize, depth: usize, units: usize) -> ConvShape {
    // Sizes of tensors were checked to fit when the graph was loaded.
    let [rows, depth, units] = [rows, depth, units].map(|n| n as u32);
    ConvShape {
        batch: 1,
        in_h: 1,
        in_w: rows,
        in_c: depth,
        out_h: 1,
        out_w: rows,
        out_c: units,
        k_h: 1,
        k_w: 1,
        stride_h: 1,
        stride_w: 1,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: 0,
        pad_left: 0,
        group_in: depth,
        group_out: units,
    }
}

/// Bounds as the float shaders take them: which apply, and their values.
pub(super) fn bounded((low, high): (f32, f32)) -> (u32, [f32; 2]) {
    let applies = u32::from(low.is_finite()) | u32::from(high.is_finite()) << 1;
    (applies, [low, high])
}

/// The scratch buffer of rows that the matrix units give up; operators with products have others before it.
const GIVEN_UP: usize = 2;

impl ProductF32<'_> {
    /// The launches. On matrix units there is a second one, for the rows that these give up.
    pub fn launches(&self, io: Io, tiles: &Tiles) -> Vec<Launch> {
        let wanted = Wanted::float(self.shape);
        let Some(fast) = self.on_matrix_units(&io, &wanted, tiles) else {
            return vec![self.launch(io, tiles.plain(&wanted)).seen()];
        };
        // Its time depends on the data: there is nothing to measure.
        let mut guarded = self.launch(io, Tile::choose(&self.shape));
        guarded.bindings.push(Binding::ReadScratch(GIVEN_UP));
        vec![fast.seen(), guarded.seen().define("GUARDED", 1)]
    }

    /// The launch in plain f32.
    fn launch(&self, io: Io, tile: Tile) -> Launch {
        let shape = &self.shape;
        let depth = shape.depth();
        let mut weights = Vec::new();
        for_each_k(shape, |ks, group| {
            for k in ks {
                for channel in padded_channels(shape, group) {
                    let w = k
                        .zip(channel)
                        .map_or(0.0, |(k, c)| self.weights[c * depth + k]);
                    weights.extend(w.to_le_bytes());
                }
            }
        });
        let shader = if variant(shape).quads {
            "f32/conv_2d"
        } else {
            "f32/conv_2d_scalar"
        };
        let bindings = vec![
            self.params(io.in_stride),
            taps(shape).binding(),
            Binding::Constant(weights),
            Params::default().f32(self.padded_bias()).binding(),
            io.input,
            io.output,
        ];
        launch(shader, shape, tile, bindings).define(output(shape), 1)
    }

    /// The launch on matrix units, if the device has them and they fit the product.
    fn on_matrix_units(&self, io: &Io, wanted: &Wanted, tiles: &Tiles) -> Option<Launch> {
        let shape = &self.shape;
        let (tile, unit) = tiles.on_matrix_units(wanted)?;
        let scales = matrix::scales(shape, self.weights)?;
        let mut bias = self.padded_bias();
        for_each_channel(shape, |channel| {
            bias.push(channel.map_or(0.0, |c| scales[c][1]));
        });
        let bindings = vec![
            self.params(io.in_stride),
            matrix::pad_taps(taps(shape), shape),
            matrix::weights_f32(shape, self.weights, &scales, tile, unit),
            Params::default().f32(bias).binding(),
            io.input.clone(),
            io.output.clone(),
            Binding::Scratch {
                slot: GIVEN_UP,
                bytes_per_sample: shape.pixels() * groups(shape) as usize * 4,
            },
        ];
        let workgroups = matrix::workgroups(shape, tile, unit);
        let input = if variant(shape).quads {
            "QUADS"
        } else {
            "SCALARS"
        };
        let mut launch = Launch::groups("f32/conv_2d_matrix", bindings, workgroups);
        launch.defines = tile.defines(unit, Numbers::Float);
        let pieces = matrix::in_pieces(shape);
        let launch = launch.define(input, 1).define(output(shape), 1);
        Some(launch.define("PIECES", u32::from(pieces)))
    }

    fn params(&self, in_stride: u32) -> Binding {
        let (applies, bounds) = bounded(self.bounds);
        params(&self.shape, in_stride)
            .u32([applies])
            .f32(bounds)
            .u32([matrix::steps(&self.shape) as u32])
            .binding()
    }

    fn padded_bias(&self) -> Vec<f32> {
        let mut bias = Vec::new();
        for_each_channel(&self.shape, |channel| {
            bias.push(channel.map_or(0.0, |c| self.bias[c]));
        });
        bias
    }
}

impl ProductI8<'_> {
    /// The launch; without `packed` every element of the output takes a word.
    pub fn launch(&self, io: Io, packed: bool, tiles: &Tiles) -> Launch {
        let shape = &self.shape;
        let wanted = Wanted::int8(*shape, self.weights, packed);
        let tiled = tiles.on_matrix_units(&wanted);
        let piece = wanted.piece;
        let steps = matrix::steps(shape);
        let params = params(shape, io.in_stride.wrapping_mul(4))
            .u32([u32::from_le_bytes([self.input_zero_point as u8; 4])])
            .i32(self.finish.params())
            .u32([steps as u32, piece as u32]);
        let (channels, levels) = self.channels();
        let weights = match tiled {
            Some((tile, unit)) => matrix::weights_i8(shape, self.weights, tile, unit),
            None => self.packed_weights(),
        };
        let taps = match tiled {
            Some(_) => matrix::pad_taps(taps(shape), shape),
            None => taps(shape).binding(),
        };
        let bindings = vec![
            params.binding(),
            taps,
            weights,
            channels,
            io.input,
            io.output,
            levels,
        ];
        let launch = match tiled {
            Some((tile, unit)) => {
                let workgroups = matrix::workgroups(shape, tile, unit);
                let mut launch = Launch::groups("int8/conv_2d_matrix", bindings, workgroups);
                launch.defines = tile.defines(unit, Numbers::Int8);
                launch.with("SPLIT", f64::from(piece < steps))
            }
            None => launch("int8/conv_2d", shape, tiles.plain(&wanted), bindings),
        };
        launch
            .with("ALIGNED", f64::from(variant(shape).quads))
            .with("PACKED", f64::from(packed))
            .with(
                "LEVELS",
                f64::from(matches!(self.finish, Finish::Levels(_))),
            )
    }

    /// Four words a channel, see the shader, and all levels.
    fn channels(&self) -> (Binding, Binding) {
        let depth = self.shape.depth();
        let (per_channel, levels) = self.finish.tables();
        let mut channels = Params::default();
        for_each_channel(&self.shape, |channel| {
            let words = channel.map_or([0; 4], |c| {
                // Padding is fed as the zero point, so all weights count.
                let sum = sum(&self.weights[c * depth..(c + 1) * depth]);
                let bias = self.bias[c].wrapping_sub(sum.wrapping_mul(self.input_zero_point));
                let [first, second] = per_channel[c];
                [bias, first, second, 0]
            });
            channels = std::mem::take(&mut channels).i32(words);
        });
        (channels.binding(), Params::default().i32(levels).binding())
    }

    /// Four k of a channel in a word.
    fn packed_weights(&self) -> Binding {
        let shape = &self.shape;
        let depth = shape.depth();
        let mut weights = Vec::new();
        for_each_k(shape, |ks, group| {
            for channel in padded_channels(shape, group) {
                for k in ks {
                    let w = k
                        .zip(channel)
                        .map_or(0, |(k, c)| self.weights[c * depth + k]);
                    weights.push(w as u8);
                }
            }
        });
        Binding::Constant(weights)
    }

    /// The launches into an int8 tensor of `words` a sample: two where its channels do not fill words.
    pub fn launches(&self, io: Io, words: usize, tiles: &Tiles) -> Vec<Launch> {
        if variant(&self.shape).packed {
            return vec![self.launch(io, true, tiles)];
        }
        let elements = self.shape.pixels() * self.shape.out_c as usize;
        let scratch = Binding::Scratch {
            slot: 0,
            bytes_per_sample: elements * 4,
        };
        let to_scratch = Io {
            output: scratch.clone(),
            ..io
        };
        vec![
            self.launch(to_scratch, false, tiles),
            Pack {
                bits: 8,
                elements,
                words,
                in_stride: elements,
                in_offset: 0,
            }
            .launch(scratch, io.output),
        ]
    }
}

impl Finish<'_> {
    /// Output zero point and bounds.
    fn params(&self) -> [i32; 3] {
        match *self {
            Finish::Multipliers {
                output_zero_point,
                bounds: (low, high),
                ..
            } => [output_zero_point, low, high],
            // They are in the levels.
            Finish::Levels(_) => [0; 3],
        }
    }

    /// Two words a channel, see the shader, and all levels.
    fn tables(&self) -> (Vec<[i32; 2]>, Vec<i32>) {
        match *self {
            Finish::Multipliers { multipliers, .. } => {
                let words = multipliers.iter().map(|m| [m.mantissa, m.shift]);
                (words.collect(), vec![0])
            }
            Finish::Levels(k) => {
                let (mut levels, mut known) = (vec![0], HashMap::new());
                let places = k.scales.iter().enumerate().map(|(unit, scale)| {
                    // Weights quantized per tensor share one scale, so one set of levels.
                    *known.entry(scale.to_bits()).or_insert_with(|| {
                        let first = levels.len() as i32;
                        levels.extend(k.levels(unit));
                        [first, levels.len() as i32 - first]
                    })
                });
                (places.collect(), levels)
            }
        }
    }
}

/// Packing of integers that take a word each, see `shaders/int8/pack.wgsl`.
pub(super) struct Pack {
    /// 8 or 16.
    pub bits: u32,
    /// Elements of one sample.
    pub elements: usize,
    /// Words of one sample in the output.
    pub words: usize,
    /// Words from one sample of the input to the next.
    pub in_stride: usize,
    /// Where in the input the elements start.
    pub in_offset: usize,
}

impl Pack {
    /// The launch.
    pub fn launch(&self, input: Binding, output: Binding) -> Launch {
        let sizes = [self.elements, self.words, self.in_stride, self.in_offset];
        let params = Params::default().u32(sizes.map(|n| n as u32));
        Launch::linear(
            "int8/pack",
            self.words,
            vec![params.binding(), input, output],
        )
        .with("BITS", f64::from(self.bits))
    }
}

/// Σ of int8 weights.
pub(super) fn sum(weights: &[i8]) -> i32 {
    weights.iter().fold(0, |s, &w| s.wrapping_add(i32::from(w)))
}

fn groups(shape: &ConvShape) -> u32 {
    shape.out_c / shape.group_out
}

/// The words that both parameter structs begin with; `in_stride` in the shader's units.
fn params(shape: &ConvShape, in_stride: u32) -> Params {
    Params::default().u32([
        shape.in_h,
        shape.in_w,
        shape.in_c,
        shape.out_h,
        shape.out_w,
        shape.out_c,
        shape.stride_h,
        shape.stride_w,
        shape.pad_top,
        shape.pad_left,
        shape.group_in,
        shape.group_out,
        shape.pixels() as u32,
        in_stride,
        shape.k_h * shape.k_w * shape.group_in.div_ceil(4),
        shape.group_out.div_ceil(4),
        groups(shape),
    ])
}

/// How float channels are written.
fn output(shape: &ConvShape) -> &'static str {
    if variant(shape).packed {
        "OUTPUT_QUADS"
    } else {
        "OUTPUT_SCALARS"
    }
}

fn launch(shader: &'static str, shape: &ConvShape, tile: Tile, bindings: Vec<Binding>) -> Launch {
    let (pixels, rows) = (shape.pixels(), tile.rows());
    let strips = groups(shape) as usize * shape.group_out.div_ceil(tile.columns() as u32) as usize;
    let mut launch = Launch::groups(shader, bindings, move |samples| {
        (samples * pixels).div_ceil(rows) * strips
    });
    launch.defines = tile.defines();
    launch
}

/// For each quad of k: vertical and horizontal distance, distance in elements, channels that exist.
fn taps(shape: &ConvShape) -> Params {
    let mut taps = Params::default();
    for ky in 0..shape.k_h {
        for kx in 0..shape.k_w {
            for channel in (0..shape.group_in).step_by(4) {
                // Wraps where a tap never lies inside the input; the shader's sum wraps back where it does.
                let y = ky.wrapping_mul(shape.dilation_h);
                let x = kx.wrapping_mul(shape.dilation_w);
                let pixel = y.wrapping_mul(shape.in_w).wrapping_add(x);
                let distance = pixel.wrapping_mul(shape.in_c).wrapping_add(channel);
                taps = taps.u32([y, x, distance, (shape.group_in - channel).min(4)]);
            }
        }
    }
    taps
}

/// Calls `visit` for each output channel in the padded order; `None` is padding.
fn for_each_channel(shape: &ConvShape, mut visit: impl FnMut(Option<usize>)) {
    for group in 0..groups(shape) {
        padded_channels(shape, group).for_each(&mut visit);
    }
}

/// Output channels of a group, padded to a multiple of 4.
fn padded_channels(shape: &ConvShape, group: u32) -> impl Iterator<Item = Option<usize>> + use<> {
    let size = shape.group_out as usize;
    let first = group as usize * size;
    (0..size.next_multiple_of(4)).map(move |c| (c < size).then_some(first + c))
}

/// Calls `visit` for each group and quad of k, with the places of its four k in a filter; `None` is padding.
fn for_each_k(shape: &ConvShape, mut visit: impl FnMut([Option<usize>; 4], u32)) {
    let size = shape.group_in as usize;
    for group in 0..groups(shape) {
        for tap in 0..(shape.k_h * shape.k_w) as usize {
            for first in (0..size).step_by(4) {
                let k = |i: usize| (first + i < size).then_some(tap * size + first + i);
                visit([k(0), k(1), k(2), k(3)], group);
            }
        }
    }
}
