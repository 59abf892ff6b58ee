// CUMSUM of floats or int32: an invocation a line.
#import shared/run

override REVERSE: bool = false;
override EXCLUSIVE: bool = false;
override INTEGER: bool = false;

struct Lines {
    // Lines of one sample.
    lines: u32,
    size: u32,
    inner: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Lines;

fn add(a: u32, b: u32) -> u32 {
    if (INTEGER) {
        return a + b;
    }
    return bitcast<u32>(bitcast<f32>(a) + bitcast<f32>(b));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.lines) {
        return;
    }
    let sample = i / p.lines;
    let line = i % p.lines;
    let first = line / p.inner * p.size * p.inner + line % p.inner;
    var sum = 0u;
    for (var k = 0u; k < p.size; k++) {
        let at = first + p.inner * select(k, p.size - 1u - k, REVERSE);
        let with_it = add(sum, input[sample * p.stride_in + at]);
        output[sample * p.stride_out + at] = select(with_it, sum, EXCLUSIVE);
        sum = with_it;
    }
}
