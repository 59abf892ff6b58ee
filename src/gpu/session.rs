//! A program on the device: buffers, pipelines and bind groups made once; each run records one compute pass, or one for
//! each operator if their time is measured.

use super::clock::{Clock, part};
use super::device::{AdapterKind, Gpu, Pipeline};
use super::launch::{Binding, Launch, Op, words};
use super::paths::Paths;
use super::plan::{Plan, plan};
use super::ranges::{self, Ranges};
use super::upload::{self, Ring};
use super::{launches, quantize};
use crate::graph::TensorId;
use crate::kernel::{
    DeviceError, Feed, Keep, Kernel, Profile, Program, Range, Session, SessionConfig, Statistics,
};
use crate::num::{DType, Histogram, Values};
use std::collections::HashMap;

/// Bytes of inputs of a batch: some batches wait in the computer's memory, whatever the device has.
const INPUT_BYTES: u64 = 32 << 20;

/// Bytes of buffers that a session aims at. wgpu does not tell how much memory there is: where this is too much, the
/// batch is halved until it fits.
fn budget(kind: AdapterKind) -> u64 {
    match kind {
        AdapterKind::Discrete => 8 << 30,
        // These take the computer's own memory.
        AdapterKind::Integrated | AdapterKind::Virtual | AdapterKind::Other => 1 << 30,
        AdapterKind::Cpu => 256 << 20,
    }
}

/// A dispatch, ready to be recorded.
struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    workgroups: Box<dyn Fn(usize) -> usize + Send + Sync>,
    /// What its time counts as; see [`part`].
    part: usize,
}

/// See [`Session`].
pub(super) struct GpuSession<'a> {
    gpu: &'a Gpu,
    program: &'a Program,
    config: SessionConfig,
    batch: usize,
    plan: Plan,
    ranges: Ranges,
    buffers: Buffers,
    /// In passes: of the whole run, or of each part.
    passes: Vec<Vec<Dispatch>>,
    clock: Option<Clock>,
    ring: Ring,
    staging: Option<wgpu::Buffer>,
    /// Samples of the last run.
    samples: usize,
}

/// Everything that outlives a run and grows with the batch.
struct Buffers {
    run: wgpu::Buffer,
    slots: Vec<wgpu::Buffer>,
    scratch: Vec<wgpu::Buffer>,
    fed: Vec<Option<wgpu::Buffer>>,
    keys: wgpu::Buffer,
    bins: wgpu::Buffer,
}

impl<'a> GpuSession<'a> {
    pub fn new(
        gpu: &'a Gpu,
        program: &'a Program,
        config: &SessionConfig,
    ) -> Result<Self, DeviceError> {
        check_levels(gpu, program)?;
        let mut ranges = Ranges::new(config.statistics >= Statistics::Histograms);
        let stages = stages(gpu.paths, program, config, &mut ranges);
        let plan = plan(program, &stages, config.keep);
        let input_bytes: usize = (0..program.graph.inputs.len())
            .map(|i| stride(program, config, i))
            .sum();
        let largest = gpu
            .limits
            .max_storage_buffer_binding_size
            .min(gpu.limits.max_buffer_size);
        // One sample that does not fit is reported by the buffer that is too large.
        let mut batch = config
            .batch
            .unwrap_or_else(|| {
                let inputs = INPUT_BYTES / input_bytes.max(1) as u64;
                let fits = plan.batch(largest, budget(gpu.summary().kind));
                fits.min(inputs as usize)
            })
            .max(1);
        // Weights first: what is left is for the batch.
        let mut constants = Constants::default();
        let mut loaded: Vec<Loaded> = Vec::new();
        for (stage, launches) in stages.into_iter().enumerate() {
            for launch in launches {
                let part = part(stage, launch.statistics);
                let next = Loaded::new(gpu, program, launch, part, loaded.last(), &mut constants)?;
                loaded.push(next);
            }
        }
        let (buffers, ring) = loop {
            let made = Buffers::new(gpu, &plan, &ranges, batch).and_then(|buffers| {
                let ring = Ring::new(gpu, (input_bytes * batch) as u64)?;
                Ok((buffers, ring))
            });
            match made {
                Err(DeviceError::OutOfMemory { .. }) if config.batch.is_none() && batch > 1 => {
                    batch /= 2;
                }
                other => break other?,
            }
        };
        let mut passes: Vec<Vec<Dispatch>> = Vec::new();
        for loaded in loaded {
            let dispatch = loaded.bind(gpu, &plan, &buffers)?;
            match passes.last_mut() {
                Some(pass) if !config.profile || pass[0].part == dispatch.part => {
                    pass.push(dispatch);
                }
                _ => passes.push(vec![dispatch]),
            }
        }
        let parts = || passes.iter().map(|pass| pass[0].part).collect();
        let clock = config
            .profile
            .then(|| Clock::new(gpu, program.steps.len(), parts()))
            .transpose()?;
        Ok(GpuSession {
            gpu,
            program,
            config: config.clone(),
            batch,
            plan,
            ranges,
            buffers,
            passes,
            clock,
            ring,
            staging: None,
            samples: 0,
        })
    }

