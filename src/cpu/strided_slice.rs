//! STRIDED_SLICE: gathers by strides, any element type.

use crate::kernel::Gather;

/// Gathers every sample of `x`.
pub fn gather<T: Copy>(k: &Gather, samples: usize, x: &[T]) -> Vec<T> {
    let n = x.len() / samples;
    let count: usize = k.dims.iter().map(|&d| d as usize).product();
    let mut y = Vec::with_capacity(samples * count);
    for x in x.chunks_exact(n) {
        let mut index = [0u32; 6];
        let mut at = i64::from(k.base);
        for _ in 0..count {
            y.push(x[at as usize]);
            for d in (0..k.dims.len()).rev() {
                index[d] += 1;
                at += i64::from(k.strides[d]);
                if index[d] < k.dims[d] {
                    break;
                }
                at -= i64::from(k.strides[d]) * i64::from(k.dims[d]);
                index[d] = 0;
            }
        }
    }
    y
}
