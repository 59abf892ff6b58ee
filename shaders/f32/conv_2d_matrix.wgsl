// Float products on matrix units that multiply f16 and add f32. Every float is split: x = high + low / 2048 with 11 bits
// each, and x * w = high * high + (high * low + low * high) / 2048; the product of the low parts is below the rounding.
//
// The units have few exponents. So a row is scaled by the power of two that brings the largest value of its first 32 k
// to 1/8 ... 1/4, and gets scaled back at the end; weights were scaled for each channel by the host. A row whose largest
// value is then beyond f16, or so small that f16 had too few bits for it, is marked in `given_up` and computed again by
// the guarded variant of f32/conv_2d. All this depends on the row alone.
//
// A workgroup is a grid of subgroups, a subgroup makes a grid of fragments, a fragment is one matrix of SIZE x SIZE; k
// advances in steps of 32. In long sums (PIECES) those of 8 steps, in which the units may truncate, are added to one that
// is rounded.
enable f16;
enable wgpu_cooperative_matrix;
#import shared/windows_f32

const SIZE: u32 = ${SIZE}u;
const ROWS: u32 = ${ROWS}u;
const COLUMNS: u32 = ${COLUMNS}u;
const INVOCATIONS: u32 = ${INVOCATIONS}u;
const SUBGROUP_ROWS: u32 = ${SUBGROUP_ROWS}u;
const SUBGROUP_COLUMNS: u32 = ${SUBGROUP_COLUMNS}u;
// Quads from one row of a tile to the next: the high and the low parts of 32 k, and 2 so that rows fall into different
// banks.
const STRIDE: u32 = 18u;
// Quads of one fragment of every subgroup in a row.
const SUM_STRIDE: u32 = SUBGROUP_COLUMNS * SIZE / 4u;
const PIECE: u32 = 8u;
// 60000 and 1/16, the bounds of a row's largest scaled value, as bits.
const TOO_LARGE: u32 = 0x476a6000u;
const TOO_SMALL: u32 = 0x3d800000u;

struct Eight {
    low: vec4<f16>,
    high: vec4<f16>,
}

// [group][step][column][32 high parts, 32 low parts]; the columns of a group are padded to whole tiles.
@group(0) @binding(3) var<storage, read> weights: array<Eight>;
#if QUADS
@group(0) @binding(5) var<storage, read> input: array<vec4<f32>>;
#end
#if SCALARS
@group(0) @binding(5) var<storage, read> input: array<f32>;
#end
// [row][group]: whether the row is beyond these units.
@group(0) @binding(7) var<storage, read_write> given_up: array<u32>;

var<workgroup> row_tile: array<vec4<f16>, ROWS * STRIDE>;
var<workgroup> column_tile: array<vec4<f16>, COLUMNS * STRIDE>;
var<workgroup> sums: array<vec4<f32>, SUBGROUP_ROWS * SIZE * SUM_STRIDE>;
// Bits of the largest magnitudes of the rows: in the first step, and of all scaled values.
var<workgroup> firsts: array<atomic<u32>, ROWS>;
var<workgroup> peaks: array<atomic<u32>, ROWS>;

fn load_quad(element: u32, count: u32) -> vec4<f32> {
#if QUADS
    return input[element / 4u];
#end
#if SCALARS
    var quad = vec4<f32>(input[element], 0.0, 0.0, 0.0);
    if (count > 1u) {
        quad.y = input[element + 1u];
    }
    if (count > 2u) {
        quad.z = input[element + 2u];
    }
    if (count > 3u) {
        quad.w = input[element + 3u];
    }
    return quad;
#end
}

// Bits of magnitudes order like them, and NaN is above all.
fn largest(v: vec4<f32>) -> u32 {
    let bits = bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu);
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// Biased exponent of the scale of a row. Without a value in the first step: 16.
fn exponent_of_scale(first: u32) -> u32 {
    return select(251u - clamp(first >> 23u, 64u, 184u), 131u, first == 0u);
}

// The high parts, rounded to the 11 bits of f16; nothing of what f16 may not hold with all bits.
fn high_of(v: vec4<f32>) -> vec4<f32> {
    let bits = (bitcast<vec4<u32>>(v) + vec4<u32>(0x1000u)) & vec4<u32>(0xffffe000u);
    return select(bitcast<vec4<f32>>(bits), vec4<f32>(0.0), abs(v) < vec4<f32>(0.00006103515625));
}

