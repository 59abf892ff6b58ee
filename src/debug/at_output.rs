//! What an operator's quantization does to the outputs.
//!
//! Two questions to each operator: how much is lost where it alone is quantized, and how much is won back where it alone is
//! left float. Then the same for all operators of a kind, and for the worst ones together, since errors that need each other
//! show up in no single answer. The answers come from whole models, run over some samples.
//!
//! *Loss* is the noise-to-signal ratio of the outputs: Σ (test − float)² / Σ float² of a sample, the mean over samples and
//! outputs. The signal of a sample is taken to be no less than a hundredth of the mean, and its ratio no more than
//! [`WORST`], so that one sample cannot speak for all.

use super::resident::{Resident, Seat};
use super::swap::{alone, float, left_float};
use super::{Error, Findings, Local, Matching, Task};
use crate::data::DataSet;
use crate::evaluate::arg_max;
use crate::graph::{Op, TensorId};
use crate::kernel::prepare;
use crate::num::Values;
use crate::stream;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// A ratio beyond this is that of a sample without anything left.
pub const WORST: f64 = 10.0;
/// Squared values of a sample are taken to be no less than this share of the mean.
const LEAST_SIGNAL: f64 = 1e-2;
/// The worst operators that are left float together: 2, 3, … up to so many.
const TOGETHER: usize = 6;
/// Bytes of samples that are kept.
const KEPT_BYTES: usize = 512 << 20;

/// Which operators are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Those with the worst local errors, so many.
    Top(usize),
    /// All that are quantized.
    All,
}

/// How a model does on the samples.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Noise-to-signal ratio of the outputs.
    pub loss: f64,
    /// Samples whose highest output is that of the float model; none for outputs of one value.
    pub agreeing: Option<usize>,
    /// Samples whose highest output is their label; none without labels.
    pub correct: Option<usize>,
}

/// What an operator, or several, do to the outputs.
#[derive(Clone, Debug, Serialize)]
pub struct AtOutput {
    /// What is asked about: an operator, or several of them.
    pub name: String,
    /// Positions in the quantized graph.
    #[serde(skip)]
    pub nodes: Vec<usize>,
    /// Names of what they compute, in the float model.
    #[serde(skip)]
    pub float_names: Vec<String>,
    /// Indices in the quantized file.
    pub op_indices: Vec<usize>,
    /// Share of the model's multiplications.
    pub work: f64,
    /// Loss where only this is quantized.
    pub alone_loss: f64,
    /// What is won back where only this is left float; negative where it makes up for others. None for the rounding of inputs.
    pub left_float_gain: Option<f64>,
    /// The float model with only this quantized.
    pub alone: Score,
    /// The quantized model with this left float.
    pub left_float: Option<Score>,
}

/// All answers.
#[derive(Clone, Debug, Serialize)]
pub struct AtOutputs {
    /// Samples that were run.
    pub samples: usize,
    /// Models that were run.
    pub models: usize,
    /// The float model; its loss is 0.
    pub float: Score,
    /// The quantized model.
    pub quantized: Score,
    /// Operators, the most harmful first: by the larger of what they lose alone and what leaving them float wins.
    pub ops: Vec<AtOutput>,
    /// All operators of a kind, and the worst ones together.
    pub groups: Vec<AtOutput>,
}

/// The work that answers take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Models.
    pub models: usize,
    /// Samples of each.
    pub samples: usize,
}

/// Questions, before they are asked.
pub struct Questions<'a> {
    task: Task<'a>,
    matching: &'a Matching,
    units: Vec<Question>,
    kinds: Vec<Question>,
    work: Vec<f64>,
}

struct Question {
    name: String,
    nodes: Vec<usize>,
}

