// UNIDIRECTIONAL_SEQUENCE_RNN: a workgroup a sequence; its invocations take the cells in turns.
#import shared/run
#import shared/functions

// Cells that a sequence has.
override CELLS: u32 = 1u;
// 0 none, 1 clamp, 2 tanh.
override ACTIVATION: u32 = 0u;

struct Rnn {
    time: u32,
    batch: u32,
    input: u32,
    time_major: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
// [cells, input], [cells, cells], [cells].
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read> p: Rnn;

fn row(t: u32, b: u32) -> u32 {
    return select(b * p.time + t, t * p.batch + b, p.time_major == 1u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sequence = linear_workgroup(group, groups);
    if (sequence >= run.samples * p.batch) {
        return;
    }
    let sample = sequence / p.batch;
    let b = sequence % p.batch;
    for (var t = 0u; t < p.time; t++) {
        let in_row = sample * p.stride_in + row(t, b) * p.input;
        let out_row = sample * p.stride_out + row(t, b) * CELLS;
        let last_row = sample * p.stride_out + row(max(t, 1u) - 1u, b) * CELLS;
        for (var cell = local; cell < CELLS; cell += 64u) {
            var sum = weights[CELLS * (p.input + CELLS) + cell];
            for (var k = 0u; k < p.input; k++) {
                sum += weights[cell * p.input + k] * input[in_row + k];
            }
            if (t > 0u) {
                for (var k = 0u; k < CELLS; k++) {
                    sum += weights[CELLS * p.input + cell * CELLS + k] * output[last_row + k];
                }
            }
            if (ACTIVATION == 1u) {
                sum = select(select(sum, p.low, sum < p.low), p.high, sum > p.high);
            }
            if (ACTIVATION == 2u) {
                sum = tanh_of(sum);
            }
            output[out_row + cell] = sum;
            state[(sample * p.batch + b) * CELLS + cell] = sum;
        }
        storageBarrier();
    }
}
