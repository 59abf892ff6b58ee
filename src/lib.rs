//! zeropoint: calibration, quantization and bit-exact verification of TensorFlow Lite models.

pub mod calibrate;
pub mod cpu;
pub mod data;
pub mod evaluate;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod model;
pub mod num;
pub mod quantize;
pub mod report;
pub mod stream;
