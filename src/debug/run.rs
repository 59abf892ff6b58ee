//! All questions, one after another, and the report that is made of the answers.

use super::at_output::{Asked, Questions};
use super::errors::{Row, errors};
use super::health::health;
use super::report::{OpAtOutput, OpReport, OutputReport, Report, SCHEMA_VERSION};
use super::samples::Samples;
use super::verdict::verdict;
use super::{Error, Matching, Task};
use crate::data::DataSet;
use crate::evaluate::Distance;
use crate::graph::{Graph, Node, Op};
use crate::num::DType;

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

/// Something that happens on the way.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// So many samples went through the pass over all tensors.
    Samples(usize),
    /// Models will be run to learn what operators do to the outputs.
    Models {
        /// How many, at most.
        models: usize,
        /// Samples of each.
        samples: usize,
    },
    /// Another model was run.
    Model,
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
    mut event: impl FnMut(Event) + Send,
) -> Result<Report, Error> {
    let quantized = task.quantized;
    let results = quantized.results();
    let classes = results
        .get(wanted.scores)
        .map_or(0, |&id| quantized.elements(id));
    let labels = data.labels().cloned();
    let mut samples = Samples::new(
        wanted.scores,
        classes,
        labels.as_ref(),
        super::errors::rows(task, matching),
    );
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
        Ok(())
    };
    let found = errors(task, matching, data, see, |n| event(Event::Samples(n)))?;
    let decisions = samples.finish();
    let at_output = match wanted.at_output {
        Some(asked) => {
            let questions = Questions::new(task, matching, &found, asked)?;
            let cost = questions.cost(wanted.samples.min(data.len()));
            event(Event::Models {
                models: cost.models,
                samples: cost.samples,
            });
            Some(questions.answer(data, cost.samples, wanted.scores, || event(Event::Model))?)
        }
        None => None,
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
            op(quantized, row, answer)
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
        decisions,
        at_output,
        waterfalls: Vec::new(),
        hybrid: Vec::new(),
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
