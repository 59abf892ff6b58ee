// Counts the values of a float tensor in its histogram, whose width fits already (stats/rebin). Floor: the tensor is
// read once; a workgroup counts in its own memory and adds what it has, at most 2048 bins.
#import shared/run
#import shared/bins

struct Histogram {
    // Words of one sample; samples lie without gaps.
    words: u32,
    // Which histogram.
    index: u32,
}

@group(0) @binding(1) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> bins: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> p: Histogram;

var<workgroup> counts: array<atomic<u32>, 2048>;

fn count(bits: u32, exponent: u32) {
    // -0 and numbers that are not finite (the run ends with an error then) must only stay within bounds.
    let is_zero = bits == 0x80000000u;
    let slot = u32(bin(select(bits, 0u, is_zero), exponent)) % 2048u;
    atomicAdd(&counts[slot], 1u);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let base = p.index * BINS_STRIDE;
    for (var i = local; i < 2048u; i += 256u) {
        atomicStore(&counts[i], 0u);
    }
    let exponent = atomicLoad(&bins[base]);
    workgroupBarrier();
    let total = run.samples * p.words;
    let stride = groups.x * groups.y * 256u;
    for (var i = linear_workgroup(group, groups) * 256u + local; i * 4u < total; i += stride) {
        let v = data[i];
        // Behind the last word lies stale data.
        let last = min(total - i * 4u, 4u);
        count(v.x, exponent);
        if (last > 1u) {
            count(v.y, exponent);
        }
        if (last > 2u) {
            count(v.z, exponent);
        }
        if (last > 3u) {
            count(v.w, exponent);
        }
    }
    workgroupBarrier();
    for (var i = local; i < 2048u; i += 256u) {
        let n = atomicLoad(&counts[i]);
        if (n > 0u) {
            let at = base + 2u + 2u * i;
            let before = atomicAdd(&bins[at], n);
            if (before + n < n) {
                atomicAdd(&bins[at + 1u], 1u);
            }
        }
    }
}
