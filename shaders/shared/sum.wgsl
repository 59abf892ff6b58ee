// Residual additions: ADD of what a kernel writes and a tensor that was there before.
//
// SUM is the binding of a second output, 0 where there is none, and RESIDUAL that of what is added; both lie as the output
// does. A clamp (shared/clamp) is then one of the sum. What uses this must stand in `#if SUM`, the declarations too.
//
// The bits must be those of a launch of its own, and a compiler may fuse a product with its sum. So x must be the result
// of a sum, as that of a bias, or of bounds.

#if SUM
// Bounds of the ADD's own activation. An override cannot be infinite: these say which there are.
override SUM_HAS_LOW: u32 = 0u;
override SUM_LOW: f32 = 0.0;
override SUM_HAS_HIGH: u32 = 0u;
override SUM_HIGH: f32 = 0.0;

// The bits that f32/binary makes of both; NaN stays.
fn summed(x: f32, residual: f32) -> f32 {
    let sum = x + residual;
    let y = select(sum, SUM_LOW, SUM_HAS_LOW == 1u && sum < SUM_LOW);
    return select(y, SUM_HIGH, SUM_HAS_HIGH == 1u && sum > SUM_HIGH);
}

fn summed_4(x: vec4<f32>, residual: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(summed(x.x, residual.x), summed(x.y, residual.y), summed(x.z, residual.z), summed(x.w, residual.w));
}
#end
