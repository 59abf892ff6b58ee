// Functions of two bytes by a table of all pairs: an invocation an output word of four.
#import shared/run
#import shared/broadcast

@group(0) @binding(1) var<storage, read> a: array<u32>;
@group(0) @binding(2) var<storage, read> b: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
// The byte for x and y at 256 x + y.
@group(0) @binding(5) var<storage, read> table: array<u32, 16384>;

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
    let sample = i / shape.stride_out;
    var result = 0u;
    for (var lane = 0u; lane < 4u; lane++) {
        let at = operands(min((i % shape.stride_out) * 4u + lane, shape.elements - 1u));
        let word_a = a[sample * shape.stride_a + (at.x >> 2u)];
        let word_b = b[sample * shape.stride_b + (at.y >> 2u)];
        let x = extractBits(word_a, 8u * (at.x & 3u), 8u);
        let y = extractBits(word_b, 8u * (at.y & 3u), 8u);
        let word = table[(x << 6u) | (y >> 2u)];
        result |= extractBits(word, 8u * (y & 3u), 8u) << (8u * lane);
    }
    output[i] = result;
}
