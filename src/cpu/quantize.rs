//! QUANTIZE of floats and DEQUANTIZE.

use crate::kernel::{Dequantize, Quantize};

/// Float to 8 bits: the bytes of int8 or uint8. The same as `affine::quantize`, in arithmetic that vectorises.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
pub fn quantize(k: &Quantize, x: &[f32], y: &mut [u8]) {
    /// Beyond all that is not clamped: zero points and ranges are of 8 bits.
    const FAR: f32 = 1024.0;
    /// The largest float below 0.5: with 0.5 itself, the float below it would round up.
    const HALF: f32 = 0.5 - f32::EPSILON / 4.0;
    /// An integer that is added to it shows in the lowest bits.
    const SHIFT: f32 = (3 << 22) as f32;
    let (scale, zero_point, low) = (k.output.scale, k.output.zero_point, k.qmin);
    for (y, &x) in y.iter_mut().zip(x) {
        let x = x / scale;
        let x = if x.is_nan() { 0.0 } else { x };
        let x = x.clamp(-FAR, FAR);
        let rounded = (x + HALF.copysign(x)).trunc();
        let q = (rounded + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32;
        *y = (q + zero_point).max(low).min(low + 255) as u8;
    }
}

/// 8 bits to float.
pub fn dequantize(k: &Dequantize, x: &[u8], y: &mut [f32]) {
    y.iter_mut()
        .zip(x)
        .for_each(|(y, &b)| *y = k.table[usize::from(b)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{Affine, affine};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantizes_as_the_definition(
            x in prop::collection::vec(
                prop_oneof![any::<f32>(), -300f32..300.0, (-600i32..600).prop_map(|i| i as f32 * 0.5)], 33,
            ),
            scale in prop_oneof![Just(1.0f32), 1e-3f32..10.0, 1e-20f32..1e20],
            zero_point in 0i32..256,
            signed in any::<bool>(),
        ) {
            let qmin = if signed { -128 } else { 0 };
            let output = Affine { scale, zero_point: zero_point + qmin };
            let k = Quantize { output, qmin, keys: Vec::new() };
            let mut x = x;
            // Neighbours of ties.
            x.extend((-5i32..5).flat_map(|i| {
                let tie = (i as f32 + 0.5) * scale;
                [tie, tie.next_up(), tie.next_down()]
            }));
            let mut y = vec![0; x.len()];
            quantize(&k, &x, &mut y);
            let expected: Vec<u8> =
                x.iter().map(|&x| affine::quantize(x, output, qmin, qmin + 255) as u8).collect();
            prop_assert_eq!(y, expected);
        }
    }
}
