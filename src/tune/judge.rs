//! A candidate's score: the quantized model it makes, run over the samples that were held back.

use super::gather::{Gathered, pick, rows, run};
use super::{Error, Task};
use crate::graph::{self, Graph, Op, Tensor, TensorId, Unary};
use crate::kernel::prefix::{self, Place};
use crate::kernel::{self, Feed, Keep, Program, Session, SessionConfig, Statistics};
use crate::num::{DType, Values};
use crate::quantize::{self, Options};
use std::collections::HashMap;

/// Ratios of squared error and squared values far below this do not count: 50 dB.
const GOOD_ENOUGH: f64 = 1e-5;
/// The same for probabilities, which end in a decision: what is closer than 25 dB hardly ever changes one.
const DECIDED: f64 = 3e-3;
/// Nor do they count above this.
const HOPELESS: f64 = 1e4;
/// Squared values of a sample are taken to be no less than this share of the mean: an output may be 0 throughout.
const LEAST_SIGNAL: f64 = 1e-2;

/// Preparing a candidate counts as so many samples at most.
const MOST_PREPARATION: u64 = 16;

/// Shares of the work behind which candidates can begin.
const SHARES: [f64; 3] = [0.25, 0.5, 0.75];
/// Bytes that are kept at one place at most.
const KEPT_BYTES: usize = 256 << 20;

/// Runs candidates.
pub(super) struct Judge<'a> {
    task: Task<'a>,
    gathered: &'a Gathered,
    blocks: Vec<Block>,
    /// Mean squared values of each result, and the ratio that is good enough for it.
    scales: Vec<(f64, f64)>,
    /// Work before the first sample, in samples.
    preparation: usize,
    /// Samples that were run.
    pub spent: usize,
    /// Candidates that were tried.
    pub candidates: usize,
    /// The best so far, as far as others may have it in common.
    known: Option<Known>,
}

/// A graph with what is alive at some of its places.
struct Known {
    graph: Graph,
    places: Vec<Start>,
}

/// A place where a candidate may begin, with what is alive there for each block.
struct Start {
    place: Place,
    values: Vec<Vec<Values>>,
}

/// Some of the samples.
struct Block {
    samples: usize,
    inputs: Vec<Values>,
    outputs: Vec<Values>,
}

/// How a candidate did.
pub(super) enum Verdict {
    /// A score for each sample, in the judge's order.
    Scores(Vec<f64>),
    /// It was dropped: so far behind on average.
    Behind(f64),
}

