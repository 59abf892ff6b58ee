//! exp, logistic, tanh and the reciprocal in fixed point, bit for bit as gemmlowp computes them.
//!
//! A raw value of `BITS` bits (16 or 32) with `integer_bits` integer bits stands for
//! `raw / 2^(BITS − 1 − integer_bits)`. TFLite uses 16 bits for the gates of the integer LSTM and 32 bits for
//! SOFTMAX. The functions work on `i32` and wrap to `BITS` where C++'s narrower types would.
//! The polynomial, the barrel shifter and the Newton iterations are those of gemmlowp's `fixedpoint.h`.

use super::fixed::rounding_divide_by_pot;

/// Truncates to `BITS` bits and sign-extends.
fn wrap<const BITS: u32>(x: i64) -> i32 {
    let unused = 64 - BITS;
    ((x << unused) >> unused) as i32
}

fn max<const BITS: u32>() -> i32 {
    ((1i64 << (BITS - 1)) - 1) as i32
}

/// A constant given with 32 bits, rounded to `BITS`.
fn constant<const BITS: u32>(value: i32) -> i32 {
    rounding_divide_by_pot(value, (32 - BITS) as i32)
}

/// Product of two fixed-point numbers; integer bits add up. Saturates only −1 · −1.
fn mul<const BITS: u32>(a: i32, b: i32) -> i32 {
    let lowest = -(1i64 << (BITS - 1));
    if i64::from(a) == lowest && i64::from(b) == lowest {
        return max::<BITS>();
    }
    let product = i64::from(a) * i64::from(b);
    let half = 1i64 << (BITS - 2);
    let nudge = if product >= 0 { half } else { 1 - half };
    wrap::<BITS>((product + nudge) / (1i64 << (BITS - 1)))
}

/// `(a + b) / 2`, ties away from zero.
fn half_sum<const BITS: u32>(a: i32, b: i32) -> i32 {
    let sum = i64::from(a) + i64::from(b);
    wrap::<BITS>((sum + if sum >= 0 { 1 } else { -1 }) / 2)
}

/// `x · 2^exponent` for a positive exponent, saturating at gemmlowp's (slightly early) thresholds.
fn shift_left_saturating<const BITS: u32>(x: i32, exponent: u32) -> i32 {
    if exponent == 0 {
        return x;
    }
    let threshold = (1i32 << (BITS - 1 - exponent)) - 1;
    if x > threshold {
        max::<BITS>()
    } else if x < -threshold {
        wrap::<BITS>(-(1i64 << (BITS - 1)))
    } else {
        wrap::<BITS>(i64::from(x) << exponent)
    }
}

fn add<const BITS: u32>(a: i32, b: i32) -> i32 {
    wrap::<BITS>(i64::from(a) + i64::from(b))
}

fn sub<const BITS: u32>(a: i32, b: i32) -> i32 {
    wrap::<BITS>(i64::from(a) - i64::from(b))
}

/// exp on `[−1/4, 0)`, argument and result with 0 integer bits.
fn exp_on_quarter<const BITS: u32>(a: i32) -> i32 {
    let constant_term = constant::<BITS>(1_895_147_668); // exp(−1/8)
    let one_third = constant::<BITS>(715_827_883);
    let x = add::<BITS>(a, 1 << (BITS - 4)); // a + 1/8
    let x2 = mul::<BITS>(x, x);
    let x3 = mul::<BITS>(x2, x);
    let x4 = mul::<BITS>(x2, x2);
    let x4_over_4 = rounding_divide_by_pot(x4, 2);
    let tail = rounding_divide_by_pot(
        add::<BITS>(mul::<BITS>(add::<BITS>(x4_over_4, x3), one_third), x2),
        1,
    );
    let product = mul::<BITS>(constant_term, add::<BITS>(x, tail));
    if BITS == 16 {
        (constant_term + product).clamp(i32::from(i16::MIN), i32::from(i16::MAX))
    } else {
        add::<BITS>(constant_term, product)
    }
}

