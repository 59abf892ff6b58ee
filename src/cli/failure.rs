//! Why a command ended early, and its exit code.

use zeropoint::kernel::DeviceError;
use zeropoint::{data, debug, evaluate, graph, model, quantize, stream, tune};

/// A failure of a command; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A check found a difference: exit code 1.
    #[error("{0}")]
    Check(String),
    /// Wrong usage or input: exit code 2.
    #[error("{0}")]
    Input(String),
    /// The device: exit code 3.
    #[error("{0}")]
    Device(String),
}

impl Failure {
    /// The process's exit code.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Check(_) => 1,
            Failure::Input(_) => 2,
            Failure::Device(_) => 3,
        }
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        match error {
            // The model and the data cause it, not the device.
            DeviceError::NotFinite { .. } | DeviceError::Data { .. } => {
                Failure::Input(error.to_string())
            }
            other => Failure::Device(other.to_string()),
        }
    }
}

impl From<stream::Error> for Failure {
    fn from(error: stream::Error) -> Self {
        match error {
            stream::Error::Device(error) => error.into(),
            other => Failure::Input(other.to_string()),
        }
    }
}

impl From<tune::Error> for Failure {
    fn from(error: tune::Error) -> Self {
        match error {
            tune::Error::Stream(error) => error.into(),
            other => Failure::Input(other.to_string()),
        }
    }
}

impl From<debug::Error> for Failure {
    fn from(error: debug::Error) -> Self {
        match error {
            debug::Error::Device(error) => error.into(),
            debug::Error::Stream(error) => error.into(),
            other => Failure::Input(other.to_string()),
        }
    }
}

macro_rules! input {
    ($($error:ty),*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Input(error.to_string())
            }
        })*
    };
}

input!(
    model::Error,
    graph::Error,
    data::Error,
    quantize::Error,
    evaluate::Error
);
