// A real number of each complex one: an invocation an element.
#import shared/run

// 0 real part, 1 imaginary part, 2 magnitude.
override OP: u32 = 0u;

struct Complex {
    // Elements of one sample.
    elements: u32,
    // Words between samples of the input.
    stride_in: u32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
@group(0) @binding(3) var<storage, read> p: Complex;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group, groups) * 64u + local;
    if (i >= run.samples * p.elements) {
        return;
    }
    let at = (i / p.elements) * p.stride_in + 2u * (i % p.elements);
    let re = input[at];
    let im = input[at + 1u];
    if (OP == 2u) {
        // Scaled, so that squares neither overflow nor vanish.
        let scale = max(abs(re), abs(im));
        let safe = select(scale, 1.0, scale == 0.0);
        let a = re / safe;
        let b = im / safe;
        output[i] = scale * sqrt(a * a + b * b);
    } else {
        output[i] = select(re, im, OP == 1u);
    }
}
