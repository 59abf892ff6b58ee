//! Ranges and histograms of float tensors, gathered by all threads while a tensor is in the cache.
//!
//! A thread counts a chunk of a tensor with the width of that chunk's own range, then adds its bins to those of the
//! tensor under a lock. Bins only ever merge in pairs (see `num::histogram`), so the order does not matter.

use super::counting::{Tables, range_of};
use crate::graph::TensorId;
use crate::kernel::{AllMoved, DeviceError, Program, Range, Statistics};
use crate::num::Histogram;
use crate::num::histogram::{BINS, bin, exponent_of};
use std::sync::{Mutex, PoisonError};

/// What has been seen of one tensor.
struct Seen {
    range: Range,
    /// The range of a chunk that was not finite.
    broken: Option<Range>,
    exponent: i32,
    /// Bin b is counted in slot b mod [`BINS`]. Empty until the first value.
    slots: Vec<u64>,
    /// Values that are 0 or −0.
    zeros: u64,
}

/// What all threads have seen of every tensor.
pub(super) struct Gathered {
    level: Statistics,
    tensors: Vec<Mutex<Seen>>,
    moved: AllMoved,
    samples: u64,
}

impl Gathered {
    pub fn new(level: Statistics, tensors: usize, moved: AllMoved) -> Gathered {
        let seen = || {
            Mutex::new(Seen {
                range: Range::EMPTY,
                broken: None,
                exponent: 0,
                slots: Vec::new(),
                zeros: 0,
            })
        };
        Gathered {
            level,
            tensors: (0..tensors).map(|_| seen()).collect(),
            moved,
            samples: 0,
        }
    }

