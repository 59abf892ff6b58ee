// The geometry of products of two activations (src/kernel/batch_matmul.rs).

struct Matmul {
    batch: array<u32, 4>,
    batch_a: array<u32, 4>,
    batch_b: array<u32, 4>,
    rows: u32,
    columns: u32,
    depth: u32,
    // Steps of the operands from row to row, along a sum, along a sum, and from column to column.
    a_row: u32,
    a_depth: u32,
    b_depth: u32,
    b_column: u32,
    // Words between samples.
    stride_a: u32,
    stride_b: u32,
    stride_bias: u32,
    stride_out: u32,
    elements: u32,
}

// Where the sum of an output element starts in both operands, in elements.
fn starts(i: u32) -> vec2<u32> {
    let column = i % shape.columns;
    let row = i / shape.columns % shape.rows;
    var rest = i / (shape.columns * shape.rows);
    var at = vec2<u32>(row * shape.a_row, column * shape.b_column);
    for (var d = 4u; d > 0u; d--) {
        let index = rest % shape.batch[d - 1u];
        rest /= shape.batch[d - 1u];
        at += index * vec2<u32>(shape.batch_a[d - 1u], shape.batch_b[d - 1u]);
    }
    return at;
}
