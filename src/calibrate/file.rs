//! Statistics as a file: JSON, the same bytes for the same values, and files of one model merge.
//!
//! Version 2 says where its statistics come from ([`Source`]); files of version 1 are read and say that they do not know.
//! Zeros are a field of histograms that older files of either version lack: they are unknown then, and so are those of
//! whatever such a file is merged into.

use super::{Calibration, Source};
use crate::kernel::{Program, Range};
use crate::num::Histogram;
use crate::num::histogram::{BINS, LOWEST_EXPONENT, bin, exponent_of};
use serde::{Deserialize, Serialize};

const FORMAT: &str = "zeropoint statistics";
const VERSION: u32 = 2;
/// What it was before sources were kept.
const WITHOUT_SOURCES: u32 = 1;

/// What `zeropoint calibrate -o` writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatisticsFile {
    /// Always `zeropoint statistics`.
    format: String,
    /// Version of the format, 2.
    version: u32,
    /// The model they belong to.
    pub model: ModelIdentity,
    /// Samples seen; 0 of ranges that came from elsewhere.
    pub samples: u64,
    /// Where they come from; in an order of their own, so that merging in any order gives the same file.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Every float tensor that had a value, by its number.
    pub tensors: Vec<TensorStatistics>,
}

/// Enough to notice that a file belongs to another model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelIdentity {
    /// Name of its file, without folders.
    pub file: String,
    /// Its size.
    pub bytes: u64,
    /// CRC-32 of its bytes.
    pub crc32: u32,
}

impl ModelIdentity {
    /// That of the model in the file `path` with these bytes.
    pub fn of(path: &std::path::Path, bytes: &[u8]) -> ModelIdentity {
        let name = path.file_name().unwrap_or_default();
        ModelIdentity {
            file: name.to_string_lossy().into_owned(),
            bytes: bytes.len() as u64,
            crc32: crc32fast::hash(bytes),
        }
    }
}

/// Statistics of one tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TensorStatistics {
    /// Number in the file.
    pub tensor: usize,
    /// Name in the file.
    pub name: String,
    /// Shape of one sample, as the file gives it.
    pub shape: Vec<usize>,
    /// Smallest value.
    pub min: f32,
    /// Largest value.
    pub max: f32,
    /// Counts, unless ranges alone were gathered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<Histogram>,
}

