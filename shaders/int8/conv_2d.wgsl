// CONV_2D and FULLY_CONNECTED in int8 as an implicit matrix product, and the input projection of the int8 LSTM.
//
// The tiling is that of shared/product_f32, with packed words in place of floats: a quad of k is one word and one
// dot4I8Packed, k advances by 16 words. Padding is fed as the input's zero point, which the host has folded into the
// bias (bias - zero point * sum of all weights), so no tap needs a test in the sum. Padded channels have weight 0.
#import shared/run
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
}

@group(0) @binding(1) var<storage, read> params: Params;
// For each quad of k: vertical and horizontal distance, distance in bytes, channels that exist.
@group(0) @binding(2) var<storage, read> taps: array<vec4<i32>>;
// [group][quad of k][columns], a component a channel.
@group(0) @binding(3) var<storage, read> weights: array<vec4<u32>>;
// [group][columns * 4]: bias, mantissa, shift; or bias, first level, number of levels.
@group(0) @binding(4) var<storage, read> channels: array<vec4<i32>>;
@group(0) @binding(5) var<storage, read> input: array<u32>;
@group(0) @binding(6) var<storage, read_write> output: array<u32>;
// Ascending for each channel: the smallest sums that give more than -128, -127, ...
@group(0) @binding(7) var<storage, read> levels: array<i32>;

// [quad of k][row quad]
var<workgroup> row_tile: array<vec4<u32>, 272>;
// [quad of k][column quad]
var<workgroup> column_tile: array<vec4<u32>, 256>;

// Where the window of an output pixel starts: its row, its column, its first byte.
fn window(row: u32, group: u32) -> vec3<i32> {
    let sample = row / params.pixels;
    let pixel = row % params.pixels;
    let line = pixel / params.out_w;
    let image = line / params.out_h;
    let y = bitcast<i32>((line % params.out_h) * params.stride_h - params.pad_top);
    let x = bitcast<i32>((pixel % params.out_w) * params.stride_w - params.pad_left);
    let position = bitcast<i32>(image * params.in_h * params.in_w) + y * bitcast<i32>(params.in_w) + x;
    let start = position * bitcast<i32>(params.in_c);
    return vec3<i32>(y, x, start + bitcast<i32>(sample * params.in_stride + group * params.group_in));
}

// Four channels of the window at a tap; the zero point in the padding.
fn gather(start: vec3<i32>, tap: vec4<i32>, size: vec2<u32>, padding: u32) -> u32 {
    let place = bitcast<vec3<u32>>(start + tap.xyz);
    if (place.x >= size.x || place.y >= size.y) {
        return padding;
    }
    let at = place.z / 4u;
    let word = input[at];
    if (ALIGNED) {
        return word;
    }
    let lane = place.z % 4u;
    var quad = word >> (8u * lane);
    // The next word only where a channel that exists lies in it: it may be behind the end.
    if (lane + bitcast<u32>(tap.w) > 4u) {
        quad |= input[at + 1u] << (32u - 8u * lane);
    }
    return quad;
}

fn dots(a: u32, b: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(a, b.x),
        dot4I8Packed(a, b.y),
        dot4I8Packed(a, b.z),
        dot4I8Packed(a, b.w),
    );
}

