//! Residual additions: an ADD of what a product or a depthwise convolution writes, and of a tensor that is there before.

#[cfg(test)]
mod tests;

use super::is_plain;
use crate::graph::{Binary, TensorId};
use crate::kernel::{BinaryF32, Kernel, Program, Step};

/// An ADD of what a step writes and what is there before that step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Addition {
    /// Its step.
    pub step: usize,
    /// The other operand.
    pub residual: TensorId,
    /// What it writes.
    pub output: TensorId,
    /// Bounds of its own activation, perhaps infinite.
    pub bounds: (f32, f32),
}

/// For each step, the first ADD of its output and of something that is known before the step runs.
pub(super) fn additions(program: &Program) -> Vec<Option<Addition>> {
    let mut additions = vec![None; program.steps.len()];
    // By tensor, how many steps have run when it is known.
    let mut known = vec![None; program.graph.tensors.len()];
    for &id in &program.graph.inputs {
        known[id] = Some(0);
    }
    for (i, step) in program.steps.iter().enumerate() {
        let output = step.outputs[0];
        if let Kernel::BinaryF32(BinaryF32 { op, shape, bounds }) = step.kernel
            && op == Binary::Add
            && shape.same_shape
            && let [a, b] = step.inputs[..]
            && [a, b, output].iter().all(|&id| is_plain(program, id))
            && let (Some(of_a), Some(of_b)) = (known[a], known[b])
            && of_a != of_b
        {
            // Of two products the later one adds.
            let residual = if of_a < of_b { a } else { b };
            let producer: usize = of_a.max(of_b) - 1;
            if can_add(&program.steps[producer]) && additions[producer].is_none() {
                additions[producer] = Some(Addition {
                    step: i,
                    residual,
                    output,
                    bounds,
                });
            }
        }
        step.outputs.iter().for_each(|&id| known[id] = Some(i + 1));
    }
    additions
}

/// Whether the shaders of a step import `shared/sum` and use it for all they write.
pub(super) fn can_add(step: &Step) -> bool {
    matches!(
        step.kernel,
        Kernel::ConvF32(_) | Kernel::FullyConnectedF32(_) | Kernel::DepthwiseF32(_)
    )
}
