// RESHAPE: the words as they are, of any type.
#import shared/run

struct Copy {
    // Words of one sample.
    words: u32,
    // Words between samples of the input.
    stride_in: u32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Copy;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.words) {
        return;
    }
    output[i] = input[(i / p.words) * p.stride_in + i % p.words];
}
