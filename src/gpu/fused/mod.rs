//! Which clamps and residual additions are written by the launches that compute what they read. A launch of their own would
//! read that once more, and of a tensor that is beyond the caches that is much of its time: all of a clamp's, a third of an
//! addition's.
//!
//! What is fused is what follows, not its source: that is written as before, since it may be kept, counted or read by others.

mod addition;
#[cfg(test)]
mod tests;

use super::launch::Launch;
use crate::graph::TensorId;
use crate::kernel::{Kernel, Program, Step};
use crate::num::DType;
use addition::{Addition, additions, can_add};

/// What a step's launches may write beside its output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Followers {
    /// The output, added to an earlier tensor.
    addition: Option<Addition>,
    /// A clamp of the sum; without an addition, of the output.
    clamp: Option<Clamp>,
}

/// A clamp of what a step writes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Clamp {
    /// Its step.
    step: usize,
    /// What it writes.
    output: TensorId,
    /// Smallest and largest result; the latter may be infinite.
    bounds: (f32, f32),
}

/// What each step's launches may write as well. Its tensors exist from there on, a little longer than without that. A step
/// whose output is clamped takes no addition.
pub(super) fn followers(program: &Program) -> Vec<Followers> {
    let clamps = clamps(program);
    let additions = additions(program);
    let of = |(&clamp, addition): (&Option<Clamp>, Option<Addition>)| match (clamp, addition) {
        (None, Some(addition)) => Followers {
            addition: Some(addition),
            clamp: clamps[addition.step],
        },
        _ => Followers {
            addition: None,
            clamp,
        },
    };
    clamps.iter().zip(additions).map(of).collect()
}

/// For each step, the first clamp of its output.
fn clamps(program: &Program) -> Vec<Option<Clamp>> {
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
        if is_plain(program, output) && can_clamp(step) {
            producers[output] = Some(i);
        }
    }
    clamps
}

/// Whether a tensor is of floats that are computed, and no state.
fn is_plain(program: &Program, id: TensorId) -> bool {
    let tensor = &program.graph.tensors[id];
    tensor.dtype == DType::F32 && !tensor.variable && tensor.constant.is_none()
}

/// Whether the shaders of a step import `shared/clamp` and use it for all they write.
fn can_clamp(step: &Step) -> bool {
    can_add(step) || matches!(step.kernel, Kernel::BinaryF32(_))
}

impl Followers {
    /// Whether the launches have room for them and for ranges, in so many storage buffers. Every device promises 8; a
    /// clamp needs up to 9, on matrix units, an addition 8 to 11.
    pub fn fit(&self, launches: &[Launch], most: u32) -> bool {
        let more = 2 * usize::from(self.addition.is_some()) + usize::from(self.clamp.is_some());
        let keys = 1;
        launches
            .iter()
            .all(|l| l.bindings.len() + more + keys <= most as usize)
    }

    /// The launches with what they write beside their output.
    pub fn written_by(&self, launches: Vec<Launch>) -> Vec<Launch> {
        let write = |mut launch: Launch| {
            if let Some(a) = self.addition {
                launch = launch.sum_into(a.residual, a.output, a.bounds);
            }
            if let Some(c) = self.clamp {
                launch = launch.clamp_into(c.output, c.bounds);
            }
            launch
        };
        launches.into_iter().map(write).collect()
    }

    /// The steps that need no launches then.
    pub fn steps(&self) -> impl Iterator<Item = usize> {
        let addition = self.addition.map(|a| a.step);
        addition.into_iter().chain(self.clamp.map(|c| c.step))
    }
}
