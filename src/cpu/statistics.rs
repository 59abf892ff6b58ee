//! Ranges and histograms of float tensors, gathered by all threads while a tensor is in the cache.
//!
//! A thread counts a chunk of a tensor with the width of that chunk's own range, then adds its bins to those of the
//! tensor under a lock. Bins only ever merge in pairs (see `num::histogram`), so the order does not matter.

use crate::graph::TensorId;
use crate::kernel::{DeviceError, Program, Range, Statistics};
use crate::num::Histogram;
use crate::num::histogram::{BINS, bin, exponent_of, power_of_two};
use std::sync::{Mutex, PoisonError};

/// Tables that are counted into in turns: a value that repeats does not wait for its own last count.
const TABLES: usize = 4;
/// Values whose bins are computed before they are counted.
const BLOCK: usize = 256;

/// What has been seen of one tensor.
struct Seen {
    range: Range,
    /// The range of a chunk that was not finite.
    broken: Option<Range>,
    exponent: i32,
    /// Bin b is counted in slot b mod [`BINS`]. Empty until the first value.
    slots: Vec<u64>,
}

/// What all threads have seen of every tensor.
pub(super) struct Gathered {
    level: Statistics,
    tensors: Vec<Mutex<Seen>>,
}

/// Room for counting, one for each chunk in work.
pub(super) struct Tables(Vec<[u32; BINS]>);

impl Tables {
    pub fn new() -> Tables {
        Tables(vec![[0; BINS]; TABLES])
    }
}

impl Gathered {
    pub fn new(level: Statistics, tensors: usize) -> Gathered {
        let seen = || {
            Mutex::new(Seen {
                range: Range::EMPTY,
                broken: None,
                exponent: 0,
                slots: Vec::new(),
            })
        };
        Gathered {
            level,
            tensors: (0..tensors).map(|_| seen()).collect(),
        }
    }

    pub fn level(&self) -> Statistics {
        self.level
    }

    fn of(&self, id: TensorId) -> std::sync::MutexGuard<'_, Seen> {
        // A panic of another holder leaves counts, not broken invariants.
        self.tensors[id]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees values of a tensor; `range` is theirs.
    pub fn see(&self, id: TensorId, values: &[f32], range: Range, tables: &mut Tables) {
        if self.level == Statistics::Nothing || range == Range::EMPTY {
            return;
        }
        if !range.min.is_finite() || !range.max.is_finite() {
            self.of(id).broken.get_or_insert(range);
            return;
        }
        if self.level == Statistics::Ranges {
            let mut seen = self.of(id);
            seen.range = seen.range.merge(range);
            return;
        }
        let exponent = exponent_of(range);
        // Adding the tables up costs as much as counting so many values one by one.
        if values.len() < BINS {
            let mut seen = self.of(id);
            seen.widen(range);
            let now = seen.exponent;
            for &x in values {
                seen.slots[slot(bin(x, now))] += 1;
            }
            return;
        }
        // Slots of 32 bits: a chunk is far smaller, but nothing here says so.
        for part in values.chunks(1 << 30) {
            count(part, power_of_two(-exponent), &mut tables.0);
            self.of(id).add(range, exponent, tables);
        }
    }

    /// The first tensor, in order of execution, that was not finite.
    pub fn check(&self, program: &Program) -> Result<(), DeviceError> {
        let graph = &program.graph;
        let written = program.steps.iter().flat_map(|step| &step.outputs);
        for &id in graph.inputs.iter().chain(written) {
            let Some(range) = self.of(id).broken else {
                continue;
            };
            return Err(DeviceError::NotFinite {
                tensor: format!("{}: {}", graph.file, graph.describe(id)),
                what: if range.min.is_nan() || range.max.is_nan() {
                    "NaN"
                } else {
                    "infinite"
                },
            });
        }
        Ok(())
    }

    pub fn ranges(&self) -> Vec<Option<Range>> {
        let range = |id| Some(self.of(id).range).filter(|&r| r != Range::EMPTY);
        (0..self.tensors.len()).map(range).collect()
    }

