//! Samples whose class flips, and where their paths part.

use super::MOST_FLIPS;
use super::errors::Seen;
use super::report::{Decisions, Flip};
use crate::data::Labels;
use crate::evaluate::arg_max;
use crate::graph::{Graph, TensorId};

/// Most classes of confusion matrices.
const MOST_CLASSES: usize = 64;
/// A path parts where the error of a sample is so many times its usual one …
const UNUSUAL: f64 = 8.0;
/// … and more than this share of the signal: −20 dB.
const LEAST_RATIO: f64 = 1e-2;

/// Whether an output holds scores of classes: one row. Of anchors or pixels there is no highest that decides.
pub(super) fn decides(graph: &Graph, id: TensorId) -> bool {
    let sizes = graph.tensors[id].shape.iter();
    sizes.filter(|&&n| n != 1).count() == 1
}

/// Collects decisions, sample by sample.
pub(super) struct Samples<'a> {
    output: usize,
    classes: usize,
    labels: Option<&'a Labels>,
    agreeing: usize,
    correct: [usize; 2],
    confusion: Option<[Vec<Vec<u64>>; 2]>,
    /// With the ratios of all rows.
    flips: Vec<(Flip, Vec<f64>)>,
    /// Sum of the logarithms of each row's ratios, and how many.
    usual: Vec<(f64, u64)>,
}

impl<'a> Samples<'a> {
    /// For an output with so many scores.
    pub fn new(output: usize, classes: usize, labels: Option<&'a Labels>) -> Self {
        let matrices = || vec![vec![0; classes]; classes];
        let has_matrices = labels.is_some() && (2..=MOST_CLASSES).contains(&classes);
        Samples {
            output,
            classes,
            labels,
            agreeing: 0,
            correct: [0; 2],
            confusion: has_matrices.then(|| [matrices(), matrices()]),
            flips: Vec::new(),
            usual: Vec::new(),
        }
    }

    /// Sees a sample.
    pub fn see(&mut self, seen: &Seen<'_>) {
        self.usual.resize(seen.ratios.len(), (0.0, 0));
        for (usual, &ratio) in self.usual.iter_mut().zip(seen.ratios) {
            if ratio > 0.0 && ratio.is_finite() {
                usual.0 += ratio.ln();
                usual.1 += 1;
            }
        }
        let scores = |outputs: &[Vec<f32>]| outputs.get(self.output).map(|v| decision(v));
        let (Some(float), Some(quantized)) = (scores(seen.float), scores(seen.quantized)) else {
            return;
        };
        let labels = self.labels.map(|l| l.accepted(seen.sample).to_vec());
        let labels = labels.unwrap_or_default();
        for (i, (class, _)) in [float, quantized].into_iter().enumerate() {
            self.correct[i] += usize::from(labels.contains(&(class as i64)));
            let label = labels.first().and_then(|&l| usize::try_from(l).ok());
            if let (Some(matrices), Some(label)) = (&mut self.confusion, label)
                && let Some(cell) = matrices[i]
                    .get_mut(label)
                    .and_then(|row| row.get_mut(class))
            {
                *cell += 1;
            }
        }
        if float.0 == quantized.0 {
            self.agreeing += 1;
            return;
        }
        let flip = Flip {
            sample: seen.sample,
            float_class: float.0,
            quantized_class: quantized.0,
            labels,
            float_margin: float.1,
            quantized_margin: quantized.1,
            parts_at: None,
        };
        self.flips.push((flip, seen.ratios.to_vec()));
        // Kept in check now and then, not with every sample.
        if self.flips.len() >= 4 * MOST_FLIPS {
            self.cut();
        }
    }

    /// The surest decisions that flip, in a fixed order.
    fn cut(&mut self) {
        self.flips.sort_by(|(a, _), (b, _)| {
            let margin = b.float_margin.total_cmp(&a.float_margin);
            margin.then(a.sample.cmp(&b.sample))
        });
        self.flips.truncate(MOST_FLIPS);
    }

    /// What was seen; none if the output has no classes.
    pub fn finish(mut self) -> Option<Decisions> {
        if self.classes < 2 {
            return None;
        }
        self.cut();
        let usual: Vec<f64> = self
            .usual
            .iter()
            .map(|&(sum, n)| (sum / n.max(1) as f64).exp())
            .collect();
        let parts = |ratios: &[f64]| {
            let mut pairs = ratios.iter().zip(&usual);
            pairs.position(|(&r, &u)| r > LEAST_RATIO && r > UNUSUAL * u)
        };
        let flips = self.flips.into_iter().map(|(mut flip, ratios)| {
            flip.parts_at = parts(&ratios);
            flip
        });
        Some(Decisions {
            output: self.output,
            classes: self.classes,
            agreeing: self.agreeing,
            correct: self.labels.map(|_| self.correct),
            confusion: self.confusion,
            flips: flips.collect(),
        })
    }
}

/// The first class with the highest score, and by how much it is ahead.
fn decision(scores: &[f32]) -> (usize, f64) {
    let best = arg_max(scores);
    let others = scores.iter().enumerate().filter(|&(i, _)| i != best);
    let next = others.map(|(_, &x)| x).fold(f32::NEG_INFINITY, f32::max);
    let margin = f64::from(scores.get(best).copied().unwrap_or(0.0)) - f64::from(next);
    (best, margin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_parts_where_its_error_is_unusual() {
        let mut samples = Samples::new(0, 3, None);
        for sample in 0..20 {
            let bad = sample == 7;
            let quantized = if bad {
                [0.1, 0.5, 0.4]
            } else {
                [0.7, 0.2, 0.1]
            };
            samples.see(&Seen {
                sample,
                float: &[vec![0.8, 0.1, 0.1]],
                quantized: &[quantized.to_vec()],
                ratios: &[1e-3, if bad { 0.5 } else { 1e-3 }],
            });
        }
        let found = samples.finish().unwrap();
        assert_eq!((found.agreeing, found.correct), (19, None));
        let flip = &found.flips[0];
        assert_eq!(
            (flip.sample, flip.float_class, flip.quantized_class),
            (7, 0, 1)
        );
        assert_eq!(flip.parts_at, Some(1));
        assert!((flip.quantized_margin - 0.1).abs() < 1e-6);
    }
}
