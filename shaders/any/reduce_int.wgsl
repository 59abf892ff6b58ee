// Reductions of int32, wrapping: an invocation an output. A mean is cut toward zero.
#import shared/run
#import shared/reduce

// 0 mean, 1 sum, 2 product, 3 maximum, 4 minimum.
override OP: u32 = 0u;

@group(0) @binding(1) var<storage, read> input: array<i32>;
@group(0) @binding(2) var<storage, read_write> output: array<i32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * shape.outputs) {
        return;
    }
    let sample = i / shape.outputs;
    let first = sample * shape.stride_in + first_summand(i % shape.outputs);
    var result = input[first];
    for (var k = 1u; k < shape.count; k++) {
        let value = input[first + summand_offset(k)];
        switch (OP) {
            case 2u: {
                result *= value;
            }
            case 3u: {
                result = max(result, value);
            }
            case 4u: {
                result = min(result, value);
            }
            default: {
                result += value;
            }
        }
    }
    if (OP == 0u) {
        result /= i32(shape.count);
    }
    output[sample * shape.stride_out + i % shape.outputs] = result;
}
