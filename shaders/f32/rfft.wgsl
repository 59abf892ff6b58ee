// RFFT2D by its definition: an invocation a complex number. Angles come from a table of the roots of unity.
#import shared/run

struct Rfft {
    in_h: u32,
    in_w: u32,
    fft_h: u32,
    fft_w: u32,
    columns: u32,
    // Complex numbers of one sample.
    elements: u32,
    // Words between samples.
    stride_in: u32,
    stride_out: u32,
}

@group(0) @binding(1) var<storage, read> input: array<f32>;
@group(0) @binding(2) var<storage, read_write> output: array<f32>;
@group(0) @binding(3) var<storage, read> p: Rfft;
// cos and -sin of 2 pi k / fft_h, then of 2 pi k / fft_w.
@group(0) @binding(4) var<storage, read> roots: array<vec2<f32>>;

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
    let sample = i / p.elements;
    let element = i % p.elements;
    let column = element % p.columns;
    let row = element / p.columns % p.fft_h;
    let image = element / (p.columns * p.fft_h);
    let first = sample * p.stride_in + image * p.in_h * p.in_w;
    var sum = vec2<f32>(0.0);
    for (var y = 0u; y < min(p.in_h, p.fft_h); y++) {
        var line = vec2<f32>(0.0);
        for (var x = 0u; x < min(p.in_w, p.fft_w); x++) {
            line += input[first + y * p.in_w + x] * roots[p.fft_h + ((x * column) & (p.fft_w - 1u))];
        }
        let turn = roots[(y * row) & (p.fft_h - 1u)];
        sum += vec2<f32>(line.x * turn.x - line.y * turn.y, line.x * turn.y + line.y * turn.x);
    }
    output[sample * p.stride_out + 2u * element] = sum.x;
    output[sample * p.stride_out + 2u * element + 1u] = sum.y;
}
