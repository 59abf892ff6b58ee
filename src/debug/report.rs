//! Everything that a debug run found, as data: what is written as JSON, and what text and page are made of.

use super::{AtOutputs, ErrorStats, Extremes};
use crate::graph::TensorId;
use crate::num::{Affine, DType};
use serde::Serialize;

/// Version of the JSON form: it grows with every change that could break a reader.
pub const SCHEMA_VERSION: u32 = 1;

/// A debug run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The float model's file.
    pub float: String,
    /// The quantized model's file.
    pub quantized: String,
    /// Where it ran.
    pub device: String,
    /// Samples of the pass over all tensors.
    pub samples: usize,
    /// What it comes to, in a few sentences; the first is the verdict.
    pub verdict: Vec<String>,
    /// Every tensor of the quantized model that has a counterpart, in the order of execution.
    pub ops: Vec<OpReport>,
    /// The model's outputs.
    pub outputs: Vec<OutputReport>,
    /// Decisions of classifiers; none if no output has several scores.
    pub decisions: Option<Decisions>,
    /// What each operator does to the outputs; none if that was not asked.
    pub at_output: Option<AtOutputs>,
    /// Where errors come from.
    pub waterfalls: Vec<Waterfall>,
    /// Run-time scales of operators with int8 weights and float activations.
    pub hybrid: Vec<HybridScales>,
    /// Operators of the quantized model of which the float one has no counterpart.
    pub unmatched: Vec<String>,
    /// How another rounding of the integers would do; none if that was not asked.
    pub numerics: Option<NumericsReport>,
}

/// One tensor and the operator that computes it.
#[derive(Clone, Debug, Serialize)]
pub struct OpReport {
    /// Index of the operator in the quantized file.
    pub op_index: usize,
    /// Name of the operator.
    pub op_name: String,
    /// Number of the tensor in the quantized file.
    pub tensor: TensorId,
    /// Its name.
    pub tensor_name: String,
    /// Numbers of the tensors that the operator reads and that are computed or fed.
    pub reads: Vec<TensorId>,
    /// Number of the tensor in the float file.
    pub float_tensor: TensorId,
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// Type.
    pub dtype: DType,
    /// Scale and zero point of an integer tensor.
    pub affine: Option<Affine>,
    /// What becomes of the operator: `int8`, `int16x8`, `dynamic`, `float`.
    pub scheme: &'static str,
    /// What the operator itself adds; none if the float operators between these tensors could not be found.
    pub local: Option<ErrorStats>,
    /// What has come together up to here.
    pub cumulative: ErrorStats,
    /// What its quantization does to the outputs, if it was asked about.
    pub at_output: Option<OpAtOutput>,
    /// What the rules about integers say.
    pub health: Vec<Health>,
    /// Elements by code, −128 … 127, of an 8-bit tensor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<u64>,
    /// Shares of the elements at the lowest and at the highest code.
    pub at_ends: [f64; 2],
    /// Which samples set the ends of the float tensor's range.
    pub extremes: Option<Extremes>,
    /// Of an LSTM: mean squared local error by time step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_time: Vec<f64>,
    /// Of an LSTM: what the rounding of each gate's weights adds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_gate: Vec<Part>,
}

/// The two figures of [`AtOutputs`] for one operator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OpAtOutput {
    /// Loss where only this operator is quantized.
    pub alone_loss: f64,
    /// What is won back where only this operator is left float.
    pub left_float_gain: Option<f64>,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Note,
    /// It costs accuracy.
    Warning,
    /// It costs much, or is wrong.
    Bad,
}

/// What a rule says about an operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// Name of the rule, as `clamped`.
    pub rule: &'static str,
    /// How bad.
    pub level: Level,
    /// What was found, with figures.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

/// An output of the model.
#[derive(Clone, Debug, Serialize)]
pub struct OutputReport {
    /// Its name in the quantized file.
    pub name: String,
    /// Figures over all samples.
    #[serde(flatten)]
    pub figures: crate::evaluate::Figures,
}

/// What a classifier decides.
#[derive(Clone, Debug, Serialize)]
pub struct Decisions {
    /// The output with the scores.
    pub output: usize,
    /// Classes.
    pub classes: usize,
    /// Samples whose class is the float model's.
    pub agreeing: usize,
    /// Samples with the right class, by the float model and by the quantized one; none without labels.
    pub correct: Option<[usize; 2]>,
    /// Confusion of the float and of the quantized model, `[label][class]`; none without labels or for many classes.
    pub confusion: Option<[Vec<Vec<u64>>; 2]>,
    /// Samples that flip, those with the largest margin first; at most [`MOST_FLIPS`](super::MOST_FLIPS).
    pub flips: Vec<Flip>,
}

/// A sample whose class changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    /// Number of the sample.
    pub sample: usize,
    /// Class of the float model.
    pub float_class: usize,
    /// Class of the quantized model.
    pub quantized_class: usize,
    /// Classes that are right.
    pub labels: Vec<i64>,
    /// By how much the float model's class is ahead of the next in its scores.
    pub float_margin: f64,
    /// The same in the quantized model.
    pub quantized_margin: f64,
    /// The first tensor where the paths part: its error is far larger than its usual one. Index into [`Report::ops`].
    pub parts_at: Option<usize>,
}

/// Where an error comes from: what it would be less if one source were not there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Waterfall {
    /// The whole model, or an operator.
    pub name: String,
    /// Index of the operator; none for the whole model.
    pub op_index: Option<usize>,
    /// Of what: the loss at the outputs, or the mean squared error of the operator's output.
    pub measure: &'static str,
    /// The error with all sources.
    pub whole: f64,
    /// What each source adds: the whole less the error without it.
    pub parts: Vec<Part>,
    /// The whole less all parts: what sources do together, or take from each other.
    pub interaction: f64,
}

/// A share of an error.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// Its source.
    pub source: String,
    /// How much.
    pub error: f64,
}

/// Scales that a hybrid operator made for rows of floats as it ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HybridScales {
    /// Index of the operator.
    pub op_index: usize,
    /// Name of the operator.
    pub op_name: String,
    /// Name of its output.
    pub tensor_name: String,
    /// Rows that were quantized.
    pub rows: u64,
    /// Smallest scale.
    pub smallest: f64,
    /// Half of the rows have a smaller scale.
    pub median: f64,
    /// Largest scale.
    pub largest: f64,
}

/// How the model would do with integers rounded in another way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NumericsReport {
    /// The rounding.
    pub numerics: String,
    /// Integers compared, of all outputs of operators.
    pub codes: u64,
    /// Integers that differ.
    pub differing_codes: u64,
    /// Samples compared.
    pub samples: u64,
    /// Samples whose class differs; none if no output has several scores.
    pub differing_predictions: Option<u64>,
}
