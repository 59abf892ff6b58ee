// ADD: an invocation an output element.
#import shared/run
#import shared/bounds
#import shared/broadcast

struct Bounds {
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read> bounds: Bounds;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * shape.elements) {
        return;
    }
    let sample = i / shape.elements;
    let element = i % shape.elements;
    let at = operands(element);
    let sum = a[sample * shape.stride_a + at.x] + b[sample * shape.stride_b + at.y];
    output[sample * shape.stride_out + element] = bounded(sum, bounds.low, bounds.high);
}
