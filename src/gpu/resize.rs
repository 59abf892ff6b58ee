//! RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR: bindings input, output, geometry, where rows and columns look.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{Bilinear, Nearest, ResizeShape};

pub(super) const SHADERS: &[Source] = &[
    embed!("any/nearest"),
    embed!("f32/bilinear"),
    embed!("int8/bilinear"),
];

fn geometry(op: Op<'_>, s: &ResizeShape) -> Binding {
    Params::default()
        .u32(s.input)
        .u32(s.output)
        .u32([s.channels, op.input_stride(0), op.output_words() as u32])
        .u32([op.output_elements() as u32])
        .binding()
}

pub(super) fn nearest(op: Op<'_>, k: &Nearest) -> Vec<Launch> {
    let width = op.graph.tensors[op.step.outputs[0]].dtype.size();
    let sources = k.rows.iter().chain(&k.columns).copied();
    let sources = Params::default().u32(sources).binding();
    let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape), sources];
    let launch = Launch::linear("any/nearest", op.output_words(), bindings);
    vec![launch.with("WIDTH", width as f64)]
}

pub(super) fn f32(op: Op<'_>, k: &Bilinear<f32>) -> Vec<Launch> {
    let taps = k.rows.iter().chain(&k.columns);
    let taps = taps.fold(Params::default(), |list, tap| {
        list.u32([tap.lower, tap.upper]).f32([tap.below, tap.above])
    });
    let bindings = vec![
        op.read(0),
        op.write(0),
        geometry(op, &k.shape),
        taps.binding(),
    ];
    vec![Launch::linear("f32/bilinear", op.output_elements(), bindings).seen()]
}

pub(super) fn i8(op: Op<'_>, k: &Bilinear<i32>) -> Vec<Launch> {
    integers("int8/bilinear", op, k)
}

/// int8 or int16.
pub(super) fn integers(shader: &'static str, op: Op<'_>, k: &Bilinear<i32>) -> Vec<Launch> {
    let taps = k.rows.iter().chain(&k.columns);
    let taps = taps.fold(Params::default(), |list, tap| {
        list.u32([tap.lower, tap.upper]).i32([tap.below, tap.above])
    });
    let bindings = vec![
        op.read(0),
        op.write(0),
        geometry(op, &k.shape),
        taps.binding(),
    ];
    vec![Launch::linear(shader, op.output_words(), bindings)]
}
