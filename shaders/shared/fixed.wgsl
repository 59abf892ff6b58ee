// Fixed-point arithmetic of TFLite's integer kernels, bit for bit as src/num/fixed.rs, in 32-bit integers only.

const I32_MAX: i32 = 2147483647;
const I32_MIN: i32 = -2147483647 - 1;

// High and low word of the 64-bit product.
fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let a0 = a & 0xffffu;
    let a1 = a >> 16u;
    let b0 = b & 0xffffu;
    let b1 = b >> 16u;
    // Neither sum overflows: (2^16 - 1)^2 + 2^16 - 1 < 2^32.
    let middle = a0 * b1 + ((a0 * b0) >> 16u);
    let middle2 = a1 * b0 + (middle & 0xffffu);
    return vec2<u32>(a1 * b1 + (middle >> 16u) + (middle2 >> 16u), a * b);
}

// |x| as u32; 2^31 for the lowest.
fn magnitude(x: i32) -> u32 {
    let bits = bitcast<u32>(x);
    return select(bits, 0u - bits, x < 0);
}

// (2ab + 2^31) / 2^32 toward zero after the nudge; saturates MIN * MIN.
fn doubling_high_mul(a: i32, b: i32) -> i32 {
    if (a == I32_MIN && b == I32_MIN) {
        return I32_MAX;
    }
    let negative = (a ^ b) < 0;
    let product = wide_product(magnitude(a), magnitude(b));
    // The nudge of a negative product is 1 - 2^30: on the magnitude, one less.
    let low = product.y + select(0x40000000u, 0x3fffffffu, negative);
    let high = product.x + select(0u, 1u, low < product.y);
    let quotient = (high << 1u) | (low >> 31u);
    return bitcast<i32>(select(quotient, 0u - quotient, negative));
}

// x / 2^exponent, ties away from zero; exponent 0 ... 31.
fn rounding_divide_by_pot(x: i32, exponent: u32) -> i32 {
    let mask = bitcast<i32>((1u << exponent) - 1u);
    let threshold = (mask >> 1u) + select(0, 1, x < 0);
    return (x >> exponent) + select(0, 1, (x & mask) > threshold);
}

// Multiplier::apply: the left shift wraps.
fn multiply_by_multiplier(x: i32, mantissa: i32, shift: i32) -> i32 {
    let left = u32(max(shift, 0));
    let right = u32(max(-shift, 0));
    return rounding_divide_by_pot(doubling_high_mul(x << left, mantissa), right);
}

// A scaled value with its zero point, as an 8-bit result within bounds. The sum cannot wrap.
fn with_zero_point(scaled: i32, zero_point: i32, low: i32, high: i32) -> i32 {
    return clamp(clamp(scaled, -0x40000000, 0x40000000) + zero_point, low, high);
}

// The signed byte `lane` (0 ... 3) of a word.
fn byte_of(word: u32, lane: u32) -> i32 {
    return extractBits(bitcast<i32>(word), 8u * lane, 8u);
}

// Four signed bytes of a word, lowest first.
fn unpack_bytes(word: u32) -> vec4<i32> {
    return vec4<i32>(byte_of(word, 0u), byte_of(word, 1u), byte_of(word, 2u), byte_of(word, 3u));
}

// The low bytes of four integers as a word.
fn pack_bytes(v: vec4<i32>) -> u32 {
    let b = bitcast<vec4<u32>>(v) & vec4<u32>(0xffu);
    return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}

// The signed half word `lane` (0 or 1) of a word.
fn half_of(word: u32, lane: u32) -> i32 {
    return extractBits(bitcast<i32>(word), 16u * lane, 16u);
}

// The low halves of two integers as a word.
fn pack_halves(low: i32, high: i32) -> u32 {
    return (bitcast<u32>(low) & 0xffffu) | (bitcast<u32>(high) << 16u);
}
