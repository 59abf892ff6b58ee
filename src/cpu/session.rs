//! A program loaded on the CPU.

use super::chunk::{Chunk, TOGETHER, cut, slice, truncate};
use super::counting::Tables;
use super::memory::Memory;
use super::statistics::Gathered;
use super::step::Fast;
use super::strip::{self, Chain};
use crate::graph::TensorId;
use crate::kernel::{
    AllMoved, DeviceError, Feed, Keep, Kernel, Numerics, Profile, Program, Range, Session,
    SessionConfig, Statistics, Step,
};
use crate::num::{Histogram, Values};
use rayon::prelude::*;
use std::collections::HashMap;
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

fn is_distance(step: &Step) -> bool {
    matches!(step.kernel, Kernel::Distance(_))
}

/// Bytes of the tensors of a sample that are alive at once, at most.
fn most_alive(program: &Program) -> usize {
    let graph = &program.graph;
    let mut last_use: HashMap<TensorId, usize> = HashMap::new();
    for (i, step) in program.steps.iter().enumerate() {
        last_use.extend(step.inputs.iter().chain(&step.outputs).map(|&id| (id, i)));
    }
    let bytes = |id: TensorId| match graph.is_activation(id) {
        true => graph.elements(id) * graph.tensors[id].dtype.size(),
        false => 0,
    };
    let mut alive: usize = graph.inputs.iter().map(|&id| bytes(id)).sum();
    let mut most = alive;
    for (i, step) in program.steps.iter().enumerate() {
        alive += step.outputs.iter().map(|&id| bytes(id)).sum::<usize>();
        most = most.max(alive);
        let mut used: Vec<TensorId> = step.inputs.iter().chain(&step.outputs).copied().collect();
        used.sort_unstable();
        used.dedup();
        let dead = used.into_iter().filter(|id| last_use.get(id) == Some(&i));
        alive = alive.saturating_sub(dead.map(bytes).sum());
    }
    most
}

/// A program with its converted weights and the results of the last run.
pub(super) struct CpuSession<'a> {
    pub(super) program: &'a Program,
    /// In other numerics than the program's: its steps in them.
    own: Option<Vec<Step>>,
    feeds: Vec<Feed>,
    pub(super) fast: Vec<Fast>,
    /// Chains of steps that are computed strip by strip, by their first step.
    chains: Vec<Option<Chain>>,
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
    /// The first thing that went wrong in a run.
    failure: Mutex<Option<String>>,
    /// Hidden and cell states of LSTMs by step, where samples go on from where the one before ended.
    carried: Option<Mutex<HashMap<usize, (Values, Values)>>>,
}

impl<'a> CpuSession<'a> {
    pub(super) fn new(
        program: &'a Program,
        config: &SessionConfig,
        plain: bool,
        numerics: Numerics,
        strips: usize,
    ) -> Result<Self, DeviceError> {
        let graph = &program.graph;
        let bytes = match program.steps.iter().any(is_distance) {
            // Most of what is compared is dead as soon as it is: what is alive at once decides.
            true => 2 * most_alive(program),
            false => program.bytes_per_sample(),
        };
        if bytes > TOTAL_BYTES {
            return Err(DeviceError::OutOfMemory {
                device: "CPU".into(),
                what: format!("{bytes} bytes of activations a sample"),
            });
        }
        let own = match numerics {
            Numerics::Reference => None,
            other => Some(program.steps_in(other).map_err(|e| DeviceError::Failed {
                device: format!("CPU with {other} numerics"),
                what: e.to_string(),
            })?),
        };
        let steps = own.as_ref().unwrap_or(&program.steps);
        let mut kept = vec![false; graph.tensors.len()];
        let keep = match config.keep {
            Keep::Nothing => Vec::new(),
            Keep::Outputs => graph.results(),
            Keep::All => [program.values(), graph.outputs.clone()].concat(),
        };
        keep.into_iter().for_each(|id| kept[id] = true);
        let mut last_use = vec![0; graph.tensors.len()];
        for (i, step) in steps.iter().enumerate() {
            step.inputs
                .iter()
                .chain(&step.outputs)
                .for_each(|&id| last_use[id] = i);
        }
        let fast = steps.par_iter().map(|step| Fast::new(graph, step, plain));
        let fast: Vec<Fast> = fast.collect();
        // Large samples on many threads: fewer of them at once.
        let threads = rayon::current_num_threads().min((TOTAL_BYTES / bytes.max(1)).max(1));
        let fits = (CHUNK_BYTES / bytes.max(1)).clamp(1, CHUNK_SAMPLES);
        let cut = match config.keep {
            Keep::All => None,
            Keep::Nothing | Keep::Outputs if fits >= TOGETHER => None,
            Keep::Nothing | Keep::Outputs => cut(program),
        };
        // Where samples go together, weights are what must be read seldom.
        let alone = 0..cut.unwrap_or(steps.len());
        let chains = strip::chains(program, steps, &fast, &kept, alone, strips);
        let most = cut.map_or(fits, |_| TOGETHER);
        let chunk = config
            .batch
            .map_or(most, |b| b.div_ceil(threads).clamp(1, most));
        Ok(Self {
            program,
            chains,
            own,
            feeds: config.feeds.clone(),
            fast,
            kept,
            last_use,
            gathered: Gathered::new(
                config.statistics,
                graph.tensors.len(),
                AllMoved::new(program),
            ),
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
            failure: Mutex::new(None),
            carried: None,
        })
    }

