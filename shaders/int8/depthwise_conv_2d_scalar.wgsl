// DEPTHWISE_CONV_2D in int8 for any number of channels: an invocation owns a word of the output, whose four elements
// may belong to different pixels, and computes them one after the other.
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
// [k_h * k_w][out_c], four bytes a word.
@group(0) @binding(2) var<storage, read> weights: array<u32>;
// For each channel: bias, mantissa, shift.
@group(0) @binding(3) var<storage, read> channels: array<vec4<i32>>;
@group(0) @binding(4) var<storage, read> input: array<u32>;
@group(0) @binding(5) var<storage, read_write> output: array<u32>;

// One element of a sample.
fn element(sample: u32, i: u32) -> i32 {
    let channel = i % params.window.out_c;
    let pixel = i / params.window.out_c;
    if (pixel >= params.window.pixels) {
        return 0;
    }
    let line = pixel / params.window.out_w;
    let top = (line % params.window.out_h) * params.window.stride_h - params.window.pad_top;
    let left = (pixel % params.window.out_w) * params.window.stride_w - params.window.pad_left;
    let image = sample * params.window.in_stride * 4u + line / params.window.out_h * params.window.in_h * params.window.in_w * params.window.in_c
        + channel / params.window.group_out;
    var sum = channels[channel].x;
    for (var ky = 0u; ky < params.window.k_h; ky++) {
        // Above the input this wraps to a large number.
        let y = top + ky * params.window.dilation_h;
        if (y >= params.window.in_h) {
            continue;
        }
        for (var kx = 0u; kx < params.window.k_w; kx++) {
            let x = left + kx * params.window.dilation_w;
            if (x < params.window.in_w) {
                let at = image + (y * params.window.in_w + x) * params.window.in_c;
                let weight = (ky * params.window.k_w + kx) * params.window.out_c + channel;
                sum += (byte_of(input[at / 4u], at % 4u) - params.input_zero_point)
                    * byte_of(weights[weight / 4u], weight % 4u);
            }
        }
    }
    let y = multiply_by_multiplier(sum, channels[channel].y, channels[channel].z);
    return with_zero_point(y, params.output_zero_point, params.low, params.high);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let words = (params.window.pixels * params.window.out_c + 3u) / 4u;
    let i = linear_workgroup(group_id, group_count) * 64u + t;
    if (i >= run.samples * words) {
        return;
    }
    let sample = i / words;
    let first = i % words * 4u;
    output[i] = pack_bytes(vec4<i32>(
        element(sample, first),
        element(sample, first + 1u),
        element(sample, first + 2u),
        element(sample, first + 3u),
    ));
}
