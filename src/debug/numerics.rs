//! How far two ways to round integers are apart on one model.

use super::Error;
use super::report::NumericsReport;
use super::samples::decides;
use crate::data::DataSet;
use crate::evaluate::{Equality, arg_max};
use crate::graph::{Graph, TensorId};
use crate::kernel::{Device, Feed, Keep, SessionConfig, Statistics, prepare};
use crate::num::{DType, Values};
use crate::stream;

/// Bytes of the tensors of both runs of a batch.
const BATCH_BYTES: usize = 96 << 20;

/// Compares all integers that operators compute, and the class that output `scores` decides for.
///
/// # Errors
/// If the data cannot be read or a device fails.
pub fn numerics(
    quantized: &Graph,
    feeds: &[Feed],
    devices: [&dyn Device; 2],
    name: &str,
    data: &mut DataSet,
    scores: usize,
    mut progress: impl FnMut(usize) + Send,
) -> Result<NumericsReport, Error> {
    data.rewind().map_err(stream::Error::Data)?;
    let program = prepare(quantized.clone())?;
    let needs = 2 * program.bytes_per_sample().max(1);
    let config = SessionConfig {
        batch: Some((BATCH_BYTES / needs).clamp(1, 128)),
        keep: Keep::All,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.to_vec(),
    };
    let mut one = devices[0].session(&program, &config)?;
    let mut other = devices[1].session(&program, &config)?;
    let graph = &program.graph;
    let is_code =
        |&id: &TensorId| matches!(graph.tensors[id].dtype, DType::I8 | DType::U8 | DType::I16);
    let computed: Vec<TensorId> = program.steps.iter().map(|s| s.outputs[0]).collect();
    let mut values = program.values();
    values.retain(|id| computed.contains(id) && is_code(id));
    let result = quantized.results().get(scores).copied();
    let result = result.filter(|&id| decides(graph, id) && graph.is_activation(id));
    let mut report = NumericsReport {
        numerics: name.into(),
        codes: 0,
        differing_codes: 0,
        samples: 0,
        differing_predictions: result.map(|_| 0),
    };
    let size = one.batch().min(other.batch());
    stream::each(data, size, |batch| {
        let inputs = stream::feed(feeds, batch.inputs);
        one.run(batch.samples, &inputs)?;
        other.run(batch.samples, &inputs)?;
        let mut classes: Option<[Vec<usize>; 2]> = None;
        for &id in values
            .iter()
            .chain(result.iter().filter(|id| !values.contains(id)))
        {
            let (x, y) = (one.read(id)?, other.read(id)?);
            if is_code(&id) {
                let mut equality = Equality::default();
                let tensor = &graph.tensors[id];
                equality.add(
                    x.bytes(),
                    y.bytes(),
                    tensor.dtype.size(),
                    tensor.elements(),
                    batch.first,
                );
                report.codes += equality.elements;
                report.differing_codes += equality.differing;
            }
            if Some(id) == result {
                classes = Some([x, y].map(|v| decisions(&v, graph.elements(id))));
            }
        }
        if let (Some([x, y]), Some(n)) = (classes, &mut report.differing_predictions) {
            *n += x.iter().zip(&y).filter(|(x, y)| x != y).count() as u64;
        }
        report.samples += batch.samples as u64;
        progress(batch.samples);
        Ok::<(), Error>(())
    })?;
    Ok(report)
}

/// The first highest class of each sample; codes are ordered as what they stand for.
fn decisions(values: &Values, elements: usize) -> Vec<usize> {
    let values = values.to_f32(|q| q as f32);
    values.chunks(elements).map(arg_max).collect()
}
