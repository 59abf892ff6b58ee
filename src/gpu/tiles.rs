//! In which tiles the products of a program are computed, as data: what an operator's file asks when it makes its
//! launches. [`super::tuning`] fills in what was measured; for the rest there is a choice by reasoning.
//!
//! No tile changes the bits of a result: int8 sums are exact, float sums have the order of k in all of them. What would
//! change bits is not chosen here: whether a float product runs on matrix units.

use super::matrix::{self, Numbers, Unit};
use super::paths::Paths;
use super::product::{self, variant};
use super::{fully_connected, lstm};
use crate::kernel::{ConvShape, Kernel, Program};
use std::collections::HashMap;
use std::fmt;

/// Bytes of an input, an output or weights up to which a product is measured: every device has buffers of that size.
const BYTES: u64 = 128 << 20;
/// Rows of all samples that fill any device. More take longer and tell no more.
const ROWS: u64 = 1 << 18;
/// Multiply-adds up to which more samples are measured: a tenth of a second on a slow GPU.
const WORK: u64 = 1 << 35;

/// A product whose tile is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub numbers: Numbers,
    pub shape: ConvShape,
    /// Four elements of the output in one vector or word.
    pub packed: bool,
    /// Steps after which the sums of int8 products on matrix units become integers.
    pub piece: usize,
}

impl Wanted {
    /// A float product.
    pub fn float(shape: ConvShape) -> Wanted {
        Wanted {
            numbers: Numbers::Float,
            shape,
            packed: variant(&shape).packed,
            piece: matrix::steps(&shape),
        }
    }

    /// An int8 product with weights in any order of filters; without `packed` every element of the output takes a word.
    pub fn int8(shape: ConvShape, weights: &[i8], packed: bool) -> Wanted {
        Wanted {
            numbers: Numbers::Int8,
            shape,
            packed,
            piece: matrix::piece(&shape, weights),
        }
    }

    /// The product of a kernel, if it is one with tiles.
    fn of(kernel: &Kernel) -> Option<Wanted> {
        Some(match kernel {
            Kernel::ConvF32(k) => Wanted::float(k.shape),
            Kernel::FullyConnectedF32(k) => Wanted::float(fully_connected::geometry(&k.shape)),
            Kernel::LstmF32(k) if k.hybrid.is_none() => Wanted::float(lstm::projected(&k.shape)),
            Kernel::ConvI8(k) => Wanted::int8(k.shape, &k.weights, variant(&k.shape).packed),
            Kernel::FullyConnectedI8(k) => {
                let shape = fully_connected::geometry(&k.shape);
                Wanted::int8(shape, &k.weights, variant(&shape).packed)
            }
            Kernel::LstmI8(k) => Wanted::int8(lstm::projected(&k.shape), &k.input_weights, false),
            _ => return None,
        })
    }

    /// The products of a program.
    pub fn all(program: &Program) -> Vec<Wanted> {
        let kernels = program.steps.iter().map(|step| &step.kernel);
        kernels.filter_map(Wanted::of).collect()
    }

    /// Words of one sample of the input and of the output.
    pub fn words(&self) -> [usize; 2] {
        let s = &self.shape;
        let inputs = [s.batch, s.in_h, s.in_w, s.in_c].map(|n| n as usize);
        let (inputs, outputs) = (
            inputs.iter().product::<usize>(),
            s.pixels() * s.out_c as usize,
        );
        match self.numbers {
            Numbers::Float => [inputs, outputs],
            Numbers::Int8 if self.packed => [inputs.div_ceil(4), outputs / 4],
            Numbers::Int8 => [inputs.div_ceil(4), outputs],
        }
    }

    /// Products in one sample.
    pub fn multiply_adds(&self) -> usize {
        self.shape.pixels() * self.shape.out_c as usize * self.shape.depth()
    }

    /// Samples that are measured for a batch of `samples`: a power of two. 0 where one sample or the weights are too large.
    fn samples(&self, samples: usize) -> usize {
        let bytes = self.words().map(|words| 4 * words as u64);
        let weights = 4 * u64::from(self.shape.out_c) * self.shape.depth() as u64;
        let most = BYTES / bytes[0].max(bytes[1]).max(1);
        if most == 0 || weights > BYTES {
            return 0;
        }
        let rows = ROWS / self.shape.pixels().max(1) as u64;
        let work = WORK / self.multiply_adds().max(1) as u64;
        let enough = rows.min(work).min(samples as u64).max(1);
        let samples = most.min(enough);
        1 << samples.ilog2()
    }
}