    fn slot(&self, id: TensorId) -> Option<&wgpu::Buffer> {
        self.buffers.of(&self.plan, &Binding::Read(id))
    }

    fn is_kept(&self, id: TensorId) -> bool {
        match self.config.keep {
            Keep::Nothing => false,
            Keep::Outputs => self.program.graph.outputs.contains(&id),
            Keep::All => self.slot(id).is_some(),
        }
    }
}

/// Bytes from sample to sample of an input as it is uploaded.
fn stride(program: &Program, config: &SessionConfig, input: usize) -> usize {
    let graph = &program.graph;
    let id = graph.inputs[input];
    let dtype = match config.feeds.get(input) {
        Some(Feed::Table(_)) => DType::U8,
        _ => graph.tensors[id].dtype,
    };
    4 * words(graph.elements(id), dtype)
}

/// Refuses an int8 FULLY_CONNECTED whose table of levels would not fit a binding, before the table is made.
fn check_levels(gpu: &Gpu, program: &Program) -> Result<(), DeviceError> {
    /// Bytes of the levels of one unit.
    const LEVELS: u64 = 4 * 255;
    for step in &program.steps {
        let Kernel::FullyConnectedI8(k) = &step.kernel else {
            continue;
        };
        let bytes = k.scales.len() as u64 * LEVELS;
        let shared = k.scales.windows(2).all(|pair| pair[0] == pair[1]);
        if !shared && bytes > gpu.limits.max_storage_buffer_binding_size {
            let node = program.graph.nodes[step.node].describe();
            return Err(gpu.out_of_memory(&format!("the output levels of {node}"), bytes));
        }
    }
    Ok(())
}

