//! Quantization: ranges → [`Plan`] → int8 model, float where there is no int8 kernel; and schemes that change constants
//! alone ([`float16`], [`weight_only`]).
//!
//! Decide, then perform. [`plan`] turns a float graph and the range of each of its activations into a [`Plan`]: plain
//! data that says for every float tensor what becomes of it and why. [`apply`] carries the plan out on the tree of the
//! file and decides nothing.
//!
//! The rules are those of the TensorFlow Lite 8-bit specification as TensorFlow's converter follows it:
//!
//! | tensor | type | parameters |
//! |---|---|---|
//! | activation | int8 | one scale and zero point from its range |
//! | output of RESHAPE, STRIDED_SLICE | int8 | those of the input |
//! | output of SOFTMAX | int8 | 1/256, −128 |
//! | constant operand, as of ADD | int8 | as an activation, from its own values |
//! | weights of CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED | int8 | symmetric, a scale for each output channel |
//! | weights of an LSTM | int8 | symmetric, one scale a matrix |
//! | bias | int32 | input scale · weight scale, zero point 0 |
//! | output state of an LSTM | int8 | those of the output |
//! | cell state of an LSTM | int16 | a power of two from its range |

mod added;
mod apply;
mod correction;
mod error;
mod fit;
mod forms;
mod options;
mod plan;
mod planner;
mod rule;
mod runtime;
mod scales;
mod scheme;
mod shared;
mod weights;

pub use apply::apply;
pub use correction::Correction;
pub use error::Error;
pub use options::{Chosen, Memo, Options, Weights, check_float, check_options};
pub use plan::{
    ActivationPlan, AddedTensor, ConstantPlan, Conversion, ConversionOperator, FloatReason,
    Intermediates, Io, Moved, OperatorPlan, Place, Plan, Role, Surface, Use, Why,
};
pub use planner::{plan, plan_by, plan_with, plan_with_parameters};
pub use scheme::NodeScheme;
pub use weights::{float16, weight_only};
