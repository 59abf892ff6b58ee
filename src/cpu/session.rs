//! A program loaded on the CPU.

use super::chunk::{Chunk, TOGETHER, append, cut, per_sample, slice, truncate};
use super::conv_f32::{self, Conv};
use super::conv_i8::{self, FastConvI8, FastDepthwiseI8};
use super::fully_connected::{self, FastFullyConnectedI8};
use super::lstm::{self, FastLstmI8, Lstm};
use super::memory::Memory;
use super::product::Packed;
use super::statistics::{Gathered, Tables, range_of};
use super::{add, mean, quantize, softmax, strided_slice};
use crate::graph::TensorId;
use crate::kernel::{
    DeviceError, Feed, Keep, Kernel, Profile, Program, Range, Session, SessionConfig, Statistics,
    Step,
};
use crate::num::{DType, Histogram, Values};
use rayon::prelude::*;
use std::ops::Range as Steps;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Activations a thread holds at once, in bytes: enough rows for the products, little enough for a small machine.
const CHUNK_BYTES: usize = 6 << 20;
/// Most samples in a chunk: more rows do not make the products faster.
const CHUNK_SAMPLES: usize = 32;
/// Activations of all threads together.
const TOTAL_BYTES: usize = 4 << 30;

/// What a kernel needs beyond the prepared parameters.
#[allow(clippy::large_enum_variant, reason = "one a step")]
enum Fast {
    None,
    ConvF32(Conv),
    FullyConnectedF32(Packed),
    LstmF32(Lstm),
    Conv(FastConvI8),
    Depthwise(FastDepthwiseI8),
    FullyConnected(FastFullyConnectedI8),
    Lstm(FastLstmI8),
    /// ADD without broadcasting.
    Add,
}

/// A program with its converted weights and the results of the last run.
pub(super) struct CpuSession<'a> {
    program: &'a Program,
    feeds: Vec<Feed>,
    fast: Vec<Fast>,
    /// For each tensor, whether it is kept after a run.
    kept: Vec<bool>,
    /// For each tensor, the step after which it is dead.
    last_use: Vec<usize>,
    gathered: Gathered,
    /// Nanoseconds of feeding, then of each step's kernel and of its statistics.
    profile: Option<Vec<AtomicU64>>,
    /// Samples of one chunk.
    chunk: usize,
    /// Samples of it that go together through the steps before `cut`.
    block: usize,
    cut: usize,
    /// Chunks computed at once.
    threads: usize,
    batch: usize,
    /// Memory for the next chunks, one for each that was in work at once.
    memory: Mutex<Vec<Memory>>,
    results: Vec<Option<Values>>,
}