/// Why a file of statistics cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Not JSON of this form.
    #[error("it is not a statistics file of zeropoint: {0}")]
    Malformed(String),
    /// It contradicts itself.
    #[error("tensor {tensor} ('{name}'): {problem}")]
    Contradiction {
        /// Number of the tensor.
        tensor: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Two files that do not belong together.
    #[error("they cannot be merged: {0}")]
    Different(&'static str),
    /// A range by name that is none of this model, or none at all.
    #[error("'{name}': {problem}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl StatisticsFile {
    /// Statistics of a program's tensors; `bytes` are those of its model's file.
    pub fn new(
        program: &Program,
        bytes: &[u8],
        calibration: &Calibration,
        source: Source,
    ) -> StatisticsFile {
        let graph = &program.graph;
        let name = std::path::Path::new(&graph.file).file_name();
        // Tensors between the kernels of one operator are ours, not the file's.
        let ranges = calibration.ranges.iter().take(program.given);
        let tensors = ranges.enumerate().filter_map(|(id, range)| {
            let Range { min, max } = (*range)?;
            let tensor = &graph.tensors[id];
            Some(TensorStatistics {
                tensor: id,
                name: tensor.name.clone(),
                shape: tensor.shape.clone(),
                min,
                max,
                histogram: calibration.histograms.get(id).cloned().flatten(),
            })
        });
        StatisticsFile {
            format: FORMAT.into(),
            version: VERSION,
            model: ModelIdentity {
                file: name.unwrap_or_default().to_string_lossy().into_owned(),
                bytes: bytes.len() as u64,
                crc32: crc32fast::hash(bytes),
            },
            samples: calibration.samples as u64,
            sources: vec![source],
            tensors: tensors.collect(),
        }
    }

    /// Whether they belong to the model with these bytes.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        self.model.bytes == bytes.len() as u64 && self.model.crc32 == crc32fast::hash(bytes)
    }

    /// Whether there are histograms, or ranges alone.
    pub fn has_histograms(&self) -> bool {
        self.tensors.iter().any(|t| t.histogram.is_some())
    }

    /// Sources that are listed more than once: the same samples were merged twice, it seems.
    pub fn repeated_sources(&self) -> impl Iterator<Item = &Source> {
        // Equal ones are neighbours.
        let pairs = self.sources.windows(2);
        pairs.filter(|p| p[0] == p[1]).map(|p| &p[0])
    }

    /// The range of every tensor of a graph with so many.
    pub fn ranges(&self, tensors: usize) -> Vec<Option<Range>> {
        let mut ranges = vec![None; tensors];
        for t in self.tensors.iter().filter(|t| t.tensor < tensors) {
            ranges[t.tensor] = Some(Range {
                min: t.min,
                max: t.max,
            });
        }
        ranges
    }

    /// The histogram of every tensor of a graph with so many.
    pub fn histograms(&self, tensors: usize) -> Vec<Option<Histogram>> {
        let mut histograms = vec![None; tensors];
        for t in self.tensors.iter().filter(|t| t.tensor < tensors) {
            histograms[t.tensor].clone_from(&t.histogram);
        }
        histograms
    }

    /// The shape of one sample of a tensor; empty if there is none.
    pub fn shape(&self, tensor: usize) -> Vec<usize> {
        let found = self.tensors.iter().find(|t| t.tensor == tensor);
        found.map(|t| t.shape.clone()).unwrap_or_default()
    }

    /// The file's text.
    pub fn text(&self) -> String {
        // Maps have string keys and floats are finite, so serialisation has nothing to fail at.
        serde_json::to_string(self).expect("plain numbers and strings are JSON") + "\n"
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// If it is something else, or contradicts itself.
    pub fn parse(text: &str) -> Result<StatisticsFile, FileError> {
        let mut file: StatisticsFile =
            serde_json::from_str(text).map_err(|e| FileError::Malformed(e.to_string()))?;
        if file.format != FORMAT || ![WITHOUT_SOURCES, VERSION].contains(&file.version) {
            return Err(FileError::Malformed(format!(
                "it calls itself '{}', version {}; this program reads '{FORMAT}', version {WITHOUT_SOURCES} and {VERSION}",
                file.format, file.version
            )));
        }
        if file.version == WITHOUT_SOURCES {
            file.version = VERSION;
            file.sources = vec![Source::Unrecorded {
                samples: file.samples,
            }];
        }
        let mut before = None;
        for tensor in &file.tensors {
            tensor.check().map_err(|problem| FileError::Contradiction {
                tensor: tensor.tensor,
                name: tensor.name.clone(),
                problem,
            })?;
            if before.is_some_and(|before| tensor.tensor <= before) {
                return Err(FileError::Contradiction {
                    tensor: tensor.tensor,
                    name: tensor.name.clone(),
                    problem: "tensors are not listed once each, in order",
                });
            }
            before = Some(tensor.tensor);
        }
        Ok(file)
    }

    /// The statistics of both files' samples together: as if all had been calibrated at once.
    ///
    /// # Errors
    /// If they are of different models or for different shapes, or one has histograms and the other has not.
    pub fn merge(mut self, other: &StatisticsFile) -> Result<StatisticsFile, FileError> {
        let (a, b) = (&self.model, &other.model);
        if (a.bytes, a.crc32) != (b.bytes, b.crc32) {
            return Err(FileError::Different("they are of different models"));
        }
        let same = |(a, b): (&TensorStatistics, &TensorStatistics)| a.tensor == b.tensor;
        let mut pairs = self.tensors.iter().zip(&other.tensors);
        if self.tensors.len() != other.tensors.len() || !pairs.all(same) {
            return Err(FileError::Different("they list different tensors"));
        }
        self.samples = self.samples.saturating_add(other.samples);
        self.sources.extend_from_slice(&other.sources);
        self.sources.sort_by_cached_key(Source::text);
        for (a, b) in self.tensors.iter_mut().zip(&other.tensors) {
            if a.shape != b.shape {
                // The model is open there, and its inputs had other shapes.
                return Err(FileError::Different("they are for different input shapes"));
            }
            let range = a.range().merge(b.range());
            a.histogram = match (a.histogram.take(), &b.histogram) {
                (Some(a), Some(b)) if a.total().checked_add(b.total()).is_none() => {
                    return Err(FileError::Different("their counts are too large together"));
                }
                (Some(a), Some(b)) => Some(a.merge(b, range)),
                (None, None) => None,
                _ => return Err(FileError::Different("only one of them has histograms")),
            };
            (a.min, a.max) = (range.min, range.max);
        }
        Ok(self)
    }
}

impl TensorStatistics {
    /// Smallest and largest value.
    pub fn range(&self) -> Range {
        Range {
            min: self.min,
            max: self.max,
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        if !self.min.is_finite() || !self.max.is_finite() || self.min > self.max {
            return Err("its range is not one");
        }
        let Some(h) = &self.histogram else {
            return Ok(());
        };
        let exponent = exponent_of(self.range());
        let fits = exponent >= LOWEST_EXPONENT
            && h.exponent == exponent
            && h.first == bin(self.min.min(0.0), exponent)
            && h.counts.len() <= BINS
            && h.first + h.counts.len() as i32 == bin(self.max.max(0.0), exponent) + 1;
        let total = h.counts.iter().try_fold(0u64, |sum, &n| sum.checked_add(n));
        // Zeros are among the values of bin 0, which every histogram has.
        let around_zero = h.counts.get(h.first.unsigned_abs() as usize);
        match (fits, total) {
            (false, _) => Err("its histogram does not fit its range"),
            (true, None | Some(0)) => Err("its counts are no counts"),
            (true, Some(_)) if h.zeros > around_zero.copied() => {
                Err("it counts more zeros than values near 0")
            }
            (true, Some(_)) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(values: &[Vec<f32>]) -> StatisticsFile {
        let tensors = values.iter().enumerate().map(|(id, v)| {
            let range = v
                .iter()
                .fold(Range::EMPTY, |r, &x| r.merge(Range { min: x, max: x }));
            let mut histogram = Histogram::new(range);
            histogram.count(v);
            TensorStatistics {
                tensor: id,
                name: format!("t \"{id}\""),
                shape: vec![1, 2],
                min: range.min,
                max: range.max,
                histogram: Some(histogram),
            }
        });
        StatisticsFile {
            format: FORMAT.into(),
            version: VERSION,
            model: ModelIdentity {
                file: "m.tflite".into(),
                bytes: 1,
                crc32: 2,
            },
            samples: 3,
            sources: vec![Source::Unrecorded { samples: 3 }],
            tensors: tensors.collect(),
        }
    }

    fn finite() -> impl Strategy<Value = f32> {
        let any = prop::num::f32::ANY.prop_filter("finite", |x| x.is_finite());
        prop_oneof![any, -8.0f32..8.0]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(v in prop::collection::vec(prop::collection::vec(finite(), 1..20), 0..4)) {
            let file = file(&v);
            prop_assert_eq!(StatisticsFile::parse(&file.text()).unwrap(), file);
        }

        #[test]
        fn shards_merge_to_the_whole(
            a in prop::collection::vec(finite(), 1..50),
            b in prop::collection::vec(finite(), 1..50),
        ) {
            let whole = file(&[[a.clone(), b.clone()].concat()]);
            let merged = file(&[a]).merge(&file(&[b])).unwrap();
            prop_assert_eq!(merged.tensors, whole.tensors);
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let good = file(&[vec![1.0, 2.0]]);
        let broken = |change: &dyn Fn(&mut TensorStatistics)| {
            let mut file = good.clone();
            change(&mut file.tensors[0]);
            StatisticsFile::parse(&file.text()).unwrap_err().to_string()
        };
        let histogram = |t: &mut TensorStatistics| t.histogram.take().unwrap();
        for error in [
            broken(&|t| t.min = 3.0),
            broken(&|t| t.max = 1e9),
            broken(&|t| {
                t.histogram = Some(Histogram {
                    exponent: 5,
                    ..histogram(t)
                });
            }),
            broken(&|t| {
                t.histogram = Some(Histogram {
                    first: -7,
                    ..histogram(t)
                });
            }),
            broken(&|t| t.histogram.as_mut().unwrap().counts.fill(u64::MAX)),
            broken(&|t| t.histogram.as_mut().unwrap().counts.clear()),
            broken(&|t| t.histogram.as_mut().unwrap().zeros = Some(1)),
        ] {
            assert!(error.contains("tensor 0 ('t \"0\"')"), "{error}");
        }
        assert!(StatisticsFile::parse("{}").is_err());
        let mut twice = good.clone();
        twice.tensors.push(twice.tensors[0].clone());
        assert!(StatisticsFile::parse(&twice.text()).is_err());
        let mut other = good.clone();
        other.model.crc32 = 9;
        assert!(good.clone().merge(&other).is_err());
        let mut bare = good.clone();
        bare.tensors[0].histogram = None;
        assert!(good.clone().merge(&bare).is_err());
        let mut wide = good.clone();
        wide.tensors[0].shape = vec![1, 3];
        assert!(good.clone().merge(&wide).is_err());
        let mut many = good.clone();
        many.tensors[0].histogram.as_mut().unwrap().counts.fill(0);
        many.tensors[0].histogram.as_mut().unwrap().counts[0] = u64::MAX;
        let many = StatisticsFile::parse(&many.text()).unwrap();
        assert!(good.merge(&many).is_err());
    }

    #[test]
    fn files_of_the_first_version_are_read() {
        let mut file = file(&[vec![1.0, 2.0]]);
        let text = file.text().replace("\"version\":2", "\"version\":1");
        let from = text.find("\"sources\"").unwrap();
        let to = text.find("\"tensors\"").unwrap();
        let old = StatisticsFile::parse(&(text[..from].to_owned() + &text[to..])).unwrap();
        file.sources = vec![Source::Unrecorded { samples: 3 }];
        assert_eq!(old, file);
        let new = text.replace("\"version\":1", "\"version\":3");
        assert!(StatisticsFile::parse(&new).is_err());
    }

    #[test]
    fn files_without_zeros_are_read_and_merge() {
        let whole = file(&[vec![0.0, 2.0]]);
        let text = whole.text();
        assert!(text.contains(",\"zeros\":1"), "{text}");
        let old = StatisticsFile::parse(&text.replace(",\"zeros\":1", "")).unwrap();
        let zeros = |file: &StatisticsFile| file.tensors[0].histogram.as_ref().unwrap().zeros;
        assert_eq!(zeros(&old), None);
        assert!(!old.text().contains("zeros"));
        assert_eq!(zeros(&old.clone().merge(&whole).unwrap()), None);
        assert_eq!(zeros(&whole.clone().merge(&old).unwrap()), None);
        assert_eq!(zeros(&whole.clone().merge(&whole).unwrap()), Some(2));
    }

    #[test]
    fn merging_in_any_order_gives_the_same_file() {
        let part = |values: &[f32], samples| {
            let mut part = file(&[values.to_vec()]);
            part.sources = vec![Source::Unrecorded { samples }];
            part
        };
        let (a, b, c) = (part(&[1.0, 2.0], 1), part(&[-3.5], 20), part(&[9.0], 3));
        let one = a.clone().merge(&b).unwrap().merge(&c).unwrap();
        let other = c.merge(&a).unwrap().merge(&b).unwrap();
        assert_eq!(one.text(), other.text());
        assert_eq!(one.repeated_sources().count(), 0);
        assert_eq!(one.merge(&a).unwrap().repeated_sources().count(), 1);
    }
}
