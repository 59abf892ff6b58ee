//! The buffers of a session: of the tensors as they were planned, of scratch space, and of statistics.

use super::device::Gpu;
use super::launch::Binding;
use super::plan::Plan;
use super::ranges::Ranges;
use super::upload;
use crate::kernel::{DeviceError, Program};
use crate::num::{DType, Values};

/// Everything that outlives a run and grows with the batch.
pub(super) struct Buffers {
    pub run: wgpu::Buffer,
    pub slots: Vec<wgpu::Buffer>,
    pub scratch: Vec<wgpu::Buffer>,
    pub fed: Vec<Option<wgpu::Buffer>>,
    pub keys: wgpu::Buffer,
    pub bins: wgpu::Buffer,
}

impl Buffers {
    pub fn new(
        gpu: &Gpu,
        plan: &Plan,
        ranges: &Ranges,
        batch: usize,
    ) -> Result<Buffers, DeviceError> {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST
            | wgpu::BufferUsages::COPY_SRC;
        let sized = |what: &str, words: usize| {
            let what = format!("{what} of {batch} samples");
            let bytes = (4 * words as u64).saturating_mul(batch as u64);
            gpu.buffer(&what, bytes, usage)
        };
        let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let keys = ranges.empty();
        Ok(Buffers {
            run: gpu.buffer("the run parameters", 16, uniform)?,
            slots: plan
                .slots
                .iter()
                .map(|&w| sized("the tensors", w))
                .collect::<Result<_, _>>()?,
            scratch: plan
                .scratch
                .iter()
                .map(|&w| sized("scratch space", w))
                .collect::<Result<_, _>>()?,
            fed: plan
                .fed
                .iter()
                .map(|&w| (w > 0).then(|| sized("the input", w)).transpose())
                .collect::<Result<_, _>>()?,
            keys: gpu.upload("the ranges", bytemuck::cast_slice(&keys))?,
            // New buffers are zero: no histogram has been started.
            bins: gpu.buffer("the histograms", ranges.bin_bytes(), usage)?,
        })
    }

    /// Where the data of one input goes; `None` if nothing reads it.
    pub fn input<'b>(
        &'b self,
        gpu: &Gpu,
        program: &Program,
        plan: &Plan,
        input: usize,
        samples: usize,
        values: &'b Values,
    ) -> Result<Option<upload::Part<'b>>, DeviceError> {
        let graph = &program.graph;
        let id = graph.inputs[input];
        let elements = graph.elements(id);
        let raw = self.fed[input].as_ref();
        let dtype = graph.tensors[id].dtype;
        let suits = match raw {
            Some(_) => matches!(values.dtype(), DType::U8 | DType::I8),
            None => values.dtype() == dtype,
        };
        if values.len() != samples * elements || !suits {
            return Err(gpu.failed(format!(
                "{} got {} values of {} for {samples} samples of {elements}",
                graph.describe(id),
                values.len(),
                values.dtype()
            )));
        }
        Ok(raw
            .or_else(|| self.of(plan, &Binding::Read(id)))
            .map(|to| upload::Part {
                to,
                bytes: values.bytes(),
                sample: elements * values.dtype().size(),
            }))
    }

    /// The buffer of what is not constant.
    pub fn of(&self, plan: &Plan, binding: &Binding) -> Option<&wgpu::Buffer> {
        match binding {
            Binding::Read(id) | Binding::Write(id) => {
                self.slots.get(plan.slot_of.get(*id).copied().flatten()?)
            }
            Binding::Scratch { slot, .. } | Binding::ReadScratch(slot) => self.scratch.get(*slot),
            Binding::Fed(input) => self.fed.get(*input)?.as_ref(),
            Binding::Keys { .. } => Some(&self.keys),
            Binding::Bins => Some(&self.bins),
            Binding::Constant(_) => None,
        }
    }
}
