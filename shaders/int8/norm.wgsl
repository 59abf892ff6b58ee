// L2_NORMALIZATION and LOG_SOFTMAX of int8: an invocation an output word of four elements.
#import shared/run
#import shared/fixed
#import shared/norm

@group(0) @binding(2) var<storage, read> rows: array<i32>;
@group(0) @binding(4) var<storage, read_write> output: array<u32>;

fn normal(sample: u32, i: u32) -> i32 {
    let row = 4u * (sample * p.rows + i / p.depth);
    let q = element(sample * p.stride_in, i);
    if (OP == 0u) {
        let scaled = multiply_by_multiplier(q - p.zero_point, rows[row], rows[row + 1u]);
        return clamp(scaled, -128, 127);
    }
    let distance = rows[row] - q;
    if (-distance <= rows[row + 2u]) {
        return -128;
    }
    let shifted = p.scaled[u32(distance)] - rows[row + 1u];
    return clamp(rounding_divide_by_pot(shifted, 22u) + 127, -128, 127);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.stride_out) {
        return;
    }
    var result = vec4<i32>(0);
    for (var lane = 0u; lane < 4u; lane++) {
        result[lane] = normal(i / p.stride_out, min((i % p.stride_out) * 4u + lane, p.elements - 1u));
    }
    output[i] = pack_bytes(result);
}
