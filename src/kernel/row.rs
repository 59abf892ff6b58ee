//! CUMSUM, TOPK_V2 and ONE_HOT: lines of a tensor, `[outer, size, inner]`, worked on one by one.

use super::{Context, Kernel, u32_of};
use crate::graph::Error;
use crate::num::DType;

/// Where lines lie in one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// Elements before the dimension.
    pub outer: u32,
    /// Elements of a line.
    pub size: u32,
    /// Distance within a line.
    pub inner: u32,
}

/// Running sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cumsum {
    /// Lines.
    pub lines: Lines,
    /// Whether an element is left out of its own sum.
    pub exclusive: bool,
    /// Whether sums run from the end.
    pub reverse: bool,
}

/// The largest of each line, in descending order, the first of equals first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    /// Lines; `inner` is 1.
    pub lines: Lines,
    /// How many.
    pub k: u32,
    /// Whether the result is where they are, as int32, in place of what they are.
    pub indices: bool,
}

/// A line for each index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneHot {
    /// Lines of the output; its indices are `[outer, inner]`.
    pub lines: Lines,
    /// Value at the index.
    pub on: f32,
    /// Value elsewhere.
    pub off: f32,
}

fn lines(shape: &[usize], axis: usize) -> Lines {
    Lines {
        outer: u32_of(shape[..axis].iter().product()),
        size: u32_of(shape[axis]),
        inner: u32_of(shape[axis + 1..].iter().product()),
    }
}

pub(super) fn cumsum(c: Context<'_>, exclusive: bool, reverse: bool) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let dtype = c.tensor(input).dtype;
    if !matches!(dtype, DType::F32 | DType::I32 | DType::I64) {
        return Err(c.error(format!("its input is {dtype}")));
    }
    c.expect_dtype(output, dtype)?;
    c.expect_shape(output, c.shape(input))?;
    let axis = c.axis(c.scalar(c.input(1)?)?, c.shape(input).len())?;
    Ok(Kernel::Cumsum(Cumsum {
        lines: lines(c.shape(input), axis),
        exclusive,
        reverse,
    }))
}

pub(super) fn top_k(c: Context<'_>, place: usize) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(place)?);
    c.expect_dtype(input, DType::F32)?;
    c.expect_dtype(output, if place == 0 { DType::F32 } else { DType::I32 })?;
    let mut shape = c.shape(input).to_vec();
    let Some(last) = shape.len().checked_sub(1) else {
        return Err(c.error("its input is a scalar"));
    };
    let k = c.scalar(c.input(1)?)?;
    let k = usize::try_from(k)
        .ok()
        .filter(|&k| k > 0 && k <= shape[last]);
    let k = k.ok_or_else(|| c.error("its k is not between 1 and the last dimension"))?;
    let lines = lines(&shape, last);
    shape[last] = k;
    c.expect_shape(output, &shape)?;
    Ok(Kernel::TopK(TopK {
        lines,
        k: u32_of(k),
        indices: place == 1,
    }))
}

pub(super) fn one_hot(c: Context<'_>, axis: i32) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    c.expect_dtype(input, DType::I32)?;
    c.expect_dtype(output, DType::F32)?;
    let depth = c.scalar(c.input(1)?)?;
    let depth = usize::try_from(depth).ok().filter(|&d| d < 1 << 31);
    let depth = depth.ok_or_else(|| c.error("its depth is negative or too large"))?;
    let mut shape = c.shape(input).to_vec();
    let axis = c.axis(i64::from(axis), shape.len() + 1)?;
    shape.insert(axis, depth);
    c.expect_shape(output, &shape)?;
    let value = |i: usize| -> Result<f32, Error> {
        match c.f32s(c.input(i)?)?[..] {
            [x] => Ok(x),
            _ => Err(c.error(format!("input {i} is not one number"))),
        }
    };
    Ok(Kernel::OneHot(OneHot {
        lines: lines(&shape, axis),
        on: value(2)?,
        off: value(3)?,
    }))
}
