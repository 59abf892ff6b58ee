//! Statistics that need not be gathered: those of tensors whose elements are those of others, moved, and padding; and the
//! ranges of clamps. A histogram of a clamp does not follow: its bins may be narrower than those of its source.

use super::place::{Box8, Place};
use super::{Kernel, Program, Range, Statistics, Step};
use crate::graph::{Graph, TensorId};
use crate::num::histogram::bin;
use crate::num::{DType, Histogram};

/// What a tensor holds: every element of these tensors once, and padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Tensors whose statistics are gathered, or follow in the same way.
    pub sources: Vec<TensorId>,
    /// Elements of padding in a sample.
    pub filled: u64,
    /// Their value.
    pub with: f32,
}

/// A tensor that holds every element of another one, clamped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamped {
    /// A tensor whose range is gathered, or follows.
    pub source: TensorId,
    /// Smallest and largest result; either may be infinite.
    pub bounds: (f32, f32),
}

/// How a tensor follows from others.
#[derive(Debug)]
enum Known {
    Moved(Moved),
    Clamped(Clamped),
}

/// What is known of the tensors of a program without looking at them.
#[derive(Debug, Default)]
pub struct AllMoved {
    /// By tensor, the place in `known`.
    place: Vec<Option<usize>>,
    /// In the order of the steps.
    known: Vec<(TensorId, Known)>,
}

impl AllMoved {
    /// Finds them, in the order of the steps.
    pub fn new(program: &Program) -> AllMoved {
        let graph = &program.graph;
        let mut seen = vec![false; graph.tensors.len()];
        graph.inputs.iter().for_each(|&id| seen[id] = true);
        let mut all = AllMoved {
            place: vec![None; graph.tensors.len()],
            known: Vec::new(),
        };
        for step in &program.steps {
            let output = step.outputs[0];
            let sources_are_seen = step.inputs.iter().all(|&id| {
                let tensor = &graph.tensors[id];
                seen[id] && tensor.dtype == DType::F32 && !tensor.variable
            });
            if sources_are_seen && !graph.tensors[output].variable {
                let moved = moved(graph, step).map(Known::Moved);
                if let Some(known) = moved.or_else(|| clamped(step).map(Known::Clamped)) {
                    all.place[output] = Some(all.known.len());
                    all.known.push((output, known));
                }
            }
            seen[output] = true;
        }
        all
    }

    fn known(&self, id: TensorId) -> Option<&Known> {
        let place = self.place.get(id).copied().flatten()?;
        self.known.get(place).map(|(_, known)| known)
    }

    /// Whether what is wanted of a tensor follows from that of others.
    pub fn contains(&self, id: TensorId, level: Statistics) -> bool {
        match self.known(id) {
            Some(Known::Moved(_)) => true,
            Some(Known::Clamped(_)) => level < Statistics::Histograms,
            None => false,
        }
    }

    /// The clamp that a tensor is the result of, if its range follows from that.
    pub fn clamped(&self, id: TensorId) -> Option<Clamped> {
        match self.known(id) {
            Some(Known::Clamped(clamped)) => Some(*clamped),
            _ => None,
        }
    }

    /// Adds the ranges that follow.
    pub fn ranges(&self, ranges: &mut [Option<Range>]) {
        for (id, known) in &self.known {
            let moved = match known {
                Known::Moved(moved) => moved,
                Known::Clamped(clamped) => {
                    ranges[*id] = ranges[clamped.source].map(|range| clamped.range(range));
                    continue;
                }
            };
            let sources = moved.sources.iter().map(|&source| ranges[source]);
            let range = sources.reduce(|a, b| Some(a?.merge(b?))).flatten();
            let fill = Range {
                min: moved.with + 0.0,
                max: moved.with + 0.0,
            };
            ranges[*id] = range.map(|range| match moved.filled {
                0 => range,
                _ => range.merge(fill),
            });
        }
    }

    /// Adds the histograms that follow, of so many samples; `ranges` are complete.
    pub fn histograms(
        &self,
        ranges: &[Option<Range>],
        samples: u64,
        histograms: &mut [Option<Histogram>],
    ) {
        for (id, known) in &self.known {
            let Known::Moved(moved) = known else { continue };
            let Some(range) = ranges[*id] else { continue };
            let mut all = Histogram::new(range);
            for part in moved.sources.iter().filter_map(|&s| histograms[s].as_ref()) {
                all = all.merge(part, range);
            }
            let filled = moved.filled * samples;
            let at = bin(moved.with, all.exponent) - all.first;
            if let Some(count) = all.counts.get_mut(at as usize).filter(|_| filled > 0) {
                *count += filled;
                if moved.with == 0.0 {
                    all.zeros = all.zeros.map(|zeros| zeros + filled);
                }
            }
            histograms[*id] = Some(all);
        }
    }
}

impl Clamped {
    /// The range of the results: a clamp never changes an order.
    fn range(self, source: Range) -> Range {
        let (low, high) = self.bounds;
        let clamp = |x: f32| x.max(low).min(high);
        Range {
            min: clamp(source.min),
            max: clamp(source.max),
        }
    }
}

/// What a step clamps, if it is a clamp.
fn clamped(step: &Step) -> Option<Clamped> {
    let Kernel::UnaryF32(unary) = step.kernel else {
        return None;
    };
    unary.is_clamp().then(|| Clamped {
        source: step.inputs[0],
        bounds: unary.bounds(),
    })
}

