//! One pass over the data: statistics of the samples that propose and of those that judge, what the latter need to judge,
//! and means of channels.

use super::{Effort, Error, Event, Task};
use crate::data::DataSet;
use crate::graph::TensorId;
use crate::kernel::{Feed, Keep, Program, Range, Session, SessionConfig, Statistics};
use crate::num::{Histogram, Values};
use crate::quantize::Correction;
use crate::stream::{self, Batch};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::ControlFlow;
use std::sync::Arc;

/// One sample in so many judges at most; of fewer samples the last one does.
const ONE_IN: usize = 4;
/// Samples that judge at most, and where there is time.
const MOST_HELD: usize = 64;
const MANY_HELD: usize = 256;
/// Bytes of inputs and outputs that are kept for them at most.
const HELD_BYTES: usize = 512 << 20;
/// Samples whose channels are averaged at most.
const AVERAGED: usize = 32;
/// How many of them are run at once at most, and the bytes of their tensors.
const TOGETHER: usize = 8;
const TOGETHER_BYTES: usize = 64 << 20;

/// Statistics by tensor.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub ranges: Vec<Option<Range>>,
    pub histograms: Vec<Option<Histogram>>,
}

/// What the pass gave.
pub(super) struct Gathered {
    /// How data reaches the inputs.
    pub feeds: Vec<Feed>,
    /// Of the samples that propose.
    pub proposing: Seen,
    /// Of all samples.
    pub all: Seen,
    /// All samples.
    pub samples: usize,
    /// The samples that judge.
    pub held: Held,
    /// Means of channels of some samples that propose.
    pub correction: Arc<Correction>,
}

/// Samples that were held back.
#[derive(Default)]
pub(super) struct Held {
    /// How many.
    pub samples: usize,
    /// Their inputs as the data set delivers them, one array an input.
    pub inputs: Vec<Values>,
    /// The float model's results for them, one array a result.
    pub outputs: Vec<Values>,
}

pub(super) fn gather(
    task: Task<'_>,
    data: &mut DataSet,
    feeds: Vec<Feed>,
    event: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Gathered, Error> {
    let program = task.program;
    let config = |keep, batch| SessionConfig {
        batch,
        keep,
        statistics: Statistics::Histograms,
        profile: false,
        feeds: feeds.clone(),
    };
    let total = data.len();
    let most = match task.effort {
        Effort::Long => MANY_HELD,
        _ => MOST_HELD,
    };
    let one_in = held_one_in(program, total, most);
    let mut proposing = task
        .device
        .session(program, &config(Keep::Nothing, task.batch))?;
    let mut judging = match one_in {
        Some(_) => {
            let batch = proposing.batch().min(most);
            Some(
                task.device
                    .session(program, &config(Keep::Outputs, Some(batch)))?,
            )
        }
        None => None,
    };
    let is_held = |i: usize| one_in.is_some_and(|n| i % n == n - 1);
    let proposers = total - one_in.map_or(0, |n| total / n);
    let every = proposers.div_ceil(AVERAGED).max(1);
    let mut held = Held::default();
    let mut averaged: Vec<Values> = Vec::new();
    let mut seen = 0;
    stream::each(data, proposing.batch(), |batch: Batch| {
        let of = |wanted: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..batch.samples)
                .filter(|&i| wanted(batch.first + i))
                .collect()
        };
        let there = of(&|i| !is_held(i));
        let back = of(&is_held);
        // The position among the proposers decides.
        let rank = |i: usize| i - one_in.map_or(0, |n| i / n);
        let some = of(&|i| !is_held(i) && rank(i) % every == 0);
        extend(&mut averaged, rows(program, &batch.inputs, &some));
        if let (Some(session), false) = (&mut judging, back.is_empty()) {
            let inputs = rows(program, &batch.inputs, &back);
            let outputs = run(
                session.as_mut(),
                program,
                &feeds,
                inputs.clone(),
                back.len(),
            )?;
            extend(&mut held.inputs, inputs);
            extend(&mut held.outputs, outputs);
            held.samples += back.len();
        }
        if !there.is_empty() {
            let inputs = match there.len() == batch.samples {
                true => batch.inputs,
                false => rows(program, &batch.inputs, &there),
            };
            proposing.run(there.len(), &stream::feed(&feeds, inputs))?;
        }
        seen += batch.samples;
        let _ = event(Event::Calibrated(seen));
        Ok::<(), Error>(())
    })?;
    // Ranges first: they tell of what is not finite.
    let statistics = |session: &mut dyn Session| -> Result<Seen, Error> {
        Ok(Seen {
            ranges: session.ranges()?,
            histograms: session.histograms()?,
        })
    };
    let first = statistics(proposing.as_mut())?;
    let all = match &mut judging {
        Some(session) => first.merged(&statistics(session.as_mut())?),
        None => first.clone(),
    };
    drop((proposing, judging));
    Ok(Gathered {
        correction: Arc::new(means(task, &feeds, &averaged)?),
        feeds,
        proposing: first,
        all,
        samples: total,
        held,
    })
}

