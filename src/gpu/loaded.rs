//! From a launch to a dispatch: its pipeline, its constants on the device, its bindings.

use super::buffers::Buffers;
use super::device::{Gpu, Pipeline};
use super::launch::{Binding, Launch};
use super::plan::Plan;
use super::ranges::KEY_BYTES;
use crate::graph::TensorId;
use crate::kernel::{DeviceError, Program};
use std::collections::HashMap;

/// A dispatch, ready to be recorded.
pub(super) struct Dispatch {
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroup,
    pub workgroups: Box<dyn Fn(usize) -> usize + Send + Sync>,
    /// What its time counts as; see `clock::part`.
    pub part: usize,
}

impl Dispatch {
    /// Records it for a number of samples.
    pub fn record(&self, gpu: &Gpu, pass: &mut wgpu::ComputePass<'_>, samples: usize) {
        let groups = (self.workgroups)(samples);
        let widest = gpu.limits.max_compute_workgroups_per_dimension as usize;
        let x = groups.clamp(1, widest);
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(x as u32, groups.div_ceil(x) as u32, 1);
    }
}

/// The constant operands that are already on the device.
pub(super) type Constants = HashMap<TensorId, wgpu::Buffer>;

/// A launch that is compiled, with its constants uploaded: all that does not depend on the batch.
pub(super) struct Loaded {
    launch: Launch,
    pipeline: Pipeline,
    /// For each binding, its buffer if it is constant.
    constants: Vec<Option<wgpu::Buffer>>,
    part: usize,
}

impl Loaded {
    pub fn new(
        gpu: &Gpu,
        program: &Program,
        launch: Launch,
        part: usize,
        before: Option<&Loaded>,
        known: &mut Constants,
    ) -> Result<Loaded, DeviceError> {
        let writable = |b: &Binding| {
            matches!(
                b,
                Binding::Write(_) | Binding::Scratch { .. } | Binding::Keys { .. } | Binding::Bins
            )
        };
        let writable = launch.bindings.iter().map(writable).collect();
        let pipeline = gpu.pipeline(launch.shader, &launch.defines, &launch.constants, writable)?;
        let mut constants = Vec::with_capacity(launch.bindings.len());
        for (i, binding) in launch.bindings.iter().enumerate() {
            // A long LSTM takes several launches with the same weights.
            let shared = before.filter(|l| l.launch.bindings.get(i) == Some(binding));
            constants.push(match binding {
                Binding::Constant(bytes) => match shared {
                    Some(before) => before.constants[i].clone(),
                    None => Some(gpu.upload(launch.shader, bytes)?),
                },
                Binding::Read(id) => operand(gpu, program, *id, known)?,
                _ => None,
            });
        }
        Ok(Loaded {
            launch,
            pipeline,
            constants,
            part,
        })
    }

    pub fn bind(self, gpu: &Gpu, plan: &Plan, buffers: &Buffers) -> Result<Dispatch, DeviceError> {
        let name = self.launch.shader;
        let mut bound = vec![buffers.run.as_entire_binding()];
        for (binding, constant) in self.launch.bindings.iter().zip(&self.constants) {
            let buffer = constant.as_ref().or_else(|| buffers.of(plan, binding));
            let buffer =
                buffer.ok_or_else(|| gpu.failed(format!("{name}: {binding:?} has no buffer")))?;
            bound.push(match binding {
                Binding::Keys { first, ranges } => {
                    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer,
                        offset: KEY_BYTES * *first as u64,
                        size: wgpu::BufferSize::new(KEY_BYTES * *ranges as u64),
                    })
                }
                _ => buffer.as_entire_binding(),
            });
        }
        let entries: Vec<_> = bound
            .into_iter()
            .enumerate()
            .map(|(i, resource)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource,
            })
            .collect();
        let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(name),
            layout: &self.pipeline.layout,
            entries: &entries,
        });
        gpu.check()?;
        Ok(Dispatch {
            pipeline: self.pipeline.compute,
            bindings,
            workgroups: self.launch.workgroups,
            part: self.part,
        })
    }
}

/// The buffer of a constant tensor, uploaded at its first use; `None` for a tensor that is computed.
fn operand(
    gpu: &Gpu,
    program: &Program,
    id: TensorId,
    known: &mut Constants,
) -> Result<Option<wgpu::Buffer>, DeviceError> {
    let Some(values) = &program.graph.tensors[id].constant else {
        return Ok(None);
    };
    if let Some(buffer) = known.get(&id) {
        return Ok(Some(buffer.clone()));
    }
    let buffer = gpu.upload("a constant operand", values.bytes())?;
    known.insert(id, buffer.clone());
    Ok(Some(buffer))
}