/// A tile of either kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tile {
    Plain(product::Tile),
    Matrix(matrix::Tile),
}

impl Tile {
    /// Its name among the tiles of a product.
    pub fn name(self) -> String {
        match self {
            Tile::Plain(tile) => tile.name(),
            Tile::Matrix(tile) => tile.name(),
        }
    }
}

/// What the time of a product depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    numbers: Numbers,
    on_matrix_units: bool,
    /// A power of two.
    pub samples: usize,
    /// Of one sample.
    rows: usize,
    depth: usize,
    /// Of one group.
    columns: u32,
    groups: u32,
    taps: u32,
    packed: bool,
    split: bool,
}

/// As it stands in files.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.numbers {
            Numbers::Int8 => "int8",
            Numbers::Float => "float",
        })?;
        for (applies, word) in [
            (self.on_matrix_units, " on matrix units"),
            (self.packed, " packed"),
            (self.split, " split"),
        ] {
            f.write_str(if applies { word } else { "" })?;
        }
        let (samples, rows, depth, columns) = (self.samples, self.rows, self.depth, self.columns);
        write!(f, " {samples}x{rows}x{depth}x{columns}")?;
        write!(f, " groups {} taps {}", self.groups, self.taps)
    }
}

/// How the products of a program are computed: on which paths, and in which tiles.
#[derive(Clone, Debug, Default)]
pub(super) struct Tiles {
    pub paths: Paths,
    /// About how many samples a batch has.
    samples: usize,
    chosen: HashMap<Key, Tile>,
}

impl Tiles {
    /// By reasoning, for about so many samples at once.
    pub fn reasoned(paths: Paths, samples: usize) -> Tiles {
        Tiles {
            paths,
            samples,
            chosen: HashMap::new(),
        }
    }

    /// The same with one other choice.
    pub fn choose(&mut self, key: Key, tile: Tile) {
        self.chosen.insert(key, tile);
    }

    /// What the time of a product depends on; `None` if it is too large to be measured.
    pub fn key(&self, wanted: &Wanted) -> Option<Key> {
        let shape = &wanted.shape;
        let on_matrix_units = self.on_units(wanted).is_some();
        let samples = wanted.samples(self.samples);
        (samples > 0).then(|| Key {
            numbers: wanted.numbers,
            on_matrix_units,
            samples,
            rows: shape.pixels(),
            depth: shape.depth(),
            columns: shape.group_out,
            groups: shape.out_c / shape.group_out,
            taps: shape.k_h * shape.k_w,
            packed: wanted.packed,
            split: on_matrix_units && wanted.piece < matrix::steps(shape),
        })
    }

    /// The tiles that a product may be computed in, what reasoning chooses first.
    pub fn candidates(&self, wanted: &Wanted) -> Vec<Tile> {
        let shape = &wanted.shape;
        if let Some((_, unit)) = self.on_units(wanted) {
            let all = matrix::candidates(unit, wanted.numbers, shape).into_iter();
            return all.map(Tile::Matrix).collect();
        }
        let all = product::Tile::candidates(shape).into_iter();
        all.map(Tile::Plain).collect()
    }

    /// The tile on ordinary units.
    pub fn plain(&self, wanted: &Wanted) -> product::Tile {
        match self.chosen(wanted) {
            Some(Tile::Plain(tile)) => tile,
            _ => product::Tile::choose(&wanted.shape),
        }
    }

    /// The tile on matrix units, if the device has them and they fit the product.
    pub fn on_matrix_units(&self, wanted: &Wanted) -> Option<(matrix::Tile, Unit)> {
        let reasoned = self.on_units(wanted)?;
        match self.chosen(wanted) {
            Some(Tile::Matrix(tile)) => Some((tile, reasoned.1)),
            _ => Some(reasoned),
        }
    }

    fn chosen(&self, wanted: &Wanted) -> Option<Tile> {
        if self.chosen.is_empty() {
            return None;
        }
        self.chosen.get(&self.key(wanted)?).copied()
    }

    /// What reasoning chooses on matrix units.
    fn on_units(&self, wanted: &Wanted) -> Option<(matrix::Tile, Unit)> {
        let unit = match wanted.numbers {
            Numbers::Int8 => self.paths.int8?,
            Numbers::Float => self.paths.float?,
        };
        Some((matrix::choose(unit, wanted.numbers, &wanted.shape)?, unit))
    }
}
