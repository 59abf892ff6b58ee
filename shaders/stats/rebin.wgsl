// Prepares a tensor's histogram for its range, which has just been widened: where the width of the bins grows, old bins
// fall together. One workgroup; counts have 64 bits as two words.
#import shared/run
#import shared/bins
#import shared/range

struct Rebin {
    // Which histogram.
    index: u32,
    // What the range is clamped to, as order keys: the range of a clamp is that of its source.
    lowest: u32,
    highest: u32,
}

@group(0) @binding(1) var<storage, read_write> bins: array<u32>;
@group(0) @binding(2) var<storage, read> p: Rebin;

var<workgroup> old: array<u32, 4096>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) local: u32,
) {
    let base = p.index * BINS_STRIDE;
    // The pairs taken together, in the memory that kernels reduce theirs in.
    if (local == 0u) {
        atomicStore(&range_low, 0xffffffffu);
        atomicStore(&range_high, 0u);
    }
    workgroupBarrier();
    if (local < RANGE_PAIRS) {
        atomicMin(&range_low, atomicLoad(&range_keys[local * RANGE_STRIDE]));
        atomicMax(&range_high, atomicLoad(&range_keys[local * RANGE_STRIDE + 1u]));
    }
    workgroupBarrier();
    let is_finite = is_range(atomicLoad(&range_low), atomicLoad(&range_high));
    let usable = is_finite && linear_workgroup(group, groups) == 0u;
    let low = clamp(atomicLoad(&range_low), p.lowest, p.highest);
    let high = clamp(atomicLoad(&range_high), p.lowest, p.highest);
    let exponent = select(LOWEST_EXPONENT, exponent_of(low, high), usable);
    let before = bins[base];
    let first = bitcast<i32>(bins[base + 1u]);
    for (var i = local; i < 4096u; i += 256u) {
        old[i] = bins[base + BINS_SLOTS + i];
    }
    workgroupBarrier();
    // All of them have read the old state.
    storageBarrier();
    if (!usable) {
        return;
    }
    // 16 doublings leave two bins, as more would.
    let shift = min(select(0u, exponent - before, before != 0u), 16u);
    let lowest = bin(low_end(low), exponent);
    if (shift > 0u) {
        for (var j = local; j < 2048u; j += 256u) {
            let at = lowest + i32(j);
            // The old bins that lie in this one, of those that there were.
            let begin = max(at << shift, first);
            let end = min(((at + 1) << shift) - 1, first + 2047);
            var sum = vec2<u32>(0u);
            for (var b = begin; b <= end; b += 1) {
                let slot = 2u * (u32(b) % 2048u);
                sum.x += old[slot];
                sum.y += old[slot + 1u] + select(0u, 1u, sum.x < old[slot]);
            }
            let slot = base + BINS_SLOTS + 2u * (u32(at) % 2048u);
            bins[slot] = sum.x;
            bins[slot + 1u] = sum.y;
        }
    }
    if (local == 0u) {
        bins[base] = exponent;
        bins[base + 1u] = bitcast<u32>(lowest);
    }
}
