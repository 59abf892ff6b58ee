//! What this machine can do at most, measured: multiply-adds in registers, and copies through memory.

use crate::kernel::Roofline;
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Lanes of the widest vectors, times as many of them as hide the latency of a multiply-add.
const LANES: usize = 16 * 12;
/// Multiply-adds of every lane between two looks at the clock.
const ROUNDS: usize = 20_000;
/// Bytes that one thread copies: beyond the caches.
const COPIED: usize = 48 << 20;
/// How long each of the two is measured.
const TIME: Duration = Duration::from_millis(120);

/// Measures for about a quarter of a second on all threads.
pub(super) fn measure() -> Roofline {
    let threads = rayon::current_num_threads();
    let per_thread = |work: &(dyn Fn() -> f64 + Sync)| -> f64 {
        // The best of several stretches: other programs only ever make it slower.
        (0..threads).into_par_iter().map(|_| work()).sum()
    };
    let operations = per_thread(&|| {
        let mut lanes: [f32; LANES] = std::array::from_fn(|i| i as f32);
        best(|| {
            multiply_add(std::hint::black_box(&mut lanes));
            (2 * LANES * ROUNDS) as f64
        })
    });
    let bytes = per_thread(&|| {
        let (from, mut to) = (vec![1u8; COPIED], vec![0u8; COPIED]);
        best(|| {
            to.copy_from_slice(std::hint::black_box(&from));
            std::hint::black_box(&mut to);
            (2 * COPIED) as f64
        })
    });
    Roofline {
        operations_per_second: operations,
        bytes_per_second: bytes,
    }
}

/// The highest rate of `work`, which returns how much it did.
fn best(mut work: impl FnMut() -> f64) -> f64 {
    let begin = Instant::now();
    let mut best = 0.0f64;
    while begin.elapsed() < TIME {
        let start = Instant::now();
        let done = work();
        best = best.max(done / start.elapsed().as_secs_f64());
    }
    best
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn multiply_add(lanes: &mut [f32; LANES]) {
    let mut sums = *lanes;
    for _ in 0..ROUNDS {
        for sum in &mut sums {
            *sum = if cfg!(any(target_arch = "aarch64", target_arch = "x86_64")) {
                sum.mul_add(0.5, 0.25)
            } else {
                *sum * 0.5 + 0.25
            };
        }
    }
    *lanes = sums;
}
