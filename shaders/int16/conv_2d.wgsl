// Windows of int16 times int8 weights: an invocation owns a word of the output, whose two elements may belong to
// different pixels, and computes them one after the other.
#import shared/run
#import shared/window
#import shared/fixed
#import shared/wide

override DEPTHWISE: bool = false;
// Whether sums have 32 bits.
override NARROW: bool = false;
// Whether outputs are scaled as in double precision.
override DOUBLE: bool = false;

struct Params {
    window: Window,
    // Input channels of a group.
    group_in: u32,
    low: i32,
    high: i32,
}

struct Channel {
    bias_high: u32,
    bias_low: u32,
    // The mantissa: of 15 bits, 31 bits (both in the low word) or 53 bits.
    factor_high: u32,
    factor_low: u32,
    // How far to the right, of 31 bits to the left.
    shift: i32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// [out_c][k_h * k_w][group_in], every tap filled up to whole words, or depthwise [k_h * k_w][out_c]; four in a word.
@group(0) @binding(2) var<storage, read> weights: array<u32>;
@group(0) @binding(3) var<storage, read> channels: array<Channel>;
@group(0) @binding(4) var<storage, read> input: array<u32>;
@group(0) @binding(5) var<storage, read_write> output: array<u32>;

fn input_at(at: u32) -> i32 {
    return half_of(input[at >> 1u], at & 1u);
}

// The products of one tap, whose first input is element `at`, added to the sum.
fn add_tap(sum: vec2<u32>, channel: u32, tap: u32, at: u32) -> vec2<u32> {
    if (DEPTHWISE) {
        let w = tap * params.window.out_c + channel;
        return wide_add(sum, input_at(at) * byte_of(weights[w >> 2u], w & 3u));
    }
    let last = params.group_in - 1u;
    let words = (params.group_in + 3u) / 4u;
    let first = (channel * params.window.k_h * params.window.k_w + tap) * words;
    var result = sum;
    for (var i = 0u; i < words; i++) {
        let w = unpack_bytes(weights[first + i]);
        // Weights behind the last are 0.
        let c = 4u * i;
        let x = vec4<i32>(
            input_at(at + c),
            input_at(at + min(c + 1u, last)),
            input_at(at + min(c + 2u, last)),
            input_at(at + min(c + 3u, last)),
        );
        result = wide_add(result, x.x * w.x + x.y * w.y + x.z * w.z + x.w * w.w);
    }
    return result;
}

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
    let pixels_in = params.window.in_h * params.window.in_w;
    let image = sample * params.window.in_stride * 2u + line / params.window.out_h * pixels_in * params.window.in_c
        + channel / params.window.group_out * params.group_in;
    let to = channels[channel];
    var sum = vec2<u32>(to.bias_high, to.bias_low);
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
                sum = add_tap(sum, channel, ky * params.window.k_w + kx, at);
            }
        }
    }
    if (NARROW) {
        sum.x = bitcast<u32>(bitcast<i32>(sum.y) >> 31u);
    }
    var scaled = 0;
    if (DOUBLE) {
        scaled = multiply_double(sum, vec2<u32>(to.factor_high, to.factor_low), to.shift);
    } else if (NARROW) {
        scaled = multiply_by_multiplier(bitcast<i32>(sum.y), bitcast<i32>(to.factor_low), to.shift);
    } else {
        scaled = multiply_wide(sum, to.factor_low, u32(to.shift));
    }
    return clamp(scaled, params.low, params.high);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let words = (params.window.pixels * params.window.out_c + 1u) / 2u;
    let i = linear_workgroup(group_id, group_count) * 64u + t;
    if (i >= run.samples * words) {
        return;
    }
    let sample = i / words;
    let first = i % words * 2u;
    output[i] = pack_halves(element(sample, first), element(sample, first + 1u));
}
