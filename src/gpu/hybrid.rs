//! What is around the products of dynamic range models. Rows as whole numbers: bindings input, ranges of pieces, codes,
//! scales, parameters. Sums as floats: sums, scales, output, parameters, weights' scales and biases.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{RowQuantize, RowScale};

pub(super) const SHADERS: &[Source] = &[
    embed!("f32/row_range"),
    embed!("f32/row_quantize"),
    embed!("f32/row_scale"),
];

/// Elements of a piece of a row: a workgroup takes one. Rows can be whole images.
const PIECE: usize = 8192;
/// Most pieces of a row: an invocation reads the ranges of all of them.
const MOST_PIECES: usize = 4096;

pub(super) fn row_quantize(op: Op<'_>, k: &RowQuantize) -> Vec<Launch> {
    let (rows, depth) = (k.rows, k.depth);
    let piece = PIECE.max(depth.div_ceil(MOST_PIECES));
    let pieces = depth.div_ceil(piece);
    let parameters = Params::default()
        .u32([rows as u32, depth as u32, op.input_stride(0)])
        .u32([pieces as u32, piece as u32])
        .binding();
    let ranges = Binding::Scratch {
        slot: 0,
        bytes_per_sample: 8 * rows * pieces,
    };
    let groups = move |samples: usize| samples * rows * pieces;
    let range = vec![op.read(0), ranges.clone(), parameters.clone()];
    let codes = vec![op.read(0), ranges, op.write(0), op.write(1), parameters];
    vec![
        Launch::groups("f32/row_range", range, groups),
        Launch::groups("f32/row_quantize", codes, groups).with("SYMMETRIC", f64::from(k.symmetric)),
    ]
}

pub(super) fn row_scale(op: Op<'_>, k: &RowScale) -> Vec<Launch> {
    let elements = op.output_elements();
    let parameters = Params::default()
        .u32([elements, k.rows, k.scales.len()].map(|n| n as u32))
        .f32([k.bounds.0, k.bounds.1])
        .binding();
    let weights = k.scales.iter().zip(&k.bias).flat_map(|(&s, &b)| [s, b]);
    let bindings = vec![
        op.read(0),
        op.read(1),
        op.write(0),
        parameters,
        Params::default().f32(weights).binding(),
    ];
    let launch = Launch::linear("f32/row_scale", elements, bindings);
    vec![launch.with("ONE_BY_ONE", f64::from(k.one_by_one))]
}
