//! MEAN: the kept and the reduced dimensions as (size, stride) pairs, neighbours merged.

use super::{Context, u32_of};
use crate::graph::Error;
use crate::num::{DType, Multiplier};

/// Most kept, and most reduced, dimensions after merging.
pub const MAX_DIMS: usize = 4;

/// How outputs and summands lie in the input of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mean {
    /// Output elements.
    pub outputs: u32,
    /// Summands of one output.
    pub count: u32,
    /// (size, stride) of the kept dimensions, outermost first, padded with (1, 0) at the front.
    pub kept: [[u32; 2]; MAX_DIMS],
    /// (size, stride) of the reduced dimensions.
    pub reduced: [[u32; 2]; MAX_DIMS],
}

/// The int8 kernel.
#[derive(Debug)]
pub struct MeanI8 {
    /// Geometry.
    pub shape: Mean,
    /// Input scale / (output scale · count), composed as LiteRT does.
    pub multiplier: Multiplier,
    /// Zero point of the input.
    pub input_zero_point: i32,
    /// Zero point of the output.
    pub output_zero_point: i32,
}

pub(super) fn f32(c: Context<'_>) -> Result<Mean, Error> {
    c.expect_dtype(c.output(0)?, DType::F32)?;
    geometry(c)
}

pub(super) fn i8(c: Context<'_>) -> Result<MeanI8, Error> {
    let output = c.output(0)?;
    c.expect_dtype(output, DType::I8)?;
    let shape = geometry(c)?;
    let (input, output) = (c.affine(c.input(0)?)?, c.affine(output)?);
    let base = c.multiplier(f64::from(input.scale) / f64::from(output.scale))?;
    // QuantizedMeanOrSum: the division by the count goes into the mantissa, after as large a shift as is safe.
    let count = i64::from(shape.count);
    let shift = (63 - count.leading_zeros() as i32)
        .min(32)
        .min(31 + base.shift);
    let multiplier = Multiplier {
        mantissa: ((i64::from(base.mantissa) << shift) / count) as i32,
        shift: base.shift - shift,
    };
    Ok(MeanI8 {
        shape,
        multiplier,
        input_zero_point: input.zero_point,
        output_zero_point: output.zero_point,
    })
}

fn geometry(c: Context<'_>) -> Result<Mean, Error> {
    let input = c.shape(c.input(0)?);
    let rank = input.len();
    let mut is_reduced = vec![false; rank];
    for axis in c.i32s(c.input(1)?)? {
        let resolved = if axis < 0 {
            i64::from(axis) + rank as i64
        } else {
            i64::from(axis)
        };
        let slot = usize::try_from(resolved)
            .ok()
            .and_then(|i| is_reduced.get_mut(i));
        *slot.ok_or_else(|| c.error(format!("axis {axis} is outside of rank {rank}")))? = true;
    }
    let mut strides = vec![1usize; rank];
    for i in (1..rank).rev() {
        strides[i - 1] = strides[i] * input[i];
    }
    let outputs: usize = (0..rank)
        .filter(|&i| !is_reduced[i])
        .map(|i| input[i])
        .product();
    let count: usize = (0..rank)
        .filter(|&i| is_reduced[i])
        .map(|i| input[i])
        .product();
    if outputs == 0 || count == 0 {
        return Err(c.error("its input has no elements"));
    }
    c.expect_elements(c.output(0)?, outputs)?;
    let merge = |reduced: bool| -> Result<[[u32; 2]; MAX_DIMS], Error> {
        let mut merged: Vec<[usize; 2]> = Vec::new();
        for i in (0..rank).filter(|&i| is_reduced[i] == reduced && input[i] != 1) {
            match merged.last_mut() {
                // Neighbours in memory: the outer one steps over exactly the inner one.
                Some([size, stride]) if *stride == strides[i] * input[i] => {
                    *size *= input[i];
                    *stride = strides[i];
                }
                _ => merged.push([input[i], strides[i]]),
            }
        }
        if merged.len() > MAX_DIMS {
            return Err(c.error(format!("its axes alternate more than {MAX_DIMS} times")));
        }
        let mut dims = [[1, 0]; MAX_DIMS];
        for (dim, [size, stride]) in dims[MAX_DIMS - merged.len()..].iter_mut().zip(merged) {
            *dim = [u32_of(size), u32_of(stride)];
        }
        Ok(dims)
    };
    Ok(Mean {
        outputs: u32_of(outputs),
        count: u32_of(count),
        kept: merge(false)?,
        reduced: merge(true)?,
    })
}
