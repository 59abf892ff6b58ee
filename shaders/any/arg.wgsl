// ARG_MAX and ARG_MIN, the first of equals: an invocation an output.
#import shared/run
#import shared/reduce

// What the input is: 0 float, 1 int32, 2 int8, 3 uint8.
override KIND: u32 = 0u;
// Words of an index: 1 or 2.
override WORDS: u32 = 1u;
override LARGEST: bool = true;

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;

// Whether the element at `a` is better than the one at `b`.
fn better(base: u32, a: u32, b: u32) -> bool {
    switch (KIND) {
        case 0u: {
            let x = bitcast<f32>(input[base + a]);
            let y = bitcast<f32>(input[base + b]);
            return select((x < y), (x > y), LARGEST);
        }
        case 1u: {
            let x = bitcast<i32>(input[base + a]);
            let y = bitcast<i32>(input[base + b]);
            return select((x < y), (x > y), LARGEST);
        }
        case 2u: {
            let x = extractBits(bitcast<i32>(input[base + (a >> 2u)]), 8u * (a & 3u), 8u);
            let y = extractBits(bitcast<i32>(input[base + (b >> 2u)]), 8u * (b & 3u), 8u);
            return select((x < y), (x > y), LARGEST);
        }
        default: {
            let x = extractBits(input[base + (a >> 2u)], 8u * (a & 3u), 8u);
            let y = extractBits(input[base + (b >> 2u)], 8u * (b & 3u), 8u);
            return select((x < y), (x > y), LARGEST);
        }
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * shape.outputs) {
        return;
    }
    let sample = i / shape.outputs;
    let base = sample * shape.stride_in;
    let first = first_summand(i % shape.outputs);
    var best = 0u;
    for (var k = 1u; k < shape.count; k++) {
        if (better(base, first + summand_offset(k), first + summand_offset(best))) {
            best = k;
        }
    }
    let at = sample * shape.stride_out + (i % shape.outputs) * WORDS;
    output[at] = best;
    if (WORDS == 2u) {
        output[at + 1u] = 0u;
    }
}
