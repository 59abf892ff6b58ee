// MEAN: SHARE invocations an output.
#import shared/run
#import shared/reduce

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * (64u / SHARE) + local / SHARE;
    let sample = i / shape.outputs;
    var sum = 0.0;
    if (sample < run.samples) {
        let first = sample * shape.stride_in + first_summand(i % shape.outputs);
        for (var s = local % SHARE; s < shape.count; s += SHARE) {
            sum += input[first + summand_offset(s)];
        }
    }
    partial[local] = sum;
    workgroupBarrier();
    if (sample >= run.samples || local % SHARE != 0u) {
        return;
    }
    for (var part = 1u; part < SHARE; part++) {
        sum += partial[local + part];
    }
    output[sample * shape.stride_out + i % shape.outputs] = sum / f32(shape.count);
}
