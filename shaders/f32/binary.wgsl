// Functions of two floats: an invocation an output element.
#import shared/run
#import shared/bounds
#import shared/broadcast
#import shared/range
#import shared/clamp

// Which function: `number` of src/gpu/binary.rs.
override OP: u32 = 0u;

struct Bounds {
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(5) var<storage, read> bounds: Bounds;
#if CLAMPED
@group(0) @binding(${CLAMPED}) var<storage, read_write> clamped_output: array<f32>;
#end

// x^y as C has it, where WGSL knows positive x only.
fn power(x: f32, y: f32) -> f32 {
    if (y == 0.0 || x == 1.0) {
        return 1.0;
    }
    if (x == 0.0) {
        return select(0.0, 1.0 / abs(x), y < 0.0);
    }
    let magnitude = pow(abs(x), y);
    if (x > 0.0) {
        return magnitude;
    }
    if (floor(y) != y) {
        // Not a number, in a way that is no constant expression.
        return bitcast<f32>(0x7fc00000u | (bitcast<u32>(x) & 1u));
    }
    return select(magnitude, -magnitude, abs(y) % 2.0 == 1.0);
}

fn apply(x: f32, y: f32) -> f32 {
    switch (OP) {
        case 0u: {
            return x + y;
        }
        case 1u: {
            return x - y;
        }
        case 2u: {
            return x * y;
        }
        case 3u: {
            return x / y;
        }
        case 4u: {
            return power(x, y);
        }
        case 5u: {
            return floor(x / y);
        }
        case 6u: {
            let r = x - y * trunc(x / y);
            return select(r, r + y, r != 0.0 && (y < 0.0) != (r < 0.0));
        }
        case 7u: {
            return select(y, x, x > y);
        }
        case 8u: {
            return select(y, x, x < y);
        }
        case 9u: {
            return (x - y) * (x - y);
        }
        default: {
            return select(x * y, x, x >= 0.0);
        }
    }
}

fn compute(i: u32) {
    let sample = i / shape.elements;
    let element = i % shape.elements;
    let at = operands(element);
    let result = apply(a[sample * shape.stride_a + at.x], b[sample * shape.stride_b + at.y]);
    let y = bounded(result, bounds.low, bounds.high);
    output[sample * shape.stride_out + element] = y;
#if CLAMPED
    clamped_output[sample * shape.stride_out + element] = clamped(y);
#end
#if RANGE
    see(y);
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
    if (i < run.samples * shape.elements) {
        compute(i);
    }
#if RANGE
    publish(local, workgroup);
#end
}