/// `exp(a)` for `a ≤ 0` with `integer_bits`; the result has 0 integer bits.
pub fn exp_on_negative<const BITS: u32>(a: i32, integer_bits: u32) -> i32 {
    if a == 0 {
        return max::<BITS>();
    }
    let fractional_bits = BITS - 1 - integer_bits;
    let quarter = 1i32 << (fractional_bits - 2);
    let reduced = sub::<BITS>(a & (quarter - 1), quarter);
    let mut result = exp_on_quarter::<BITS>(shift_left_saturating::<BITS>(reduced, integer_bits));
    let remainder = sub::<BITS>(reduced, a);
    // exp(−2^k) for k = −2 … 4, each applied where that bit of the remainder is set.
    const FACTORS: [i32; 7] = [
        1_672_461_947,
        1_302_514_674,
        790_015_084,
        290_630_308,
        39_332_535,
        720_401,
        242,
    ];
    for (i, factor) in FACTORS.into_iter().enumerate() {
        let k = i as i32 - 2;
        if integer_bits as i32 > k && remainder & (1 << (fractional_bits as i32 + k)) != 0 {
            result = mul::<BITS>(result, constant::<BITS>(factor));
        }
    }
    if integer_bits > 5 && a < constant::<BITS>(-(1 << (36 - integer_bits))) {
        return 0;
    }
    result
}

/// Newton's division shared by the two quotients below: `2 / (1 + a)` with 2 integer bits, for `a` in `(0, 1)`.
fn two_over_one_plus<const BITS: u32>(a: i32) -> i32 {
    let half_denominator = half_sum::<BITS>(a, max::<BITS>());
    let one = 1i32 << (BITS - 3);
    let mut x = add::<BITS>(
        constant::<BITS>(1_515_870_810), // 48/17
        mul::<BITS>(half_denominator, constant::<BITS>(-1_010_580_540)), // −32/17
    );
    for _ in 0..3 {
        let rest = sub::<BITS>(one, mul::<BITS>(half_denominator, x));
        x = add::<BITS>(x, shift_left_saturating::<BITS>(mul::<BITS>(x, rest), 2));
    }
    x
}

/// `1 / (1 + a)` for `a` in `(0, 1)`, 0 integer bits.
pub fn one_over_one_plus<const BITS: u32>(a: i32) -> i32 {
    shift_left_saturating::<BITS>(two_over_one_plus::<BITS>(a), 1)
}

/// `(1 − a) / (1 + a)` for `a` in `(0, 1)`, 0 integer bits.
fn one_minus_over_one_plus<const BITS: u32>(a: i32) -> i32 {
    let x = two_over_one_plus::<BITS>(a);
    shift_left_saturating::<BITS>(sub::<BITS>(x, 1 << (BITS - 3)), 2)
}

/// `1 / √x` of a positive integer as a mantissa and a shift to the left: LiteRT's `GetInvSqrtQuantizedMultiplierExp`.
///
/// Five Newton steps from 1, with 3 integer bits.
pub fn inv_sqrt(x: i32) -> (i32, i32) {
    if x <= 1 {
        return (i32::MAX, 0);
    }
    let (mut x, mut right) = (x, 11);
    while x >= 1 << 29 {
        x /= 4;
        right += 1;
    }
    let pairs = (x.leading_zeros() as i32 - 1) / 2 - 1;
    right -= pairs;
    x <<= 2 * pairs;
    let half = rounding_divide_by_pot(x >> 1, 1);
    let three_halves = (1 << 28) + (1 << 27);
    let mut y = 1 << 28;
    for _ in 0..5 {
        let cube = mul::<32>(mul::<32>(y, y), y);
        let cube = shift_left_saturating::<32>(cube, 6);
        let rest = sub::<32>(mul::<32>(three_halves, y), mul::<32>(half, cube));
        y = shift_left_saturating::<32>(rest, 3);
    }
    y = mul::<32>(y, 1_518_500_250); // √2 / 2
    if right < 0 {
        y = y.wrapping_shl(-right as u32);
        right = 0;
    }
    (y, -right)
}