impl<'a> CpuSession<'a> {
    pub(super) fn new(
        program: &'a Program,
        config: &SessionConfig,
        plain: bool,
    ) -> Result<Self, DeviceError> {
        let graph = &program.graph;
        let bytes = program.bytes_per_sample();
        if bytes > TOTAL_BYTES {
            return Err(DeviceError::OutOfMemory {
                device: "CPU".into(),
                what: format!("{bytes} bytes of activations a sample"),
            });
        }
        let mut kept = vec![false; graph.tensors.len()];
        let keep = match config.keep {
            Keep::Nothing => Vec::new(),
            Keep::Outputs => graph.outputs.clone(),
            Keep::All => program.values(),
        };
        keep.into_iter().for_each(|id| kept[id] = true);
        let mut last_use = vec![0; graph.tensors.len()];
        for (i, step) in program.steps.iter().enumerate() {
            step.inputs
                .iter()
                .chain(&step.outputs)
                .for_each(|&id| last_use[id] = i);
        }
        let fast = program
            .steps
            .iter()
            .map(|step| match &step.kernel {
                Kernel::ConvF32(k) => Fast::ConvF32(Conv::new(k)),
                Kernel::FullyConnectedF32(k) => {
                    Fast::FullyConnectedF32(Packed::new(&k.weights, 1, &k.bias))
                }
                Kernel::LstmF32(k) => Fast::LstmF32(Lstm::new(k)),
                Kernel::ConvI8(k) if !plain && is_i8(k.input_zero_point) => {
                    Fast::Conv(FastConvI8::new(k))
                }
                Kernel::DepthwiseI8(k) if !plain && is_i8(k.input_zero_point) => {
                    Fast::Depthwise(FastDepthwiseI8::new(k))
                }
                Kernel::FullyConnectedI8(k) if !plain => {
                    Fast::FullyConnected(FastFullyConnectedI8::new(k))
                }
                Kernel::LstmI8(k) if !plain => Fast::Lstm(FastLstmI8::new(k)),
                Kernel::AddI8(k) if !plain => {
                    let constant = |i: usize| graph.tensors[step.inputs[i]].constant.is_some();
                    if add::is_same_shape(k, [constant(0), constant(1)]) {
                        Fast::Add
                    } else {
                        Fast::None
                    }
                }
                _ => Fast::None,
            })
            .collect();
        // Large samples on many threads: fewer of them at once.
        let threads = rayon::current_num_threads().min((TOTAL_BYTES / bytes.max(1)).max(1));
        let fits = (CHUNK_BYTES / bytes.max(1)).clamp(1, CHUNK_SAMPLES);
        let cut = match config.keep {
            Keep::All => None,
            Keep::Nothing | Keep::Outputs if fits >= TOGETHER => None,
            Keep::Nothing | Keep::Outputs => cut(program),
        };
        let most = cut.map_or(fits, |_| TOGETHER);
        let chunk = config
            .batch
            .map_or(most, |b| b.div_ceil(threads).clamp(1, most));
        Ok(Self {
            program,
            feeds: config.feeds.clone(),
            fast,
            kept,
            last_use,
            gathered: Gathered::new(config.statistics, graph.tensors.len()),
            profile: config.profile.then(|| {
                let places = 1 + 2 * program.steps.len();
                (0..places).map(|_| AtomicU64::new(0)).collect()
            }),
            chunk,
            block: fits,
            cut: cut.unwrap_or(0),
            threads,
            batch: config.batch.unwrap_or(chunk * threads).max(1),
            memory: Mutex::new(Vec::new()),
            results: Vec::new(),
        })
    }

    fn memory(&self) -> MutexGuard<'_, Vec<Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes samples `first..first + samples` through the graph.
    fn chunk(&self, first: usize, samples: usize, inputs: &[Values]) -> Chunk {
        let graph = &self.program.graph;
        let memory = self.memory().pop().unwrap_or_default();
        let mut chunk = Chunk::new(graph.tensors.len(), memory);
        for at in (0..samples).step_by(self.block) {
            let n = self.block.min(samples - at);
            let alone = n == samples;
            let mut part = if alone {
                std::mem::take(&mut chunk)
            } else {
                // What was gathered and what is free goes along.
                Chunk::new(graph.tensors.len(), std::mem::take(&mut chunk.memory))
            };
            self.feed(first + at, n, inputs, &mut part);
            self.steps(0..self.cut, n, &mut part);
            if alone {
                chunk = part;
            } else {
                chunk.join(part, |id| n * graph.elements(id));
            }
        }
        self.steps(self.cut..self.program.steps.len(), samples, &mut chunk);
        self.memory().push(std::mem::take(&mut chunk.memory));
        for (id, value) in chunk.values.iter_mut().enumerate() {
            value
                .iter_mut()
                .for_each(|v| truncate(v, samples * graph.elements(id)));
        }
        chunk
    }

    /// Makes the inputs of samples from `first` on.
    fn feed(&self, first: usize, samples: usize, inputs: &[Values], chunk: &mut Chunk) {
        let graph = &self.program.graph;
        let clock = self.clock();
        for ((&id, feed), values) in graph.inputs.iter().zip(&self.feeds).zip(inputs) {
            let n = graph.elements(id);
            let value = match (feed, values) {
                (Feed::Table(table), Values::U8(_) | Values::I8(_)) => {
                    let bytes = &values.bytes()[first * n..][..samples * n];
                    chunk.memory.new_f32(samples * n, |y, _| {
                        y.iter_mut()
                            .zip(bytes)
                            .for_each(|(y, &b)| *y = table[usize::from(b)]);
                    })
                }
                _ => slice(values, first * n, samples * n),
            };
            chunk.values[id] = Some(value);
            self.see_tensor(id, samples, chunk);
        }
        self.took(0, clock);
    }

