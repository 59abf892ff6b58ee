//! L2_NORMALIZATION and LOG_SOFTMAX of int8: what a row has in common first, then its elements. Bindings input, rows,
//! parameters, output.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{L2Norm, LogSoftmaxI8};

pub(super) const SHADERS: &[Source] = &[embed!("int8/norm"), embed!("int8/norm_rows")];

pub(super) fn l2_i8(op: Op<'_>, k: &L2Norm) -> Vec<Launch> {
    let head = [k.zero_point, 0, 0, 0];
    launches(op, 0, k.rows, k.depth, head, &[0; 512])
}

pub(super) fn log_softmax_i8(op: Op<'_>, k: &LogSoftmaxI8) -> Vec<Launch> {
    let head = [0, k.farthest, k.reverse.mantissa, k.reverse.shift];
    let tables = [k.scaled.as_slice(), &k.exp].concat();
    launches(op, 1, k.shape.rows, k.shape.depth, head, &tables)
}

fn launches(
    op: Op<'_>,
    number: u8,
    rows: usize,
    depth: usize,
    head: [i32; 4],
    tables: &[i32],
) -> Vec<Launch> {
    let parameters = Params::default()
        .u32([rows as u32, depth as u32])
        .u32([op.input_stride(0), op.output_words() as u32])
        .u32([op.output_elements() as u32])
        .i32(head)
        .i32(tables.iter().copied())
        .binding();
    let scratch = Binding::Scratch {
        slot: 0,
        bytes_per_sample: 16 * rows,
    };
    let first = vec![op.read(0), scratch, parameters.clone()];
    let second = vec![op.read(0), Binding::ReadScratch(0), parameters, op.write(0)];
    vec![
        Launch::linear("int8/norm_rows", rows, first).with("OP", f64::from(number)),
        Launch::linear("int8/norm", op.output_words(), second).with("OP", f64::from(number)),
    ]
}
