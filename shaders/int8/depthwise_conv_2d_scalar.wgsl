// DEPTHWISE_CONV_2D in int8 for any number of channels: an invocation owns a word of the output, whose four elements
// may belong to different pixels, and computes them one after the other.
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
// [k_h * k_w][out_c], four bytes a word.
@group(0) @binding(2) var<storage, read> weights: array<u32>;
// For each channel: bias, mantissa, shift.
@group(0) @binding(3) var<storage, read> channels: array<vec4<i32>>;
@group(0) @binding(4) var<storage, read> input: array<u32>;
@group(0) @binding(5) var<storage, read_write> output: array<u32>;

// One element of a sample.
fn element(sample: u32, i: u32) -> i32 {
    let channel = i % params.out_c;
    let pixel = i / params.out_c;
    if (pixel >= params.pixels) {
        return 0;
    }
    let line = pixel / params.out_w;
    let top = (line % params.out_h) * params.stride_h - params.pad_top;
    let left = (pixel % params.out_w) * params.stride_w - params.pad_left;
    let image = sample * params.in_stride * 4u + line / params.out_h * params.in_h * params.in_w * params.in_c
        + channel / params.group_out;
    var sum = channels[channel].x;
    for (var ky = 0u; ky < params.k_h; ky++) {
        // Above the input this wraps to a large number.
        let y = top + ky * params.dilation_h;
        if (y >= params.in_h) {
            continue;
        }
        for (var kx = 0u; kx < params.k_w; kx++) {
            let x = left + kx * params.dilation_w;
            if (x < params.in_w) {
                let at = image + (y * params.in_w + x) * params.in_c;
                let weight = (ky * params.k_w + kx) * params.out_c + channel;
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
    let words = (params.pixels * params.out_c + 3u) / 4u;
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
