//! The area under the ROC curve, in bounded memory.
//!
//! The area is the share of pairs of a positive and a negative sample in which the positive one has the higher score, equal
//! scores counting half; it needs no threshold. It is counted from a histogram of the scores, exactly while there are no
//! more distinct scores than bins. Beyond that, scores that share the leading bits of their float count as equal: bins join
//! in pairs until they are few enough. How many bits are left follows from the scores alone, so the order of the samples
//! does not matter.

use super::Error;
use std::collections::BTreeMap;

/// Most bins of all classes together: 30 MiB.
const BINS: usize = 1 << 20;
/// Most bins of a class.
const MOST: usize = 1 << 16;
/// Fewest bins of a class, however many classes there are.
const FEWEST: usize = 1 << 6;

/// What the scores of a sample say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// One score a class. Of one score alone it is that of class 1, and of two scores the second counts: labels are 0 and
    /// 1. Of more classes the area of each against the rest is averaged.
    Classes,
    /// Many scores of which the largest counts, as a detector has them; labels are 0 and 1.
    Largest,
}

/// A running count of scores of positive and negative samples, a curve for each class.
#[derive(Clone, Debug)]
pub(super) struct Auc {
    reading: Reading,
    samples: u64,
    scores: usize,
    /// The class of each curve's positive samples.
    curves: Vec<(i64, Curve)>,
}

impl Auc {
    pub fn new(reading: Reading) -> Auc {
        Auc {
            reading,
            samples: 0,
            scores: 0,
            curves: Vec::new(),
        }
    }

    /// Counts a sample. An error leaves the count as it was.
    pub fn add(&mut self, labels: &[i64], scores: &[f32]) -> Result<(), Error> {
        let sample = self.samples;
        let classes = match self.reading {
            Reading::Classes => scores.len().max(2),
            Reading::Largest => 2,
        };
        if scores.is_empty() {
            return Err(Error::TooFewClasses(0));
        }
        if sample > 0 && scores.len() != self.scores {
            return Err(Error::ScoreCount {
                sample,
                found: scores.len(),
                classes: self.scores,
            });
        }
        if let Some(class) = scores.iter().position(|x| x.is_nan()) {
            return Err(Error::NanScore { sample, class });
        }
        let known = 0..i64::try_from(classes).unwrap_or(i64::MAX);
        if labels.is_empty() {
            return Err(Error::NoLabel { sample });
        }
        if let Some(&label) = labels.iter().find(|label| !known.contains(label)) {
            return Err(Error::LabelOutOfRange {
                sample,
                label,
                classes,
            });
        }
        if sample == 0 {
            self.scores = scores.len();
            let one = classes == 2;
            let positives = if one { 1..2 } else { known };
            let most = (BINS / if one { 1 } else { classes }).clamp(FEWEST, MOST);
            self.curves = positives.map(|c| (c, Curve::new(most))).collect();
        }
        let largest = || scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for (class, curve) in &mut self.curves {
            let score = match (self.reading, scores) {
                (Reading::Largest, _) => largest(),
                (Reading::Classes, [one]) => *one,
                (Reading::Classes, _) => scores[*class as usize],
            };
            curve.add(score, labels.contains(class));
        }
        self.samples += 1;
        Ok(())
    }

    /// The mean over the classes of which there are samples and others; nothing if there is no such class.
    pub fn value(&self) -> Option<f64> {
        let areas: Vec<f64> = self.curves.iter().filter_map(|(_, c)| c.area()).collect();
        (!areas.is_empty()).then(|| areas.iter().sum::<f64>() / areas.len() as f64)
    }
}

/// Negative and positive samples by score.
#[derive(Clone, Debug)]
struct Curve {
    most: usize,
    /// Low bits of the scores' keys that do not count.
    dropped: u32,
    counts: BTreeMap<u32, [u64; 2]>,
}

impl Curve {
    fn new(most: usize) -> Curve {
        Curve {
            most,
            dropped: 0,
            counts: BTreeMap::new(),
        }
    }

    fn add(&mut self, score: f32, positive: bool) {
        let bin = key(score) >> self.dropped;
        self.counts.entry(bin).or_default()[usize::from(positive)] += 1;
        while self.counts.len() > self.most {
            self.dropped += 1;
            for (bin, [negative, positive]) in std::mem::take(&mut self.counts) {
                let joined = self.counts.entry(bin >> 1).or_default();
                joined[0] += negative;
                joined[1] += positive;
            }
        }
    }

    fn area(&self) -> Option<f64> {
        // Twice the pairs, in integers, so that equal scores count half.
        let (mut below, mut positives, mut pairs) = (0u128, 0u128, 0u128);
        for &[negative, positive] in self.counts.values() {
            let (negative, positive) = (u128::from(negative), u128::from(positive));
            pairs += positive * (2 * below + negative);
            below += negative;
            positives += positive;
        }
        let all = 2 * below * positives;
        (all > 0).then(|| pairs as f64 / all as f64)
    }
}

/// An integer that orders like the float; −0 is 0.
fn key(x: f32) -> u32 {
    let bits = (x + 0.0).to_bits();
    if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(curve: &mut Curve, samples: &[(f32, bool)]) -> Option<f64> {
        samples.iter().for_each(|&(s, p)| curve.add(s, p));
        curve.area()
    }

    #[test]
    fn pairs_by_hand() {
        let samples = [(-1.0, false), (0.0, true), (-0.0, false), (2.0, true)];
        // Four pairs, one of which is a tie.
        assert_eq!(area(&mut Curve::new(99), &samples), Some(3.5 / 4.0));
        assert_eq!(area(&mut Curve::new(99), &samples[..1]), None);
        let ends = [(f32::NEG_INFINITY, true), (f32::INFINITY, false)];
        assert_eq!(area(&mut Curve::new(99), &ends), Some(0.0));
    }

    proptest::proptest! {
        #[test]
        fn few_bins_are_few_and_the_order_does_not_matter(
            samples in proptest::collection::vec((-9.0f32..9.0, proptest::bool::ANY), 1..400),
            most in 2usize..40,
        ) {
            let (mut one, mut other, mut fine) = (Curve::new(most), Curve::new(most), Curve::new(1 << 16));
            let forwards = area(&mut one, &samples);
            let backwards: Vec<_> = samples.iter().rev().copied().collect();
            proptest::prop_assert_eq!(forwards, area(&mut other, &backwards));
            proptest::prop_assert!(one.counts.len() <= most);
            proptest::prop_assert_eq!((one.dropped, &one.counts), (other.dropped, &other.counts));
            // Off by no more than half of the pairs that share a bin.
            if let (Some(a), Some(b)) = (forwards, area(&mut fine, &samples)) {
                let shared: u64 = one.counts.values().map(|[n, p]| n * p).sum();
                let all: [u64; 2] = one.counts.values().fold([0, 0], |s, c| [s[0] + c[0], s[1] + c[1]]);
                let bound = shared as f64 / (2 * all[0] * all[1]) as f64;
                proptest::prop_assert!((a - b).abs() <= bound + 1e-12);
            }
        }
    }
}
