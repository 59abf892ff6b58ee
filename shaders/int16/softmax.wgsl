// SOFTMAX of int16 over the last dimension: a workgroup two rows, as only two rows of any depth end at a word.
#import shared/run
#import shared/fixed

struct SoftmaxI16 {
    // Rows of one sample.
    rows: u32,
    depth: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    // Brings a distance from the row's maximum to 10 / 65535.
    mantissa: i32,
    shift: i32,
    // exp from -10 to 0, and 1 / (1 + x) from 0 to 1, both as Q0.15.
    exp: array<i32, 513>,
    reciprocal: array<i32, 513>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: SoftmaxI16;

var<workgroup> partial: array<i32, 64>;
// Of each row: maximum, 1 / sum as Q0.15, shift of the final division.
var<workgroup> statistics: array<vec3<i32>, 2>;

fn element(base: u32, i: u32) -> i32 {
    return half_of(input[base + (i >> 1u)], i & 1u);
}

// Between two values of a table, by the 7 low bits of x.
fn interpolated(x: i32, base: i32, next: i32) -> i32 {
    let slope = extractBits(next - base, 0u, 16u);
    return extractBits(base + ((slope * (x & 0x7f) + 64) >> 7u), 0u, 16u);
}

fn exp_of(difference: i32) -> i32 {
    let scaled = multiply_by_multiplier(difference, p.mantissa, p.shift) + 32767;
    let x = clamp(scaled, -32768, 32767);
    let i = u32(256 + (x >> 7u));
    return interpolated(x, p.exp[i], p.exp[i + 1u]);
}

fn reciprocal_of(largest: i32, sum: i32) -> vec3<i32> {
    let zeros = max(countLeadingZeros(bitcast<u32>(sum)), 1u);
    let shifted = ((bitcast<u32>(sum) << (zeros - 1u)) + 0x2000u) >> 14u;
    let x = clamp(i32(shifted) - 98304, -32768, 32767);
    let i = u32(256 + (x >> 7u));
    let value = interpolated(x, p.reciprocal[i], p.reciprocal[i + 1u]);
    return vec3<i32>(largest, value, i32(max(31u - min(zeros, 31u), 1u)));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let blocks = (p.rows + 1u) / 2u;
    let block = linear_workgroup(group, groups);
    let sample = block / blocks;
    if (sample >= run.samples) {
        return;
    }
    let first_row = (block % blocks) * 2u;
    let rows = min(2u, p.rows - first_row);
    let base = sample * p.stride_in;

    // Half of the invocations a row.
    let row = local / 32u;
    let first = (first_row + row) * p.depth;
    let end = select(0u, p.depth, row < rows);
    var largest = -32768;
    for (var i = local % 32u; i < end; i += 32u) {
        largest = max(largest, element(base, first + i));
    }
    partial[local] = largest;
    workgroupBarrier();
    for (var i = 0u; i < 32u; i++) {
        largest = max(largest, partial[row * 32u + i]);
    }
    workgroupBarrier();

    var sum = 0;
    for (var i = local % 32u; i < end; i += 32u) {
        sum += exp_of(element(base, first + i) - largest);
    }
    partial[local] = sum;
    workgroupBarrier();
    if (local % 32u == 0u && row < rows) {
        sum = 0;
        for (var i = 0u; i < 32u; i++) {
            sum += partial[local + i];
        }
        statistics[row] = reciprocal_of(largest, sum);
    }
    workgroupBarrier();

    let begin = first_row * p.depth;
    let count = rows * p.depth;
    for (var w = local; w * 2u < count; w += 64u) {
        var result = vec2<i32>(0);
        for (var lane = 0u; lane < 2u; lane++) {
            let i = w * 2u + lane;
            if (i < count) {
                let s = statistics[i / p.depth];
                let scaled = exp_of(element(base, begin + i) - s.x) * s.y;
                let right = u32(s.z);
                result[lane] = clamp((scaled + (1 << (right - 1u))) >> right, 0, 32767);
            }
        }
        output[sample * p.stride_out + begin / 2u + w] = pack_halves(result.x, result.y);
    }
}
