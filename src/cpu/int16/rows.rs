//! SOFTMAX of int16.

use crate::kernel::SoftmaxI16;

/// All rows of all samples.
pub fn softmax(k: &SoftmaxI16, x: &[i16], y: &mut [i16]) {
    let depth = k.shape.depth;
    for (x, y) in x.chunks_exact(depth).zip(y.chunks_exact_mut(depth)) {
        let largest = x.iter().copied().max().unwrap_or_default();
        let exp = |x: i16| k.exp(i32::from(x) - i32::from(largest));
        let sum = x.iter().map(|&x| exp(x)).sum();
        let (reciprocal, right) = k.reciprocal(sum);
        for (y, &x) in y.iter_mut().zip(x) {
            let scaled = (exp(x) * reciprocal + (1 << (right - 1))) >> right;
            *y = scaled.clamp(0, 32767) as i16;
        }
    }
}
