// Rows as whole numbers: a workgroup a piece of a row. The ranges of its pieces are there.
#import shared/run
#import shared/row_parameters

override SYMMETRIC: bool = false;

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
// [sample][row][piece]
@group(0) @binding(2) var<storage, read_write> ranges: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> codes: array<f32>;
// [sample][row]
@group(0) @binding(4) var<storage, read_write> scales: array<f32>;
@group(0) @binding(5) var<storage, read> p: Rows;

var<workgroup> parameters: Row;

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
    if (local == 0u) {
        var range = ranges[row * p.pieces];
        for (var i = 1u; i < p.pieces; i++) {
            let other = ranges[row * p.pieces + i];
            range = vec2<f32>(min(range.x, other.x), max(range.y, other.y));
        }
        if (SYMMETRIC) {
            parameters = symmetric(range.x, range.y);
        } else {
            parameters = asymmetric(range.x, range.y);
        }
        if (group % p.pieces == 0u) {
            scales[row] = parameters.scale;
        }
    }
    workgroupBarrier();
    let begin = group % p.pieces * p.piece;
    let end = min(begin + p.piece, p.depth);
    let first_in = row / p.rows * p.stride + row % p.rows * p.depth;
    let first_out = row * p.depth;
    for (var i = begin + local; i < end; i += 64u) {
        codes[first_out + i] = code(parameters, input[first_in + i], run.pad0);
    }
}
