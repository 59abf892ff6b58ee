//! QUANTIZE, DEQUANTIZE, functions of 8 or 16 bits and the tables of fed bytes: bindings input, output, parameters with
//! their table.

use super::launch::{Binding, Launch, Op, Params, words};
use super::shader::{Source, embed};
use crate::graph::TensorId;
use crate::kernel::{Dequantize, Quantize, Table, Table16};
use crate::num::DType;

pub(super) const SHADERS: &[Source] = &[
    embed!("any/quantize"),
    embed!("any/table"),
    embed!("any/table_16"),
    embed!("any/dequantize"),
];

pub(super) fn quantize(op: Op<'_>, k: &Quantize) -> Vec<Launch> {
    let words = op.output_words();
    let parameters = Params::default()
        .u32([
            op.output_elements() as u32,
            op.input_stride(0),
            words as u32,
        ])
        .i32([k.qmin, k.output.zero_point])
        .u32([bits(op, op.step.outputs[0]), k.keys.len() as u32])
        .u32(k.keys.iter().copied())
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    vec![Launch::linear("any/quantize", words, bindings)]
}

pub(super) fn table(op: Op<'_>, k: &Table) -> Vec<Launch> {
    let words = op.output_words();
    let table = k
        .bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let parameters = Params::default()
        .u32([words as u32, op.input_stride(0)])
        .u32(table)
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    vec![Launch::linear("any/table", words, bindings)]
}

pub(super) fn table_16(op: Op<'_>, k: &Table16) -> Vec<Launch> {
    let words = op.output_words();
    let (input, output) = (op.step.inputs[0], op.step.outputs[0]);
    let entries = k
        .entries
        .chunks_exact(2)
        .map(|e| u32::from(e[0]) | u32::from(e[1]) << 16);
    let parameters = Params::default()
        .u32([
            op.output_elements() as u32,
            op.input_stride(0),
            words as u32,
        ])
        .u32([bits(op, input), bits(op, output)])
        .u32(entries)
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    vec![Launch::linear("any/table_16", words, bindings)]
}

/// Bits of an element of a tensor.
fn bits(op: Op<'_>, tensor: TensorId) -> u32 {
    8 * op.graph.tensors[tensor].dtype.size() as u32
}

pub(super) fn dequantize(op: Op<'_>, k: &Dequantize) -> Vec<Launch> {
    let (elements, stride) = (op.output_elements(), op.input_stride(0));
    vec![by_table(
        (op.read(0), bits(op, op.step.inputs[0])),
        stride,
        op.write(0),
        elements,
        &k.table,
    )]
}

/// Makes floats of the bytes of an input.
pub(super) fn feed(input: usize, tensor: TensorId, elements: usize, table: &[f32]) -> Launch {
    let stride = words(elements, DType::U8) as u32;
    by_table(
        (Binding::Fed(input), 8),
        stride,
        Binding::Write(tensor),
        elements,
        table,
    )
}

fn by_table(
    (input, bits): (Binding, u32),
    stride: u32,
    output: Binding,
    elements: usize,
    table: &[f32],
) -> Launch {
    let parameters = Params::default()
        .u32([elements as u32, stride, bits])
        .f32(table.iter().copied())
        .binding();
    Launch::linear("any/dequantize", elements, vec![input, output, parameters])
}
