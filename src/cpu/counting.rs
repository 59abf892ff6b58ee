//! The counting of values in tables: what a histogram costs.
//!
//! A processor stores once a cycle, so a value costs a cycle at least. It counts into two tables in turns, so that a value
//! that repeats does not wait for its own last count. Where the processor can (AVX-512 with VBMI2), zeros never come to be
//! counted, which are often a third of a tensor, and the bins of a block are computed while those of the block before are
//! counted.

use super::statistics::slot;
use crate::kernel::Range;
use crate::num::histogram::{BINS, power_of_two};

/// Tables that are counted into in turns.
const TABLES: usize = 2;
/// Values whose bins are computed before they are counted.
const BLOCK: usize = 256;
/// Where the portable code counts zeros, behind the bins: in so many places in turns, since in one each would wait for the
/// one before.
const ZEROS: usize = 16;
/// Places of a table: as many as 16 bits can name, so that none is checked. Only those of bins and zeros are touched.
const PLACES: usize = 1 << 16;

/// Room for counting, one for each chunk in work; empty until something is counted.
#[derive(Default)]
pub(super) struct Tables(Vec<[u32; PLACES]>);

impl Tables {
    /// Counts fewer than 2³² values by their slot at a width of 2^exponent. Returns their range, with NaN or infinite ends
    /// if any is, and how many are 0 or −0. What does not fit is counted somewhere.
    pub fn count(&mut self, values: &[f32], exponent: i32) -> (Range, u32) {
        if self.0.is_empty() {
            self.0 = vec![[0; PLACES]; TABLES];
        }
        let [a, b] = &mut self.0[..] else {
            unreachable!("there are {TABLES} of them")
        };
        #[cfg(target_arch = "x86_64")]
        if avx512::available() {
            // Safety: the processor has the features that `count` is compiled for.
            #[allow(unsafe_code)]
            return unsafe { avx512::count(values, exponent, a, b) };
        }
        count(values, power_of_two(-exponent), a, b)
    }

    /// The counts of all slots.
    pub fn sums(&self) -> [u32; BINS] {
        let mut sums = [0; BINS];
        for table in &self.0 {
            add(table, &mut sums);
        }
        sums
    }

    /// Adds the counts of all slots and clears them, in one go.
    pub fn move_to(&mut self, slots: &mut [u64]) {
        if let [a, b] = &mut self.0[..] {
            move_to(a, b, slots);
        }
    }

