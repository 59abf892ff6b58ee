// RESIZE_BILINEAR of int16: an invocation an output word of two elements. Weights of 10 bits along both dimensions: sums
// have up to 37 bits.
#import shared/run
#import shared/fixed
#import shared/wide
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
    return half_of(input[base + (at >> 1u)], at & 1u);
}

// Along a row.
fn between(base: u32, place: vec4<u32>, row: u32, column: Tap) -> i32 {
    return element(base, input_at(place, row, column.lower)) * column.below
        + element(base, input_at(place, row, column.upper)) * column.above;
}

fn resized(base: u32, i: u32) -> i32 {
    let place = place_of(i);
    let row = taps[place.y];
    let column = taps[shape.out_h + place.z];
    let lower = signed_product(between(base, place, row.lower, column), row.below);
    let upper = signed_product(between(base, place, row.upper, column), row.above);
    let sum = wide_sum(lower, upper);
    let magnitude = wide_add(wide_magnitude(sum), 0x80000);
    // 20 bits go.
    let result = bitcast<i32>((magnitude.x << 12u) | (magnitude.y >> 20u));
    return select(result, 0 - result, (sum.x >> 31u) == 1u);
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
    let first = (i % shape.stride_out) * 2u;
    output[i] = pack_halves(resized(base, first), resized(base, min(first + 1u, shape.elements - 1u)));
}
