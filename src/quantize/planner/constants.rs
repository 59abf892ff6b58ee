//! Weights, biases and other constants.

use super::Planner;
use crate::graph::{Node, Op, TensorId};
use crate::num::affine::symmetric_8bit;
use crate::num::{Affine, DType, Values};
use crate::quantize::error::Error;
use crate::quantize::plan::{ConstantPlan, Role, Use};
use crate::quantize::scales::bias_scales_for;

impl<'a> Planner<'a> {
    /// Symmetric scales of weights: one, or one for each slice along `axis`.
    pub(super) fn weight_scales(
        &self,
        node: &Node,
        id: TensorId,
        axis: Option<usize>,
    ) -> Result<Vec<f32>, Error> {
        let graph = self.graph;
        let shape = &graph.tensors[id].shape;
        let (channels, step) = match axis {
            None => (1, graph.elements(id)),
            Some(axis) => match shape.get(axis) {
                Some(&channels) => (channels, shape[axis + 1..].iter().product()),
                None => {
                    let what = format!("{} has shape {shape:?}", graph.describe(id));
                    return Err(Error::node(graph, node, what));
                }
            },
        };
        let mut largest = vec![0f32; channels];
        for (k, x) in self.constant(node, id)?.iter().enumerate() {
            let slot = &mut largest[k / step % channels];
            *slot = slot.max(x.abs());
        }
        Ok(largest.into_iter().map(symmetric_8bit).collect())
    }

    /// Weights of a node whose kernel quantizes its input as it runs.
    pub(super) fn dynamic_weight(
        &mut self,
        i: usize,
        node: &Node,
        input: usize,
        axis: Option<usize>,
    ) -> Result<(), Error> {
        let id = self.input(node, input)?;
        let single = self.options.per_tensor.contains(&i);
        let mut scales = self.weight_scales(node, id, axis.filter(|_| !single))?;
        let axis = match node.op {
            // This kernel has a scale for each channel, and no other.
            Op::DepthwiseConv2d(_) => axis,
            _ => axis.filter(|_| !single),
        };
        if let Some(axis) = axis {
            let channels = self.graph.tensors[id].shape[axis];
            scales.resize(channels, scales[0]);
        }
        self.use_constant(i, input, id, Role::Weight, axis, scales, 0);
        Ok(())
    }

    /// Symmetric weights and, given its number and the scale of the products' other factor, the bias.
    pub(super) fn weight(
        &mut self,
        i: usize,
        node: &Node,
        input: usize,
        axis: Option<usize>,
        bias: Option<(usize, Affine)>,
    ) -> Result<(), Error> {
        let id = self.input(node, input)?;
        let graph = self.graph;
        let mut scales = self.weight_scales(node, id, axis)?;
        let mut enlarged = Vec::new();
        if let Some((slot, factor)) = bias
            && let Some(bias) = node.inputs.get(slot).copied().flatten()
        {
            let values = self.constant(node, bias)?;
            if axis.is_some() && values.len() != scales.len() {
                let what = format!(
                    "its bias has {} values for {} channels",
                    values.len(),
                    scales.len()
                );
                return Err(Error::node(graph, node, what));
            }
            let wide = self.integer(i) == DType::I16;
            let bias_scales;
            (bias_scales, enlarged) = bias_scales_for(factor.scale, &mut scales, values, wide);
            if let Some(bad) = bias_scales.iter().find(|s| !s.is_normal()) {
                let what = format!(
                    "its bias would have the scale {bad}; its weights or its input are far out of the usual"
                );
                return Err(Error::node(graph, node, what));
            }
            let role = if wide { Role::WideBias } else { Role::Bias };
            self.use_constant(i, slot, bias, role, axis.map(|_| 0), bias_scales, 0);
        }
        let k = self.use_constant(i, input, id, Role::Weight, axis, scales, 0);
        if !enlarged.is_empty() {
            self.constants[k].enlarged = enlarged;
        }
        Ok(())
    }

    /// The finite values of a float constant.
    pub(super) fn constant(&self, node: &Node, id: TensorId) -> Result<&'a [f32], Error> {
        let graph = self.graph;
        let Some(Values::F32(values)) = &graph.tensors[id].constant else {
            let what = format!("{} must be a float32 constant", graph.describe(id));
            return Err(Error::node(graph, node, what));
        };
        match values.iter().position(|x| !x.is_finite()) {
            None => Ok(values),
            Some(index) => Err(Error::NotFinite {
                file: graph.file.clone(),
                tensor: graph.describe(id),
                index,
                value: values[index],
            }),
        }
    }

    /// Notes a use of a constant in some form; returns the form's place in the list.
    #[expect(clippy::too_many_arguments, reason = "the fields of one list entry")]
    pub(super) fn use_constant(
        &mut self,
        node: usize,
        input: usize,
        source: TensorId,
        role: Role,
        axis: Option<usize>,
        scales: Vec<f32>,
        zero_point: i32,
    ) -> usize {
        let place = Use { node, input };
        let same = |c: &ConstantPlan| {
            c.source == source
                && c.role == role
                && c.axis == axis
                && c.scales == scales
                && c.zero_point == zero_point
        };
        let forms = self.uses.entry(source).or_default();
        if let Some(&k) = forms.iter().find(|&&k| same(&self.constants[k])) {
            self.constants[k].uses.push(place);
            return k;
        }
        forms.push(self.constants.len());
        self.constants.push(ConstantPlan {
            source,
            tensor: source,
            name: self.graph.tensors[source].name.clone(),
            role,
            axis,
            scales,
            zero_point,
            enlarged: Vec::new(),
            uses: vec![place],
        });
        self.constants.len() - 1
    }
}
