// Functions that WGSL does not have, or has with large errors.

// tanh; the driver's own may overflow.
fn tanh_of(x: f32) -> f32 {
    let magnitude = min(abs(x), 20.0);
    // For small x the quotient would cancel.
    let square = magnitude * magnitude;
    let small = magnitude * (1.0 + square * (-0.33333334 + square * (0.13333334 - square * 0.053968254)));
    let large = 1.0 - 2.0 / (exp(2.0 * magnitude) + 1.0);
    let result = select(large, small, magnitude < 0.125);
    return select(result, -result, x < 0.0);
}

// exp(x) - 1.
fn exp_minus_1(x: f32) -> f32 {
    let small = x * (1.0 + x * (0.5 + x * (0.16666667 + x * (0.041666668 + x * 0.008333334))));
    return select(exp(x) - 1.0, small, abs(x) < 0.125);
}

// The complementary error function: Abramowitz and Stegun, 7.1.26, within 1.5e-7.
fn erfc_of(x: f32) -> f32 {
    let magnitude = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * magnitude);
    let polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let tail = polynomial * exp(-magnitude * magnitude);
    return select(tail, 2.0 - tail, x < 0.0);
}

// sin(x + quarter * pi / 2), by reduction to a quarter of a circle.
fn sine(x: f32, quarter: i32) -> f32 {
    let n = round(x * 0.63661977);
    var r = x - n * 1.5703125;
    r -= n * 4.837512969970703e-4;
    r -= n * 7.549789954891882e-8;
    let square = r * r;
    let sin_r = r * (1.0 + square * (-0.16666667 + square * (0.008333332 + square * (-1.9839334e-4 + square * 2.7183114e-6))));
    let cos_r = 1.0 + square * (-0.5 + square * (0.041666668 + square * (-0.0013888889 + square * 2.4801587e-5)));
    let turn = (i32(n) + quarter) & 3;
    let value = select(sin_r, cos_r, (turn & 1) == 1);
    return select(value, -value, turn >= 2);
}
