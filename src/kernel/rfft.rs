//! RFFT2D: the Fourier transform of real images over the last two dimensions, half of its columns.

use super::{Context, u32_of};
use crate::graph::Error;
use crate::num::DType;

/// Sizes in one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfft {
    /// Images.
    pub images: u32,
    /// Height and width of an image.
    pub input: [u32; 2],
    /// Height and width of the transform, powers of two: the image is cut or padded with zeros.
    pub lengths: [u32; 2],
}

impl Rfft {
    /// Columns of the result.
    pub fn columns(&self) -> u32 {
        self.lengths[1] / 2 + 1
    }
}

pub(super) fn prepare(c: Context<'_>) -> Result<Rfft, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_dtype(output, DType::C64)?;
    let shape = c.shape(input);
    let Some((outer, &[h, w])) = shape.split_last_chunk::<2>() else {
        return Err(c.error("its input has a rank below 2"));
    };
    let lengths = c.integers(c.input(1)?)?;
    let power = |n: &i64| (1..1 << 24).contains(n) && n & (n - 1) == 0;
    let &[fft_h, fft_w] = lengths.as_slice() else {
        return Err(c.error(format!("its lengths {lengths:?} are not two numbers")));
    };
    if !power(&fft_h) || !power(&fft_w) {
        return Err(c.error(format!(
            "its lengths {lengths:?} are not powers of two, which LiteRT demands"
        )));
    }
    let expected = [outer, &[fft_h as usize, fft_w as usize / 2 + 1]].concat();
    c.expect_shape(output, &expected)?;
    Ok(Rfft {
        images: u32_of(outer.iter().product()),
        input: [u32_of(h), u32_of(w)],
        lengths: [fft_h as u32, fft_w as u32],
    })
}
