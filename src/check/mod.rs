//! What a quantized model must be like to run elsewhere: the TensorFlow Lite 8-bit quantization specification, and what
//! targets refuse besides. Looks at the file alone, also at one that cannot be run.
//!
//! Each target has a file, which names where its facts come from. What cannot be told from the file (memory, drivers,
//! versions of a compiler) is left out.

mod cmsis_nn;
mod edgetpu;
mod nnapi;
mod spec;
mod tflm;

use crate::model::{
    BuiltinOperator, Model, Operator, OperatorCode, QuantizationParameters, SubGraph, Tensor,
    TensorType,
};
use serde::Serialize;

/// What a model is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The 8-bit quantization specification.
    Spec,
    /// TensorFlow Lite Micro: the specification, its operators, and what its kernels refuse.
    Tflm,
    /// TensorFlow Lite Micro with Arm's CMSIS-NN: the same, and notes on what runs by reference kernels.
    CmsisNn,
    /// TensorFlow Lite's delegate for Android's NNAPI: the specification, and what it leaves to the CPU.
    Nnapi,
    /// Coral's Edge TPU: the specification, and what its compiler leaves to the CPU.
    Edgetpu,
}

/// What a finding means for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A rule is broken: it does not run there, or not on the accelerator.
    Error,
    /// It runs, but there is something to know.
    Note,
}

/// Something that breaks a rule, or is worth a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it means.
    pub severity: Severity,
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
            match target {
                Target::Spec => {}
                Target::Tflm => findings.extend(tflm::check(place)),
                Target::CmsisNn => {
                    findings.extend(tflm::check(place));
                    findings.extend(cmsis_nn::check(place));
                }
                Target::Nnapi => findings.extend(nnapi::check(place)),
                Target::Edgetpu => findings.extend(edgetpu::check(place)),
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
    fn code(self) -> Option<&'a OperatorCode> {
        let codes = self.model.operator_codes.as_deref().unwrap_or_default();
        codes.get(self.operator.opcode_index as usize)
    }

    fn name(self) -> String {
        let code = self.code();
        code.map_or("?".into(), |c| crate::model::operator_name(c).into_owned())
    }

    fn version(self) -> i32 {
        self.code().map_or(0, |c| c.version)
    }

    /// Whether a program has to bring the kernel.
    fn is_custom(self) -> bool {
        let custom = |c| crate::model::builtin_code(c) == BuiltinOperator::Custom as i32;
        self.code().is_some_and(custom)
    }

    fn finding(self, rule: &'static str, what: String, remedy: &'static str) -> Finding {
        let subgraph = match self.number {
            0 => String::new(),
            n => format!(" of subgraph {n}"),
        };
        Finding {
            severity: Severity::Error,
            place: format!("{} (operator {}{subgraph})", self.name(), self.index),
            rule,
            what,
            remedy,
        }
    }

    fn note(self, rule: &'static str, what: String, remedy: &'static str) -> Finding {
        Finding {
            severity: Severity::Note,
            ..self.finding(rule, what, remedy)
        }
    }

    /// The first tensor whose shape is not fixed.
    fn open(self) -> Option<Bound<'a>> {
        let mut tensors = self.inputs().chain(self.outputs());
        tensors.find(|t| t.dims().iter().any(|&d| d < 0))
    }

    /// Tensors that are computed or fed.
    fn activations(self) -> impl Iterator<Item = Bound<'a>> {
        let tensors = self.inputs().chain(self.outputs());
        tensors.filter(|t| !t.is_constant())
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

    /// Name of its type, as `int8`.
    fn type_name(self) -> String {
        TensorType::try_from(self.tensor.type_).map_or_else(
            |_| format!("of type {}", self.tensor.type_),
            |t| format!("{t:?}").to_lowercase(),
        )
    }

    fn dims(self) -> &'a [i32] {
        self.tensor.shape.as_deref().unwrap_or_default()
    }

    /// The first few values of a constant of int32 or int64.
    fn integers(self) -> Option<Vec<i64>> {
        let data = self.data()?;
        let few = 16;
        if self.is(TensorType::Int32) {
            let words = data.as_chunks().0.iter().take(few);
            Some(words.map(|&w| i32::from_le_bytes(w).into()).collect())
        } else if self.is(TensorType::Int64) {
            let words = data.as_chunks().0.iter().take(few);
            Some(words.map(|&w| i64::from_le_bytes(w)).collect())
        } else {
            None
        }
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
