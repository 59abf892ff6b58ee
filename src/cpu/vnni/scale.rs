//! Sixteen accumulators at once to their outputs, in nine instructions.
//!
//! With accumulator x, mantissa m and right shift s, the definition (`num::fixed`) is
//! h = ⌊(x·m + 2³⁰) / 2³¹⌋, then (h + half − [h < 0]) >> s with half = 2^(s−1), then + zero point. Here x arrives as
//! u = x + 2³¹, which is not negative, so that one unsigned product u·2m and one constant give h and all that is added to
//! it in the upper half of 64 bits:
//! h + half + (zero point << s) = (u·2m + 2³¹ − 2³¹·2m + (half + (zero point << s))·2³²) >> 32.
//! It is below its own constant part where h is negative. Channels whose ratio is 1 or more shift x to the left before.

use crate::num::{Multiplier, Rounding};
use std::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_cmplt_epi32_mask,
    _mm512_mask_add_epi32, _mm512_mask_movehdup_ps, _mm512_mul_epu32, _mm512_set1_epi32,
    _mm512_sllv_epi32, _mm512_srav_epi32, _mm512_srli_epi64, _mm512_xor_si512,
};

/// Accumulators of one vector.
pub const LANES: usize = 16;

/// What one output channel does to its accumulators.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    /// To the output's scale.
    pub multiplier: Multiplier,
    /// Between which all accumulators lie.
    pub range: (i64, i64),
    /// Of the output.
    pub zero_point: i32,
}

/// Constants of sixteen channels; see the module.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct Scale {
    /// 2m of channels 0, 2, ….
    even: [u64; 8],
    /// 2m of channels 1, 3, ….
    odd: [u64; 8],
    /// What is added to the products of the even channels.
    add_even: [u64; 8],
    /// What is added to the products of the odd ones.
    add_odd: [u64; 8],
    /// Below it, h is negative; the smallest number where s is 0 and the sign does not matter.
    negative: [i32; LANES],
    shift: [i32; LANES],
    /// How far accumulators go to the left before, and whether any does.
    left: [i32; LANES],
    any_left: bool,
}

impl Scale {
    /// The constants of up to sixteen channels; `None` if one is outside of what this arithmetic can do.
    pub fn new(channels: &[Channel]) -> Option<Scale> {
        let mut scale = Scale::default();
        for (i, &channel) in channels.iter().enumerate() {
            let lane = Lane::new(channel)?;
            let (factor, add) = if i % 2 == 0 {
                (&mut scale.even, &mut scale.add_even)
            } else {
                (&mut scale.odd, &mut scale.add_odd)
            };
            factor[i / 2] = lane.factor;
            add[i / 2] = lane.add;
            scale.negative[i] = lane.negative;
            scale.shift[i] = lane.shift;
            scale.left[i] = lane.left;
            scale.any_left |= lane.left > 0;
        }
        Some(scale)
    }

    /// The outputs, not yet clamped, of accumulators to which [`start`] was added.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    pub fn apply(&self, u: __m512i) -> __m512i {
        let u = match self.any_left {
            true => {
                let minimum = _mm512_set1_epi32(start(0));
                let x = _mm512_xor_si512(u, minimum);
                _mm512_xor_si512(_mm512_sllv_epi32(x, bytemuck::cast(self.left)), minimum)
            }
            false => u,
        };
        let odd = _mm512_srli_epi64::<32>(u);
        let even = _mm512_mul_epu32(u, bytemuck::cast(self.even));
        let even = _mm512_add_epi64(even, bytemuck::cast(self.add_even));
        let odd = _mm512_mul_epu32(odd, bytemuck::cast(self.odd));
        let odd = _mm512_add_epi64(odd, bytemuck::cast(self.add_odd));
        // The upper halves of the even products beside those of the odd ones.
        let (even, odd) = (_mm512_castsi512_ps(even), _mm512_castsi512_ps(odd));
        let h = _mm512_castps_si512(_mm512_mask_movehdup_ps(odd, 0x5555, even));
        let negative = _mm512_cmplt_epi32_mask(h, bytemuck::cast(self.negative));
        let h = _mm512_mask_add_epi32(h, negative, h, _mm512_set1_epi32(-1));
        _mm512_srav_epi32(h, bytemuck::cast(self.shift))
    }
}

