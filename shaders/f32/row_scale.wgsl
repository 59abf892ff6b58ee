// Sums of whole numbers as floats: sum · weight scale · row scale + bias.
#import shared/run
#import shared/bounds

// Whether the sum is multiplied by one scale after the other; else by their product.
override ONE_BY_ONE: bool = false;

struct Scale {
    // Elements of one sample, rows of it with a scale of their own, channels.
    elements: u32,
    rows: u32,
    channels: u32,
    low: f32,
    high: f32,
}

@group(0) @binding(1) var<storage, read> sums: array<f32>;
// [sample][row]
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read> p: Scale;
// [channel] scale and bias
@group(0) @binding(5) var<storage, read> weights: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let i = linear_workgroup(group_id, group_count) * 64u + local;
    if (i >= run.samples * p.elements) {
        return;
    }
    let w = weights[i % p.elements % p.channels];
    let row = i / (p.elements / p.rows);
    var product = 0.0;
    if (ONE_BY_ONE) {
        product = sums[i] * w.x * scales[row];
    } else {
        product = sums[i] * (w.x * scales[row]);
    }
    // A 0 that compilers do not know keeps them from multiplying and adding in one, which would round once.
    product = bitcast<f32>(bitcast<u32>(product) ^ run.pad0);
    output[i] = bounded(product + w.y, p.low, p.high);
}
