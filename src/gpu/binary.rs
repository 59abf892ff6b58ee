//! Functions of two elements: bindings a, b, output, shape, parameters.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::graph::Binary;
use crate::kernel::{AddI8, BinaryF32, BinaryInt, BinaryTable, Broadcast};
use crate::num::DType;

pub(super) const SHADERS: &[Source] = &[
    embed!("f32/binary"),
    embed!("f32/compare"),
    embed!("any/binary_int"),
    embed!("any/binary_table"),
    embed!("int8/add"),
];

/// The function's number in the shaders.
pub(super) fn number(op: Binary) -> f64 {
    f64::from(match op {
        Binary::Add => 0u8,
        Binary::Sub => 1,
        Binary::Mul => 2,
        Binary::Div => 3,
        Binary::Pow => 4,
        Binary::FloorDiv => 5,
        Binary::FloorMod => 6,
        Binary::Maximum => 7,
        Binary::Minimum => 8,
        Binary::SquaredDifference => 9,
        Binary::Prelu => 10,
        Binary::Equal => 11,
        Binary::NotEqual => 12,
        Binary::Less => 13,
        Binary::LessEqual => 14,
        Binary::Greater => 15,
        Binary::GreaterEqual => 16,
        Binary::LogicalAnd => 17,
        Binary::LogicalOr => 18,
    })
}

pub(super) fn f32(op: Op<'_>, k: &BinaryF32) -> Vec<Launch> {
    if k.op.is_comparison() {
        let none = Params::default().u32([0]).binding();
        let bindings = bindings(op, &k.shape, none);
        let launch = Launch::linear("f32/compare", op.output_words(), bindings);
        return vec![launch.with("OP", number(k.op))];
    }
    let bounds = Params::default().f32([k.bounds.0, k.bounds.1]).binding();
    let bindings = bindings(op, &k.shape, bounds);
    let launch = Launch::linear("f32/binary", op.output_elements(), bindings);
    vec![launch.with("OP", number(k.op)).seen()]
}

/// int32 only; `None` for int64.
pub(super) fn int(op: Op<'_>, k: &BinaryInt) -> Option<Vec<Launch>> {
    if op.graph.tensors[op.step.inputs[0]].dtype != DType::I32 {
        return None;
    }
    let clamp = |x: i64| x.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    let bounds = Params::default().i32([clamp(k.bounds.0), clamp(k.bounds.1)]);
    let bindings = bindings(op, &k.shape(), bounds.binding());
    let launch = Launch::linear("any/binary_int", op.output_words(), bindings);
    Some(vec![launch.with("OP", number(k.op))])
}

pub(super) fn table(op: Op<'_>, k: &BinaryTable) -> Vec<Launch> {
    let table = Binding::Constant(k.table.clone());
    let bindings = bindings(op, &k.shape, table);
    vec![Launch::linear(
        "any/binary_table",
        op.output_words(),
        bindings,
    )]
}

pub(super) fn add_i8(op: Op<'_>, k: &AddI8) -> Vec<Launch> {
    let ([a, b], out) = (k.input_multipliers, k.output_multiplier);
    let parameters = Params::default()
        .i32(k.input_zero_points)
        .i32([a.mantissa, a.shift, b.mantissa, b.shift])
        .i32([out.mantissa, out.shift, k.output_zero_point])
        .i32([k.bounds.0, k.bounds.1])
        .i32([if k.subtract { -1 } else { 1 }])
        .binding();
    let bindings = bindings(op, &k.shape, parameters);
    vec![Launch::linear("int8/add", op.output_words(), bindings)]
}

pub(super) fn bindings(op: Op<'_>, k: &Broadcast<2>, parameters: Binding) -> Vec<Binding> {
    let shape = Params::default()
        .u32([op.output_elements() as u32, u32::from(k.same_shape)])
        .u32([op.input_stride(0), op.input_stride(1)])
        .u32([op.output_words() as u32])
        .u32(k.dims)
        .u32(k.strides[0])
        .u32(k.strides[1])
        .binding();
    vec![op.read(0), op.read(1), op.write(0), shape, parameters]
}
