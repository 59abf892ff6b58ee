//! All questions, one after another, and the report that is made of the answers.

use super::at_output::{Asked, AtOutputs, Questions};
use super::errors::{Row, errors};
use super::gates::gates;
use super::health::health;
use super::hybrid::hybrid_scales;
use super::report::{MetricReport, OpAtOutput, OpReport, OutputReport, Report, SCHEMA_VERSION};
use super::samples::{Samples, decides};
use super::verdict::verdict;
use super::waterfall::{waterfall, waterfall_cost};
use super::{Error, Matching, Task};
use crate::data::DataSet;
use crate::evaluate::{Distance, Metric};
use crate::graph::{Graph, Node, Op};
use crate::num::DType;

/// Operators with a waterfall of their own.
const WATERFALLS: usize = 5;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Of which operators to learn what they do to the outputs; none for no operator.
    pub at_output: Option<Asked>,
    /// Samples for that, at most.
    pub samples: usize,
    /// The output with the scores of classes.
    pub scores: usize,
}

/// A metric of both models: one of [`evaluate::METRICS`](crate::evaluate::METRICS), or your own.
pub struct Watched {
    /// Scores the float model against itself.
    pub float: Box<dyn Metric>,
    /// Scores the quantized model against the float one.
    pub quantized: Box<dyn Metric>,
}

/// Something that happens on the way.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// So many samples went through the pass over all tensors.
    Samples(usize),
    /// Models will be run to learn what operators do to the outputs.
    Models {
        /// What for.
        what: &'static str,
        /// How many, at most.
        models: usize,
        /// Samples of each.
        samples: usize,
    },
    /// Another model was run.
    Model,
    /// So many samples went through another pass, about LSTMs or scales that are made as the model runs.
    More(usize),
}

/// Answers everything that is asked about two models.
///
/// # Errors
/// If the data cannot be read or the device fails.
pub fn debug(
    task: Task<'_>,
    matching: &Matching,
    data: &mut DataSet,
    wanted: Wanted,
    mut metrics: Vec<Watched>,
    mut event: impl FnMut(Event) + Send,
) -> Result<Report, Error> {
    let quantized = task.quantized;
    let results = quantized.results();
    let scores = results
        .get(wanted.scores)
        .filter(|&&id| decides(quantized, id));
    let classes = scores.map_or(0, |&id| quantized.elements(id));
    let decisive = scores.map(|_| wanted.scores);
    let labels = data.labels().cloned();
    let mut samples = Samples::new(wanted.scores, classes, labels.as_ref());
    let mut distances: Vec<Distance> = results.iter().map(|_| Distance::new()).collect();
    let see = |seen: super::errors::Seen<'_>| {
        for (distance, (float, test)) in distances
            .iter_mut()
            .zip(seen.float.iter().zip(seen.quantized))
        {
            // What is not a number is counted with its tensor.
            let finite = |v: &[f32]| v.iter().all(|x| x.is_finite());
            if finite(float) && finite(test) {
                distance.add(float, test)?;
            }
        }
        samples.see(&seen);
        let of_sample = labels.as_ref().map_or(&[][..], |l| l.accepted(seen.sample));
        if let (Some(float), Some(test)) = (
            seen.float.get(wanted.scores),
            seen.quantized.get(wanted.scores),
        ) {
            for watched in &mut metrics {
                watched.float.add(of_sample, float, float)?;
                watched.quantized.add(of_sample, float, test)?;
            }
        }
        Ok(())
    };
    // What takes time of its own comes with what takes passes of its own.
    let deep = wanted.at_output.is_some();
    let found = errors(task, matching, data, deep, see, |n| {
        event(Event::Samples(n));
    })?;
    let decisions = samples.finish();
    let at_output = match wanted.at_output {
        Some(asked) => {
            let questions = Questions::new(task, matching, &found, asked)?;
            let cost = questions.cost(wanted.samples.min(data.len()));
            event(Event::Models {
                what: "at the outputs",
                models: cost.models,
                samples: cost.samples,
            });
            Some(questions.answer(data, cost.samples, decisive, || event(Event::Model))?)
        }
        None => None,
    };
    // What takes passes of its own comes with what does.
    let (gates, hybrid) = match at_output {
        Some(_) => (
            gates(task, matching, data, |n| event(Event::More(n)))?,
            hybrid_scales(task, data, |n| event(Event::More(n)))?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    let waterfalls = match &at_output {
        Some(answers) => {
            let chosen = chosen(answers, matching, quantized);
            let samples = answers.samples;
            let cost = waterfall_cost(task, samples, chosen.len());
            event(Event::Models {
                what: "sources of errors",
                models: cost.models,
                samples: cost.samples,
            });
            waterfall(task, matching, data, samples, &chosen, || {
                event(Event::Model);
            })?
        }
        None => Vec::new(),
    };
    let outputs = results
        .iter()
        .zip(&distances)
        .filter_map(|(&id, distance)| {
            Some(OutputReport {
                name: quantized.tensors[id].name.clone(),
                figures: distance.figures().ok()?,
            })
        });
    let ops: Vec<OpReport> = found
        .rows
        .into_iter()
        .map(|row| {
            let asked = at_output.iter().flat_map(|a| &a.ops);
            let answer = asked.clone().find(|o| o.nodes == [row.node]);
            let answer = answer.map(|o| OpAtOutput {
                alone_loss: o.alone_loss,
                left_float_gain: o.left_float_gain,
            });
            let mut op = op(quantized, row, answer);
            if let Some(of) = gates.iter().find(|g| g.tensor == op.tensor) {
                op.by_gate.clone_from(&of.by_gate);
            }
            op
        })
        .collect();
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        float: task.float.file.clone(),
        quantized: quantized.file.clone(),
        device: task.device.name(),
        samples: found.samples,
        verdict: Vec::new(),
        ops,
        outputs: outputs.collect(),
        metrics: metrics
            .iter()
            .map(|w| MetricReport {
                name: w.quantized.name().to_owned(),
                float: w.float.value(),
                quantized: w.quantized.value(),
            })
            .collect(),
        decisions,
        at_output,
        waterfalls,
        hybrid,
        unmatched: matching
            .unknown
            .iter()
            .map(|&i| quantized.nodes[i].describe())
            .collect(),
        numerics: None,
    };
    report.verdict = verdict(&report, quantized);
    Ok(report)
}

