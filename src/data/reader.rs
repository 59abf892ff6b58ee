//! One array of the data set, read sample by sample in the type that its input takes.

use std::io::{self, Read};

use crate::num::{DType, Values};

use super::decode::{self, BadValue, Conversion};
use super::npy::Header;
use super::source::{Origin, Stream};
use super::{Error, InputSpec};

/// Bytes read at once: a multiple of every element's size. Memory grows by what was really there to read,
/// whatever a header claims.
pub(super) const CHUNK: usize = 1 << 18;

/// Fills `chunk` with the next `bytes` bytes, as little-endian elements.
pub(super) fn read_chunk(
    stream: &mut Stream,
    chunk: &mut Vec<u8>,
    bytes: usize,
    header: &Header,
) -> io::Result<()> {
    chunk.resize(bytes, 0);
    stream
        .read_exact(chunk)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the array is cut short"),
            _ => error,
        })?;
    if header.big_endian {
        chunk
            .chunks_exact_mut(header.element.size())
            .for_each(<[u8]>::reverse);
    }
    Ok(())
}

/// How an input gets its numbers from the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayInfo {
    /// Name of the array in the file.
    pub array: String,
    /// The array's own element type, as numpy names it.
    pub stored: &'static str,
    /// Element type in each [`Batch`](super::Batch).
    pub delivered: DType,
    /// Scale and offset that are still to be applied: the delivered integers mean `x * scale + offset`.
    /// Without it, numbers are what the input takes, or real numbers that a quantized input has to quantize.
    pub scale_offset: Option<(f32, f32)>,
}

/// An open array.
pub(super) struct ArrayReader {
    origin: Origin,
    header: Header,
    stream: Stream,
    conversion: Conversion,
    pub info: ArrayInfo,
    /// Elements of one sample.
    elements: usize,
    chunk: Vec<u8>,
}

impl ArrayReader {
    /// Opens an array for an input and checks that its shape and type can serve.
    pub fn open(
        origin: &Origin,
        input: &InputSpec,
        scale_offset: Option<(f32, f32)>,
    ) -> Result<ArrayReader, Error> {
        let (header, stream) = origin.open()?;
        let (path, array, name) = (origin.path.clone(), origin.name.clone(), input.name.clone());
        let Some(elements) = sample_elements(&header, &input.shape) else {
            let problem = format!(
                "the array's shape {:?} is not [N] followed by the input's shape {:?} (a leading 1 of that may be \
                 left out)",
                header.shape, input.shape
            );
            return Err(Error::Shape {
                path,
                array,
                input: name,
                problem,
            });
        };
        let (conversion, delivered, scaled) =
            match decode::plan(header.element, input.dtype, scale_offset) {
                Ok(plan) => plan,
                Err(advice) => {
                    let (found, wanted) = (header.element.name(), input.dtype);
                    let problem = format!("{found} values cannot feed {wanted}; {advice}");
                    return Err(Error::Type {
                        path,
                        array,
                        input: name,
                        problem,
                    });
                }
            };
        let info = ArrayInfo {
            array: origin.name.clone(),
            stored: header.element.name(),
            delivered,
            scale_offset: scale_offset.filter(|_| scaled),
        };
        Ok(ArrayReader {
            origin: origin.clone(),
            header,
            stream,
            conversion,
            info,
            elements,
            chunk: Vec::new(),
        })
    }

    /// Samples in the file.
    pub fn samples(&self) -> u64 {
        self.header.shape[0]
    }

    /// An error about this array.
    pub fn error(&self, problem: impl Into<String>) -> Error {
        self.origin.error(problem)
    }

    /// Goes back to the first sample.
    pub fn rewind(&mut self) -> Result<(), Error> {
        let (header, stream) = self.origin.open()?;
        if header != self.header {
            return Err(self.error("the file has changed while it was being read"));
        }
        self.stream = stream;
        Ok(())
    }

    /// Reads the next `samples` samples, of which the first has index `first`.
    pub fn read(&mut self, first: u64, samples: usize) -> Result<Values, Error> {
        let size = self.header.element.size();
        let io = |origin: &Origin, source| Error::Io {
            path: origin.path.clone(),
            source,
        };
        let count = samples
            .checked_mul(self.elements)
            .filter(|&count| count.checked_mul(size).is_some());
        // Reserved at once, so that a large batch is not copied as it grows; an error, not an abort, if it is
        // too large.
        let (mut left, mut values) = count
            .and_then(|count| {
                Some((
                    count * size,
                    decode::empty(self.info.delivered, count).ok()?,
                ))
            })
            .ok_or_else(|| {
                self.error("a batch of it does not fit into memory; use smaller batches")
            })?;
        while left > 0 {
            let before = values.len();
            read_chunk(
                &mut self.stream,
                &mut self.chunk,
                left.min(CHUNK),
                &self.header,
            )
            .map_err(|source| io(&self.origin, source))?;
            decode::append(
                &self.chunk,
                self.header.element,
                self.conversion,
                &mut values,
            )
            .map_err(|BadValue { index, problem }| Error::Value {
                path: self.origin.path.clone(),
                array: self.origin.name.clone(),
                sample: first + ((before + index) / self.elements) as u64,
                element: ((before + index) % self.elements) as u64,
                problem,
            })?;
            left -= self.chunk.len();
        }
        Ok(values)
    }
}

/// Elements of a sample, if the array is shaped `[N]` followed by the input's shape, with or without the
/// leading 1 of that. A sample without elements is none.
fn sample_elements(header: &Header, wanted: &[usize]) -> Option<usize> {
    let (_, sample) = header.shape.split_first()?;
    let equal = |shape: &[usize]| {
        shape.len() == sample.len()
            && shape
                .iter()
                .zip(sample)
                .all(|(&wanted, &found)| wanted as u64 == found)
    };
    let fits = equal(wanted)
        || wanted
            .split_first()
            .is_some_and(|(&batch, rest)| batch == 1 && equal(rest));
    let elements = wanted
        .iter()
        .try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
    (fits && elements > 0).then_some(elements)
}
