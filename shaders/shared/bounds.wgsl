// A fused activation's bounds (infinite where there is none). Comparisons let NaN and infinities through, so that the
// range of a tensor shows them; clamp() need not.
fn bounded(x: f32, low: f32, high: f32) -> f32 {
    return select(select(x, low, x < low), high, x > high);
}
