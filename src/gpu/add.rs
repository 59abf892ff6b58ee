//! ADD: bindings a, b, output, shape, parameters.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{Add, AddI8};

pub(super) const SHADERS: &[Source] = &[embed!("f32/add"), embed!("int8/add")];

pub(super) fn f32(op: Op<'_>, k: &Add) -> Vec<Launch> {
    let bounds = Params::default().f32([k.bounds.0, k.bounds.1]).binding();
    vec![Launch::linear("f32/add", op.output_elements(), bindings(op, k, bounds)).seen()]
}

pub(super) fn i8(op: Op<'_>, k: &AddI8) -> Vec<Launch> {
    let ([a, b], out) = (k.input_multipliers, k.output_multiplier);
    let parameters = Params::default()
        .i32(k.input_zero_points)
        .i32([a.mantissa, a.shift, b.mantissa, b.shift])
        .i32([out.mantissa, out.shift, k.output_zero_point])
        .i32([k.bounds.0, k.bounds.1])
        .binding();
    vec![Launch::linear(
        "int8/add",
        op.output_words(),
        bindings(op, &k.shape, parameters),
    )]
}

fn bindings(op: Op<'_>, k: &Add, parameters: Binding) -> Vec<Binding> {
    let shape = Params::default()
        .u32([op.output_elements() as u32, u32::from(k.same_shape)])
        .u32([op.input_stride(0), op.input_stride(1)])
        .u32([op.output_words() as u32])
        .u32(k.dims)
        .u32(k.strides[0])
        .u32(k.strides[1])
        .binding();
    vec![op.read(0), op.read(1), op.write(0), shape, parameters]
}