impl<'a> Judge<'a> {
    pub fn new(task: Task<'a>, gathered: &'a Gathered) -> Judge<'a> {
        let held = &gathered.held;
        let graph = task.graph;
        let elements: Vec<usize> = graph
            .results()
            .iter()
            .map(|&id| graph.elements(id))
            .collect();
        let block = |samples: &[usize]| Block {
            samples: samples.len(),
            inputs: rows(task.program, &held.inputs, samples),
            outputs: held
                .outputs
                .iter()
                .zip(&elements)
                .map(|(v, &n)| pick(v, n, samples))
                .collect(),
        };
        let n = held.samples;
        let order = scattered(n);
        let cuts = [0, n.div_ceil(8), n.div_ceil(4), n.div_ceil(2), n];
        let blocks = cuts.windows(2).filter(|w| w[0] < w[1]);
        let blocks = blocks.map(|w| block(&order[w[0]..w[1]])).collect();
        let results = held.outputs.iter().zip(graph.results());
        let scales = results.map(|(values, id)| {
            let squares: f64 = reals(values).iter().map(|x| x * x).sum();
            let enough = match is_probability(graph, id) {
                true => DECIDED,
                false => GOOD_ENOUGH,
            };
            (squares / n.max(1) as f64, enough)
        });
        // Weights are quantized and packed once a candidate: five nanoseconds each, and a hundredth for an operation.
        let floor = task.program.floors().total;
        let preparation = 100 * floor.constant_bytes / floor.operations.max(1);
        Judge {
            scales: scales.collect(),
            preparation: preparation.min(MOST_PREPARATION) as usize,
            task,
            gathered,
            blocks,
            spent: 0,
            candidates: 0,
            known: None,
        }
    }

    /// Scores of a candidate, unless it falls behind on its way: after an eighth of the samples it may be a standard error
    /// behind what it has to be ahead of `best`, after a quarter two thirds of one, and after half of them nothing.
    pub fn score(
        &mut self,
        options: &Options,
        best: Option<(&[f64], f64)>,
    ) -> Result<Verdict, Error> {
        let graph = self.graph(options)?;
        let start = self.known.as_ref().and_then(|known| {
            let common = prefix::common(&known.graph, &graph);
            known.places.iter().rev().find(|p| p.place.nodes <= common)
        });
        let (graph, behind) = match start {
            Some(start) => (prefix::tail(graph, &start.place), start.place.behind),
            None => (graph, 100),
        };
        let program = kernel::prepare(graph)?;
        let feeds = match start {
            Some(start) => vec![Feed::Direct; start.place.alive.len()],
            None => self.feeds(&program.graph),
        };
        let mut session = self.session(&program, feeds.clone())?;
        self.candidates += 1;
        let mut spent = 100 * self.preparation;
        let held = self.gathered.held.samples;
        let mut scores = Vec::with_capacity(held);
        let mut verdict = None;
        for (i, block) in self.blocks.iter().enumerate() {
            let inputs = start
                .map_or(&block.inputs, |start| &start.values[i])
                .clone();
            let outputs = run(session.as_mut(), &program, &feeds, inputs, block.samples)?;
            spent += behind * block.samples;
            let reals = outputs.iter().zip(program.graph.results());
            let reals: Vec<Vec<f64>> = reals
                .map(|(values, id)| dequantized(values, &program.graph.tensors[id]))
                .collect();
            scores.extend(self.scores(block, &reals));
            if let Some((best, least)) = best {
                let (mean, error) = ahead(&scores, best);
                let slack = 1.0 - 2.0 * scores.len() as f64 / held as f64;
                if mean + slack.max(0.0) * error * 4.0 / 3.0 < least {
                    verdict = Some(Verdict::Behind(mean));
                    break;
                }
            }
        }
        self.spent += spent.div_ceil(100);
        Ok(verdict.unwrap_or(Verdict::Scores(scores)))
    }

    /// Keeps what further candidates may have in common with this one.
    pub fn remember(&mut self, options: &Options) -> Result<(), Error> {
        self.known = None;
        let graph = self.graph(options)?;
        let program = kernel::prepare(graph.clone())?;
        let mut places = Vec::new();
        let held = self.gathered.held.samples;
        for place in prefix::places(&program, held, &SHARES, KEPT_BYTES) {
            // From the place before, if there is one.
            let before: Option<&Start> = places.last();
            let head = prefix::head(&graph, before.map(|start| &start.place), &place);
            let feeds = match before {
                Some(start) => vec![Feed::Direct; start.place.alive.len()],
                None => self.feeds(&graph),
            };
            let program = kernel::prepare(head)?;
            let mut session = self.session(&program, feeds.clone())?;
            let mut values = Vec::with_capacity(self.blocks.len());
            for (i, block) in self.blocks.iter().enumerate() {
                let inputs = before.map_or(&block.inputs, |start| &start.values[i]);
                let outputs = run(
                    session.as_mut(),
                    &program,
                    &feeds,
                    inputs.clone(),
                    block.samples,
                )?;
                let mut computed: HashMap<TensorId, Values> =
                    program.graph.outputs.iter().copied().zip(outputs).collect();
                let passed = before.map_or(&[][..], |start| &start.place.alive);
                for (id, values) in passed.iter().zip(inputs) {
                    computed.entry(*id).or_insert_with(|| values.clone());
                }
                let alive = place.alive.iter().filter_map(|id| computed.remove(id));
                values.push(alive.collect());
            }
            places.push(Start { place, values });
        }
        self.spent += match places.last() {
            Some(start) => (100 - start.place.behind) * self.gathered.held.samples / 100,
            None => 0,
        };
        self.known = Some(Known { graph, places });
        Ok(())
    }

    /// How data reaches the inputs of a candidate, which may be integers.
    fn feeds(&self, graph: &Graph) -> Vec<Feed> {
        let inputs = graph.inputs.iter().zip(&self.gathered.feeds);
        let feed = |(&id, feed): (&TensorId, &Feed)| {
            let tensor = &graph.tensors[id];
            match (feed, tensor.dtype, tensor.affine()) {
                (
                    Feed::Direct | Feed::Table(_),
                    DType::I8 | DType::U8 | DType::I16,
                    Some(affine),
                ) => feed.quantized(affine, tensor.dtype),
                _ => feed.clone(),
            }
        };
        inputs.map(feed).collect()
    }

    /// The quantized graph of a candidate.
    fn graph(&self, options: &Options) -> Result<Graph, Error> {
        let graph = self.task.graph;
        let seen = &self.gathered.all;
        let plan = quantize::plan_by(graph, &seen.ranges, &seen.histograms, options)?;
        let model = quantize::apply(self.task.float, graph, &plan)?;
        Ok(graph::load(&model, &graph.file)?)
    }

    fn session<'p>(
        &self,
        program: &'p Program,
        feeds: Vec<Feed>,
    ) -> Result<Box<dyn Session + 'p>, Error>
    where
        'a: 'p,
    {
        let largest = self.blocks.iter().map(|b| b.samples).max().unwrap_or(1);
        let config = SessionConfig {
            batch: Some(self.task.batch.unwrap_or(largest).min(largest)),
            keep: Keep::Outputs,
            statistics: Statistics::Nothing,
            profile: false,
            feeds,
        };
        Ok(self.task.device.session(program, &config)?)
    }

    /// A score for each sample of a block.
    fn scores(&self, block: &Block, outputs: &[Vec<f64>]) -> Vec<f64> {
        let mut scores = vec![0.0; block.samples];
        let share = 1.0 / outputs.len().max(1) as f64;
        let results = block.outputs.iter().zip(outputs).zip(&self.scales);
        for ((float, test), &(signal, enough)) in results {
            let integers = !matches!(float, Values::F32(_));
            let float = reals(float);
            let elements = (float.len() / block.samples).max(1);
            let pairs = float.chunks(elements).zip(test.chunks(elements));
            for (score, (float, test)) in scores.iter_mut().zip(pairs) {
                let pairs = float.iter().zip(test);
                let ratio = match integers {
                    // Indices: either the same, or not.
                    true => pairs.filter(|(f, t)| f != t).count() as f64 / elements as f64,
                    false => {
                        let squares: f64 = float.iter().map(|x| x * x).sum();
                        let error: f64 = pairs.map(|(f, t)| (f - t) * (f - t)).sum();
                        error / squares.max(LEAST_SIGNAL * signal).max(f64::MIN_POSITIVE)
                    }
                };
                // NaN is hopeless, too.
                let ratio = if ratio < HOPELESS { ratio } else { HOPELESS };
                *score -= 10.0 * share * (ratio + enough).log10();
            }
        }
        scores
    }
}

