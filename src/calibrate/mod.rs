//! Statistics of the float model over a representative data set.
//!
//! Ranges and histograms are exact and do not depend on order, batch size or threads: NaN and infinities are errors,
//! and every sample starts with fresh state.

mod channels;
mod file;
mod named;
mod samples;
mod source;

pub use channels::{Channel, each_channel};
pub use file::{FileError, ModelIdentity, StatisticsFile, TensorStatistics};
pub use named::{Named, export_ranges, import_ranges};
pub use samples::{Part, Samples, each_sample, each_tensor, moving_average, seen_by_sample};
pub use source::{ArraySource, Source};

use crate::data::DataSet;
use crate::kernel::{Device, Feed, Keep, Profile, Program, Range, SessionConfig, Statistics};
use crate::num::Histogram;
use crate::stream::{self, Error};

/// What was seen.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Calibration {
    /// Samples seen.
    pub samples: usize,
    /// Range of every float tensor, by tensor number; `None` where nothing was computed.
    pub ranges: Vec<Option<Range>>,
    /// Histogram of every float tensor, by tensor number; empty if they were not asked for.
    pub histograms: Vec<Option<Histogram>>,
    /// Where the time went, if that was asked for.
    pub profile: Option<Profile>,
}

/// What to gather and how.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Samples at once; chosen from memory where `None`.
    pub batch: Option<usize>,
    /// Ranges, or histograms as well.
    pub statistics: Statistics,
    /// Whether to measure the time of every step.
    pub profile: bool,
}

/// Runs the program over the data set and gathers the range of every float activation, and nothing else.
///
/// # Errors
/// As [`gather`].
pub fn min_max(
    device: &dyn Device,
    program: &Program,
    data: &mut DataSet,
    feeds: Vec<Feed>,
    batch: Option<usize>,
    progress: impl FnMut(usize),
) -> Result<Calibration, Error> {
    let options = Options {
        batch,
        statistics: Statistics::Ranges,
        profile: false,
    };
    gather(device, program, data, feeds, options, progress)
}

/// Runs the program over the data set and gathers statistics of every float activation; `progress` is told how many
/// samples are done after each batch.
///
/// # Errors
/// If data or device fail, or a tensor is not finite.
pub fn gather(
    device: &dyn Device,
    program: &Program,
    data: &mut DataSet,
    feeds: Vec<Feed>,
    options: Options,
    mut progress: impl FnMut(usize),
) -> Result<Calibration, Error> {
    let config = SessionConfig {
        batch: options.batch,
        keep: Keep::Nothing,
        statistics: options.statistics,
        profile: options.profile,
        feeds: feeds.clone(),
    };
    let mut session = device.session(program, &config)?;
    let mut samples = 0;
    stream::each(data, session.batch(), |batch| {
        session.run(batch.samples, &stream::feed(&feeds, batch.inputs))?;
        samples += batch.samples;
        progress(samples);
        Ok::<(), Error>(())
    })?;
    // Ranges first: they tell of what is not finite.
    let ranges = session.ranges()?;
    let histograms = match options.statistics {
        Statistics::Histograms => session.histograms()?,
        _ => Vec::new(),
    };
    let profile = options.profile.then(|| session.profile()).transpose()?;
    Ok(Calibration {
        samples,
        ranges,
        histograms,
        profile,
    })
}
