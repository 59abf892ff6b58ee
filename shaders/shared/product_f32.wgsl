// A float convolution as a matrix product whose left matrix is gathered on the fly (implicit GEMM), see shared/windows.
//
// A workgroup makes a tile of 64 x 64, each of its 64 invocations 8 rows x 8 columns; k advances by 16. Every element is
// summed in the order of k, whatever the number of samples.
#import shared/windows_f32

// [group][k][columns]
@group(0) @binding(3) var<storage, read> weights: array<vec4<f32>>;

// [k][row quad], rows of 17 so that the transposed writes fall into different banks.
var<workgroup> row_tile: array<vec4<f32>, 272>;
// [k][column quad]
var<workgroup> column_tile: array<vec4<f32>, 256>;
#if GUARDED
var<workgroup> wanted: u32;
#end

// Adds the products of one k to the 8 x 8 sums of an invocation: two quads for each row.
fn multiply(k: u32, tx: u32, ty: u32, acc: ptr<function, array<vec4<f32>, 16>>) {
    let a0 = row_tile[k * 17u + ty];
    let a1 = row_tile[k * 17u + ty + 8u];
    let b0 = column_tile[k * 16u + tx];
    let b1 = column_tile[k * 16u + tx + 8u];
    (*acc)[0] += a0.x * b0;
    (*acc)[1] += a0.x * b1;
    (*acc)[2] += a0.y * b0;
    (*acc)[3] += a0.y * b1;
    (*acc)[4] += a0.z * b0;
    (*acc)[5] += a0.z * b1;
    (*acc)[6] += a0.w * b0;
    (*acc)[7] += a0.w * b1;
    (*acc)[8] += a1.x * b0;
    (*acc)[9] += a1.x * b1;
    (*acc)[10] += a1.y * b0;
    (*acc)[11] += a1.y * b1;
    (*acc)[12] += a1.z * b0;
    (*acc)[13] += a1.z * b1;
    (*acc)[14] += a1.w * b0;
    (*acc)[15] += a1.w * b1;
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
#if GUARDED
    if (t == 0u) {
        wanted = 0u;
    }
    workgroupBarrier();
    // All that write write the same.
    if (first_row + t < rows && given_up[(first_row + t) * params.groups + group] != 0u) {
        wanted = 1u;
    }
    if (workgroupUniformLoad(&wanted) == 0u) {
        return;
    }
#end

    // Each invocation loads a quad of k of four rows, and four k of a column quad.
    let size = vec2<u32>(params.in_h, params.in_w);
    let lane = t % 4u;
    let quad = t / 4u;
    // Rows behind the end repeat the last one and are not stored.
    let row = vec4<u32>(first_row + quad * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    let start0 = window(min(row.x, rows - 1u), group);
    let start1 = window(min(row.y, rows - 1u), group);
    let start2 = window(min(row.z, rows - 1u), group);
    let start3 = window(min(row.w, rows - 1u), group);
    let column = first_column + t % 16u;
    let weight_base = group * depth * 4u * columns + column;

    let tx = t % 8u;
    let ty = t / 8u;
    var acc: array<vec4<f32>, 16>;
    for (var step = 0u; step < depth; step += 4u) {
        var r0 = vec4<f32>(0.0);
        var r1 = vec4<f32>(0.0);
        var r2 = vec4<f32>(0.0);
        var r3 = vec4<f32>(0.0);
        if (step + lane < depth) {
            let tap = taps[step + lane];
            r0 = gather(start0, tap, size);
            r1 = gather(start1, tap, size);
            r2 = gather(start2, tap, size);
            r3 = gather(start3, tap, size);
        }
        var w0 = vec4<f32>(0.0);
        var w1 = vec4<f32>(0.0);
        var w2 = vec4<f32>(0.0);
        var w3 = vec4<f32>(0.0);
        if (column < columns) {
            let at = weight_base + (step * 4u + t / 16u) * columns;
            // The four k of one invocation lie in the four quads of this step.
            w0 = weights[at];
            if (step + 1u < depth) {
                w1 = weights[at + 4u * columns];
            }
            if (step + 2u < depth) {
                w2 = weights[at + 8u * columns];
            }
            if (step + 3u < depth) {
                w3 = weights[at + 12u * columns];
            }
        }
        workgroupBarrier();
        let to = lane * 68u + quad;
        row_tile[to] = vec4<f32>(r0.x, r1.x, r2.x, r3.x);
        row_tile[to + 17u] = vec4<f32>(r0.y, r1.y, r2.y, r3.y);
        row_tile[to + 34u] = vec4<f32>(r0.z, r1.z, r2.z, r3.z);
        row_tile[to + 51u] = vec4<f32>(r0.w, r1.w, r2.w, r3.w);
        column_tile[t] = w0;
        column_tile[t + 64u] = w1;
        column_tile[t + 128u] = w2;
        column_tile[t + 192u] = w3;
        workgroupBarrier();
        // Written out by fours: llvmpipe ends long loops.
        for (var k = 0u; k < 16u; k += 4u) {
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
