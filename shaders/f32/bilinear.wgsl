// RESIZE_BILINEAR of floats: an invocation an element.
#import shared/run
#import shared/resize
#import shared/range

struct Tap {
    lower: u32,
    upper: u32,
    below: f32,
    above: f32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
// One for each output row, then for each output column.
@group(0) @binding(4) var<storage, read> taps: array<Tap>;

fn compute(i: u32) {
    let base = (i / shape.elements) * shape.stride_in;
    let place = place_of(i % shape.elements);
    let row = taps[place.y];
    let column = taps[shape.out_h + place.z];
    let result = input[base + input_at(place, row.lower, column.lower)] * row.below * column.below
        + input[base + input_at(place, row.upper, column.lower)] * row.above * column.below
        + input[base + input_at(place, row.lower, column.upper)] * row.below * column.above
        + input[base + input_at(place, row.upper, column.upper)] * row.above * column.above;
    output[i] = result;
#if RANGE
    see(result);
#end
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear_workgroup(group, groups);
    let i = workgroup * 64u + local;
    if (i < run.samples * shape.elements) {
        compute(i);
    }
#if RANGE
    publish(local, workgroup);
#end
}
