// GATHER, GATHER_ND and EMBEDDING_LOOKUP: an invocation an output word of one, two or four elements, or half of one of 8
// bytes. An index outside of the table takes the nearest slice; the host checks those it can see.
#import shared/run

// Bytes of an element: 1, 2, 4 or 8.
override WIDTH: u32 = 4u;
// Words of an index: 1 or 2.
override INDEX_WORDS: u32 = 1u;

struct Take {
    // Output elements of one sample.
    elements: u32,
    // Words between samples.
    stride_table: u32,
    stride_indices: u32,
    stride_out: u32,
    outer: u32,
    rows: u32,
    k: u32,
    inner: u32,
    // All slices of the indexed dimensions.
    entries: u32,
    sizes: array<u32, 6>,
}

@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read> indices: array<i32>;
@group(0) @binding(3) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read> p: Take;

// Element of the table that becomes output element i.
fn source_of(sample: u32, i: u32) -> u32 {
    let tuple = i / p.inner;
    let slice = tuple / p.rows;
    let batch = slice / p.outer;
    let first = (batch * p.rows + tuple % p.rows) * p.k;
    var at = 0u;
    for (var j = 0u; j < p.k; j++) {
        let index = indices[sample * p.stride_indices + (first + j) * INDEX_WORDS];
        at = at * p.sizes[j] + u32(clamp(index, 0, i32(p.sizes[j]) - 1));
    }
    return (slice * p.entries + at) * p.inner + i % p.inner;
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
    let base = sample * p.stride_table;
    if (WIDTH >= 4u) {
        let words = max(WIDTH / 4u, 1u);
        output[i] = table[base + source_of(sample, word / words) * words + word % words];
        return;
    }
    let lanes = max(4u / WIDTH, 1u);
    let bits = min(8u * WIDTH, 32u);
    var result = 0u;
    for (var lane = 0u; lane < lanes; lane++) {
        let at = source_of(sample, min(word * lanes + lane, p.elements - 1u));
        result |= extractBits(table[base + at / lanes], bits * (at % lanes), bits) << (bits * lane);
    }
    output[i] = result;
}
