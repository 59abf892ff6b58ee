//! Sparse constants as dense ones.
//!
//! A file stores a sparse tensor as a tree of dimensions (`SparsityParameters`): the tensor's own, in `traversal_order`,
//! then those of blocks; `block_map` says which dimension each of them cuts. A dense level visits every index, a
//! compressed one (CSR) the indices between two segments. The values lie in the order in which the tree is walked. The
//! rules are those of LiteRT's `FormatConverter` (`tflite/kernels/internal/utils/sparsity_format_converter.cc`).

use crate::model::{DimensionMetadata, SparseIndexVector, SparsityParameters};

/// How much larger than its values a dense tensor may be: a small file could fill any memory.
const MOST_EXPANDED: usize = 1024;
/// Most dimensions and blocks together.
const MOST_LEVELS: usize = 16;

/// A level of the tree.
enum Level {
    Dense(usize),
    /// Segments and indices.
    Compressed(Vec<usize>, Vec<usize>),
}

/// The bytes of the dense tensor of `shape`, whose elements take `size` bytes.
///
/// # Errors
/// What is wrong with the description or with the number of values.
pub(super) fn dense(
    sparsity: &SparsityParameters,
    shape: &[usize],
    size: usize,
    values: &[u8],
) -> Result<Vec<u8>, String> {
    let layout = Layout::new(sparsity, shape)?;
    let bytes = shape.iter().product::<usize>() * size;
    if bytes / MOST_EXPANDED > values.len() + 64 {
        return Err(format!(
            "its {} bytes of values would become {bytes}",
            values.len()
        ));
    }
    let mut dense = vec![0; bytes];
    let mut values = values.chunks_exact(size);
    let mut index = vec![0; layout.levels.len()];
    // Without a level of no length every step reads a value or a segment, so the walk ends.
    if layout.levels.iter().any(|l| matches!(l, Level::Dense(0))) {
        return Ok(dense);
    }
    layout.walk(0, 0, &mut index, &mut |at| {
        let value = values
            .next()
            .ok_or("it has fewer values than its sparsity")?;
        // A corner of a block may stick out of the tensor; LiteRT pads there.
        if let Some(at) = at {
            dense[at * size..][..size].copy_from_slice(value);
        }
        Ok(())
    })?;
    match values.next() {
        None => Ok(dense),
        Some(_) => Err("it has more values than its sparsity".into()),
    }
}

struct Layout {
    levels: Vec<Level>,
    /// For each level, the dimension it counts in and how many elements one step of it is.
    steps: Vec<(usize, usize)>,
    shape: Vec<usize>,
}

impl Layout {
    fn new(sparsity: &SparsityParameters, shape: &[usize]) -> Result<Self, String> {
        let unsigned = |list: &Option<Vec<i32>>| {
            let list = list.as_deref().unwrap_or_default().iter();
            list.map(|&i| usize::try_from(i).map_err(|_| "its sparsity has negative numbers"))
                .collect::<Result<Vec<_>, _>>()
        };
        let order = unsigned(&sparsity.traversal_order)?;
        let blocked = unsigned(&sparsity.block_map)?;
        let metadata = sparsity.dim_metadata.as_deref().unwrap_or_default();
        let rank = shape.len();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if sorted != (0..rank + blocked.len()).collect::<Vec<_>>()
            || metadata.len() != order.len()
            || order.len() > MOST_LEVELS
            || order.iter().skip(rank).any(|&level| level < rank)
            || blocked.iter().any(|&dimension| dimension >= rank)
        {
            return Err("its sparsity does not fit its shape".into());
        }
        let levels = metadata.iter().map(level).collect::<Result<Vec<_>, _>>()?;
        let mut block = vec![1; rank];
        let mut steps = vec![(0, 1); order.len()];
        // Blocks are the innermost levels; their own steps are single elements.
        for (&level, place) in order[rank..].iter().zip(rank..) {
            let dimension = blocked[level - rank];
            let Level::Dense(length) = levels[place] else {
                return Err("the dimensions of its blocks are not dense".into());
            };
            if std::mem::replace(&mut block[dimension], length) != 1 {
                return Err("a dimension has two blocks".into());
            }
            steps[place] = (dimension, 1);
        }
        for (&dimension, place) in order[..rank].iter().zip(0..) {
            steps[place] = (dimension, block[dimension]);
        }
        Ok(Self {
            levels,
            steps,
            shape: shape.to_vec(),
        })
    }

