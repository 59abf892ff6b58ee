//! Figures of one comparison, from the sums and counts of every sample.
//!
//! A device gives sums by sample, in an order that depends on shapes alone; here they are added in the order of the samples.
//! So the figures depend neither on the batch nor on threads.

use crate::kernel::distance::{counts, sums};
use serde::Serialize;

/// Errors of a tensor: test − reference, in real units.
///
/// Names and definitions of the first five are those of TensorFlow's QuantizationDebugger: each is computed for a sample,
/// then averaged over the samples. Samples with NaN are left out of everything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorStats {
    /// Elements of a sample.
    pub num_elements: u64,
    /// Mean over samples of the standard deviation of the errors.
    pub stddev: f64,
    /// Mean error.
    pub mean_error: f64,
    /// Mean over samples of the largest |error|.
    pub max_abs_error: f64,
    /// Mean squared error.
    pub mean_squared_error: f64,
    /// √(mean squared error) / scale; pure rounding gives 1/√12 = 0.289. None for floats.
    pub rmse_over_scale: Option<f64>,
    /// The largest |error| of all samples.
    pub largest_error: f64,
    /// 10 log₁₀(Σ reference² / Σ error²) over all samples; none if one of them is 0.
    pub sqnr_db: Option<f64>,
    /// Cosine of the angle between both over all samples; none if one of them is 0.
    pub cosine: Option<f64>,
    /// Share of elements with the code that the reference would get. None for floats.
    pub equal_codes: Option<f64>,
    /// Elements by their error in steps of the scale, −16 … 16, the ends with all beyond. Empty for floats.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<u64>,
    /// Samples in which something was NaN.
    pub nan_samples: u64,
    /// By channel: the last dimension. Empty if there are too many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
}

impl ErrorStats {
    /// No error at all.
    pub(super) fn zero(num_elements: u64, integers: bool) -> ErrorStats {
        ErrorStats {
            num_elements,
            stddev: 0.0,
            mean_error: 0.0,
            max_abs_error: 0.0,
            mean_squared_error: 0.0,
            rmse_over_scale: integers.then_some(0.0),
            largest_error: 0.0,
            sqnr_db: None,
            cosine: Some(1.0),
            equal_codes: integers.then_some(1.0),
            steps: Vec::new(),
            nan_samples: 0,
            channels: Vec::new(),
        }
    }
}

/// Errors of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Channel {
    /// Mean error.
    pub mean_error: f64,
    /// Mean squared error.
    pub mean_squared_error: f64,
    /// The largest |error|.
    pub largest_error: f64,
    /// As of the tensor.
    pub sqnr_db: Option<f64>,
    /// Smallest reference value.
    pub min: f64,
    /// Largest reference value.
    pub max: f64,
}

/// Which samples set the ends of a tensor's range, and what the range would be without them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Extremes {
    /// Smallest value and its sample.
    pub min: (f64, usize),
    /// Largest value and its sample.
    pub max: (f64, usize),
    /// The smallest value of all other samples.
    pub next_min: f64,
    /// The largest value of all other samples.
    pub next_max: f64,
}

impl Extremes {
    /// How much wider one sample alone makes the range, with 0 in it, and which; 1 if none does.
    pub fn widening(&self) -> (f64, usize) {
        let width = |low: f64, high: f64| high.max(0.0) - low.min(0.0);
        let whole = width(self.min.0, self.max.0);
        let without = |sample: usize| {
            let low = if self.min.1 == sample {
                self.next_min
            } else {
                self.min.0
            };
            let high = if self.max.1 == sample {
                self.next_max
            } else {
                self.max.0
            };
            (whole / width(low, high).max(f64::MIN_POSITIVE), sample)
        };
        let (a, b) = (without(self.min.1), without(self.max.1));
        if a.0 >= b.0 { a } else { b }
    }
}

/// Sums over samples.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    samples: u64,
    nan: u64,
    elements: f64,
    rows: f64,
    deviation: f64,
    largest: f64,
    channels: Vec<[f64; sums::LEN]>,
    pub counts: Vec<u64>,
    extremes: Option<Extremes>,
}

