// Products of two activations, int16 by int16 or int8: an invocation an output word of two elements.
#import shared/run
#import shared/fixed
#import shared/wide
#import shared/matmul

// Bits of an element of the second operand.
override BITS: u32 = 16u;

struct MatmulI16 {
    // Of 15 bits.
    mantissa: u32,
    // To the right.
    shift: u32,
}

@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read> shape: Matmul;
@group(0) @binding(5) var<storage, read> p: MatmulI16;

fn product(sample: u32, i: u32) -> i32 {
    let at = starts(i);
    var at_a = at.x;
    var at_b = at.y;
    let base_a = sample * shape.stride_a;
    let base_b = sample * shape.stride_b;
    let lanes = 32u / BITS;
    var sum = vec2<u32>(0u, 0u);
    for (var k = 0u; k < shape.depth; k++) {
        let qa = half_of(a[base_a + (at_a >> 1u)], at_a & 1u);
        let qb = extractBits(bitcast<i32>(b[base_b + at_b / lanes]), BITS * (at_b % lanes), BITS);
        sum = wide_add(sum, qa * qb);
        at_a += shape.a_depth;
        at_b += shape.b_depth;
    }
    return clamp(multiply_wide(sum, p.mantissa, p.shift), -32768, 32767);
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
    let first = (i % shape.stride_out) * 2u;
    output[i] = pack_halves(product(sample, first), product(sample, min(first + 1u, shape.elements - 1u)));
}
