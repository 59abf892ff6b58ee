//! SOFTMAX: bindings input, output, parameters. A workgroup a row (float) or four rows (int8).

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{Softmax, SoftmaxI8};

pub(super) const SHADERS: &[Source] = &[embed!("f32/softmax"), embed!("int8/softmax")];

pub(super) fn f32(op: Op<'_>, k: &Softmax) -> Vec<Launch> {
    let parameters = Params::default()
        .u32([k.rows as u32, k.depth as u32])
        .f32([k.beta])
        .u32([op.input_stride(0), op.output_words() as u32])
        .binding();
    let rows = k.rows;
    vec![Launch::groups(
        "f32/softmax",
        vec![op.read(0), op.write(0), parameters],
        move |samples| samples * rows,
    )]
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
