// ONE_HOT: an invocation an element.
#import shared/run

struct OneHot {
    // Elements of one sample.
    elements: u32,
    size: u32,
    inner: u32,
    // Words between samples of the indices.
    stride_in: u32,
    on: f32,
    off: f32,
}

@group(0) @binding(1) var<storage, read> indices: array<i32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
@group(0) @binding(3) var<storage, read> p: OneHot;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.elements) {
        return;
    }
    let element = i % p.elements;
    let place = element / p.inner % p.size;
    let at = element / (p.inner * p.size) * p.inner + element % p.inner;
    let index = indices[(i / p.elements) * p.stride_in + at];
    output[i] = select(p.off, p.on, index == i32(place));
}
