// DEPTHWISE_CONV_2D in int8: an invocation owns four channels of a pixel: one word. Input and output channels are the
// same, and a multiple of 4.
#import shared/run
#import shared/fixed

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
    // Words from one sample of the input to the next.
    in_stride: u32,
    input_zero_point: i32,
    output_zero_point: i32,
    low: i32,
    high: i32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// [k_h * k_w][out_c], four channels a word.
@group(0) @binding(2) var<storage, read> weights: array<u32>;
// For each channel: bias, mantissa, shift.
@group(0) @binding(3) var<storage, read> channels: array<vec4<i32>>;
@group(0) @binding(4) var<storage, read> input: array<u32>;
@group(0) @binding(5) var<storage, read_write> output: array<u32>;

fn requantize(sum: i32, channel: u32) -> i32 {
    let c = channels[channel];
    let y = multiply_by_multiplier(sum + c.x, c.y, c.z);
    return with_zero_point(y, params.output_zero_point, params.low, params.high);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let quads = params.out_c / 4u;
    let i = linear_workgroup(group_id, group_count) * 64u + t;
    if (i >= run.samples * params.pixels * quads) {
        return;
    }
    let quad = i % quads;
    let row = i / quads;
    let sample = row / params.pixels;
    let pixel = row % params.pixels;
    let line = pixel / params.out_w;
    let top = (line % params.out_h) * params.stride_h - params.pad_top;
    let left = (pixel % params.out_w) * params.stride_w - params.pad_left;
    let image = sample * params.in_stride + line / params.out_h * params.in_h * params.in_w * quads + quad;
    let zero_point = vec4<i32>(params.input_zero_point);
    var sum = vec4<i32>(0);
    for (var ky = 0u; ky < params.k_h; ky++) {
        // Above the input this wraps to a large number.
        let y = top + ky * params.dilation_h;
        if (y >= params.in_h) {
            continue;
        }
        for (var kx = 0u; kx < params.k_w; kx++) {
            let x = left + kx * params.dilation_w;
            if (x < params.in_w) {
                let word = input[image + (y * params.in_w + x) * quads];
                let weight = weights[(ky * params.k_w + kx) * quads + quad];
                sum += (unpack_bytes(word) - zero_point) * unpack_bytes(weight);
            }
        }
    }
    let channel = quad * 4u;
    output[i] = pack_bytes(vec4<i32>(
        requantize(sum.x, channel),
        requantize(sum.y, channel + 1u),
        requantize(sum.z, channel + 2u),
        requantize(sum.w, channel + 3u),
    ));
}