// Adds the products of one quad of k to the 8 x 8 sums of an invocation: two quads for each row.
fn multiply(k: u32, tx: u32, ty: u32, acc: ptr<function, array<vec4<i32>, 16>>) {
    let a0 = row_tile[k * 17u + ty];
    let a1 = row_tile[k * 17u + ty + 8u];
    let b0 = column_tile[k * 16u + tx];
    let b1 = column_tile[k * 16u + tx + 8u];
    (*acc)[0] += dots(a0.x, b0);
    (*acc)[1] += dots(a0.x, b1);
    (*acc)[2] += dots(a0.y, b0);
    (*acc)[3] += dots(a0.y, b1);
    (*acc)[4] += dots(a0.z, b0);
    (*acc)[5] += dots(a0.z, b1);
    (*acc)[6] += dots(a0.w, b0);
    (*acc)[7] += dots(a0.w, b1);
    (*acc)[8] += dots(a1.x, b0);
    (*acc)[9] += dots(a1.x, b1);
    (*acc)[10] += dots(a1.y, b0);
    (*acc)[11] += dots(a1.y, b1);
    (*acc)[12] += dots(a1.z, b0);
    (*acc)[13] += dots(a1.z, b1);
    (*acc)[14] += dots(a1.w, b0);
    (*acc)[15] += dots(a1.w, b1);
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

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let rows = run.samples * params.pixels;
    let depth = params.depth;
    let columns = params.columns;
    let column_tiles = (columns + 15u) / 16u;
    let tile = linear_workgroup(group_id, group_count);
    let strip = tile % (column_tiles * params.groups);
    let group = strip / column_tiles;
    let first_column = (strip % column_tiles) * 16u;
    let first_row = tile / (column_tiles * params.groups) * 64u;
    if (first_row >= rows) {
        return;
    }

    // Each invocation loads four quads of k, every fourth one, of four rows; and four of a column quad.
    let size = vec2<u32>(params.in_h, params.in_w);
    let padding = params.input_zero_points;
    let lane = t % 4u;
    let quad = t / 4u;
    // Rows behind the end repeat the last one and are not stored.
    let row = vec4<u32>(first_row + quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let start0 = window(min(row.x, rows - 1u), group);
    let start1 = window(min(row.y, rows - 1u), group);
    let start2 = window(min(row.z, rows - 1u), group);
    let start3 = window(min(row.w, rows - 1u), group);
    let column = first_column + t % 16u;
    let weight_base = group * depth * columns + column;

    let tx = t % 8u;
    let ty = t / 8u;
    var acc: array<vec4<i32>, 16>;
    for (var step = 0u; step < depth; step += 16u) {
        workgroupBarrier();
        for (var j = 0u; j < 4u; j++) {
            let k = j * 4u + lane;
            var words = vec4<u32>(0u);
            if (step + k < depth) {
                let tap = taps[step + k];
                words.x = gather(start0, tap, size, padding);
                words.y = gather(start1, tap, size, padding);
                words.z = gather(start2, tap, size, padding);
                words.w = gather(start3, tap, size, padding);
            }
            row_tile[k * 17u + quad] = words;
            let weight_k = step + j * 4u + t / 16u;
            var w = vec4<u32>(0u);
            if (column < columns && weight_k < depth) {
                w = weights[weight_base + weight_k * columns];
            }
            column_tile[j * 64u + t] = w;
        }
        workgroupBarrier();
        // Written out by fours: llvmpipe ends long loops. The tiles are 0 behind the depth.
        let quads = min(16u, depth - step);
        for (var k = 0u; k < quads; k += 4u) {
            multiply(k, tx, ty, &acc);
            multiply(k + 1u, tx, ty, &acc);
            multiply(k + 2u, tx, ty, &acc);
            multiply(k + 3u, tx, ty, &acc);
        }
    }

    let out_row = first_row + ty * 4u;
    let left = first_column + tx;
    let right = left + 8u;
    store(out_row, rows, group, left, acc[0]);
    store(out_row, rows, group, right, acc[1]);
    store(out_row + 1u, rows, group, left, acc[2]);
    store(out_row + 1u, rows, group, right, acc[3]);
    store(out_row + 2u, rows, group, left, acc[4]);
    store(out_row + 2u, rows, group, right, acc[5]);
    store(out_row + 3u, rows, group, left, acc[6]);
    store(out_row + 3u, rows, group, right, acc[7]);
    store(out_row + 32u, rows, group, left, acc[8]);
    store(out_row + 32u, rows, group, right, acc[9]);
    store(out_row + 33u, rows, group, left, acc[10]);
    store(out_row + 33u, rows, group, right, acc[11]);
    store(out_row + 34u, rows, group, left, acc[12]);
    store(out_row + 34u, rows, group, right, acc[13]);
    store(out_row + 35u, rows, group, left, acc[14]);
    store(out_row + 35u, rows, group, right, acc[15]);
}
