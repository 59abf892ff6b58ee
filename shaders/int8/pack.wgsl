// Packs integers that take a word each into bytes or half words; every sample starts at a word.
#import shared/run
#import shared/fixed

// 8 or 16.
override BITS: u32 = 8u;

struct Params {
    // Elements of one sample.
    elements: u32,
    // Words of one sample in the output.
    words: u32,
    // Words from one sample of the input to the next, and where the elements start.
    in_stride: u32,
    in_offset: u32,
}

@group(0) @binding(1) var<storage, read> params: Params;
@group(0) @binding(2) var<storage, read_write> input: array<i32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;

fn element(base: u32, i: u32) -> i32 {
    if (i >= params.elements) {
        return 0;
    }
    return input[base + i];
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let i = linear_workgroup(group_id, group_count) * 64u + t;
    if (i >= run.samples * params.words) {
        return;
    }
    let word = i % params.words;
    let base = i / params.words * params.in_stride + params.in_offset;
    if (BITS == 16u) {
        output[i] = pack_halves(element(base, word * 2u), element(base, word * 2u + 1u));
        return;
    }
    let e = word * 4u;
    output[i] = pack_bytes(vec4<i32>(
        element(base, e),
        element(base, e + 1u),
        element(base, e + 2u),
        element(base, e + 3u),
    ));
}
