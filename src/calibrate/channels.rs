//! Minimum, maximum and mean of every channel of the activations: of each index of a tensor's last dimension.
//!
//! As in [`super::samples`], from which this takes its values, states are left out. Minima and maxima are exact. A mean is
//! a sum in double, value after value in the order of the data, so that it depends on the order but not on the batch.

use super::samples::{each_tensor, seen_by_sample};
use crate::data::DataSet;
use crate::kernel::{Device, Feed, Program, Range};
use crate::stream::Error;

/// Most bytes of the statistics of all channels: more is refused.
const MOST_BYTES: usize = 1 << 30;

/// What was seen of a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// Smallest and largest value.
    pub range: Range,
    /// Mean of all values.
    pub mean: f64,
}

/// Runs the program over the whole data set, which stands at its first sample; by tensor number, empty of what is not
/// looked at. A tensor without dimensions has one channel. `batch` and `progress` as for [`each_tensor`].
///
/// # Errors
/// As [`each_tensor`], and if the channels would take more than 1 GiB.
pub fn each_channel(
    device: &dyn Device,
    program: &Program,
    data: &mut DataSet,
    feeds: &[Feed],
    batch: Option<usize>,
    progress: impl FnMut(usize),
) -> Result<Vec<Vec<Channel>>, Error> {
    let graph = &program.graph;
    let width = |id: usize| graph.tensors[id].shape.last().copied().unwrap_or(1);
    let seen = seen_by_sample(program);
    let all: usize = seen.iter().map(|&id| width(id)).sum();
    if all.saturating_mul(size_of::<Channel>()) > MOST_BYTES {
        return Err(Error::Mismatch(format!(
            "{}: the statistics of {all} channels take more than {} MiB; leave out --per-channel",
            graph.file,
            MOST_BYTES >> 20
        )));
    }
    let nothing = Channel {
        range: Range::EMPTY,
        mean: 0.0,
    };
    let mut channels = vec![Vec::new(); graph.tensors.len()];
    for &id in &seen {
        channels[id] = vec![nothing; width(id)];
    }
    let samples = data.len();
    each_tensor(device, program, data, feeds, batch, progress, |part| {
        let channels: &mut Vec<Channel> = &mut channels[part.tensor];
        for pixel in part.values.chunks_exact(channels.len()) {
            for (channel, &x) in channels.iter_mut().zip(pixel) {
                // −0 as +0.
                let (min, max) = (x + 0.0, x + 0.0);
                channel.range = channel.range.merge(Range { min, max });
                channel.mean += f64::from(x);
            }
        }
    })?;
    for &id in &seen {
        let n = samples * graph.elements(id) / width(id);
        for channel in &mut channels[id] {
            channel.mean /= n as f64;
        }
    }
    Ok(channels)
}
