// DEQUANTIZE, and bytes of a data set to floats, by a table; an invocation an element. Floats are copied as bits.
#import shared/run

struct Dequantize {
    // Elements of one sample.
    elements: u32,
    // Words between samples of the input.
    stride_in: u32,
    // Of an element of the input: 8 or 16.
    bits: u32,
    // The float of each integer, by its bits.
    floats: array<u32>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Dequantize;

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
    let lanes = 32u / p.bits;
    let word = input[(i / p.elements) * p.stride_in + element / lanes];
    output[i] = p.floats[extractBits(word, p.bits * (element % lanes), p.bits)];
}
