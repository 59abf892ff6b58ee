// SELECT and SELECT_V2: an invocation an output word of one, two or four elements, or half of one of 8 bytes.
#import shared/run

// Bytes of an element: 1, 2, 4 or 8.
override WIDTH: u32 = 4u;

struct Select {
    // Output elements of one sample.
    elements: u32,
    // Words between samples.
    stride_condition: u32,
    stride_a: u32,
    stride_b: u32,
    stride_out: u32,
    dims: array<u32, 6>,
    // Step of each operand along each dimension.
    steps_condition: array<u32, 6>,
    steps_a: array<u32, 6>,
    steps_b: array<u32, 6>,
}

@group(0) @binding(1) var<storage, read> condition: array<u32>;
@group(0) @binding(2) var<storage, read> a: array<u32>;
@group(0) @binding(3) var<storage, read> b: array<u32>;
@group(0) @binding(4) var<storage, read_write> output: array<u32>;
@group(0) @binding(5) var<storage, read> p: Select;

// Elements of condition and operands that meet in output element i.
fn operands(i: u32) -> vec3<u32> {
    var rest = i;
    var at = vec3<u32>(0u);
    for (var d = 6u; d > 0u; d--) {
        let size = p.dims[d - 1u];
        let index = rest % size;
        rest /= size;
        at += index * vec3<u32>(p.steps_condition[d - 1u], p.steps_a[d - 1u], p.steps_b[d - 1u]);
    }
    return at;
}

fn holds(sample: u32, at: u32) -> bool {
    return extractBits(condition[sample * p.stride_condition + (at >> 2u)], 8u * (at & 3u), 8u) != 0u;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.stride_out) {
        return;
    }
    let sample = i / p.stride_out;
    let word = i % p.stride_out;
    let base_a = sample * p.stride_a;
    let base_b = sample * p.stride_b;
    if (WIDTH >= 4u) {
        let words = max(WIDTH / 4u, 1u);
        let at = operands(word / words);
        if (holds(sample, at.x)) {
            output[i] = a[base_a + at.y * words + word % words];
        } else {
            output[i] = b[base_b + at.z * words + word % words];
        }
        return;
    }
    let lanes = max(4u / WIDTH, 1u);
    let bits = min(8u * WIDTH, 32u);
    var result = 0u;
    for (var lane = 0u; lane < lanes; lane++) {
        let at = operands(min(word * lanes + lane, p.elements - 1u));
        let from_a = extractBits(a[base_a + at.y / lanes], bits * (at.y % lanes), bits);
        let from_b = extractBits(b[base_b + at.z / lanes], bits * (at.z % lanes), bits);
        result |= select(from_b, from_a, holds(sample, at.x)) << (bits * lane);
    }
    output[i] = result;
}
