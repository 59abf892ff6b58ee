//! A program on the device: buffers, pipelines and bind groups made once; each run records one compute pass, or one for
//! each operator if their time is measured.

use super::adapter::AdapterKind;
use super::buffers::Buffers;
use super::clock::{Clock, part};
use super::device::Gpu;
use super::launch::{Binding, Launch, Op, words};
use super::loaded::{Constants, Dispatch, Loaded};
use super::plan::{Plan, most_samples, plan};
use super::ranges::{KEY_BYTES, Ranges};
use super::tiles::Tiles;
use super::upload::Ring;
use super::{fused, launches, quantize};
use crate::graph::TensorId;
use crate::kernel::{
    AllMoved, DeviceError, Feed, Keep, Kernel, Profile, Program, Range, Session, SessionConfig,
    Statistics,
};
use crate::num::{DType, Histogram, Values};

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
    /// Samples of all runs.
    seen: u64,
}

impl<'a> GpuSession<'a> {
    pub fn new(
        gpu: &'a Gpu,
        program: &'a Program,
        config: &SessionConfig,
    ) -> Result<Self, DeviceError> {
        check_levels(gpu, program)?;
        let input_bytes: usize = (0..program.graph.inputs.len())
            .map(|i| stride(program, config, i))
            .sum();
        let inputs = (INPUT_BYTES / input_bytes.max(1) as u64) as usize;
        let budget = budget(gpu.summary().kind);
        let samples = config
            .batch
            .unwrap_or_else(|| inputs.min(most_samples(program, budget)));
        let tiles = gpu.tuner.tiles(gpu, program, samples);
        let mut ranges = Ranges::new(
            config.statistics >= Statistics::Histograms,
            AllMoved::new(program),
        );
        let most_buffers = gpu.limits.max_storage_buffers_per_shader_stage;
        let stages = stages(&tiles, program, config, &mut ranges, most_buffers)
            .map_err(|e| gpu.failed(e))?;
        let plan = plan(program, &stages, config.keep);
        let largest = gpu
            .limits
            .max_storage_buffer_binding_size
            .min(gpu.limits.max_buffer_size);
        // One sample that does not fit is reported by the buffer that is too large.
        let mut batch = config
            .batch
            .unwrap_or_else(|| plan.batch(largest, budget).min(inputs))
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
            seen: 0,
        })
    }

    fn slot(&self, id: TensorId) -> Option<&wgpu::Buffer> {
        self.buffers.of(&self.plan, &Binding::Read(id))
    }

    fn is_kept(&self, id: TensorId) -> bool {
        match self.config.keep {
            Keep::Nothing => false,
            Keep::Outputs => self.program.graph.results().contains(&id),
            Keep::All => self.slot(id).is_some() || self.program.graph.outputs.contains(&id),
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
                dispatch.record(self.gpu, &mut pass, samples);
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
        self.seen += samples as u64;
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
        Values::from_bytes(dtype, &bytes).ok_or_else(|| {
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
        let bytes = KEY_BYTES * self.ranges.len() as u64;
        if bytes == 0 {
            return Ok(vec![None; self.program.graph.tensors.len()]);
        }
        let keys = self
            .gpu
            .read(&self.buffers.keys, bytes, &mut self.staging)?;
        let keys: Vec<u32> = bytemuck::pod_collect_to_vec(&keys);
        self.ranges.decode(self.program, &keys)
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
        Ok(self.ranges.histograms(&ranges, &bins, self.seen))
    }

    fn profile(&mut self) -> Result<Profile, DeviceError> {
        let clock = self.clock.as_ref();
        clock
            .map(Clock::profile)
            .ok_or_else(|| self.gpu.failed("a profile was not asked for"))
    }
}

/// The launches of feeding and of every step, each followed by the reductions of what it wrote. `most_buffers` is how many
/// a launch may bind.
pub(super) fn stages(
    tiles: &Tiles,
    program: &Program,
    config: &SessionConfig,
    ranges: &mut Ranges,
    most_buffers: u32,
) -> Result<Vec<Vec<Launch>>, String> {
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
    let followers = fused::followers(program);
    let mut is_written = vec![false; program.steps.len()];
    for (i, step) in program.steps.iter().enumerate() {
        let op = Op {
            graph,
            step,
            ranges: config.statistics >= Statistics::Ranges,
            tiles,
        };
        let launches = match is_written[i] {
            true => Some(Vec::new()),
            false => launches(op),
        };
        let mut stage = launches.ok_or_else(|| {
            let node = &graph.nodes[step.node];
            let input = step
                .inputs
                .first()
                .map_or(DType::F32, |&id| graph.tensors[id].dtype);
            format!(
                "{}: {} of {input} has no shader yet; use --device cpu",
                graph.file,
                node.describe()
            )
        })?;
        let followers = &followers[i];
        if !is_written[i] && followers.fit(&stage, most_buffers) {
            stage = followers.written_by(stage);
            followers.steps().for_each(|step| is_written[step] = true);
        }
        stages.push(if config.statistics >= Statistics::Ranges {
            ranges.after(graph, step, stage)
        } else {
            stage
        });
    }
    Ok(stages)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Activation, Binary, Graph, Node, Op, Tensor};

    /// A tensor added to itself.
    fn sum() -> Program {
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
            op: Op::Binary(Binary::Add, Activation::None),
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
        crate::kernel::prepare(graph).unwrap()
    }

    /// A range costs nothing where the kernel gathers it, a histogram one more reading.
    #[test]
    fn statistics_read_no_tensor_without_need() {
        let program = sum();
        let launches = |statistics| {
            let config = SessionConfig {
                batch: None,
                keep: Keep::Nothing,
                statistics,
                profile: false,
                feeds: vec![Feed::Direct],
            };
            let mut ranges = Ranges::new(
                statistics >= Statistics::Histograms,
                AllMoved::new(&program),
            );
            let stages = stages(&Tiles::default(), &program, &config, &mut ranges, 8).unwrap();
            let names = |stage: Vec<Launch>| stage.iter().map(|l| l.shader).collect::<Vec<_>>();
            stages.into_iter().map(names).collect::<Vec<_>>()
        };
        let nothing: [&str; 0] = [];
        assert_eq!(
            launches(Statistics::Nothing),
            [&nothing[..], &["f32/binary"]]
        );
        assert_eq!(
            launches(Statistics::Ranges),
            [["stats/min_max"], ["f32/binary"]]
        );
        let histogram = ["stats/rebin", "stats/histogram"];
        assert_eq!(
            launches(Statistics::Histograms),
            [["stats/min_max"], ["f32/binary"]].map(|first| [&first[..], &histogram].concat())
        );
    }

    #[test]
    fn counts_carry_into_their_second_word() {
        let Some(gpu) = crate::gpu::tests::gpu() else {
            return;
        };
        let program = sum();
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
        // Slot 0 of the input holds 40 zeros; pretend that there were many more, there and where zeros are counted.
        let words = (u32::MAX - 39).to_le_bytes();
        for byte in [8, 16] {
            let bins = &session.buffers.bins;
            gpu.queue.write_buffer(bins, byte, &words);
        }
        session.run(10, &x).unwrap();
        let histogram = session.histograms().unwrap()[0].clone().unwrap();
        assert_eq!(histogram.total(), u64::from(u32::MAX) + 1);
        assert_eq!(histogram.zeros, Some(histogram.total()));
    }
}
