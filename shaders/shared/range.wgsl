// The range of what a kernel writes, gathered as it writes: every invocation keeps the order keys of its smallest and
// largest value, a workgroup reduces them and ends with at most two atomics.
//
// RANGE is the binding of the tensor's keys, 0 where no range is wanted: what uses this must stand in `#if RANGE`. Where
// the kernel writes a sum as well (shared/sum), that has a range of its own, whose pairs lie behind.
// SUBGROUPS: the invocations that run in step reduce without memory first.
#import shared/order_key

#if RANGE
// Pairs (smallest, largest) that lie apart, so that workgroups do not queue for one; the host takes them together.
// RANGE_PAIRS and RANGE_STRIDE of src/gpu/ranges.rs.
const RANGE_PAIRS: u32 = 16u;
const RANGE_STRIDE: u32 = 32u;

@group(0) @binding(${RANGE}) var<storage, read_write> range_keys: array<atomic<u32>>;

var<workgroup> range_low: atomic<u32>;
var<workgroup> range_high: atomic<u32>;

var<private> seen_low: u32 = 0xffffffffu;
var<private> seen_high: u32 = 0u;

// Bits of a float. -0 counts as +0, as comparisons of floats have it.
fn see_bits(bits: u32) {
    let key = order_key(select(bits, 0u, bits == 0x80000000u));
    seen_low = min(seen_low, key);
    seen_high = max(seen_high, key);
}

fn see(v: f32) {
    see_bits(bitcast<u32>(v));
}

// Of four channels, the first `count`.
fn see_some(v: vec4<f32>, count: u32) {
    see(v.x);
    if (count > 1u) {
        see(v.y);
    }
    if (count > 2u) {
        see(v.z);
    }
    if (count > 3u) {
        see(v.w);
    }
}

#if SUM
var<private> seen_sum_low: u32 = 0xffffffffu;
var<private> seen_sum_high: u32 = 0u;

fn see_sum(v: f32) {
    let bits = bitcast<u32>(v);
    let key = order_key(select(bits, 0u, bits == 0x80000000u));
    seen_sum_low = min(seen_sum_low, key);
    seen_sum_high = max(seen_sum_high, key);
}

fn see_sum_4(v: vec4<f32>) {
    see_sum(v.x);
    see_sum(v.y);
    see_sum(v.z);
    see_sum(v.w);
}
#end

// Ends the kernel; all invocations of a workgroup must come here.
fn publish(local: u32, workgroup: u32) {
    reduce_keys(local, workgroup % RANGE_PAIRS * RANGE_STRIDE, seen_low, seen_high);
#if SUM
    // The first invocation has read what it now resets; the others write behind the barrier.
    reduce_keys(local, (RANGE_PAIRS + workgroup % RANGE_PAIRS) * RANGE_STRIDE, seen_sum_low, seen_sum_high);
#end
}

// The smallest and the largest key of a workgroup, into the pair at a place.
fn reduce_keys(local: u32, at: u32, own_low: u32, own_high: u32) {
    if (local == 0u) {
        atomicStore(&range_low, 0xffffffffu);
        atomicStore(&range_high, 0u);
    }
    workgroupBarrier();
#if SUBGROUPS
    let low = subgroupMin(own_low);
    let high = subgroupMax(own_high);
    if (subgroupBroadcastFirst(local) == local) {
        atomicMin(&range_low, low);
        atomicMax(&range_high, high);
    }
#end
#if NO_SUBGROUPS
    atomicMin(&range_low, own_low);
    atomicMax(&range_high, own_high);
#end
    workgroupBarrier();
    if (local == 0u) {
        // Ranges seldom grow: to look is cheaper than to write.
        let low = atomicLoad(&range_low);
        if (low < atomicLoad(&range_keys[at])) {
            atomicMin(&range_keys[at], low);
        }
        let high = atomicLoad(&range_high);
        if (high > atomicLoad(&range_keys[at + 1u])) {
            atomicMax(&range_keys[at + 1u], high);
        }
    }
}
#end
