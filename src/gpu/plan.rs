//! Decides which buffer holds which tensor, and how many samples fit. Pure: no device here.

use super::launch::{Binding, Launch, words};
use crate::graph::{Graph, TensorId};
use crate::kernel::{Keep, Program};

/// Most samples at once: a recurrence runs one workgroup for every few samples, and more do not make any device faster.
const MOST_SAMPLES: usize = 8192;

/// Where everything of a session lies; sizes are words of one sample.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// The buffer of each tensor.
    pub slot_of: Vec<Option<usize>>,
    /// Size of each buffer.
    pub slots: Vec<usize>,
    /// Size of each scratch buffer, shared by all operators.
    pub scratch: Vec<usize>,
    /// Size of the raw bytes of each input that is fed through a table; 0 for the others.
    pub fed: Vec<usize>,
}

/// The first and the last stage that uses a tensor.
#[derive(Clone, Copy)]
struct Life {
    first: usize,
    last: usize,
    /// Whether it keeps its buffer for the whole session.
    alone: bool,
}

/// Plans the launches of the stages: stage 0 feeds the inputs, stage n + 1 is step n.
pub(super) fn plan(program: &Program, stages: &[Vec<Launch>], keep: Keep) -> Plan {
    let graph = &program.graph;
    let mut plan = Plan {
        slot_of: vec![None; graph.tensors.len()],
        fed: vec![0; graph.inputs.len()],
        ..Plan::default()
    };
    for launch in stages.iter().flatten() {
        for binding in &launch.bindings {
            plan.reserve(graph, binding);
        }
    }
    let lives = lives(program, stages, keep);
    let size = |id: TensorId| words(graph.elements(id), graph.tensors[id].dtype).max(1);
    let mut free: Vec<usize> = Vec::new();
    for stage in 0..stages.len() {
        let shared =
            |(id, life): (usize, &Option<Life>)| life.filter(|l| !l.alone).map(|l| (id, l));
        for (id, _) in lives
            .iter()
            .enumerate()
            .filter_map(shared)
            .filter(|(_, l)| l.first == stage)
        {
            let slot = take(&mut free, &mut plan.slots, size(id));
            plan.slot_of[id] = Some(slot);
        }
        for (id, _) in lives
            .iter()
            .enumerate()
            .filter_map(shared)
            .filter(|(_, l)| l.last == stage)
        {
            free.extend(plan.slot_of[id]);
        }
    }
    for (id, life) in lives.iter().enumerate() {
        if life.is_some_and(|l| l.alone) {
            plan.slot_of[id] = Some(plan.slots.len());
            plan.slots.push(size(id));
        }
    }
    plan
}

/// The free slot that fits best, else the largest made larger, else a new one.
fn take(free: &mut Vec<usize>, slots: &mut Vec<usize>, size: usize) -> usize {
    let fitting = (0..free.len())
        .filter(|&i| slots[free[i]] >= size)
        .min_by_key(|&i| slots[free[i]]);
    let chosen = fitting.or_else(|| (0..free.len()).max_by_key(|&i| slots[free[i]]));
    let Some(i) = chosen else {
        slots.push(size);
        return slots.len() - 1;
    };
    let slot = free.swap_remove(i);
    slots[slot] = slots[slot].max(size);
    slot
}

fn lives(program: &Program, stages: &[Vec<Launch>], keep: Keep) -> Vec<Option<Life>> {
    let graph = &program.graph;
    let mut lives: Vec<Option<Life>> = vec![None; graph.tensors.len()];
    // Inputs are written before the first launch.
    for &id in &graph.inputs {
        lives[id] = Some(Life {
            first: 0,
            last: 0,
            alone: false,
        });
    }
    for (stage, launches) in stages.iter().enumerate() {
        for binding in launches.iter().flat_map(|l| &l.bindings) {
            let (id, written) = match *binding {
                Binding::Read(id) if graph.is_activation(id) => (id, false),
                Binding::Write(id) => (id, true),
                _ => continue,
            };
            let life = lives[id].get_or_insert(Life {
                first: stage,
                last: stage,
                // What is read but was never written must stay the zeros that it starts as.
                alone: graph.tensors[id].variable || !written,
            });
            life.last = stage;
        }
    }
    let kept: Vec<TensorId> = match keep {
        Keep::Nothing => Vec::new(),
        Keep::Outputs => graph.results(),
        Keep::All => program.values(),
    };
    for id in kept.into_iter().filter(|&id| graph.is_activation(id)) {
        lives[id]
            .get_or_insert(Life {
                first: 0,
                last: 0,
                alone: true,
            })
            .alone = true;
    }
    lives
}

