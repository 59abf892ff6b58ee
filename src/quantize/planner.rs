//! Makes the [`Plan`]: one walk over the operators in execution order.

mod recurrent;

use super::Error;
use super::added::{intermediates, is_float};
use super::forms::Forms;
use super::options::{Options, check_float, check_integer_only};
use super::plan::{
    ActivationPlan, ConstantPlan, FloatReason, Io, Moved, OperatorPlan, Place, Plan, Role, Use, Why,
};
use super::rule::{Rule, operands, rule, version};
use super::scales::{bias_scales_for, least_input_scale, least_scale, not_negative, widened};
use super::shared::shared;
use crate::graph::{Graph, Node, Op, TensorId, Unary};
use crate::num::affine::{activation_8bit, constant_8bit, symmetric_8bit};
use crate::num::{Affine, DType, Range, Values};
use std::collections::{HashMap, HashSet};

/// All operators' int8 kernels are in this release; the converter names none older for them.
const MIN_RUNTIME_VERSION: &str = "1.14.0";

/// Decides how to quantize `graph`; `ranges` has an entry for each of its tensors.
///
/// Ranges are needed for the inputs, for what the operators compute (unless the parameters follow from others) and for
/// the cell states of LSTMs.
///
/// # Errors
/// If the model is quantized already, a range is missing or senseless, a weight is not finite, or an operator has a
/// form that has no int8 kernel.
pub fn plan(graph: &Graph, ranges: &[Option<Range>], io: Io) -> Result<Plan, Error> {
    plan_with(graph, ranges, &Options::new(io))
}

/// As [`plan`], with more to choose.
///
/// # Errors
/// As [`plan`], and if every operator is to be integer and one cannot be.
pub fn plan_with(
    graph: &Graph,
    ranges: &[Option<Range>],
    options: &Options,
) -> Result<Plan, Error> {
    Planner::new(graph, Known::Ranges(ranges), options).plan()
}

/// As [`plan`], with the parameters themselves, for instance those another tool chose, in place of ranges.
///
/// Of the parameters of a cell state only the scale counts.
///
/// # Errors
/// As [`plan`].
pub fn plan_with_parameters(
    graph: &Graph,
    parameters: &[Option<Affine>],
    io: Io,
) -> Result<Plan, Error> {
    Planner::new(graph, Known::Parameters(parameters), &Options::new(io)).plan()
}

