// STRIDED_SLICE: elements picked by strides; an invocation an output word of one or four elements.
#import shared/run

// Elements in a word: 1 or 4.
override LANES: u32 = 1u;

struct Gather {
    // Output elements of one sample.
    elements: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    // Element of the input that is the first.
    base: i32,
    dims: array<u32, 6>,
    // Step in the input along each dimension.
    steps: array<i32, 6>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Gather;

// Element of the input that becomes output element i.
fn source_of(i: u32) -> u32 {
    var rest = i;
    var at = p.base;
    for (var d = 6u; d > 0u; d--) {
        let size = p.dims[d - 1u];
        at += i32(rest % size) * p.steps[d - 1u];
        rest /= size;
    }
    return u32(at);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.stride_out) {
        return;
    }
    let base = (i / p.stride_out) * p.stride_in;
    let word = i % p.stride_out;
    if (LANES == 1u) {
        output[i] = input[base + source_of(word)];
        return;
    }
    var result = 0u;
    for (var lane = 0u; lane < 4u; lane++) {
        let at = source_of(min(word * 4u + lane, p.elements - 1u));
        result |= extractBits(input[base + (at >> 2u)], 8u * (at & 3u), 8u) << (8u * lane);
    }
    output[i] = result;
}
