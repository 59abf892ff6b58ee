//! CUMSUM, TOPK_V2 and ONE_HOT: bindings input, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{Cumsum, OneHot, TopK};
use crate::num::DType;

pub(super) const SHADERS: &[Source] = &[
    embed!("f32/cumsum"),
    embed!("f32/one_hot"),
    embed!("f32/top_k"),
];

/// Elements that one loop of any driver takes: see "Loops" in `launch.rs`.
const MOST: u32 = 60_000;

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// `None` for int64 and long lines.
pub(super) fn cumsum(op: Op<'_>, k: &Cumsum) -> Option<Vec<Launch>> {
    let dtype = op.graph.tensors[op.step.outputs[0]].dtype;
    if dtype == DType::I64 || k.lines.size > MOST {
        return None;
    }
    let lines = k.lines.outer * k.lines.inner;
    let parameters = Params::default()
        .u32([lines, k.lines.size, k.lines.inner])
        .u32([op.input_stride(0), op.output_words() as u32])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    let launch = Launch::linear("f32/cumsum", lines as usize, bindings)
        .with("REVERSE", flag(k.reverse))
        .with("EXCLUSIVE", flag(k.exclusive))
        .with("INTEGER", flag(dtype == DType::I32));
    Some(vec![launch])
}

/// `None` for long lines.
pub(super) fn top_k(op: Op<'_>, k: &TopK) -> Option<Vec<Launch>> {
    if k.lines.size > MOST {
        return None;
    }
    let parameters = Params::default()
        .u32([k.lines.outer, k.lines.size, k.k])
        .u32([op.input_stride(0), op.output_words() as u32])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    let items = k.lines.outer as usize * k.lines.size as usize;
    let launch = Launch::linear("f32/top_k", items, bindings);
    Some(vec![launch.with("INDICES", flag(k.indices))])
}

pub(super) fn one_hot(op: Op<'_>, k: &OneHot) -> Vec<Launch> {
    let parameters = Params::default()
        .u32([op.output_elements() as u32, k.lines.size, k.lines.inner])
        .u32([op.input_stride(0)])
        .f32([k.on, k.off])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    vec![Launch::linear(
        "f32/one_hot",
        op.output_elements(),
        bindings,
    )]
}