/// What is told of one sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfSample {
    /// Σ error² / Σ reference².
    pub ratio: f64,
}

impl Tally {
    pub fn new(elements: usize, channels: usize) -> Tally {
        let mut none = [0.0; sums::LEN];
        none[sums::MIN] = f64::INFINITY;
        none[sums::MAX] = f64::NEG_INFINITY;
        Tally {
            samples: 0,
            nan: 0,
            elements: elements as f64,
            rows: (elements / channels.max(1)) as f64,
            deviation: 0.0,
            largest: 0.0,
            channels: vec![none; channels],
            counts: Vec::new(),
            extremes: None,
        }
    }

    /// Adds the sums of a sample.
    pub fn add(&mut self, sample: usize, of_channels: &[f32]) -> OfSample {
        let of_channels = of_channels.as_chunks::<{ sums::LEN }>().0;
        let mut all = [0.0f64; sums::LEN];
        all[sums::MIN] = f64::INFINITY;
        all[sums::MAX] = f64::NEG_INFINITY;
        of_channels.iter().for_each(|part| together(&mut all, part));
        if all.iter().any(|x| x.is_nan()) {
            self.nan += 1;
            return OfSample { ratio: f64::NAN };
        }
        for (sum, part) in self.channels.iter_mut().zip(of_channels) {
            together(sum, part);
        }
        let mean = all[sums::ERROR] / self.elements;
        let variance = all[sums::SQUARED_ERROR] / self.elements - mean * mean;
        self.deviation += variance.max(0.0).sqrt();
        self.largest += all[sums::MAX_ERROR];
        self.samples += 1;
        self.see(sample, all[sums::MIN], all[sums::MAX]);
        let ratio = all[sums::SQUARED_ERROR] / all[sums::SQUARED_REFERENCE];
        OfSample {
            ratio: if all[sums::SQUARED_ERROR] == 0.0 {
                0.0
            } else {
                ratio
            },
        }
    }

    fn see(&mut self, sample: usize, min: f64, max: f64) {
        let Some(e) = &mut self.extremes else {
            self.extremes = Some(Extremes {
                min: (min, sample),
                max: (max, sample),
                next_min: f64::INFINITY,
                next_max: f64::NEG_INFINITY,
            });
            return;
        };
        if min < e.min.0 {
            e.next_min = e.min.0;
            e.min = (min, sample);
        } else {
            e.next_min = e.next_min.min(min);
        }
        if max > e.max.0 {
            e.next_max = e.max.0;
            e.max = (max, sample);
        } else {
            e.next_max = e.next_max.max(max);
        }
    }

    /// Adds the counts of a sample.
    pub fn count(&mut self, of_sample: &[i32]) {
        self.counts.resize(of_sample.len(), 0);
        for (sum, &n) in self.counts.iter_mut().zip(of_sample) {
            *sum += n as u64;
        }
    }

    /// Which samples set the ends of the reference's range; none unless there are at least two samples.
    pub fn extremes(&self) -> Option<Extremes> {
        self.extremes.filter(|_| self.samples > 1)
    }

