// The bits of a float as an unsigned integer that orders like the float, as order_key of src/kernel/quantize.rs:
// -NaN < -inf < ... < -0 < +0 < ... < inf < NaN.
fn order_key(bits: u32) -> u32 {
    return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}
