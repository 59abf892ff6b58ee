// DEPTHWISE_CONV_2D in float: an invocation owns one channel of a pixel; any number of channels.
#import shared/run

struct Params {
    in_h: u32,
    in_w: u32,
    in_c: u32,
    out_h: u32,
    out_w: u32,
    out_c: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    pad_top: u32,
    pad_left: u32,
    // Output channels of one input channel.
    group_out: u32,
    // Output pixels of one sample.
    pixels: u32,
    // Elements from one sample of the input to the next.
    in_stride: u32,
    // Bit 0: `low` applies, bit 1: `high` applies.
    bounded: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// [k_h * k_w][out_c]
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> input: array<f32>;
@group(0) @binding(5) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let channels = params.out_c;
    let i = linear_workgroup(group_id, group_count) * 64u + t;
    if (i >= run.samples * params.pixels * channels) {
        return;
    }
    let channel = i % channels;
    let row = i / channels;
    let sample = row / params.pixels;
    let pixel = row % params.pixels;
    let line = pixel / params.out_w;
    let top = (line % params.out_h) * params.stride_h - params.pad_top;
    let left = (pixel % params.out_w) * params.stride_w - params.pad_left;
    let image = sample * params.in_stride + line / params.out_h * params.in_h * params.in_w * params.in_c + channel / params.group_out;
    var sum = bias[channel];
    for (var ky = 0u; ky < params.k_h; ky++) {
        // Above the input this wraps to a large number.
        let y = top + ky * params.dilation_h;
        if (y >= params.in_h) {
            continue;
        }
        for (var kx = 0u; kx < params.k_w; kx++) {
            let x = left + kx * params.dilation_w;
            if (x < params.in_w) {
                sum += input[image + (y * params.in_w + x) * params.in_c] * weights[(ky * params.k_w + kx) * channels + channel];
            }
        }
    }
    if ((params.bounded & 1u) != 0u) {
        sum = select(sum, f32(params.low), sum < f32(params.low));
    }
    if ((params.bounded & 2u) != 0u) {
        sum = select(sum, f32(params.high), sum > f32(params.high));
    }
    output[i] = sum;
}
