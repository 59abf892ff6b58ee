//! SOFTMAX, and LOG_SOFTMAX and L2_NORMALIZATION of floats: bindings input, output, parameters. A workgroup a row (float) or four rows (int8).

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{L2Norm, Softmax, SoftmaxI8};

pub(super) const SHADERS: &[Source] = &[embed!("f32/softmax"), embed!("int8/softmax")];

pub(super) fn f32(op: Op<'_>, k: &Softmax) -> Vec<Launch> {
    rows(op, k.rows, k.depth, k.beta, 0.0)
}

pub(super) fn log_f32(op: Op<'_>, k: &Softmax) -> Vec<Launch> {
    rows(op, k.rows, k.depth, k.beta, 1.0)
}

pub(super) fn l2_f32(op: Op<'_>, k: &L2Norm) -> Vec<Launch> {
    rows(op, k.rows, k.depth, 1.0, 2.0)
}

fn rows(op: Op<'_>, rows: usize, depth: usize, beta: f32, number: f64) -> Vec<Launch> {
    let parameters = Params::default()
        .u32([rows as u32, depth as u32])
        .f32([beta])
        .u32([op.input_stride(0), op.output_words() as u32])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    let launch = Launch::groups("f32/softmax", bindings, move |samples| samples * rows);
    vec![launch.with("OP", number)]
}

pub(super) fn i8(op: Op<'_>, k: &SoftmaxI8) -> Vec<Launch> {
    let parameters = Params::default()
        .u32([k.shape.rows as u32, k.shape.depth as u32])
        .u32([op.input_stride(0), op.output_words() as u32])
        .i32(k.exp.iter().copied())
        .binding();
    let blocks = k.shape.rows.div_ceil(4);
    vec![Launch::groups(
        "int8/softmax",
        vec![op.read(0), op.write(0), parameters],
        move |samples| samples * blocks,
    )]
}