impl<'a> Questions<'a> {
    /// Chooses the operators; `found` are the errors of all.
    ///
    /// # Errors
    /// If the quantized model cannot be prepared.
    pub fn new(
        task: Task<'a>,
        matching: &'a Matching,
        found: &Findings,
        asked: Asked,
    ) -> Result<Questions<'a>, Error> {
        let graph = task.quantized;
        let program = prepare(graph.clone())?;
        let floors = program.floors();
        let mut work = vec![0.0; graph.nodes.len()];
        for (step, floor) in program.steps.iter().zip(&floors.steps) {
            work[step.node] += floor.operations as f64 / floors.total.operations.max(1) as f64;
        }
        // A node by its worst output; what rounds inputs is always asked about.
        let mut worst: BTreeMap<usize, f64> = BTreeMap::new();
        for row in &found.rows {
            let node = &graph.nodes[row.node];
            let of_input = is_input(graph.inputs.as_slice(), node);
            if matches!(row.local, Local::Nothing) || (node.op == Op::Quantize && !of_input) {
                continue;
            }
            let sqnr = match (&row.local, of_input) {
                (_, true) => f64::NEG_INFINITY,
                (Local::Measured(stats), _) => stats.sqnr_db.unwrap_or(f64::INFINITY),
                _ => 0.0,
            };
            let entry = worst.entry(row.node).or_insert(sqnr);
            *entry = entry.min(sqnr);
        }
        let mut order: Vec<(usize, f64)> = worst.into_iter().collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        if let Asked::Top(most) = asked {
            order.truncate(most);
        }
        let mut nodes: Vec<usize> = order.into_iter().map(|(node, _)| node).collect();
        nodes.sort_unstable();
        let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for row in &found.rows {
            let node = &graph.nodes[row.node];
            if !matches!(row.local, Local::Nothing) && node.op != Op::Quantize {
                kinds.entry(node.op.name()).or_default().push(row.node);
            }
        }
        let kinds = kinds.into_iter().filter_map(|(name, mut nodes)| {
            nodes.dedup();
            let name = format!("all {} {name}", nodes.len());
            (nodes.len() > 1).then_some(Question { name, nodes })
        });
        let units = nodes.into_iter().map(|i| Question {
            name: match graph.nodes[i].op {
                Op::Quantize => "rounding of the input".into(),
                _ => graph.nodes[i].describe(),
            },
            nodes: vec![i],
        });
        Ok(Questions {
            task,
            matching,
            units: units.collect(),
            kinds: kinds.collect(),
            work,
        })
    }

    /// Name of what a node computes, in the float model.
    fn name(&self, node: usize) -> Option<String> {
        let id = self.task.quantized.nodes[node].outputs[0];
        let f = self.matching.float[id]?;
        Some(self.task.float.tensors[f].name.clone())
    }

    /// What the answers cost at most, for so many samples.
    pub fn cost(&self, samples: usize) -> Cost {
        let together = self.units.len().min(TOGETHER).saturating_sub(1);
        Cost {
            models: 2 + 2 * (self.units.len() + self.kinds.len() + together),
            samples: samples.min(most_samples(self.task)),
        }
    }

    /// Asks; `scores` is the output that holds the scores of classes, if any does, `progress` is told of each model.
    ///
    /// # Errors
    /// If the data cannot be read or the device fails.
    pub fn answer(
        &self,
        data: &mut DataSet,
        most: usize,
        scores: Option<usize>,
        mut progress: impl FnMut(),
    ) -> Result<AtOutputs, Error> {
        let task = self.task;
        let chosen = spread(data.len(), self.cost(most).samples);
        let inputs = read(data, &chosen)?;
        let accepted = |l: &crate::data::Labels| -> Vec<Vec<i64>> {
            chosen.iter().map(|&i| l.accepted(i).to_vec()).collect()
        };
        let labels = data.labels().map(accepted);
        let seat = |feeds| Seat {
            device: task.device,
            batch: task.batch,
            feeds,
        };
        let n = chosen.len();
        let (floats, reference) =
            Resident::new(seat(task.float_feeds), float(task), n, inputs.clone())?;
        progress();
        let whole = left_float(task, self.matching, &HashSet::new());
        let (quantized, base) = Resident::new(seat(task.feeds), whole, n, inputs)?;
        progress();
        let judge = Judge::new(reference, labels, scores, n);
        let base = judge.score(&base);
        let mut models = 2;
        let mut ask = |question: &Question| -> Result<AtOutput, Error> {
            let nodes: HashSet<usize> = question.nodes.iter().copied().collect();
            let graph = &task.quantized;
            let only = judge.score(&floats.results(alone(task, self.matching, &nodes))?);
            progress();
            models += 1;
            let can_be_left = !question
                .nodes
                .iter()
                .any(|&i| graph.nodes[i].op == Op::Quantize);
            let left = match can_be_left {
                true => {
                    let left = left_float(task, self.matching, &nodes);
                    models += 1;
                    Some(judge.score(&quantized.results(left)?))
                }
                false => None,
            };
            progress();
            Ok(AtOutput {
                name: question.name.clone(),
                float_names: question
                    .nodes
                    .iter()
                    .filter_map(|&i| self.name(i))
                    .collect(),
                op_indices: question
                    .nodes
                    .iter()
                    .map(|&i| graph.nodes[i].index)
                    .collect(),
                nodes: question.nodes.clone(),
                work: question.nodes.iter().map(|&i| self.work[i]).sum(),
                alone_loss: only.loss,
                left_float_gain: left.as_ref().map(|s| base.loss - s.loss),
                alone: only,
                left_float: left,
            })
        };
        let mut ops: Vec<AtOutput> = self.units.iter().map(&mut ask).collect::<Result<_, _>>()?;
        ops.sort_by(|a, b| harm(b).total_cmp(&harm(a)));
        let mut groups: Vec<AtOutput> =
            self.kinds.iter().map(&mut ask).collect::<Result<_, _>>()?;
        let worst: Vec<&AtOutput> = ops.iter().filter(|o| o.left_float.is_some()).collect();
        for count in 2..=worst.len().min(TOGETHER) {
            let mut nodes: Vec<usize> = worst[..count].iter().map(|o| o.nodes[0]).collect();
            nodes.sort_unstable();
            if groups.iter().any(|g| g.nodes == nodes) {
                continue;
            }
            let name = format!("the {count} worst together");
            groups.push(ask(&Question { name, nodes })?);
        }
        Ok(AtOutputs {
            samples: n,
            models,
            float: judge.score(&judge.reference),
            quantized: base,
            ops,
            groups,
        })
    }
}

