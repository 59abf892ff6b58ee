// How two operands walk along an output of up to six dimensions (src/kernel/broadcast.rs).

struct Broadcast {
    // Output elements of one sample.
    elements: u32,
    // Whether both operands have the output's shape.
    same_shape: u32,
    // Words between samples of each operand and of the output.
    stride_a: u32,
    stride_b: u32,
    stride_out: u32,
    dims: array<u32, 6>,
    // Step of each operand along each dimension.
    steps_a: array<u32, 6>,
    steps_b: array<u32, 6>,
}

@group(0) @binding(4) var<storage, read> shape: Broadcast;

// Elements of the two operands that meet in output element i.
fn operands(i: u32) -> vec2<u32> {
    if (shape.same_shape == 1u) {
        return vec2<u32>(i, i);
    }
    var rest = i;
    var at = vec2<u32>(0u, 0u);
    for (var d = 6u; d > 0u; d--) {
        let size = shape.dims[d - 1u];
        let index = rest % size;
        rest /= size;
        at += index * vec2<u32>(shape.steps_a[d - 1u], shape.steps_b[d - 1u]);
    }
    return at;
}
