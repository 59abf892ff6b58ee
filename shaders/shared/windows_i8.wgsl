// What int8 products read and write, see shared/windows: a quad of k is one word.
//
// Padding is fed as the input's zero point, which the host has folded into the bias (bias - zero point * sum of all
// weights), so no tap needs a test in the sum. Padded channels have weight 0.
#import shared/windows
#import shared/fixed

// Whether every quad of channels starts at a word.
override ALIGNED: bool = true;
// Whether four channels go into one word; otherwise every element takes a word of its own.
override PACKED: bool = true;
// Whether results come from `levels` (FULLY_CONNECTED, which LiteRT rounds in double) and not from multipliers.
override LEVELS: bool = false;

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
    // Bytes from one sample of the input to the next.
    in_stride: u32,
    // Quads of k.
    depth: u32,
    // Quads of output channels in a group.
    columns: u32,
    groups: u32,
    // The input's zero point in all four bytes.
    input_zero_points: u32,
    output_zero_point: i32,
    low: i32,
    high: i32,
    // Steps of 32 k of the matrix units, and after how many their sums become integers.
    steps: u32,
    piece: u32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// For each quad of k: vertical and horizontal distance, distance in bytes, channels that exist.
@group(0) @binding(2) var<storage, read> taps: array<vec4<i32>>;
// [group][columns * 4]: bias, mantissa, shift; or bias, first level, number of levels.
@group(0) @binding(4) var<storage, read> channels: array<vec4<i32>>;
@group(0) @binding(5) var<storage, read> input: array<u32>;
@group(0) @binding(6) var<storage, read_write> output: array<u32>;
// Ascending for each channel: the smallest sums that give more than -128, -127, ...
@group(0) @binding(7) var<storage, read> levels: array<i32>;

// Four channels of the window at a tap; the zero point in the padding.
fn gather(start: vec3<i32>, tap: vec4<i32>, size: vec2<u32>, padding: u32) -> u32 {
    let place = bitcast<vec3<u32>>(start + tap.xyz);
    var quad = padding;
    if (place.x < size.x && place.y < size.y) {
        let at = place.z / 4u;
        quad = input[at];
        if (!ALIGNED) {
            let lane = place.z % 4u;
            quad >>= 8u * lane;
            // The next word only where a channel that exists lies in it: it may be behind the end.
            if (lane + bitcast<u32>(tap.w) > 4u) {
                quad |= input[at + 1u] << (32u - 8u * lane);
            }
        }
    }
    return quad;
}

fn requantize(sum: i32, channel: u32) -> i32 {
    let c = channels[channel];
    if (LEVELS) {
        return levels_up_to(sum + c.x, bitcast<u32>(c.y), bitcast<u32>(c.z)) - 128;
    }
    let y = multiply_by_multiplier(sum + c.x, c.y, c.z);
    return with_zero_point(y, params.output_zero_point, params.low, params.high);
}

// How many levels of a channel are not above a sum.
fn levels_up_to(sum: i32, first: u32, count: u32) -> i32 {
    var low = 0u;
    var high = count;
    while (low < high) {
        let middle = (low + high) / 2u;
        if (levels[first + middle] <= sum) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return bitcast<i32>(low);
}

// Requantizes and writes four channels of a pixel.
fn store(row: u32, rows: u32, group: u32, column: u32, sum: vec4<i32>) {
    if (row >= rows || column >= params.columns) {
        return;
    }
    let channel = (group * params.columns + column) * 4u;
    let y = vec4<i32>(
        requantize(sum.x, channel),
        requantize(sum.y, channel + 1u),
        requantize(sum.z, channel + 2u),
        requantize(sum.w, channel + 3u),
    );
    // Where elements are packed out_c and group_out are multiples of 4, so samples have no words between them either.
    let at = row * params.out_c + group * params.group_out + column * 4u;
    if (PACKED) {
        output[at / 4u] = pack_bytes(y);
        return;
    }
    let count = params.group_out - column * 4u;
    output[at] = bitcast<u32>(y.x);
    if (count > 1u) {
        output[at + 1u] = bitcast<u32>(y.y);
    }
    if (count > 2u) {
        output[at + 2u] = bitcast<u32>(y.z);
    }
    if (count > 3u) {
        output[at + 3u] = bitcast<u32>(y.w);
    }
}
