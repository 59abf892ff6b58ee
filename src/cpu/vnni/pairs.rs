//! ADD, SUB and MUL of int8 operands of one shape, sixteen elements at a time.

use super::scale::{Channel, LANES, Scale, start};
use crate::kernel::{AddI8, LEFT_SHIFT, ProductI8};
use std::arch::x86_64::{
    __m128i, __m512i, _mm_max_epi8, _mm_min_epi8, _mm_set1_epi8, _mm512_add_epi32,
    _mm512_and_si512, _mm512_cvtepi8_epi32, _mm512_cvtsepi32_epi8, _mm512_madd_epi16,
    _mm512_set1_epi32, _mm512_slli_epi32, _mm512_sub_epi32,
};

/// What becomes of every pair.
#[derive(Debug)]
pub enum Pairs {
    /// Sums or differences.
    Sums(Box<Sum>),
    /// Products.
    Products(Box<Product>),
}

/// Both operands on the common scale, added, and brought to the output.
#[derive(Debug)]
pub struct Sum {
    subtract: bool,
    zero_points: [i32; 2],
    inputs: [Scale; 2],
    output: Scale,
    bounds: (i8, i8),
}

/// The product, brought to the output.
#[derive(Debug)]
pub struct Product {
    zero_points: [i32; 2],
    output: Scale,
    bounds: (i8, i8),
}

impl Pairs {
    /// `None` if a multiplier is outside of what [`Scale`] can do.
    pub fn sums(k: &AddI8) -> Option<Pairs> {
        let mut ends = [(0, 0); 2];
        let mut inputs = [Scale::default(); 2];
        for i in 0..2 {
            let (multiplier, zero) = (k.input_multipliers[i], k.input_zero_points[i]);
            let (low, high) = ((-128 - zero) << LEFT_SHIFT, (127 - zero) << LEFT_SHIFT);
            inputs[i] = uniform(Channel {
                multiplier,
                range: (low.into(), high.into()),
                zero_point: 0,
            })?;
            ends[i] = (multiplier.apply(low).into(), multiplier.apply(high).into());
        }
        let [a, b]: [(i64, i64); 2] = ends;
        Some(Pairs::Sums(Box::new(Sum {
            subtract: k.subtract,
            zero_points: k.input_zero_points,
            inputs,
            output: uniform(Channel {
                multiplier: k.output_multiplier,
                range: match k.subtract {
                    true => (a.0 - b.1, a.1 - b.0),
                    false => (a.0 + b.0, a.1 + b.1),
                },
                zero_point: k.output_zero_point,
            })?,
            bounds: (k.bounds.0 as i8, k.bounds.1 as i8),
        })))
    }

    /// `None` if the multiplier is outside of what [`Scale`] can do, or a zero point is no int8.
    pub fn products(k: &ProductI8) -> Option<Pairs> {
        let [a, b] = k.input_zero_points;
        if [a, b].iter().any(|z| !(-128..128).contains(z)) {
            return None;
        }
        let corners = [-128, 127].map(|x| [-128, 127].map(|y| i64::from((x - a) * (y - b))));
        let corners = corners.as_flattened();
        let ends = corners.iter().min().zip(corners.iter().max());
        let (&low, &high) = ends.expect("there are four");
        Some(Pairs::Products(Box::new(Product {
            zero_points: [a, b],
            output: uniform(Channel {
                multiplier: k.multiplier,
                range: (low, high),
                zero_point: k.output_zero_point,
            })?,
            bounds: (k.bounds.0 as i8, k.bounds.1 as i8),
        })))
    }

