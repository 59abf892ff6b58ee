//! `auto`: ranges chosen by what they do to the outputs.
//!
//! No rule from ranges to scales serves all models, so candidates are tried: each makes a quantized model, the integer
//! simulation runs it over samples that had no part in proposing it, and its outputs are held against those of the float
//! model. In the order in which things happen:
//!
//! 1. `gather`: one pass over the data. Three of four samples propose: their statistics are what methods see. The fourth is
//!    held back to judge: its inputs and float outputs are kept.
//! 2. `judge`: a candidate's score, in decibels for each sample that was held back.
//! 3. `search`: which candidates are tried in which order, and which are kept.
//!
//! `kernel::prefix` spares candidates what they have in common with the best so far.
//!
//! The score of a sample is −10 · log₁₀(e + ε), e the squared error of an output over its squared values, and the mean of
//! that over outputs. The logarithm keeps a single sample with huge values from outvoting all others, as one does where
//! logits reach from −30680 to 2.6. ε says where there is nothing left to gain: at 50 dB, and at 25 dB for probabilities,
//! which end in a decision, so that the samples that are bad count. Labels would add little: they say which of two outputs
//! is right, the float model says how far each is off.
//!
//! **Jointly.** Ranges interact: what one tensor clips, the next need not hold. So candidates change many tensors at once:
//! all, then halves of the model in execution order, kinds of operators, quarters and so on down to single tensors.
//!
//! **Racing.** A candidate meets the held samples in parts of an eighth, an eighth, a quarter and a half. After an eighth it
//! may be a standard error behind what it has to gain on the same samples, after a quarter two thirds of one, after half of
//! them nothing; else it is dropped. So most candidates cost an eighth.
//!
//! **Against chance.** A change is kept if it gains 0.05 dB on average, and half a standard error if it is one of the few
//! that concern all tensors, one and a half if it is one of the many that concern a group. What was found is proposed anew
//! by the statistics of all samples, and that is taken unless it is more than 0.1 dB worse.
//!
//! **The same every time.** Which samples judge, the order of candidates and the budget depend on the model and the number
//! of samples alone, never on time.

mod gather;
mod judge;
mod search;

use crate::data::DataSet;
use crate::graph::{self, Graph};
use crate::kernel::{Device, DeviceError, Feed, Program, Range};
use crate::model::Model;
use crate::num::Histogram;
use crate::quantize::{self, Options};
use crate::stream;
use std::ops::ControlFlow;

/// What is to be quantized, and with what.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The float model, without what is known beforehand.
    pub float: &'a Model,
    /// Its graph.
    pub graph: &'a Graph,
    /// The same, prepared.
    pub program: &'a Program,
    /// What is wanted. Nodes with a method of their own keep it.
    pub options: &'a Options,
    /// Whether weights are to get their scales as the options say, whatever other ways might gain.
    pub fixed_weights: bool,
    /// Where to compute.
    pub device: &'a dyn Device,
    /// Samples at once; chosen from memory where `None`.
    pub batch: Option<usize>,
    /// How long to search.
    pub effort: Effort,
}

/// How long to search, in runs of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// As long as a calibration: every method for all tensors.
    Short,
    /// Three times that: groups of tensors as well.
    Usual,
    /// Thirty times.
    Long,
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// So many samples were seen.
    Calibrated(usize),
    /// So much of the budget was spent, of so much; decibels gained so far.
    Judged(usize, usize, f64),
}

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    /// Samples of the data.
    pub samples: usize,
    /// What was seen of all of them, by tensor.
    pub ranges: Vec<Option<Range>>,
    /// The same as histograms.
    pub histograms: Vec<Option<Histogram>>,
    /// What is wanted, with ranges, weights and correction as they were found.
    pub options: Options,
    /// How it went.
    pub search: Search,
}

/// How a search went.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Search {
    /// Samples that judged.
    pub judged_on: usize,
    /// Candidates that were tried.
    pub candidates: usize,
    /// Score of minimum and maximum, in dB.
    pub before: f64,
    /// Score of what was found, in dB.
    pub after: f64,
    /// What was kept, in order.
    pub steps: Vec<Step>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// A change that was kept.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Step {
    /// What it is.
    pub what: String,
    /// What it brought, in dB.
    pub gain: f64,
}

/// A failure of the search.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Data or device.
    #[error(transparent)]
    Stream(#[from] stream::Error),
    /// A candidate cannot be made.
    #[error(transparent)]
    Quantize(#[from] quantize::Error),
    /// A candidate cannot be run.
    #[error(transparent)]
    Graph(#[from] graph::Error),
}

impl From<DeviceError> for Error {
    fn from(error: DeviceError) -> Error {
        Error::Stream(error.into())
    }
}

/// Gathers statistics and finds ranges. `event` is told how far it is; if it breaks, the best so far is what was found.
///
/// # Errors
/// If data or device fail, a tensor is not finite, or the model cannot be quantized as it is wanted.
pub fn tune(
    task: Task<'_>,
    data: &mut DataSet,
    feeds: Vec<Feed>,
    event: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Outcome, Error> {
    let gathered = gather::gather(task, data, feeds, event)?;
    let (options, search) = search::search(task, &gathered, event)?;
    Ok(Outcome {
        samples: gathered.samples,
        ranges: gathered.all.ranges,
        histograms: gathered.all.histograms,
        options,
        search,
    })
}
