//! Weights, biases and other constants.

use super::Planner;
use crate::graph::{Node, Op, TensorId};
use crate::num::{Affine, DType, Values};
use crate::quantize::error::Error;
use crate::quantize::plan::{ConstantPlan, Role, Use};
use crate::quantize::scales::{bias_scales_for, weight_scales};

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
        let values = self.constant(node, id)?;
        let method = self.options.weights;
        let find = || weight_scales(values, channels, step, method);
        Ok(match &self.options.memo {
            Some(memo) => memo.scales((id, axis, method), find),
            None => find(),
        })
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
            let correction = self.options.correction.as_ref();
            let correction = correction.and_then(|c| {
                let find = || c.of(graph, node, &scales);
                match &self.options.memo {
                    Some(memo) => memo.correction(i, &scales, find),
                    None => find(),
                }
            });
            let correction = correction.filter(|c| c.len() == values.len());
            let form = Form {
                role,
                axis: axis.map(|_| 0),
                scales: bias_scales,
                zero_point: 0,
                correction: correction.unwrap_or_default(),
            };
            self.use_form(i, slot, bias, form);
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
        let form = Form {
            role,
            axis,
            scales,
            zero_point,
            correction: Vec::new(),
        };
        self.use_form(node, input, source, form)
    }

    fn use_form(&mut self, node: usize, input: usize, source: TensorId, form: Form) -> usize {
        let place = Use { node, input };
        let same = |c: &ConstantPlan| {
            c.source == source
                && c.role == form.role
                && c.axis == form.axis
                && c.scales == form.scales
                && c.zero_point == form.zero_point
                && c.correction == form.correction
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
            role: form.role,
            axis: form.axis,
            scales: form.scales,
            zero_point: form.zero_point,
            enlarged: Vec::new(),
            correction: form.correction,
            uses: vec![place],
        });
        self.constants.len() - 1
    }
}

/// What becomes of a constant.
struct Form {
    role: Role,
    axis: Option<usize>,
    scales: Vec<f32>,
    zero_point: i32,
    correction: Vec<f32>,
}
