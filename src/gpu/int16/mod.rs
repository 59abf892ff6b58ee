//! int16 activations: an invocation owns words of two elements.

mod conv;

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use super::{batch_matmul, binary, pool, reduce, resize};
use crate::graph::Reduce;
use crate::kernel::{BinaryI16, Int16, MatmulI16, SoftmaxI16};

pub(super) const SHADERS: &[Source] = &[
    embed!("int16/conv_2d"),
    embed!("int16/matmul"),
    embed!("int16/binary"),
    embed!("int16/pool"),
    embed!("int16/reduce"),
    embed!("int16/bilinear"),
    embed!("int16/softmax"),
];

/// The launches of a kernel of int16; `None` where a sum is too long.
pub(super) fn launches(op: Op<'_>, k: &Int16) -> Option<Vec<Launch>> {
    Some(match k {
        Int16::Conv(k) => conv::conv(op, k),
        Int16::Matmul(k) => return matmul(op, k),
        Int16::Binary(k) => two(op, k),
        Int16::Pool(k) => pool::integers("int16/pool", op, k),
        Int16::Reduce(k) => {
            let number = if k.op == Reduce::Max { 1 } else { 2 };
            vec![reduce::words("int16/reduce", op, &k.shape, number, &[0; 2])]
        }
        Int16::Mean(k) => {
            let parameters = [k.multiplier.mantissa, k.multiplier.shift];
            vec![reduce::words("int16/reduce", op, &k.shape, 0, &parameters)]
        }
        Int16::Bilinear(k) => resize::integers("int16/bilinear", op, k),
        Int16::Softmax(k) => softmax(op, k),
    })
}

fn two(op: Op<'_>, k: &BinaryI16) -> Vec<Launch> {
    let ([a, b], out) = (k.input_multipliers, k.output_multiplier);
    let parameters = Params::default()
        .u32([k.left_shift])
        .i32([k.zero_point])
        .i32([a.mantissa, a.shift, b.mantissa, b.shift])
        .i32([out.mantissa, out.shift])
        .i32([k.bounds.0, k.bounds.1])
        .binding();
    let bindings = binary::bindings(op, &k.shape, parameters);
    let launch = Launch::linear("int16/binary", op.output_words(), bindings);
    vec![
        launch
            .with("OP", binary::number(k.op))
            .with("BITS", bits(op, 1)),
    ]
}

/// Bits of an element of an input.
fn bits(op: Op<'_>, input: usize) -> f64 {
    8.0 * op.graph.tensors[op.step.inputs[input]].dtype.size() as f64
}

fn matmul(op: Op<'_>, k: &MatmulI16) -> Option<Vec<Launch>> {
    if 2 * k.shape.depth > batch_matmul::MOST_PRODUCTS {
        return None;
    }
    let (reduced, right) = (k.multiplier.reduced(), 15 - k.multiplier.shift);
    let parameters = Params::default().i32([reduced, right]).binding();
    let geometry = batch_matmul::geometry(op, &k.shape, 0);
    let bindings = vec![op.read(0), op.read(1), op.write(0), geometry, parameters];
    let launch = Launch::linear("int16/matmul", op.output_words(), bindings);
    Some(vec![launch.with("BITS", bits(op, 1))])
}

fn softmax(op: Op<'_>, k: &SoftmaxI16) -> Vec<Launch> {
    let table = |t: &[i16]| t.iter().map(|&v| i32::from(v)).collect::<Vec<_>>();
    let parameters = Params::default()
        .u32([k.shape.rows as u32, k.shape.depth as u32])
        .u32([op.input_stride(0), op.output_words() as u32])
        .i32([k.multiplier.mantissa, k.multiplier.shift])
        .i32(table(&k.exp))
        .i32(table(&k.reciprocal))
        .binding();
    let blocks = k.shape.rows.div_ceil(2);
    vec![Launch::groups(
        "int16/softmax",
        vec![op.read(0), op.write(0), parameters],
        move |samples| samples * blocks,
    )]
}
