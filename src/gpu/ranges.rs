//! Ranges of float tensors: a pair of order keys a tensor, reduced on the device in every run, read once.

use super::launch::{Binding, Launch, Params, Trace};
use super::shader::{Source, embed};
use crate::graph::{Graph, TensorId};
use crate::kernel::{DeviceError, Range, Step, from_order_key, order_key};
use crate::num::DType;

pub(super) const SHADERS: &[Source] = &[embed!("stats/min_max")];

/// Key pair of a tensor that was never reduced: nothing is below the one or above the other.
pub(super) const EMPTY: [u32; 2] = [u32::MAX, 0];

/// Words that one workgroup reads before another is worth its start.
const WORDS_A_GROUP: usize = 8192;
/// Workgroups that fill any device.
const MOST_GROUPS: usize = 4096;

/// Which pair belongs to which tensor, in execution order.
#[derive(Default)]
pub(super) struct Ranges {
    tensors: Vec<TensorId>,
}

impl Ranges {
    /// The launch that reduces what is bound into a tensor's pair; binding 2 is the buffer of pairs.
    pub fn reduce(&mut self, tensor: TensorId, data: Binding, words: usize) -> Launch {
        let index = self
            .tensors
            .iter()
            .position(|&t| t == tensor)
            .unwrap_or_else(|| {
                self.tensors.push(tensor);
                self.tensors.len() - 1
            });
        let parameters = Params::default()
            .u32([words as u32, index as u32])
            .binding();
        Launch::groups(
            "stats/min_max",
            vec![data, Binding::Keys, parameters],
            move |samples| (samples * words).div_ceil(WORDS_A_GROUP).min(MOST_GROUPS),
        )
    }

    /// The reductions that follow a step: its float outputs, and what its launches trace.
    pub fn after(&mut self, graph: &Graph, step: &Step, launches: &[Launch]) -> Vec<Launch> {
        let mut reductions = Vec::new();
        for &id in &step.outputs {
            let tensor = &graph.tensors[id];
            if tensor.dtype == DType::F32 && !tensor.variable {
                reductions.push(self.reduce(id, Binding::Read(id), tensor.elements()));
            }
        }
        for launch in launches {
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
                reductions.push(self.reduce(*tensor, data, *words));
            }
        }
        reductions
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// The ranges from the pairs that were read back, by tensor.
    ///
    /// # Errors
    /// If a value was not finite: the first such tensor in execution order.
    pub fn decode(&self, graph: &Graph, keys: &[u32]) -> Result<Vec<Option<Range>>, DeviceError> {
        let mut ranges = vec![None; graph.tensors.len()];
        for (&id, pair) in self.tensors.iter().zip(keys.chunks_exact(2)) {
            let (low, high) = (pair[0], pair[1]);
            if [low, high] == EMPTY {
                continue;
            }
            let infinite = [f32::NEG_INFINITY, f32::INFINITY].map(order_key);
            if low <= infinite[0] || high >= infinite[1] {
                let is_nan = low < infinite[0] || high > infinite[1];
                return Err(DeviceError::NotFinite {
                    tensor: format!("{}: {}", graph.file, graph.describe(id)),
                    what: if is_nan { "NaN" } else { "infinite" },
                });
            }
            ranges[id] = Some(Range {
                min: from_order_key(low),
                max: from_order_key(high),
            });
        }
        Ok(ranges)
    }
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
        let mut ranges = Ranges::default();
        for (tensor, binding) in [
            (2, Binding::Read(2)),
            (0, Binding::Read(0)),
            (2, Binding::ReadScratch(1)),
        ] {
            ranges.reduce(tensor, binding, 4);
        }
        assert_eq!(ranges.len(), 2);
        let key = |low: f32, high: f32| [order_key(low), order_key(high)];
        let decoded = ranges
            .decode(&graph, &[key(-1.0, 2.0), EMPTY].concat())
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
            let error = ranges.decode(&graph, &[pair, pair].concat()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("'t2'") && text.contains(what), "{text}");
        }
    }
}
