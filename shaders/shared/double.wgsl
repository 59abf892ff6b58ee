// Numbers of 53 bits, as C's double has them, without negative ones, infinities and denormals: what a row's parameters
// are computed with. WGSL has no such type, and its own division need not be rounded correctly.

// (high · 2³² + low) · 2^exponent, with bit 52 as the highest one of the mantissa; both words are 0 for 0.
struct Double {
    high: u32,
    low: u32,
    exponent: i32,
}

fn is_zero(x: Double) -> bool {
    return (x.high | x.low) == 0u;
}

fn shift_left(x: vec2<u32>, by: u32) -> vec2<u32> {
    if (by == 0u) {
        return x;
    }
    if (by >= 32u) {
        return vec2<u32>(x.y << (by & 31u), 0u);
    }
    return vec2<u32>((x.x << by) | (x.y >> (32u - by)), x.y << by);
}

// What falls out is kept as a lowest bit that is set.
fn shift_right_sticky(x: vec2<u32>, by: u32) -> vec2<u32> {
    if (by == 0u) {
        return x;
    }
    if (by >= 64u) {
        return vec2<u32>(0u, select(0u, 1u, (x.x | x.y) != 0u));
    }
    if (by >= 32u) {
        let rest = by & 31u;
        let lost = x.y | select(0u, x.x << (32u - rest), rest != 0u);
        return vec2<u32>(0u, (x.x >> rest) | select(0u, 1u, lost != 0u));
    }
    let lost = x.y << (32u - by);
    return vec2<u32>(x.x >> by, (x.x << (32u - by)) | (x.y >> by) | select(0u, 1u, lost != 0u));
}

fn add_words(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.y + b.y;
    return vec2<u32>(a.x + b.x + select(0u, 1u, low < a.y), low);
}

fn sub_words(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x - select(0u, 1u, a.y < b.y), a.y - b.y);
}

fn less_words(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.x < b.x || (a.x == b.x && a.y < b.y);
}

// The nearest number of `bits` (at most 53), ties to even. The lowest bit may stand for what lies below it.
fn rounded(x: vec2<u32>, exponent: i32, bits: u32) -> Double {
    if ((x.x | x.y) == 0u) {
        return Double(0u, 0u, 0);
    }
    let zeros = select(countLeadingZeros(x.x), 32u + countLeadingZeros(x.y), x.x == 0u);
    let full = shift_left(x, zeros);
    // The bits that go, of 64.
    let drop = 64u - bits;
    let half = shift_left(vec2<u32>(0u, 1u), drop - 1u);
    let mask = sub_words(shift_left(vec2<u32>(0u, 1u), drop), vec2<u32>(0u, 1u));
    let rest = full & mask;
    var kept = full & ~mask;
    let tie = rest.x == half.x && rest.y == half.y;
    let unit = shift_left(vec2<u32>(0u, 1u), drop);
    let odd = ((kept & unit).x | (kept & unit).y) != 0u;
    var e = exponent - i32(zeros) + 11;
    if ((tie && odd) || less_words(half, rest)) {
        kept = add_words(kept, unit);
        if ((kept.x | kept.y) == 0u) {
            kept = vec2<u32>(0x80000000u, 0u);
            e += 1;
        }
    }
    let mantissa = shift_right_sticky(kept, 11u);
    return Double(mantissa.x, mantissa.y, e);
}

fn whole_number(n: u32) -> Double {
    return rounded(vec2<u32>(0u, n), 0, 53u);
}

// The magnitude of a float.
fn of_float(x: f32) -> Double {
    let bits = bitcast<u32>(x) & 0x7fffffffu;
    let exponent = bits >> 23u;
    let fraction = bits & 0x7fffffu;
    if (exponent == 0u) {
        return rounded(vec2<u32>(0u, fraction), -149, 53u);
    }
    return rounded(vec2<u32>(0u, fraction | 0x800000u), i32(exponent) - 150, 53u);
}

// The nearest float; 0 below the normal ones.
fn to_float(x: Double) -> f32 {
    let y = rounded(vec2<u32>(x.high, x.low), x.exponent, 24u);
    let exponent = y.exponent + 52 + 127;
    if (is_zero(y) || exponent < 1) {
        return 0.0;
    }
    if (exponent > 254) {
        return 3.4028235e38;
    }
    let mantissa = shift_right_sticky(vec2<u32>(y.high, y.low), 29u).y;
    return bitcast<f32>((u32(exponent) << 23u) | (mantissa & 0x7fffffu));
}

fn less(a: Double, b: Double) -> bool {
    if (is_zero(a) || is_zero(b)) {
        return is_zero(a) && !is_zero(b);
    }
    if (a.exponent != b.exponent) {
        return a.exponent < b.exponent;
    }
    return less_words(vec2<u32>(a.high, a.low), vec2<u32>(b.high, b.low));
}

// a + b, or a − b where `negative` and b ≤ a.
fn combined(a: Double, b: Double, negative: bool) -> Double {
    if (is_zero(b)) {
        return a;
    }
    if (is_zero(a)) {
        return b;
    }
    let a_first = a.exponent >= b.exponent;
    var first = a;
    var second = b;
    if (!a_first) {
        first = b;
        second = a;
    }
    // Ten bits of room below, one above.
    let x = shift_left(vec2<u32>(first.high, first.low), 10u);
    let wide = shift_left(vec2<u32>(second.high, second.low), 10u);
    let y = shift_right_sticky(wide, min(u32(first.exponent - second.exponent), 64u));
    if (!negative) {
        return rounded(add_words(x, y), first.exponent - 10, 53u);
    }
    return rounded(sub_words(x, y), first.exponent - 10, 53u);
}

// a / b, b not 0.
fn quotient(a: Double, b: Double, bits: u32) -> Double {
    if (is_zero(a)) {
        return a;
    }
    var rest = vec2<u32>(a.high, a.low);
    let divisor = vec2<u32>(b.high, b.low);
    var q = vec2<u32>(0u, 0u);
    for (var i = 0u; i < 57u; i++) {
        q = shift_left(q, 1u);
        if (!less_words(rest, divisor)) {
            rest = sub_words(rest, divisor);
            q.y |= 1u;
        }
        rest = shift_left(rest, 1u);
    }
    // One more bit stands for the remainder.
    q = shift_left(q, 1u);
    q.y |= select(0u, 1u, (rest.x | rest.y) != 0u);
    return rounded(q, a.exponent - b.exponent - 57, bits);
}
