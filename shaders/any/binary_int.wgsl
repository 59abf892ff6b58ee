// Functions of two int32, and their comparisons: an invocation an output word of one number or four answers.
#import shared/run
#import shared/broadcast
#import shared/compare

struct Bounds {
    low: i32,
    high: i32,
}

@group(0) @binding(1) var<storage, read> a: array<i32>;
@group(0) @binding(2) var<storage, read> b: array<i32>;
@group(0) @binding(3) var<storage, read_write> output: array<i32>;
@group(0) @binding(5) var<storage, read> bounds: Bounds;

fn power(x: i32, y: i32) -> i32 {
    if (y < 0) {
        return 0;
    }
    var result = 1;
    var factor = x;
    var rest = u32(y);
    for (var bit = 0u; bit < 31u; bit++) {
        if ((rest & 1u) == 1u) {
            result *= factor;
        }
        factor *= factor;
        rest >>= 1u;
    }
    return result;
}

fn apply(x: i32, y: i32) -> i32 {
    // A division by zero gives 0, and the one that overflows is none.
    let divides = y != 0 && !(y == -1);
    let divisor = select(1, y, divides);
    let quotient = select(select(0, 0 - x, y == -1), x / divisor, divides);
    let remainder = select(0, x % divisor, divides);
    let below = remainder != 0 && (remainder < 0) != (y < 0);
    switch (OP) {
        case 0u: {
            return x + y;
        }
        case 1u: {
            return x - y;
        }
        case 2u: {
            return x * y;
        }
        case 3u: {
            return quotient;
        }
        case 4u: {
            return power(x, y);
        }
        case 5u: {
            return select(quotient, quotient - 1, below);
        }
        case 6u: {
            return select(remainder, remainder + y, below);
        }
        case 7u: {
            return max(x, y);
        }
        case 8u: {
            return min(x, y);
        }
        default: {
            return (x - y) * (x - y);
        }
    }
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
    let word = i % shape.stride_out;
    if (OP < 11u) {
        let at = operands(word);
        let result = apply(a[sample * shape.stride_a + at.x], b[sample * shape.stride_b + at.y]);
        output[i] = clamp(result, bounds.low, bounds.high);
        return;
    }
    var result = 0u;
    for (var lane = 0u; lane < 4u; lane++) {
        let at = operands(min(word * 4u + lane, shape.elements - 1u));
        let x = a[sample * shape.stride_a + at.x];
        let y = b[sample * shape.stride_b + at.y];
        result |= answer((x < y), (x == y), (x > y)) << (8u * lane);
    }
    output[i] = bitcast<i32>(result);
}
