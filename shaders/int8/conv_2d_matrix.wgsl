// The products of int8/conv_2d on matrix units, with equal bits.
//
// The units multiply f16 and add f32. Both hold integers exactly, f16 to 2^11 and f32 to 2^24, so a sum of products of
// int8 is exact while 128 * sum |w| < 2^24. Where a whole sum could exceed that, the host cuts it into pieces of
// `piece` steps that cannot (SPLIT), and the pieces are added as integers.
//
// A workgroup is a grid of subgroups, a subgroup makes a grid of fragments, a fragment is one matrix of SIZE x SIZE; k
// advances in steps of 32. The words of the next step are loaded while this one is multiplied.
enable f16;
enable wgpu_cooperative_matrix;
#import shared/windows_i8

// Whether the sums are cut into pieces.
override SPLIT: bool = false;

const SIZE: u32 = ${SIZE}u;
const ROWS: u32 = ${ROWS}u;
const COLUMNS: u32 = ${COLUMNS}u;
const INVOCATIONS: u32 = ${INVOCATIONS}u;
const SUBGROUP_ROWS: u32 = ${SUBGROUP_ROWS}u;
const SUBGROUP_COLUMNS: u32 = ${SUBGROUP_COLUMNS}u;
// Quads from one row of a tile to the next: a step of 32 k, and 2 so that rows fall into different banks.
const STRIDE: u32 = 10u;
// The same for sums.
const SUM_STRIDE: u32 = COLUMNS / 4u + 1u;

struct Eight {
    low: vec4<f16>,
    high: vec4<f16>,
}

// [group][step][column][32 k]; the columns of a group are padded to whole tiles.
@group(0) @binding(3) var<storage, read> weights: array<Eight>;

var<workgroup> row_tile: array<vec4<f16>, ROWS * STRIDE>;
var<workgroup> column_tile: array<vec4<f16>, COLUMNS * STRIDE>;
// One row of fragments of every subgroup.
var<workgroup> sums: array<vec4<f32>, SUBGROUP_ROWS * SIZE * SUM_STRIDE>;

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

    // An invocation loads one of the eight words of a step of several rows, and several eights of weights.
    let size = vec2<u32>(params.in_h, params.in_w);
    let padding = params.input_zero_points;
    let word = t % 8u;
    let line = t / 8u;
    var weight_at = (group * steps * column_tiles * COLUMNS + first_column) * 4u;
    let next_weights = column_tiles * COLUMNS * 4u;
    var tap = taps[word];
#for i in ROW_LOADS
    // Rows behind the end repeat the last one and are not stored.
    let start${i} = window(min(first_row + line + ${i}u * INVOCATIONS / 8u, rows - 1u), group);
    var x${i} = gather(start${i}, tap, size, padding);
#end
#for i in COLUMN_LOADS
    let place${i} = min(t + ${i}u * INVOCATIONS, COLUMNS * 4u - 1u);
    var w${i} = weights[weight_at + place${i}];
#end
#for i in FRAGMENT_ROWS
#for j in FRAGMENT_COLUMNS
    var sum${i}_${j}: coop_mat${SIZE}x${SIZE}<f32, C>;
#end
#for q in SUM_LOADS
    var total${i}_${q} = vec4<i32>(0);
#end
#end

    for (var first = 0u; first < steps; first += params.piece) {
        let end = min(first + params.piece, steps);
        for (var step = first; step < end; step++) {
            workgroupBarrier();
#for i in ROW_LOADS
            row_tile[(line + ${i}u * INVOCATIONS / 8u) * STRIDE + word] = vec4<f16>(unpack4xI8(x${i}));
#end
#for i in COLUMN_LOADS
            // Where there are more invocations than eights the last ones write the same.
            let to${i} = place${i} / 4u * STRIDE + place${i} % 4u * 2u;
            column_tile[to${i}] = w${i}.low;
            column_tile[to${i} + 1u] = w${i}.high;
#end
            workgroupBarrier();
            if (step + 1u < steps) {
                tap = taps[(step + 1u) * 8u + word];
                weight_at += next_weights;
#for i in ROW_LOADS
                x${i} = gather(start${i}, tap, size, padding);
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
#end
#for j in FRAGMENT_COLUMNS
            let right${k}_${j} = coopLoad<coop_mat${SIZE}x${SIZE}<f16, B>>(&column_tile[column_at + ${j}u * SIZE * STRIDE + ${k}u * SIZE / 4u], STRIDE);
#for i in FRAGMENT_ROWS
            sum${i}_${j} = coopMultiplyAdd(left${k}_${i}, right${k}_${j}, sum${i}_${j});
#end
#end
#end
        }
        // Through workgroup memory, a row of fragments at a time, to whoever owns the quad of channels.
        let last = end == steps;
        let sum_at = subgroup_row * SIZE * SUM_STRIDE + subgroup_column * ${FRAGMENT_COLUMNS}u * SIZE / 4u;
        let sum_stride = SUM_STRIDE;
#for i in FRAGMENT_ROWS
        workgroupBarrier();
#for j in FRAGMENT_COLUMNS
        let done${i}_${j} = sum${i}_${j};
        let at${i}_${j} = sum_at + ${j}u * SIZE / 4u;
        coopStoreT(done${i}_${j}, &sums[at${i}_${j}], sum_stride);
        sum${i}_${j} = coop_mat${SIZE}x${SIZE}<f32, C>();
#end
        workgroupBarrier();
#for q in SUM_LOADS
        let from${i}_${q} = t + ${q}u * INVOCATIONS;
        let in_row${i}_${q} = from${i}_${q} / (COLUMNS / 4u);
        let quad${i}_${q} = from${i}_${q} % (COLUMNS / 4u);
        if (in_row${i}_${q} < SUBGROUP_ROWS * SIZE) {
            var y = vec4<i32>(sums[in_row${i}_${q} * SUM_STRIDE + quad${i}_${q}]);
            if (SPLIT) {
                total${i}_${q} += y;
                y = total${i}_${q};
            }
            if (!SPLIT || last) {
                let block = in_row${i}_${q} / SIZE * ${FRAGMENT_ROWS}u + ${i}u;
                let row = first_row + block * SIZE + in_row${i}_${q} % SIZE;
                store(row, rows, group, first_column / 4u + quad${i}_${q}, y);
            }
        }
#end
#end
    }
}