/// What a step moves, if it moves all elements of its inputs.
fn moved(graph: &Graph, step: &Step) -> Option<Moved> {
    let (elements, output) = (|id: TensorId| graph.elements(id) as u64, step.outputs[0]);
    match &step.kernel {
        Kernel::Copy => (elements(step.inputs[0]) == elements(output)).then(|| Moved {
            sources: vec![step.inputs[0]],
            filled: 0,
            with: 0.0,
        }),
        Kernel::Place(Place { boxes, fill, .. }) => {
            let all = boxes.iter().all(|b| {
                let id = step.inputs.get(b.input as usize);
                id.is_some_and(|&id| takes_all(b, elements(id)))
            });
            let once = boxes.len() == step.inputs.len()
                && (0..boxes.len()).all(|i| boxes.iter().any(|b| b.input as usize == i));
            let given: u64 = step.inputs.iter().map(|&id| elements(id)).sum();
            let filled = elements(output).checked_sub(given)?;
            let [a, b, c, d, ..] = fill.unwrap_or_default();
            let with = f32::from_le_bytes([a, b, c, d]);
            (all && once && with.is_finite()).then(|| Moved {
                sources: step.inputs.clone(),
                filled,
                with,
            })
        }
        _ => None,
    }
}

/// Whether a box takes each of an input's elements once: as many as there are, all of them different.
fn takes_all(b: &Box8, elements: u64) -> bool {
    let mut sides: Vec<(u64, u64)> = b
        .count
        .iter()
        .zip(b.strides)
        .map(|(&count, stride)| (u64::from(stride.unsigned_abs()), u64::from(count)))
        .filter(|&(_, count)| count != 1)
        .collect();
    sides.sort_unstable();
    // From the innermost side outwards: each steps over exactly what lies inside it.
    let mut inside = 1;
    for (stride, count) in sides {
        if stride != inside {
            return false;
        }
        inside *= count;
    }
    inside == elements
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Tensor, Unary};
    use crate::kernel::VIEW;

    /// 0 → RELU6 → 1 → reshaped → 2 → RELU_N1_TO_1 → 3 → ABS → 4.
    fn chain() -> Program {
        let tensor = |_| Tensor {
            name: String::new(),
            shape: vec![3],
            dtype: DType::F32,
            quantization: None,
            constant: None,
            variable: false,
        };
        let kernels = [
            Kernel::UnaryF32(Unary::Relu6),
            Kernel::Copy,
            Kernel::UnaryF32(Unary::ReluN1To1),
            Kernel::UnaryF32(Unary::Abs),
        ];
        let steps = kernels.into_iter().enumerate().map(|(i, kernel)| Step {
            node: 0,
            kernel,
            inputs: vec![i],
            outputs: vec![i + 1],
        });
        Program {
            given: 5,
            graph: Graph {
                file: String::new(),
                tensors: (0..5).map(tensor).collect(),
                nodes: Vec::new(),
                inputs: vec![0],
                outputs: vec![4],
            },
            steps: steps.collect(),
        }
    }

    #[test]
    fn ranges_of_clamps_follow_and_their_histograms_do_not() {
        let all = AllMoved::new(&chain());
        let followed = |level| (0..5).map(|id| all.contains(id, level)).collect::<Vec<_>>();
        assert_eq!(
            followed(Statistics::Ranges),
            [false, true, true, true, false]
        );
        assert_eq!(
            followed(Statistics::Histograms),
            [false, false, true, false, false]
        );
        for ([min, max], want) in [
            ([-7.0, 8.0], [[0.0, 6.0], [0.0, 1.0]]),
            ([-7.0, -2.0], [[0.0, 0.0], [0.0, 0.0]]),
            ([7.0, 8.0], [[6.0, 6.0], [1.0, 1.0]]),
            ([0.25, 0.5], [[0.25, 0.5], [0.25, 0.5]]),
        ] {
            let mut ranges = vec![None; 5];
            all.ranges(&mut ranges);
            assert_eq!(ranges, [None; 5]);
            ranges[0] = Some(Range { min, max });
            all.ranges(&mut ranges);
            let [six, one] = want.map(|[min, max]| Some(Range { min, max }));
            assert_eq!(ranges[1..], [six, six, one, None]);
        }
    }

    #[test]
    fn a_box_takes_all_or_not() {
        let with = |count: [u32; 3], strides: [i32; 3]| {
            let mut b = Box8 {
                input: 0,
                start: [0; VIEW],
                step: [1; VIEW],
                count: [1; VIEW],
                base: 0,
                strides: [0; VIEW],
            };
            b.count[..3].copy_from_slice(&count);
            b.strides[..3].copy_from_slice(&strides);
            b
        };
        // As it lies, transposed, turned around.
        assert!(takes_all(&with([2, 3, 4], [12, 4, 1]), 24));
        assert!(takes_all(&with([4, 2, 3], [1, 12, 4]), 24));
        assert!(takes_all(&with([2, 3, 4], [12, -4, 1]), 24));
        // Some of them, some twice, every second one.
        assert!(!takes_all(&with([2, 3, 3], [12, 4, 1]), 24));
        assert!(!takes_all(&with([2, 3, 4], [0, 4, 1]), 24));
        assert!(!takes_all(&with([2, 3, 4], [12, 4, 1]), 48));
        assert!(!takes_all(&with([1, 3, 4], [0, 8, 2]), 12));
    }
}
