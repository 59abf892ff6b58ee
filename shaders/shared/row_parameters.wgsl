// How a row of floats becomes 8 bits while a model runs: `num/dynamic.rs`, bit for bit.
#import shared/double

struct Row {
    // What a step is worth, and what x is multiplied with.
    scale: f32,
    inverse: f32,
    zero_point: f32,
    low: f32,
}

// The integer nearest to a number below 2³¹, halves up.
fn nearest(x: Double) -> u32 {
    let below = -x.exponent;
    if (is_zero(x) || below > 54) {
        return 0u;
    }
    // Twice the number, rounded down, plus one, halved.
    let twice = shift_left(vec2<u32>(x.high, x.low), 1u);
    let shift = u32(below);
    var whole = 0u;
    if (shift >= 32u) {
        whole = twice.x >> (shift - 32u);
    } else {
        whole = (twice.x << (32u - shift)) | (twice.y >> shift);
    }
    return (whole + 1u) >> 1u;
}

// A row between `least` ≤ 0 and `most` ≥ 0.
fn asymmetric(least: f32, most: f32) -> Row {
    let a = of_float(least);
    let b = of_float(most);
    if (is_zero(a) && is_zero(b)) {
        return Row(1.0, 0.0, 0.0, -128.0);
    }
    let scale = quotient(of_float(most - least), whole_number(255u), 53u);
    let below = quotient(a, scale, 53u);
    let above = quotient(b, scale, 53u);
    let from_least = less(
        combined(whole_number(128u), below, false),
        combined(whole_number(127u), above, false),
    );
    // The end that the zero point is counted from, and how far it lies inside.
    let end = whole_number(select(127u, 128u, from_least));
    var inside = above;
    if (from_least) {
        inside = below;
    }
    let beyond = less(end, inside);
    var magnitude = combined(end, inside, true);
    if (beyond) {
        magnitude = combined(inside, end, true);
    }
    let steps = f32(nearest(magnitude));
    // −128 + below is negative until it passes 0, 127 − above is positive until then.
    let zero_point = select(steps, -steps, from_least != beyond);
    let float_scale = to_float(scale);
    var inverse = 0.0;
    if (float_scale != 0.0) {
        inverse = to_float(quotient(of_float(1.0), of_float(float_scale), 24u));
    }
    return Row(float_scale, inverse, clamp(zero_point, -128.0, 127.0), -128.0);
}

// The same with the zero point 0.
fn symmetric(least: f32, most: f32) -> Row {
    let largest = of_float(max(abs(least), abs(most)));
    if (is_zero(largest)) {
        return Row(1.0, 0.0, 0.0, -128.0);
    }
    let steps = whole_number(127u);
    let scale = to_float(quotient(largest, steps, 24u));
    return Row(scale, to_float(quotient(steps, largest, 24u)), 0.0, -127.0);
}

// The step of x without the zero point. `nothing` is a 0 that compilers do not know: else they could multiply and add in
// one, which rounds once where LiteRT rounds twice.
fn code(row: Row, x: f32, nothing: u32) -> f32 {
    let steps = bitcast<f32>(bitcast<u32>(x * row.inverse) ^ nothing);
    let q = trunc(steps + select(0.5, -0.5, steps < 0.0)) + row.zero_point;
    return clamp(q, row.low, 127.0) - row.zero_point;
}