/// How far scores are ahead of others on the same samples: mean and standard error.
pub(super) fn ahead(scores: &[f64], others: &[f64]) -> (f64, f64) {
    let gains: Vec<f64> = scores.iter().zip(others).map(|(a, b)| a - b).collect();
    let n = gains.len().max(1) as f64;
    let mean = gains.iter().sum::<f64>() / n;
    let squares: f64 = gains.iter().map(|g| (g - mean) * (g - mean)).sum();
    (mean, (squares / n / (n - 1.0).max(1.0)).sqrt())
}

/// Whether a tensor holds probabilities: what SOFTMAX or LOGISTIC computes, moved or not.
fn is_probability(graph: &Graph, mut id: TensorId) -> bool {
    loop {
        let Some(node) = graph.nodes.iter().find(|n| n.outputs.contains(&id)) else {
            return false;
        };
        match (&node.op, node.inputs.first()) {
            (Op::Softmax { .. } | Op::Unary(Unary::Logistic), _) => return true,
            // Nodes are in execution order, so this ends.
            (Op::Move(_), Some(&Some(input))) => id = input,
            _ => return false,
        }
    }
}

/// Indices so that any first part of them is spread over all: neighbours in the data are often alike.
fn scattered(n: usize) -> Vec<usize> {
    let bits = usize::BITS - n.max(1).leading_zeros();
    let places = (0..1usize << bits).map(|i| i.reverse_bits() >> (usize::BITS - bits));
    places.filter(|&i| i < n).collect()
}

