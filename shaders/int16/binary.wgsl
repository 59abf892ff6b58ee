// Functions of two int16 with broadcasting: an invocation an output word of two numbers or four answers.
#import shared/run
#import shared/fixed
#import shared/broadcast

// The function's number, as in src/gpu/binary.rs.
override OP: u32 = 0u;
// Bits of an element of the second operand.
override BITS: u32 = 16u;

struct Two {
    left_shift: u32,
    // Of the second operand.
    zero_point: i32,
    mantissa_a: i32,
    shift_a: i32,
    mantissa_b: i32,
    shift_b: i32,
    mantissa: i32,
    shift: i32,
    low: i32,
    high: i32,
}

@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
@group(0) @binding(5) var<storage, read> p: Two;

fn answer(x: i32, y: i32) -> i32 {
    switch (OP) {
        case 11u: {
            return select(0, 1, x == y);
        }
        case 12u: {
            return select(0, 1, x != y);
        }
        case 13u: {
            return select(0, 1, x < y);
        }
        case 14u: {
            return select(0, 1, x <= y);
        }
        case 15u: {
            return select(0, 1, x > y);
        }
        default: {
            return select(0, 1, x >= y);
        }
    }
}

fn apply(x: i32, y: i32) -> i32 {
    let scaled_x = multiply_by_multiplier(x << p.left_shift, p.mantissa_a, p.shift_a);
    let scaled_y = multiply_by_multiplier(y << p.left_shift, p.mantissa_b, p.shift_b);
    var result = 0;
    switch (OP) {
        case 0u: {
            result = multiply_by_multiplier(scaled_x + scaled_y, p.mantissa, p.shift);
        }
        case 1u: {
            result = multiply_by_multiplier(scaled_x - scaled_y, p.mantissa, p.shift);
        }
        case 2u: {
            result = multiply_by_multiplier(x * y, p.mantissa, p.shift);
        }
        case 7u: {
            result = max(x, y);
        }
        case 8u: {
            result = min(x, y);
        }
        case 10u: {
            result = select(multiply_by_multiplier(x * y, p.mantissa_b, p.shift_b), scaled_x, x >= 0);
        }
        default: {
            // All but these two compare the stored numbers.
            let scaled = OP == 11u || OP == 12u;
            return answer(select(x, scaled_x, scaled), select(y, scaled_y, scaled));
        }
    }
    return clamp(result, p.low, p.high);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * shape.stride_out) {
        return;
    }
    let sample = i / shape.stride_out;
    let lanes = select(2u, 4u, OP >= 11u);
    let bits = 32u / lanes;
    var result = 0u;
    for (var lane = 0u; lane < lanes; lane++) {
        let at = operands(min((i % shape.stride_out) * lanes + lane, shape.elements - 1u));
        let x = half_of(a[sample * shape.stride_a + (at.x >> 1u)], at.x & 1u);
        let b_lanes = 32u / BITS;
        let b_word = bitcast<i32>(b[sample * shape.stride_b + at.y / b_lanes]);
        let y = extractBits(b_word, BITS * (at.y % b_lanes), BITS) - p.zero_point;
        result = insertBits(result, bitcast<u32>(apply(x, y)), bits * lane, bits);
    }
    output[i] = result;
}
