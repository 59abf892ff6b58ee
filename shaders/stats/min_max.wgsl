// Smallest and largest of a float tensor, as order keys, into a pair of words that lives as long as the session.
// A workgroup strides over the tensor, reduces in its own memory and ends with one atomic a side.
#import shared/run
#import shared/order_key

struct MinMax {
    // Words of one sample; samples lie without gaps.
    words: u32,
    // Which pair.
    index: u32,
}

@group(0) @binding(1) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> keys: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> p: MinMax;

var<workgroup> lowest: array<u32, 256>;
var<workgroup> highest: array<u32, 256>;

// -0 counts as +0, as comparisons of floats have it.
fn key_of(bits: u32) -> u32 {
    return order_key(select(bits, 0u, bits == 0x80000000u));
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let total = run.samples * p.words;
    let stride = groups.x * groups.y * 256u;
    var low = 0xffffffffu;
    var high = 0u;
    for (var i = linear_workgroup(group, groups) * 256u + local; i * 4u < total; i += stride) {
        let v = data[i];
        // Behind the last word lies stale data.
        let last = min(total - i * 4u, 4u) - 1u;
        let a = key_of(v.x);
        let b = select(a, key_of(v.y), last >= 1u);
        let c = select(a, key_of(v.z), last >= 2u);
        let d = select(a, key_of(v.w), last >= 3u);
        low = min(low, min(min(a, b), min(c, d)));
        high = max(high, max(max(a, b), max(c, d)));
    }
    lowest[local] = low;
    highest[local] = high;
    workgroupBarrier();
    for (var step = 128u; step > 0u; step >>= 1u) {
        if (local < step) {
            lowest[local] = min(lowest[local], lowest[local + step]);
            highest[local] = max(highest[local], highest[local + step]);
        }
        workgroupBarrier();
    }
    if (local == 0u) {
        atomicMin(&keys[2u * p.index], lowest[0]);
        atomicMax(&keys[2u * p.index + 1u], highest[0]);
    }
}
