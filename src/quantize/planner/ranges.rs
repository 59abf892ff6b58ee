//! From what is known about an activation to its parameters.

use super::{Known, Planner};
use crate::graph::TensorId;
use crate::num::affine::{activation_8bit, activation_16bit};
use crate::num::{Affine, DType, Range};
use crate::quantize::error::Error;
use crate::quantize::plan::Why;
use crate::ranges::Statistics;

impl Planner<'_> {
    /// The parameters of what is kept of the range of a tensor, or those that the caller gave, and where they come from.
    pub(super) fn of_range(&self, id: TensorId, dtype: DType) -> Result<(Affine, Why), Error> {
        let Known::Ranges(_, histograms) = self.known else {
            return Ok((self.given(id)?, Why::Given));
        };
        let seen = self.range(id)?;
        let Range { min, max } = seen;
        // What is so wide that no scale serves is refused, whatever a method would keep of it.
        let all = self.activation(id, seen, dtype)?;
        if let Some(chosen) = self.options.chosen.get(&id) {
            let Range {
                min: low,
                max: high,
            } = chosen.range;
            let affine = self.activation(id, chosen.range, dtype)?;
            let method = chosen.method.clone();
            let why = Why::Chosen {
                method,
                low,
                high,
                min,
                max,
            };
            return Ok((affine, why));
        }
        let method = self.options.method(self.producers[id]);
        if !method.needs_histogram() && !method.needs_samples() {
            return Ok((all, Why::Range { min, max }));
        }
        let histogram = histograms.get(id).and_then(Option::as_ref);
        // Nobody hands averages over.
        let histogram = histogram.filter(|_| !method.needs_samples());
        let histogram = histogram.ok_or_else(|| Error::MissingHistogram {
            file: self.graph.file.clone(),
            tensor: self.graph.describe(id),
            method: method.to_string(),
        })?;
        let kept = method.range(&Statistics {
            range: seen,
            histogram,
            averaged: None,
            bits: 8 * dtype.size() as u32,
        });
        let why = Why::Chosen {
            method: method.to_string(),
            low: kept.min,
            high: kept.max,
            min,
            max,
        };
        Ok((self.activation(id, kept, dtype)?, why))
    }

    /// Decides an activation from what is known about it.
    pub(super) fn measured(&mut self, id: TensorId) -> Result<Affine, Error> {
        let dtype = self.forms.own_type(id).unwrap_or(DType::I8);
        let (affine, why) = self.of_range(id, dtype)?;
        self.decide(id, dtype, affine, why);
        Ok(affine)
    }

    pub(super) fn activation(
        &self,
        id: TensorId,
        Range { min, max }: Range,
        dtype: DType,
    ) -> Result<Affine, Error> {
        if !(max - min).is_finite() {
            return Err(self.bad_range(id, Range { min, max }));
        }
        Ok(match dtype {
            DType::I16 => activation_16bit(min, max),
            _ => activation_8bit(min, max, -128),
        })
    }

    pub(super) fn range(&self, id: TensorId) -> Result<Range, Error> {
        let known = match self.known {
            Known::Ranges(ranges, _) => ranges.get(id).copied().flatten(),
            Known::Parameters(_) => None,
        };
        match known {
            None | Some(Range::EMPTY) => Err(Error::missing_range(self.graph, id)),
            // Also false for NaN.
            Some(r) if r.min <= r.max && r.min.is_finite() && r.max.is_finite() => Ok(r),
            Some(r) => Err(self.bad_range(id, r)),
        }
    }

    pub(super) fn bad_range(&self, id: TensorId, Range { min, max }: Range) -> Error {
        Error::BadRange {
            file: self.graph.file.clone(),
            tensor: self.graph.describe(id),
            min,
            max,
        }
    }

    pub(super) fn given(&self, id: TensorId) -> Result<Affine, Error> {
        match self.known {
            Known::Parameters(all) => all.get(id).copied().flatten(),
            Known::Ranges(..) => None,
        }
        .filter(|a| a.scale.is_normal() && a.scale > 0.0 && (-128..=127).contains(&a.zero_point))
        .ok_or_else(|| Error::missing_range(self.graph, id))
    }
}
