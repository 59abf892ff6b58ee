//! A node under preparation: looking up its tensors, with complaints that name them.

use super::Numerics;
use crate::graph::{Error, Graph, Node, TensorId};
use crate::num::{Affine, DType, Multiplier, Values};
use std::collections::BTreeMap;

/// A node under preparation, with what its family needs to look up or complain.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub graph: &'a Graph,
    pub node: &'a Node,
    /// Values that were computed when the model was read, beside the graph's constants.
    pub known: Option<&'a BTreeMap<TensorId, Values>>,
    /// Whose rounding the kernels have.
    pub numerics: Numerics,
}

impl<'a> Context<'a> {
    pub fn error(self, what: impl Into<String>) -> Error {
        Error::Node {
            file: self.graph.file.clone(),
            node: self.node.describe(),
            what: what.into(),
        }
    }

    pub fn tensor(self, id: TensorId) -> &'a crate::graph::Tensor {
        &self.graph.tensors[id]
    }

    /// What is known of a tensor before the model runs.
    pub fn value(self, id: TensorId) -> Option<&'a Values> {
        let known = self.known.and_then(|known| known.get(&id));
        known.or(self.tensor(id).constant.as_ref())
    }

    pub fn optional_input(self, i: usize) -> Option<TensorId> {
        self.node.inputs.get(i).copied().flatten()
    }

    pub fn input(self, i: usize) -> Result<TensorId, Error> {
        self.optional_input(i)
            .ok_or_else(|| self.error(format!("input {i} is missing")))
    }

    pub fn output(self, i: usize) -> Result<TensorId, Error> {
        self.node
            .outputs
            .get(i)
            .copied()
            .ok_or_else(|| self.error(format!("output {i} is missing")))
    }

    pub fn shape(self, id: TensorId) -> &'a [usize] {
        &self.tensor(id).shape
    }

    /// The tensor's shape if it has rank `N`.
    pub fn shape_of_rank<const N: usize>(self, id: TensorId) -> Result<[usize; N], Error> {
        <[usize; N]>::try_from(self.shape(id)).map_err(|_| {
            self.error(format!(
                "{} has shape {:?}, expected rank {N}",
                self.graph.describe(id),
                self.shape(id)
            ))
        })
    }

    pub fn expect_dtype(self, id: TensorId, dtype: DType) -> Result<(), Error> {
        let got = self.tensor(id).dtype;
        if got == dtype {
            return Ok(());
        }
        Err(self.error(format!(
            "{} is {got}, expected {dtype}",
            self.graph.describe(id)
        )))
    }

    pub fn expect_shape(self, id: TensorId, shape: &[usize]) -> Result<(), Error> {
        if self.shape(id) == shape {
            return Ok(());
        }
        Err(self.error(format!(
            "{} has shape {:?}, expected {shape:?}",
            self.graph.describe(id),
            self.shape(id)
        )))
    }

    pub fn affine(self, id: TensorId) -> Result<Affine, Error> {
        let affine = self.tensor(id).affine().ok_or_else(|| {
            self.error(format!(
                "{} needs one scale and one zero point",
                self.graph.describe(id)
            ))
        })?;
        let (low, high) = match self.tensor(id).dtype {
            DType::I8 => (-128, 127),
            DType::U8 => (0, 255),
            DType::I16 => (-32768, 32767),
            _ => (i32::MIN, i32::MAX),
        };
        if !(low..=high).contains(&affine.zero_point) {
            return Err(self.error(format!(
                "{} has zero point {}, outside of its type",
                self.graph.describe(id),
                affine.zero_point
            )));
        }
        Ok(affine)
    }

    /// Symmetric weights' scales: one, or one for each of `channels` along `axis`; zero points 0.
    pub fn weight_scales(
        self,
        id: TensorId,
        channels: usize,
        axis: usize,
    ) -> Result<Vec<f32>, Error> {
        let describe = || self.graph.describe(id);
        let q = self.tensor(id).quantization.as_ref();
        let q = q.ok_or_else(|| self.error(format!("{} is not quantized", describe())))?;
        if q.zero_points.iter().any(|&z| z != 0) {
            return Err(self.error(format!(
                "{} has a zero point other than 0; int8 weights are symmetric",
                describe()
            )));
        }
        if q.scales.len() == 1 {
            return Ok(vec![q.scales[0]; channels]);
        }
        if q.scales.len() != channels || q.axis != axis {
            return Err(self.error(format!(
                "{} has {} scales along dimension {}, expected {channels} along dimension {axis}",
                describe(),
                q.scales.len(),
                q.axis
            )));
        }
        Ok(q.scales.clone())
    }

    pub fn constant<T: Clone>(
        self,
        id: TensorId,
        as_slice: impl Fn(&crate::num::Values) -> Option<&Vec<T>>,
        what: &str,
    ) -> Result<Vec<T>, Error> {
        let value = self.tensor(id).constant.as_ref();
        let value = value.ok_or_else(|| {
            self.error(format!(
                "{} must be a constant; weights computed at run time are not supported",
                self.graph.describe(id)
            ))
        })?;
        as_slice(value).cloned().ok_or_else(|| {
            self.error(format!(
                "{} is {}, expected {what}",
                self.graph.describe(id),
                value.dtype()
            ))
        })
    }

    pub fn f32s(self, id: TensorId) -> Result<Vec<f32>, Error> {
        self.constant(
            id,
            |v| {
                if let crate::num::Values::F32(v) = v {
                    Some(v)
                } else {
                    None
                }
            },
            "float32",
        )
    }

    pub fn i8s(self, id: TensorId) -> Result<Vec<i8>, Error> {
        self.constant(
            id,
            |v| {
                if let crate::num::Values::I8(v) = v {
                    Some(v)
                } else {
                    None
                }
            },
            "int8",
        )
    }

    pub fn i16s(self, id: TensorId) -> Result<Vec<i16>, Error> {
        self.constant(
            id,
            |v| {
                if let crate::num::Values::I16(v) = v {
                    Some(v)
                } else {
                    None
                }
            },
            "int16",
        )
    }

    pub fn i32s(self, id: TensorId) -> Result<Vec<i32>, Error> {
        self.constant(
            id,
            |v| {
                if let crate::num::Values::I32(v) = v {
                    Some(v)
                } else {
                    None
                }
            },
            "int32",
        )
    }

    /// The bias of `channels` values, or zeros.
    pub fn bias_f32(self, i: usize, channels: usize) -> Result<Vec<f32>, Error> {
        let Some(id) = self.optional_input(i) else {
            return Ok(vec![0.0; channels]);
        };
        let bias = self.f32s(id)?;
        self.expect_elements(id, channels)?;
        Ok(bias)
    }

    pub fn bias_i32(self, i: usize, channels: usize) -> Result<Vec<i32>, Error> {
        let Some(id) = self.optional_input(i) else {
            return Ok(vec![0; channels]);
        };
        let bias = self.i32s(id)?;
        self.expect_elements(id, channels)?;
        Ok(bias)
    }

    pub fn expect_elements(self, id: TensorId, n: usize) -> Result<(), Error> {
        let got = self.graph.elements(id);
        if got == n {
            return Ok(());
        }
        Err(self.error(format!(
            "{} has {got} elements, expected {n}",
            self.graph.describe(id)
        )))
    }

    pub fn multiplier(self, real: f64) -> Result<Multiplier, Error> {
        Multiplier::new(real)
            .map(|m| m.rounded(self.numerics.rounding()))
            .map_err(|e| self.error(e.to_string()))
    }

    /// TFLite's `CalculateActivationRangeQuantized`.
    pub fn quantized_bounds(
        self,
        activation: crate::graph::Activation,
        output: Affine,
    ) -> Result<(i32, i32), Error> {
        self.bounds_within(activation, output, (-128, 127))
    }

    /// The same for another type, whose limits are given.
    pub fn bounds_within(
        self,
        activation: crate::graph::Activation,
        output: Affine,
        (lowest, highest): (i32, i32),
    ) -> Result<(i32, i32), Error> {
        let (low, high) = activation.bounds();
        let quantize = |bound: f32, open: i32| -> Result<i32, Error> {
            if bound.is_infinite() {
                return Ok(open);
            }
            let steps = (bound / output.scale).round();
            // LiteRT refuses such an output scale as well.
            if !(-2_147_483_648.0..2_147_483_648.0).contains(&steps) {
                return Err(self.error(format!(
                    "its output scale {} is too small for its activation",
                    output.scale
                )));
            }
            Ok((steps as i32).saturating_add(output.zero_point))
        };
        Ok((
            quantize(low, lowest)?.max(lowest),
            quantize(high, highest)?.min(highest),
        ))
    }
}

/// Narrows a size for a parameter block; sizes were checked to fit when the graph was loaded.
pub(super) fn u32_of(x: usize) -> u32 {
    u32::try_from(x).expect("graph::load bounds every tensor to 2^31 elements")
}
