// SOFTMAX, LOG_SOFTMAX and L2_NORMALIZATION over the last dimension: a workgroup a row.
#import shared/run

// 0 softmax, 1 its logarithm, 2 division by the length.
override OP: u32 = 0u;

struct Softmax {
    // Rows of one sample.
    rows: u32,
    depth: u32,
    beta: f32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
@group(0) @binding(3) var<storage, read> p: Softmax;

var<workgroup> partial: array<f32, 64>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let row = linear_workgroup(group, groups);
    if (row >= run.samples * p.rows) {
        return;
    }
    let first_in = (row / p.rows) * p.stride_in + (row % p.rows) * p.depth;
    let first_out = (row / p.rows) * p.stride_out + (row % p.rows) * p.depth;

    var largest = input[first_in];
    for (var i = local; i < p.depth; i += 64u) {
        largest = max(largest, input[first_in + i]);
    }
    partial[local] = largest;
    workgroupBarrier();
    for (var step = 32u; step > 0u; step >>= 1u) {
        if (local < step) {
            partial[local] = max(partial[local], partial[local + step]);
        }
        workgroupBarrier();
    }
    largest = partial[0];
    workgroupBarrier();

    var sum = 0.0;
    for (var i = local; i < p.depth; i += 64u) {
        let value = input[first_in + i];
        if (OP == 2u) {
            sum += value * value;
        } else {
            sum += exp((value - largest) * p.beta);
        }
    }
    partial[local] = sum;
    workgroupBarrier();
    for (var step = 32u; step > 0u; step >>= 1u) {
        if (local < step) {
            partial[local] += partial[local + step];
        }
        workgroupBarrier();
    }
    sum = partial[0];

    for (var i = local; i < p.depth; i += 64u) {
        let value = input[first_in + i];
        var result = 0.0;
        if (OP == 0u) {
            result = exp((value - largest) * p.beta) / sum;
        } else if (OP == 1u) {
            result = value - largest - log(sum);
        } else {
            result = value / max(sqrt(sum), 1e-6);
        }
        output[first_out + i] = result;
    }
}
