//! Sums and counts of errors, sample by sample.
//!
//! Channels are the last dimension. Sums run over *periods*: as many pixels as make at least [`LANES`] values, so that loops
//! vectorise whatever the number of channels. They are f32 over a few periods and then added in f64, in an order that depends
//! on nothing but the shape.

use super::operands::Operands;
use crate::kernel::Distance;
use crate::kernel::distance::{counts, sums};
use crate::num::{Affine, Values};

/// Least values of a period.
const LANES: usize = 64;
/// Periods that are summed in f32.
const PERIODS: usize = 32;
/// Values whose errors are computed before they are counted.
const BLOCK: usize = 256;
/// Adding it leaves a small integer in the low bits: a conversion would check for NaN and overflow.
const INTEGERS: f32 = (1 << 23) as f32;
/// Tables that are counted into in turns: most errors are within a step, so each would wait for the one before.
const TABLES: usize = 8;

/// The sums of all samples.
pub fn sums(k: &Distance, x: Operands<'_>, y: &mut [f32]) {
    let reference = x.f32s(1);
    let mut work = Work::new(k);
    for (sample, y) in y.chunks_exact_mut(y.len() / x.samples).enumerate() {
        let r = x.sample(1, reference, sample);
        work.start();
        for (i, r) in r.chunks(work.period * PERIODS).enumerate() {
            let at = i * work.period * PERIODS;
            let test = &mut work.test[..r.len()];
            let affine = k.affine.unwrap_or(ONE);
            match x.value(0) {
                Values::F32(v) => {
                    test.copy_from_slice(&part(x, v, sample)[at..][..r.len()]);
                }
                Values::I8(v) => real_i8(&part(x, v, sample)[at..][..r.len()], affine, test),
                Values::I16(v) => real_i16(&part(x, v, sample)[at..][..r.len()], affine, test),
                _ => unreachable!("kernel::prepare checked the types"),
            }
            work.add(r.len(), r);
        }
        work.finish(y);
    }
}

const ONE: Affine = Affine {
    scale: 1.0,
    zero_point: 0,
};

