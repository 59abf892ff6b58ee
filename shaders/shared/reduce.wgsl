// The geometry of MEAN: (size, stride) pairs of the kept and the reduced dimensions (src/kernel/mean.rs).

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

// Element of the first summand of an output.
fn first_summand(output: u32) -> u32 {
    var rest = output;
    var at = 0u;
    for (var d = 4u; d > 0u; d--) {
        let dim = shape.kept[d - 1u];
        at += (rest % dim.x) * dim.y;
        rest /= dim.x;
    }
    return at;
}

// Distance of summand i from the first.
fn summand_offset(i: u32) -> u32 {
    var rest = i;
    var at = 0u;
    for (var d = 4u; d > 0u; d--) {
        let dim = shape.reduced[d - 1u];
        at += (rest % dim.x) * dim.y;
        rest /= dim.x;
    }
    return at;
}
