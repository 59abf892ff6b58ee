//! Statistics of the float model over a representative data set.
//!
//! Minimum and maximum are exact and do not depend on order, batch size or threads: NaN and infinities are errors, and
//! every sample starts with fresh state.

use crate::data::DataSet;
use crate::kernel::{Device, Feed, Keep, Program, Range, SessionConfig, Statistics};
use crate::stream::{self, Error};

/// What was seen.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Calibration {
    /// Samples seen.
    pub samples: usize,
    /// Range of every float tensor, by tensor number; `None` where nothing was computed.
    pub ranges: Vec<Option<Range>>,
}

/// Runs the program over the data set and gathers the range of every float activation; `progress` is told how many
/// samples are done after each batch.
///
/// # Errors
/// If data or device fail, or a tensor is not finite.
pub fn min_max(
    device: &dyn Device,
    program: &Program,
    data: &mut DataSet,
    feeds: Vec<Feed>,
    batch: Option<usize>,
    mut progress: impl FnMut(usize),
) -> Result<Calibration, Error> {
    let config = SessionConfig {
        batch,
        keep: Keep::Nothing,
        statistics: Statistics::Ranges,
        profile: false,
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
    Ok(Calibration {
        samples,
        ranges: session.ranges()?,
    })
}
