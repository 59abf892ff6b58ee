//! MEAN: bindings input, output, geometry, parameters (int8 only).

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{Mean, MeanI8};

pub(super) const SHADERS: &[Source] = &[embed!("f32/mean"), embed!("int8/mean")];

pub(super) fn f32(op: Op<'_>, k: &Mean) -> Vec<Launch> {
    let bindings = vec![op.read(0), op.write(0), geometry(op, k)];
    vec![Launch::linear("f32/mean", k.outputs as usize, bindings)]
}

pub(super) fn i8(op: Op<'_>, k: &MeanI8) -> Vec<Launch> {
    let parameters = Params::default()
        .i32([k.multiplier.mantissa, k.multiplier.shift])
        .i32([k.input_zero_point, k.output_zero_point])
        .binding();
    let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape), parameters];
    vec![Launch::linear("int8/mean", op.output_words(), bindings)]
}

fn geometry(op: Op<'_>, k: &Mean) -> Binding {
    Params::default()
        .u32([
            k.outputs,
            k.count,
            op.input_stride(0),
            op.output_words() as u32,
        ])
        .u32(k.kept.into_iter().flatten())
        .u32(k.reduced.into_iter().flatten())
        .binding()
}
