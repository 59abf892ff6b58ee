//! Calibration, int8 quantization and bit-exact verification of TensorFlow Lite (LiteRT) models.
//!
//! A float `.tflite` model and representative data become an int8 model. What it computes is known to the
//! bit before it is deployed: the CPU's integer kernels are the definition and equal LiteRT's reference kernels, the
//! GPU's equal the CPU's. The command line `zeropoint` is a thin layer over this library.
//!
//! # From model to model
//! ```no_run
//! use std::path::Path;
//! use zeropoint::cpu::Cpu;
//! use zeropoint::quantize::{self, Io};
//! use zeropoint::{calibrate, data, graph, kernel, model, simplify, stream};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Without what is known before it runs, and with activations fused.
//! let (float, graph) = simplify::load(model::read(Path::new("model.tflite"))?, "model.tflite")?;
//! let float = simplify::fuse(float, &graph);
//! let program = kernel::prepare(graph::load(&float, "model.tflite")?)?;
//!
//! let options = data::Options::default();
//! let (mut samples, feeds) = stream::open(Path::new("calib.npz"), &program.graph, &options)?;
//! let seen = calibrate::min_max(&Cpu::new(), &program, &mut samples, feeds, None, |_| {})?;
//!
//! let plan = quantize::plan(&program.graph, &seen.ranges, Io::Float)?;
//! let quantized = quantize::apply(&float, &program.graph, &plan)?;
//! model::write(Path::new("model_int8.tflite"), &quantized)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Rooms
//! Data flows one way: [`model`] (the file) → [`graph`] (what it means) → [`kernel`] (parameters, prepared once) →
//! [`cpu`] or [`gpu`] (a [`kernel::Device`]) → [`calibrate`] (what was seen) → [`ranges`] (what is kept of it) → [`quantize`] (plan, then model) →
//! [`evaluate`] (scores, distances) → [`report`] (text). [`simplify`] takes out of a model what is known before it runs,
//! [`check`] holds a file against the 8-bit specification, [`debug`] says which operator of a quantized model hurts. [`data`] reads samples, [`stream`] pumps them to a device, and
//! [`num`] is arithmetic that knows none of the others. ARCHITECTURE.md tells the whole story.

pub mod calibrate;
pub mod check;
pub mod cpu;
pub mod data;
pub mod debug;
pub mod evaluate;
pub mod gpu;
pub mod graph;
pub mod kernel;
pub mod model;
pub mod num;
pub mod quantize;
pub mod ranges;
pub mod report;
pub mod simplify;
pub mod stream;
pub mod tune;
