//! `entropy`: the range that loses the least information, as TensorRT ("8-bit inference with TensorRT", S. Migacz, 2017)
//! and ONNX Runtime (`HistogramCollector.get_entropy_threshold`) measure it.
//!
//! A candidate keeps the bins of a symmetric range [−t, t], or of [0, t] or [−t, 0] where all values lie on one side. Its
//! reference P are the counts of these bins, what lies outside added to the outermost ones. Its coarse copy Q has the
//! counts of the same bins without what lies outside, gathered into 128 groups and spread again, evenly, over those bins
//! of each group where P is not 0. Both are smoothed: every empty bin gets ε = 10⁻⁴, which the others give in equal
//! parts. The candidate with the least divergence wins, the narrowest of equal ones:
//!
//! KL(P ‖ Q) = Σ p · ln(p / q), with p and q the shares of all
//!
//! Where it differs from ONNX Runtime 1.20, whose defaults (128 bins, 128 groups) leave it a single candidate, everything:
//! - Bins are those of our histogram, at least 1024 up to the farthest value; the narrowest candidate has 128 bins in all
//!   (64 a side), and each next one has 8 more on each side that has values.
//! - Groups are as even as whole bins allow. There, a rest goes to the last group and is not spread again.
//! - Q is not cut to whole numbers, and is 0 where P is (as in MXNet and TensorRT).
//! - Values on one side only get all 128 groups, as TensorRT's histogram of magnitudes; there, half of them stay empty.
//!
//! The number of groups does not depend on the bits of the type.

use super::{Method, Statistics};
use crate::num::{Histogram, Range};

/// Groups of bins that stand for the integers.
const GROUPS: usize = 128;
/// Bins by which candidates differ on a side.
const STRIDE: usize = 8;
/// What an empty bin gets.
const SMOOTHING: f64 = 1e-4;

/// The method.
#[derive(Debug)]
pub struct Entropy;

impl Method for Entropy {
    fn name(&self) -> &'static str {
        "entropy"
    }

    fn range(&self, statistics: &Statistics<'_>) -> Range {
        let histogram = statistics.histogram;
        let [below, above] = sides(histogram);
        let (longest, narrowest) = match below.min(above) {
            0 => (below.max(above), GROUPS),
            _ => (below.max(above), GROUPS / 2),
        };
        let mut best = (f64::INFINITY, longest);
        // The last candidate reaches as far as the values, whatever the stride.
        let candidates = (narrowest..longest).step_by(STRIDE).chain([longest]);
        for bins in candidates {
            let divergence = divergence(histogram, bins.min(below), bins.min(above), bins);
            if divergence < best.0 {
                best = (divergence, bins);
            }
        }
        let end = best.1 as f64 * f64::from(histogram.exponent).exp2();
        Range {
            min: -end as f32,
            max: end as f32,
        }
    }
}

/// Bins below and above 0 that there are, up to the farthest with values.
fn sides(histogram: &Histogram) -> [usize; 2] {
    let filled = |i: usize| histogram.counts[i] > 0;
    let zero = -histogram.first;
    let mut all = (0..histogram.counts.len()).filter(|&i| filled(i));
    let first = all.next().map_or(0, |i| i as i32);
    let last = all.next_back().map_or(first, |i| i as i32);
    [zero - first, last + 1 - zero].map(|n| n.max(0) as usize)
}

/// The divergence of a candidate with so many bins on each side. Where one side has fewer than `bins`, the groups are
/// those of the symmetric range.
fn divergence(histogram: &Histogram, below: usize, above: usize, bins: usize) -> f64 {
    let zero = -histogram.first;
    let start = (zero - below as i32) as usize;
    let end = start + below + above;
    let counts = &histogram.counts;
    let kept = &counts[start..end];
    let mut p: Vec<f64> = kept.iter().map(|&n| n as f64).collect();
    let outside = |part: &[u64]| part.iter().sum::<u64>() as f64;
    let (left, right) = (outside(&counts[..start]), outside(&counts[end..]));
    if let Some(first) = p.first_mut() {
        *first += left;
    }
    if let Some(last) = p.last_mut() {
        *last += right;
    }
    // Bins of the whole grid, which is empty beyond a shorter side.
    let one_sided = below == 0 || above == 0;
    let (offset, all) = match one_sided {
        true => (0, below + above),
        false => (bins - below, 2 * bins),
    };
    let group = |i: usize| (i + offset) * GROUPS / all;
    let mut q = vec![0.0; p.len()];
    let mut from = 0;
    while from < p.len() {
        let to = (from..p.len()).find(|&i| group(i) != group(from));
        let to = to.unwrap_or(p.len());
        let filled = p[from..to].iter().filter(|&&x| x > 0.0).count();
        let share = outside(&kept[from..to]) / filled.max(1) as f64;
        for i in (from..to).filter(|&i| p[i] > 0.0) {
            q[i] = share;
        }
        from = to;
    }
    // The empty bins of a shorter side add as much to both.
    let beyond = all - p.len();
    let (Some(p), Some(q)) = (smoothed(p, beyond), smoothed(q, beyond)) else {
        return f64::INFINITY;
    };
    let total = |v: &[f64]| v.iter().sum::<f64>() + SMOOTHING * beyond as f64;
    let (of_p, of_q) = (total(&p), total(&q));
    let term = |p: f64, q: f64| match (p / of_p, q / of_q) {
        (p, q) if p > 0.0 && q > 0.0 => p * (p / q).ln(),
        (p, _) if p <= 0.0 => 0.0,
        _ => f64::INFINITY,
    };
    let kept: f64 = p.iter().zip(&q).map(|(&p, &q)| term(p, q)).sum();
    kept + beyond as f64 * term(SMOOTHING, SMOOTHING)
}

/// Counts of which none is 0, or none if all are, or too few to give.
fn smoothed(mut counts: Vec<f64>, beyond: usize) -> Option<Vec<f64>> {
    let filled = counts.iter().filter(|&&x| x > 0.0).count();
    let empty = counts.len() - filled + beyond;
    let given = SMOOTHING * empty as f64 / filled.max(1) as f64;
    if filled == 0 || given >= 1.0 {
        return None;
    }
    for x in &mut counts {
        *x = if *x > 0.0 { *x - given } else { SMOOTHING };
    }
    Some(counts)
}
