//! SELECT and SELECT_V2.

use super::operands::Operands;
use crate::kernel::Select;

/// All samples; `T` is as wide as an element.
pub fn select<T: bytemuck::AnyBitPattern>(k: &Select, x: Operands<'_>, y: &mut [T]) {
    let conditions = x.bytes(0);
    let (a, b): (&[T], &[T]) = (
        bytemuck::cast_slice(x.bytes(1)),
        bytemuck::cast_slice(x.bytes(2)),
    );
    let n = y.len() / x.samples;
    let row = *k.shape.dims.last().unwrap_or(&1) as usize;
    let steps = k.shape.steps();
    for (s, y) in y.chunks_exact_mut(n).enumerate() {
        let conditions = x.sample(0, conditions, s);
        let (a, b) = (x.sample(1, a, s), x.sample(2, b, s));
        k.shape.rows(|first, at| {
            for (i, y) in y[first..first + row].iter_mut().enumerate() {
                let [c, a_at, b_at] = [0, 1, 2].map(|o| at[o] + i * steps[o]);
                *y = if conditions[c] != 0 { a[a_at] } else { b[b_at] };
            }
        });
    }
}
