// The range of each piece of each row: a workgroup a piece.
#import shared/run

struct Rows {
    // Rows of one sample, elements of a row, words between samples.
    rows: u32,
    depth: u32,
    stride: u32,
    // Pieces of a row, and their elements.
    pieces: u32,
    piece: u32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
// [sample][row][piece] smallest and largest, zero included
@group(0) @binding(2) var<storage, read_write> ranges: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> p: Rows;

var<workgroup> partial: array<vec2<f32>, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let group = linear_workgroup(group_id, group_count);
    let row = group / p.pieces;
    if (row >= run.samples * p.rows) {
        return;
    }
    let begin = group % p.pieces * p.piece;
    let end = min(begin + p.piece, p.depth);
    let first = row / p.rows * p.stride + row % p.rows * p.depth;
    var range = vec2<f32>(0.0, 0.0);
    for (var i = begin + local; i < end; i += 64u) {
        let x = input[first + i];
        range = vec2<f32>(min(range.x, x), max(range.y, x));
    }
    partial[local] = range;
    workgroupBarrier();
    for (var step = 32u; step > 0u; step >>= 1u) {
        if (local < step) {
            let other = partial[local + step];
            partial[local] = vec2<f32>(min(partial[local].x, other.x), max(partial[local].y, other.y));
        }
        workgroupBarrier();
    }
    if (local == 0u) {
        ranges[group] = partial[0];
    }
}
