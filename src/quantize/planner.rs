//! Makes the [`Plan`]: one walk over the operators in execution order.

mod constants;
mod ranges;
mod recurrent;

use super::Error;
use super::added::{intermediates, is_float};
use super::forms::Forms;
use super::options::{Options, check_decisions, check_float};
use super::plan::{
    ActivationPlan, AddedTensor, ConstantPlan, FloatReason, Io, Moved, OperatorPlan, Place, Plan,
    Role, Surface, Use, Why,
};
use super::rule::{Rule, dynamic_weights, operands, rule, version, wide_output};
use super::runtime::oldest;
use super::scales::{least_input_scale, least_scale, not_negative, widened};
use super::scheme::{Decision, decide_all};
use super::shared::shared;
use crate::graph::{Graph, Node, Op, TensorId, Unary};
use crate::num::affine::{activation_16bit, constant_8bit};
use crate::num::{Affine, DType, Histogram, Range, Values};
use std::collections::{HashMap, HashSet};

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
    plan_by(graph, ranges, &[], options)
}

/// As [`plan_with`], with a histogram for each tensor besides, which methods other than `minmax` look at.
///
/// # Errors
/// As [`plan_with`], and if a histogram is missing.
pub fn plan_by(
    graph: &Graph,
    ranges: &[Option<Range>],
    histograms: &[Option<Histogram>],
    options: &Options,
) -> Result<Plan, Error> {
    let known = Known::Ranges(ranges, histograms);
    Planner::new(graph, known, options).plan()
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
    let options = Options::new(io);
    Planner::new(graph, Known::Parameters(parameters), &options).plan()
}

#[derive(Clone, Copy)]
enum Known<'a> {
    Ranges(&'a [Option<Range>], &'a [Option<Histogram>]),
    Parameters(&'a [Option<Affine>]),
}

