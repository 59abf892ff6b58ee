//! One array of the data set, read sample by sample in the type that its input takes.

use crc32fast::Hasher;
use std::io::{self, Read};

use crate::num::{DType, Values};

use super::decode::{self, BadValue, Conversion, Room};
use super::npy::Header;
use super::source::{Origin, Section, Stream};
use super::{Error, InputSpec};

/// Bytes read at once: a multiple of every element's size. Memory grows by what was really there to read,
/// whatever a header claims.
pub(super) const CHUNK: usize = 1 << 18;

/// Fills `chunk` with the next `bytes` bytes, as little-endian elements.
pub(super) fn read_chunk(
    stream: &mut impl Read,
    chunk: &mut Vec<u8>,
    bytes: usize,
    header: &Header,
) -> io::Result<()> {
    chunk.resize(bytes, 0);
    read_exactly(stream, chunk)?;
    if header.big_endian {
        chunk
            .chunks_exact_mut(header.element.size())
            .for_each(<[u8]>::reverse);
    }
    Ok(())
}

fn read_exactly(stream: &mut impl Read, bytes: &mut [u8]) -> io::Result<()> {
    stream
        .read_exact(bytes)
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the array is cut short"),
            _ => error,
        })
}

/// How an input gets its numbers from the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayInfo {
    /// Name of the array in the file.
    pub array: String,
    /// Its shape in the file, the samples first.
    pub shape: Vec<u64>,
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
    /// Most threads that read at once.
    threads: usize,
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
            shape: header.shape.clone(),
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
            threads: threads(),
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
        let count = samples
            .checked_mul(self.elements)
            .filter(|&count| count.checked_mul(size).is_some());
        let mut values = count
            .and_then(|count| decode::zeros(self.info.delivered, count).ok())
            .ok_or_else(|| {
                self.error("a batch of it does not fit into memory; use smaller batches")
            })?;
        let format = Format {
            header: &self.header,
            conversion: self.conversion,
        };
        let result = self.stream.read_values(&format, &mut values, self.threads);
        result.map_err(|problem| match problem {
            Problem::Io(source) => Error::Io {
                path: self.origin.path.clone(),
                source,
            },
            Problem::Value(BadValue { index, problem }) => Error::Value {
                path: self.origin.path.clone(),
                array: self.origin.name.clone(),
                sample: first + (index / self.elements) as u64,
                element: (index % self.elements) as u64,
                problem,
            },
        })?;
        Ok(values)
    }
}

/// What the bytes mean.
struct Format<'a> {
    header: &'a Header,
    conversion: Conversion,
}

enum Problem {
    Io(io::Error),
    Value(BadValue),
}

impl Format<'_> {
    /// Reads as many elements as there is room for; a bad value has its index in the room.
    fn read(&self, stream: &mut impl Read, room: &mut Room<'_>) -> Result<(), Problem> {
        let element = self.header.element;
        let stored = (!self.header.big_endian)
            .then(|| room.as_stored(element, self.conversion))
            .flatten();
        if let Some(bytes) = stored {
            read_exactly(stream, bytes).map_err(Problem::Io)?;
            return decode::check(room).map_err(Problem::Value);
        }
        let (mut done, mut chunk) = (0, Vec::new());
        while done < room.len() {
            let bytes = ((room.len() - done) * element.size()).min(CHUNK);
            read_chunk(stream, &mut chunk, bytes, self.header).map_err(Problem::Io)?;
            decode::fill(&chunk, element, self.conversion, room, done).map_err(|bad| {
                Problem::Value(BadValue {
                    index: done + bad.index,
                    ..bad
                })
            })?;
            done += bytes / element.size();
        }
        Ok(())
    }
}

