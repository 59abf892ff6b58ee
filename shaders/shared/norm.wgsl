// Parameters of L2_NORMALIZATION and LOG_SOFTMAX of int8 (src/kernel/norm.rs).

// 0 L2_NORMALIZATION, 1 LOG_SOFTMAX.
override OP: u32 = 0u;

struct Norm {
    // Rows of one sample.
    rows: u32,
    depth: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    elements: u32,
    zero_point: i32,
    // LOG_SOFTMAX: beyond this distance from the maximum an element is lost.
    farthest: i32,
    reverse_mantissa: i32,
    reverse_shift: i32,
    // Distances 0 ... 255 as Q5.26, and their exponentials as Q12.19.
    scaled: array<i32, 256>,
    exp: array<i32, 256>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(3) var<storage, read> p: Norm;

fn element(base: u32, i: u32) -> i32 {
    return byte_of(input[base + (i >> 2u)], i & 3u);
}
