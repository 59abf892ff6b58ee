// RESIZE_NEAREST_NEIGHBOR: an invocation an output word of one, two or four elements.
#import shared/run
#import shared/resize

// Bytes of an element: 1, 2 or 4.
override WIDTH: u32 = 4u;

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
// The input row of each output row, then the column of each output column.
@group(0) @binding(4) var<storage, read> sources: array<u32>;

fn source_of(element: u32) -> u32 {
    let place = place_of(element);
    return input_at(place, sources[place.y], sources[shape.out_h + place.z]);
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
    let word = i % shape.stride_out;
    if (WIDTH == 4u) {
        output[i] = input[base + source_of(word)];
        return;
    }
    let lanes = max(4u / WIDTH, 1u);
    let bits = min(8u * WIDTH, 32u);
    var result = 0u;
    for (var lane = 0u; lane < lanes; lane++) {
        let at = source_of(min(word * lanes + lane, shape.elements - 1u));
        result |= extractBits(input[base + at / lanes], bits * (at % lanes), bits) << (bits * lane);
    }
    output[i] = result;
}