/// Operators with a waterfall of their own: those that harm the outputs most.
fn chosen(answers: &AtOutputs, matching: &Matching, graph: &Graph) -> Vec<usize> {
    let straight = |&i: &usize| {
        let node = &graph.nodes[i];
        let mut ids = node.inputs.iter().flatten().chain(&node.outputs);
        node.op != Op::Quantize && !ids.any(|id| matching.turned.contains_key(id))
    };
    let nodes = answers.ops.iter().map(|o| o.nodes[0]);
    nodes.filter(straight).take(WATERFALLS).collect()
}

fn op(graph: &Graph, row: Row, at_output: Option<OpAtOutput>) -> OpReport {
    let node = &graph.nodes[row.node];
    let share = |n: u64| n as f64 / row.elements.max(1) as f64;
    let reads = node.inputs.iter().flatten().copied();
    OpReport {
        op_index: row.op_index,
        reads: reads
            .filter(|&id| graph.is_activation(id) && !graph.tensors[id].variable)
            .collect(),
        shape: graph.tensors[row.tensor].shape.clone(),
        scheme: scheme(graph, node),
        health: health(graph, node, &row),
        at_ends: row.at_ends.map(share),
        op_name: row.op_name,
        tensor: row.tensor,
        tensor_name: row.tensor_name,
        float_tensor: row.float_tensor,
        dtype: row.dtype,
        affine: row.affine,
        local: row
            .local
            .into_stats(row.cumulative.num_elements, row.affine.is_some()),
        cumulative: row.cumulative,
        at_output,
        codes: row.codes,
        extremes: row.extremes,
        by_time: row.by_time,
        by_gate: Vec::new(),
    }
}

/// What an operator became.
fn scheme(graph: &Graph, node: &Node) -> &'static str {
    let is = |id: usize, dtype: DType| graph.tensors[id].dtype == dtype;
    let integer_weights = node
        .inputs
        .iter()
        .flatten()
        .any(|&id| graph.tensors[id].constant.is_some() && is(id, DType::I8));
    match (graph.tensors[node.outputs[0]].dtype, &node.op) {
        (DType::I8, _) => "int8",
        (DType::I16, Op::Quantize) => "int16",
        (DType::I16, _) => "int16x8",
        (DType::F32, _) if integer_weights => "dynamic",
        _ => "float",
    }
}