/// What a quantized model's results stand for.
fn dequantized(values: &Values, tensor: &Tensor) -> Vec<f64> {
    let mut all = reals(values);
    if let (false, Some(affine)) = (tensor.dtype == DType::F32, tensor.affine()) {
        let (scale, zero) = (f64::from(affine.scale), f64::from(affine.zero_point));
        all.iter_mut().for_each(|q| *q = scale * (*q - zero));
    }
    all
}

fn reals(values: &Values) -> Vec<f64> {
    match values {
        Values::F32(v) => v.iter().map(|&x| f64::from(x)).collect(),
        other => other
            .to_f32(|x| x as f32)
            .into_iter()
            .map(f64::from)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scattered_is_a_permutation() {
        for n in [0, 1, 2, 3, 7, 8, 9, 100] {
            let mut all = scattered(n);
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
        }
        assert_eq!(scattered(8)[..4], [0, 4, 2, 6]);
    }

    /// A candidate that begins where it differs from the best has the same scores as one that begins at the start.
    #[test]
    fn what_is_in_common_changes_no_score() {
        use crate::cpu::Cpu;
        use crate::data::Options as DataOptions;
        use crate::model;
        use crate::num::Range;
        use crate::quantize::{Chosen, Io};
        use crate::tune::{Effort, gather::gather};
        use crate::{simplify, stream};
        use std::ops::ControlFlow;
        use std::path::Path;

        let har = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/har");
        let read = model::read(&har.join("model.tflite")).unwrap();
        let (float, graph) = simplify::load(read, "har").unwrap();
        let program = kernel::prepare(graph.clone()).unwrap();
        let options = DataOptions {
            limit: Some(24),
            ..DataOptions::default()
        };
        let (mut data, feeds) = stream::open(&har.join("calib.npz"), &graph, &options).unwrap();
        let options = Options::new(Io::Float);
        let cpu = Cpu::new();
        let task = Task {
            float: &float,
            graph: &graph,
            program: &program,
            options: &options,
            fixed_weights: false,
            device: &cpu,
            batch: None,
            effort: Effort::Usual,
        };
        let mut go_on = |_| ControlFlow::Continue(());
        let gathered = gather(task, &mut data, feeds, &mut go_on).unwrap();
        let mut judge = Judge::new(task, &gathered);
        let score = |judge: &mut Judge<'_>, options: &Options| -> (Vec<f64>, usize) {
            let before = judge.spent;
            match judge.score(options, None).unwrap() {
                Verdict::Scores(scores) => (scores, judge.spent - before),
                Verdict::Behind(_) => panic!("nothing to be behind"),
            }
        };
        let mut spared = 0;
        for node in graph.nodes.iter().rev() {
            let id = node.outputs[0];
            let range = gathered.all.ranges[id].unwrap_or(Range { min: 0.0, max: 1.0 });
            let half = Chosen {
                range: Range {
                    min: range.min / 2.0,
                    max: range.max / 2.0,
                },
                method: "half".into(),
            };
            let mut candidate = options.clone();
            candidate.chosen.insert(id, half);
            judge.known = None;
            let whole = score(&mut judge, &candidate);
            judge.remember(&options).unwrap();
            assert!(!judge.known.as_ref().unwrap().places.is_empty());
            let part = score(&mut judge, &candidate);
            assert_eq!(whole.0, part.0, "{}", node.describe());
            assert!(part.1 <= whole.1);
            spared += usize::from(part.1 < whole.1);
        }
        assert!(spared >= 3, "{spared}");
    }

    #[test]
    fn a_gain_has_a_mean_and_an_error() {
        let (mean, error) = ahead(&[1.0, 3.0], &[0.0, 0.0]);
        assert_eq!((mean, error), (2.0, 1.0));
        assert_eq!(ahead(&[1.0], &[2.0]), (-1.0, 0.0));
    }
}
