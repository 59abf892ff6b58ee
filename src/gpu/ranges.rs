//! Ranges and histograms of float tensors, gathered on the device in every run and read once: a pair of order keys a
//! tensor, and counts in bins of a power of two (see `num/histogram.rs` and `shaders/shared/bins.wgsl`).
//!
//! A tensor is reduced to its keys first, by the kernel that computes it where that can (see `shaders/shared/range.wgsl`),
//! else by a kernel that reads it; then its old bins merge if the range has outgrown them, and its values are counted.
//! So for a range most tensors are not read again, for a histogram once. The range of a clamp is its source's, clamped: by
//! the host, and on the device where its bins get their width. A sum that an earlier step's launches write has its keys
//! from them, and is counted in its own turn.

use super::launch::{Binding, Launch, Params, Trace};
use super::shader::{Source, embed};
use crate::graph::{Graph, TensorId};
use crate::kernel::{
    AllMoved, DeviceError, Program, Range, Statistics, Step, from_order_key, order_key,
};
use crate::num::histogram::BINS;
use crate::num::{DType, Histogram};

pub(super) const SHADERS: &[Source] = &[
    embed!("stats/histogram"),
    embed!("stats/min_max"),
    embed!("stats/rebin"),
];

/// Order keys that clamp no range.
const ALL_KEYS: [u32; 2] = [0, u32::MAX];

/// Key pair of a tensor that was never reduced: nothing is below the one or above the other.
const EMPTY: [u32; 2] = [u32::MAX, 0];
/// Pairs of a tensor, far enough apart that workgroups do not queue for one, and words from one to the next.
const RANGE_PAIRS: usize = 16;
const RANGE_STRIDE: usize = 32;
/// Bytes of the pairs of a tensor; parts of a buffer that are bound must start at a multiple of 256.
pub(super) const KEY_BYTES: u64 = 4 * (RANGE_PAIRS * RANGE_STRIDE) as u64;

/// Words that one workgroup reads before another is worth its start.
const WORDS_A_GROUP: usize = 8192;
/// Workgroups that fill any device.
const MOST_GROUPS: usize = 4096;
/// Words that a workgroup counts before another is worth its start and its sum of bins.
const WORDS_A_COUNT: usize = 32_768;
/// Words of a histogram on the device: `BINS_STRIDE` of the shaders.
const BINS_STRIDE: usize = BINS_SLOTS + 2 * BINS;
/// Where the zeros and the slots are counted in them, low word first; as in the shaders.
const BINS_ZEROS: usize = 2;
const BINS_SLOTS: usize = 4;

/// Which pair belongs to which tensor, in execution order.
pub(super) struct Ranges {
    tensors: Vec<TensorId>,
    /// Whether histograms are gathered as well.
    histograms: bool,
    moved: AllMoved,
}

impl Ranges {
    /// Nothing gathered yet.
    pub fn new(histograms: bool, moved: AllMoved) -> Ranges {
        Ranges {
            tensors: Vec::new(),
            histograms,
            moved,
        }
    }

    /// The number of a tensor's pairs and histogram.
    fn index(&mut self, tensor: TensorId) -> usize {
        let known = self.tensors.iter().position(|&t| t == tensor);
        known.unwrap_or_else(|| {
            self.tensors.push(tensor);
            self.tensors.len() - 1
        })
    }

    fn level(&self) -> Statistics {
        match self.histograms {
            true => Statistics::Histograms,
            false => Statistics::Ranges,
        }
    }

    /// For the result of a clamp whose source is gathered: the number of the source's pairs, and the bounds as keys.
    fn keys_of_clamp(&self, id: TensorId) -> Option<(usize, [u32; 2])> {
        let clamped = self.moved.clamped(id)?;
        // A range that follows itself is not in any pairs.
        if self.moved.contains(clamped.source, Statistics::Ranges) {
            return None;
        }
        let keys = self.tensors.iter().position(|&t| t == clamped.source)?;
        let (low, high) = clamped.bounds;
        Some((keys, [low, high].map(order_key)))
    }

    /// The launches that reduce what is bound into a tensor's pairs, and count it.
    pub fn reduce(&mut self, tensor: TensorId, data: Binding, words: usize) -> Vec<Launch> {
        let bindings = vec![
            data.clone(),
            Params::default().u32([words as u32]).binding(),
        ];
        let groups =
            move |samples: usize| (samples * words).div_ceil(WORDS_A_GROUP).min(MOST_GROUPS);
        let reduction = Launch::groups("stats/min_max", bindings, groups);
        let mut launches = vec![reduction.gather_range(self.index(tensor)).statistics()];
        launches.extend(self.count(tensor, data, words));
        launches
    }

