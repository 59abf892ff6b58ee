// RESIZE_BILINEAR of int8: an invocation an output word of four elements. A sum of products with weights of 10 + 10
// bits that add up to 2^20 takes 28 bits.
#import shared/run
#import shared/fixed
#import shared/resize

struct Tap {
    lower: u32,
    upper: u32,
    below: i32,
    above: i32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
// One for each output row, then for each output column.
@group(0) @binding(4) var<storage, read> taps: array<Tap>;

fn element(base: u32, at: u32) -> i32 {
    return byte_of(input[base + (at >> 2u)], at & 3u);
}

fn resized(base: u32, i: u32) -> i32 {
    let place = place_of(i);
    let row = taps[place.y];
    let column = taps[shape.out_h + place.z];
    let sum = element(base, input_at(place, row.lower, column.lower)) * (row.below * column.below)
        + element(base, input_at(place, row.upper, column.lower)) * (row.above * column.below)
        + element(base, input_at(place, row.lower, column.upper)) * (row.below * column.above)
        + element(base, input_at(place, row.upper, column.upper)) * (row.above * column.above);
    return (sum + select(-0x80000, 0x80000, sum > 0)) / 0x100000;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * shape.stride_out) {
        return;
    }
    let base = (i / shape.stride_out) * shape.stride_in;
    var result = vec4<i32>(0);
    for (var lane = 0u; lane < 4u; lane++) {
        result[lane] = resized(base, min((i % shape.stride_out) * 4u + lane, shape.elements - 1u));
    }
    output[i] = pack_bytes(result);
}
