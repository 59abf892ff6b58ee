// Pools of int16: an invocation an output word of two elements.
#import shared/run
#import shared/fixed
#import shared/pool

// 0 average, rounded half away from zero; 1 maximum.
override OP: u32 = 0u;

struct Bounds {
    low: i32,
    high: i32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read> bounds: Bounds;

fn pooled(base: u32, element: u32) -> i32 {
    let view = view_of(element);
    var result = select(0, -32768, OP == 1u);
    for (var y = view.top; y < view.bottom; y++) {
        for (var x = view.left; x < view.right; x++) {
            let at = input_at(view, y, x);
            let value = half_of(input[base + (at >> 1u)], at & 1u);
            result = select(result + value, max(result, value), OP == 1u);
        }
    }
    if (OP == 0u) {
        let count = i32(count_of(view));
        let half = count / 2;
        result = select(result - half, result + half, result > 0) / count;
    }
    return clamp(result, bounds.low, bounds.high);
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
    let first = (i % shape.stride_out) * 2u;
    output[i] = pack_halves(pooled(base, first), pooled(base, min(first + 1u, shape.elements - 1u)));
}
