// QUANTIZE, float to 8 or 16 bits, without float arithmetic: q is the lowest integer plus the number of keys that the
// value reaches (src/kernel/quantize.rs). An invocation an output word of four or two elements.
#import shared/run
#import shared/order_key

struct Quantize {
    // Elements of one sample.
    elements: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    lowest: i32,
    zero_point: i32,
    // Of an element of the output.
    bits: u32,
    // Number of keys.
    levels: u32,
    // Order keys of the smallest floats above each integer but the last, ascending; all ones where there is none.
    keys: array<u32>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Quantize;

const INFINITY: u32 = 0x7f800000u;
const NONE: u32 = 0xffffffffu;

fn quantize(bits: u32) -> i32 {
    if ((bits & 0x7fffffffu) > INFINITY) {
        return p.zero_point;
    }
    if (bits == INFINITY) {
        return p.lowest + i32(p.levels);
    }
    let key = order_key(bits);
    var low = 0u;
    var high = p.levels;
    while (low < high) {
        let middle = (low + high) / 2u;
        if (p.keys[middle] <= key && p.keys[middle] != NONE) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return p.lowest + i32(low);
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
    let lanes = 32u / p.bits;
    let first = (i % p.stride_out) * lanes;
    var result = 0u;
    for (var lane = 0u; lane < lanes; lane++) {
        if (first + lane < p.elements) {
            let q = bitcast<u32>(quantize(input[base + first + lane]));
            result |= extractBits(q, 0u, p.bits) << (p.bits * lane);
        }
    }
    output[i] = result;
}