/// The larger of both harms.
fn harm(o: &AtOutput) -> f64 {
    o.alone_loss.max(o.left_float_gain.unwrap_or(0.0))
}

/// Whether a node rounds an input of the model.
fn is_input(inputs: &[TensorId], node: &crate::graph::Node) -> bool {
    node.op == Op::Quantize && node.inputs[0].is_some_and(|id| inputs.contains(&id))
}

/// How many samples are kept at most.
pub(super) fn most_samples(task: Task<'_>) -> usize {
    let bytes = |g: &crate::graph::Graph| -> usize {
        let ids = g.inputs.iter().chain(&g.outputs);
        ids.map(|&id| g.elements(id) * 4).sum()
    };
    (KEPT_BYTES / (bytes(task.float) + bytes(task.quantized)).max(1)).max(1)
}

/// So many samples of all, evenly spread.
pub(super) fn spread(all: usize, most: usize) -> Vec<usize> {
    let n = most.min(all);
    (0..n).map(|i| i * all / n).collect()
}

/// Reads some samples.
pub(super) fn read(data: &mut DataSet, chosen: &[usize]) -> Result<Vec<Values>, Error> {
    data.rewind().map_err(stream::Error::Data)?;
    let mut all: Vec<Values> = Vec::new();
    stream::each(data, 64, |batch| {
        let wanted = chosen.iter().filter_map(|&i| i.checked_sub(batch.first));
        let wanted: Vec<usize> = wanted.filter(|&i| i < batch.samples).collect();
        for (k, values) in batch.inputs.iter().enumerate() {
            let size = values.len() / batch.samples * values.dtype().size();
            let rows = wanted
                .iter()
                .flat_map(|&i| &values.bytes()[i * size..][..size]);
            let rows: Vec<u8> = rows.copied().collect();
            let Some(rows) = Values::from_bytes(values.dtype(), &rows) else {
                continue;
            };
            match all.get_mut(k) {
                Some(all) => all.append(rows),
                None => all.push(rows),
            }
        }
        Ok::<(), Error>(())
    })?;
    Ok(all)
}

/// Scores results.
pub(super) struct Judge {
    reference: Vec<Vec<f32>>,
    labels: Option<Vec<Vec<i64>>>,
    scores: Option<usize>,
    samples: usize,
    /// Mean squared values of each output.
    signals: Vec<f64>,
}

impl Judge {
    pub(super) fn new(
        reference: Vec<Vec<f32>>,
        labels: Option<Vec<Vec<i64>>>,
        scores: Option<usize>,
        samples: usize,
    ) -> Judge {
        let squares = |v: &Vec<f32>| v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        Judge {
            signals: reference
                .iter()
                .map(|v| squares(v) / samples as f64)
                .collect(),
            reference,
            labels,
            scores,
            samples,
        }
    }

    pub(super) fn score(&self, results: &[Vec<f32>]) -> Score {
        let mut loss = 0.0;
        for ((reference, test), &signal) in self.reference.iter().zip(results).zip(&self.signals) {
            let n = (reference.len() / self.samples).max(1);
            for (r, t) in reference.chunks(n).zip(test.chunks(n)) {
                let square = |x: f32| f64::from(x) * f64::from(x);
                let own: f64 = r.iter().map(|&r| square(r)).sum();
                let noise: f64 = r.iter().zip(t).map(|(&r, &t)| square(t - r)).sum();
                let least = (LEAST_SIGNAL * signal).max(f64::MIN_POSITIVE);
                let ratio = noise / own.max(least);
                loss += if ratio < WORST { ratio } else { WORST };
            }
        }
        let outputs = self.reference.len().max(1) as f64;
        let highest = |results: &[Vec<f32>]| -> Option<Vec<usize>> {
            let v = results.get(self.scores?)?;
            let n = v.len() / self.samples;
            (n > 1).then(|| v.chunks(n).map(arg_max).collect())
        };
        let (of_float, of_test) = (highest(&self.reference), highest(results));
        let agreeing = of_float.zip(of_test.clone());
        let agreeing = agreeing.map(|(a, b)| a.iter().zip(&b).filter(|(a, b)| a == b).count());
        let correct = of_test.zip(self.labels.as_ref()).map(|(test, labels)| {
            let pairs = test.iter().zip(labels);
            let is_right = |(t, l): (&usize, &Vec<i64>)| l.contains(&(*t as i64));
            pairs.filter(|&(t, l)| is_right((t, l))).count()
        });
        Score {
            loss: loss / (outputs * self.samples as f64),
            agreeing,
            correct,
        }
    }
}
