// Counts the values of a float tensor in its histogram, whose width fits already (stats/rebin). Floor: the tensor is
// read once; a workgroup counts in its own memory and adds what it has, at most 2048 bins. Zeros are counted apart: in a
// register, then once a workgroup.
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
var<workgroup> zeros: atomic<u32>;
// Those that this invocation has seen.
var<private> own_zeros: u32;

fn count(bits: u32, exponent: u32) {
    // -0 and numbers that are not finite (the run ends with an error then) must only stay within bounds.
    let is_zero = bits == 0x80000000u;
    let slot = u32(bin(select(bits, 0u, is_zero), exponent)) % 2048u;
    own_zeros += select(0u, 1u, (bits & 0x7fffffffu) == 0u);
    atomicAdd(&counts[slot], 1u);
}

// Adds to a count of two words.
fn add(at: u32, n: u32) {
    if (n == 0u) {
        return;
    }
    let before = atomicAdd(&bins[at], n);
    if (before + n < n) {
        atomicAdd(&bins[at + 1u], 1u);
    }
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
    if (local == 0u) {
        atomicStore(&zeros, 0u);
    }
    own_zeros = 0u;
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
    if (own_zeros > 0u) {
        atomicAdd(&zeros, own_zeros);
    }
    workgroupBarrier();
    for (var i = local; i < 2048u; i += 256u) {
        add(base + BINS_SLOTS + 2u * i, atomicLoad(&counts[i]));
    }
    if (local == 0u) {
        add(base + BINS_ZEROS, atomicLoad(&zeros));
    }
}
