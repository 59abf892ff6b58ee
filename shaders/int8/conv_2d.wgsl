// CONV_2D and FULLY_CONNECTED in int8 as an implicit matrix product, and the input projection of the int8 LSTM.
//
// The tiling is that of shared/product_f32, with packed words in place of floats: a quad of k is one dot4I8Packed, k
// advances by 16 words.
#import shared/windows_i8

// A workgroup is ACROSS x DOWN invocations; each makes 8 rows x OWN quads of columns.
const ACROSS: u32 = ${ACROSS}u;
const OWN: u32 = ${OWN}u;
const DOWN: u32 = 64u / ACROSS;
const ROWS: u32 = DOWN * 8u;
const COLUMN_QUADS: u32 = ACROSS * OWN;
// Quads of rows from one k to the next: one more, so that the transposed writes fall into different banks.
const ROW_STRIDE: u32 = DOWN * 2u + 1u;

// [group][quad of k][columns], a component a channel.
@group(0) @binding(3) var<storage, read> weights: array<vec4<u32>>;

// [quad of k][row quad]
var<workgroup> row_tile: array<vec4<u32>, 16u * ROW_STRIDE>;
// [quad of k][column quad]
var<workgroup> column_tile: array<vec4<u32>, 16u * COLUMN_QUADS>;

fn dots(a: u32, b: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(a, b.x),
        dot4I8Packed(a, b.y),
        dot4I8Packed(a, b.z),
        dot4I8Packed(a, b.w),
    );
}

// Adds the products of one quad of k to the sums of an invocation.
fn multiply(k: u32, tx: u32, ty: u32, acc: ptr<function, array<vec4<i32>, 8u * OWN>>) {
    let top = row_tile[k * ROW_STRIDE + ty];
    let bottom = row_tile[k * ROW_STRIDE + ty + DOWN];
#for q in OWN
    let w${q} = column_tile[k * COLUMN_QUADS + tx + ${q}u * ACROSS];
#for r in 4
    (*acc)[${r}u * OWN + ${q}u] += dots(top[${r}], w${q});
    (*acc)[(${r}u + 4u) * OWN + ${q}u] += dots(bottom[${r}], w${q});
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

    // Each invocation loads four quads of k, every fourth one, of some quads of rows; and some k of a column quad.
    let size = vec2<u32>(params.in_h, params.in_w);
    let padding = params.input_zero_points;
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
    let weight_base = group * depth * columns + column;

    let tx = t % ACROSS;
    let ty = t / ACROSS;
    var acc: array<vec4<i32>, 8u * OWN>;
    for (var step = 0u; step < depth; step += 16u) {
        workgroupBarrier();
#for j in 4
        let k${j} = ${j}u * 4u + lane;
        let tap${j} = taps[min(step + k${j}, depth - 1u)];
#for i in ROW_ITEMS
        // Behind the depth the weights are 0.
        row_tile[k${j} * ROW_STRIDE + quad${i}] = vec4<u32>(
            gather(start${i}_0, tap${j}, size, padding),
            gather(start${i}_1, tap${j}, size, padding),
            gather(start${i}_2, tap${j}, size, padding),
            gather(start${i}_3, tap${j}, size, padding),
        );
#end
#end
#for j in COLUMN_ITEMS
        let weight_k${j} = step + t / COLUMN_QUADS + ${j}u * (64u / COLUMN_QUADS);
        var w${j} = vec4<u32>(0u);
        if (column < columns && weight_k${j} < depth) {
            w${j} = weights[weight_base + weight_k${j} * columns];
        }
        column_tile[t + ${j}u * 64u] = w${j};
#end
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

#for r in 4
#for q in OWN
    store(first_row + ty * 4u + ${r}u, rows, group, first_column + tx + ${q}u * ACROSS, acc[${r}u * OWN + ${q}u]);
    store(first_row + (ty + DOWN) * 4u + ${r}u, rows, group, first_column + tx + ${q}u * ACROSS, acc[(${r}u + 4u) * OWN + ${q}u]);
#end
#end
}
