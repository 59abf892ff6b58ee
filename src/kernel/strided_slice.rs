//! STRIDED_SLICE: output element (i…) is input element base + Σ iₖ · stepₖ.

use super::Context;
use crate::graph::{Error, StridedSlice};

/// A slice of an input.
pub(super) struct Slice {
    /// Shape of the output.
    pub dims: Vec<usize>,
    /// Step in the input along each dimension; negative for reversed ones.
    pub steps: Vec<i64>,
    /// First element.
    pub base: i64,
}

pub(super) fn slice(c: Context<'_>, a: &StridedSlice) -> Result<Slice, Error> {
    let shape = c.shape(c.input(0)?);
    let (begin, end, step) = (
        c.integers(c.input(1)?)?,
        c.integers(c.input(2)?)?,
        c.integers(c.input(3)?)?,
    );
    let entries = begin.len();
    if end.len() != entries || step.len() != entries || entries > 32 {
        return Err(c.error("begin, end and strides differ in length"));
    }
    let bit = |mask: u32, i: usize| mask >> i & 1 == 1;
    if a.ellipsis_mask.count_ones() > 1 {
        return Err(c.error("it has more than one ellipsis"));
    }
    let ellipsis = (0..entries).find(|&i| bit(a.ellipsis_mask, i));
    let new_axes = (0..entries)
        .filter(|&i| bit(a.new_axis_mask, i) && Some(i) != ellipsis)
        .count();
    let named = entries - new_axes - usize::from(ellipsis.is_some());
    let full = shape.len().checked_sub(named).ok_or_else(|| {
        c.error(format!(
            "it slices {named} dimensions of a tensor of rank {}",
            shape.len()
        ))
    })?;
    let mut strides = vec![1i64; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i] as i64;
    }
    let (mut dims, mut steps, mut base, mut axis) = (Vec::new(), Vec::new(), 0i64, 0usize);
    let take_all = |n: usize, axis: &mut usize, dims: &mut Vec<usize>, steps: &mut Vec<i64>| {
        for _ in 0..n {
            dims.push(shape[*axis]);
            steps.push(strides[*axis]);
            *axis += 1;
        }
    };
    for i in 0..entries {
        if Some(i) == ellipsis {
            take_all(full, &mut axis, &mut dims, &mut steps);
            continue;
        }
        if bit(a.new_axis_mask, i) {
            dims.push(1);
            steps.push(0);
            continue;
        }
        let size = shape[axis] as i64;
        let stride = step[i];
        if stride == 0 {
            return Err(c.error("a stride is 0"));
        }
        let absolute = |x: i64| if x < 0 { x.saturating_add(size) } else { x };
        // The first and one-past-last index that a slice may name, by direction.
        let (low, high) = if stride > 0 {
            (0, size)
        } else {
            (-1, size - 1)
        };
        let shrink = bit(a.shrink_axis_mask, i);
        let start = if bit(a.begin_mask, i) && !shrink {
            if stride > 0 { 0 } else { size - 1 }
        } else {
            absolute(begin[i]).clamp(low, high)
        };
        let count = if shrink {
            let index = absolute(begin[i]);
            if !(0..size).contains(&index) {
                return Err(c.error(format!(
                    "index {} is outside of dimension {axis} of size {size}",
                    begin[i]
                )));
            }
            base += index * strides[axis];
            axis += 1;
            continue;
        } else {
            let stop = if bit(a.end_mask, i) {
                if stride > 0 { size } else { -1 }
            } else if a.offset {
                start.saturating_add(end[i]).clamp(low, high)
            } else {
                absolute(end[i]).clamp(low, high)
            };
            let span = if stride > 0 {
                stop - start
            } else {
                start - stop
            };
            span.max(0).unsigned_abs().div_ceil(stride.unsigned_abs())
        };
        base += start.clamp(0, (size - 1).max(0)) * strides[axis];
        dims.push(count as usize);
        steps.push(strides[axis] * stride);
        axis += 1;
    }
    let rest = shape.len() - axis;
    take_all(rest, &mut axis, &mut dims, &mut steps);
    Ok(Slice { dims, steps, base })
}
