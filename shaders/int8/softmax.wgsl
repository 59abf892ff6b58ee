// SOFTMAX over the last dimension: a workgroup four rows, as only four rows of any depth end at a word.
#import shared/run
#import shared/fixed
#import shared/gemmlowp

struct SoftmaxI8 {
    // Rows of one sample.
    rows: u32,
    depth: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    // exp(-distance) as Q0.31 for the distances 0 ... 255 to the row's maximum.
    exp: array<i32, 256>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: SoftmaxI8;

// Integer bits of the sum, Q12.19.
const SUM_INTEGER_BITS: u32 = 12u;

var<workgroup> partial: array<i32, 64>;
// Of each row: maximum, 1 / sum as Q0.31, exponent of the final division.
var<workgroup> statistics: array<vec3<i32>, 4>;

fn element(base: u32, i: u32) -> i32 {
    return byte_of(input[base + (i >> 2u)], i & 3u);
}

fn reciprocal(largest: i32, sum: i32) -> vec3<i32> {
    let zeros = countLeadingZeros(bitcast<u32>(sum));
    let fraction = bitcast<i32>((bitcast<u32>(sum) << zeros) - 0x80000000u);
    // LiteRT aborts where the exponent would pass 31.
    let exponent = min(SUM_INTEGER_BITS - zeros + 31u - 8u, 31u);
    return vec3<i32>(largest, one_over_one_plus(fraction), i32(exponent));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let blocks = (p.rows + 3u) / 4u;
    let block = linear_workgroup(group, groups);
    let sample = block / blocks;
    if (sample >= run.samples) {
        return;
    }
    let first_row = (block % blocks) * 4u;
    let rows = min(4u, p.rows - first_row);
    let base = sample * p.stride_in;

    // Sixteen invocations a row.
    let row = local / 16u;
    let first = (first_row + row) * p.depth;
    let end = select(0u, p.depth, row < rows);
    var largest = -128;
    for (var i = local % 16u; i < end; i += 16u) {
        largest = max(largest, element(base, first + i));
    }
    partial[local] = largest;
    workgroupBarrier();
    for (var i = 0u; i < 16u; i++) {
        largest = max(largest, partial[row * 16u + i]);
    }
    workgroupBarrier();

    var sum = 0;
    for (var i = local % 16u; i < end; i += 16u) {
        sum += rounding_divide_by_pot(p.exp[largest - element(base, first + i)], SUM_INTEGER_BITS);
    }
    partial[local] = sum;
    workgroupBarrier();
    if (local % 16u == 0u && row < rows) {
        sum = 0;
        for (var i = 0u; i < 16u; i++) {
            sum += partial[local + i];
        }
        statistics[row] = reciprocal(largest, sum);
    }
    workgroupBarrier();

    let begin = first_row * p.depth;
    let count = rows * p.depth;
    for (var w = local; w * 4u < count; w += 64u) {
        var result = vec4<i32>(-128);
        for (var lane = 0u; lane < 4u; lane++) {
            let i = w * 4u + lane;
            if (i < count) {
                let s = statistics[i / p.depth];
                let scaled = doubling_high_mul(s.y, p.exp[s.x - element(base, begin + i)]);
                result[lane] = clamp(rounding_divide_by_pot(scaled, u32(s.z)) - 128, -128, 127);
            }
        }
        output[sample * p.stride_out + begin / 4u + w] = pack_bytes(result);
    }
}
