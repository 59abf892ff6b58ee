//! Which operator of a quantized model costs how much, and why.
//!
//! - [`matching()`] finds what each tensor of the quantized model is in the float one.
//! - [`errors()`] runs both over the data at once, with every float operator a second time on the inputs of the quantized one,
//!   and measures what each operator adds (*local*) and what has come together (*cumulative*).
//! - [`Questions`] asks what each operator does to the outputs.
//! - [`waterfall()`] tells where errors come from, [`gates()`] which gate of an LSTM, and [`hybrid_scales()`] what scales rows
//!   of floats get as a model runs.
//!
//! The model that is analysed is the one that was given: nothing is quantized anew.

mod at_output;
mod errors;
mod gates;
mod health;
mod hybrid;
mod matching;
mod numerics;
mod report;
mod resident;
mod run;
mod samples;
mod simulate;
mod swap;
mod tally;
mod verdict;
mod waterfall;
mod weave;

pub use at_output::{Asked, AtOutput, AtOutputs, Cost, Questions, Score};
pub use errors::{Findings, Local, Row, errors};
pub use gates::{Gates, gates};
pub use hybrid::hybrid_scales;
pub use matching::{Matching, matching};
pub use numerics::numerics;
pub use report::{
    Decisions, Flip, Health, HybridScales, Level, NumericsReport, OpAtOutput, OpReport,
    OutputReport, Part, Report, SCHEMA_VERSION, Waterfall,
};
pub use run::{Event, Wanted, debug};
pub use tally::{Channel, ErrorStats, Extremes};
pub use waterfall::{LOSS, LOSS_ALONE, SOURCES, SQUARED_ERROR, waterfall, waterfall_cost};

use crate::graph::Graph;
use crate::kernel::{Device, DeviceError, Feed};
use crate::{evaluate, graph, stream};

/// What is compared, and where it runs.
#[derive(Clone, Copy)]
pub struct Task<'a> {
    /// The float model.
    pub float: &'a Graph,
    /// The quantized one.
    pub quantized: &'a Graph,
    /// How data reaches the inputs of the float model.
    pub float_feeds: &'a [Feed],
    /// How the same data reaches those of the quantized one.
    pub feeds: &'a [Feed],
    /// Where to compute.
    pub device: &'a dyn Device,
    /// Samples at once; chosen from memory where `None`.
    pub batch: Option<usize>,
}

/// Most samples that flip and are listed.
pub const MOST_FLIPS: usize = 200;

/// Why models could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// They are not forms of one model.
    #[error("{0}")]
    Different(String),
    /// A graph woven of both cannot be run.
    #[error(transparent)]
    Graph(#[from] graph::Error),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data.
    #[error(transparent)]
    Stream(#[from] stream::Error),
    /// Outputs that have no distance.
    #[error(transparent)]
    Evaluate(#[from] evaluate::Error),
}
