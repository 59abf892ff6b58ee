//! Pure arithmetic and plain values. Knows no graph, no model and no device.

pub mod affine;
mod dynamic;
pub mod fixed;
pub mod gemmlowp;
pub mod histogram;
mod range;
mod values;

pub use affine::Affine;
pub use dynamic::RowParameters;
pub use fixed::{Multiplier, Rounding};
pub use histogram::Histogram;
pub use range::Range;
pub use values::{DType, Values};
