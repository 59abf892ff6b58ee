// Sums of 64 bits as (high, low) pairs of words, two's complement; needs shared/fixed.

// The sum with a signed word.
fn wide_add(sum: vec2<u32>, x: i32) -> vec2<u32> {
    let low = sum.y + bitcast<u32>(x);
    let carry = select(0u, 1u, low < sum.y);
    return vec2<u32>(sum.x + bitcast<u32>(x >> 31u) + carry, low);
}

fn wide_sum(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.y + b.y;
    return vec2<u32>(a.x + b.x + select(0u, 1u, low < a.y), low);
}

fn wide_magnitude(x: vec2<u32>) -> vec2<u32> {
    let opposite = vec2<u32>(~x.x + select(0u, 1u, x.y == 0u), 0u - x.y);
    return select(x, opposite, (x.x >> 31u) == 1u);
}

fn signed_product(a: i32, b: i32) -> vec2<u32> {
    let product = wide_product(magnitude(a), magnitude(b));
    let opposite = vec2<u32>(~product.x + select(0u, 1u, product.y == 0u), 0u - product.y);
    return select(product, opposite, (a ^ b) < 0);
}

// Multiplier::apply_wide: `reduced` of 15 bits, `total` 1 to 46; the low word of the result.
fn multiply_wide(x: vec2<u32>, reduced: u32, total: u32) -> i32 {
    let half = total - 1u;
    let product = wide_product(x.y, reduced);
    let nudge = select(vec2<u32>(1u << (half & 31u), 0u), vec2<u32>(0u, 1u << (half & 31u)), half < 32u);
    let low = product.y + nudge.y;
    let carry = select(0u, 1u, low < product.y);
    let high = x.x * reduced + product.x + nudge.x + carry;
    if (total >= 32u) {
        return bitcast<i32>(high) >> (total - 32u);
    }
    return bitcast<i32>((low >> total) | (high << (32u - total)));
}

// v + 2^bit; the lowest word first.
fn add_bit(v: vec4<u32>, bit: u32) -> vec4<u32> {
    var result = v;
    var carry = 0u;
    for (var i = 0u; i < 4u; i++) {
        let more = select(carry, 1u << (bit & 31u), i == bit >> 5u);
        result[i] = v[i] + more;
        carry = select(0u, 1u, result[i] < more);
    }
    return result;
}

// The 128 bits of a product of two pairs, the lowest word first.
fn pair_product(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    let p00 = wide_product(a.y, b.y);
    let p01 = wide_product(a.y, b.x);
    let p10 = wide_product(a.x, b.y);
    let p11 = wide_product(a.x, b.x);
    var result = vec4<u32>(p00.y, p00.x, p11.y, p11.x);
    // The two middle products, each over words 1 and 2.
    for (var i = 0u; i < 2u; i++) {
        let middle = select(p01, p10, i == 1u);
        result.y += middle.y;
        let carry = select(0u, 1u, result.y < middle.y);
        let sum = result.z + middle.x;
        let carry_out = select(0u, 1u, sum < middle.x);
        result.z = sum + carry;
        result.w += carry_out + select(0u, 1u, result.z < carry);
    }
    return result;
}

// What double precision makes of round(x * factor / 2^shift), half away from zero: `factor` is a double's 53 bits, and x
// has less than 48. Results beyond 2^30 become that.
fn multiply_double(x: vec2<u32>, factor: vec2<u32>, shift: i32) -> i32 {
    let MOST = 0x40000000u;
    let negative = (x.x >> 31u) == 1u;
    var v = pair_product(wide_magnitude(x), factor);
    var bits = 0u;
    for (var i = 0u; i < 4u; i++) {
        if (v[i] != 0u) {
            bits = 32u * i + firstLeadingBit(v[i]) + 1u;
        }
    }
    if (bits == 0u || shift > 127) {
        return 0;
    }
    // The bits that the product loses as a double.
    let lost = max(bits, 53u) - 53u;
    var result = MOST;
    if (shift > i32(lost)) {
        if (lost > 0u) {
            v = add_bit(v, lost - 1u);
            var below = 0u;
            for (var i = 0u; i < 4u; i++) {
                // The bits of this word that are lost.
                let here = clamp(i32(lost) - i32(32u * i), 0, 32);
                let mask = select((1u << u32(here & 31)) - 1u, 0xffffffffu, here == 32);
                below |= v[i] & mask;
            }
            if (below == 0u) {
                // A tie goes to the even one.
                v[lost >> 5u] &= ~(1u << (lost & 31u));
            }
        }
        let s = u32(shift);
        v = add_bit(v, s - 1u);
        let word = s >> 5u;
        let bit = s & 31u;
        var next = 0u;
        var beyond = 0u;
        for (var i = 0u; i < 4u; i++) {
            if (i == word + 1u) {
                next = v[i];
            } else if (i > word) {
                beyond |= v[i];
            }
        }
        beyond |= next >> bit;
        let whole = (v[word] >> bit) | select(next << (32u - bit), 0u, bit == 0u);
        result = select(min(whole, MOST), MOST, beyond != 0u);
    }
    return select(i32(result), -i32(result), negative);
}
