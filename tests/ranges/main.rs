//! Methods that choose ranges: their promises over random values, their formulas against numpy on the values themselves,
//! and the real program with LiteRT behind it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod formulas;
mod onnxruntime;
mod program;
mod properties;
