// Counts of codes and of errors in steps of the scale: a workgroup a sample.
#import shared/run

struct Codes {
    elements: u32,
    // Words between samples of both inputs and the output.
    stride_test: u32,
    stride_reference: u32,
    stride_out: u32,
    lowest: i32,
    highest: i32,
    zero_point: i32,
    inverse: f32,
}

@group(0) @binding(1) var<storage, read> test: array<u32>;
@group(0) @binding(2) var<storage, read> reference: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<i32>;
@group(0) @binding(4) var<storage, read> p: Codes;

override BITS: u32 = 8u;
// Whether the codes themselves are counted, which also gives those at both ends.
override WITH_CODES: u32 = 1u;

const STEPS: u32 = 33u;
const MOST: f32 = 16.0;
const ERRORS: u32 = 3u;
const CODES: u32 = 36u;

var<workgroup> found: array<atomic<u32>, 292>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let sample = linear_workgroup(group, groups);
    let size = CODES + select(0u, 256u, BITS == 8u && WITH_CODES == 1u);
    for (var i = local; i < size; i += 256u) {
        atomicStore(&found[i], 0u);
    }
    workgroupBarrier();
    let lanes = 32u / BITS;
    let zero = f32(p.zero_point);
    let low = f32(p.lowest) - zero;
    let high = f32(p.highest) - zero;
    // What occurs most is counted in registers.
    var equal = 0u;
    var exact = 0u;
    if (sample < run.samples) {
        for (var i = local; i < p.elements; i += 256u) {
            let word = bitcast<i32>(test[sample * p.stride_test + i / lanes]);
            let code = extractBits(word, BITS * (i % lanes), BITS);
            let q = f32(code) - zero;
            let ideal = reference[sample * p.stride_reference + i] * p.inverse;
            var error = round(q - ideal);
            error = select(-MOST, error, error > -MOST);
            error = select(MOST, error, error < MOST);
            if (error == 0.0) {
                exact++;
            } else {
                atomicAdd(&found[ERRORS + u32(i32(error + MOST))], 1u);
            }
            var expected = round(ideal);
            expected = select(low, expected, expected > low);
            expected = select(high, expected, expected < high);
            equal += select(0u, 1u, expected == q);
            if (BITS == 8u) {
                if (WITH_CODES == 1u) {
                    atomicAdd(&found[CODES + u32(code + 128)], 1u);
                }
            } else {
                if (code == p.lowest) {
                    atomicAdd(&found[1], 1u);
                }
                if (code == p.highest) {
                    atomicAdd(&found[2], 1u);
                }
            }
        }
        atomicAdd(&found[0], equal);
        atomicAdd(&found[ERRORS + STEPS / 2u], exact);
    }
    workgroupBarrier();
    if (sample >= run.samples) {
        return;
    }
    for (var i = local; i < size; i += 256u) {
        var n = atomicLoad(&found[i]);
        if (BITS == 8u && WITH_CODES == 1u && i == 1u) {
            n = atomicLoad(&found[CODES]);
        }
        if (BITS == 8u && WITH_CODES == 1u && i == 2u) {
            n = atomicLoad(&found[CODES + 255u]);
        }
        output[sample * p.stride_out + i] = i32(n);
    }
}
