//! Representative data sets: arrays of samples from numpy's .npz and .npy files, streamed.
//!
//! **Layout.** An array's first axis counts the samples; the rest is the shape of the model's input, with or
//! without the leading batch dimension of 1 that most models have. An .npz holds `input_0`, `input_1`, … in
//! the order of the model's inputs, or arrays named exactly like these, or one array of any name if the model
//! has one input. `labels`, if there, tells the right classes ([`Labels`]). An .npy feeds the only input.
//!
//! **Types.** What an input takes: float32 takes float16, float32 and float64; int8, uint8 and int16 take the
//! same type as it is, or floating point; int32 and int64 take every integer type whose values fit; bool
//! takes bool. Integers for real numbers need [`Options::scale_offset`]: 8-bit data is then delivered raw
//! with the scale in [`ArrayInfo`], other integers are delivered as float32.
//!
//! **Memory.** Never more than a batch (and the labels): every array has its own stream, also a deflated one.
//!
//! This room knows nothing of models, graphs or devices.

mod decode;
mod error;
mod labels;
mod npy;
mod reader;
mod source;
mod writer;

use std::path::{Path, PathBuf};

use crate::num::{DType, Values};

pub use error::Error;
pub use labels::Labels;
pub use reader::ArrayInfo;
pub use writer::NpzWriter;

use reader::ArrayReader;
use source::{Arrays, Origin};

/// What the model wants of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// The input's name in the model.
    pub name: String,
    /// Its shape as the model declares it, usually with a leading batch dimension of 1.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: DType,
}

/// How to read a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// Take only the first so many samples; the rest is not read.
    pub limit: Option<usize>,
    /// Scale and offset that make real numbers of integers: `x * scale + offset`. Used by every integer array
    /// that feeds a float or quantized input, not by int32, int64 and bool inputs, nor by floating point.
    pub scale_offset: Option<(f32, f32)>,
}

/// Some samples in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Index of the first sample.
    pub first: usize,
    /// Number of samples.
    pub samples: usize,
    /// One array an input, in the model's order: sample after sample, each row-major.
    pub inputs: Vec<Values>,
}

/// An open data set, read forward batch by batch, as often as wanted.
pub struct DataSet {
    path: PathBuf,
    arrays: Vec<ArrayReader>,
    labels: Option<Labels>,
    len: usize,
    next: usize,
    /// After an error the streams stand anywhere; only [`rewind`](DataSet::rewind) makes them usable again.
    failed: bool,
}

