// Reductions of floats: SHARE invocations an output.
#import shared/run
#import shared/reduce

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;

// 0 mean, 1 sum, 2 product, 3 maximum, 4 minimum.
override OP: u32 = 0u;

var<workgroup> partial: array<f32, 64>;

fn start() -> f32 {
    switch (OP) {
        case 2u: {
            return 1.0;
        }
        case 3u: {
            return -3.40282346e38;
        }
        case 4u: {
            return 3.40282346e38;
        }
        default: {
            return 0.0;
        }
    }
}

fn together(a: f32, b: f32) -> f32 {
    switch (OP) {
        case 2u: {
            return a * b;
        }
        case 3u: {
            return select(a, b, b > a);
        }
        case 4u: {
            return select(a, b, b < a);
        }
        default: {
            return a + b;
        }
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * (64u / SHARE) + local / SHARE;
    let sample = i / shape.outputs;
    var sum = start();
    if (sample < run.samples) {
        let first = sample * shape.stride_in + first_summand(i % shape.outputs);
        for (var s = local % SHARE; s < shape.count; s += SHARE) {
            sum = together(sum, input[first + summand_offset(s)]);
        }
    }
    partial[local] = sum;
    workgroupBarrier();
    if (sample >= run.samples || local % SHARE != 0u) {
        return;
    }
    for (var part = 1u; part < SHARE; part++) {
        sum = together(sum, partial[local + part]);
    }
    if (OP == 0u) {
        sum /= f32(shape.count);
    }
    output[sample * shape.stride_out + i % shape.outputs] = sum;
}