#[derive(Clone, Copy)]
enum Known<'a> {
    Ranges(&'a [Option<Range>]),
    Parameters(&'a [Option<Affine>]),
}

/// Whether an activation of a node is so large that no scale serves, as a mask of −3·10³⁸ is: the node stays float.
fn beyond_any_scale(graph: &Graph, known: Known<'_>, node: &Node) -> bool {
    let Known::Ranges(ranges) = known else {
        return false;
    };
    let is_wide = |r: Range| r.min <= r.max && !(r.max - r.min).is_finite();
    // Weights and biases have no ranges; an operand that is a constant has those of its values.
    let constant = |id: TensorId| match &graph.tensors[id].constant {
        Some(Values::F32(v)) => v
            .iter()
            .fold(Range::EMPTY, |r, &x| r.merge(Range { min: x, max: x })),
        _ => Range::EMPTY,
    };
    let places = operands(node, rule(graph, node));
    let inputs = places
        .into_iter()
        .filter_map(|p| node.inputs.get(p).copied().flatten());
    inputs.chain(node.outputs.iter().copied()).any(|id| {
        let range = ranges.get(id).copied().flatten();
        is_wide(range.unwrap_or(Range::EMPTY)) || is_wide(constant(id))
    })
}

struct Planner<'a> {
    graph: &'a Graph,
    known: Known<'a>,
    io: Io,
    /// Whether an operator that stays float is an error.
    integer_only: bool,
    rules: Vec<Rule>,
    /// Why operators stay float.
    float: Vec<Option<FloatReason>>,
    forms: Forms<'a>,
    /// Parameters that a tensor takes over from the one it is joined into, and which that is.
    shared: Vec<Option<TensorId>>,
    /// Parameters decided so far, by tensor.
    affine: Vec<Option<Affine>>,
    activations: Vec<ActivationPlan>,
    constants: Vec<ConstantPlan>,
    /// Places in `constants`, by source.
    uses: HashMap<TensorId, Vec<usize>>,
    moved: Vec<Moved>,
    /// Constants that an operator reads as float: they stay as they are.
    float_uses: HashSet<TensorId>,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Graph, known: Known<'a>, options: &Options) -> Self {
        let Options {
            io, integer_only, ..
        } = *options;
        let choose = |(i, node): (usize, &Node)| match options.rule(graph, i) {
            (rule, None) if rule != Rule::Untouched && beyond_any_scale(graph, known, node) => {
                (Rule::Float, Some(FloatReason::BeyondAnyScale))
            }
            decided => decided,
        };
        let nodes = graph.nodes.iter().enumerate();
        let (rules, float): (Vec<Rule>, Vec<_>) = nodes.map(choose).unzip();
        Planner {
            graph,
            known,
            io,
            integer_only,
            float,
            forms: Forms::new(graph, io, &rules),
            shared: shared(graph, &rules),
            rules,
            affine: vec![None; graph.tensors.len()],
            activations: Vec::new(),
            constants: Vec::new(),
            uses: HashMap::new(),
            moved: Vec::new(),
            float_uses: HashSet::new(),
        }
    }

    fn plan(mut self) -> Result<Plan, Error> {
        let graph = self.graph;
        check_float(graph)?;
        check_integer_only(graph, &self.float, self.integer_only)?;
        if let Some(node) = graph.nodes.iter().find(|n| n.op.is_opaque())
            && self.io != Io::Float
        {
            let what = "its outputs stay float; use --io float";
            return Err(Error::node(graph, node, what));
        }
        // A constant output is what it was, whatever becomes of it for its readers.
        for &id in graph
            .outputs
            .iter()
            .filter(|&&id| graph.tensors[id].constant.is_some())
        {
            if self.is_float(id) && self.io != Io::Float {
                return Err(Error::model(
                    graph,
                    format!(
                        "its output {} is a float constant; use --io float",
                        graph.describe(id)
                    ),
                ));
            }
            self.float_uses.insert(id);
        }
        for &id in &graph.inputs {
            // An input that nothing reads as int8 stays what it is, unless the caller wants another type.
            if self.is_float(id) && self.forms.needs_affine(id) {
                self.measured(id)?;
            }
        }
        self.forms.inputs(&self.affine);
        for (i, node) in graph.nodes.iter().enumerate() {
            self.node(i, node)?;
            for (k, &id) in node.outputs.iter().enumerate() {
                if self.is_float(id) && self.affine[id].is_none() && self.forms.needs_affine(id) {
                    self.measured(id)?;
                }
                let home = self.forms.home(id);
                if home != id {
                    let at = Place::Output(Use { node: i, input: k });
                    self.moved.push(Moved { at, tensor: home });
                }
            }
        }
        self.forms.outputs(&self.affine);
        let added = &mut self.forms.added;
        let mut seen = HashSet::new();
        for constant in &mut self.constants {
            if !seen.insert(constant.source) || self.float_uses.contains(&constant.source) {
                (constant.tensor, constant.name) = added.tensor(&constant.name);
            }
        }
        let intermediates = intermediates(graph, &self.affine, added);
        let operators = graph.nodes.iter().zip(&self.rules).zip(self.float);
        Ok(Plan {
            io: self.io,
            activations: self.activations,
            constants: self.constants,
            conversions: self.forms.conversions,
            tensors: self.forms.tensors,
            moved: self.moved,
            intermediates,
            operators: operators
                .map(|((node, &rule), float)| OperatorPlan {
                    index: node.index,
                    name: node.op.name().to_owned(),
                    float,
                    version: version(&node.op, rule),
                })
                .collect(),
            min_runtime_version: MIN_RUNTIME_VERSION,
        })
    }

    fn is_float(&self, id: TensorId) -> bool {
        is_float(self.graph, id)
    }

    fn node(&mut self, i: usize, node: &Node) -> Result<(), Error> {
        let rule = self.rules[i];
        match rule {
            Rule::Untouched => Ok(()),
            Rule::Float => {
                for place in operands(node, rule) {
                    let id = node.inputs[place];
                    let Some(id) = id.filter(|&id| self.is_float(id)) else {
                        continue;
                    };
                    if self.graph.tensors[id].constant.is_some() {
                        self.float_uses.insert(id);
                    } else if !self.graph.tensors[id].variable {
                        let form = self.forms.float(id, i);
                        self.reads(i, place, id, form);
                    }
                }
                Ok(())
            }
            Rule::Weighted { at, axis } => {
                let input = self.operand(i, node, at[0])?;
                self.weight(i, node, at[1], Some(axis), Some((at[2], input)))?;
                self.computed(node, 0.0)
            }
            Rule::Lstm => self.lstm(i, node),
            Rule::Svdf => self.svdf(i, node),
            Rule::Fixed(affine) => {
                let input = self.operand(i, node, 0)?;
                let least = least_input_scale(&node.op);
                if input.scale < least {
                    self.operand_as(i, node, 0, widened(input, least))?;
                }
                self.decide(self.output(node)?, DType::I8, affine, Why::Fixed);
                Ok(())
            }
            Rule::Free => {
                let mut scales = Vec::new();
                for place in operands(node, rule) {
                    let affine = self.operand(i, node, place)?;
                    scales.push(affine.scale);
                    if matches!(node.op, Op::Unary(Unary::Sqrt | Unary::Rsqrt)) {
                        // LiteRT stops at a negative value: what is below 0 becomes 0.
                        self.operand_as(i, node, place, not_negative(affine))?;
                    }
                }
                self.computed(node, least_scale(&node.op, &scales))
            }
            Rule::Inherit(place) => {
                let affine = self.operand(i, node, place)?;
                let source = self.input(node, place)?;
                for place in operands(node, rule).into_iter().filter(|&p| p != place) {
                    self.operand_as(i, node, place, affine)?;
                }
                for &id in &node.outputs {
                    self.decide(id, DType::I8, affine, Why::Inherited(source));
                }
                Ok(())
            }
            Rule::Together { .. } => {
                self.computed(node, 0.0)?;
                let output = self.output(node)?;
                let affine = self.affine[output];
                let affine = affine.ok_or_else(|| Error::missing_range(self.graph, output))?;
                for place in operands(node, rule) {
                    self.operand_as(i, node, place, affine)?;
                }
                Ok(())
            }
        }
    }

    /// Decides the float output of a node: by its own range, or as the tensor it is joined into. A scale below `least`
    /// is beyond LiteRT's kernel: it comes from values that cancel out.
    fn computed(&mut self, node: &Node, least: f32) -> Result<(), Error> {
        let Some(&id) = node.outputs.first().filter(|&&id| self.is_float(id)) else {
            return Ok(());
        };
        if matches!(self.known, Known::Parameters(_)) {
            return self.measured(id).map(drop);
        }
        let source = self.shared[id].unwrap_or(id);
        let Range { min, max } = self.range(source)?;
        let affine = self.activation(source, Range { min, max })?;
        let (affine, why) = if affine.scale < least {
            (widened(affine, least), Why::Least { min, max })
        } else if source == id {
            (affine, Why::Range { min, max })
        } else {
            (affine, Why::JoinedInto(source))
        };
        self.decide(id, DType::I8, affine, why);
        Ok(())
    }

    /// Notes that a node reads another form of a tensor.
    fn reads(&mut self, node: usize, input: usize, id: TensorId, form: TensorId) {
        if form != id {
            let at = Place::Input(Use { node, input });
            self.moved.push(Moved { at, tensor: form });
        }
    }

    /// Symmetric weights and, given its number and the scale of the products' other factor, the bias.
    fn weight(
        &mut self,
        i: usize,
        node: &Node,
        input: usize,
        axis: Option<usize>,
        bias: Option<(usize, Affine)>,
    ) -> Result<(), Error> {
        let id = self.input(node, input)?;
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
        let mut scales: Vec<f32> = largest.into_iter().map(symmetric_8bit).collect();
        let mut enlarged = Vec::new();
        if let Some((slot, factor)) = bias
            && let Some(bias) = node.inputs.get(slot).copied().flatten()
        {
            let values = self.constant(node, bias)?;
            if axis.is_some() && values.len() != channels {
                let what = format!(
                    "its bias has {} values for {channels} channels",
                    values.len()
                );
                return Err(Error::node(graph, node, what));
            }
            let bias_scales;
            (bias_scales, enlarged) = bias_scales_for(factor.scale, &mut scales, values);
            if let Some(bad) = bias_scales.iter().find(|s| !s.is_normal()) {
                let what = format!(
                    "its bias would have the scale {bad}; its weights or its input are far out of the usual"
                );
                return Err(Error::node(graph, node, what));
            }
            let role = Role::Bias;
            self.use_constant(i, slot, bias, role, axis.map(|_| 0), bias_scales, 0);
        }
        let k = self.use_constant(i, input, id, Role::Weight, axis, scales, 0);
        if !enlarged.is_empty() {
            self.constants[k].enlarged = enlarged;
        }
        Ok(())
    }

    /// The parameters of the int8 form that a node reads at an activation's place: those of the tensor itself. A
    /// constant gets them from its own values.
    fn operand(&mut self, i: usize, node: &Node, input: usize) -> Result<Affine, Error> {
        let id = self.float_input(node, input)?;
        let affine = match self.graph.tensors[id].constant {
            Some(_) => {
                let values = self.constant(node, id)?;
                let range = values
                    .iter()
                    .fold(Range::EMPTY, |r, &x| r.merge(Range { min: x, max: x }));
                if !(range.max - range.min).is_finite() {
                    return Err(self.bad_range(id, range));
                }
                constant_8bit(range.min, range.max)
            }
            None => match self.affine[id] {
                Some(affine) => affine,
                // Computed in float: its int8 form has the parameters of its range.
                None => match self.known {
                    Known::Ranges(_) => self.activation(id, self.range(id)?)?,
                    Known::Parameters(_) => self.given(id)?,
                },
            },
        };
        self.operand_as(i, node, input, affine)?;
        Ok(affine)
    }

    /// Has a node read an activation or a constant with these parameters.
    fn operand_as(
        &mut self,
        i: usize,
        node: &Node,
        input: usize,
        affine: Affine,
    ) -> Result<(), Error> {
        let id = self.float_input(node, input)?;
        if self.graph.tensors[id].constant.is_some() {
            self.constant(node, id)?;
            let scales = vec![affine.scale];
            self.use_constant(i, input, id, Role::Operand, None, scales, affine.zero_point);
            return Ok(());
        }
        let form = self.forms.int8(id, self.affine[id], affine, i);
        self.reads(i, input, id, form);
        Ok(())
    }

    fn float_input(&self, node: &Node, input: usize) -> Result<TensorId, Error> {
        let id = self.input(node, input)?;
        if self.is_float(id) {
            return Ok(id);
        }
        Err(Error::node(
            self.graph,
            node,
            format!("its input {input} is not float32, so there is nothing to quantize"),
        ))
    }

    fn input(&self, node: &Node, input: usize) -> Result<TensorId, Error> {
        node.inputs.get(input).copied().flatten().ok_or_else(|| {
            let what = format!("input {input} is missing; this form is not supported");
            Error::node(self.graph, node, what)
        })
    }

    fn output(&self, node: &Node) -> Result<TensorId, Error> {
        match node.outputs.first() {
            Some(&id) if self.is_float(id) => Ok(id),
            _ => Err(Error::node(self.graph, node, "its output is not float32")),
        }
    }

    /// The finite values of a float constant.
    fn constant(&self, node: &Node, id: TensorId) -> Result<&'a [f32], Error> {
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
    fn use_constant(
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

    /// Decides an activation from what is known about it.
    fn measured(&mut self, id: TensorId) -> Result<Affine, Error> {
        let (affine, why) = match self.known {
            Known::Ranges(_) => {
                let range = self.range(id)?;
                let Range { min, max } = range;
                (self.activation(id, range)?, Why::Range { min, max })
            }
            Known::Parameters(_) => (self.given(id)?, Why::Given),
        };
        self.decide(id, DType::I8, affine, why);
        Ok(affine)
    }

    fn decide(&mut self, id: TensorId, dtype: DType, affine: Affine, why: Why) {
        self.affine[id] = Some(affine);
        self.activations.push(ActivationPlan {
            tensor: id,
            name: self.graph.tensors[id].name.clone(),
            dtype,
            affine,
            why,
        });
    }

    fn activation(&self, id: TensorId, Range { min, max }: Range) -> Result<Affine, Error> {
        if !(max - min).is_finite() {
            return Err(self.bad_range(id, Range { min, max }));
        }
        Ok(activation_8bit(min, max, -128))
    }

    fn range(&self, id: TensorId) -> Result<Range, Error> {
        let known = match self.known {
            Known::Ranges(ranges) => ranges.get(id).copied().flatten(),
            Known::Parameters(_) => None,
        };
        match known {
            None | Some(Range::EMPTY) => Err(Error::missing_range(self.graph, id)),
            // Also false for NaN.
            Some(r) if r.min <= r.max && r.min.is_finite() && r.max.is_finite() => Ok(r),
            Some(r) => Err(self.bad_range(id, r)),
        }
    }

    fn bad_range(&self, id: TensorId, Range { min, max }: Range) -> Error {
        Error::BadRange {
            file: self.graph.file.clone(),
            tensor: self.graph.describe(id),
            min,
            max,
        }
    }

    fn given(&self, id: TensorId) -> Result<Affine, Error> {
        match self.known {
            Known::Parameters(all) => all.get(id).copied().flatten(),
            Known::Ranges(_) => None,
        }
        .filter(|a| a.scale.is_normal() && a.scale > 0.0 && (-128..=127).contains(&a.zero_point))
        .ok_or_else(|| Error::missing_range(self.graph, id))
    }
}
