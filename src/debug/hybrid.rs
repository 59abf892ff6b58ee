//! The scales that rows of floats get as a model of dynamic range runs.
//!
//! An operator with int8 weights and float activations quantizes what it reads a row at a time: an image of a convolution, a
//! vector of FULLY_CONNECTED, a step of an LSTM. A row with one large value has a large scale, and all its other values are
//! rounded to that. The rows' scales are tensors between the operator's kernels (`kernel/hybrid.rs`), which are read here as if
//! they were outputs; so all figures are exact, on any device. A row of zeros has the scale 1, and counts like any other.
//!
//! An LSTM quantizes its hidden state, too, in the kernel that makes it, a step at a time. These scales are in no tensor, so they
//! are not among the figures.

use super::{Error, HybridScales, Task};
use crate::data::DataSet;
use crate::graph::TensorId;
use crate::kernel::{Keep, Kernel, SessionConfig, Statistics, prepare};
use crate::num::Values;
use crate::stream;

/// Runs the quantized model over all samples; one entry for each operator that quantizes rows. `progress` is told the number of
/// samples done at once.
///
/// # Errors
/// If the data cannot be read or the device fails.
pub fn hybrid_scales(
    task: Task<'_>,
    data: &mut DataSet,
    mut progress: impl FnMut(usize) + Send,
) -> Result<Vec<HybridScales>, Error> {
    let mut program = prepare(task.quantized.clone())?;
    let steps = program.steps.iter().enumerate();
    // Of the two tensors that such a step writes the second has the scales.
    let found: Vec<(usize, TensorId)> = steps
        .filter(|(_, step)| matches!(step.kernel, Kernel::RowQuantize(_)))
        .filter_map(|(i, step)| Some((i, *step.outputs.get(1)?)))
        .collect();
    let Some(&(last, _)) = found.last() else {
        return Ok(Vec::new());
    };
    let nodes: Vec<usize> = found.iter().map(|&(i, _)| program.steps[i].node).collect();
    program.graph.outputs = found.iter().map(|&(_, id)| id).collect();
    // Nobody asks for what comes behind.
    program.steps.truncate(last + 1);
    let config = SessionConfig {
        batch: task.batch,
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: task.feeds.to_vec(),
    };
    let mut session = task.device.session(&program, &config)?;
    let mut scales: Vec<Vec<f32>> = vec![Vec::new(); found.len()];
    data.rewind().map_err(stream::Error::Data)?;
    stream::each(data, session.batch(), |batch| {
        session.run(batch.samples, &stream::feed(task.feeds, batch.inputs))?;
        for (scales, &(_, id)) in scales.iter_mut().zip(&found) {
            if let Values::F32(values) = session.read(id)? {
                scales.extend(values);
            }
        }
        progress(batch.samples);
        Ok::<(), Error>(())
    })?;
    let graph = task.quantized;
    let one = |(position, mut scales): (usize, Vec<f32>)| {
        let node = &graph.nodes[position];
        scales.sort_unstable_by(f32::total_cmp);
        let at = |i: usize| scales.get(i).map_or(0.0, |&x| f64::from(x));
        HybridScales {
            op_index: node.index,
            op_name: node.op.name().into(),
            tensor_name: graph.tensors[node.outputs[0]].name.clone(),
            rows: scales.len() as u64,
            smallest: at(0),
            median: at(scales.len() / 2),
            largest: at(scales.len().saturating_sub(1)),
        }
    };
    Ok(nodes.into_iter().zip(scales).map(one).collect())
}
