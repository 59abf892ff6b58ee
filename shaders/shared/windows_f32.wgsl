// What float products read and write, see shared/windows.
//
// The importing shader declares the input and `load_quad(element, count)`: four channels from there on, of which
// `count` exist. OUTPUT_QUADS or OUTPUT_SCALARS: whether channels are written by fours. GUARDED: only rows that the
// matrix units gave up are computed.
#import shared/windows
#import shared/range
#import shared/clamp
#import shared/sum

struct Params {
    in_h: u32,
    in_w: u32,
    in_c: u32,
    out_h: u32,
    out_w: u32,
    out_c: u32,
    stride_h: u32,
    stride_w: u32,
    pad_top: u32,
    pad_left: u32,
    group_in: u32,
    group_out: u32,
    // Output pixels of one sample.
    pixels: u32,
    // Elements from one sample of the input to the next.
    in_stride: u32,
    // Quads of k.
    depth: u32,
    // Quads of output channels in a group.
    columns: u32,
    groups: u32,
    // Bit 0: `low` applies, bit 1: `high` applies.
    bounded: u32,
    low: f32,
    high: f32,
    // Steps of 32 k of the matrix units.
    steps: u32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// For each quad of k: vertical and horizontal distance, distance in elements, channels that exist.
@group(0) @binding(2) var<storage, read> taps: array<vec4<i32>>;
// [group][columns]
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
#if OUTPUT_QUADS
@group(0) @binding(6) var<storage, read_write> output: array<vec4<f32>>;
#if CLAMPED
@group(0) @binding(${CLAMPED}) var<storage, read_write> clamped_output: array<vec4<f32>>;
#end
#if SUM
@group(0) @binding(${RESIDUAL}) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(${SUM}) var<storage, read_write> sum_output: array<vec4<f32>>;
#end
#end
#if OUTPUT_SCALARS
@group(0) @binding(6) var<storage, read_write> output: array<f32>;
#if CLAMPED
@group(0) @binding(${CLAMPED}) var<storage, read_write> clamped_output: array<f32>;
#end
#if SUM
@group(0) @binding(${RESIDUAL}) var<storage, read> residual: array<f32>;
@group(0) @binding(${SUM}) var<storage, read_write> sum_output: array<f32>;
#end
#end
#if GUARDED
// [row][group]: whether the matrix units gave it up.
@group(0) @binding(7) var<storage, read> given_up: array<u32>;
#end

// Four channels of the window at a tap; 0 in the padding.
fn gather(start: vec3<i32>, tap: vec4<i32>, size: vec2<u32>) -> vec4<f32> {
    let place = bitcast<vec3<u32>>(start + tap.xyz);
    var quad = vec4<f32>(0.0);
    if (place.x < size.x && place.y < size.y) {
        quad = load_quad(place.z, bitcast<u32>(tap.w));
    }
    return quad;
}

#if OUTPUT_QUADS
// Writes four channels, and what follows from them.
fn write(at: u32, x: vec4<f32>) {
    output[at] = x;
    var y = x;
#if SUM
    y = summed_4(x, residual[at]);
    sum_output[at] = y;
#if RANGE
    see_sum_4(y);
#end
#end
#if CLAMPED
    clamped_output[at] = clamped_4(y);
#end
}
#end
#if OUTPUT_SCALARS
// Writes a channel, and what follows from it.
fn write(at: u32, x: f32) {
    output[at] = x;
    var y = x;
#if SUM
    y = summed(x, residual[at]);
    sum_output[at] = y;
#if RANGE
    see_sum(y);
#end
#end
#if CLAMPED
    clamped_output[at] = clamped(y);
#end
}
#end

// Adds the bias, applies the bounds, writes up to four channels of a pixel.
fn store(row: u32, rows: u32, group: u32, column: u32, sum: vec4<f32>) {
    if (row >= rows || column >= params.columns) {
        return;
    }
#if GUARDED
    if (given_up[row * params.groups + group] == 0u) {
        return;
    }
#end
    var y = sum + bias[group * params.columns + column];
    if ((params.bounded & 1u) != 0u) {
        y = select(y, vec4<f32>(params.low), y < vec4<f32>(params.low));
    }
    if ((params.bounded & 2u) != 0u) {
        y = select(y, vec4<f32>(params.high), y > vec4<f32>(params.high));
    }
#if RANGE
    see_some(y, params.group_out - column * 4u);
#end
    let at = row * params.out_c + group * params.group_out + column * 4u;
#if OUTPUT_QUADS
    write(at / 4u, y);
#end
#if OUTPUT_SCALARS
    let count = params.group_out - column * 4u;
    write(at, y.x);
    if (count > 1u) {
        write(at + 1u, y.y);
    }
    if (count > 2u) {
        write(at + 2u, y.z);
    }
    if (count > 3u) {
        write(at + 3u, y.w);
    }
#end
}