/// The natural logarithm of a number of at least 1, from `integer_bits` to 5 integer bits: LiteRT's
/// `log_x_for_x_greater_than_or_equal_to_1_impl`.
pub fn log_of_at_least_one(x: i32, integer_bits: i32) -> i32 {
    /// Integer bits of what is added up: one more than the result has.
    const SUM_BITS: u32 = 6;
    const SQRT_HALF: i32 = 1_518_500_250;
    const SQRT_SQRT_HALF: i32 = 1_805_811_301;
    let m = mul::<32>;
    let quarter = rounding_divide_by_pot(536_870_912, SUM_BITS as i32);
    let power = |bits: i32| shift_left_saturating::<32>(bits, 31 - SUM_BITS);
    let zeros = x.leading_zeros() as i32;
    let shifted = shift_left_saturating::<32>(x, (zeros - 1).max(0) as u32);
    let first = shift_left_saturating::<32>(m(shifted, SQRT_HALF), 1);
    let first_power = power(integer_bits - zeros).saturating_add(quarter);
    let headroom = m(x, SQRT_HALF).leading_zeros() as i32 - 1;
    let second = shift_left_saturating::<32>(x, headroom.max(0) as u32);
    let second_power = power(integer_bits - headroom).saturating_sub(quarter);
    let r = first.min(second);
    let power = first_power.max(second_power);
    let p = half_sum::<32>(r, SQRT_SQRT_HALF);
    let q = sub::<32>(r, SQRT_SQRT_HALF);
    let q = add::<32>(q, q);
    let square = m(q, q);
    let numerator = add::<32>(m(q, r), m(m(q, square), 117_049_297));
    let inner = add::<32>(add::<32>(1_057_819_769, q), m(127_690_142, square));
    let denominator = add::<32>(m(p, inner), m(638_450_708, q));
    let inverse = one_over_one_plus::<32>(denominator);
    let scaled = rounding_divide_by_pot(numerator, SUM_BITS as i32);
    let sum = add::<32>(m(power, 1_488_522_236), m(scaled, inverse));
    shift_left_saturating::<32>(sum, 1)
}

/// The logistic function of a Q3.12 number as Q0.15: TFLite's `ApplySigmoid` on int16.
pub fn logistic_q3_12(a: i16) -> i16 {
    if a == 0 {
        return 1 << 14;
    }
    let negative_abs = if a > 0 { -i32::from(a) } else { i32::from(a) };
    let positive = one_over_one_plus::<16>(exp_on_negative::<16>(negative_abs, 3));
    let result = if a > 0 {
        positive
    } else {
        sub::<16>(max::<16>(), positive)
    };
    result as i16
}

/// tanh of an int16 with `integer_bits` (0 … 6) as Q0.15: TFLite's `ApplyTanh`.
pub fn tanh_i16(a: i16, integer_bits: u32) -> i16 {
    if a == 0 {
        return 0;
    }
    let negative_abs = if a < 0 { i32::from(a) } else { -i32::from(a) };
    let t = one_minus_over_one_plus::<16>(exp_on_negative::<16>(negative_abs, integer_bits + 1));
    (if a < 0 { sub::<16>(0, t) } else { t }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logistic_and_tanh_are_near_the_real_functions() {
        for raw in (i16::MIN..=i16::MAX).step_by(7) {
            let got = f64::from(logistic_q3_12(raw)) / 32768.0;
            let want = 1.0 / (1.0 + (-f64::from(raw) / 4096.0).exp());
            assert!((got - want).abs() < 1e-3, "logistic({raw}) {got} {want}");
            for bits in 0..=6u32 {
                let x = f64::from(raw) / f64::from(1 << (15 - bits));
                let got = f64::from(tanh_i16(raw, bits)) / 32768.0;
                // The 16-bit exp loses most with many integer bits; the bits themselves are judged by LiteRT.
                assert!(
                    (got - x.tanh()).abs() < 1.5e-2,
                    "tanh({raw}, {bits}) {got} {}",
                    x.tanh()
                );
            }
        }
    }

    #[test]
    fn roots_and_logarithms_are_near_the_real_ones() {
        for x in (1..5_000_000i32).step_by(977).chain([2, 3, i32::MAX]) {
            let (mantissa, shift) = inv_sqrt(x);
            let got = f64::from(mantissa) * 2f64.powi(shift - 31);
            let want = 1.0 / f64::from(x).sqrt();
            assert!((got / want - 1.0).abs() < 1e-4, "{x}: {got} {want}");
        }
        for x in ((1 << 19)..i32::MAX).step_by(1_000_003) {
            let got = f64::from(log_of_at_least_one(x, 12)) / 2f64.powi(26);
            let want = (f64::from(x) / 2f64.powi(19)).ln();
            assert!((got - want).abs() < 1e-5, "{x}: {got} {want}");
        }
    }

    #[test]
    fn exp_32_is_near_the_real_exp() {
        for i in 0..2000 {
            let raw = -(i * 400_000);
            let got = f64::from(exp_on_negative::<32>(raw, 5)) / 2f64.powi(31);
            let want = (f64::from(raw) / 2f64.powi(26)).exp();
            assert!((got - want).abs() < 1e-6, "{raw}: {got} {want}");
        }
    }
}
