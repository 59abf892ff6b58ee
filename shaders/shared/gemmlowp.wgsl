// The reciprocal, the inverse root and the logarithm of gemmlowp and LiteRT for 32 bits, bit for bit as src/num/gemmlowp.rs.
#import shared/fixed

// x * 2^exponent, saturating at gemmlowp's thresholds.
fn shift_left_saturating(x: i32, exponent: u32) -> i32 {
    if (exponent == 0u) {
        return x;
    }
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

// (a + b) / 2, ties away from zero.
fn rounded_half_sum(a: i32, b: i32) -> i32 {
    // The halves apart, as the sum may wrap; what they lose is added as a whole.
    let lost = (a & 1) + (b & 1);
    let half = (a >> 1u) + (b >> 1u) + (lost >> 1u);
    let odd = lost & 1;
    // half is rounded down: an odd sum goes up if it is positive, and stays if it is not.
    return half + select(0, odd, half >= 0);
}

// 1 / sqrt(x) of an integer from 0 on: mantissa, and shift to the left (0 or negative).
fn inverse_root(x: i32) -> vec2<i32> {
    if (x <= 1) {
        return vec2<i32>(I32_MAX, 0);
    }
    var value = x;
    var right = 11;
    while (value >= 0x20000000) {
        value /= 4;
        right += 1;
    }
    let pairs = (i32(countLeadingZeros(bitcast<u32>(value))) - 1) / 2 - 1;
    right -= pairs;
    value <<= u32(2 * pairs);
    let half = rounding_divide_by_pot(value >> 1u, 1u);
    var y = 0x10000000;
    for (var i = 0; i < 5; i++) {
        let cube = shift_left_saturating(doubling_high_mul(doubling_high_mul(y, y), y), 6u);
        let rest = doubling_high_mul(0x18000000, y) - doubling_high_mul(half, cube);
        y = shift_left_saturating(rest, 3u);
    }
    y = doubling_high_mul(y, 1518500250);
    if (right < 0) {
        y <<= u32(-right);
        right = 0;
    }
    return vec2<i32>(y, -right);
}

fn saturating_add(a: i32, b: i32) -> i32 {
    let sum = a + b;
    let overflows = ((a ^ sum) & (b ^ sum)) < 0;
    return select(sum, select(I32_MAX, I32_MIN, a < 0), overflows);
}

// The natural logarithm of a Q12.19 number of at least 1, as Q5.26.
fn log_of_at_least_one(x: i32) -> i32 {
    let zeros = i32(countLeadingZeros(bitcast<u32>(x)));
    let shifted = shift_left_saturating(x, u32(max(zeros - 1, 0)));
    let first = shift_left_saturating(doubling_high_mul(shifted, 1518500250), 1u);
    let quarter = rounding_divide_by_pot(536870912, 6u);
    let first_power = saturating_add(shift_left_saturating(12 - zeros, 25u), quarter);
    let headroom = i32(countLeadingZeros(bitcast<u32>(doubling_high_mul(x, 1518500250)))) - 1;
    let second = shift_left_saturating(x, u32(max(headroom, 0)));
    let second_power = saturating_add(shift_left_saturating(12 - headroom, 25u), -quarter);
    let r = min(first, second);
    let power = max(first_power, second_power);
    let p = rounded_half_sum(r, 1805811301);
    var q = r - 1805811301;
    q += q;
    let square = doubling_high_mul(q, q);
    let numerator = doubling_high_mul(q, r) + doubling_high_mul(doubling_high_mul(q, square), 117049297);
    let inner = 1057819769 + q + doubling_high_mul(127690142, square);
    let denominator = doubling_high_mul(p, inner) + doubling_high_mul(638450708, q);
    let scaled = rounding_divide_by_pot(numerator, 6u);
    let sum = doubling_high_mul(power, 1488522236) + doubling_high_mul(scaled, one_over_one_plus(denominator));
    return shift_left_saturating(sum, 1u);
}
