// Products of two activations in int8: an invocation an output word of four elements.
#import shared/run
#import shared/fixed
#import shared/matmul

struct MatmulI8 {
    zero_point_a: i32,
    zero_point_b: i32,
    mantissa: i32,
    shift: i32,
    output_zero_point: i32,
}

@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read> shape: Matmul;
@group(0) @binding(5) var<storage, read> p: MatmulI8;

fn product(sample: u32, i: u32) -> i32 {
    let at = starts(i);
    var at_a = at.x;
    var at_b = at.y;
    let base_a = sample * shape.stride_a;
    let base_b = sample * shape.stride_b;
    var sum = 0;
    for (var k = 0u; k < shape.depth; k++) {
        let qa = byte_of(a[base_a + (at_a >> 2u)], at_a & 3u) - p.zero_point_a;
        let qb = byte_of(b[base_b + (at_b >> 2u)], at_b & 3u) - p.zero_point_b;
        sum += qa * qb;
        at_a += shape.a_depth;
        at_b += shape.b_depth;
    }
    let scaled = multiply_by_multiplier(sum, p.mantissa, p.shift);
    return with_zero_point(scaled, p.output_zero_point, -128, 127);
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
    var result = vec4<i32>(0);
    for (var lane = 0u; lane < 4u; lane++) {
        result[lane] = product(sample, min((i % shape.stride_out) * 4u + lane, shape.elements - 1u));
    }
    output[i] = pack_bytes(result);
}
