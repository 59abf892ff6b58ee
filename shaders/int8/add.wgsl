// ADD and SUB: an invocation an output word of four elements.
#import shared/run
#import shared/fixed
#import shared/broadcast

struct AddI8 {
    zero_point_a: i32,
    zero_point_b: i32,
    mantissa_a: i32,
    shift_a: i32,
    mantissa_b: i32,
    shift_b: i32,
    output_mantissa: i32,
    output_shift: i32,
    output_zero_point: i32,
    low: i32,
    high: i32,
    // 1, or -1 for a difference.
    sign: i32,
}

@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
@group(0) @binding(5) var<storage, read> p: AddI8;

// Bits that the operands gain before they are scaled.
const LEFT_SHIFT: u32 = 20u;

fn sum(qa: i32, qb: i32) -> i32 {
    let scaled_a = multiply_by_multiplier((qa - p.zero_point_a) << LEFT_SHIFT, p.mantissa_a, p.shift_a);
    let scaled_b = multiply_by_multiplier((qb - p.zero_point_b) << LEFT_SHIFT, p.mantissa_b, p.shift_b);
    let scaled = multiply_by_multiplier(scaled_a + p.sign * scaled_b, p.output_mantissa, p.output_shift);
    return with_zero_point(scaled, p.output_zero_point, p.low, p.high);
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
    let base_a = sample * shape.stride_a;
    let base_b = sample * shape.stride_b;
    var result = vec4<i32>(0);
    if (shape.same_shape == 1u) {
        let va = unpack_bytes(a[base_a + word]);
        let vb = unpack_bytes(b[base_b + word]);
        result = vec4<i32>(sum(va.x, vb.x), sum(va.y, vb.y), sum(va.z, vb.z), sum(va.w, vb.w));
    } else {
        for (var lane = 0u; lane < 4u; lane++) {
            let at = operands(min(word * 4u + lane, shape.elements - 1u));
            let qa = byte_of(a[base_a + (at.x >> 2u)], at.x & 3u);
            let qb = byte_of(b[base_b + (at.y >> 2u)], at.y & 3u);
            result[lane] = sum(qa, qb);
        }
    }
    output[i] = pack_bytes(result);
}
