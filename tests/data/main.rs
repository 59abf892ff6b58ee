//! Data sets as users have them: files that must be read, and files that must be refused with a clear word.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod files;
mod interop;
mod read;
mod refuse;
mod write;