    pub fn histograms(&self) -> Vec<Option<Histogram>> {
        let histogram = |id| {
            let seen = self.of(id);
            (!seen.slots.is_empty()).then(|| {
                let mut h = Histogram::new(seen.range);
                for (i, count) in h.counts.iter_mut().enumerate() {
                    *count = seen.slots[slot(h.first + i as i32)];
                }
                h
            })
        };
        (0..self.tensors.len()).map(histogram).collect()
    }
}

impl Seen {
    /// Makes room for values of a range.
    fn widen(&mut self, range: Range) {
        let before = self.range;
        self.range = before.merge(range);
        let exponent = exponent_of(self.range);
        if self.slots.is_empty() {
            self.slots = vec![0; BINS];
        } else if exponent > self.exponent {
            self.slots = rebinned(&self.slots, before, self.exponent, exponent);
        }
        self.exponent = exponent;
    }

    /// Adds what was counted at an exponent, and clears the tables.
    fn add(&mut self, range: Range, exponent: i32, tables: &mut Tables) {
        self.widen(range);
        let (first, shift) = (
            bin(range.min.min(0.0), exponent),
            shift(exponent, self.exponent),
        );
        for i in 0..BINS {
            let at = slot(first + i as i32);
            let n: u64 = tables.0.iter().map(|table| u64::from(table[at])).sum();
            if n > 0 {
                self.slots[slot((first + i as i32) >> shift)] += n;
            }
        }
        tables.0.iter_mut().for_each(|table| table.fill(0));
    }
}

fn slot(bin: i32) -> usize {
    bin as usize % BINS
}

fn shift(from: i32, to: i32) -> i32 {
    (to - from).clamp(0, 31)
}

/// Slots of the range at one exponent as slots at a larger one.
fn rebinned(slots: &[u64], range: Range, from: i32, to: i32) -> Vec<u64> {
    let mut new = vec![0; BINS];
    let first = bin(range.min.min(0.0), from);
    for i in 0..BINS as i32 {
        new[slot((first + i) >> shift(from, to))] += slots[slot(first + i)];
    }
    new
}

/// Counts values by their slot; `scale` is the inverse of the width.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn count(values: &[f32], scale: f32, tables: &mut [[u32; BINS]]) {
    let [a, b, c, d] = tables else {
        unreachable!("Tables::new makes {TABLES} of them")
    };
    let mut bins = [0u32; BLOCK];
    for block in values.chunks(BLOCK) {
        for (at, &x) in bins.iter_mut().zip(block) {
            // As num::histogram::bin, in arithmetic that vectorises.
            let magnitude = (x.abs() * scale) as i32;
            let negative = -i32::from(x.to_bits() > 1 << 31);
            *at = (magnitude ^ negative) as u32 % BINS as u32;
        }
        let (fours, rest) = bins[..block.len()].as_chunks::<TABLES>();
        for four in fours {
            a[four[0] as usize % BINS] += 1;
            b[four[1] as usize % BINS] += 1;
            c[four[2] as usize % BINS] += 1;
            d[four[3] as usize % BINS] += 1;
        }
        rest.iter().for_each(|&at| a[at as usize % BINS] += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::range_of;
    use super::*;
    use proptest::prelude::*;

    fn gather(parts: &[Vec<f32>]) -> Histogram {
        let gathered = Gathered::new(Statistics::Histograms, 1);
        let mut tables = Tables::new();
        for part in parts {
            gathered.see(0, part, range_of(part), &mut tables);
        }
        gathered.histograms().remove(0).unwrap()
    }

    proptest! {
        #[test]
        fn parts_count_like_the_whole(
            seed in prop::collection::vec(-1.0f32..1.0, 1..100),
            sizes in prop::collection::vec(1usize..6000, 1..6),
            scales in prop::collection::vec(-20i32..20, 6),
        ) {
            let parts: Vec<Vec<f32>> = sizes
                .iter()
                .zip(&scales)
                .map(|(&n, &e)| (0..n).map(|i| seed[i % seed.len()] * (i % 97) as f32 * power_of_two(e)).collect())
                .collect();
            let whole = parts.concat();
            let mut expected = Histogram::new(range_of(&whole));
            expected.count(&whole);
            prop_assert_eq!(gather(&parts), expected);
        }
    }
}
