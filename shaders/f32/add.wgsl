// ADD: an invocation an output element.
#import shared/run
#import shared/bounds
#import shared/broadcast
#import shared/range

struct Bounds {
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read> bounds: Bounds;

fn compute(i: u32) {
    let sample = i / shape.elements;
    let element = i % shape.elements;
    let at = operands(element);
    let sum = bounded(a[sample * shape.stride_a + at.x] + b[sample * shape.stride_b + at.y], bounds.low, bounds.high);
    output[sample * shape.stride_out + element] = sum;
#if RANGE
    see(sum);
#end
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear_workgroup(group, groups);
    let i = workgroup * 64u + local;
    if (i < run.samples * shape.elements) {
        compute(i);
    }
#if RANGE
    publish(local, workgroup);
#end
}
