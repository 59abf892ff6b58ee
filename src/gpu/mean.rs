//! MEAN: bindings input, output, geometry, parameters (int8 only). Long sums are shared by the invocations of a
//! workgroup.

use super::launch::{Binding, Launch, Op, Params, WORKGROUP};
use super::shader::{Source, embed};
use crate::kernel::{Mean, MeanI8};

pub(super) const SHADERS: &[Source] = &[embed!("f32/mean"), embed!("int8/mean")];

/// Most summands of an invocation that works alone.
const ALONE: u32 = 512;

pub(super) fn f32(op: Op<'_>, k: &Mean) -> Vec<Launch> {
    let bindings = vec![op.read(0), op.write(0), geometry(op, k)];
    launch("f32/mean", k, k.outputs as usize, bindings)
}

pub(super) fn i8(op: Op<'_>, k: &MeanI8) -> Vec<Launch> {
    let parameters = Params::default()
        .i32([k.multiplier.mantissa, k.multiplier.shift])
        .i32([k.input_zero_point, k.output_zero_point])
        .binding();
    let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape), parameters];
    launch("int8/mean", &k.shape, op.output_words(), bindings)
}

fn launch(shader: &'static str, k: &Mean, items: usize, bindings: Vec<Binding>) -> Vec<Launch> {
    let share = if k.count > ALONE { WORKGROUP } else { 1 };
    let groups = move |samples: usize| (samples * items).div_ceil(WORKGROUP / share);
    vec![Launch::groups(shader, bindings, groups).with("SHARE", share as f64)]
}

fn geometry(op: Op<'_>, k: &Mean) -> Binding {
    let strides = [op.input_stride(0), op.output_words() as u32];
    Params::default()
        .u32([k.outputs, k.count])
        .u32(strides)
        .u32(k.kept.into_iter().flatten())
        .u32(k.reduced.into_iter().flatten())
        .binding()
}
