//! What each sample for itself did to the ranges: a pass that keeps every tensor and looks at one sample after another.
//!
//! [`super::gather`] knows only what all samples reached together. Here every float tensor that is fed or computed is read
//! back, so this pass is slower and moves more data. What it gives is a function of the samples alone: neither the batch,
//! nor the device's threads, nor what lies beside a sample changes it.
//!
//! **Left out** are the states of LSTMs and other variable tensors: what can be read of them is what they are at the end of
//! a sample, not what they were on the way. They have no statistics here.

use crate::data::DataSet;
use crate::graph::TensorId;
use crate::kernel::{Device, DeviceError, Feed, Keep, Program, Range, SessionConfig, Statistics};
use crate::num::{DType, Values};
use crate::stream::{self, Error};

/// Bytes of activations of a batch, if nobody says how large it is to be.
const BATCH_BYTES: usize = 256 << 20;
/// Samples of such a batch at most.
const BATCH: usize = 64;
/// Bytes of the ranges of all samples and tensors: more is refused.
const MOST_BYTES: usize = 1 << 30;
/// How much a moving average keeps of what it was.
const KEPT: f64 = 0.95;
/// Magnitudes from here on count for infinite in a moving average.
const INFINITE: f32 = 3e38;

/// The range of every sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// How many.
    pub samples: usize,
    /// By tensor number: the range of each sample, in the order of the data; empty of what has none (integers, constants,
    /// variable tensors, and tensors without elements).
    pub ranges: Vec<Vec<Range>>,
}

/// Values of a tensor for samples in a row.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Number of the tensor.
    pub tensor: TensorId,
    /// Index of the first sample in the data set.
    pub first: usize,
    /// Their values, sample after sample; each as long as the tensor.
    pub values: &'a [f32],
}

/// The float tensors that [`each_sample`] looks at, in order of execution: inputs, then what the steps compute.
pub fn seen_by_sample(program: &Program) -> Vec<TensorId> {
    let graph = &program.graph;
    let written = program.steps.iter().flat_map(|step| &step.outputs);
    let mut seen = vec![false; graph.tensors.len()];
    let all = graph.inputs.iter().chain(written).copied();
    all.filter(|&id| {
        let t = &graph.tensors[id];
        let wanted = id < program.given && t.dtype == DType::F32 && !t.variable && t.elements() > 0;
        wanted && !std::mem::replace(&mut seen[id], true)
    })
    .collect()
}

