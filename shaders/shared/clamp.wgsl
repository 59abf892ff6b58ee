// Clamps that are operators of their own (RELU, RELU6, RELU_N1_TO_1, RELU_0_TO_1).
//
// CLAMPED is the binding of a second output, 0 where there is none: a kernel then writes its output and that output
// clamped, so no launch reads it again. What uses this must stand in `#if CLAMPED`, the declaration of the output too.

// Whether x is below a bound. A device may take the smallest numbers for zero; their bits tell. The host computes the
// range of the result from that of x (src/kernel/moved.rs), so nothing negative may be left above a bound of 0.
fn is_below(x: f32, low: f32) -> bool {
    let bits = bitcast<u32>(x);
    let is_negative = bits > 0x80000000u && bits <= 0xff800000u;
    return select(x < low, is_negative, low == 0.0);
}

#if CLAMPED
override CLAMP_LOW: f32 = 0.0;
// An override cannot be infinite: 0 says that nothing is too large.
override CLAMP_HAS_HIGH: u32 = 0u;
override CLAMP_HIGH: f32 = 0.0;

// The bits that f32/unary makes of x; NaN stays.
fn clamped(x: f32) -> f32 {
    let y = select(x, CLAMP_LOW, is_below(x, CLAMP_LOW));
    return select(y, CLAMP_HIGH, CLAMP_HAS_HIGH == 1u && y > CLAMP_HIGH);
}

fn clamped_4(v: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(clamped(v.x), clamped(v.y), clamped(v.z), clamped(v.w));
}
#end
