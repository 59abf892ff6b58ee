//! GATHER, GATHER_ND and EMBEDDING_LOOKUP: slices of a table by indices.

use super::{Context, u32_of};
use crate::graph::{Error, TensorId};
use crate::num::DType;

/// Most indices that together name a slice.
pub const MAX_INDICES: usize = 6;

/// Output `[batch, outer, rows, inner]` from a table `[batch, outer, sizes…, inner]` by indices `[batch, rows, k]`.
/// The run-time inputs are table and indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// Batches that table and indices share.
    pub batch: u32,
    /// Slices of the table before the indexed dimension.
    pub outer: u32,
    /// Tuples of indices in a batch.
    pub rows: u32,
    /// Indices of a tuple.
    pub k: u32,
    /// Sizes of the indexed dimensions; 1 behind the k-th.
    pub sizes: [u32; MAX_INDICES],
    /// Elements of a slice.
    pub inner: u32,
}

impl Take {
    /// Elements of the indexed dimensions.
    pub fn entries(&self) -> usize {
        self.sizes.iter().map(|&s| s as usize).product()
    }
}

fn indices(c: Context<'_>, id: TensorId) -> Result<(), Error> {
    match c.tensor(id).dtype {
        DType::I32 | DType::I64 => Ok(()),
        other => Err(c.error(format!(
            "its indices {} are {other}, expected int32 or int64",
            c.graph.describe(id)
        ))),
    }
}

fn product(dims: &[usize]) -> u32 {
    u32_of(dims.iter().product())
}

fn finish(c: Context<'_>, table: TensorId, shape: &[usize], take: Take) -> Result<Take, Error> {
    let output = c.output(0)?;
    c.expect_dtype(output, c.tensor(table).dtype)?;
    c.expect_shape(output, shape)?;
    Ok(take)
}

pub(super) fn gather(c: Context<'_>, axis: i32, batch_dims: i32) -> Result<Take, Error> {
    let (table, ids) = (c.input(0)?, c.input(1)?);
    indices(c, ids)?;
    let (shape, index) = (c.shape(table), c.shape(ids));
    let axis = c.axis(i64::from(axis), shape.len())?;
    let batch_dims = i64::from(batch_dims);
    let batch = if batch_dims < 0 {
        batch_dims + index.len() as i64
    } else {
        batch_dims
    };
    let batch = usize::try_from(batch).unwrap_or(usize::MAX);
    if batch > axis || batch > index.len() || shape[..batch] != index[..batch] {
        return Err(c.error(format!(
            "{batch_dims} batch dimensions do not fit a table {shape:?} and indices {index:?}"
        )));
    }
    let mut sizes = [1; MAX_INDICES];
    sizes[0] = u32_of(shape[axis]);
    let take = Take {
        batch: product(&shape[..batch]),
        outer: product(&shape[batch..axis]),
        rows: product(&index[batch..]),
        k: 1,
        sizes,
        inner: product(&shape[axis + 1..]),
    };
    let out = [&shape[..axis], &index[batch..], &shape[axis + 1..]].concat();
    finish(c, table, &out, take)
}

pub(super) fn gather_nd(c: Context<'_>) -> Result<Take, Error> {
    let (table, ids) = (c.input(0)?, c.input(1)?);
    indices(c, ids)?;
    let (shape, index) = (c.shape(table), c.shape(ids));
    let k = index.last().copied().unwrap_or(0);
    if k == 0 || k > shape.len() || k > MAX_INDICES {
        return Err(c.error(format!("indices {index:?} do not name slices of {shape:?}")));
    }
    let mut sizes = [1; MAX_INDICES];
    for (to, &from) in sizes.iter_mut().zip(&shape[..k]) {
        *to = u32_of(from);
    }
    let take = Take {
        batch: 1,
        outer: 1,
        rows: product(&index[..index.len() - 1]),
        k: u32_of(k),
        sizes,
        inner: product(&shape[k..]),
    };
    let out = [&index[..index.len() - 1], &shape[k..]].concat();
    finish(c, table, &out, take)
}

pub(super) fn embedding(c: Context<'_>) -> Result<Take, Error> {
    let (ids, table) = (c.input(0)?, c.input(1)?);
    c.expect_dtype(ids, DType::I32)?;
    let shape = c.shape(table);
    let [rows] = c.shape_of_rank::<1>(ids)?;
    let Some((&first, rest)) = shape.split_first() else {
        return Err(c.error("its table is a scalar"));
    };
    let mut sizes = [1; MAX_INDICES];
    sizes[0] = u32_of(first);
    let take = Take {
        batch: 1,
        outer: 1,
        rows: u32_of(rows),
        k: 1,
        sizes,
        inner: product(rest),
    };
    finish(c, table, &[&[rows], rest].concat(), take)
}
