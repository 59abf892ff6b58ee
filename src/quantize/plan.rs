//! What a quantization will do, as plain data: it can be printed, saved as JSON and compared.
//!
//! Tensor numbers below the graph's count are those of the float model and keep their place in the quantized one;
//! higher numbers are tensors that [`apply`](super::apply()) appends. Operators are numbered as in the float model.

use super::scheme::NodeScheme;
use crate::graph::TensorId;
use crate::num::{Affine, DType};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Type of the quantized model's inputs and outputs, where the float model has float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Io {
    /// float32, with QUANTIZE and DEQUANTIZE inside the model.
    Float,
    /// int8, no conversion at all.
    Int8,
    /// uint8, with a QUANTIZE to or from int8 inside the model.
    Uint8,
    /// int16, for models whose first or last operators have 16-bit activations.
    Int16,
}

/// Every decision about one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Type of inputs and outputs.
    pub io: Io,
    /// Float tensors that are fed or computed, and states.
    pub activations: Vec<ActivationPlan>,
    /// Inputs and outputs of another type than the tensor has inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surface: Vec<Surface>,
    /// Float constants; one with different uses is listed once for each of its quantized forms.
    pub constants: Vec<ConstantPlan>,
    /// Conversions between forms of a tensor, at the model's surface and inside.
    pub conversions: Vec<Conversion>,
    /// Tensors that these conversions add.
    pub tensors: Vec<AddedTensor>,
    /// Operators that read or write another tensor than in the float model.
    pub moved: Vec<Moved>,
    /// Tensors added to LSTMs.
    pub intermediates: Vec<Intermediates>,
    /// The model's own operators, in order.
    pub operators: Vec<OperatorPlan>,
    /// Oldest TensorFlow Lite that can run the operators at these versions.
    pub min_runtime_version: String,
}

/// An input or output as the caller sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// Its number.
    pub tensor: TensorId,
    /// Its type.
    pub dtype: DType,
    /// Scale and zero point.
    #[serde(flatten)]
    pub affine: Affine,
}

/// What becomes of a tensor that is fed, computed or kept as state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivationPlan {
    /// Its number.
    pub tensor: TensorId,
    /// Its name.
    pub name: String,
    /// int8; int16 for the cell state of an LSTM, the state of an SVDF, and around operators of 16 bits.
    pub dtype: DType,
    /// Scale and zero point.
    #[serde(flatten)]
    pub affine: Affine,
    /// Where they come from.
    pub why: Why,
}

/// Where the parameters of an activation come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The range it took in calibration.
    Range {
        /// Smallest value.
        min: f32,
        /// Largest value.
        max: f32,
    },
    /// The part of its range that a method of [`ranges`](crate::ranges) kept.
    Chosen {
        /// The method with its parameters.
        method: String,
        /// Smallest value that is kept.
        low: f32,
        /// Largest value that is kept.
        high: f32,
        /// Smallest value seen.
        min: f32,
        /// Largest value seen.
        max: f32,
    },
    /// Its range is so small that the operator's kernel needs a larger scale.
    Least {
        /// Smallest value.
        min: f32,
        /// Largest value.
        max: f32,
    },
    /// The caller gave them.
    Given,
    /// Its operator only moves data: those of this tensor.
    Inherited(TensorId),
    /// The specification fixes them for its operator.
    Fixed,
    /// It is the state behind this output.
    StateOf(TensorId),
    /// It is joined with others into this tensor, and shares its parameters.
    JoinedInto(TensorId),
}

/// A quantized form of a float constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConstantPlan {
    /// The float constant.
    pub source: TensorId,
    /// The tensor that holds this form: the constant itself, or an added copy where other uses need other forms.
    pub tensor: TensorId,
    /// Name of that tensor.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Dimension along which the scales run; none if there is one scale for all.
    pub axis: Option<usize>,
    /// Scales.
    pub scales: Vec<f32>,
    /// Zero point of all of them.
    pub zero_point: i32,
    /// Scales that were made larger, because the bias would not fit int32 otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enlarged: Vec<usize>,
    /// What is added to the float values of a bias before it is rounded, to make up for the rounding of weights; nothing if
    /// empty. See [`Correction`](super::Correction).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub correction: Vec<f32>,
    /// Who reads it.
    pub uses: Vec<Use>,
}

