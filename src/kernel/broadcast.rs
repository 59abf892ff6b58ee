//! How operands walk along an output: elementwise operators with broadcasting, as strides over the output's dimensions.

use super::{Context, u32_of};
use crate::graph::{Error, TensorId};

/// Most dimensions after neighbours that lie together in all operands are merged.
pub const MAX_RANK: usize = 6;

/// Shape of the output and how each of `N` operands walks along it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Broadcast<const N: usize> {
    /// Output dimensions, outermost first, padded with 1 at the front.
    pub dims: [u32; MAX_RANK],
    /// Step of each operand along each dimension; 0 where it is broadcast.
    pub strides: [[u32; MAX_RANK]; N],
    /// Whether all operands have the output's shape.
    pub same_shape: bool,
}

impl<const N: usize> Broadcast<N> {
    /// Operands of the output's shape, of so many elements.
    pub fn same(elements: u32) -> Self {
        let mut dims = [1; MAX_RANK];
        dims[MAX_RANK - 1] = elements;
        let mut stride = [0; MAX_RANK];
        stride[MAX_RANK - 1] = 1;
        Broadcast {
            dims,
            strides: [stride; N],
            same_shape: true,
        }
    }

    /// The operands' elements that meet in each output element of a row: calls `f` with the first output element of
    /// every innermost row, and the operands' elements there.
    pub fn rows(&self, mut f: impl FnMut(usize, [usize; N])) {
        let row = self.dims[MAX_RANK - 1] as usize;
        let rows: usize = self.dims[..MAX_RANK - 1]
            .iter()
            .map(|&d| d as usize)
            .product();
        let mut index = [0u32; MAX_RANK - 1];
        let mut at = [0usize; N];
        for i in 0..rows {
            f(i * row, at);
            // Counts up like an odometer, moving the operands along.
            for d in (0..MAX_RANK - 1).rev() {
                index[d] += 1;
                for (at, strides) in at.iter_mut().zip(&self.strides) {
                    *at += strides[d] as usize;
                }
                if index[d] < self.dims[d] {
                    break;
                }
                for (at, strides) in at.iter_mut().zip(&self.strides) {
                    *at -= strides[d] as usize * self.dims[d] as usize;
                }
                index[d] = 0;
            }
        }
    }

    /// Steps of the operands along a row.
    pub fn steps(&self) -> [usize; N] {
        self.strides.map(|s| s[MAX_RANK - 1] as usize)
    }
}

/// Prepares operands; missing outer dimensions count as 1.
pub(super) fn broadcast<const N: usize>(
    c: Context<'_>,
    operands: [TensorId; N],
) -> Result<Broadcast<N>, Error> {
    let out = c.shape(c.output(0)?);
    let size_in = |id: TensorId, i: usize| {
        let shape = c.shape(id);
        (i + shape.len())
            .checked_sub(out.len())
            .map_or(1, |j| shape[j])
    };
    let fits = |i: usize| {
        let expected = operands.iter().map(|&id| size_in(id, i)).find(|&n| n != 1);
        let expected = expected.unwrap_or(1);
        out[i] == expected
            && operands
                .iter()
                .all(|&id| [1, expected].contains(&size_in(id, i)))
    };
    let ranks = operands.iter().map(|&id| c.shape(id).len()).max();
    // The ranks first: a scalar has no dimension that could tell.
    if ranks != Some(out.len()) || !(0..out.len()).all(fits) {
        let shapes: Vec<String> = operands
            .iter()
            .map(|&id| format!("{:?}", c.shape(id)))
            .collect();
        let shapes = shapes.join(" and ");
        return Err(c.error(format!("shapes {shapes} do not broadcast to {out:?}")));
    }
    if operands.iter().all(|&id| c.shape(id) == out) {
        return Ok(Broadcast::same(u32_of(out.iter().product())));
    }
    let mut steps = [1usize; N];
    // Size and strides, innermost first, neighbours merged.
    let mut merged: Vec<(usize, [usize; N])> = Vec::new();
    for i in (0..out.len()).rev().filter(|&i| out[i] != 1) {
        let mut strides = [0; N];
        for (operand, &id) in operands.iter().enumerate() {
            let size = size_in(id, i);
            strides[operand] = if size == 1 { 0 } else { steps[operand] };
            steps[operand] *= size;
        }
        match merged.last_mut() {
            Some((size, inner)) if (0..N).all(|k| strides[k] == inner[k] * *size) => {
                *size *= out[i];
            }
            _ => merged.push((out[i], strides)),
        }
    }
    if merged.len() > MAX_RANK {
        return Err(c.error(format!(
            "it broadcasts over {} dimensions, more than {MAX_RANK}",
            merged.len()
        )));
    }
    let mut result = Broadcast {
        dims: [1; MAX_RANK],
        strides: [[0; MAX_RANK]; N],
        same_shape: false,
    };
    for (back, (size, strides)) in merged.into_iter().enumerate() {
        let d = MAX_RANK - 1 - back;
        result.dims[d] = u32_of(size);
        for (to, from) in result.strides.iter_mut().zip(strides) {
            to[d] = u32_of(from);
        }
    }
    Ok(result)
}