impl DataSet {
    /// Opens a data set and checks everything that the headers tell, and the labels.
    pub fn open(path: &Path, inputs: &[InputSpec], options: &Options) -> Result<DataSet, Error> {
        check(options)?;
        if inputs.is_empty() {
            return Err(Error::Options(
                "the model has no inputs that data could feed".into(),
            ));
        }
        let (origins, label_origin) = find_origins(path, inputs)?;
        let arrays = origins
            .iter()
            .zip(inputs)
            .map(|(origin, input)| ArrayReader::open(origin, input, options.scale_offset))
            .collect::<Result<Vec<_>, _>>()?;
        let samples = arrays[0].samples();
        if let Some(other) = arrays.iter().find(|array| array.samples() != samples) {
            return Err(other.error(format!(
                "it has {} samples, but '{}' has {samples}; every array needs one for each",
                other.samples(),
                arrays[0].info.array
            )));
        }
        if samples == 0 {
            return Err(arrays[0].error("it holds no samples"));
        }
        let len = usize::try_from(samples)
            .unwrap_or(usize::MAX)
            .min(options.limit.unwrap_or(usize::MAX));
        let labels = label_origin
            .map(|origin| Labels::read(&origin, samples, len))
            .transpose()?;
        Ok(DataSet {
            path: path.into(),
            arrays,
            labels,
            len,
            next: 0,
            failed: false,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of samples, at most [`Options::limit`]; never 0.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false: a data set without samples does not open.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The accepted classes, if the file has `labels`.
    pub fn labels(&self) -> Option<&Labels> {
        self.labels.as_ref()
    }

    /// Which array feeds each input and how, in the model's order.
    pub fn arrays(&self) -> impl Iterator<Item = &ArrayInfo> {
        self.arrays.iter().map(|array| &array.info)
    }

    /// The next samples, at most `n` (at least 1), or nothing after the last.
    pub fn next_batch(&mut self, n: usize) -> Result<Option<Batch>, Error> {
        if self.failed {
            return Err(self.arrays[0]
                .error("reading has failed before; start again from the first sample"));
        }
        let samples = n.max(1).min(self.len - self.next);
        if samples == 0 {
            return Ok(None);
        }
        let first = self.next;
        let inputs: Result<Vec<Values>, Error> = self
            .arrays
            .iter_mut()
            .map(|array| array.read(first as u64, samples))
            .collect();
        self.failed = inputs.is_err();
        self.next += samples;
        Ok(Some(Batch {
            first,
            samples,
            inputs: inputs?,
        }))
    }

    /// The rest of the data set in batches of at most `n` samples; ends after the first error.
    pub fn batches(&mut self, n: usize) -> impl Iterator<Item = Result<Batch, Error>> {
        std::iter::from_fn(move || {
            if self.failed {
                None
            } else {
                self.next_batch(n).transpose()
            }
        })
    }

    /// Goes back to the first sample.
    pub fn rewind(&mut self) -> Result<(), Error> {
        self.failed = true;
        for array in &mut self.arrays {
            array.rewind()?;
        }
        self.next = 0;
        self.failed = false;
        Ok(())
    }
}

/// The shape of one sample of the array for each input: what an input with dynamic dimensions is to be.
///
/// # Errors
/// If the file cannot be read, or has no array for an input.
pub fn sample_shapes(path: &Path, inputs: &[InputSpec]) -> Result<Vec<Vec<usize>>, Error> {
    let origins = find_origins(path, inputs)?.0;
    let shape = |origin: &Origin| {
        let shape = origin.open()?.0.shape;
        let sizes = shape.iter().skip(1).map(|&d| usize::try_from(d));
        sizes
            .collect::<Result<Vec<usize>, _>>()
            .map_err(|_| origin.error("it has a dimension that is too large"))
    };
    origins.iter().map(shape).collect()
}

/// The array for every input, and the labels.
fn find_origins(path: &Path, inputs: &[InputSpec]) -> Result<(Vec<Origin>, Option<Origin>), Error> {
    match source::find_arrays(path)? {
        Arrays::Single(origin) if inputs.len() == 1 => Ok((vec![origin], None)),
        Arrays::Single(origin) => {
            let problem = "an .npy feeds only one input; save an .npz".into();
            Err(mismatch(path, problem, inputs, &[origin]))
        }
        Arrays::Named(origins) => match_arrays(path, inputs, &origins),
    }
}

fn check(options: &Options) -> Result<(), Error> {
    if options.limit == Some(0) {
        return Err(Error::Options(
            "a limit of 0 samples leaves nothing to read".into(),
        ));
    }
    if let Some((scale, offset)) = options.scale_offset {
        // 8-bit data is scaled by the device: from -128 to 255 all must be finite there.
        let finite = [-128.0, 0.0, 255.0]
            .iter()
            .all(|x| (x * scale + offset).is_finite());
        if scale == 0.0 || !finite {
            return Err(Error::Options(format!(
                "an input scale of {scale} with offset {offset} makes no real numbers of integers"
            )));
        }
    }
    Ok(())
}

/// Finds the array for every input, and the labels.
fn match_arrays(
    path: &Path,
    inputs: &[InputSpec],
    origins: &[Origin],
) -> Result<(Vec<Origin>, Option<Origin>), Error> {
    let find = |name: &str| origins.iter().position(|origin| origin.name == name);
    let by_name: Option<Vec<usize>> = inputs.iter().map(|input| find(&input.name)).collect();
    let by_number: Option<Vec<usize>> = (0..inputs.len())
        .map(|i| find(&format!("input_{i}")))
        .collect();
    let others: Vec<usize> = (0..origins.len())
        .filter(|&i| origins[i].name != "labels")
        .collect();
    let chosen = match (by_name, by_number) {
        (Some(names), Some(numbers)) if names != numbers => {
            let problem = "some arrays are named both like an input and like an input's number; keep one kind".into();
            return Err(mismatch(path, problem, inputs, origins));
        }
        (Some(chosen), _) | (None, Some(chosen)) => chosen,
        (None, None) if inputs.len() == 1 && others.len() == 1 => others,
        (None, None) => {
            let problem =
                "name the arrays input_0, input_1, ... or exactly like the model's inputs".into();
            return Err(mismatch(path, problem, inputs, origins));
        }
    };
    let labels = find("labels")
        .filter(|index| !chosen.contains(index))
        .map(|index| origins[index].clone());
    Ok((
        chosen
            .into_iter()
            .map(|index| origins[index].clone())
            .collect(),
        labels,
    ))
}

/// An error that lists what the model wants and what the file has.
fn mismatch(path: &Path, problem: String, inputs: &[InputSpec], origins: &[Origin]) -> Error {
    let list = |names: Vec<&str>| match names.len() {
        0 => "no arrays".to_string(),
        1..=12 => format!("'{}'", names.join("', '")),
        many => format!("'{}' and {} more", names[..12].join("', '"), many - 12),
    };
    Error::Match {
        path: path.into(),
        problem,
        inputs: list(inputs.iter().map(|input| input.name.as_str()).collect()),
        arrays: list(origins.iter().map(|origin| origin.name.as_str()).collect()),
    }
}
