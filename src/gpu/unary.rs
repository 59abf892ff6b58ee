//! Functions of one float: bindings input, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::graph::Unary;

pub(super) const SHADERS: &[Source] = &[embed!("f32/unary")];

/// The function's number in the shader.
fn number(op: Unary) -> f64 {
    f64::from(match op {
        Unary::Abs => 0u8,
        Unary::Ceil => 1,
        Unary::Cos => 2,
        Unary::Elu => 3,
        Unary::Exp => 4,
        Unary::Floor => 5,
        Unary::Gelu { approximate: true } => 6,
        Unary::Gelu { approximate: false } => 7,
        Unary::HardSwish => 8,
        Unary::LeakyRelu { .. } => 9,
        Unary::Log => 10,
        Unary::Logistic => 11,
        Unary::Neg => 12,
        Unary::Relu | Unary::Relu0To1 | Unary::Relu6 | Unary::ReluN1To1 => 13,
        Unary::Round => 14,
        Unary::Rsqrt => 15,
        Unary::Sign => 16,
        Unary::Sin => 17,
        Unary::Sqrt => 18,
        Unary::Square => 19,
        Unary::Tanh => 20,
        Unary::LogicalNot => unreachable!("kernel::prepare makes a table of it"),
    })
}

pub(super) fn f32(op: Op<'_>, k: Unary) -> Vec<Launch> {
    let (low, high) = match k {
        Unary::LeakyRelu { alpha } => (alpha, 0.0),
        other => other.bounds(),
    };
    let parameters = Params::default()
        .u32([op.output_elements() as u32, op.input_stride(0)])
        .f32([low, high])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    let launch = Launch::linear("f32/unary", op.output_elements(), bindings);
    vec![launch.with("OP", number(k)).seen()]
}
