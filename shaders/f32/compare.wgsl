// Comparisons of floats: an invocation an output word of four answers.
#import shared/run
#import shared/broadcast
#import shared/compare

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;

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
    let sample = i / shape.stride_out;
    var result = 0u;
    for (var lane = 0u; lane < 4u; lane++) {
        let at = operands(min((i % shape.stride_out) * 4u + lane, shape.elements - 1u));
        let x = a[sample * shape.stride_a + at.x];
        let y = b[sample * shape.stride_b + at.y];
        result |= answer((x < y), (x == y), (x > y)) << (8u * lane);
    }
    output[i] = result;
}
