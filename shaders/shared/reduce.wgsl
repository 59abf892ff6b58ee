// The geometry of a reduction: (size, stride) pairs of the kept and the reduced dimensions (src/kernel/reduce.rs).

struct Reduce {
    // Outputs of one sample.
    outputs: u32,
    // Summands of one output.
    count: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    kept: array<vec2<u32>, 4>,
    reduced: array<vec2<u32>, 4>,
}

@group(0) @binding(3) var<storage, read> shape: Reduce;

// Invocations that share the summands of an output (or an output word): 1 or 64.
override SHARE: u32 = 1u;

// Offset of element i of a nest of (size, stride) dimensions, outermost first. Written out: see "Loops" in launch.rs.
fn nest_offset(i: u32, a: vec2<u32>, b: vec2<u32>, c: vec2<u32>, d: vec2<u32>) -> u32 {
    let i_c = i / d.x;
    let i_b = i_c / c.x;
    let i_a = i_b / b.x;
    return (i % d.x) * d.y + (i_c % c.x) * c.y + (i_b % b.x) * b.y + (i_a % a.x) * a.y;
}

// Element of the first summand of an output.
fn first_summand(output: u32) -> u32 {
    return nest_offset(output, shape.kept[0], shape.kept[1], shape.kept[2], shape.kept[3]);
}

// Distance of summand i from the first.
fn summand_offset(i: u32) -> u32 {
    return nest_offset(i, shape.reduced[0], shape.reduced[1], shape.reduced[2], shape.reduced[3]);
}
