//! Where statistics come from.

use crate::data::DataSet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// One origin of statistics. No dates: the same input gives the same file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// Samples that were run.
    Data {
        /// Version of this program.
        zeropoint: String,
        /// The device that ran them and how it computes.
        device: String,
        /// Name of the data set's file, without folders.
        file: String,
        /// Samples that were run, of those in the file.
        samples: u64,
        /// What fed the inputs, in the model's order.
        arrays: Vec<ArraySource>,
    },
    /// Ranges by tensor name, from elsewhere.
    Ranges {
        /// Version of this program.
        zeropoint: String,
        /// Name of their file, without folders.
        file: String,
    },
    /// A file of version 1 did not keep it.
    Unrecorded {
        /// Samples seen.
        samples: u64,
    },
}

/// An array of a data set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArraySource {
    /// Its name in the file; empty in an .npy.
    pub name: String,
    /// Its shape in the file, the samples first.
    pub shape: Vec<u64>,
    /// Its element type, as numpy names it.
    pub dtype: String,
    /// Its integers mean x · scale + offset (`--input-scale`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// See `scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<f32>,
}

impl Source {
    /// A data set that a device of this name runs.
    pub fn data(path: &Path, set: &DataSet, device: String) -> Source {
        let array = |array: &crate::data::ArrayInfo| ArraySource {
            name: array.array.clone(),
            shape: array.shape.clone(),
            dtype: array.stored.to_owned(),
            scale: array.scale_offset.map(|(scale, _)| scale),
            offset: array.scale_offset.map(|(_, offset)| offset),
        };
        Source::Data {
            zeropoint: env!("CARGO_PKG_VERSION").into(),
            device,
            file: name(path),
            samples: set.len() as u64,
            arrays: set.arrays().map(array).collect(),
        }
    }

    /// A file of ranges by name.
    pub fn ranges(path: &Path) -> Source {
        Source::Ranges {
            zeropoint: env!("CARGO_PKG_VERSION").into(),
            file: name(path),
        }
    }

    /// Its JSON.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain numbers and strings are JSON")
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Data {
                zeropoint,
                device,
                file,
                samples,
                arrays,
            } => {
                write!(f, "{samples} samples of {file}")?;
                for ArraySource {
                    name,
                    shape,
                    dtype,
                    scale,
                    offset,
                } in arrays
                {
                    write!(f, ", {name} {dtype} {shape:?}")?;
                    if let (Some(scale), Some(offset)) = (scale, offset) {
                        write!(f, " · {scale} + {offset}")?;
                    }
                }
                write!(f, ", on {device}, zeropoint {zeropoint}")
            }
            Source::Ranges { zeropoint, file } => {
                write!(f, "ranges of {file}, zeropoint {zeropoint}")
            }
            Source::Unrecorded { samples } => {
                write!(f, "{samples} samples, not recorded of what")
            }
        }
    }
}
