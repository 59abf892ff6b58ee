// QUANTIZE, float to 8 bits, without float arithmetic: q is the lowest integer plus the number of keys that the value
// reaches (src/kernel/quantize.rs). An invocation an output word of four elements.
#import shared/run
#import shared/fixed
#import shared/order_key

struct Quantize {
    // Elements of one sample.
    elements: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    lowest: i32,
    zero_point: i32,
    // Order keys of the smallest floats above each integer but the last, ascending; all ones where there is none.
    keys: array<u32, 255>,
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
        return p.lowest + 255;
    }
    let key = order_key(bits);
    var low = 0u;
    var high = 255u;
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
    let first = (i % p.stride_out) * 4u;
    var result = vec4<i32>(0);
    for (var lane = 0u; lane < 4u; lane++) {
        if (first + lane < p.elements) {
            result[lane] = quantize(input[base + first + lane]);
        }
    }
    output[i] = pack_bytes(result);
}