impl Stream {
    /// Fills an array, by several threads where that is possible and worth it.
    fn read_values(
        &mut self,
        format: &Format<'_>,
        values: &mut Values,
        threads: usize,
    ) -> Result<(), Problem> {
        let size = format.header.element.size();
        let count = values.len();
        // A small read is not worth a thread.
        let threads = (count * size / BYTES_A_THREAD).clamp(1, threads);
        let part = count.div_ceil(threads).max(1);
        let rooms = Room::of(values).chunks(part);
        let lengths: Vec<u64> = rooms.iter().map(|r| (r.len() * size) as u64).collect();
        let sections = if threads > 1 {
            self.sections(&lengths)
        } else {
            None
        };
        let Some(sections) = sections else {
            let mut rooms = rooms.into_iter().enumerate();
            return rooms.try_for_each(|(i, mut room)| {
                let read = format.read(self, &mut room);
                read.map_err(|problem| problem.behind(i * part))
            });
        };
        let results: Vec<Result<Hasher, Problem>> = std::thread::scope(|scope| {
            let read = |(mut section, mut room): (Section<'_>, Room<'_>)| {
                format.read(&mut section, &mut room)?;
                Ok(section.checksum())
            };
            let running: Vec<_> = sections
                .into_iter()
                .zip(rooms)
                .map(|part| scope.spawn(move || read(part)))
                .collect();
            let joined = running.into_iter().map(|thread| {
                let died = |_| Err(Problem::Io(io::Error::other("a thread that read it died")));
                thread.join().unwrap_or_else(died)
            });
            joined.collect()
        });
        let mut checksums = Vec::with_capacity(results.len());
        for (i, result) in results.into_iter().enumerate() {
            checksums.push(result.map_err(|problem| problem.behind(i * part))?);
        }
        self.skip(lengths.iter().sum(), &checksums)
            .map_err(Problem::Io)
    }
}

impl Problem {
    /// The same with the index of a value moved.
    fn behind(self, elements: usize) -> Problem {
        match self {
            Problem::Value(bad) => Problem::Value(BadValue {
                index: elements + bad.index,
                ..bad
            }),
            io @ Problem::Io(_) => io,
        }
    }
}

/// Bytes that are worth a thread of their own.
const BYTES_A_THREAD: usize = if cfg!(test) { 1 << 10 } else { 2 << 20 };

/// Threads that read together: one copies about 2 GB a second from the page cache, which would starve a fast GPU.
fn threads() -> usize {
    const MOST: usize = 8;
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    MOST.min(processors.div_ceil(2))
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

#[cfg(test)]
mod tests {
    use super::super::source::{Arrays, find_arrays};
    use super::*;
    use std::io::Write;

    const SAMPLES: usize = 1000;

    fn reader(path: &std::path::Path, threads: usize) -> ArrayReader {
        let Arrays::Named(origins) = find_arrays(path).unwrap() else {
            panic!("an npz has names")
        };
        let input = InputSpec {
            name: "x".into(),
            shape: vec![1, 7],
            dtype: DType::F32,
        };
        let mut reader = ArrayReader::open(&origins[0], &input, Some((0.5, 1.0))).unwrap();
        reader.threads = threads;
        reader
    }

    /// Stored, as numpy.savez does: what is deflated is read in one go.
    fn file(values: &Values, descr: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("x.npz")).unwrap();
        let mut zip = zip::ZipWriter::new(file);
        let stored = zip::CompressionMethod::Stored;
        let options = zip::write::SimpleFileOptions::default().compression_method(stored);
        zip.start_file("input_0.npy", options).unwrap();
        let dict =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({SAMPLES}, 7), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        bytes.extend(values.bytes());
        zip.write_all(&bytes).unwrap();
        zip.finish().unwrap();
        folder
    }

    #[test]
    fn several_threads_read_what_one_reads() {
        let n = SAMPLES * 7;
        for (values, descr) in [
            (Values::F32((0..n).map(|i| i as f32 * 0.1).collect()), "<f4"),
            (Values::U8((0..n).map(|i| i as u8).collect()), "|u1"),
            (Values::I16((0..n).map(|i| i as i16).collect()), "<i2"),
        ] {
            let folder = file(&values, descr);
            let path = folder.path().join("x.npz");
            let (mut one, mut many) = (reader(&path, 1), reader(&path, 5));
            for samples in [600, 1, 399] {
                assert_eq!(
                    one.read(0, samples).unwrap(),
                    many.read(0, samples).unwrap()
                );
            }
        }
    }

    #[test]
    fn several_threads_find_bad_values_and_damage() {
        let mut values: Vec<f32> = (0..SAMPLES * 7).map(|i| i as f32).collect();
        values[900 * 7 + 3] = f32::NAN;
        values[950 * 7] = f32::INFINITY;
        let folder = file(&Values::F32(values), "<f4");
        let path = folder.path().join("x.npz");
        let error = |threads| {
            reader(&path, threads)
                .read(0, SAMPLES)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(1), error(5));
        assert!(error(5).contains("900"), "{}", error(5));
        let folder = file(&Values::U8(vec![1; SAMPLES * 7]), "|u1");
        let path = folder.path().join("x.npz");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4000] = 9;
        std::fs::write(&path, bytes).unwrap();
        for threads in [1, 5] {
            let error = reader(&path, threads).read(0, SAMPLES).unwrap_err();
            assert!(error.to_string().contains("checksum"), "{error}");
        }
    }
}
