// Bins of histograms whose width is a power of two, as src/num/histogram.rs. Exponents are biased by 127, so that they
// are never negative; 0 says that there is no histogram yet.
#import shared/order_key

// Words of one histogram: biased exponent, lowest bin, zeros as two words (low, high), then a count of two words for each
// slot from BINS_SLOTS on.
// Bin b is counted in slot b mod 2048.
const BINS_ZEROS: u32 = 2u;
const BINS_SLOTS: u32 = 4u;
const BINS_STRIDE: u32 = 4u + 2u * 2048u;
const LOWEST_EXPONENT: u32 = 27u;

fn from_order_key(key: u32) -> u32 {
    return select(~key, key & 0x7fffffffu, (key >> 31u) == 1u);
}

// Whether a pair of keys is a range of finite numbers.
fn is_range(low: u32, high: u32) -> bool {
    return low <= high && low > order_key(0xff800000u) && high < order_key(0x7f800000u);
}

// The bin of a finite float by its bits. The magnitude may be flushed to zero, the sign is that of the bits.
fn bin(bits: u32, exponent: u32) -> i32 {
    let inverse_width = bitcast<f32>((254u - exponent) << 23u);
    let magnitude = i32(bitcast<f32>(bits & 0x7fffffffu) * inverse_width);
    return select(magnitude, -1 - magnitude, bits > 0x80000000u);
}

// Bits of the ends of a range that is widened to contain zero.
fn low_end(low: u32) -> u32 {
    return from_order_key(min(low, 0x80000000u));
}

fn high_end(high: u32) -> u32 {
    return from_order_key(max(high, 0x80000000u));
}

// The smallest biased exponent for which 2048 bins reach from end to end.
fn exponent_of(low: u32, high: u32) -> u32 {
    let largest = max(low_end(low) & 0x7fffffffu, high_end(high)) >> 23u;
    var exponent = max(max(largest, 11u) - 11u, LOWEST_EXPONENT);
    // At first a side has less than 4096 bins, so after two doublings both have less than 1024.
    for (var i = 0u; i < 2u; i += 1u) {
        if (bin(high_end(high), exponent) - bin(low_end(low), exponent) >= 2048) {
            exponent += 1u;
        }
    }
    return exponent;
}