@compute @workgroup_size(${INVOCATIONS})
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
    @builtin(subgroup_id) subgroup_id: u32,
) {
    let rows = run.samples * params.pixels;
    let steps = params.steps;
    let column_tiles = (params.columns * 4u + COLUMNS - 1u) / COLUMNS;
    // Not by linear_workgroup: naga takes the results of functions for different in every invocation, and refuses
    // matrices behind a branch on them.
    let tile = group_id.y * group_count.x + group_id.x;
    let strip = tile % (column_tiles * params.groups);
    let group = strip / column_tiles;
    let first_column = (strip % column_tiles) * COLUMNS;
    let first_row = tile / (column_tiles * params.groups) * ROWS;
    if (first_row >= rows) {
        return;
    }
    // Where subgroups are smaller than the largest there are more of them: those repeat what the last one does.
    let subgroup = min(subgroup_id, SUBGROUP_ROWS * SUBGROUP_COLUMNS - 1u);
    let subgroup_row = subgroup / SUBGROUP_COLUMNS;
    let subgroup_column = subgroup % SUBGROUP_COLUMNS;
    for (var i = t; i < ROWS; i += INVOCATIONS) {
        atomicStore(&firsts[i], 0u);
        atomicStore(&peaks[i], 0u);
    }
    workgroupBarrier();

    // An invocation loads one of the eight quads of a step of several rows, and several eights of weights.
    let size = vec2<u32>(params.in_h, params.in_w);
    let word = t % 8u;
    let line = t / 8u;
    var weight_at = (group * steps * column_tiles * COLUMNS + first_column) * 8u;
    let next_weights = column_tiles * COLUMNS * 8u;
    var tap = taps[word];
#for i in ROW_LOADS
    // Rows behind the end repeat the last one and are not stored.
    let line${i} = line + ${i}u * INVOCATIONS / 8u;
    let start${i} = window(min(first_row + line${i}, rows - 1u), group);
    var x${i} = gather(start${i}, tap, size);
    atomicMax(&firsts[line${i}], largest(x${i}));
#end
#for i in COLUMN_LOADS
    let place${i} = min(t + ${i}u * INVOCATIONS, COLUMNS * 8u - 1u);
    var w${i} = weights[weight_at + place${i}];
#end
    workgroupBarrier();
#for i in ROW_LOADS
    let scale${i} = bitcast<f32>(exponent_of_scale(atomicLoad(&firsts[line${i}])) << 23u);
    var peak${i} = 0u;
#end
#for i in FRAGMENT_ROWS
#for j in FRAGMENT_COLUMNS
    var high${i}_${j}: coop_mat${SIZE}x${SIZE}<f32, C>;
    var low${i}_${j}: coop_mat${SIZE}x${SIZE}<f32, C>;
#if PIECES
    var sum${i}_${j}: coop_mat${SIZE}x${SIZE}<f32, C>;
#end
#end
#end

    for (var first = 0u; first < steps; first += PIECE) {
        let end = min(first + PIECE, steps);
        for (var step = first; step < end; step++) {
            workgroupBarrier();
#for i in ROW_LOADS
            let scaled${i} = x${i} * scale${i};
            let top${i} = high_of(scaled${i});
            let row${i} = line${i} * STRIDE + word;
            peak${i} = max(peak${i}, largest(scaled${i}));
            row_tile[row${i}] = vec4<f16>(top${i});
            row_tile[row${i} + 8u] = vec4<f16>((scaled${i} - top${i}) * 2048.0);
#end
#for i in COLUMN_LOADS
            // Where there are more invocations than eights the last ones write the same.
            let to${i} = place${i} / 8u * STRIDE + place${i} % 8u * 2u;
            column_tile[to${i}] = w${i}.low;
            column_tile[to${i} + 1u] = w${i}.high;
#end
            workgroupBarrier();
            if (step + 1u < steps) {
                tap = taps[(step + 1u) * 8u + word];
                weight_at += next_weights;
#for i in ROW_LOADS
                x${i} = gather(start${i}, tap, size);
#end
#for i in COLUMN_LOADS
                w${i} = weights[weight_at + place${i}];
#end
            }
            let row_at = subgroup_row * ${FRAGMENT_ROWS}u * SIZE * STRIDE;
            let column_at = subgroup_column * ${FRAGMENT_COLUMNS}u * SIZE * STRIDE;
#for k in STEP_FRAGMENTS
#for i in FRAGMENT_ROWS
            let left${k}_${i} = coopLoadT<coop_mat${SIZE}x${SIZE}<f16, A>>(&row_tile[row_at + ${i}u * SIZE * STRIDE + ${k}u * SIZE / 4u], STRIDE);
            let left_low${k}_${i} = coopLoadT<coop_mat${SIZE}x${SIZE}<f16, A>>(&row_tile[row_at + ${i}u * SIZE * STRIDE + ${k}u * SIZE / 4u + 8u], STRIDE);
#end
#for j in FRAGMENT_COLUMNS
            let right${k}_${j} = coopLoad<coop_mat${SIZE}x${SIZE}<f16, B>>(&column_tile[column_at + ${j}u * SIZE * STRIDE + ${k}u * SIZE / 4u], STRIDE);
            let right_low${k}_${j} = coopLoad<coop_mat${SIZE}x${SIZE}<f16, B>>(&column_tile[column_at + ${j}u * SIZE * STRIDE + ${k}u * SIZE / 4u + 8u], STRIDE);
#for i in FRAGMENT_ROWS
            high${i}_${j} = coopMultiplyAdd(left${k}_${i}, right${k}_${j}, high${i}_${j});
            low${i}_${j} = coopMultiplyAdd(left${k}_${i}, right_low${k}_${j}, low${i}_${j});
            low${i}_${j} = coopMultiplyAdd(left_low${k}_${i}, right${k}_${j}, low${i}_${j});
#end
#end
#end
        }
#if PIECES
#for i in FRAGMENT_ROWS
#for j in FRAGMENT_COLUMNS
        sum${i}_${j} = sum${i}_${j} + high${i}_${j};
        high${i}_${j} = coop_mat${SIZE}x${SIZE}<f32, C>();
#end
#end
#end
    }

#for i in ROW_LOADS
    atomicMax(&peaks[line${i}], peak${i});
#end
    workgroupBarrier();
    if (first_column == 0u) {
        for (var i = t; i < min(ROWS, rows - first_row); i += INVOCATIONS) {
            let peak = atomicLoad(&peaks[i]);
            let beyond = peak >= TOO_LARGE || (peak > 0u && peak < TOO_SMALL);
            given_up[(first_row + i) * params.groups + group] = select(0u, 1u, beyond);
        }
    }
    // Through workgroup memory, a fragment of every subgroup at a time, to whoever owns the quad of channels.
    let scales = params.groups * params.columns;
    let sum_at = subgroup_row * SIZE * SUM_STRIDE + subgroup_column * SIZE / 4u;
    let sum_stride = SUM_STRIDE;
#for i in FRAGMENT_ROWS
#for j in FRAGMENT_COLUMNS
    workgroupBarrier();
#if PIECES
    high${i}_${j} = sum${i}_${j};
#end
    let done${i}_${j} = high${i}_${j} + low${i}_${j} * 0.00048828125;
    coopStoreT(done${i}_${j}, &sums[sum_at], sum_stride);
    workgroupBarrier();
    for (var at = t; at < SUBGROUP_ROWS * SIZE * SUM_STRIDE; at += INVOCATIONS) {
        let in_row = at / SUM_STRIDE;
        let block = in_row / SIZE * ${FRAGMENT_ROWS}u + ${i}u;
        let in_tile = block * SIZE + in_row % SIZE;
        let in_column = at % SUM_STRIDE;
        let column_block = in_column / (SIZE / 4u) * ${FRAGMENT_COLUMNS}u + ${j}u;
        let column = first_column / 4u + column_block * SIZE / 4u + in_column % (SIZE / 4u);
        var wanted = column < params.columns;
#if RANGE
        // What is computed again is seen then.
        let peak = atomicLoad(&peaks[in_tile]);
        wanted &= peak < TOO_LARGE && (peak == 0u || peak >= TOO_SMALL);
#end
        if (wanted) {
            let back = bitcast<f32>((254u - exponent_of_scale(atomicLoad(&firsts[in_tile]))) << 23u);
            let y = sums[at] * back * bias[scales + group * params.columns + column];
            store(first_row + in_tile, rows, group, column, y);
        }
    }
#end
#end
#if RANGE
    publish(t, tile);
#end
}
