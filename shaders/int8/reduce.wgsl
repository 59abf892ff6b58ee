// Reductions of bytes: SHARE invocations an output word of four elements.
#import shared/run
#import shared/fixed
#import shared/reduce

struct ReduceI8 {
    mantissa: i32,
    shift: i32,
    input_zero_point: i32,
    output_zero_point: i32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read> p: ReduceI8;

// 0 sum, requantized; 1 maximum, 2 minimum, also of answers.
override OP: u32 = 0u;

var<workgroup> partial: array<vec4<i32>, 64>;

fn element(base: u32, i: u32) -> i32 {
    return byte_of(input[base + (i >> 2u)], i & 3u);
}

fn together(a: vec4<i32>, b: vec4<i32>) -> vec4<i32> {
    switch (OP) {
        case 1u: {
            return max(a, b);
        }
        case 2u: {
            return min(a, b);
        }
        default: {
            return a + b;
        }
    }
}

fn finish(sum: i32) -> i32 {
    if (OP != 0u) {
        return sum;
    }
    let centred = sum - bitcast<i32>(shape.count) * p.input_zero_point;
    let scaled = multiply_by_multiplier(centred, p.mantissa, p.shift);
    return with_zero_point(scaled, p.output_zero_point, -128, 127);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * (64u / SHARE) + local / SHARE;
    let sample = i / shape.stride_out;
    var sum = vec4<i32>(select(select(127, -128, OP == 1u), 0, OP == 0u));
    if (sample < run.samples) {
        let base = sample * shape.stride_in;
        // Lanes behind the last output repeat it.
        let first = min(
            vec4<u32>((i % shape.stride_out) * 4u) + vec4<u32>(0u, 1u, 2u, 3u),
            vec4<u32>(shape.outputs - 1u),
        );
        let at_x = first_summand(first.x);
        let at_y = first_summand(first.y);
        let at_z = first_summand(first.z);
        let at_w = first_summand(first.w);
        for (var s = local % SHARE; s < shape.count; s += SHARE) {
            let offset = summand_offset(s);
            sum = together(sum, vec4<i32>(
                element(base, at_x + offset),
                element(base, at_y + offset),
                element(base, at_z + offset),
                element(base, at_w + offset),
            ));
        }
    }
    partial[local] = sum;
    workgroupBarrier();
    if (sample >= run.samples || local % SHARE != 0u) {
        return;
    }
    for (var part = 1u; part < SHARE; part++) {
        sum = together(sum, partial[local + part]);
    }
    output[i] = pack_bytes(vec4<i32>(finish(sum.x), finish(sum.y), finish(sum.z), finish(sum.w)));
}
