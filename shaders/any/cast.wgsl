// CAST: an invocation an output word of one or four elements, or half of one of 8 bytes. Integers wrap, floats are cut
// toward zero and saturate.
#import shared/run

// 0 float, 1 int32, 2 int8, 3 uint8, 4 bool, 5 int64.
override FROM: u32 = 0u;
override TO: u32 = 0u;

struct Cast {
    // Elements of one sample.
    elements: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(3) var<storage, read> p: Cast;

fn byte(base: u32, i: u32) -> u32 {
    return extractBits(input[base + (i >> 2u)], 8u * (i & 3u), 8u);
}

// The low word of the integer; of a float, cut.
fn integer(base: u32, i: u32) -> i32 {
    switch (FROM) {
        case 0u: {
            return i32(bitcast<f32>(input[base + i]));
        }
        case 1u: {
            return bitcast<i32>(input[base + i]);
        }
        case 2u: {
            return extractBits(bitcast<i32>(byte(base, i)), 0u, 8u);
        }
        case 5u: {
            return bitcast<i32>(input[base + 2u * i]);
        }
        default: {
            return i32(byte(base, i));
        }
    }
}

fn real(base: u32, i: u32) -> u32 {
    if (FROM == 0u) {
        return input[base + i];
    }
    if (FROM == 5u) {
        let low = input[base + 2u * i];
        let high = bitcast<i32>(input[base + 2u * i + 1u]);
        // Where the high word is nothing but the sign, the low one is all.
        let small = high == (bitcast<i32>(low) >> 31u);
        let wide = f32(high) * 4294967296.0 + f32(low);
        return bitcast<u32>(select(wide, f32(bitcast<i32>(low)), small));
    }
    return bitcast<u32>(f32(integer(base, i)));
}

fn truth(base: u32, i: u32) -> u32 {
    if (FROM == 0u) {
        return u32(bitcast<f32>(input[base + i]) != 0.0);
    }
    if (FROM == 5u) {
        return u32((input[base + 2u * i] | input[base + 2u * i + 1u]) != 0u);
    }
    return u32(integer(base, i) != 0);
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
    if (TO == 0u) {
        output[i] = real(base, word);
    } else if (TO == 1u) {
        output[i] = bitcast<u32>(integer(base, word));
    } else if (TO == 5u) {
        if (FROM == 5u) {
            output[i] = input[base + word];
        } else {
            let value = integer(base, word / 2u);
            output[i] = bitcast<u32>(select(value, value >> 31u, word % 2u == 1u));
        }
    } else {
        var result = 0u;
        for (var lane = 0u; lane < 4u; lane++) {
            let at = min(word * 4u + lane, p.elements - 1u);
            if (TO == 4u) {
                result |= truth(base, at) << (8u * lane);
            } else {
                var value = integer(base, at);
                if (FROM == 0u) {
                    value = clamp(value, select(0, -128, TO == 2u), select(255, 127, TO == 2u));
                }
                result |= (bitcast<u32>(value) & 0xffu) << (8u * lane);
            }
        }
        output[i] = result;
    }
}