/// What a constant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// int8, symmetric.
    Weight,
    /// int16 of ten bits, symmetric: the time filters of an SVDF.
    Time,
    /// int32.
    Bias,
    /// int64, of an operator with 16-bit activations.
    #[serde(rename = "bias64")]
    WideBias,
    /// int8, like an activation.
    Operand,
    /// int16, like an activation.
    #[serde(rename = "operand16")]
    WideOperand,
}

/// One input of one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Position in [`Graph::nodes`](crate::graph::Graph::nodes).
    pub node: usize,
    /// Position among the operator's inputs.
    pub input: usize,
}

/// A QUANTIZE or DEQUANTIZE that the quantized model has and the float model has not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conversion {
    /// Which.
    pub operator: ConversionOperator,
    /// What it reads.
    pub from: TensorId,
    /// What it writes.
    pub to: TensorId,
    /// The operator of the float model that it comes before; their number for the end.
    pub before: usize,
}

/// An operator that changes the form of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConversionOperator {
    /// To integers, from floats or other integers.
    Quantize,
    /// To floats.
    Dequantize,
}

/// A tensor with another form of one of the float model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddedTensor {
    /// Its number.
    pub tensor: TensorId,
    /// Its name.
    pub name: String,
    /// The tensor it is a form of.
    pub like: TensorId,
    /// Its type.
    pub dtype: DType,
    /// Parameters of an integer form; none for a float one.
    #[serde(default)]
    pub affine: Option<Affine>,
}

/// One place of an operator that changes its tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The place.
    #[serde(flatten)]
    pub at: Place,
    /// The new tensor.
    pub tensor: TensorId,
}

/// A place among the inputs or outputs of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// An input.
    Input(Use),
    /// An output: position in [`Graph::nodes`](crate::graph::Graph::nodes) and among the outputs.
    Output(Use),
}

/// The five tensors the integer LSTM kernel wants: four empty ones and the hidden state's parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intermediates {
    /// Position in [`Graph::nodes`](crate::graph::Graph::nodes).
    pub node: usize,
    /// Number of the first; the others follow it.
    pub first: TensorId,
    /// Names.
    pub names: [String; 5],
    /// Parameters of the hidden state.
    pub hidden: Affine,
}

/// An operator of the quantized model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorPlan {
    /// Index in the file.
    pub index: usize,
    /// Name.
    pub name: String,
    /// What it becomes; none if it has no float tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<NodeScheme>,
    /// Why it stays float although it has float tensors, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub float: Option<FloatReason>,
    /// Whether it was to have 16-bit activations, and has no kernel for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
    /// Least version of the operator that has the kernel.
    pub version: i32,
}

/// Why an operator with float tensors stays float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloatReason {
    /// LiteRT has no int8 kernel.
    NoKernel,
    /// DIV: a divisor may round to zero.
    DivisionByZero,
    /// LiteRT's int8 kernels do not agree, or do not look at scales.
    UnreliableKernel,
    /// Comparisons: equal integers may stand for different numbers.
    Comparison,
    /// Weights or a bias that are computed.
    ComputedWeights,
    /// An SVDF whose activation is not RELU.
    Activation,
    /// Values that no scale can hold.
    BeyondAnyScale,
    /// The user wants it so.
    Asked,
    /// It only moves elements, and everything around it is float.
    Neighbours,
    /// It has no weights, or no kernel that takes float activations and int8 weights.
    NoWeights,
    /// Its weights are too few to be worth it.
    SmallWeights,
    /// LiteRT has no kernel with 16-bit activations, and int8 is not wanted in its place.
    NoWideKernel,
    /// zeropoint does not compute it.
    Opaque,
}

