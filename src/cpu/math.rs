//! exp and its relatives as straight-line code that the compiler can vectorise: libm's are calls.

/// e^x within 2 ulp for x in [−87, 88]; clamped outside, NaN stays NaN.
///
/// Cody–Waite reduction by ln 2 and a polynomial of degree 6 (the Cephes `expf` scheme).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    // Adding 1.5 · 2^23 rounds to an integer in the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4;
    let r = r + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    y * power
}

/// 1 / (1 + e^−x).
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// tanh, absolute error below 2⁻²².
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_libm() {
        for i in -1_740_000..1_760_000 {
            let x = i as f32 * 5e-5;
            let want = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) - want).abs() <= want * 2.5e-7,
                "exp({x}) = {} not {want}",
                exp(x)
            );
            let want = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - want).abs() < 2.4e-7, "tanh({x})");
            let want = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!(
                (f64::from(sigmoid(x)) - want).abs() < 1.2e-7,
                "sigmoid({x})"
            );
        }
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!(tanh(1e30), 1.0);
        assert_eq!(tanh(-1e30), -1.0);
    }
}
