// Products of two activations in float: an invocation an element.
#import shared/run
#import shared/bounds
#import shared/matmul
#import shared/range

// Whether a bias is added.
override BIAS: bool = false;

struct Bounds {
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read> shape: Matmul;
@group(0) @binding(6) var<storage, read> bounds: Bounds;

fn compute(i: u32) {
    let sample = i / shape.elements;
    let element = i % shape.elements;
    let at = starts(element);
    var at_a = sample * shape.stride_a + at.x;
    var at_b = sample * shape.stride_b + at.y;
    var sum = 0.0;
    for (var k = 0u; k < shape.depth; k++) {
        sum += a[at_a] * b[at_b];
        at_a += shape.a_depth;
        at_b += shape.b_depth;
    }
    if (BIAS) {
        sum += bias[sample * shape.stride_bias + element % shape.columns];
    }
    sum = bounded(sum, bounds.low, bounds.high);
    output[i] = sum;
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