impl Session for GpuSession<'_> {
    fn batch(&self) -> usize {
        self.batch
    }

    fn run(&mut self, samples: usize, inputs: &[Values]) -> Result<(), DeviceError> {
        let expected = self.program.graph.inputs.len();
        if samples == 0 || samples > self.batch || inputs.len() != expected {
            return Err(self.gpu.failed(format!(
                "a run takes 1 to {} samples of {expected} inputs, but got {samples} of {}",
                self.batch,
                inputs.len()
            )));
        }
        let run = [samples as u32, 0, 0, 0];
        self.gpu
            .write(&self.buffers.run, bytemuck::cast_slice(&run));
        let parts = inputs.iter().enumerate();
        let parts = parts
            .map(|(i, values)| {
                let (buffers, plan) = (&self.buffers, &self.plan);
                buffers.input(self.gpu, self.program, plan, i, samples, values)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        self.ring.upload(self.gpu, &parts, &mut encoder)?;
        for (i, dispatches) in self.passes.iter().enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: self.clock.as_ref().map(|clock| clock.writes(i)),
            });
            for dispatch in dispatches {
                let groups = (dispatch.workgroups)(samples);
                let widest = self.gpu.limits.max_compute_workgroups_per_dimension as usize;
                let x = groups.clamp(1, widest);
                pass.set_pipeline(&dispatch.pipeline);
                pass.set_bind_group(0, &dispatch.bindings, &[]);
                pass.dispatch_workgroups(x as u32, groups.div_ceil(x) as u32, 1);
            }
        }
        if let Some(clock) = &self.clock {
            clock.resolve(&mut encoder);
        }
        let submission = self.gpu.submit(encoder)?;
        self.ring.submitted(submission);
        if let Some(clock) = &mut self.clock {
            clock.add(self.gpu)?;
        }
        self.samples = samples;
        Ok(())
    }

    fn read(&mut self, tensor: TensorId) -> Result<Values, DeviceError> {
        let graph = &self.program.graph;
        if !self.is_kept(tensor) {
            return Err(self
                .gpu
                .failed(format!("{} was not kept", graph.describe(tensor))));
        }
        let dtype = graph.tensors[tensor].dtype;
        let elements = graph.elements(tensor);
        let bytes = match (self.slot(tensor), &graph.tensors[tensor].constant) {
            (Some(buffer), _) => {
                let bytes = 4 * (words(elements, dtype) * self.samples) as u64;
                let buffer = buffer.clone();
                strip(
                    self.gpu.read(&buffer, bytes, &mut self.staging)?,
                    elements * dtype.size(),
                )
            }
            // An output that no step computes is the same for every sample.
            (None, Some(constant)) => constant.bytes().repeat(self.samples),
            (None, None) => Vec::new(),
        };
        typed(bytes, dtype).ok_or_else(|| {
            self.gpu.failed(format!(
                "{} is {dtype}, which is not computed",
                graph.describe(tensor)
            ))
        })
    }

    fn ranges(&mut self) -> Result<Vec<Option<Range>>, DeviceError> {
        if self.config.statistics < Statistics::Ranges {
            return Err(self.gpu.failed("ranges were not asked for"));
        }
        let bytes = 8 * self.ranges.len() as u64;
        if bytes == 0 {
            return Ok(vec![None; self.program.graph.tensors.len()]);
        }
        let keys = self
            .gpu
            .read(&self.buffers.keys, bytes, &mut self.staging)?;
        let keys: Vec<u32> = bytemuck::pod_collect_to_vec(&keys);
        self.ranges.decode(&self.program.graph, &keys)
    }

    fn histograms(&mut self) -> Result<Vec<Option<Histogram>>, DeviceError> {
        if self.config.statistics < Statistics::Histograms {
            return Err(self.gpu.failed("histograms were not asked for"));
        }
        let ranges = self.ranges()?;
        let bytes = self.ranges.bin_bytes();
        if bytes == 0 {
            return Ok(vec![None; ranges.len()]);
        }
        let bins = self
            .gpu
            .read(&self.buffers.bins, bytes, &mut self.staging)?;
        let bins: Vec<u32> = bytemuck::pod_collect_to_vec(&bins);
        Ok(self.ranges.histograms(&ranges, &bins))
    }

    fn profile(&mut self) -> Result<Profile, DeviceError> {
        let clock = self.clock.as_ref();
        clock
            .map(Clock::profile)
            .ok_or_else(|| self.gpu.failed("a profile was not asked for"))
    }
}

/// The launches of feeding and of every step, each followed by the reductions of what it wrote.
fn stages(
    paths: Paths,
    program: &Program,
    config: &SessionConfig,
    ranges: &mut Ranges,
) -> Vec<Vec<Launch>> {
    let graph = &program.graph;
    let mut feeding = Vec::new();
    for (i, &id) in graph.inputs.iter().enumerate() {
        if let Some(Feed::Table(table)) = config.feeds.get(i) {
            feeding.push(quantize::feed(i, id, graph.elements(id), table));
        }
        if config.statistics >= Statistics::Ranges && graph.tensors[id].dtype == DType::F32 {
            feeding.extend(ranges.reduce(id, Binding::Read(id), graph.elements(id)));
        }
    }
    let mut stages = vec![feeding];
    for step in &program.steps {
        let op = Op {
            graph,
            step,
            ranges: config.statistics >= Statistics::Ranges,
            paths,
        };
        let mut stage = launches(op);
        if config.statistics >= Statistics::Ranges {
            let reductions = ranges.after(graph, step, &stage);
            stage.extend(reductions);
        }
        stages.push(stage);
    }
    stages
}

