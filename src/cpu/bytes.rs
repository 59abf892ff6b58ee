//! Functions of a byte, by their tables.

/// What each byte becomes; `table` has an entry for each.
pub fn map(table: &[u8], x: &[u8], y: &mut [u8]) {
    let table: &[u8; 256] = table.try_into().expect("kernel::prepare made 256 entries");
    #[cfg(target_arch = "x86_64")]
    if avx512::available() {
        // Safety: the processor has the features that `map` is compiled for.
        #[allow(unsafe_code)]
        return unsafe { avx512::map(table, x, y) };
    }
    one_by_one(table, x, y);
}

fn one_by_one(table: &[u8; 256], x: &[u8], y: &mut [u8]) {
    let pairs = y.iter_mut().zip(x);
    pairs.for_each(|(y, &b)| *y = table[usize::from(b)]);
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512i, _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8,
    };

    pub fn available() -> bool {
        is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi")
    }

    /// See [`super::map`]: each half of the table is two registers, and the highest bit of a byte tells which half.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    pub fn map(table: &[u8; 256], x: &[u8], y: &mut [u8]) {
        let [a, b, c, d]: [__m512i; 4] = bytemuck::cast(*table);
        let (vectors, rest) = x.as_chunks::<64>();
        let (to, to_rest) = y[..x.len()].as_chunks_mut::<64>();
        for (to, &x) in to.iter_mut().zip(vectors) {
            let x: __m512i = bytemuck::cast(x);
            let low = _mm512_permutex2var_epi8(a, x, b);
            let high = _mm512_permutex2var_epi8(c, x, d);
            let y = _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
            *to = bytemuck::cast(y);
        }
        super::one_by_one(table, rest, to_rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_way_reads_the_table(table in prop::collection::vec(any::<u8>(), 256), x in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut y = vec![0; x.len()];
            map(&table, &x, &mut y);
            let expected: Vec<u8> = x.iter().map(|&b| table[usize::from(b)]).collect();
            prop_assert_eq!(&y, &expected);
            one_by_one(table[..].try_into().unwrap(), &x, &mut y);
            prop_assert_eq!(&y, &expected);
        }
    }
}
