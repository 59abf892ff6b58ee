// SVDF of int8 from a state of zeros. First the state, an invocation a word of two entries: zeros, and the feature of
// each filter in its last one; then the output, an invocation a word of four units.
#import shared/run
#import shared/fixed

override OUTPUT: bool = false;

struct Svdf {
    batch: u32,
    input: u32,
    units: u32,
    rank: u32,
    memory: u32,
    // Words between samples.
    stride_in: u32,
    stride_state: u32,
    stride_out: u32,
    input_zero_point: i32,
    feature_mantissa: i32,
    feature_shift: i32,
    output_mantissa: i32,
    output_shift: i32,
    output_zero_point: i32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
// Feature weights [units * rank, input], then the last entries of the time filters, then the bias.
@group(0) @binding(2) var<storage, read> weights: array<i32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<u32>;
@group(0) @binding(5) var<storage, read> p: Svdf;

// Entry `i` of a sample's state.
fn entry(sample: u32, i: u32) -> i32 {
    let filters = p.units * p.rank;
    let row = i / (filters * p.memory);
    let filter_index = i / p.memory % filters;
    if (i % p.memory != p.memory - 1u || row >= p.batch) {
        return 0;
    }
    var sum = 0;
    for (var k = 0u; k < p.input; k++) {
        let at = row * p.input + k;
        let q = byte_of(input[sample * p.stride_in + (at >> 2u)], at & 3u);
        sum += weights[filter_index * p.input + k] * (q - p.input_zero_point);
    }
    let scaled = multiply_by_multiplier(sum, p.feature_mantissa, p.feature_shift);
    return clamp(scaled, -32768, 32767);
}

fn unit_of(sample: u32, i: u32) -> i32 {
    let filters = p.units * p.rank;
    let row = i / p.units;
    let unit = i % p.units;
    var sum = weights[filters * (p.input + 1u) + unit];
    for (var r = 0u; r < p.rank; r++) {
        let filter_index = unit * p.rank + r;
        let at = (row * filters + filter_index + 1u) * p.memory - 1u;
        let feature = half_of(state[sample * p.stride_state + (at >> 1u)], at & 1u);
        sum += weights[filters * p.input + filter_index] * feature;
    }
    let scaled = multiply_by_multiplier(sum, p.output_mantissa, p.output_shift);
    return with_zero_point(scaled, p.output_zero_point, -128, 127);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (OUTPUT) {
        if (i < run.samples * p.stride_out) {
            var result = vec4<i32>(0);
            for (var lane = 0u; lane < 4u; lane++) {
                let at = min((i % p.stride_out) * 4u + lane, p.batch * p.units - 1u);
                result[lane] = unit_of(i / p.stride_out, at);
            }
            output[i] = pack_bytes(result);
        }
        return;
    }
    if (i < run.samples * p.stride_state) {
        let sample = i / p.stride_state;
        let first = (i % p.stride_state) * 2u;
        state[i] = pack_halves(entry(sample, first), entry(sample, first + 1u));
    }
}
