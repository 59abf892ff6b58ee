//! Data set → device: a thread reads and decodes the next batches while the device works on the present one.

use crate::data::{self, DataSet, InputSpec};
use crate::graph::Graph;
use crate::kernel::{DeviceError, Feed};
use crate::num::Values;
use std::path::Path;
use std::sync::mpsc::sync_channel;

/// Batches decoded ahead of the device.
const AHEAD: usize = 2;

/// A failure on the way from the data to the device.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data does not suit the model.
    #[error("{0}")]
    Mismatch(String),
}

/// What the graph wants of each input.
pub fn inputs(graph: &Graph) -> Vec<InputSpec> {
    let spec = |&id: &usize| {
        let tensor = &graph.tensors[id];
        InputSpec {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            dtype: tensor.dtype,
        }
    };
    graph.inputs.iter().map(spec).collect()
}

/// Opens a data set for a graph and finds out how each of its arrays reaches its input.
///
/// # Errors
/// If the file cannot be read or does not fit the graph's inputs.
pub fn open(
    path: &Path,
    graph: &Graph,
    options: &data::Options,
) -> Result<(DataSet, Vec<Feed>), Error> {
    let set = DataSet::open(path, &inputs(graph), options)?;
    let feeds = graph
        .inputs
        .iter()
        .zip(set.arrays())
        .map(|(&id, array)| {
            let tensor = &graph.tensors[id];
            Feed::new(
                tensor.dtype,
                array.delivered,
                tensor.affine(),
                array.scale_offset,
            )
            .ok_or_else(|| {
                Error::Mismatch(format!(
                    "{}: array '{}' of type {} cannot feed {} of type {}",
                    path.display(),
                    array.array,
                    array.stored,
                    graph.describe(id),
                    tensor.dtype
                ))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok((set, feeds))
}

/// Samples ready for a device.
pub struct Batch {
    /// Index of the first sample in the data set.
    pub first: usize,
    /// How many.
    pub samples: usize,
    /// One array an input, as the data set delivers them; see [`Feed::apply`].
    pub inputs: Vec<Values>,
}

/// Calls `work` with every batch of at most `size` samples, in order, decoding ahead on a thread of its own.
///
/// # Errors
/// The first failure of the data or of `work`.
pub fn each<E: From<Error> + Send>(
    set: &mut DataSet,
    size: usize,
    mut work: impl FnMut(Batch) -> Result<(), E>,
) -> Result<(), E> {
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for batch in set.batches(size) {
                let failed = batch.is_err();
                // The receiver is gone when `work` has failed: nobody wants the rest.
                if sender.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        // Owned by the loop, so that leaving it early drops the receiver and lets the thread end.
        for batch in receiver {
            let batch = batch.map_err(|e| E::from(Error::Data(e)))?;
            work(Batch {
                first: batch.first,
                samples: batch.samples,
                inputs: batch.inputs,
            })?;
        }
        Ok(())
    })
}

/// Applies each input's feed on the host.
pub fn feed(feeds: &[Feed], inputs: Vec<Values>) -> Vec<Values> {
    feeds
        .iter()
        .zip(inputs)
        .map(|(feed, values)| feed.apply(values))
        .collect()
}