/// One sample of an input that may be longer than its tensor.
fn part<'a, T>(x: Operands<'_>, values: &'a [T], sample: usize) -> &'a [T] {
    let n = x.elements(0);
    let first = if x.constant(0) { 0 } else { sample * n };
    &values[first..][..n]
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn real_i8(q: &[i8], affine: Affine, y: &mut [f32]) {
    let zero = affine.zero_point;
    for (y, &q) in y.iter_mut().zip(q) {
        *y = affine.scale * (i32::from(q) - zero) as f32;
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn real_i16(q: &[i16], affine: Affine, y: &mut [f32]) {
    let zero = affine.zero_point;
    for (y, &q) in y.iter_mut().zip(q) {
        *y = affine.scale * (i32::from(q) - zero) as f32;
    }
}

/// Running sums of one sample.
struct Work {
    channels: usize,
    period: usize,
    test: Vec<f32>,
    /// For each of the sums one period.
    parts: [Vec<f32>; sums::LEN],
    /// `[channels][sums::LEN]`.
    totals: Vec<[f64; sums::LEN]>,
}

impl Work {
    fn new(k: &Distance) -> Work {
        let channels = k.channels as usize;
        let period = channels * LANES.div_ceil(channels);
        Work {
            channels,
            period,
            test: vec![0.0; period * PERIODS],
            parts: [(); sums::LEN].map(|()| vec![0.0; period]),
            totals: vec![[0.0; sums::LEN]; channels],
        }
    }

    fn start(&mut self) {
        let mut none = [0.0; sums::LEN];
        none[sums::MIN] = f64::INFINITY;
        none[sums::MAX] = f64::NEG_INFINITY;
        self.totals.fill(none);
    }

    /// Adds what is in `test`, at most [`PERIODS`] periods, the last of which may end early.
    fn add(&mut self, n: usize, reference: &[f32]) {
        for (i, part) in self.parts.iter_mut().enumerate() {
            part.fill(match i {
                sums::MIN => f32::INFINITY,
                sums::MAX => f32::NEG_INFINITY,
                _ => 0.0,
            });
        }
        accumulate(&self.test[..n], reference, self.period, &mut self.parts);
        for (i, part) in self.parts.iter().enumerate() {
            for part in part.chunks_exact(self.channels) {
                for (total, &x) in self.totals.iter_mut().zip(part) {
                    let (total, x) = (&mut total[i], f64::from(x));
                    *total = match i {
                        sums::MIN => total.min(x),
                        sums::MAX | sums::MAX_ERROR => total.max(x),
                        _ => *total + x,
                    };
                }
            }
        }
    }

    fn finish(&self, y: &mut [f32]) {
        for (y, total) in y
            .as_chunks_mut::<{ sums::LEN }>()
            .0
            .iter_mut()
            .zip(&self.totals)
        {
            *y = total.map(|x| x as f32);
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn accumulate(test: &[f32], reference: &[f32], period: usize, parts: &mut [Vec<f32>; sums::LEN]) {
    let [error, squares, largest, signal, product, low, high] = parts;
    for (t, r) in test.chunks(period).zip(reference.chunks(period)) {
        let n = t.len();
        let r = &r[..n];
        let (error, squares, largest) = (&mut error[..n], &mut squares[..n], &mut largest[..n]);
        let (signal, product) = (&mut signal[..n], &mut product[..n]);
        let (low, high) = (&mut low[..n], &mut high[..n]);
        for i in 0..n {
            let r = r[i];
            let d = t[i] - r;
            error[i] += d;
            squares[i] += d * d;
            let a = d.abs();
            largest[i] = if a > largest[i] { a } else { largest[i] };
            signal[i] += r * r;
            product[i] += r * d;
            low[i] = if r < low[i] { r } else { low[i] };
            high[i] = if r > high[i] { r } else { high[i] };
        }
    }
}

/// The counts of all samples.
pub fn counts(k: &Distance, x: Operands<'_>, y: &mut [i32]) {
    let reference = x.f32s(1);
    let affine = k.affine.unwrap_or(ONE);
    for (sample, y) in y.chunks_exact_mut(y.len() / x.samples).enumerate() {
        let r = x.sample(1, reference, sample);
        y.fill(0);
        match x.value(0) {
            Values::I8(v) => count_i8(part(x, v, sample), r, affine, y),
            Values::I16(v) => count_i16(part(x, v, sample), r, affine, y),
            _ => unreachable!("kernel::prepare checked the types"),
        }
    }
}

fn count_i8(q: &[i8], r: &[f32], affine: Affine, y: &mut [i32]) {
    let mut codes = [[0u32; 256]; TABLES];
    let mut wide = [0i16; BLOCK];
    let mut tally = Tally::new();
    for (q, r) in q.chunks(BLOCK).zip(r.chunks(BLOCK)) {
        for (wide, &q) in wide.iter_mut().zip(q) {
            *wide = q.into();
        }
        tally.see(&wide[..q.len()], r, affine, (-128, 127));
        if y.len() <= counts::CODES {
            continue;
        }
        let (eights, rest) = q.as_chunks::<TABLES>();
        for eight in eights {
            for (table, &q) in codes.iter_mut().zip(eight) {
                table[usize::from(q as u8)] += 1;
            }
        }
        for &q in rest {
            codes[0][usize::from(q as u8)] += 1;
        }
    }
    let count = |code: usize| codes.iter().map(|table| table[code]).sum::<u32>() as i32;
    for (i, y) in y[counts::CODES..].iter_mut().enumerate() {
        // By value, not by bits: −128 comes first.
        *y = count((i + 128) % 256);
    }
    // Without counts of codes there are none of those at the ends.
    y[counts::LOWEST] = count(128);
    y[counts::HIGHEST] = count(127);
    tally.write(y);
}

fn count_i16(q: &[i16], r: &[f32], affine: Affine, y: &mut [i32]) {
    let mut tally = Tally::new();
    for (q, r) in q.chunks(BLOCK).zip(r.chunks(BLOCK)) {
        tally.see(q, r, affine, (-32768, 32767));
    }
    let count = |code: i16| q.iter().filter(|&&q| q == code).count() as i32;
    y[counts::LOWEST] = count(i16::MIN);
    y[counts::HIGHEST] = count(i16::MAX);
    tally.write(y);
}

/// Counts of errors.
struct Tally {
    equal: u32,
    errors: [[u32; 64]; TABLES],
}

impl Tally {
    fn new() -> Tally {
        Tally {
            equal: 0,
            errors: [[0; 64]; TABLES],
        }
    }

    fn see(&mut self, q: &[i16], r: &[f32], affine: Affine, bounds: (i32, i32)) {
        let mut steps = [0u8; BLOCK];
        self.equal += steps_of(q, r, affine, bounds, &mut steps);
        let (eights, rest) = steps[..q.len()].as_chunks::<TABLES>();
        for eight in eights {
            for (table, &step) in self.errors.iter_mut().zip(eight) {
                table[usize::from(step) % 64] += 1;
            }
        }
        for &step in rest {
            self.errors[0][usize::from(step) % 64] += 1;
        }
    }

    fn write(&self, y: &mut [i32]) {
        y[counts::EQUAL] = self.equal as i32;
        for (i, y) in y[counts::ERRORS..][..counts::STEPS].iter_mut().enumerate() {
            *y = self.errors.iter().map(|table| table[i]).sum::<u32>() as i32;
        }
    }
}

/// The errors in steps, from −16 at 0, and how many codes are equal. What is not a number counts as far below.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn steps_of(
    q: &[i16],
    r: &[f32],
    affine: Affine,
    bounds: (i32, i32),
    steps: &mut [u8; BLOCK],
) -> u32 {
    let inverse = 1.0 / affine.scale;
    let zero = affine.zero_point as f32;
    let (low, high) = (bounds.0 as f32 - zero, bounds.1 as f32 - zero);
    let most = (counts::STEPS / 2) as f32;
    let mut equal = 0u32;
    for ((step, &q), &r) in steps.iter_mut().zip(q).zip(r) {
        let q = f32::from(q) - zero;
        let ideal = r * inverse;
        let error = (q - ideal).round_ties_even();
        let error = if error > -most { error } else { -most };
        let error = if error < most { error } else { most };
        *step = (error + most + INTEGERS).to_bits() as u8;
        let code = ideal.round_ties_even();
        let code = if code > low { code } else { low };
        let code = if code < high { code } else { high };
        equal += u32::from(code == q);
    }
    equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_are_those_of_a_plain_loop(channels in 1usize..200, rows in 1usize..90, seed in 1u32..1000) {
            let n = channels * rows;
            let value = |i: usize| ((i as u32).wrapping_mul(seed.wrapping_mul(2_654_435_761)) >> 8) as f32 / 1e6 - 8.0;
            let r: Vec<f32> = (0..n).map(value).collect();
            let t: Vec<f32> = r.iter().enumerate().map(|(i, r)| r + 0.1 * value(i + 7)).collect();
            let k = Distance { channels: channels as u32, rows: rows as u32, affine: None, counts: false };
            let mut work = Work::new(&k);
            work.start();
            let piece = work.period * PERIODS;
            for (t, r) in t.chunks(piece).zip(r.chunks(piece)) {
                work.test[..t.len()].copy_from_slice(t);
                work.add(t.len(), r);
            }
            let mut y = vec![0.0; channels * sums::LEN];
            work.finish(&mut y);
            for c in 0..channels {
                let pairs = || (c..n).step_by(channels).map(|i| (f64::from(r[i]), f64::from(t[i] - r[i])));
                let sum = |f: fn((f64, f64)) -> f64| pairs().map(f).sum::<f64>();
                let most = |f: fn((f64, f64)) -> f64| pairs().map(f).fold(f64::NEG_INFINITY, f64::max);
                let y = |i: usize| f64::from(y[c * sums::LEN + i]);
                let near = |a: f64, b: f64, size: f64| (a - b).abs() <= 1e-5 * size + 1e-12;
                prop_assert!(near(y(sums::ERROR), sum(|(_, d)| d), sum(|(_, d)| d.abs())));
                prop_assert!(near(y(sums::SQUARED_ERROR), sum(|(_, d)| d * d), sum(|(_, d)| d * d)));
                prop_assert!(near(y(sums::SQUARED_REFERENCE), sum(|(r, _)| r * r), sum(|(r, _)| r * r)));
                prop_assert!(near(y(sums::PRODUCT), sum(|(r, d)| r * d), sum(|(r, d)| (r * d).abs())));
                prop_assert_eq!(y(sums::MAX_ERROR), most(|(_, d)| d.abs()));
                prop_assert_eq!(y(sums::MAX), most(|(r, _)| r));
                prop_assert_eq!(y(sums::MIN), -most(|(r, _)| -r));
            }
        }

        #[test]
        fn counts_are_those_of_a_plain_loop(q in prop::collection::vec(any::<i8>(), 1..700), zero_point in -128i32..128) {
            let affine = Affine { scale: 0.25, zero_point };
            let r: Vec<f32> = q.iter().enumerate().map(|(i, &q)| 0.25 * (i32::from(q) - zero_point) as f32 + ((i * 37) % 41) as f32 * 0.1 - 2.0).collect();
            let mut y = vec![0; counts::CODES + 256];
            count_i8(&q, &r, affine, &mut y);
            let count = |f: &dyn Fn(i8, f32) -> bool| q.iter().zip(&r).filter(|&(&q, &r)| f(q, r)).count() as i32;
            let code = |r: f32| ((r * 4.0).round_ties_even() as i32 + zero_point).clamp(-128, 127);
            prop_assert_eq!(y[counts::EQUAL], count(&|q, r| code(r) == i32::from(q)));
            prop_assert_eq!(y[counts::LOWEST], count(&|q, _| q == -128));
            prop_assert_eq!(y[counts::HIGHEST], count(&|q, _| q == 127));
            for (i, &n) in y[counts::CODES..].iter().enumerate() {
                prop_assert_eq!(n, count(&|q, _| i32::from(q) == i as i32 - 128));
            }
            let step = |q: i8, r: f32| (((i32::from(q) - zero_point) as f32 - r * 4.0).round_ties_even() as i32).clamp(-16, 16);
            for (i, &n) in y[counts::ERRORS..counts::CODES].iter().enumerate() {
                prop_assert_eq!(n, count(&|q, r| step(q, r) == i as i32 - 16));
            }
        }
    }
}
