//! GATHER, GATHER_ND and EMBEDDING_LOOKUP.

use super::operands::Operands;
use crate::kernel::Take;

/// All samples; `T` is as wide as an element.
///
/// # Errors
/// The first index that names no slice.
pub fn take<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
    k: &Take,
    x: Operands<'_>,
    y: &mut [T],
) -> Result<(), i64> {
    let table: &[T] = bytemuck::cast_slice(x.bytes(0));
    let (rows, inner, per_tuple) = (k.rows as usize, k.inner as usize, k.k as usize);
    let indices = k.batch as usize * rows * per_tuple;
    let n = y.len() / x.samples;
    for (s, y) in y.chunks_exact_mut(n).enumerate() {
        let table = x.sample(0, table, s);
        let first = if x.constant(1) { 0 } else { s * indices };
        for (i, y) in y.chunks_exact_mut(inner).enumerate() {
            let (slice, row) = (i / rows, i % rows);
            let batch = slice / k.outer as usize;
            let mut at = 0;
            for j in 0..per_tuple {
                let index = x.index(1, first + (batch * rows + row) * per_tuple + j);
                let size = k.sizes[j] as usize;
                let valid = usize::try_from(index).ok().filter(|&i| i < size);
                at = at * size + valid.ok_or(index)?;
            }
            let from = (slice * k.entries() + at) * inner;
            y.copy_from_slice(&table[from..][..inner]);
        }
    }
    Ok(())
}