    /// Runs some steps and frees what they used last.
    fn steps(&self, steps: Steps<usize>, samples: usize, chunk: &mut Chunk) {
        for i in steps {
            let step = &self.program.steps[i];
            let clock = self.clock();
            self.step(i, step, samples, chunk);
            self.took(1 + 2 * i, clock);
            let clock = self.clock();
            self.see_tensor(step.outputs[0], samples, chunk);
            self.took(2 + 2 * i, clock);
            for &id in step.inputs.iter().chain(&step.outputs) {
                if self.last_use[id] == i && !self.kept[id] {
                    chunk.memory.give(chunk.values[id].take());
                }
            }
        }
    }

    fn step(&self, i: usize, step: &Step, samples: usize, chunk: &mut Chunk) {
        let graph = &self.program.graph;
        let output = step.outputs[0];
        let n = samples * graph.elements(output);
        let dtype = graph.tensors[output].dtype;
        let value = {
            let x = |i: usize| {
                let id = step.inputs[i];
                let value = chunk.values[id]
                    .as_ref()
                    .or(graph.tensors[id].constant.as_ref());
                value.expect("graph::load checked that every value exists before it is read")
            };
            let constant = |i: usize| graph.tensors[step.inputs[i]].constant.is_some();
            let len = |i: usize| {
                let repeated = if constant(i) { 1 } else { samples };
                graph.elements(step.inputs[i]) * repeated
            };
            let f32s = |i: usize| &f32s(x(i))[..len(i)];
            let i8s = |i: usize| &i8s(x(i))[..len(i)];
            match (&step.kernel, &self.fast[i]) {
                (Kernel::ConvF32(k), Fast::ConvF32(conv)) => chunk
                    .memory
                    .new_f32(n, |y, scratch| conv.run(k, f32s(0), y, scratch)),
                (Kernel::ConvI8(k), Fast::Conv(fast)) => chunk.memory.new_i8(n, |y, scratch| {
                    fast.run(k, i8s(0), y, scratch);
                }),
                (Kernel::ConvI8(k), _) => chunk.memory.new_i8(n, |y, _| conv_i8::i8(k, i8s(0), y)),
                (Kernel::DepthwiseF32(k), _) => chunk.memory.new_f32(n, |y, _| {
                    conv_f32::depthwise_f32(k, f32s(0), y);
                }),
                (Kernel::DepthwiseI8(k), Fast::Depthwise(fast)) => {
                    chunk.memory.new_i8(n, |y, scratch| {
                        fast.run(k, i8s(0), y, scratch);
                    })
                }
                (Kernel::DepthwiseI8(k), _) => chunk.memory.new_i8(n, |y, _| {
                    conv_i8::depthwise_i8(k, i8s(0), y);
                }),
                (Kernel::FullyConnectedF32(k), Fast::FullyConnectedF32(weights)) => {
                    chunk.memory.new_f32(n, |y, _| {
                        weights.rows(f32s(0), y, k.bounds);
                    })
                }
                (Kernel::FullyConnectedI8(k), Fast::FullyConnected(fast)) => {
                    chunk.memory.new_i8(n, |y, scratch| {
                        fast.run(k, i8s(0), y, scratch);
                    })
                }
                (Kernel::FullyConnectedI8(k), _) => chunk.memory.new_i8(n, |y, _| {
                    fully_connected::i8(k, i8s(0), y);
                }),
                (Kernel::LstmF32(k), Fast::LstmF32(lstm)) => {
                    let state = samples * k.shape.batch * k.shape.cells;
                    let mut projected = chunk.memory.floats.take(4 * n);
                    let mut y = chunk.memory.floats.take(n);
                    let (mut hidden, mut cell) = (vec![0.0; state], vec![0.0; state]);
                    let mut out = lstm::Output {
                        output: &mut y[..n],
                        hidden: &mut hidden,
                        cell: &mut cell,
                    };
                    // The ranges of the states are those of all steps.
                    let cells = step.outputs[2];
                    lstm.run(k, f32s(0), &mut out, &mut projected[..4 * n], |cell| {
                        self.see(cells, cell, &mut chunk.memory.tables);
                    });
                    chunk.memory.floats.give(projected);
                    self.see(step.outputs[1], &y[..n], &mut chunk.memory.tables);
                    chunk.values[step.outputs[1]] = Some(Values::F32(hidden));
                    chunk.values[step.outputs[2]] = Some(Values::F32(cell));
                    Values::F32(y)
                }
                (Kernel::LstmI8(k), fast) => {
                    let state = samples * k.shape.batch * k.shape.cells;
                    let mut y = chunk.memory.bytes.take(n);
                    let (mut hidden, mut cell) = (vec![0; state], vec![0; state]);
                    let mut out = lstm::Output {
                        output: &mut y[..n],
                        hidden: &mut hidden,
                        cell: &mut cell,
                    };
                    match fast {
                        Fast::Lstm(fast) => {
                            fast.run(k, i8s(0), &mut out, &mut chunk.memory.scratch);
                        }
                        _ => lstm::i8(k, i8s(0), &mut out),
                    }
                    chunk.values[step.outputs[1]] = Some(Values::I8(hidden));
                    chunk.values[step.outputs[2]] = Some(Values::I16(cell));
                    Values::I8(y)
                }
                (Kernel::AddF32(k), _) => chunk.memory.new_f32(n, |y, _| {
                    add::f32(
                        k,
                        samples,
                        [f32s(0), f32s(1)],
                        [constant(0), constant(1)],
                        y,
                    );
                }),
                (Kernel::AddI8(k), Fast::Add) => chunk.memory.new_i8(n, |y, _| {
                    add::same_shape_i8(k, [i8s(0), i8s(1)], y);
                }),
                (Kernel::AddI8(k), _) => chunk.memory.new_i8(n, |y, _| {
                    add::i8(k, samples, [i8s(0), i8s(1)], [constant(0), constant(1)], y);
                }),
                (Kernel::MeanF32(k), _) => chunk.memory.new_f32(n, |y, _| {
                    mean::f32(k, samples, f32s(0), y);
                }),
                (Kernel::MeanI8(k), _) => chunk.memory.new_i8(n, |y, _| {
                    mean::i8(k, samples, i8s(0), y);
                }),
                (Kernel::Copy, _) => per_sample(slice(x(0), 0, len(0)), samples, constant(0)),
                (Kernel::Gather(k), _) => {
                    let x = per_sample(slice(x(0), 0, len(0)), samples, constant(0));
                    match x {
                        Values::F32(v) => Values::F32(strided_slice::gather(k, samples, &v)),
                        Values::I8(v) => Values::I8(strided_slice::gather(k, samples, &v)),
                        other => Values::U8(strided_slice::gather(k, samples, other.bytes())),
                    }
                }
                (Kernel::SoftmaxF32(k), _) => chunk.memory.new_f32(n, |y, _| {
                    softmax::f32(k, f32s(0), y);
                }),
                (Kernel::SoftmaxI8(k), _) => {
                    chunk.memory.new_i8(n, |y, _| softmax::i8(k, i8s(0), y))
                }
                (Kernel::Quantize(k), _) if dtype == DType::I8 => chunk.memory.new_i8(n, |y, _| {
                    quantize::quantize(k, f32s(0), bytemuck::cast_slice_mut(y));
                }),
                (Kernel::Quantize(k), _) => {
                    let mut y = vec![0; n];
                    quantize::quantize(k, f32s(0), &mut y);
                    Values::U8(y)
                }
                (Kernel::Requantize(k), _) => {
                    quantize::requantize(k, &x(0).bytes()[..len(0)], dtype)
                }
                (Kernel::Dequantize(k), _) => quantize::dequantize(k, &x(0).bytes()[..len(0)]),
                (Kernel::ConvF32(_) | Kernel::FullyConnectedF32(_) | Kernel::LstmF32(_), _) => {
                    unreachable!("CpuSession::new packs the weights of these")
                }
            }
        };
        chunk.values[output] = Some(value);
    }

