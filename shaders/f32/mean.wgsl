// MEAN: an invocation an output.
#import shared/run
#import shared/reduce

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

// Summands that are added one by one before the parts are: a long sum keeps more of its digits.
const PART: u32 = 64u;

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
    var sum = 0.0;
    var part = 0.0;
    for (var s = 0u; s < shape.count; s++) {
        part += input[first + summand_offset(s)];
        if (s % PART == PART - 1u) {
            sum += part;
            part = 0.0;
        }
    }
    output[sample * shape.stride_out + i % shape.outputs] = (sum + part) / f32(shape.count);
}
