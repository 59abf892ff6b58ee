// MEAN: an invocation an output word of four elements.
#import shared/run
#import shared/fixed
#import shared/reduce

struct MeanI8 {
    mantissa: i32,
    shift: i32,
    input_zero_point: i32,
    output_zero_point: i32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read> p: MeanI8;

fn mean(base: u32, output_element: u32) -> i32 {
    let first = first_summand(output_element);
    var sum = -bitcast<i32>(shape.count) * p.input_zero_point;
    for (var s = 0u; s < shape.count; s++) {
        let at = first + summand_offset(s);
        sum += byte_of(input[base + (at >> 2u)], at & 3u);
    }
    return with_zero_point(multiply_by_multiplier(sum, p.mantissa, p.shift), p.output_zero_point, -128, 127);
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
    let base = (i / shape.stride_out) * shape.stride_in;
    let word = i % shape.stride_out;
    var result = vec4<i32>(0);
    for (var lane = 0u; lane < 4u; lane++) {
        if (word * 4u + lane < shape.outputs) {
            result[lane] = mean(base, word * 4u + lane);
        }
    }
    output[i] = pack_bytes(result);
}