    /// Statistics of a tensor that has just been computed, if it is float.
    fn see_tensor(&self, id: TensorId, samples: usize, chunk: &mut Chunk) {
        if let Some(Values::F32(values)) = &chunk.values[id] {
            let n = samples * self.program.graph.elements(id);
            self.see(id, &values[..n], &mut chunk.memory.tables);
        }
    }

    fn see(&self, id: TensorId, values: &[f32], tables: &mut Tables) {
        if self.gathered.level() > Statistics::Nothing {
            self.gathered.see(id, values, range_of(values), tables);
        }
    }

    /// Starts to measure, if a profile is wanted.
    fn clock(&self) -> Option<Instant> {
        self.profile.as_ref().map(|_| Instant::now())
    }

    /// Adds the time since `start` to what is measured at a place of [`CpuSession::profile`].
    fn took(&self, place: usize, start: Option<Instant>) {
        if let (Some(profile), Some(start)) = (&self.profile, start) {
            let nanoseconds = start.elapsed().as_nanos() as u64;
            profile[place].fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }
}

/// Whether a zero point is a value of its type: the fast kernels pad with it and subtract it in 16 bits.
fn is_i8(zero_point: i32) -> bool {
    i8::try_from(zero_point).is_ok()
}

fn f32s(values: &Values) -> &[f32] {
    match values {
        Values::F32(v) => v,
        _ => unreachable!("kernel::prepare checked the types"),
    }
}

fn i8s(values: &Values) -> &[i8] {
    match values {
        Values::I8(v) => v,
        _ => unreachable!("kernel::prepare checked the types"),
    }
}

impl CpuSession<'_> {
    fn gathers(&self, level: Statistics) -> Result<(), DeviceError> {
        if self.gathered.level() >= level {
            return Ok(());
        }
        Err(DeviceError::Failed {
            device: "CPU".into(),
            what: format!(
                "this session gathers {:?} and no more",
                self.gathered.level()
            ),
        })
    }
}

