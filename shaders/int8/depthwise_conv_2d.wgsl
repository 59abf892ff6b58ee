// DEPTHWISE_CONV_2D in int8: an invocation owns four channels of a pixel: one word. Input and output channels are the
// same, and a multiple of 4.
#import shared/run
#import shared/window
#import shared/fixed

struct Params {
    window: Window,
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
    let quads = params.window.out_c / 4u;
    let i = linear_workgroup(group_id, group_count) * 64u + t;
    if (i >= run.samples * params.window.pixels * quads) {
        return;
    }
    let quad = i % quads;
    let row = i / quads;
    let sample = row / params.window.pixels;
    let pixel = row % params.window.pixels;
    let line = pixel / params.window.out_w;
    let top = (line % params.window.out_h) * params.window.stride_h - params.window.pad_top;
    let left = (pixel % params.window.out_w) * params.window.stride_w - params.window.pad_left;
    let image = sample * params.window.in_stride + line / params.window.out_h * params.window.in_h * params.window.in_w * quads + quad;
    let zero_point = vec4<i32>(params.input_zero_point);
    var sum = vec4<i32>(0);
    for (var ky = 0u; ky < params.window.k_h; ky++) {
        // Above the input this wraps to a large number.
        let y = top + ky * params.window.dilation_h;
        if (y >= params.window.in_h) {
            continue;
        }
        for (var kx = 0u; kx < params.window.k_w; kx++) {
            let x = left + kx * params.window.dilation_w;
            if (x < params.window.in_w) {
                let word = input[image + (y * params.window.in_w + x) * quads];
                let weight = weights[(ky * params.window.k_w + kx) * quads + quad];
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