    /// The figures; `scale` is that of an integer tensor.
    pub fn stats(&self, scale: Option<f32>) -> ErrorStats {
        let samples = self.samples.max(1) as f64;
        let mut all = [0.0f64; sums::LEN];
        for channel in &self.channels {
            for (i, (sum, &x)) in all.iter_mut().zip(channel).enumerate() {
                *sum = if i == sums::MAX_ERROR {
                    sum.max(x)
                } else {
                    *sum + x
                };
            }
        }
        let n = samples * self.elements.max(1.0);
        let mse = all[sums::SQUARED_ERROR] / n;
        let (signal, product) = (all[sums::SQUARED_REFERENCE], all[sums::PRODUCT]);
        let squared_test = signal + 2.0 * product + all[sums::SQUARED_ERROR];
        let norms = (signal * squared_test.max(0.0)).sqrt();
        let exact = all[sums::SQUARED_ERROR] == 0.0;
        let count = |i: usize| self.counts.get(i).map(|&c| c as f64 / n);
        let channels = match self.channels.len() {
            0 | 1 => Vec::new(),
            _ => self
                .channels
                .iter()
                .map(|c| self.channel(c, samples))
                .collect(),
        };
        ErrorStats {
            num_elements: self.elements as u64,
            stddev: self.deviation / samples,
            mean_error: all[sums::ERROR] / n,
            max_abs_error: self.largest / samples,
            mean_squared_error: mse,
            rmse_over_scale: scale.map(|s| mse.sqrt() / f64::from(s)),
            largest_error: all[sums::MAX_ERROR],
            sqnr_db: decibel(signal, all[sums::SQUARED_ERROR]),
            cosine: (norms > 0.0).then(|| {
                let cosine = (signal + product) / norms;
                if exact { 1.0 } else { cosine.clamp(-1.0, 1.0) }
            }),
            equal_codes: count(counts::EQUAL),
            steps: match self.counts.get(counts::ERRORS..counts::CODES) {
                Some(steps) => steps.to_vec(),
                None => Vec::new(),
            },
            nan_samples: self.nan,
            channels,
        }
    }

    fn channel(&self, c: &[f64; sums::LEN], samples: f64) -> Channel {
        let n = samples * self.rows.max(1.0);
        Channel {
            mean_error: c[sums::ERROR] / n,
            mean_squared_error: c[sums::SQUARED_ERROR] / n,
            largest_error: c[sums::MAX_ERROR],
            sqnr_db: decibel(c[sums::SQUARED_REFERENCE], c[sums::SQUARED_ERROR]),
            min: c[sums::MIN],
            max: c[sums::MAX],
        }
    }
}

fn together(sum: &mut [f64; sums::LEN], part: &[f32; sums::LEN]) {
    for (i, (sum, &x)) in sum.iter_mut().zip(part).enumerate() {
        let x = f64::from(x);
        *sum = match i {
            sums::MAX_ERROR | sums::MAX => sum.max(x),
            sums::MIN => sum.min(x),
            _ => *sum + x,
        };
    }
}

/// 10 log₁₀(signal / noise); none if one of them is 0.
pub(super) fn decibel(signal: f64, noise: f64) -> Option<f64> {
    (signal > 0.0 && noise > 0.0).then(|| 10.0 * (signal / noise).log10())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        // Two samples of two elements in one channel: errors (1, −1) and (3, 3), references (2, 0) and (4, −4).
        let mut t = Tally::new(2, 1);
        let first = t.add(0, &[0.0, 2.0, 1.0, 4.0, 2.0, 0.0, 2.0]);
        t.add(1, &[6.0, 18.0, 3.0, 32.0, 0.0, -4.0, 4.0]);
        t.add(2, &[f32::NAN; sums::LEN]);
        assert_eq!(first.ratio, 0.5);
        let s = t.stats(Some(0.5));
        assert_eq!((s.stddev, s.mean_error, s.max_abs_error), (0.5, 1.5, 2.0));
        assert_eq!((s.mean_squared_error, s.largest_error), (5.0, 3.0));
        assert_eq!(s.rmse_over_scale, Some(2.0 * 5f64.sqrt()));
        assert!((s.sqnr_db.unwrap() - 10.0 * (36.0f64 / 20.0).log10()).abs() < 1e-12);
        assert!((s.cosine.unwrap() - 38.0 / (36.0f64 * 60.0).sqrt()).abs() < 1e-12);
        assert_eq!(s.nan_samples, 1);
        let e = t.extremes().unwrap();
        assert_eq!((e.min, e.max), ((-4.0, 1), (4.0, 1)));
        // Without the second sample 0 … 2 is left of −4 … 4.
        assert_eq!(e.widening(), (4.0, 1));
    }
}