impl Session for CpuSession<'_> {
    fn batch(&self) -> usize {
        self.batch
    }

    fn run(&mut self, samples: usize, inputs: &[Values]) -> Result<(), DeviceError> {
        // A few samples still keep all threads busy.
        let size = self.chunk.min(samples.div_ceil(self.threads)).max(1);
        let starts: Vec<usize> = (0..samples).step_by(size).collect();
        let mut chunks: Vec<Chunk> = Vec::with_capacity(starts.len());
        for together in starts.chunks(self.threads) {
            let done = together
                .par_iter()
                .map(|&first| self.chunk(first, size.min(samples - first), inputs));
            chunks.par_extend(done);
        }
        self.gathered.check(self.program)?;
        self.results = self.kept.iter().map(|_| None).collect();
        for chunk in chunks {
            for ((result, value), kept) in self.results.iter_mut().zip(chunk.values).zip(&self.kept)
            {
                match (result, value) {
                    (Some(result), Some(value)) if *kept => append(result, value),
                    (result, Some(value)) if *kept => *result = Some(value),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, tensor: TensorId) -> Result<Values, DeviceError> {
        self.results
            .get_mut(tensor)
            .and_then(Option::take)
            .ok_or_else(|| DeviceError::Failed {
                device: "CPU".into(),
                what: format!(
                    "{} was not kept, or is read twice",
                    self.program.graph.describe(tensor)
                ),
            })
    }

    fn ranges(&mut self) -> Result<Vec<Option<Range>>, DeviceError> {
        self.gathers(Statistics::Ranges)?;
        Ok(self.gathered.ranges())
    }

    fn histograms(&mut self) -> Result<Vec<Option<Histogram>>, DeviceError> {
        self.gathers(Statistics::Histograms)?;
        Ok(self.gathered.histograms())
    }

    fn profile(&mut self) -> Result<Profile, DeviceError> {
        let profile = self.profile.as_ref().ok_or_else(|| DeviceError::Failed {
            device: "CPU".into(),
            what: "this session does not measure time".into(),
        })?;
        let seconds = |place: usize| profile[place].load(Ordering::Relaxed) as f64 * 1e-9;
        let steps = 0..self.program.steps.len();
        Ok(Profile {
            workers: self.threads,
            feed: seconds(0),
            steps: steps.clone().map(|i| seconds(1 + 2 * i)).collect(),
            statistics: steps.map(|i| seconds(2 + 2 * i)).collect(),
        })
    }
}
