// Operators that move elements (src/kernel/place.rs): an invocation an output word of one, two or four elements, or half
// of an element of 8 bytes. A launch fills the boxes that come from one input; what lies in none of them is padding in
// the first launch, and stays in the others.
#import shared/run

// Bytes of an element: 1, 2, 4 or 8.
override WIDTH: u32 = 4u;
// Whether what lies in no box gets `fill`.
override FIRST: bool = true;

struct PlaceBox {
    // First element of the input.
    base: i32,
    start: array<u32, 8>,
    step: array<u32, 8>,
    count: array<u32, 8>,
    strides: array<i32, 8>,
}

struct Place {
    // Output elements of one sample.
    elements: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
    boxes: u32,
    // The bytes of an element of padding.
    fill_low: u32,
    fill_high: u32,
    dims: array<u32, 8>,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Place;
@group(0) @binding(4) var<storage, read> boxes: array<PlaceBox>;

const NONE: i32 = -1;

// Element of the input that becomes output element i, or NONE.
fn source_of(i: u32) -> i32 {
    var index: array<u32, 8>;
    var rest = i;
    for (var d = 8u; d > 0u; d--) {
        let size = p.dims[d - 1u];
        index[d - 1u] = rest % size;
        rest /= size;
    }
    for (var b = 0u; b < p.boxes; b++) {
        var at = boxes[b].base;
        var inside = true;
        for (var d = 0u; d < 8u; d++) {
            let step = boxes[b].step[d];
            let from_start = index[d] - boxes[b].start[d];
            let k = from_start / step;
            inside = inside && index[d] >= boxes[b].start[d] && from_start % step == 0u && k < boxes[b].count[d];
            at += i32(k) * boxes[b].strides[d];
        }
        if (inside) {
            return at;
        }
    }
    return NONE;
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
    let base = (i / p.stride_out) * p.stride_in;
    let word = i % p.stride_out;
    if (WIDTH >= 4u) {
        let words = max(WIDTH / 4u, 1u);
        let at = source_of(word / words);
        if (at != NONE) {
            output[i] = input[base + u32(at) * words + word % words];
        } else if (FIRST) {
            output[i] = select(p.fill_low, p.fill_high, word % words == 1u);
        }
        return;
    }
    let lanes = max(4u / WIDTH, 1u);
    let bits = min(8u * WIDTH, 32u);
    var result = 0u;
    if (!FIRST) {
        result = output[i];
    }
    for (var lane = 0u; lane < lanes; lane++) {
        let at = source_of(min(word * lanes + lane, p.elements - 1u));
        if (at != NONE) {
            let from_word = input[base + u32(at) / lanes];
            let value = extractBits(from_word, bits * (u32(at) % lanes), bits);
            result = insertBits(result, value, bits * lane, bits);
        } else if (FIRST) {
            result = insertBits(result, p.fill_low, bits * lane, bits);
        }
    }
    output[i] = result;
}
