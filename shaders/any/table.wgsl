// Functions of a byte by a table; an invocation a word.
#import shared/run

struct Table {
    // Words of one sample.
    words: u32,
    // Words between samples of the input.
    stride_in: u32,
    // The output byte of each input byte, four in a word.
    bytes: array<u32, 64>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Table;

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
    let word = input[(i / p.words) * p.stride_in + i % p.words];
    var result = 0u;
    for (var lane = 0u; lane < 4u; lane++) {
        let byte = extractBits(word, 8u * lane, 8u);
        result |= extractBits(p.bytes[byte >> 2u], 8u * (byte & 3u), 8u) << (8u * lane);
    }
    output[i] = result;
}