    pub fn clear(&mut self) {
        let tables = self.0.iter_mut();
        tables.for_each(|table| table[..BINS].fill(0));
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn add(table: &[u32; PLACES], sums: &mut [u32; BINS]) {
    for (sum, &n) in sums.iter_mut().zip(table) {
        *sum += n;
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn move_to(a: &mut [u32; PLACES], b: &mut [u32; PLACES], slots: &mut [u64]) {
    let both = a[..BINS].iter_mut().zip(&mut b[..BINS]);
    for (slot, (a, b)) in slots.iter_mut().zip(both) {
        *slot += u64::from(*a) + u64::from(*b);
        (*a, *b) = (0, 0);
    }
}

/// [`Tables::count`] on any processor; `scale` is the inverse of the width.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn count(values: &[f32], scale: f32, a: &mut [u32; PLACES], b: &mut [u32; PLACES]) -> (Range, u32) {
    let mut extremes = Extremes::NONE;
    let mut slots = [0u16; BLOCK];
    let (blocks, rest) = values.as_chunks::<BLOCK>();
    for block in blocks {
        extremes.see(block);
        slots_of(block, scale, &mut slots);
        count_pairs(&slots, a, b);
    }
    extremes.see(rest);
    slots_of(rest, scale, &mut slots);
    for &slot in &slots[..rest.len()] {
        a[usize::from(slot)] += 1;
    }
    let behind = |table: &mut [u32; PLACES]| {
        let zeros = &mut table[BINS..BINS + ZEROS];
        let found = zeros.iter().sum::<u32>();
        zeros.fill(0);
        found
    };
    let zeros = behind(a) + behind(b);
    a[slot(0)] += zeros;
    (extremes.range(), zeros)
}

#[inline(always)]
fn count_pairs(slots: &[u16], a: &mut [u32; PLACES], b: &mut [u32; PLACES]) {
    for two in slots.as_chunks::<TABLES>().0 {
        a[usize::from(two[0])] += 1;
        b[usize::from(two[1])] += 1;
    }
}

/// The slots of up to a block of values: `num::histogram::bin` in arithmetic that vectorises, and the places of zeros. A
/// conversion to integers would check for NaN and overflow, four times as slow; there is neither here.
#[inline(always)]
fn slots_of(values: &[f32], scale: f32, slots: &mut [u16; BLOCK]) {
    for (i, (slot, &x)) in slots.iter_mut().zip(values).enumerate() {
        let magnitude = x.abs() * scale;
        let nearest = magnitude + INTEGERS;
        let above = u32::from(nearest - INTEGERS > magnitude);
        let whole = nearest.to_bits().wrapping_sub(above);
        let negative = 0u32.wrapping_sub(u32::from(x.to_bits() > 1 << 31));
        let bin = (whole ^ negative) % BINS as u32;
        let zero = BINS as u32 + (i % ZEROS) as u32;
        *slot = if x == 0.0 { zero } else { bin } as u16;
    }
}

/// Adding it leaves an integer in the low bits, for what is below 2¹².
const INTEGERS: f32 = (1 << 23) as f32;

/// Smallest and largest value; NaN anywhere makes both NaN. −0 counts as +0.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
pub(super) fn range_of(values: &[f32]) -> Range {
    let mut extremes = Extremes::NONE;
    extremes.see(values);
    extremes.range()
}

/// Smallest and largest numbers, and whether anything was not finite, side by side.
struct Extremes {
    low: [f32; Extremes::LANES],
    high: [f32; Extremes::LANES],
    /// NaN and infinities stay; anything finite adds 0.
    poison: [f32; Extremes::LANES],
}

impl Extremes {
    const LANES: usize = 64;
    const NONE: Extremes = Extremes {
        low: [f32::INFINITY; Extremes::LANES],
        high: [f32::NEG_INFINITY; Extremes::LANES],
        poison: [0.0; Extremes::LANES],
    };

    #[inline(always)]
    fn see(&mut self, values: &[f32]) {
        let mut see = |lane: usize, x: f32| {
            let (low, high) = (&mut self.low[lane], &mut self.high[lane]);
            *low = if x < *low { x } else { *low };
            *high = if x > *high { x } else { *high };
            self.poison[lane] += x * 0.0;
        };
        let (chunks, rest) = values.as_chunks::<{ Extremes::LANES }>();
        for chunk in chunks {
            for (lane, &x) in chunk.iter().enumerate() {
                see(lane, x);
            }
        }
        rest.iter().enumerate().for_each(|(lane, &x)| see(lane, x));
    }

    fn range(&self) -> Range {
        let each = self.low.iter().zip(&self.high);
        let range = each.fold(Range::EMPTY, |range, (&min, &max)| {
            range.merge(Range { min, max })
        });
        let infinite = range.min == f32::NEG_INFINITY || range.max == f32::INFINITY;
        let poison = self.poison.iter().any(|p| p.is_nan());
        let range = match poison && !infinite {
            true => Range {
                min: f32::NAN,
                max: f32::NAN,
            },
            false => range,
        };
        Range {
            min: range.min + 0.0,
            max: range.max + 0.0,
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{
        BINS, BLOCK, Extremes, INTEGERS, PLACES, Range, ZEROS, count_pairs, power_of_two, slot,
    };
    use crate::num::histogram::bin;
    use std::arch::x86_64::{
        __m256i, __m512, __m512i, _CMP_LT_OQ, _CMP_NEQ_UQ, _MM_FROUND_NO_EXC,
        _MM_FROUND_TO_NEG_INF, _mm512_abs_ps, _mm512_add_round_ps, _mm512_and_si512,
        _mm512_castps_si512, _mm512_cmp_ps_mask, _mm512_cvtepi32_epi16, _mm512_fmadd_ps,
        _mm512_mask_xor_epi32, _mm512_maskz_compress_epi16, _mm512_max_ps, _mm512_min_ps,
        _mm512_mul_ps, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
    };

    /// Values whose slots fill a vector.
    const GROUP: usize = 32;
    /// Slots of the values of a block that are not 0, and room for a group more, which is written whole.
    type Slots = [u16; BLOCK + GROUP];
    /// A place that nobody reads.
    const NOWHERE: u16 = (BINS + ZEROS) as u16;

    pub fn available() -> bool {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("popcnt")
    }

    /// See [`super::count`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
    pub fn count(
        values: &[f32],
        exponent: i32,
        a: &mut [u32; PLACES],
        b: &mut [u32; PLACES],
    ) -> (Range, u32) {
        let scale = power_of_two(-exponent);
        let (blocks, rest) = values.as_chunks::<BLOCK>();
        let mut seen = Seen::new();
        let mut zeros = 0;
        let (mut one, mut other): (Slots, Slots) = ([0; _], [0; _]);
        let (mut now, mut before) = (&mut one, &mut other);
        // Slots of the block before that are still to be counted, with `NOWHERE` behind them.
        let mut waiting = 0usize;
        for block in blocks {
            let groups = block.as_chunks::<GROUP>().0;
            // As many a group, so that the processor foresees where the loop ends.
            let share = waiting.div_ceil(GROUP) * (GROUP / groups.len());
            let mut found = 0;
            for (i, group) in groups.iter().enumerate() {
                found += slots_of(group, scale, &mut seen, &mut now[found..]);
                count_pairs(&before[i * share..][..share], a, b);
            }
            now[found..][..GROUP].fill(NOWHERE);
            zeros += (BLOCK - found) as u32;
            waiting = found;
            std::mem::swap(&mut now, &mut before);
        }
        count_pairs(&before[..waiting.next_multiple_of(2)], a, b);
        let mut extremes = seen.extremes();
        extremes.see(rest);
        for &x in rest {
            match x == 0.0 {
                true => zeros += 1,
                false => a[slot(bin(x, exponent))] += 1,
            }
        }
        a[slot(0)] += zeros;
        (extremes.range(), zeros)
    }

    /// [`Extremes`] in registers.
    struct Seen {
        low: __m512,
        high: __m512,
        poison: __m512,
    }

    impl Seen {
        #[target_feature(enable = "avx512f")]
        fn new() -> Seen {
            Seen {
                low: _mm512_set1_ps(f32::INFINITY),
                high: _mm512_set1_ps(f32::NEG_INFINITY),
                poison: _mm512_setzero_ps(),
            }
        }

        fn extremes(&self) -> Extremes {
            let mut all = Extremes::NONE;
            let parts = [
                (&mut all.low, self.low),
                (&mut all.high, self.high),
                (&mut all.poison, self.poison),
            ];
            for (to, from) in parts {
                to[..16].copy_from_slice(&bytemuck::cast::<_, [f32; 16]>(from));
            }
            all
        }
    }

    /// Writes the slots of the values that are not 0, and returns how many they are; behind them it writes anything.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
    #[inline]
    fn slots_of(values: &[f32; GROUP], scale: f32, seen: &mut Seen, slots: &mut [u16]) -> usize {
        let zero = _mm512_setzero_ps();
        let mut kept = 0u32;
        let mut halves: [__m256i; 2] = bytemuck::cast([0u16; GROUP]);
        for (i, half) in values.as_chunks::<16>().0.iter().enumerate() {
            let x: __m512 = bytemuck::cast(*half);
            seen.low = _mm512_min_ps(x, seen.low);
            seen.high = _mm512_max_ps(x, seen.high);
            seen.poison = _mm512_fmadd_ps(x, zero, seen.poison);
            let magnitude = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(scale));
            let whole = _mm512_add_round_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(
                magnitude,
                _mm512_set1_ps(INTEGERS),
            );
            let whole = _mm512_castps_si512(whole);
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, zero);
            let bin = _mm512_mask_xor_epi32(whole, negative, whole, _mm512_set1_epi32(-1));
            halves[i] = _mm512_cvtepi32_epi16(bin);
            kept |= u32::from(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, zero)) << (16 * i);
        }
        let all: __m512i = bytemuck::cast(halves);
        let all = _mm512_and_si512(all, _mm512_set1_epi16(BINS as i16 - 1));
        let all: [u16; GROUP] = bytemuck::cast(_mm512_maskz_compress_epi16(kept, all));
        slots[..GROUP].copy_from_slice(&all);
        kept.count_ones() as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::histogram::{bin, exponent_of};
    use proptest::prelude::*;

    proptest! {
        /// The portable code and what the processor has, on values of which some are 0, in any number.
        #[test]
        fn all_ways_count_what_the_definition_says(
            seed in prop::collection::vec(prop_oneof![3 => -3.0f32..3.0, 2 => Just(0.0f32), 1 => Just(-0.0f32)], 1..300),
            n in 0usize..3000,
        ) {
            let values: Vec<f32> = (0..n).map(|i| seed[i % seed.len()] * (i % 89) as f32).collect();
            let range = range_of(&values);
            let exponent = exponent_of(range.merge(Range { min: 0.0, max: 0.0 }));
            let mut expected = [0u32; BINS];
            values.iter().for_each(|&x| expected[slot(bin(x, exponent))] += 1);
            let zeros = values.iter().filter(|&&x| x == 0.0).count() as u32;

            let mut tables = Tables::default();
            for _ in 0..2 {
                prop_assert_eq!(tables.count(&values, exponent), (range, zeros));
                prop_assert_eq!(tables.sums(), expected);
                tables.clear();
            }
            let [a, b] = &mut tables.0[..] else { unreachable!() };
            prop_assert_eq!(count(&values, power_of_two(-exponent), a, b), (range, zeros));
            prop_assert_eq!(tables.sums(), expected);
        }
    }

    #[test]
    fn what_is_not_finite_is_seen_wherever_it_stands() {
        for n in [5, 256, 700] {
            for at in [0, n / 2, n - 1] {
                let mut values = vec![1.0f32; n];
                let mut ends = |x: f32| {
                    values[at] = x;
                    let mut tables = Tables::default();
                    let (seen, _) = tables.count(&values, 0);
                    let plain = range_of(&values);
                    assert_eq!(seen.min.to_bits(), plain.min.to_bits());
                    assert_eq!(seen.max.to_bits(), plain.max.to_bits());
                    seen
                };
                assert!(ends(f32::NAN).min.is_nan());
                assert_eq!(ends(f32::INFINITY).max, f32::INFINITY);
                assert_eq!(ends(f32::NEG_INFINITY).min, f32::NEG_INFINITY);
            }
        }
    }

    #[test]
    fn ranges_see_everything() {
        let v: Vec<f32> = (0..1000)
            .map(|i| ((i * 37) % 1000) as f32 - 300.0)
            .collect();
        let (min, max) = (-300.0, 699.0);
        assert_eq!(range_of(&v), Range { min, max });
        assert_eq!(range_of(&[-0.0]).min.to_bits(), 0);
        assert!(range_of(&[1.0, f32::NAN, 2.0]).min.is_nan());
        assert_eq!(range_of(&[1.0, f32::INFINITY]).max, f32::INFINITY);
        assert_eq!(range_of(&[]), Range::EMPTY);
    }
}
