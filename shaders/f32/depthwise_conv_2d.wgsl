// DEPTHWISE_CONV_2D in float: an invocation owns four channels of a pixel. Input and output channels
// are the same, and a multiple of 4.
#import shared/run
#import shared/window
#import shared/range
#import shared/clamp
#import shared/sum

struct Params {
    window: Window,
    // Bit 0: `low` applies, bit 1: `high` applies.
    bounded: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// [k_h * k_w][out_c]
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> output: array<vec4<f32>>;
#if CLAMPED
@group(0) @binding(${CLAMPED}) var<storage, read_write> clamped_output: array<vec4<f32>>;
#end
#if SUM
@group(0) @binding(${RESIDUAL}) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(${SUM}) var<storage, read_write> sum_output: array<vec4<f32>>;
#end

// Computes four channels of a pixel.
fn compute(i: u32, channels: u32) {
    let channel = i % channels;
    let row = i / channels;
    let sample = row / params.window.pixels;
    let pixel = row % params.window.pixels;
    let line = pixel / params.window.out_w;
    let top = (line % params.window.out_h) * params.window.stride_h - params.window.pad_top;
    let left = (pixel % params.window.out_w) * params.window.stride_w - params.window.pad_left;
    let image = sample * params.window.in_stride / 4u + line / params.window.out_h * params.window.in_h * params.window.in_w * (params.window.in_c / 4u) + channel;
    var sum = bias[channel];
    for (var ky = 0u; ky < params.window.k_h; ky++) {
        // Above the input this wraps to a large number.
        let y = top + ky * params.window.dilation_h;
        if (y >= params.window.in_h) {
            continue;
        }
        for (var kx = 0u; kx < params.window.k_w; kx++) {
            let x = left + kx * params.window.dilation_w;
            if (x < params.window.in_w) {
                sum += input[image + (y * params.window.in_w + x) * (params.window.in_c / 4u)] * weights[(ky * params.window.k_w + kx) * channels + channel];
            }
        }
    }
    if ((params.bounded & 1u) != 0u) {
        sum = select(sum, vec4<f32>(params.low), sum < vec4<f32>(params.low));
    }
    if ((params.bounded & 2u) != 0u) {
        sum = select(sum, vec4<f32>(params.high), sum > vec4<f32>(params.high));
    }
    output[i] = sum;
#if RANGE
    see_some(sum, 4u);
#end
#if SUM
    sum = summed_4(sum, residual[i]);
    sum_output[i] = sum;
#if RANGE
    see_sum_4(sum);
#end
#end
#if CLAMPED
    clamped_output[i] = clamped_4(sum);
#end
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let channels = params.window.out_c / 4u;
    let workgroup = linear_workgroup(group_id, group_count);
    let i = workgroup * 64u + t;
    if (i < run.samples * params.window.pixels * channels) {
        compute(i, channels);
    }
#if RANGE
    publish(t, workgroup);
#end
}
