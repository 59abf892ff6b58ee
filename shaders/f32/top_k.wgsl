// TOPK_V2: an invocation an element, which finds its place among the others of its line; the first of equals first.
#import shared/run

override INDICES: bool = false;

struct TopK {
    // Lines of one sample.
    lines: u32,
    size: u32,
    k: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: TopK;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.lines * p.size) {
        return;
    }
    let sample = i / (p.lines * p.size);
    let element = i % (p.lines * p.size);
    let line = element / p.size;
    let own = element % p.size;
    let base = sample * p.stride_in + line * p.size;
    let value = input[base + own];
    var before = 0u;
    for (var k = 0u; k < p.size; k++) {
        let other = input[base + k];
        before += u32(other > value || (other == value && k < own));
    }
    if (before < p.k) {
        let at = sample * p.stride_out + line * p.k + before;
        output[at] = select(bitcast<u32>(value), own, INDICES);
    }
}