impl fmt::Display for FloatReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FloatReason::NoKernel => "LiteRT has no int8 kernel for it",
            FloatReason::DivisionByZero => {
                "in int8 a divisor may round to zero, which LiteRT refuses as it runs"
            }
            FloatReason::UnreliableKernel => "LiteRT's int8 kernels for it give wrong results",
            FloatReason::Comparison => "numbers that differ may be equal in int8",
            FloatReason::ComputedWeights => {
                "its weights are computed, which its int8 kernel does not allow"
            }
            FloatReason::Activation => "its int8 kernel demands the activation RELU",
            FloatReason::BeyondAnyScale => "its values are too large for any scale",
            FloatReason::Asked => "as asked",
            FloatReason::Neighbours => "it only moves elements between float operators",
            FloatReason::NoWeights => "LiteRT has no dynamic range kernel for it",
            FloatReason::SmallWeights => "its weights have fewer than 1024 elements",
            FloatReason::NoWideKernel => "LiteRT has no kernel with 16-bit activations for it",
            FloatReason::Opaque => "zeropoint does not compute it",
        })
    }
}

impl Plan {
    /// The decision about an activation.
    pub fn activation(&self, id: TensorId) -> Option<&ActivationPlan> {
        self.activations.iter().find(|a| a.tensor == id)
    }
}

impl Role {
    /// Element type of a constant in this role.
    pub fn dtype(self) -> DType {
        match self {
            Role::Weight | Role::Operand => DType::I8,
            Role::Time | Role::WideOperand => DType::I16,
            Role::Bias => DType::I32,
            Role::WideBias => DType::I64,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Range { min, max } => write!(f, "range [{min}, {max}]"),
            Why::Chosen {
                method,
                low,
                high,
                min,
                max,
            } => write!(f, "{method} [{low}, {high}] of [{min}, {max}]"),
            Why::Least { min, max } => {
                write!(
                    f,
                    "range [{min}, {max}], with the smallest scale of its kernel"
                )
            }
            Why::Given => write!(f, "given"),
            Why::Inherited(id) => write!(f, "as tensor {id}"),
            Why::Fixed => write!(f, "fixed by the specification"),
            Why::StateOf(id) => write!(f, "state of tensor {id}"),
            Why::JoinedInto(id) => write!(f, "joined into tensor {id}"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for a in &self.activations {
            writeln!(
                f,
                "tensor {} '{}': {}, scale {}, zero point {} ({})",
                a.tensor, a.name, a.dtype, a.affine.scale, a.affine.zero_point, a.why
            )?;
        }
        for c in &self.constants {
            write!(f, "tensor {} '{}': ", c.tensor, c.name)?;
            write!(f, "{} {}", c.role.dtype(), c.role.name())?;
            match (c.axis, c.scales.as_slice()) {
                (None, &[scale]) => write!(f, ", scale {scale}, zero point {}", c.zero_point)?,
                (axis, scales) => {
                    let smallest = scales.iter().copied().fold(f32::INFINITY, f32::min);
                    let largest = scales.iter().copied().fold(0.0, f32::max);
                    let axis = axis.unwrap_or(0);
                    write!(
                        f,
                        ", {} scales {smallest} … {largest} along dimension {axis}",
                        scales.len()
                    )?;
                }
            }
            if !c.enlarged.is_empty() {
                write!(f, ", {} enlarged to make the bias fit", c.enlarged.len())?;
            }
            if c.source != c.tensor {
                write!(f, ", copy of tensor {}", c.source)?;
            }
            writeln!(f)?;
        }
        for OperatorPlan {
            index, name, float, ..
        } in &self.operators
        {
            if let Some(reason) = float {
                writeln!(f, "operator {index} {name}: stays float ({reason})")?;
            }
        }
        for c in &self.conversions {
            let operator = format!("{:?}", c.operator).to_uppercase();
            writeln!(f, "{operator}: tensor {} to tensor {}", c.from, c.to)?;
        }
        Ok(())
    }
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Role::Weight => "weight",
            Role::Time => "time filter",
            Role::Bias | Role::WideBias => "bias",
            Role::Operand | Role::WideOperand => "operand",
        }
    }
}
