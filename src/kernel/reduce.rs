//! Operators that bring axes down to one value: the kept and the reduced dimensions as (size, stride) pairs, neighbours
//! merged.

use super::{Context, Kernel, u32_of, xnnpack};
use crate::graph::{Error, Reduce};
use crate::num::{DType, Multiplier};

/// Most kept, and most reduced, dimensions after merging.
pub const MAX_DIMS: usize = 4;

/// How outputs and the elements of each lie in the input of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axes {
    /// Output elements.
    pub outputs: u32,
    /// Elements of one output.
    pub count: u32,
    /// (size, stride) of the kept dimensions, outermost first, padded with (1, 0) at the front.
    pub kept: [[u32; 2]; MAX_DIMS],
    /// (size, stride) of the reduced dimensions.
    pub reduced: [[u32; 2]; MAX_DIMS],
}

/// Of floats, int32, int64, bool, or int8 whose parameters stay: no value is rescaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReduceOf {
    /// What is made of the elements.
    pub op: Reduce,
    /// Geometry.
    pub shape: Axes,
}

/// The int8 kernel of MEAN.
#[derive(Debug)]
pub struct MeanI8 {
    /// Geometry.
    pub shape: Axes,
    /// Input scale / (output scale · count), composed as LiteRT does.
    pub multiplier: Multiplier,
    /// Zero point of the input.
    pub input_zero_point: i32,
    /// Zero point of the output.
    pub output_zero_point: i32,
    /// XNNPACK's factor and zero point of a sum, in place of all that.
    pub float: Option<(f32, f32)>,
}

/// ARG_MAX and ARG_MIN; the first of equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Largest or smallest.
    pub largest: bool,
    /// Geometry; the one reduced dimension is the last.
    pub shape: Axes,
}

pub(super) fn prepare(c: Context<'_>, op: Reduce) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let dtype = c.tensor(input).dtype;
    c.expect_dtype(output, dtype)?;
    let shape = geometry(c, &c.integers(c.input(1)?)?)?;
    let logical = matches!(op, Reduce::Any | Reduce::All);
    match (op, dtype) {
        (_, DType::I16) => super::int16::reduce(c, op, shape).map(Kernel::Int16),
        (Reduce::Mean, DType::I8) => mean(c, shape).map(Kernel::MeanI8),
        (Reduce::Sum, DType::I8) => Err(c.error(
            "LiteRT's reference kernel takes int8 for uint8 here, and its default kernel does not; leave it float",
        )),
        (Reduce::Max | Reduce::Min, DType::I8) => {
            let (from, to) = (c.affine(input)?, c.affine(output)?);
            if from != to {
                return Err(c.error(
                    "its input and output have different scales or zero points, which LiteRT refuses",
                ));
            }
            Ok(Kernel::ReduceI8(ReduceOf { op, shape }))
        }
        (_, DType::F32) if !logical => Ok(Kernel::ReduceF32(ReduceOf { op, shape })),
        (_, DType::I32 | DType::I64) if !logical => Ok(Kernel::ReduceInt(ReduceOf { op, shape })),
        (Reduce::Any | Reduce::All, DType::Bool) => Ok(Kernel::ReduceInt(ReduceOf { op, shape })),
        _ => Err(c.error(format!(
            "its input is {dtype}; `zeropoint ops` lists the types it can take"
        ))),
    }
}

/// MEAN of int8 and of int16.
pub(super) fn mean(c: Context<'_>, shape: Axes) -> Result<MeanI8, Error> {
    let dtype = c.tensor(c.input(0)?).dtype;
    let (input, output) = (c.affine(c.input(0)?)?, c.affine(c.output(0)?)?);
    let base = c.multiplier(f64::from(input.scale) / f64::from(output.scale))?;
    // QuantizedMeanOrSum: the division by the count goes into the mantissa, after as large a shift as is safe.
    let count = i64::from(shape.count);
    let shift = (63 - count.leading_zeros() as i32)
        .min(32)
        .min(31 + base.shift);
    let multiplier = Multiplier {
        mantissa: ((i64::from(base.mantissa) << shift) / count) as i32,
        shift: base.shift - shift,
        ..base
    };
    Ok(MeanI8 {
        shape,
        multiplier,
        input_zero_point: input.zero_point,
        output_zero_point: output.zero_point,
        float: match dtype {
            DType::I8 => xnnpack::mean(c, shape.count, input, output),
            _ => None,
        },
    })
}

pub(super) fn arg(c: Context<'_>, largest: bool) -> Result<Arg, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    if !matches!(c.tensor(output).dtype, DType::I32 | DType::I64) {
        return Err(c.error("its output is neither int32 nor int64"));
    }
    let dtype = c.tensor(input).dtype;
    if !matches!(dtype, DType::F32 | DType::I8 | DType::U8 | DType::I32) {
        return Err(c.error(format!("its input is {dtype}")));
    }
    let axis = c.scalar(c.input(1)?)?;
    Ok(Arg {
        largest,
        shape: geometry(c, &[axis])?,
    })
}

fn geometry(c: Context<'_>, axes: &[i64]) -> Result<Axes, Error> {
    let input = c.shape(c.input(0)?);
    let rank = input.len();
    let mut is_reduced = vec![false; rank];
    for &axis in axes {
        is_reduced[c.axis(axis, rank)?] = true;
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
    Ok(Axes {
        outputs: u32_of(outputs),
        count: u32_of(count),
        kept: merge(false)?,
        reduced: merge(true)?,
    })
}
