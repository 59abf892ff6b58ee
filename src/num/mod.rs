//! Pure arithmetic and plain values. Knows no graph, no model and no device.

mod values;

pub use values::{DType, Values};