    /// The results of as many pairs as `y` has.
    pub fn run(&self, x: [&[i8]; 2], y: &mut [i8]) {
        // SAFETY: these are only made where `available` found the features that `vectors` needs.
        #[allow(unsafe_code)]
        unsafe {
            self.vectors(x, y);
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn vectors(&self, x: [&[i8]; 2], y: &mut [i8]) {
        match self {
            Pairs::Sums(sum) => each(x, y, sum.bounds, |a, b| sum.apply(a, b)),
            Pairs::Products(product) => each(x, y, product.bounds, |a, b| product.apply(a, b)),
        }
    }
}

/// The same for all lanes.
fn uniform(channel: Channel) -> Option<Scale> {
    Scale::new(&[channel; LANES])
}

impl Sum {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn apply(&self, a: __m512i, b: __m512i) -> __m512i {
        let (a, b) = (self.input(a, 0), self.input(b, 1));
        let sum = match self.subtract {
            true => _mm512_sub_epi32(a, b),
            false => _mm512_add_epi32(a, b),
        };
        let sum = _mm512_add_epi32(sum, _mm512_set1_epi32(start(0)));
        self.output.apply(sum)
    }

    /// On the common scale.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn input(&self, x: __m512i, i: usize) -> __m512i {
        let zero = start(-(self.zero_points[i] << LEFT_SHIFT));
        let x = _mm512_slli_epi32::<LEFT_SHIFT>(x);
        self.inputs[i].apply(_mm512_add_epi32(x, _mm512_set1_epi32(zero)))
    }
}

impl Product {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn apply(&self, a: __m512i, b: __m512i) -> __m512i {
        let a = _mm512_sub_epi32(a, _mm512_set1_epi32(self.zero_points[0]));
        let b = _mm512_sub_epi32(b, _mm512_set1_epi32(self.zero_points[1]));
        // The low halves hold both numbers, and the high ones their signs, so their products, 0 or 1, must go.
        let low = _mm512_set1_epi32(0xffff);
        let product = _mm512_madd_epi16(a, _mm512_and_si512(b, low));
        self.output
            .apply(_mm512_add_epi32(product, _mm512_set1_epi32(start(0))))
    }
}

/// Widens, computes, narrows and clamps.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn each(
    [a, b]: [&[i8]; 2],
    y: &mut [i8],
    bounds: (i8, i8),
    f: impl Fn(__m512i, __m512i) -> __m512i,
) {
    let (low, high) = (_mm_set1_epi8(bounds.0), _mm_set1_epi8(bounds.1));
    let of = |a: [i8; LANES], b: [i8; LANES]| {
        let wide = |x: [i8; LANES]| _mm512_cvtepi8_epi32(bytemuck::cast(x));
        let bytes = _mm512_cvtsepi32_epi8(f(wide(a), wide(b)));
        let bytes: __m128i = _mm_min_epi8(_mm_max_epi8(bytes, low), high);
        bytemuck::cast::<_, [i8; LANES]>(bytes)
    };
    let n = y.len();
    let (to, rest) = y.as_chunks_mut::<LANES>();
    let vectors = a[..n].as_chunks().0.iter().zip(b[..n].as_chunks().0);
    for (to, (&a, &b)) in to.iter_mut().zip(vectors) {
        *to = of(a, b);
    }
    if !rest.is_empty() {
        let from = n - rest.len();
        let last = |x: &[i8]| {
            let mut lanes = [0; LANES];
            lanes[..n - from].copy_from_slice(&x[from..n]);
            lanes
        };
        rest.copy_from_slice(&of(last(a), last(b))[..n - from]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Broadcast;
    use crate::num::Multiplier;
    use proptest::prelude::*;

    /// All pairs of bytes, and one more, so that vectors have a rest.
    fn all() -> (Vec<i8>, Vec<i8>) {
        let pairs = (0..=256u32 * 256).map(|i| ((i >> 8) as i8, i as i8));
        pairs.unzip()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn sums_are_those_of_the_definition(
            scales in prop::array::uniform2(1e-4f64..1.0),
            output in 1e-4f64..2.0,
            zeros in prop::array::uniform3(-128i32..128),
            bounds in (-128i32..127).prop_flat_map(|low| (Just(low), low..128)),
            subtract: bool,
        ) {
            if !super::super::available() {
                return Ok(());
            }
            let twice = 2.0 * scales[0].max(scales[1]);
            let k = AddI8 {
                shape: Broadcast::same(1),
                subtract,
                input_zero_points: [zeros[0], zeros[1]],
                input_multipliers: scales.map(|s| Multiplier::new(s / twice).unwrap()),
                output_multiplier: Multiplier::new(twice / (f64::from(1 << LEFT_SHIFT) * output)).unwrap(),
                output_zero_point: zeros[2],
                bounds,
            };
            let Some(pairs) = Pairs::sums(&k) else {
                // Only where the output's scale is that much larger.
                prop_assert!(k.output_multiplier.shift <= -23);
                return Ok(());
            };
            let (a, b) = all();
            let mut y = vec![0; a.len()];
            pairs.run([&a, &b], &mut y);
            let expected: Vec<i8> = a.iter().zip(&b).map(|(&a, &b)| crate::cpu::add::one(&k, a, b)).collect();
            prop_assert_eq!(y, expected);
        }

        #[test]
        fn products_are_those_of_the_definition(
            ratio in prop_oneof![1e-5f64..1.0, 1.0f64..300.0],
            zeros in prop::array::uniform3(-128i32..128),
            bounds in (-128i32..127).prop_flat_map(|low| (Just(low), low..128)),
        ) {
            if !super::super::available() {
                return Ok(());
            }
            let k = ProductI8 {
                input_zero_points: [zeros[0], zeros[1]],
                multiplier: Multiplier::new(ratio).unwrap(),
                output_zero_point: zeros[2],
                bounds,
            };
            let pairs = Pairs::products(&k).expect("its numbers are small");
            let (a, b) = all();
            let mut y = vec![0; a.len()];
            pairs.run([&a, &b], &mut y);
            let expected: Vec<i8> = a.iter().zip(&b).map(|(&a, &b)| k.apply(a.into(), b.into()) as i8).collect();
            prop_assert_eq!(y, expected);
        }
    }
}
