// A float convolution as a matrix product whose left matrix is gathered on the fly (implicit GEMM), see shared/windows.
//
// k advances by 16. Every element is summed in the order of k, whatever the tile and the number of samples.
#import shared/windows_f32

// A workgroup is ACROSS x DOWN invocations; each makes 8 rows x OWN quads of columns.
const ACROSS: u32 = ${ACROSS}u;
const OWN: u32 = ${OWN}u;
const DOWN: u32 = 64u / ACROSS;
const ROWS: u32 = DOWN * 8u;
const COLUMN_QUADS: u32 = ACROSS * OWN;
// Quads of rows from one k to the next: one more, so that the transposed writes fall into different banks.
const ROW_STRIDE: u32 = DOWN * 2u + 1u;

// [group][k][columns]
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;

// [k][row quad]
var<workgroup> row_tile: array<vec4<f32>, 16u * ROW_STRIDE>;
// [k][column quad]
var<workgroup> column_tile: array<vec4<f32>, 16u * COLUMN_QUADS>;
#if GUARDED
var<workgroup> wanted: u32;
#end

// Adds the products of one k to the sums of an invocation.
fn multiply(k: u32, tx: u32, ty: u32, acc: ptr<function, array<vec4<f32>, 8u * OWN>>) {
    let top = row_tile[k * ROW_STRIDE + ty];
    let bottom = row_tile[k * ROW_STRIDE + ty + DOWN];
#for q in OWN
    let w${q} = column_tile[k * COLUMN_QUADS + tx + ${q}u * ACROSS];
#for r in 4
    (*acc)[${r}u * OWN + ${q}u] += top[${r}] * w${q};
    (*acc)[(${r}u + 4u) * OWN + ${q}u] += bottom[${r}] * w${q};
#end
#end
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
    let column_tiles = (columns + COLUMN_QUADS - 1u) / COLUMN_QUADS;
    let tile = linear_workgroup(group_id, group_count);
    let strip = tile % (column_tiles * params.groups);
    let group = strip / column_tiles;
    let first_column = (strip % column_tiles) * COLUMN_QUADS;
    let first_row = tile / (column_tiles * params.groups) * ROWS;
    if (first_row >= rows) {
        return;
    }
#if GUARDED
    if (t == 0u) {
        wanted = 0u;
    }
    workgroupBarrier();
    for (var row = first_row + t; row < min(first_row + ROWS, rows); row += 64u) {
        if (given_up[row * params.groups + group] != 0u) {
            // All that write write the same.
            wanted = 1u;
        }
    }
    if (workgroupUniformLoad(&wanted) == 0u) {
        return;
    }
#end

    // Each invocation loads a quad of k of some quads of rows, and some k of a column quad.
    let size = vec2<u32>(params.in_h, params.in_w);
    let lane = t % 4u;
#for i in ROW_ITEMS
    let quad${i} = t / 4u + ${i}u * 16u;
    let row${i} = vec4<u32>(first_row + quad${i} * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
#for r in 4
    // Rows behind the end repeat the last one and are not stored.
    let start${i}_${r} = window(min(row${i}[${r}], rows - 1u), group);
#end
#end
    let column = first_column + t % COLUMN_QUADS;
    let weight_base = group * depth * 4u * columns + column;

    let tx = t % ACROSS;
    let ty = t / ACROSS;
    var acc: array<vec4<f32>, 8u * OWN>;
    for (var step = 0u; step < depth; step += 4u) {
#for i in ROW_ITEMS
#for r in 4
        var x${i}_${r} = vec4<f32>(0.0);
#end
#end
        if (step + lane < depth) {
            let tap = taps[step + lane];
#for i in ROW_ITEMS
#for r in 4
            x${i}_${r} = gather(start${i}_${r}, tap, size);
#end
#end
        }
#for j in COLUMN_ITEMS
        let k${j} = step * 4u + t / COLUMN_QUADS + ${j}u * (64u / COLUMN_QUADS);
        var w${j} = vec4<f32>(0.0);
        if (column < columns && k${j} < depth * 4u) {
            w${j} = weights[weight_base + k${j} * columns];
        }
#end
        workgroupBarrier();
#for i in ROW_ITEMS
        let to${i} = lane * 4u * ROW_STRIDE + quad${i};
#for r in 4
        row_tile[to${i} + ${r}u * ROW_STRIDE] = vec4<f32>(x${i}_0[${r}], x${i}_1[${r}], x${i}_2[${r}], x${i}_3[${r}]);
#end
#end
#for j in COLUMN_ITEMS
        column_tile[t + ${j}u * 64u] = w${j};
#end
        workgroupBarrier();
        // Written out by fours: llvmpipe ends long loops.
        for (var k = 0u; k < 16u; k += 4u) {
            multiply(k, tx, ty, &acc);
            multiply(k + 1u, tx, ty, &acc);
            multiply(k + 2u, tx, ty, &acc);
            multiply(k + 3u, tx, ty, &acc);
        }
    }

#for r in 4
#for q in OWN
    store(first_row + ty * 4u + ${r}u, rows, group, first_column + tx + ${q}u * ACROSS, acc[${r}u * OWN + ${q}u]);
    store(first_row + (ty + DOWN) * 4u + ${r}u, rows, group, first_column + tx + ${q}u * ACROSS, acc[(${r}u + 4u) * OWN + ${q}u]);
#end
#end
#if RANGE
    publish(t, tile);
#end
}
