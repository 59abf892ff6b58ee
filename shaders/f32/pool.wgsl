// Pools of floats: an invocation an element.
#import shared/run
#import shared/bounds
#import shared/pool
#import shared/range

// 0 average, 1 maximum, 2 root of the mean square.
override OP: u32 = 0u;

struct Bounds {
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read> bounds: Bounds;

fn compute(i: u32) {
    let base = (i / shape.elements) * shape.stride_in;
    let view = view_of(i % shape.elements);
    var result = select(0.0, -3.40282346e38, OP == 1u);
    for (var y = view.top; y < view.bottom; y++) {
        for (var x = view.left; x < view.right; x++) {
            let value = input[base + input_at(view, y, x)];
            if (OP == 1u) {
                result = select(result, value, value > result);
            } else {
                result += select(value, value * value, OP == 2u);
            }
        }
    }
    if (OP != 1u) {
        result /= f32(count_of(view));
    }
    if (OP == 2u) {
        result = sqrt(result);
    }
    result = bounded(result, bounds.low, bounds.high);
    output[i] = result;
#if RANGE
    see(result);
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
