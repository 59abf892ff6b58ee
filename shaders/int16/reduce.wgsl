// Reductions of int16: SHARE invocations an output word of two elements.
#import shared/run
#import shared/fixed
#import shared/reduce

struct ReduceI16 {
    mantissa: i32,
    shift: i32,
}

@group(0) @binding(1) var<storage, read> input: array<u32>;
@group(0) @binding(2) var<storage, read_write> output: array<u32>;
@group(0) @binding(4) var<storage, read> p: ReduceI16;

// 0 mean; 1 maximum, 2 minimum.
override OP: u32 = 0u;

var<workgroup> partial: array<vec2<i32>, 64>;

fn element(base: u32, i: u32) -> i32 {
    return half_of(input[base + (i >> 1u)], i & 1u);
}

fn together(a: vec2<i32>, b: vec2<i32>) -> vec2<i32> {
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
    return clamp(multiply_by_multiplier(sum, p.mantissa, p.shift), -32768, 32767);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * (64u / SHARE) + local / SHARE;
    let sample = i / shape.stride_out;
    var sum = vec2<i32>(select(select(32767, -32768, OP == 1u), 0, OP == 0u));
    if (sample < run.samples) {
        let base = sample * shape.stride_in;
        // A lane behind the last output repeats it.
        let first = (i % shape.stride_out) * 2u;
        let at_x = first_summand(first);
        let at_y = first_summand(min(first + 1u, shape.outputs - 1u));
        for (var s = local % SHARE; s < shape.count; s += SHARE) {
            let offset = summand_offset(s);
            sum = together(sum, vec2<i32>(element(base, at_x + offset), element(base, at_y + offset)));
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
    output[i] = pack_halves(finish(sum.x), finish(sum.y));
}