/// One sample in how many is held back; none if there are too few, or what they need is too much.
fn held_one_in(program: &Program, samples: usize, most: usize) -> Option<usize> {
    let graph = &program.graph;
    let bytes = |&id: &TensorId| graph.elements(id) * graph.tensors[id].dtype.size();
    let results = graph.results();
    let each: usize = graph.inputs.iter().chain(&results).map(bytes).sum();
    let most = most.min(HELD_BYTES / each.max(1));
    if results.is_empty() || most == 0 || samples < 2 {
        return None;
    }
    // Of very few, one judges.
    Some(ONE_IN.min(samples).max(samples.div_ceil(most)))
}

impl Seen {
    fn merged(&self, other: &Seen) -> Seen {
        let pairs = |i: usize| (self.ranges[i], other.ranges.get(i).copied().flatten());
        let merged = |i: usize| match pairs(i) {
            (Some(a), Some(b)) => Some(a.merge(b)),
            (a, b) => a.or(b),
        };
        let ranges: Vec<Option<Range>> = (0..self.ranges.len()).map(merged).collect();
        let histograms = self.histograms.iter().enumerate().map(|(i, a)| {
            let b = other.histograms.get(i).and_then(Option::as_ref);
            match (a, b, ranges[i]) {
                (Some(a), Some(b), Some(range)) => Some(a.clone().merge(b, range)),
                (a, b, _) => a.as_ref().or(b).cloned(),
            }
        });
        Seen {
            histograms: histograms.collect(),
            ranges,
        }
    }
}

/// Some samples of a batch.
pub(super) fn rows(program: &Program, inputs: &[Values], samples: &[usize]) -> Vec<Values> {
    let ids = program.graph.inputs.iter();
    let one =
        |(values, &id): (&Values, &TensorId)| pick(values, program.graph.elements(id), samples);
    inputs.iter().zip(ids).map(one).collect()
}

/// Some rows of an array.
pub(super) fn pick(values: &Values, elements: usize, samples: &[usize]) -> Values {
    let size = elements * values.dtype().size();
    let bytes = values.bytes();
    let picked: Vec<u8> = samples
        .iter()
        .flat_map(|&i| &bytes[i * size..(i + 1) * size])
        .copied()
        .collect();
    Values::from_bytes(values.dtype(), &picked).expect("whole elements of the same type")
}

fn extend(all: &mut Vec<Values>, more: Vec<Values>) {
    if all.is_empty() {
        *all = more;
        return;
    }
    for (all, more) in all.iter_mut().zip(more) {
        all.append(more);
    }
}

/// Runs some samples, in as many runs as it takes; the results, one array each.
pub(super) fn run(
    session: &mut dyn Session,
    program: &Program,
    feeds: &[Feed],
    inputs: Vec<Values>,
    samples: usize,
) -> Result<Vec<Values>, Error> {
    let results = program.graph.results();
    let most = session.batch();
    let mut all = Vec::new();
    for first in (0..samples).step_by(most.max(1)) {
        let count = most.min(samples - first);
        let part = match count == samples {
            true => inputs.clone(),
            false => {
                let picked: Vec<usize> = (first..first + count).collect();
                rows(program, &inputs, &picked)
            }
        };
        session.run(count, &stream::feed(feeds, part))?;
        let values = results.iter().map(|&id| session.read(id));
        extend(&mut all, values.collect::<Result<_, _>>()?);
    }
    Ok(all)
}

/// Means of the channels that biases are corrected with.
fn means(task: Task<'_>, feeds: &[Feed], inputs: &[Values]) -> Result<Correction, Error> {
    let (program, graph) = (task.program, task.graph);
    let wanted = Correction::wanted(graph);
    let Some((values, &id)) = inputs.iter().zip(&graph.inputs).next() else {
        return Ok(Correction::default());
    };
    if wanted.is_empty() {
        return Ok(Correction::default());
    }
    let samples = values.len() / graph.elements(id).max(1);
    let together = (TOGETHER_BYTES / program.bytes_per_sample().max(1)).clamp(1, TOGETHER);
    let config = SessionConfig {
        batch: Some(together),
        keep: Keep::All,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.to_vec(),
    };
    let mut session = task.device.session(program, &config)?;
    let mut sums: HashMap<(TensorId, usize), Vec<f64>> = HashMap::new();
    // Sums go from sample to sample, however many are run at once.
    for first in (0..samples).step_by(together) {
        let some: Vec<usize> = (first..samples.min(first + together)).collect();
        session.run(
            some.len(),
            &stream::feed(feeds, rows(program, inputs, &some)),
        )?;
        let mut read: HashMap<TensorId, Values> = HashMap::new();
        for &(id, many) in &wanted {
            // Each can be read once a run.
            let values = match read.entry(id) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(place) => place.insert(session.read(id)?),
            };
            let Values::F32(values) = values else {
                continue;
            };
            let sums = sums.entry((id, many)).or_insert_with(|| vec![0.0; many]);
            for row in values.chunks(many) {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, &x)| *sum += f64::from(x));
            }
        }
    }
    let mean = |((id, many), sums): ((TensorId, usize), Vec<f64>)| {
        let rows = (graph.elements(id) / many * samples).max(1) as f64;
        let means = sums.into_iter().map(|sum| (sum / rows) as f32).collect();
        ((id, many), means)
    };
    Ok(Correction::new(sums.into_iter().map(mean).collect()))
}
