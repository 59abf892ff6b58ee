//! What can be wrong with a model file.

use std::io;
use std::path::{Path, PathBuf};

/// Why a model could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused to open, read, write or rename the file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names a folder, a pipe or a device.
    #[error("{}: not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A model file that could be opened, but not understood.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: Box<Error>,
    },
    /// The bytes are something else than a TFLite model.
    #[error("not a TFLite file: {found}")]
    NotTflite {
        /// What the bytes look like.
        found: String,
    },
    /// The file says it is a TFLite model, but it is damaged.
    #[error("damaged TFLite file: {place}: {source}")]
    Malformed {
        /// The element of the model, like `subgraphs[0].operators[17]`.
        place: String,
        /// The table, its field, its byte offset in the file, and what is wrong with it.
        source: planus::Error,
    },
    /// Data that the model keeps outside its FlatBuffer is not all in the file.
    #[error(
        "damaged TFLite file: {place} names {size} bytes at offset {offset}, but the file has {file_size}; is it cut off?"
    )]
    OutsideData {
        /// The element of the model, like `buffers[3]`.
        place: String,
        /// Where its data should start.
        offset: u64,
        /// How long its data should be.
        size: u64,
        /// The length of the file.
        file_size: usize,
    },
    /// The tree would take much more memory than an honest file of this length needs.
    #[error(
        "{place}: the model would unfold to more than {limit} bytes, far more than its file holds: it repeats the same tables"
    )]
    TooLarge {
        /// The element at which the limit was passed.
        place: String,
        /// The most bytes allowed for a file of this length.
        limit: usize,
    },
    /// The model is of a kind that this version of the program cannot read.
    #[error("TFLite schema version {version} is not supported, only version 3 is")]
    Version {
        /// What `Model.version` says.
        version: u32,
    },
    /// The model, without the data of its buffers, does not fit into a FlatBuffer.
    #[error("{place}: the model without its buffers passes the 2 GiB that a TFLite file can hold")]
    DoesNotFit {
        /// The element that did not fit any more.
        place: String,
    },
    /// A tree to be written names data by its place in a file, which a tree cannot have.
    #[error("{place} has an offset but no data: put the data into the tree")]
    UnresolvedData {
        /// The element of the model, like `buffers[3]`.
        place: String,
    },
}

impl Error {
    pub(super) fn io(path: &Path, source: io::Error) -> Error {
        Error::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn in_file(self, path: &Path) -> Error {
        Error::File {
            path: path.to_owned(),
            source: Box::new(self),
        }
    }

    /// For `map_err` on what planus returns while it reads the element at `place`.
    pub(super) fn at(place: &str) -> impl Fn(planus::Error) -> Error {
        move |source| Error::Malformed {
            place: place.to_owned(),
            source,
        }
    }
}