/// Samples beyond which a program cannot be planned within `budget` bytes. The batch itself follows from the plan, the plan
/// from the launches, and these take their tiles by it.
pub(super) fn most_samples(program: &Program, budget: u64) -> usize {
    let graph = &program.graph;
    let words = |&id: &TensorId| words(graph.elements(id), graph.tensors[id].dtype) as u64;
    let bytes = program.steps.iter().map(|step| {
        let all = step.inputs.iter().chain(&step.outputs);
        let activations = all.filter(|&&id| graph.is_activation(id));
        4 * activations.map(words).sum::<u64>()
    });
    let most = budget / bytes.max().unwrap_or(0).max(1);
    most.clamp(1, MOST_SAMPLES as u64) as usize
}

impl Plan {
    fn reserve(&mut self, graph: &Graph, binding: &Binding) {
        match *binding {
            Binding::Scratch {
                slot,
                bytes_per_sample,
            } => {
                if self.scratch.len() <= slot {
                    self.scratch.resize(slot + 1, 0);
                }
                self.scratch[slot] = self.scratch[slot].max(bytes_per_sample.div_ceil(4));
            }
            Binding::Fed(input) => {
                let elements = graph.elements(graph.inputs[input]);
                self.fed[input] = words(elements, crate::num::DType::U8);
            }
            _ => {}
        }
    }

