//! The values of the samples that a thread works on at once, and how they are put together.

use super::memory::Memory;
use crate::graph::TensorId;
use crate::kernel::{Program, Step};
use crate::num::Values;

/// Samples that go together through the last steps of a program whose first ones are too large for that: weights come
/// from memory once for all of them.
pub const TOGETHER: usize = 4;
/// Inputs and outputs of each of these steps, in bytes.
pub const TOGETHER_BYTES: usize = 2 << 20;

/// The first of the last steps, all of which are small enough for [`TOGETHER`] samples; `None` if there are none.
pub fn cut(program: &Program) -> Option<usize> {
    let graph = &program.graph;
    let bytes = |step: &Step| -> usize {
        let tensors = step.inputs.iter().chain(&step.outputs);
        let computed = tensors.filter(|&&id| graph.is_activation(id));
        computed
            .map(|&id| graph.elements(id) * graph.tensors[id].dtype.size())
            .sum()
    };
    let large = |step: &Step| bytes(step).saturating_mul(TOGETHER) > TOGETHER_BYTES;
    let cut = program.steps.iter().rposition(large).map_or(0, |i| i + 1);
    (cut < program.steps.len()).then_some(cut)
}

/// The values of one chunk of samples.
#[derive(Default)]
pub struct Chunk {
    /// By tensor; float and int8 ones may be longer than the tensor.
    pub values: Vec<Option<Values>>,
    /// Memory of the thread that works on it.
    pub memory: Memory,
}

impl Chunk {
    /// No values yet.
    pub fn new(tensors: usize, memory: Memory) -> Chunk {
        Chunk {
            values: (0..tensors).map(|_| None).collect(),
            memory,
        }
    }

    /// Takes over what is left of samples that follow; `len` tells the elements of their tensors.
    pub fn join(&mut self, part: Chunk, len: impl Fn(TensorId) -> usize) {
        self.memory = part.memory;
        for (id, (all, part)) in self.values.iter_mut().zip(part.values).enumerate() {
            match (all, part) {
                (Some(all), Some(mut part)) => {
                    truncate(&mut part, len(id));
                    all.append(part);
                }
                (all, Some(mut part)) => {
                    truncate(&mut part, len(id));
                    *all = Some(part);
                }
                (_, None) => {}
            }
        }
    }
}

/// A part of an array.
pub fn slice(values: &Values, from: usize, len: usize) -> Values {
    match values {
        Values::F32(v) => Values::F32(v[from..from + len].to_vec()),
        Values::I8(v) => Values::I8(v[from..from + len].to_vec()),
        Values::U8(v) => Values::U8(v[from..from + len].to_vec()),
        Values::I16(v) => Values::I16(v[from..from + len].to_vec()),
        Values::U16(v) => Values::U16(v[from..from + len].to_vec()),
        Values::I32(v) => Values::I32(v[from..from + len].to_vec()),
        Values::U32(v) => Values::U32(v[from..from + len].to_vec()),
        Values::I64(v) => Values::I64(v[from..from + len].to_vec()),
        Values::Bool(v) => Values::Bool(v[from..from + len].to_vec()),
        Values::C64(v) => Values::C64(v[from..from + len].to_vec()),
    }
}

/// Cuts off what lies behind a tensor.
pub fn truncate(values: &mut Values, len: usize) {
    match values {
        Values::F32(v) => v.truncate(len),
        Values::I8(v) => v.truncate(len),
        // The others are as long as they should be.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Binary, Graph, Move, Node, Op, Reduce, Tensor};
    use crate::kernel::{
        Axes, BinaryF32, Broadcast, Device, Feed, Keep, Kernel, ReduceOf, SessionConfig, Statistics,
    };
    use crate::num::DType;

    /// A large ADD, its mean for each of 16 channels, and their sum with themselves.
    fn large_then_small() -> Program {
        const PIXELS: u32 = 70_000;
        let n = [16 * PIXELS as usize, 16 * PIXELS as usize, 16, 16];
        let tensor = |&n: &usize| Tensor {
            name: String::new(),
            shape: vec![n],
            dtype: DType::F32,
            quantization: None,
            constant: None,
            variable: false,
        };
        let add = |n: usize| {
            Kernel::BinaryF32(BinaryF32 {
                op: Binary::Add,
                shape: Broadcast::same(n as u32),
                bounds: Activation::None.bounds(),
            })
        };
        let mean = Kernel::ReduceF32(ReduceOf {
            op: Reduce::Mean,
            shape: Axes {
                outputs: 16,
                count: PIXELS,
                kept: [[1, 0], [1, 0], [1, 0], [16, 1]],
                reduced: [[1, 0], [1, 0], [1, 0], [PIXELS, 16]],
            },
        });
        let step = |kernel, inputs: &[usize], output| Step {
            node: 0,
            kernel,
            inputs: inputs.to_vec(),
            outputs: vec![output],
        };
        let node = Node {
            index: 0,
            op: Op::Move(Move::Reshape),
            inputs: Vec::new(),
            outputs: Vec::new(),
            intermediates: Vec::new(),
        };
        Program {
            given: 4,
            graph: Graph {
                file: "test".into(),
                tensors: n.iter().map(tensor).collect(),
                nodes: vec![node],
                inputs: vec![0],
                outputs: vec![3],
            },
            steps: vec![
                step(add(n[0]), &[0, 0], 1),
                step(mean, &[1], 2),
                step(add(16), &[2, 2], 3),
            ],
        }
    }

    #[test]
    fn samples_go_together_through_the_last_steps_to_the_same_result() {
        let program = large_then_small();
        assert_eq!(cut(&program), Some(2));
        let n = program.graph.elements(0);
        let x: Vec<f32> = (0..3 * n).map(|i| (i * 37 % 1009) as f32).collect();
        let config = |batch| SessionConfig {
            batch: Some(batch),
            keep: Keep::Outputs,
            statistics: Statistics::Histograms,
            profile: false,
            feeds: vec![Feed::Direct],
        };
        let cpu = crate::cpu::Cpu::new();
        // All three in one chunk, however many processors there are.
        let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        threads.unwrap().install(|| {
            let mut one = cpu.session(&program, &config(1)).unwrap();
            let mut all = cpu.session(&program, &config(12)).unwrap();
            all.run(3, &[Values::F32(x.clone())]).unwrap();
            let Values::F32(together) = all.read(3).unwrap() else {
                panic!("float")
            };
            for (x, want) in x.chunks_exact(n).zip(together.chunks_exact(16)) {
                one.run(1, &[Values::F32(x.to_vec())]).unwrap();
                assert_eq!(one.read(3).unwrap(), Values::F32(want.to_vec()));
            }
            assert_eq!(one.histograms().unwrap(), all.histograms().unwrap());
        });
    }
}
