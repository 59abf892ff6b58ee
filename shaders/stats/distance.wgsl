// Sums of errors by channel: a workgroup takes a sample and up to 256 channels. An invocation keeps to one channel and every
// so many rows of it; the invocations of a channel are added in the order of their numbers.
#import shared/run

struct Distance {
    channels: u32,
    rows: u32,
    // Words between samples of both inputs and the output.
    stride_test: u32,
    stride_reference: u32,
    stride_out: u32,
    // Workgroups of a sample.
    groups: u32,
    zero_point: i32,
    scale: f32,
}

@group(0) @binding(1) var<storage, read> test: array<u32>;
@group(0) @binding(2) var<storage, read> reference: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read> p: Distance;

// Bits of an element of the test: 8 or 16 for integers, 32 for floats.
override BITS: u32 = 8u;

var<workgroup> partial: array<array<f32, 7>, 256>;

fn real(first: u32, i: u32) -> f32 {
    if (BITS == 32u) {
        return bitcast<f32>(test[first + i]);
    }
    let lanes = 32u / BITS;
    let word = bitcast<i32>(test[first + i / lanes]);
    return p.scale * f32(extractBits(word, BITS * (i % lanes), BITS) - p.zero_point);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let index = linear_workgroup(group, groups);
    let sample = index / p.groups;
    let first_channel = (index % p.groups) * 256u;
    let width = min(p.channels - first_channel, 256u);
    let together = 256u / width;
    let channel = local % width;
    let mine = local / width;
    var sums = array<f32, 7>(0.0, 0.0, 0.0, 0.0, 0.0, 3.40282346e38, -3.40282346e38);
    if (sample < run.samples && mine < together) {
        let test_first = sample * p.stride_test;
        let reference_first = sample * p.stride_reference;
        for (var row = mine; row < p.rows; row += together) {
            let i = row * p.channels + first_channel + channel;
            let r = reference[reference_first + i];
            let d = real(test_first, i) - r;
            sums[0] += d;
            sums[1] += d * d;
            sums[2] = select(sums[2], abs(d), abs(d) > sums[2]);
            sums[3] += r * r;
            sums[4] += r * d;
            sums[5] = select(sums[5], r, r < sums[5]);
            sums[6] = select(sums[6], r, r > sums[6]);
        }
    }
    partial[local] = sums;
    workgroupBarrier();
    if (sample >= run.samples || mine != 0u) {
        return;
    }
    for (var i = 1u; i < together; i++) {
        let other = partial[local + i * width];
        for (var k = 0u; k < 5u; k++) {
            if (k != 2u) {
                sums[k] += other[k];
            }
        }
        sums[2] = max(sums[2], other[2]);
        sums[5] = min(sums[5], other[5]);
        sums[6] = max(sums[6], other[6]);
    }
    let at = sample * p.stride_out + (first_channel + channel) * 7u;
    for (var k = 0u; k < 7u; k++) {
        output[at + k] = sums[k];
    }
}