impl Buffers {
    fn new(gpu: &Gpu, plan: &Plan, ranges: &Ranges, batch: usize) -> Result<Buffers, DeviceError> {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST
            | wgpu::BufferUsages::COPY_SRC;
        let sized = |what: &str, words: usize| {
            let what = format!("{what} of {batch} samples");
            let bytes = (4 * words as u64).saturating_mul(batch as u64);
            gpu.buffer(&what, bytes, usage)
        };
        let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let keys = ranges::EMPTY.repeat(ranges.len().max(1));
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
    fn input<'b>(
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
    fn of(&self, plan: &Plan, binding: &Binding) -> Option<&wgpu::Buffer> {
        match binding {
            Binding::Read(id) | Binding::Write(id) => {
                self.slots.get(plan.slot_of.get(*id).copied().flatten()?)
            }
            Binding::Scratch { slot, .. } | Binding::ReadScratch(slot) => self.scratch.get(*slot),
            Binding::Fed(input) => self.fed.get(*input)?.as_ref(),
            Binding::Keys => Some(&self.keys),
            Binding::Bins => Some(&self.bins),
            Binding::Constant(_) => None,
        }
    }
}

/// The constant operands that are already on the device.
type Constants = HashMap<TensorId, wgpu::Buffer>;

/// A launch that is compiled, with its constants uploaded: all that does not depend on the batch.
struct Loaded {
    launch: Launch,
    pipeline: Pipeline,
    /// For each binding, its buffer if it is constant.
    constants: Vec<Option<wgpu::Buffer>>,
    part: usize,
}

impl Loaded {
    fn new(
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
                Binding::Write(_) | Binding::Scratch { .. } | Binding::Keys | Binding::Bins
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

    fn bind(self, gpu: &Gpu, plan: &Plan, buffers: &Buffers) -> Result<Dispatch, DeviceError> {
        let name = self.launch.shader;
        let mut bound = vec![&buffers.run];
        for (binding, constant) in self.launch.bindings.iter().zip(&self.constants) {
            let buffer = constant.as_ref().or_else(|| buffers.of(plan, binding));
            bound.push(
                buffer.ok_or_else(|| gpu.failed(format!("{name}: {binding:?} has no buffer")))?,
            );
        }
        let entries: Vec<_> = bound
            .iter()
            .enumerate()
            .map(|(i, buffer)| wgpu::BindGroupEntry {
                binding: i as u32,
                resource: buffer.as_entire_binding(),
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

/// Takes the padding out again.
fn strip(bytes: Vec<u8>, sample: usize) -> Vec<u8> {
    if sample.is_multiple_of(4) {
        return bytes;
    }
    bytes
        .chunks(sample.next_multiple_of(4))
        .flat_map(|s| &s[..sample])
        .copied()
        .collect()
}

/// The bytes of a tensor as what they are; `None` for types that no kernel computes.
fn typed(bytes: Vec<u8>, dtype: DType) -> Option<Values> {
    Some(match dtype {
        DType::F32 => Values::F32(bytemuck::pod_collect_to_vec(&bytes)),
        DType::I8 => Values::I8(bytemuck::pod_collect_to_vec(&bytes)),
        DType::U8 => Values::U8(bytes),
        DType::I16 => Values::I16(bytemuck::pod_collect_to_vec(&bytes)),
        DType::I32 => Values::I32(bytemuck::pod_collect_to_vec(&bytes)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Graph, Node, Op, Tensor};

    #[test]
    fn counts_carry_into_their_second_word() {
        let Some(gpu) = crate::gpu::tests::gpu() else {
            return;
        };
        let tensor = || Tensor {
            name: "t".into(),
            shape: vec![4],
            dtype: DType::F32,
            quantization: None,
            constant: None,
            variable: false,
        };
        let node = Node {
            index: 0,
            op: Op::Add {
                activation: Activation::None,
            },
            inputs: vec![Some(0), Some(0)],
            outputs: vec![1],
            intermediates: Vec::new(),
        };
        let graph = Graph {
            file: "m".into(),
            tensors: vec![tensor(), tensor()],
            nodes: vec![node],
            inputs: vec![0],
            outputs: vec![1],
        };
        let program = crate::kernel::prepare(graph).unwrap();
        let config = SessionConfig {
            batch: Some(10),
            keep: Keep::Nothing,
            statistics: Statistics::Histograms,
            profile: false,
            feeds: vec![Feed::Direct],
        };
        let mut session = GpuSession::new(&gpu, &program, &config).unwrap();
        let x = [Values::F32(vec![0.0; 40])];
        session.run(10, &x).unwrap();
        // Slot 0 of the input holds 40 zeros; pretend that there were many more.
        let words = (u32::MAX - 39).to_le_bytes();
        gpu.queue.write_buffer(&session.buffers.bins, 8, &words);
        session.run(10, &x).unwrap();
        let histogram = session.histograms().unwrap()[0].clone().unwrap();
        assert_eq!(histogram.total(), u64::from(u32::MAX) + 1);
    }
}
