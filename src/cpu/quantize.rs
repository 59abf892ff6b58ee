//! QUANTIZE of floats and DEQUANTIZE.

use crate::kernel::{Dequantize, Quantize, Table16};
use crate::num::affine;

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
    if k.by_inverse {
        let inverse = 1.0 / scale;
        for (y, &x) in y.iter_mut().zip(x) {
            let x = x * inverse;
            // NaN is as good as the largest.
            let x = if x < FAR { x.max(-FAR) } else { FAR };
            let q = (x + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32;
            *y = (q + zero_point).max(low).min(low + 255) as u8;
        }
        return;
    }
    for (y, &x) in y.iter_mut().zip(x) {
        let x = x / scale;
        let x = if x.is_nan() { 0.0 } else { x };
        let x = x.clamp(-FAR, FAR);
        let rounded = (x + HALF.copysign(x)).trunc();
        let q = (rounded + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32;
        *y = (q + zero_point).max(low).min(low + 255) as u8;
    }
}

/// Float to int16.
pub fn quantize_16(k: &Quantize, x: &[f32], y: &mut [i16]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = affine::quantize(x, k.output, k.qmin, k.qmax) as i16;
    }
}

/// 8 or 16 bits, as unsigned integers, to float.
pub fn dequantize<T: Copy + Into<usize>>(k: &Dequantize, x: &[T], y: &mut [f32]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = k.table[x.into()];
    }
}

/// int8 to float: by arithmetic, which vectorises, where that gives the table's very bits.
pub fn dequantize_8(k: &Dequantize, x: &[u8], y: &mut [f32]) {
    let zero = k.table.iter().position(|&x| x.to_bits() == 0);
    let Some(zero) = zero.filter(|_| k.table.len() == 256) else {
        return dequantize(k, x, y);
    };
    let scale = k.table[(zero + 1) % 256];
    let zero = i32::from(zero as u8 as i8);
    let real = |q: u8| scale * (i32::from(q as i8) - zero) as f32;
    match (0..=255u8).all(|q| real(q).to_bits() == k.table[usize::from(q)].to_bits()) {
        true => multiply(x, scale, zero, y),
        false => dequantize(k, x, y),
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn multiply(x: &[u8], scale: f32, zero: i32, y: &mut [f32]) {
    for (y, &q) in y.iter_mut().zip(x) {
        *y = scale * (i32::from(q as i8) - zero) as f32;
    }
}

/// A function of 8 or 16 bits.
pub fn table_16<T: Copy + Into<usize>>(k: &Table16, x: &[T], y: &mut [u16]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = k.entries[x.into()];
    }
}

/// A function of 16 bits to 8.
pub fn table_16_to_8(k: &Table16, x: &[u16], y: &mut [u8]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = k.entries[usize::from(x)] as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::Affine;
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
            let k = Quantize { output, qmin, qmax: qmin + 255, keys: Vec::new(), by_inverse: false };
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
