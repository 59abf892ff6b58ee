//! Reductions: bindings input, output, geometry, parameters (int8 only). Long sums are shared by the invocations of a
//! workgroup.

use super::launch::{Binding, Launch, Op, Params, WORKGROUP};
use super::shader::{Source, embed};
use crate::graph::Reduce;
use crate::kernel::{Arg, Axes, MeanI8, ReduceOf};
use crate::num::DType;

pub(super) const SHADERS: &[Source] = &[
    embed!("f32/reduce"),
    embed!("int8/reduce"),
    embed!("any/arg"),
    embed!("any/reduce_int"),
];

/// Most elements of an invocation that works alone.
const ALONE: u32 = 512;

pub(super) fn f32(op: Op<'_>, k: &ReduceOf) -> Vec<Launch> {
    let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape)];
    let items = k.shape.outputs as usize;
    vec![launch("f32/reduce", &k.shape, items, bindings).with("OP", number(k.op))]
}

/// The reduction's number in the shaders of floats and int32.
fn number(op: Reduce) -> f64 {
    match op {
        Reduce::Sum => 1.0,
        Reduce::Prod => 2.0,
        Reduce::Max => 3.0,
        Reduce::Min => 4.0,
        _ => 0.0,
    }
}

pub(super) fn mean_i8(op: Op<'_>, k: &MeanI8) -> Vec<Launch> {
    let parameters = [
        k.multiplier.mantissa,
        k.multiplier.shift,
        k.input_zero_point,
        k.output_zero_point,
    ];
    vec![words("int8/reduce", op, &k.shape, 0, &parameters)]
}

/// Maximum and minimum of int8, and whether any or all of bool are true.
pub(super) fn i8(op: Op<'_>, k: &ReduceOf) -> Vec<Launch> {
    let number = if matches!(k.op, Reduce::Max | Reduce::Any) {
        1
    } else {
        2
    };
    vec![words("int8/reduce", op, &k.shape, number, &[0; 4])]
}

/// `None` for int64.
pub(super) fn int(op: Op<'_>, k: &ReduceOf) -> Option<Vec<Launch>> {
    match op.graph.tensors[op.step.outputs[0]].dtype {
        DType::Bool => Some(i8(op, k)),
        DType::I32 => {
            let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape)];
            let items = k.shape.outputs as usize;
            let launch = Launch::linear("any/reduce_int", items, bindings);
            Some(vec![launch.with("OP", number(k.op))])
        }
        _ => None,
    }
}

/// A reduction of integers of 8 or 16 bits.
pub(super) fn words(
    shader: &'static str,
    op: Op<'_>,
    k: &Axes,
    number: u8,
    parameters: &[i32],
) -> Launch {
    let parameters = Params::default().i32(parameters.iter().copied()).binding();
    let bindings = vec![op.read(0), op.write(0), geometry(op, k), parameters];
    launch(shader, k, op.output_words(), bindings).with("OP", f64::from(number))
}

pub(super) fn arg(op: Op<'_>, k: &Arg) -> Vec<Launch> {
    let dtype = |id: usize| op.graph.tensors[id].dtype;
    let kind = match dtype(op.step.inputs[0]) {
        DType::F32 => 0u8,
        DType::I32 => 1,
        DType::I8 => 2,
        _ => 3,
    };
    let words = dtype(op.step.outputs[0]).size() / 4;
    let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape)];
    let launch = Launch::linear("any/arg", k.shape.outputs as usize, bindings)
        .with("KIND", f64::from(kind))
        .with("WORDS", words as f64)
        .with("LARGEST", f64::from(u8::from(k.largest)));
    vec![launch]
}

fn launch(shader: &'static str, k: &Axes, items: usize, bindings: Vec<Binding>) -> Launch {
    let share = if k.count > ALONE { WORKGROUP } else { 1 };
    let groups = move |samples: usize| (samples * items).div_ceil(WORKGROUP / share);
    Launch::groups(shader, bindings, groups).with("SHARE", share as f64)
}

fn geometry(op: Op<'_>, k: &Axes) -> Binding {
    let strides = [op.input_stride(0), op.output_words() as u32];
    Params::default()
        .u32([k.outputs, k.count])
        .u32(strides)
        .u32(k.kept.into_iter().flatten())
        .u32(k.reduced.into_iter().flatten())
        .binding()
}
