//! How far a tensor is from a reference, sample by sample: sums for each channel, and counts for integers.
//!
//! Not an operator of a file: the debugger puts it into graphs, behind what it wants to measure. So the figures are made where
//! the values are, on any device, and only they travel.

use super::{Context, Kernel, u32_of};
use crate::graph::Error;
use crate::num::{Affine, DType};

/// Sums of a channel, in this order; d is test − reference, r the reference, both real.
pub mod sums {
    /// Σ d.
    pub const ERROR: usize = 0;
    /// Σ d².
    pub const SQUARED_ERROR: usize = 1;
    /// max |d|.
    pub const MAX_ERROR: usize = 2;
    /// Σ r².
    pub const SQUARED_REFERENCE: usize = 3;
    /// Σ r·d.
    pub const PRODUCT: usize = 4;
    /// min r.
    pub const MIN: usize = 5;
    /// max r.
    pub const MAX: usize = 6;
    /// How many there are.
    pub const LEN: usize = 7;
}

/// Counts of an integer tensor, in this order.
pub mod counts {
    /// Elements whose code is the one that the reference would get.
    pub const EQUAL: usize = 0;
    /// Elements with the lowest code; of 8-bit tensors only where codes are counted.
    pub const LOWEST: usize = 1;
    /// Elements with the highest code; as the lowest.
    pub const HIGHEST: usize = 2;
    /// The first of [`STEPS`] counts of errors by their size in steps of the scale, to the nearest; the outer ones take all
    /// beyond.
    pub const ERRORS: usize = 3;
    /// −16 … 16.
    pub const STEPS: usize = 33;
    /// The first of 256 counts of the codes of 8-bit tensors.
    pub const CODES: usize = ERRORS + STEPS;
}

/// Most channels that are told apart.
pub const MOST_CHANNELS: usize = 4096;

/// One of both outputs: sums, `[channels][sums::LEN]` floats, or counts, as many int32 as the type has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// See [`channels`].
    pub channels: u32,
    /// Elements of one channel in one sample.
    pub rows: u32,
    /// Of an integer tensor.
    pub affine: Option<Affine>,
    /// Whether this is the second output.
    pub counts: bool,
}

/// Channels of a tensor of this shape: its last dimension that is not 1, or none that are told apart if they are too many.
pub fn channels(shape: &[usize]) -> usize {
    match shape.iter().rev().find(|&&n| n != 1) {
        Some(&n) if n <= MOST_CHANNELS => n,
        _ => 1,
    }
}

/// How many counts a type has, with those of codes where there are any.
pub fn counts_of(dtype: DType, codes: bool) -> usize {
    match dtype.size() {
        1 if codes => counts::CODES + 256,
        _ => counts::CODES,
    }
}

pub(super) fn prepare(c: Context<'_>, place: usize) -> Result<Kernel, Error> {
    let (test, reference, output) = (c.input(0)?, c.input(1)?, c.output(place)?);
    c.expect_dtype(reference, DType::F32)?;
    c.expect_shape(reference, c.shape(test))?;
    let dtype = c.tensor(test).dtype;
    let affine = match dtype {
        DType::F32 => None,
        DType::I8 | DType::I16 => Some(c.affine(test)?),
        _ => return Err(c.error(format!("there is no distance of {dtype}"))),
    };
    let channels = channels(c.shape(test));
    let counts = place == 1;
    let expected = if counts { DType::I32 } else { DType::F32 };
    c.expect_dtype(output, expected)?;
    let size = c.graph.elements(output);
    let sizes = [counts_of(dtype, false), counts_of(dtype, true)];
    if !(counts && sizes.contains(&size) || !counts && size == channels * sums::LEN) {
        return Err(c.error("the output does not have the size of what is measured"));
    }
    if counts && affine.is_none() {
        return Err(c.error("floats have no codes to count"));
    }
    Ok(Kernel::Distance(Distance {
        channels: u32_of(channels),
        rows: u32_of(c.graph.elements(test) / channels.max(1)),
        affine,
        counts,
    }))
}
