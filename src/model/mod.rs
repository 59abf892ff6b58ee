//! `.tflite` files: bytes ⇄ an owned tree of the whole TFLite schema, version 3.
//!
//! This room knows the file format and nothing of its meaning: indices may point nowhere, shapes may be absurd. What a
//! model says is judged when a graph is made of it.
//!
//! # What is kept
//! Every field of the schema: all subgraphs, signatures, metadata, custom options, sparsity, StableHLO options. So
//! `parse(&to_bytes(&model)?)? == model` (compare the bytes where floats may be NaN). A vector that is absent (`None`)
//! stays apart from one that is empty. Fields that hold an enum are plain integers, so that values newer than the
//! schema survive; [`TensorType`], [`Padding`] and the others give the names: `TensorType::Int8 as i8`,
//! `TensorType::try_from(tensor.type_)`. What the file stores outside the FlatBuffer (`Buffer.offset`/`size`,
//! `Operator.large_custom_options_offset`/`size`) is read into the tree, where those four fields are always 0.
//!
//! Not kept, because it is not content: the order of tables in the file, sharing of equal tables, the padding between
//! them, and a union's tag without a value.
//!
//! # Hostile files
//! A FlatBuffer may point at one table many times, so that a small file stands for a huge tree. Every table is charged
//! to a budget of 8 bytes a byte of file plus 16 MiB before the next one is read; see [`Error::TooLarge`].
//!
//! # Layout of the files written
//! header (offset of the root, `TFL3`) · the tree · the data of the buffers. Data starts at multiples of 16 bytes, as
//! the schema asks for (it lets readers map the file), with its length in the 4 bytes before. If that would pass the
//! 2 GiB a FlatBuffer can address, the data lies behind the FlatBuffer instead, named by `Buffer.offset` and `size`.
//! Equal files come from equal trees.
//!
//! # Where the types come from
//! `schema.fbs` is derived from the Python package ai-edge-litert, and `generated.rs` from `schema.fbs`. From the root
//! of the repository, with that package in `.venv` and `planus-cli` 1.3 installed:
//! ```text
//! .venv/bin/python tools/derive_schema.py -o src/model/schema.fbs
//! planus rust -o src/model/generated.rs src/model/schema.fbs
//! ```

mod budget;
mod error;
#[allow(
    missing_docs,
    unsafe_code,
    unused_imports,
    rust_2018_idioms,
    clippy::all,
    clippy::cast_lossless,
    clippy::cloned_instead_of_copied,
    clippy::explicit_iter_loop,
    clippy::manual_let_else,
    clippy::redundant_closure_for_method_calls,
    clippy::semicolon_if_nothing_returned,
    clippy::uninlined_format_args,
    reason = "written by planus; its unsafe blocks fill byte slices whose length it has just reserved"
)]
#[rustfmt::skip]
mod generated;
mod operator_name;
mod read;
mod write;

pub use error::Error;
pub use generated::tflite::*;
pub use operator_name::{builtin_code, operator_name};
pub use read::{parse, read};
pub use write::{to_bytes, write};

/// What stands in bytes 4 to 8 of every TFLite file of schema version 3.
const IDENTIFIER: [u8; 4] = *b"TFL3";

/// The schema version this room reads and writes (`Model.version`).
const VERSION: u32 = 3;

/// The most bytes a FlatBuffer can address: its offsets are taken as signed 32-bit numbers.
const MAX_FLATBUFFER: usize = i32::MAX as usize;