    pub(super) fn steps(&self) -> &[Step] {
        self.own.as_ref().unwrap_or(&self.program.steps)
    }

    /// Has states go on from sample to sample: samples are computed one after another.
    pub(super) fn carrying_state(mut self) -> Self {
        (self.chunk, self.block, self.cut, self.threads) = (1, 1, 0, 1);
        self.carried = Some(Mutex::default());
        self
    }

    /// The states that a step's last sample left, where they are carried on.
    pub(super) fn carried(&self, step: usize) -> Option<(Values, Values)> {
        let carried = self.carried.as_ref()?;
        let mut carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
        carried.remove(&step)
    }

    /// Keeps the states for the next sample, where they are carried on.
    pub(super) fn carry(&self, step: usize, hidden: &Values, cell: &Values) {
        if let Some(carried) = &self.carried {
            let mut carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
            carried.insert(step, (hidden.clone(), cell.clone()));
        }
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
            self.walk(0..self.cut, n, &mut part);
            if alone {
                chunk = part;
            } else {
                chunk.join(part, |id| n * graph.elements(id));
            }
        }
        self.walk(self.cut..self.steps().len(), samples, &mut chunk);
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
            match (feed, values) {
                (Feed::Table(table), Values::U8(_) | Values::I8(_))
                    if self.gathered.level() == Statistics::Histograms =>
                {
                    let bytes = &values.bytes()[first * n..][..samples * n];
                    self.gathered.see_bytes(id, bytes, table);
                }
                _ => self.see_tensor(id, samples, chunk),
            }
        }
        self.took(0, clock);
    }

    /// Runs some steps and frees what they used last.
    fn walk(&self, steps: Steps<usize>, samples: usize, chunk: &mut Chunk) {
        let mut at = steps.start;
        while at < steps.end {
            let done = match &self.chains[at] {
                Some(chain) => {
                    self.strips(at, chain, samples, chunk);
                    at..at + chain.steps()
                }
                None => {
                    self.whole(at, samples, chunk);
                    at..at + 1
                }
            };
            at = done.end;
            for i in done {
                let step = &self.steps()[i];
                for &id in step.inputs.iter().chain(&step.outputs) {
                    if self.last_use[id] == i && !self.kept[id] {
                        chunk.memory.give(chunk.values[id].take());
                    }
                }
            }
        }
    }

    /// Runs a step on whole tensors.
    fn whole(&self, i: usize, samples: usize, chunk: &mut Chunk) {
        let step = &self.steps()[i];
        let clock = self.clock();
        self.step(i, step, samples, chunk);
        self.took(1 + 2 * i, clock);
        let clock = self.clock();
        self.see_tensor(step.outputs[0], samples, chunk);
        self.took(2 + 2 * i, clock);
    }

    /// Notes what went wrong, for the end of the run.
    pub(super) fn fail(&self, what: String) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(what);
    }

    /// Statistics of a tensor that has just been computed, if it is float.
    fn see_tensor(&self, id: TensorId, samples: usize, chunk: &mut Chunk) {
        if let Some(Values::F32(values)) = &chunk.values[id] {
            let n = samples * self.program.graph.elements(id);
            self.see(id, &values[..n], &mut chunk.memory.tables);
        }
    }

    pub(super) fn see(&self, id: TensorId, values: &[f32], tables: &mut Tables) {
        if self.gathered.level() > Statistics::Nothing {
            self.gathered.see(id, values, tables);
        }
    }

    /// Starts to measure, if a profile is wanted.
    pub(super) fn clock(&self) -> Option<Instant> {
        self.profile.as_ref().map(|_| Instant::now())
    }

    /// Adds the time since `start` to what is measured at a place of [`CpuSession::profile`].
    pub(super) fn took(&self, place: usize, start: Option<Instant>) {
        if let (Some(profile), Some(start)) = (&self.profile, start) {
            let nanoseconds = start.elapsed().as_nanos() as u64;
            profile[place].fetch_add(nanoseconds, Ordering::Relaxed);
        }
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
        let failure = self
            .failure
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(what) = failure.take() {
            return Err(DeviceError::Data { what });
        }
        self.gathered.check(self.program)?;
        self.gathered.add_samples(samples);
        self.results = self.kept.iter().map(|_| None).collect();
        for chunk in chunks {
            for ((result, value), kept) in self.results.iter_mut().zip(chunk.values).zip(&self.kept)
            {
                match (result, value) {
                    (Some(result), Some(value)) if *kept => result.append(value),
                    (result, Some(value)) if *kept => *result = Some(value),
                    _ => {}
                }
            }
        }
        // An output that no step computes is the same for every sample.
        for &id in &self.program.graph.outputs {
            let constant = self.program.graph.tensors[id].constant.as_ref();
            if let Some(constant) = constant.filter(|_| self.kept[id]) {
                let bytes = constant.bytes().repeat(samples);
                self.results[id] = Values::from_bytes(constant.dtype(), &bytes);
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
