//! How far a test tensor is from a reference: errors, SQNR, cosine, agreement of the highest value.
//!
//! Error means test − reference, in real units (dequantized). All sums are f64: within a sample in the order
//! of its elements, across samples exact, so neither order nor sharding of the samples changes a bit.

use serde::Serialize;

use super::exact_sum::ExactSum;
use super::{Error, arg_max};

/// A running comparison of two tensors, sample by sample.
#[derive(Clone, Debug, Default)]
pub struct Distance {
    samples: u64,
    elements: u64,
    agreeing: u64,
    equal: u64,
    max_abs: f64,
    abs: ExactSum,
    error: ExactSum,
    squared_error: ExactSum,
    squared_reference: ExactSum,
    squared_test: ExactSum,
    product: ExactSum,
}

impl Distance {
    /// Nothing compared yet.
    pub fn new() -> Distance {
        Distance::default()
    }

    /// Compares one whole sample. An error leaves the comparison as it was.
    pub fn add(&mut self, reference: &[f32], test: &[f32]) -> Result<(), Error> {
        let sample = self.samples;
        if reference.len() != test.len() {
            return Err(Error::Length {
                sample,
                reference: reference.len(),
                test: test.len(),
            });
        }
        let pairs = || reference.iter().zip(test);
        if let Some(element) = pairs().position(|(r, t)| !r.is_finite() || !t.is_finite()) {
            let (reference, test) = (reference[element].to_string(), test[element].to_string());
            return Err(Error::NotFinite {
                sample,
                element,
                reference,
                test,
            });
        }
        let [mut abs, mut error, mut squared_error] = [0.0; 3];
        let [mut squared_reference, mut squared_test, mut product] = [0.0; 3];
        for (&r, &t) in pairs() {
            let (r, t) = (f64::from(r), f64::from(t));
            let e = t - r;
            self.equal += u64::from(e == 0.0);
            self.max_abs = self.max_abs.max(e.abs());
            abs += e.abs();
            error += e;
            squared_error += e * e;
            squared_reference += r * r;
            squared_test += t * t;
            product += r * t;
        }
        self.abs.add(abs);
        self.error.add(error);
        self.squared_error.add(squared_error);
        self.squared_reference.add(squared_reference);
        self.squared_test.add(squared_test);
        self.product.add(product);
        self.agreeing += u64::from(arg_max(reference) == arg_max(test));
        self.elements += reference.len() as u64;
        self.samples += 1;
        Ok(())
    }

    /// Adds what another comparison has seen.
    pub fn merge(&mut self, other: &Distance) {
        self.samples += other.samples;
        self.elements += other.elements;
        self.agreeing += other.agreeing;
        self.equal += other.equal;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.abs.merge(&other.abs);
        self.error.merge(&other.error);
        self.squared_error.merge(&other.squared_error);
        self.squared_reference.merge(&other.squared_reference);
        self.squared_test.merge(&other.squared_test);
        self.product.merge(&other.product);
    }

    /// The figures of all samples so far.
    pub fn figures(&self) -> Result<Figures, Error> {
        if self.elements == 0 {
            return Err(Error::Empty);
        }
        let elements = self.elements as f64;
        let (signal, noise) = (self.squared_reference.value(), self.squared_error.value());
        let norms = signal.sqrt() * self.squared_test.value().sqrt();
        let exact = self.equal == self.elements;
        Ok(Figures {
            samples: self.samples,
            elements: self.elements,
            exact,
            max_abs_error: self.max_abs,
            mean_abs_error: self.abs.value() / elements,
            mean_error: self.error.value() / elements,
            rmse: (noise / elements).sqrt(),
            sqnr_db: (noise > 0.0 && signal > 0.0).then(|| 10.0 * (signal / noise).log10()),
            cosine: (norms > 0.0).then(|| {
                if exact {
                    1.0
                } else {
                    (self.product.value() / norms).clamp(-1.0, 1.0)
                }
            }),
            arg_max_agreeing: self.agreeing,
            arg_max_agreement: self.agreeing as f64 / self.samples as f64,
        })
    }
}

/// How far the test is from the reference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Samples compared.
    pub samples: u64,
    /// Elements of all samples.
    pub elements: u64,
    /// Whether every element is equal.
    pub exact: bool,
    /// Largest |test − reference|.
    pub max_abs_error: f64,
    /// Mean |test − reference|.
    pub mean_abs_error: f64,
    /// Mean of test − reference: the bias.
    pub mean_error: f64,
    /// Root of the mean squared error.
    pub rmse: f64,
    /// 10 log₁₀(Σ reference² / Σ error²) in decibel, over all samples; nothing if `exact` (it is infinite) or
    /// if the reference is 0 throughout.
    pub sqnr_db: Option<f64>,
    /// Cosine of the angle between both, over all samples; nothing if one of them is 0 throughout.
    pub cosine: Option<f64>,
    /// Samples whose first highest element is at the same place.
    pub arg_max_agreeing: u64,
    /// The same as a fraction of the samples.
    pub arg_max_agreement: f64,
}
