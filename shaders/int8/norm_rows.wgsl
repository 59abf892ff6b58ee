// What the elements of a row need of the others, an invocation a row: mantissa and shift of 1 / length, or the maximum,
// the logarithm of the sum and the lowest distance that counts.
#import shared/run
#import shared/fixed
#import shared/gemmlowp
#import shared/norm

@group(0) @binding(2) var<storage, read_write> rows: array<i32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.rows) {
        return;
    }
    let base = (i / p.rows) * p.stride_in;
    let first = (i % p.rows) * p.depth;
    if (OP == 0u) {
        var sum = 0;
        for (var k = 0u; k < p.depth; k++) {
            let real = element(base, first + k) - p.zero_point;
            sum += real * real;
        }
        let inverse = inverse_root(sum);
        rows[4u * i] = inverse.x;
        rows[4u * i + 1u] = inverse.y + 7;
        return;
    }
    var largest = -128;
    for (var k = 0u; k < p.depth; k++) {
        largest = max(largest, element(base, first + k));
    }
    var sum = 0;
    for (var k = 0u; k < p.depth; k++) {
        sum += p.exp[u32(largest - element(base, first + k))];
    }
    let log = log_of_at_least_one(sum);
    rows[4u * i] = largest;
    rows[4u * i + 1u] = log;
    let lowest = multiply_by_multiplier(log + I32_MIN, p.reverse_mantissa, p.reverse_shift);
    rows[4u * i + 2u] = max(-p.farthest - 1, lowest);
}
