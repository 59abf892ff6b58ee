// Functions of 8 or 16 bits by a table, where one of both sides has 16; an invocation a word of the output.
#import shared/run

struct Table {
    // Elements of one sample.
    elements: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    // Of an element.
    bits_in: u32,
    bits_out: u32,
    // The output of each input, by its bits; two in a word.
    entries: array<u32>,
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
    if (i >= run.samples * p.stride_out) {
        return;
    }
    let base = (i / p.stride_out) * p.stride_in;
    let lanes_in = 32u / p.bits_in;
    let lanes_out = 32u / p.bits_out;
    let first = (i % p.stride_out) * lanes_out;
    var result = 0u;
    for (var lane = 0u; lane < lanes_out; lane++) {
        let element = first + lane;
        if (element < p.elements) {
            let word = input[base + element / lanes_in];
            let q = extractBits(word, p.bits_in * (element % lanes_in), p.bits_in);
            let entry = extractBits(p.entries[q >> 1u], 16u * (q & 1u), p.bits_out);
            result |= entry << (p.bits_out * lane);
        }
    }
    output[i] = result;
}
