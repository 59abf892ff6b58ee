//! What can be wrong with a data set, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a data set could not be read, or an output file not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused, or the file is cut short.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is neither an .npz nor an .npy.
    #[error(
        "{}: {found}; pass a data set saved by numpy.savez (.npz) or numpy.save (.npy)",
        path.display()
    )]
    NotAnArrayFile {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// The zip container is damaged or uses something that numpy never writes.
    #[error("{}: {problem}; save it again with numpy.savez or numpy.savez_compressed", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// One array is damaged, or of a kind that is not read.
    #[error("{}, array '{array}': {problem}", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// The array in it.
        array: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// No unambiguous array for every input of the model.
    #[error("{}: {problem}; the model's inputs are {inputs}, the file holds {arrays}", path.display())]
    Match {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The model's inputs.
        inputs: String,
        /// The arrays of the file.
        arrays: String,
    },
    /// A sample of the file is not shaped like the model's input.
    #[error("{}, array '{array}' for input '{input}': {problem}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array in it.
        array: String,
        /// The model's input.
        input: String,
        /// Both shapes.
        problem: String,
    },
    /// The array's element type cannot serve the model's input.
    #[error("{}, array '{array}' for input '{input}': {problem}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// The array in it.
        array: String,
        /// The model's input.
        input: String,
        /// Both types, and what to do.
        problem: String,
    },
    /// A value that cannot be used.
    #[error("{}, array '{array}', sample {sample}, element {element} of the sample: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The array in it.
        array: String,
        /// Index of the sample, from 0.
        sample: u64,
        /// Flat index of the element within the sample, from 0.
        element: u64,
        /// What is wrong.
        problem: String,
    },
    /// A setting that cannot be meant.
    #[error("{0}")]
    Options(String),
    /// Chunks of one output array do not fit together.
    #[error("{}, array '{array}': {problem}", path.display())]
    Append {
        /// The file being written.
        path: PathBuf,
        /// The array in it.
        array: String,
        /// What does not fit.
        problem: String,
    },
}