/// Whether an activation of a node is so large that no scale serves, as a mask of −3·10³⁸ is: the node stays float.
fn beyond_any_scale(graph: &Graph, known: Known<'_>, node: &Node) -> bool {
    let Known::Ranges(ranges, _) = known else {
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
    options: &'a Options,
    decisions: Vec<Decision>,
    forms: Forms<'a>,
    /// Parameters that a tensor takes over from the one it is joined into, and which that is.
    shared: Vec<Option<TensorId>>,
    /// The node that computes each tensor.
    producers: Vec<Option<usize>>,
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
    fn new(graph: &'a Graph, known: Known<'a>, options: &'a Options) -> Self {
        let mut decisions = decide_all(graph, options);
        for (node, decision) in graph.nodes.iter().zip(&mut decisions) {
            if decision.integer().is_some() && beyond_any_scale(graph, known, node) {
                decision.keep_float(FloatReason::BeyondAnyScale);
            }
        }
        let mut producers = vec![None; graph.tensors.len()];
        for (i, node) in graph.nodes.iter().enumerate() {
            for &id in &node.outputs {
                producers[id] = Some(i);
            }
        }
        Planner {
            graph,
            producers,
            known,
            options,
            forms: Forms::new(graph, options.io, &decisions),
            shared: shared(graph, &decisions),
            decisions,
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
        check_decisions(graph, &self.decisions, self.options)?;
        if let Some(node) = graph.nodes.iter().find(|n| n.op.is_opaque())
            && self.options.io != Io::Float
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
            if self.is_float(id) && self.options.io != Io::Float {
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
        let eight = self.eight_bit_outputs()?;
        self.forms.outputs(&self.affine, &eight);
        let added = &mut self.forms.added;
        let mut seen = HashSet::new();
        for constant in &mut self.constants {
            if !seen.insert(constant.source) || self.float_uses.contains(&constant.source) {
                (constant.tensor, constant.name) = added.tensor(&constant.name);
            }
        }
        let intermediates = intermediates(graph, &self.decisions, &self.affine, added);
        let operators = self.operators();
        let wide = |t: &AddedTensor| t.dtype == DType::I16;
        let wide = self.forms.tensors.iter().any(wide) || self.options.io == Io::Int16;
        Ok(Plan {
            io: self.options.io,
            surface: self.surface()?,
            activations: self.activations,
            constants: self.constants,
            conversions: self.forms.conversions,
            tensors: self.forms.tensors,
            moved: self.moved,
            intermediates,
            min_runtime_version: oldest(&operators, wide),
            operators,
        })
    }

    fn operators(&self) -> Vec<OperatorPlan> {
        let nodes = self.graph.nodes.iter().zip(&self.decisions).enumerate();
        let operator = |(i, (node, d)): (usize, (&Node, &Decision))| {
            let mut weights = self.constants.iter().filter(|c| c.role == Role::Weight);
            let per_channel = weights
                .any(|c| c.scales.len() > 1 && c.uses.iter().any(|u| u.node == i && u.input == 1));
            OperatorPlan {
                index: node.index,
                name: node.op.name().to_owned(),
                scheme: d.scheme,
                float: d.float,
                fallback: d.fallback,
                version: version(&node.op, d.rule, d.integer(), per_channel),
            }
        };
        nodes.map(operator).collect()
    }

    /// The int8 parameters of a tensor.
    fn eight_bits(&self, id: TensorId) -> Result<Affine, Error> {
        match (self.forms.own_type(id), self.affine[id]) {
            (Some(DType::I8), Some(affine)) => Ok(affine),
            _ => Ok(self.of_range(id, DType::I8)?.0),
        }
    }

    /// Those of outputs that are uint8 outside.
    fn eight_bit_outputs(&self) -> Result<HashMap<TensorId, Affine>, Error> {
        if self.options.io != Io::Uint8 {
            return Ok(HashMap::new());
        }
        let outputs = self.graph.outputs.iter().copied();
        let outputs = outputs.filter(|&id| self.is_float(id));
        outputs.map(|id| Ok((id, self.eight_bits(id)?))).collect()
    }

    /// Inputs and outputs whose type is not the one inside.
    fn surface(&self) -> Result<Vec<Surface>, Error> {
        let surfaces = self.forms.surfaces().into_iter();
        let surface = |(tensor, dtype): (TensorId, DType)| {
            let affine = match dtype {
                DType::U8 => self.eight_bits(tensor).map(|a| Affine {
                    zero_point: a.zero_point + 128,
                    ..a
                }),
                dtype => self.of_range(tensor, dtype).map(|(affine, _)| affine),
            }?;
            Ok(Surface {
                tensor,
                dtype,
                affine,
            })
        };
        surfaces.map(surface).collect()
    }

    fn is_float(&self, id: TensorId) -> bool {
        is_float(self.graph, id)
    }

    fn node(&mut self, i: usize, node: &Node) -> Result<(), Error> {
        let Decision { rule, .. } = self.decisions[i];
        let dtype = self.integer(i);
        match rule {
            Rule::Untouched => Ok(()),
            Rule::Float | Rule::Dynamic => {
                let weights = match rule {
                    Rule::Dynamic => dynamic_weights(self.graph, node, 0).unwrap_or_default(),
                    _ => Vec::new(),
                };
                for &(place, axis) in &weights {
                    self.dynamic_weight(i, node, place, axis)?;
                }
                let is_weight = |place: &usize| weights.iter().any(|(w, _)| w == place);
                for place in operands(node, rule).into_iter().filter(|p| !is_weight(p)) {
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
                let axis = (!self.options.per_tensor.contains(&i)).then_some(axis);
                self.weight(i, node, at[1], axis, Some((at[2], input)))?;
                self.computed(node, dtype, 0.0)
            }
            Rule::Lstm => self.lstm(i, node),
            Rule::Svdf => self.svdf(i, node),
            Rule::Fixed(affine) => {
                let input = self.operand(i, node, 0)?;
                let least = least_input_scale(&node.op, dtype);
                if input.scale < least {
                    self.operand_as(i, node, 0, widened(input, least, dtype))?;
                }
                let affine = match dtype {
                    DType::I16 => wide_output(&node.op).unwrap_or(affine),
                    _ => affine,
                };
                self.decide(self.output(node)?, dtype, affine, Why::Fixed);
                Ok(())
            }
            Rule::Free => {
                let mut scales = Vec::new();
                for place in operands(node, rule) {
                    let affine = self.operand(i, node, place)?;
                    scales.push(affine.scale);
                    if matches!(node.op, Op::Unary(Unary::Sqrt | Unary::Rsqrt))
                        && dtype == DType::I8
                    {
                        // LiteRT stops at a negative value: what is below 0 becomes 0.
                        self.operand_as(i, node, place, not_negative(affine))?;
                    }
                }
                self.computed(node, dtype, least_scale(&node.op, &scales, dtype))
            }
            Rule::Inherit(place) => {
                let affine = self.operand(i, node, place)?;
                let source = self.input(node, place)?;
                for place in operands(node, rule).into_iter().filter(|&p| p != place) {
                    self.operand_as(i, node, place, affine)?;
                }
                for &id in &node.outputs {
                    self.decide(id, dtype, affine, Why::Inherited(source));
                }
                Ok(())
            }
            Rule::Together { .. } => {
                self.computed(node, dtype, 0.0)?;
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
    fn computed(&mut self, node: &Node, dtype: DType, least: f32) -> Result<(), Error> {
        let Some(&id) = node.outputs.first().filter(|&&id| self.is_float(id)) else {
            return Ok(());
        };
        if matches!(self.known, Known::Parameters(_)) {
            return self.measured(id).map(drop);
        }
        let source = self.shared[id].unwrap_or(id);
        let (affine, why) = self.of_range(source, dtype)?;
        let (affine, why) = if affine.scale < least {
            let Range { min, max } = self.range(source)?;
            (widened(affine, least, dtype), Why::Least { min, max })
        } else if source == id {
            (affine, why)
        } else {
            (affine, Why::JoinedInto(source))
        };
        self.decide(id, dtype, affine, why);
        Ok(())
    }

    /// The type of a node's activations, if it computes in integers.
    fn integer(&self, i: usize) -> DType {
        self.decisions[i].integer().unwrap_or(DType::I8)
    }

    /// Notes that a node reads another form of a tensor.
    fn reads(&mut self, node: usize, input: usize, id: TensorId, form: TensorId) {
        if form != id {
            let at = Place::Input(Use { node, input });
            self.moved.push(Moved { at, tensor: form });
        }
    }

    /// The parameters of the integer form that a node reads at an activation's place: those of the tensor itself, if it
    /// is of that type. A constant gets them from its own values.
    fn operand(&mut self, i: usize, node: &Node, input: usize) -> Result<Affine, Error> {
        let id = self.float_input(node, input)?;
        let dtype = self.integer(i);
        let affine = match self.graph.tensors[id].constant {
            Some(_) => {
                let values = self.constant(node, id)?;
                let range = values
                    .iter()
                    .fold(Range::EMPTY, |r, &x| r.merge(Range { min: x, max: x }));
                if !(range.max - range.min).is_finite() {
                    return Err(self.bad_range(id, range));
                }
                match dtype {
                    DType::I16 => activation_16bit(range.min, range.max),
                    _ => constant_8bit(range.min, range.max),
                }
            }
            None => match self.affine[id] {
                Some(affine) if self.forms.own_type(id) == Some(dtype) => affine,
                // Computed in another type: this form has the parameters of its range.
                _ => self.of_range(id, dtype)?.0,
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
            let role = match self.integer(i) {
                DType::I16 => Role::WideOperand,
                _ => Role::Operand,
            };
            self.use_constant(i, input, id, role, None, scales, affine.zero_point);
            return Ok(());
        }
        let wanted = (self.integer(i), affine);
        let form = self.forms.integer(id, self.affine[id], wanted, i);
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
}