    /// Notes that so many samples were seen.
    pub fn add_samples(&mut self, samples: usize) {
        self.samples += samples as u64;
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

    /// Sees values of a tensor.
    pub fn see(&self, id: TensorId, values: &[f32], tables: &mut Tables) {
        if self.level == Statistics::Nothing
            || values.is_empty()
            || self.moved.contains(id, self.level)
        {
            return;
        }
        if self.level == Statistics::Histograms && values.len() >= BINS {
            // Slots of 32 bits: a chunk is far smaller, but nothing here says so.
            for part in values.chunks(1 << 30) {
                self.count(id, part, tables);
            }
            return;
        }
        let range = range_of(values);
        let mut seen = self.of(id);
        if !range.min.is_finite() || !range.max.is_finite() {
            seen.broken.get_or_insert(range);
        } else if self.level == Statistics::Ranges {
            seen.range = seen.range.merge(range);
        } else {
            // Adding the tables up costs as much as counting so many values one by one.
            seen.widen(range);
            let now = seen.exponent;
            seen.zeros += u64::from(zeros(values));
            for &x in values {
                seen.slots[slot(bin(x, now))] += 1;
            }
        }
    }

    /// Sees values of a tensor that are a table's for these bytes. Pixels beside each other are often the same, and what
    /// repeats waits for its own last count: bytes are counted in more tables, and the values of a histogram are 256 then.
    pub fn see_bytes(&self, id: TensorId, bytes: &[u8], table: &[f32]) {
        if self.moved.contains(id, self.level) {
            return;
        }
        let counts = counts_of(bytes);
        let present = || table.iter().zip(counts).filter(|&(_, n)| n > 0);
        let range = present().fold(Range::EMPTY, |range, (&x, _)| {
            let x = x + 0.0;
            range.merge(Range { min: x, max: x })
        });
        let mut seen = self.of(id);
        if let Some((&x, _)) = present().find(|(x, _)| !x.is_finite()) {
            seen.broken.get_or_insert(Range { min: x, max: x });
            return;
        }
        if bytes.is_empty() {
            return;
        }
        seen.widen(range);
        let now = seen.exponent;
        for (&x, n) in present() {
            seen.slots[slot(bin(x, now))] += n;
            seen.zeros += if x == 0.0 { n } else { 0 };
        }
    }

    /// Counts values in tables, at the width that the tensor has so far if they fit: one look at them is enough then.
    fn count(&self, id: TensorId, values: &[f32], tables: &mut Tables) {
        let known = {
            let seen = self.of(id);
            (!seen.slots.is_empty()).then_some(seen.exponent)
        };
        if let Some(exponent) = known {
            let (range, zeros) = tables.count(values, exponent);
            if range.min.is_finite() && range.max.is_finite() && fits(range, exponent) {
                self.of(id).add(range, exponent, zeros, tables);
                return;
            }
            tables.clear();
        }
        let range = range_of(values);
        if !range.min.is_finite() || !range.max.is_finite() {
            self.of(id).broken.get_or_insert(range);
            return;
        }
        let exponent = exponent_of(range);
        let (_, zeros) = tables.count(values, exponent);
        self.of(id).add(range, exponent, zeros, tables);
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
        let mut ranges: Vec<_> = (0..self.tensors.len()).map(range).collect();
        self.moved.ranges(&mut ranges);
        ranges
    }

    pub fn histograms(&self) -> Vec<Option<Histogram>> {
        let histogram = |id| {
            let seen = self.of(id);
            (!seen.slots.is_empty()).then(|| {
                let mut h = Histogram::new(seen.range);
                for (i, count) in h.counts.iter_mut().enumerate() {
                    *count = seen.slots[slot(h.first + i as i32)];
                }
                h.zeros = Some(seen.zeros);
                h
            })
        };
        let mut histograms: Vec<_> = (0..self.tensors.len()).map(histogram).collect();
        let ranges = self.ranges();
        self.moved
            .histograms(&ranges, self.samples, &mut histograms);
        histograms
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
    fn add(&mut self, range: Range, exponent: i32, zeros: u32, tables: &mut Tables) {
        self.widen(range);
        self.zeros += u64::from(zeros);
        if exponent == self.exponent {
            return tables.move_to(&mut self.slots);
        }
        let sums = tables.sums();
        let (first, shift) = (
            bin(range.min.min(0.0), exponent),
            shift(exponent, self.exponent),
        );
        for i in 0..BINS {
            let n = sums[slot(first + i as i32)];
            self.slots[slot((first + i as i32) >> shift)] += u64::from(n);
        }
        tables.clear();
    }
}

/// How often each byte is there.
fn counts_of(bytes: &[u8]) -> [u64; 256] {
    let mut tables = [[0u32; 256]; 4];
    let mut counts = [0; 256];
    // Fewer than 2³² a table.
    for bytes in bytes.chunks(1 << 30) {
        let [a, b, c, d] = &mut tables;
        let (fours, rest) = bytes.as_chunks::<4>();
        for &[p, q, r, s] in fours {
            a[usize::from(p)] += 1;
            b[usize::from(q)] += 1;
            c[usize::from(r)] += 1;
            d[usize::from(s)] += 1;
        }
        rest.iter().for_each(|&p| a[usize::from(p)] += 1);
        for table in &mut tables {
            for (count, n) in counts.iter_mut().zip(table.iter_mut()) {
                *count += u64::from(std::mem::take(n));
            }
        }
    }
    counts
}

/// Whether values of a range have a slot each at an exponent, and are small enough for [`slots_of`].
fn fits(range: Range, exponent: i32) -> bool {
    exponent >= exponent_of(range)
}

pub(super) fn slot(bin: i32) -> usize {
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

/// How many values are 0 or −0, of fewer than 2³² values.
#[inline(always)]
fn zeros(values: &[f32]) -> u32 {
    values.iter().map(|&x| u32::from(x == 0.0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::histogram::power_of_two;
    use proptest::prelude::*;

    fn gather(parts: &[Vec<f32>]) -> Histogram {
        let gathered = Gathered::new(Statistics::Histograms, 1, AllMoved::default());
        let mut tables = Tables::default();
        for part in parts {
            gathered.see(0, part, &mut tables);
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

        #[test]
        fn bytes_count_like_their_values(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5000), 1..4),
            [scale, offset] in [0.001f32..2.0, -2.0f32..2.0],
        ) {
            let table: Vec<f32> = (0..256).map(|b| b as f32 * scale - 128.0 * scale * offset).collect();
            let gathered = Gathered::new(Statistics::Histograms, 1, AllMoved::default());
            parts.iter().for_each(|bytes| gathered.see_bytes(0, bytes, &table));
            let real = |bytes: &Vec<u8>| bytes.iter().map(|&b| table[usize::from(b)]).collect();
            let values: Vec<Vec<f32>> = parts.iter().map(real).collect();
            prop_assert_eq!(gathered.histograms().remove(0).unwrap(), gather(&values));
            prop_assert_eq!(gathered.ranges()[0], Some(range_of(&values.concat())));
        }
    }
}