    /// The launches that count what is bound in a tensor's histogram, if that is wanted; its range is known.
    fn count(&mut self, tensor: TensorId, data: Binding, words: usize) -> Vec<Launch> {
        let keys = self.index(tensor);
        self.count_within(tensor, data, words, keys, ALL_KEYS)
    }

    /// The same of a tensor whose range is that of these key pairs, clamped to these keys.
    fn count_within(
        &mut self,
        tensor: TensorId,
        data: Binding,
        words: usize,
        keys: usize,
        clamp: [u32; 2],
    ) -> Vec<Launch> {
        if !self.histograms {
            return Vec::new();
        }
        let index = self.index(tensor);
        let which = Params::default().u32([index as u32]).u32(clamp).binding();
        let rebin = Launch::groups("stats/rebin", vec![Binding::Bins, which], |_| 1);
        let parameters = Params::default().u32([words as u32, index as u32]);
        let bindings = vec![data, Binding::Bins, parameters.binding()];
        let count = Launch::groups("stats/histogram", bindings, move |samples| {
            (samples * words).div_ceil(WORDS_A_COUNT).min(MOST_GROUPS)
        });
        vec![rebin.gather_range(keys).statistics(), count.statistics()]
    }

    /// The launches of a step with the reductions that follow: of its float outputs, and of what its launches trace.
    pub fn after(&mut self, graph: &Graph, step: &Step, mut launches: Vec<Launch>) -> Vec<Launch> {
        let mut reductions = Vec::new();
        for &id in &step.outputs {
            let tensor = &graph.tensors[id];
            let follows = self.moved.contains(id, self.level());
            if tensor.dtype != DType::F32 || tensor.variable || follows {
                continue;
            }
            let (data, words) = (Binding::Read(id), tensor.elements());
            if let Some((keys, clamp)) = self.keys_of_clamp(id) {
                reductions.extend(self.count_within(id, data, words, keys, clamp));
            } else if self.tensors.contains(&id) {
                // An earlier step has written it and gathered its range.
                reductions.extend(self.count(id, data, words));
            } else if let Some(seen) = seen_as_written(&launches, id) {
                let first = self.tensors.len();
                self.tensors.extend(seen);
                let gather = |l: Launch| match writes(&l, id) {
                    true => l.gather_range(first),
                    false => l,
                };
                launches = launches.into_iter().map(gather).collect();
                reductions.extend(self.count(id, data, words));
            } else {
                reductions.extend(self.reduce(id, data, words));
            }
        }
        for launch in &launches {
            for Trace {
                binding,
                tensor,
                words,
            } in &launch.traces
            {
                let data = match launch.bindings.get(*binding) {
                    Some(Binding::Write(id) | Binding::Read(id)) => Binding::Read(*id),
                    Some(Binding::Scratch { slot, .. }) => Binding::ReadScratch(*slot),
                    _ => continue,
                };
                reductions.extend(self.reduce(*tensor, data, *words));
            }
        }
        launches.extend(reductions);
        launches
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// The pairs of all tensors before the first run.
    pub fn empty(&self) -> Vec<u32> {
        let mut pair = [0; RANGE_STRIDE];
        pair[..2].copy_from_slice(&EMPTY);
        pair.repeat(RANGE_PAIRS * self.len().max(1))
    }

    /// Bytes of all histograms; 0 if they are not gathered.
    pub fn bin_bytes(&self) -> u64 {
        if self.histograms {
            4 * (BINS_STRIDE * self.len()) as u64
        } else {
            0
        }
    }

    /// The histograms of so many samples from the words that were read back, by tensor; `ranges` are those of the same
    /// tensors.
    pub fn histograms(
        &self,
        ranges: &[Option<Range>],
        words: &[u32],
        samples: u64,
    ) -> Vec<Option<Histogram>> {
        let mut histograms = vec![None; ranges.len()];
        for (&id, words) in self.tensors.iter().zip(words.chunks_exact(BINS_STRIDE)) {
            let Some(range) = ranges[id] else { continue };
            let mut histogram = Histogram::new(range);
            for (i, count) in histogram.counts.iter_mut().enumerate() {
                let slot = (histogram.first + i as i32) as usize % BINS;
                *count = count_at(words, BINS_SLOTS + 2 * slot);
            }
            histogram.zeros = Some(count_at(words, BINS_ZEROS));
            histograms[id] = Some(histogram);
        }
        self.moved.histograms(ranges, samples, &mut histograms);
        histograms
    }

    /// The ranges from the pairs that were read back, by tensor.
    ///
    /// # Errors
    /// If a value was not finite: the first such tensor in execution order.
    pub fn decode(
        &self,
        program: &Program,
        keys: &[u32],
    ) -> Result<Vec<Option<Range>>, DeviceError> {
        let graph = &program.graph;
        let mut ranges = vec![None; graph.tensors.len()];
        let mut not_finite = Vec::new();
        let pairs = keys.chunks_exact(RANGE_PAIRS * RANGE_STRIDE);
        for (&id, pairs) in self.tensors.iter().zip(pairs) {
            let pairs = pairs.chunks_exact(RANGE_STRIDE);
            let [low, high] = pairs.fold(EMPTY, |all, pair| {
                [all[0].min(pair[0]), all[1].max(pair[1])]
            });
            if [low, high] == EMPTY {
                continue;
            }
            let infinite = [f32::NEG_INFINITY, f32::INFINITY].map(order_key);
            if low <= infinite[0] || high >= infinite[1] {
                let is_nan = low < infinite[0] || high > infinite[1];
                not_finite.push((id, if is_nan { "NaN" } else { "infinite" }));
                continue;
            }
            ranges[id] = Some(Range {
                min: from_order_key(low),
                max: from_order_key(high),
            });
        }
        // A sum is gathered with what it adds to, perhaps before its turn.
        let step = |id| program.steps.iter().position(|s| s.outputs.contains(&id));
        if let Some(&(id, what)) = not_finite.iter().min_by_key(|&&(id, _)| step(id)) {
            return Err(DeviceError::NotFinite {
                tensor: format!("{}: {}", graph.file, graph.describe(id)),
                what,
            });
        }
        self.moved.ranges(&mut ranges);
        Ok(ranges)
    }
}

/// A count of two words.
fn count_at(words: &[u32], at: usize) -> u64 {
    u64::from(words[at]) | u64::from(words[at + 1]) << 32
}

/// Whether a launch writes a tensor.
fn writes(launch: &Launch, id: TensorId) -> bool {
    launch.bindings.contains(&Binding::Write(id))
}

/// If every launch that writes a tensor can gather its range: the tensors whose ranges they gather then, this one first.
fn seen_as_written(launches: &[Launch], id: TensorId) -> Option<Vec<TensorId>> {
    let seen = |l: &Launch| {
        let written = |&at: &usize| match l.bindings[at] {
            Binding::Write(id) => Some(id),
            _ => None,
        };
        l.seen.iter().map_while(written).collect::<Vec<_>>()
    };
    let mut writers = launches.iter().filter(|l| writes(l, id)).map(seen);
    let first = writers.next()?;
    (first.first() == Some(&id) && writers.all(|other| other == first)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_ranges_and_the_first_that_is_not_finite_an_error() {
        let graph = Graph {
            file: "m".into(),
            tensors: Vec::from_iter((0..3).map(|i| crate::graph::Tensor {
                name: format!("t{i}"),
                shape: vec![4],
                dtype: DType::F32,
                quantization: None,
                constant: None,
                variable: false,
            })),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        let program = Program {
            given: graph.tensors.len(),
            graph,
            steps: Vec::new(),
        };
        let mut ranges = Ranges::new(false, AllMoved::default());
        for (tensor, binding) in [
            (2, Binding::Read(2)),
            (0, Binding::Read(0)),
            (2, Binding::ReadScratch(1)),
        ] {
            ranges.reduce(tensor, binding, 4);
        }
        assert_eq!(ranges.len(), 2);
        // All pairs of two tensors, with a few of the first one's set.
        let keys = |pairs: &[[u32; 2]]| {
            let mut keys = ranges.empty();
            for (i, pair) in pairs.iter().enumerate() {
                keys[i * RANGE_STRIDE..][..2].copy_from_slice(pair);
            }
            keys
        };
        let key = |low: f32, high: f32| [order_key(low), order_key(high)];
        let decoded = ranges
            .decode(&program, &keys(&[key(-1.0, 0.5), EMPTY, key(0.0, 2.0)]))
            .unwrap();
        let range = Range {
            min: -1.0,
            max: 2.0,
        };
        assert_eq!(decoded, [None, None, Some(range)]);
        for (pair, what) in [
            (key(0.0, f32::INFINITY), "infinite"),
            (key(f32::NEG_INFINITY, 0.0), "infinite"),
            (key(0.0, f32::NAN), "NaN"),
            (key(-f32::NAN, 0.0), "NaN"),
        ] {
            let error = ranges.decode(&program, &keys(&[pair])).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("'t2'") && text.contains(what), "{text}");
        }
    }
}
