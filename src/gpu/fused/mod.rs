//! Which clamps are written by the launches that compute what they clamp. A clamp of its own would read its source once
//! more, and of a tensor that is beyond the caches that is all of its time.
//!
//! What is fused is the clamp, not its source: that is written as before, since it may be kept, counted or read by others.

#[cfg(test)]
mod tests;

use super::launch::Launch;
use crate::graph::TensorId;
use crate::kernel::{Kernel, Program, Step};
use crate::num::DType;

/// A clamp of what a step writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clamp {
    /// Its step.
    pub step: usize,
    /// What it writes.
    pub output: TensorId,
    /// Smallest and largest result; the latter may be infinite.
    pub bounds: (f32, f32),
}

/// The clamp that each step's launches may write as well: the first one of the step's output. Its tensor exists from
/// there on, a little longer than without that.
pub(super) fn clamps(program: &Program) -> Vec<Option<Clamp>> {
    let graph = &program.graph;
    let mut clamps = vec![None; program.steps.len()];
    let mut producers = vec![None; graph.tensors.len()];
    for (i, step) in program.steps.iter().enumerate() {
        let output = step.outputs[0];
        if let Kernel::UnaryF32(unary) = step.kernel
            && unary.is_clamp()
            && !graph.tensors[output].variable
            && let Some(producer) = producers[step.inputs[0]].take()
        {
            clamps[producer] = Some(Clamp {
                step: i,
                output,
                bounds: unary.bounds(),
            });
        }
        let tensor = &graph.tensors[output];
        if tensor.dtype == DType::F32 && !tensor.variable && can_clamp(step) {
            producers[output] = Some(i);
        }
    }
    clamps
}

/// Whether the shaders of a step import `shared/clamp` and use it for all they write.
fn can_clamp(step: &Step) -> bool {
    matches!(
        step.kernel,
        Kernel::ConvF32(_)
            | Kernel::FullyConnectedF32(_)
            | Kernel::DepthwiseF32(_)
            | Kernel::BinaryF32(_)
    )
}

impl Clamp {
    /// Whether the launches have room for its output and for their range, in so many storage buffers: on matrix units they
    /// need one more than every device promises.
    pub fn fits(&self, launches: &[Launch], most: u32) -> bool {
        launches
            .iter()
            .all(|l| l.bindings.len() + 2 <= most as usize)
    }

    /// The launches with its output.
    pub fn written_by(&self, launches: Vec<Launch>) -> Vec<Launch> {
        let launches = launches.into_iter();
        launches
            .map(|launch| launch.clamp_into(self.output, self.bounds))
            .collect()
    }
}
