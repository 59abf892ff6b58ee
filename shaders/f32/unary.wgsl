// Functions of one float: an invocation an element.
#import shared/run
#import shared/range
#import shared/clamp
#import shared/functions

// Which function: `number` of src/gpu/unary.rs.
override OP: u32 = 0u;

struct Unary {
    // Elements of one sample.
    elements: u32,
    // Words between samples of the input.
    stride_in: u32,
    // LEAKY_RELU's slope, or bounds.
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
@group(0) @binding(3) var<storage, read> p: Unary;

fn apply(x: f32) -> f32 {
    switch (OP) {
        case 0u: {
            return abs(x);
        }
        case 1u: {
            return ceil(x);
        }
        case 2u: {
            return sine(x, 1);
        }
        case 3u: {
            return select(x, exp_minus_1(x), x < 0.0);
        }
        case 4u: {
            return exp(x);
        }
        case 5u: {
            return floor(x);
        }
        case 6u: {
            return 0.5 * x * (1.0 + tanh_of(0.7978845608 * (x + 0.044715 * x * x * x)));
        }
        case 7u: {
            return 0.5 * x * erfc_of(x * -0.70710678);
        }
        case 8u: {
            return x * clamp(x + 3.0, 0.0, 6.0) / 6.0;
        }
        case 9u: {
            return select(x, x * p.low, x < 0.0);
        }
        case 10u: {
            return log(x);
        }
        case 11u: {
            return select(1.0 / (1.0 + exp(-x)), exp(x), x < -80.0);
        }
        case 12u: {
            return -x;
        }
        case 13u: {
            return select(select(x, p.low, is_below(x, p.low)), p.high, x > p.high);
        }
        case 14u: {
            return round(x);
        }
        case 15u: {
            return 1.0 / sqrt(x);
        }
        case 16u: {
            return sign(x);
        }
        case 17u: {
            return sine(x, 0);
        }
        case 18u: {
            return sqrt(x);
        }
        case 19u: {
            return x * x;
        }
        default: {
            return tanh_of(x);
        }
    }
}

fn compute(i: u32) {
    let result = apply(input[(i / p.elements) * p.stride_in + i % p.elements]);
    output[i] = result;
#if RANGE
    see(result);
#end
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let workgroup = linear_workgroup(group, groups);
    let i = workgroup * 64u + local;
    if (i < run.samples * p.elements) {
        compute(i);
    }
#if RANGE
    publish(local, workgroup);
#end
}