/// What to start a sum with so that [`Scale::apply`] can take it.
pub fn start(x: i32) -> i32 {
    x.wrapping_add(i32::MIN)
}

/// The constants of one channel.
struct Lane {
    factor: u64,
    add: u64,
    negative: i32,
    shift: i32,
    left: i32,
}

impl Lane {
    fn new(channel: Channel) -> Option<Lane> {
        let Channel {
            multiplier,
            range: (low, high),
            zero_point,
        } = channel;
        let [Ok(lowest), Ok(highest)] = [low, high].map(i32::try_from) else {
            return None;
        };
        // The multiplier is monotone: dead channels, whose shift may be large, have one output.
        let only = multiplier.apply(lowest);
        if only == multiplier.apply(highest) {
            return Some(Lane {
                factor: 0,
                add: (i64::from(only.checked_add(zero_point)?) << 32) as u64,
                negative: i32::MIN,
                shift: 0,
                left: 0,
            });
        }
        if multiplier.rounding != Rounding::Double {
            return None;
        }
        let (left, shift) = (multiplier.shift.max(0), (-multiplier.shift).max(0));
        let half = if shift > 0 { 1i64 << (shift - 1) } else { 0 };
        let factor = 2 * multiplier.mantissa as u64;
        let added = half + (i64::from(zero_point) << shift);
        // h is no larger than x where that is shifted, and its sum must stay within 32 bits.
        let largest = low.abs().max(high.abs());
        if largest >= 1 << (31 - left) || (largest << left) + added.abs() >= 1 << 31 {
            return None;
        }
        Some(Lane {
            factor,
            add: ((added << 32) as u64)
                .wrapping_add(1 << 31)
                .wrapping_sub(factor << 31),
            negative: if shift > 0 { added as i32 } else { i32::MIN },
            shift,
            left,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::arch::x86_64::_mm512_add_epi32;

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn apply(scale: &Scale, acc: [i32; LANES]) -> [i32; LANES] {
        let minimum = _mm512_set1_epi32(start(0));
        bytemuck::cast(scale.apply(_mm512_add_epi32(bytemuck::cast(acc), minimum)))
    }

    proptest! {
        #[test]
        fn is_what_the_multiplier_does(
            acc in prop::array::uniform16(prop_oneof![
                any::<i32>(), -(1i32 << 30) + 1..1 << 30, -70_000i32..70_000, -4i32..4, (-40i32..40).prop_map(|i| i * (1 << 20)),
            ]),
            real in prop::array::uniform16(prop_oneof![
                1e-6f64..0.999, 1e-12f64..1e-6, 1.0f64..1000.0, Just(0.0), Just(0.5), Just(0.75), Just(0.25), Just(1.0),
            ]),
            zero_point in -128i32..128,
        ) {
            if !crate::cpu::vnni::available() {
                return Ok(());
            }
            let multipliers = real.map(|r| Multiplier::new(r).unwrap());
            let channels: Vec<Channel> = multipliers.iter().zip(acc).map(|(&multiplier, x)| Channel {
                multiplier,
                range: (-i64::from(x).abs(), i64::from(x).abs()),
                zero_point,
            }).collect();
            let Some(scale) = Scale::new(&channels) else {
                // Only what is large, or has a zero point that is, once shifted.
                let large = |c: &Channel| c.range.1 << c.multiplier.shift.max(0) > 1 << 30;
                prop_assert!(channels.iter().any(|c| c.multiplier.shift <= -23 || large(c)));
                return Ok(());
            };
            // SAFETY: the processor has the features, as was just seen.
            #[allow(unsafe_code)]
            let scaled = unsafe { apply(&scale, acc) };
            let expected = std::array::from_fn(|i| multipliers[i].apply(acc[i]) + zero_point);
            prop_assert_eq!(scaled, expected);
        }
    }
}