    /// Calls `visit` with the place of every value, or with `None` where that is outside of the tensor. `position` is
    /// the number of the node among those of its level.
    fn walk(
        &self,
        level: usize,
        position: usize,
        index: &mut [usize],
        visit: &mut dyn FnMut(Option<usize>) -> Result<(), String>,
    ) -> Result<(), String> {
        if level == self.levels.len() {
            return visit(self.place(index));
        }
        match &self.levels[level] {
            &Level::Dense(length) => {
                for i in 0..length {
                    index[level] = i;
                    let position = position.saturating_mul(length).saturating_add(i);
                    self.walk(level + 1, position, index, visit)?;
                }
            }
            Level::Compressed(segments, indices) => {
                let range = segments
                    .get(position)
                    .zip(segments.get(position.saturating_add(1)))
                    .filter(|(from, to)| from <= to && **to <= indices.len())
                    .ok_or("the segments of its sparsity are out of order")?;
                let (from, to) = (*range.0, *range.1);
                for (at, &i) in (from..to).zip(&indices[from..to]) {
                    index[level] = i;
                    self.walk(level + 1, at, index, visit)?;
                }
            }
        }
        Ok(())
    }

    fn place(&self, index: &[usize]) -> Option<usize> {
        let mut at = vec![0usize; self.shape.len()];
        for (&i, &(dimension, step)) in index.iter().zip(&self.steps) {
            at[dimension] = at[dimension].checked_add(i.checked_mul(step)?)?;
        }
        at.iter()
            .zip(&self.shape)
            .try_fold(0, |place, (&i, &length)| {
                (i < length).then_some(place * length + i)
            })
    }
}

fn level(metadata: &DimensionMetadata) -> Result<Level, String> {
    match metadata.format {
        0 => usize::try_from(metadata.dense_size)
            .map(Level::Dense)
            .map_err(|_| "its sparsity has a negative size".into()),
        1 => {
            let list = |vector: &Option<SparseIndexVector>| match vector {
                Some(SparseIndexVector::Int32Vector(v)) => numbers(v.values.as_deref()),
                Some(SparseIndexVector::Uint16Vector(v)) => numbers(v.values.as_deref()),
                Some(SparseIndexVector::Uint8Vector(v)) => numbers(v.values.as_deref()),
                None => Some(Vec::new()),
            };
            list(&metadata.array_segments)
                .zip(list(&metadata.array_indices))
                .map(|(segments, indices)| Level::Compressed(segments, indices))
                .ok_or_else(|| "its sparsity has a negative index".into())
        }
        other => Err(format!("format {other} of its sparsity is not known")),
    }
}

fn numbers<T: Copy + TryInto<usize>>(list: Option<&[T]>) -> Option<Vec<usize>> {
    let list = list.unwrap_or_default().iter();
    list.map(|&i| i.try_into().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Int32Vector, Uint8Vector};
    use proptest::prelude::*;

    fn level() -> impl Strategy<Value = DimensionMetadata> {
        let list = prop::collection::vec(-1i32..6, 0..8);
        let dense = (-1i32..1 << 30).prop_map(|n| if n % 3 == 0 { n } else { n % 5 });
        (0i8..3, dense, list.clone(), list).prop_map(|(format, dense_size, segments, indices)| {
            let indices = indices.iter().map(|&i| i as u8).collect();
            DimensionMetadata {
                format,
                dense_size,
                array_segments: Some(SparseIndexVector::Int32Vector(Box::new(Int32Vector {
                    values: Some(segments),
                }))),
                array_indices: Some(SparseIndexVector::Uint8Vector(Box::new(Uint8Vector {
                    values: Some(indices),
                }))),
            }
        })
    }

    proptest! {
        /// Whatever a file says, the walk ends, and what it gives has the tensor's size.
        #[test]
        fn any_description_is_dense_or_refused(
            levels in prop::collection::vec(level(), 0..5),
            order in prop::collection::vec(-1i32..5, 0..5),
            sorted in any::<bool>(),
            blocks in prop::collection::vec(-1i32..3, 0..3),
            shape in prop::collection::vec(0usize..5, 0..4),
            values in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let order = if sorted { (0..levels.len() as i32).collect() } else { order };
            let sparsity = SparsityParameters {
                traversal_order: Some(order),
                block_map: Some(blocks),
                dim_metadata: Some(levels),
            };
            if let Ok(bytes) = dense(&sparsity, &shape, 2, &values) {
                prop_assert_eq!(bytes.len(), 2 * shape.iter().product::<usize>());
            }
        }
    }

    #[test]
    fn a_small_file_does_not_fill_the_memory() {
        let one = DimensionMetadata {
            format: 1,
            ..DimensionMetadata::default()
        };
        let sparsity = SparsityParameters {
            traversal_order: Some(vec![0]),
            dim_metadata: Some(vec![one]),
            ..SparsityParameters::default()
        };
        let error = dense(&sparsity, &[1 << 30], 4, &[]).expect_err("4 GiB of nothing");
        assert!(error.contains("would become"), "{error}");
    }
}
