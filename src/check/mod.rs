//! What a quantized model must be like to run elsewhere: the TensorFlow Lite 8-bit quantization specification, and what
//! TensorFlow Lite Micro refuses besides. Looks at the file alone, also at one that cannot be run.

mod spec;
mod tflm;

use crate::model::{Model, Operator, QuantizationParameters, SubGraph, Tensor, TensorType};
use serde::Serialize;

/// What a model is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The 8-bit quantization specification.
    Spec,
    /// TensorFlow Lite Micro: the specification, and what its kernels refuse.
    Tflm,
}

/// Something that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `CONV_2D (operator 3)`, or a tensor.
    pub place: String,
    /// The rule, in a word or two.
    pub rule: &'static str,
    /// What is there in its place.
    pub what: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Everything in a model that breaks a rule of the target, in the order of the operators.
pub fn check(model: &Model, target: Target) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, subgraph) in model.subgraphs.iter().flatten().enumerate() {
        for (index, operator) in subgraph.operators.iter().flatten().enumerate() {
            let place = Place {
                model,
                subgraph,
                number,
                index,
                operator,
            };
            findings.extend(spec::check(place));
            if target == Target::Tflm {
                findings.extend(tflm::check(place));
            }
        }
    }
    findings
}

/// An operator in its model.
#[derive(Clone, Copy)]
struct Place<'a> {
    model: &'a Model,
    subgraph: &'a SubGraph,
    number: usize,
    index: usize,
    operator: &'a Operator,
}

impl<'a> Place<'a> {
    fn name(self) -> String {
        let codes = self.model.operator_codes.as_deref().unwrap_or_default();
        let code = codes.get(self.operator.opcode_index as usize);
        code.map_or("?".into(), |c| crate::model::operator_name(c).into_owned())
    }

    fn finding(self, rule: &'static str, what: String, remedy: &'static str) -> Finding {
        let subgraph = match self.number {
            0 => String::new(),
            n => format!(" of subgraph {n}"),
        };
        Finding {
            place: format!("{} (operator {}{subgraph})", self.name(), self.index),
            rule,
            what,
            remedy,
        }
    }

    fn tensor(self, id: i32) -> Option<Bound<'a>> {
        let tensors = self.subgraph.tensors.as_deref()?;
        let tensor = tensors.get(usize::try_from(id).ok()?)?;
        Some(Bound {
            model: self.model,
            id,
            tensor,
        })
    }

    fn input(self, i: usize) -> Option<Bound<'a>> {
        self.tensor(*self.operator.inputs.as_ref()?.get(i)?)
    }

    fn output(self, i: usize) -> Option<Bound<'a>> {
        self.tensor(*self.operator.outputs.as_ref()?.get(i)?)
    }

    fn inputs(self) -> impl Iterator<Item = Bound<'a>> {
        let ids = self.operator.inputs.iter().flatten();
        ids.filter_map(move |&id| self.tensor(id))
    }

    fn outputs(self) -> impl Iterator<Item = Bound<'a>> {
        let ids = self.operator.outputs.iter().flatten();
        ids.filter_map(move |&id| self.tensor(id))
    }
}

/// A tensor in its model.
#[derive(Clone, Copy)]
struct Bound<'a> {
    model: &'a Model,
    id: i32,
    tensor: &'a Tensor,
}

impl<'a> Bound<'a> {
    fn is(self, type_: TensorType) -> bool {
        self.tensor.type_ == type_ as i8
    }

    fn describe(self) -> String {
        format!(
            "tensor {} '{}'",
            self.id,
            self.tensor.name.as_deref().unwrap_or_default()
        )
    }

    fn quantization(self) -> Option<&'a QuantizationParameters> {
        let q = self.tensor.quantization.as_deref()?;
        q.scale.as_ref().is_some_and(|s| !s.is_empty()).then_some(q)
    }

    fn scales(self) -> &'a [f32] {
        let q = self.tensor.quantization.as_deref();
        q.and_then(|q| q.scale.as_deref()).unwrap_or_default()
    }

    fn zero_points(self) -> &'a [i64] {
        let q = self.tensor.quantization.as_deref();
        q.and_then(|q| q.zero_point.as_deref()).unwrap_or_default()
    }

    /// Scale and zero point of a tensor quantized as a whole.
    fn affine(self) -> Option<(f32, i64)> {
        match (self.scales(), self.zero_points()) {
            (&[scale], &[zero_point]) => Some((scale, zero_point)),
            (&[scale], []) => Some((scale, 0)),
            _ => None,
        }
    }

    fn data(self) -> Option<&'a [u8]> {
        let buffers = self.model.buffers.as_deref()?;
        let data = buffers.get(self.tensor.buffer as usize)?.data.as_deref()?;
        (!data.is_empty()).then_some(data)
    }

    fn is_constant(self) -> bool {
        self.data().is_some()
    }
}