    /// Samples that fit where a buffer may have `largest` bytes and all together should have `budget`; 0 if not one.
    pub fn batch(&self, largest: u64, budget: u64) -> usize {
        let sizes = || {
            self.slots
                .iter()
                .chain(&self.scratch)
                .chain(&self.fed)
                .map(|&w| 4 * w as u64)
        };
        let by_buffer = largest / sizes().max().unwrap_or(0).max(1);
        let by_budget = (budget / sizes().sum::<u64>().max(1)).max(1);
        by_buffer.min(by_budget).min(MOST_SAMPLES as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Node, Tensor};
    use crate::num::DType;
    use proptest::prelude::*;

    /// A chain of copies of tensors of these many floats.
    fn chain(sizes: &[usize]) -> (Program, Vec<Vec<Launch>>) {
        let tensor = |&n: &usize| Tensor {
            name: String::new(),
            shape: vec![n],
            dtype: DType::F32,
            quantization: None,
            constant: None,
            variable: false,
        };
        let graph = Graph {
            file: String::new(),
            tensors: sizes.iter().map(tensor).collect(),
            nodes: Vec::<Node>::new(),
            inputs: vec![0],
            outputs: vec![sizes.len() - 1],
        };
        let launch = |i| Launch::linear("", 1, vec![Binding::Read(i), Binding::Write(i + 1)]);
        let mut stages = vec![Vec::new()];
        stages.extend((0..sizes.len() - 1).map(|i| vec![launch(i)]));
        let steps = (0..sizes.len() - 1)
            .map(|i| crate::kernel::Step {
                node: 0,
                kernel: crate::kernel::Kernel::Copy,
                inputs: vec![i],
                outputs: vec![i + 1],
            })
            .collect();
        (
            Program {
                given: graph.tensors.len(),
                graph,
                steps,
            },
            stages,
        )
    }

    #[test]
    fn a_chain_needs_two_buffers_and_no_launch_reads_what_it_writes() {
        let sizes = [10, 30, 20, 5, 40];
        let (program, stages) = chain(&sizes);
        let plan = plan(&program, &stages, Keep::Nothing);
        assert_eq!(plan.slots.len(), 2);
        for i in 0..4 {
            assert_ne!(plan.slot_of[i], plan.slot_of[i + 1]);
        }
        for (slot, size) in plan.slot_of.iter().zip(sizes) {
            assert!(plan.slots[slot.unwrap()] >= size);
        }
    }

    #[test]
    fn what_is_kept_shares_its_buffer_with_nobody() {
        let (program, stages) = chain(&[8; 6]);
        let outputs = plan(&program, &stages, Keep::Outputs);
        assert_eq!(outputs.slots.len(), 3);
        let alone = outputs.slot_of[5];
        assert!(outputs.slot_of[..5].iter().all(|&s| s != alone));
        assert_eq!(plan(&program, &stages, Keep::All).slots.len(), 6);
    }

    proptest! {
        /// Graphs whose steps read any earlier tensors.
        #[test]
        fn tensors_that_live_together_lie_apart_and_little_is_wasted(
            steps in prop::collection::vec((1usize..100, prop::collection::vec(any::<prop::sample::Index>(), 0..3)), 1..20),
        ) {
            let sizes: Vec<usize> = std::iter::once(8).chain(steps.iter().map(|s| s.0)).collect();
            let (program, mut stages) = chain(&sizes);
            for (i, (_, more)) in steps.iter().enumerate() {
                let bindings = &mut stages[i + 1][0].bindings;
                bindings.extend(more.iter().map(|index| Binding::Read(index.index(i + 1))));
            }
            let plan = plan(&program, &stages, Keep::Nothing);
            let last = |id: usize| {
                let reads = |stage: &Vec<Launch>| {
                    stage.iter().any(|l| l.bindings.contains(&Binding::Read(id)))
                };
                stages.iter().rposition(reads).unwrap_or(id)
            };
            let alive = |id: usize, stage: usize| id <= stage && stage <= last(id);
            let mut floor = 0;
            for stage in 0..stages.len() {
                let now: Vec<usize> = (0..sizes.len()).filter(|&id| alive(id, stage)).collect();
                let mut slots: Vec<_> = now.iter().map(|&id| plan.slot_of[id].unwrap()).collect();
                for (&id, &slot) in now.iter().zip(&slots) {
                    prop_assert!(plan.slots[slot] >= sizes[id]);
                }
                slots.sort_unstable();
                slots.dedup();
                prop_assert_eq!(slots.len(), now.len());
                floor = floor.max(now.iter().map(|&id| sizes[id]).sum());
            }
            let bytes: usize = plan.slots.iter().sum();
            prop_assert!(floor <= bytes);
            // No more buffers than tensors that live together, none larger than the largest tensor.
            let most = (0..stages.len()).map(|stage| (0..sizes.len()).filter(|&id| alive(id, stage)).count());
            prop_assert_eq!(plan.slots.len(), most.max().unwrap());
            prop_assert_eq!(plan.slots.iter().max(), sizes.iter().max());
        }
    }

    #[test]
    fn no_plan_has_room_for_more_samples_than_the_largest_step() {
        let (program, stages) = chain(&[10, 30, 20, 5, 40]);
        let plan = plan(&program, &stages, Keep::Nothing);
        for budget in [4 * 50, 4 * 1234, 1 << 40] {
            let most = most_samples(&program, budget);
            assert_eq!(most as u64, (budget / (4 * 50)).min(MOST_SAMPLES as u64));
            assert!(plan.batch(u64::MAX, budget) <= most);
        }
    }

    #[test]
    fn the_batch_keeps_to_both_limits() {
        let plan = Plan {
            slots: vec![256, 1024],
            ..Plan::default()
        };
        assert_eq!(plan.batch(4096 * 10, u64::MAX), 10);
        assert_eq!(plan.batch(u64::MAX, 5120 * 7), 7);
        assert_eq!(plan.batch(u64::MAX, 1), 1);
        assert_eq!(plan.batch(4095, u64::MAX), 0);
        assert_eq!(plan.batch(u64::MAX, u64::MAX), MOST_SAMPLES);
    }
}