/// Runs the program over the rest of the data set and gives each tensor's values to `look`: batch after batch in
/// the order of the data, within a batch in order of execution. `batch` samples go together; chosen from memory where
/// `None`. `progress` is told how many samples are done after each batch.
///
/// # Errors
/// If data or device fail, or a value is not finite: the error names file, tensor and sample.
pub fn each_tensor(
    device: &dyn Device,
    program: &Program,
    data: &mut DataSet,
    feeds: &[Feed],
    batch: Option<usize>,
    mut progress: impl FnMut(usize),
    mut look: impl FnMut(Part<'_>),
) -> Result<(), Error> {
    let graph = &program.graph;
    let tensors = seen_by_sample(program);
    let fits = BATCH_BYTES / program.bytes_per_sample().max(1);
    let config = SessionConfig {
        batch: Some(batch.unwrap_or(fits.clamp(1, BATCH))),
        keep: Keep::All,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: feeds.to_vec(),
    };
    let mut session = device.session(program, &config)?;
    stream::each(data, session.batch(), |batch| {
        session.run(batch.samples, &stream::feed(feeds, batch.inputs))?;
        for &tensor in &tensors {
            let Values::F32(values) = session.read(tensor)? else {
                continue;
            };
            let elements = graph.elements(tensor);
            let broken = values.iter().position(|x| !x.is_finite());
            if let Some(at) = broken {
                let sample = batch.first + at / elements;
                return Err(Error::from(DeviceError::NotFinite {
                    tensor: format!(
                        "{}: {} of sample {sample}",
                        graph.file,
                        graph.describe(tensor)
                    ),
                    what: if values[at].is_nan() {
                        "NaN"
                    } else {
                        "infinite"
                    },
                }));
            }
            look(Part {
                tensor,
                first: batch.first,
                values: &values,
            });
        }
        progress(batch.first + batch.samples);
        Ok(())
    })
}

/// Runs the program over the whole data set, which stands at its first sample, and notes the smallest and largest value of every float tensor
/// for each sample: 8 bytes a tensor and sample.
///
/// # Errors
/// As [`each_tensor`], and if the ranges would take more than 1 GiB.
pub fn each_sample(
    device: &dyn Device,
    program: &Program,
    data: &mut DataSet,
    feeds: &[Feed],
    batch: Option<usize>,
    progress: impl FnMut(usize),
) -> Result<Samples, Error> {
    let tensors = seen_by_sample(program);
    let a_sample = tensors.len() * size_of::<Range>();
    if data.len().saturating_mul(a_sample) > MOST_BYTES {
        return Err(Error::Mismatch(format!(
            "{}: the ranges of {} samples in {} tensors of {} take more than {} MiB; look at fewer samples with --limit {}",
            data.path().display(),
            data.len(),
            tensors.len(),
            program.graph.file,
            MOST_BYTES >> 20,
            MOST_BYTES / a_sample.max(1)
        )));
    }
    let samples = data.len();
    let mut ranges = vec![Vec::new(); program.graph.tensors.len()];
    each_tensor(device, program, data, feeds, batch, progress, |part| {
        let elements = program.graph.elements(part.tensor);
        let each = part.values.chunks_exact(elements);
        ranges[part.tensor].extend(each.map(range_of));
    })?;
    Ok(Samples { samples, ranges })
}

/// The exponential moving average of the samples' ranges, as litert-quantizer has it: the first sample's range, then for
/// each further one, in the order of the data and for both ends, 0.95 · what it was + 0.05 · that of the sample. So it
/// depends on the order, and a range that was reached once is hardly remembered.
///
/// Computed in double and rounded at the end. An end of a sample whose magnitude is 3·10³⁸ or more is ignored; there, such
/// values are ignored one by one, so that the sample's next value counts. By tensor number; `None` where there is nothing
/// to average.
pub fn moving_average(samples: &Samples) -> Vec<Option<Range>> {
    let average = |ranges: &Vec<Range>, end: fn(&Range) -> f32| {
        let ends = ranges.iter().map(end).filter(|x| x.abs() < INFINITE);
        let ends = ends.map(f64::from);
        let average = ends.reduce(|before, x| KEPT * before + (1.0 - KEPT) * x);
        average.map(|x| x as f32)
    };
    let both = |ranges: &Vec<Range>| {
        Some(Range {
            min: average(ranges, |r| r.min)?,
            max: average(ranges, |r| r.max)?,
        })
    };
    samples.ranges.iter().map(both).collect()
}

/// Smallest and largest of finite values, −0 as +0.
fn range_of(values: &[f32]) -> Range {
    // Several at once: a single minimum would wait for itself at every value.
    const LANES: usize = 16;
    let mut low = [f32::INFINITY; LANES];
    let mut high = [f32::NEG_INFINITY; LANES];
    for chunk in values.chunks(LANES) {
        for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(chunk) {
            *low = if x < *low { x } else { *low };
            *high = if x > *high { x } else { *high };
        }
    }
    let range = low
        .iter()
        .zip(&high)
        .fold(Range::EMPTY, |all, (&min, &max)| {
            all.merge(Range { min, max })
        });
    Range {
        min: range.min + 0.0,
        max: range.max + 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn samples(ends: &[(f32, f32)]) -> Samples {
        let ranges = ends.iter().map(|&(min, max)| Range { min, max });
        Samples {
            samples: ends.len(),
            ranges: vec![ranges.collect(), Vec::new()],
        }
    }

    fn average(ends: &[(f32, f32)]) -> Range {
        moving_average(&samples(ends))[0].unwrap()
    }

    proptest! {
        #[test]
        fn a_range_holds_all_values(v in prop::collection::vec(-9.0f32..9.0, 1..100)) {
            let Range { min, max } = range_of(&v);
            prop_assert!(v.iter().all(|&x| min <= x && x <= max));
            prop_assert!(v.contains(&min) && v.contains(&max));
        }

        /// The newest sample counts most: with it in front, the average is another.
        #[test]
        fn the_order_matters(mut ends in prop::collection::vec((-9.0f32..0.0, 0.0f32..9.0), 2..30)) {
            ends.push((-20.0, 20.0));
            let last = average(&ends);
            ends.rotate_right(1);
            // The first sample is not weighed down at all: 0.95ⁿ of it is left, more than 0.05 for so few samples.
            let first = average(&ends);
            prop_assert!(first.max > last.max && first.min < last.min);
        }

        #[test]
        fn an_average_lies_among_the_samples(ends in prop::collection::vec((-9.0f32..0.0, 0.0f32..9.0), 1..30)) {
            let Range { min, max } = average(&ends);
            let all = ends.iter().fold(Range::EMPTY, |r, &(min, max)| r.merge(Range { min, max }));
            prop_assert!(min >= all.min && max <= all.max);
        }

        #[test]
        fn what_is_constant_keeps_its_range(min in -9.0f32..0.0, max in 0.0f32..9.0, n in 1usize..200) {
            let Range { min: low, max: high } = average(&vec![(min, max); n]);
            prop_assert!((low - min).abs() <= 1e-6 && (high - max).abs() <= 1e-6);
        }
    }

    #[test]
    fn averages_by_hand() {
        let steps = [(-1.0, 2.0), (-3.0, 4.0), (0.0, 3.3e38)];
        let Range { min, max } = average(&steps);
        assert_eq!(min, (0.95f64 * (0.05 * -3.0 - 0.95)) as f32);
        // The infinite one does not count.
        assert_eq!(max, (0.95f64 * 2.0 + (1.0 - 0.95) * 4.0) as f32);
        assert_eq!(moving_average(&samples(&steps))[1], None);
        assert_eq!(moving_average(&samples(&[(3.1e38, 3.2e38)]))[0], None);
    }
}
