// SVDF from a state of zeros: an invocation a unit.
#import shared/run
#import shared/bounds

struct Svdf {
    batch: u32,
    input: u32,
    units: u32,
    rank: u32,
    memory: u32,
    // Words between samples of the input.
    stride_in: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
// [units * rank, input], then the last entry of each time filter, then [units].
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read> p: Svdf;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.batch * p.units) {
        return;
    }
    let unit = i % p.units;
    let row = i / p.units;
    let sample = row / p.batch;
    let first = sample * p.stride_in + (row % p.batch) * p.input;
    let filters = p.units * p.rank;
    var result = weights[filters * (p.input + 1u) + unit];
    for (var r = 0u; r < p.rank; r++) {
        let filter_index = unit * p.rank + r;
        var feature = 0.0;
        for (var k = 0u; k < p.input; k++) {
            feature += weights[filter_index * p.input + k] * input[first + k];
        }
        result += weights[filters * p.input + filter_index] * feature;
        let start = (row * filters + filter_index) * p.memory;
        for (var m = 0u; m + 1u < p.memory; m++) {
            state[start + m] = 0.0;
        }
        state[start + p.memory - 1u] = feature;
    }
    output[i] = bounded(result, p.low, p.high);
}
