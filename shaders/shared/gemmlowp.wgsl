// The reciprocal of gemmlowp's fixedpoint.h for 32 bits, bit for bit as src/num/gemmlowp.rs.
#import shared/fixed

// x * 2^exponent for an exponent of 1 or 2, saturating at gemmlowp's thresholds.
fn shift_left_saturating(x: i32, exponent: u32) -> i32 {
    let threshold = (1 << (31u - exponent)) - 1;
    return select(select(x << exponent, I32_MIN, x < -threshold), I32_MAX, x > threshold);
}

// 1 / (1 + a) as Q0.31 for a in [0, 1), Q0.31, by three Newton steps; other arguments give the same bits as well.
fn one_over_one_plus(a: i32) -> i32 {
    // (a + (2^31 - 1) + 1) / 2; only the lowest a makes a negative sum, which is -1.
    let half_sum = bitcast<i32>((bitcast<u32>(a) + 0x80000000u) >> 1u);
    let half_denominator = select(half_sum, -1, a == I32_MIN);
    // 48/17 - 32/17 d
    var x = 1515870810 + doubling_high_mul(half_denominator, -1010580540);
    for (var i = 0; i < 3; i++) {
        let rest = (1 << 29u) - doubling_high_mul(half_denominator, x);
        x += shift_left_saturating(doubling_high_mul(x, rest), 2u);
    }
    return shift_left_saturating(x, 1u);
}
