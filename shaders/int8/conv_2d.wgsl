// CONV_2D and FULLY_CONNECTED in int8 as an implicit matrix product, and the input projection of the int8 LSTM.
//
// The tiling is that of shared/product_f32, with packed words in place of floats: a quad of k is one dot4I8Packed, k
// advances by 16 words.
#import shared/windows_i8

// [group][quad of k][columns], a component a channel.
@group(0) @binding(3) var<storage, read> weights: array<vec4<u32>>;

// [quad of k][row quad]
var<workgroup> row_tile: array<vec4<u32>, 272>;
// [quad of k][column quad]
var<workgroup> column_tile: array<vec4<u32>, 256>;

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
