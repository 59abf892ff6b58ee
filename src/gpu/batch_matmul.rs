//! Products of two activations: bindings a, b, bias (float only), output, geometry, parameters.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{MatmulF32, MatmulI8, MatmulShape};

pub(super) const SHADERS: &[Source] = &[embed!("f32/matmul"), embed!("int8/matmul")];

/// Products that one loop of any driver takes: see "Loops" in `launch.rs`.
pub(super) const MOST_PRODUCTS: u32 = 60_000;

pub(super) fn geometry(op: Op<'_>, s: &MatmulShape, bias: u32) -> Binding {
    Params::default()
        .u32(s.batch)
        .u32(s.batch_strides.into_iter().flatten())
        .u32([s.rows, s.columns, s.depth])
        .u32(s.x)
        .u32(s.y)
        .u32([op.input_stride(0), op.input_stride(1), bias])
        .u32([op.output_words() as u32, op.output_elements() as u32])
        .binding()
}

/// `None` where a sum is too long.
pub(super) fn f32(op: Op<'_>, k: &MatmulF32) -> Option<Vec<Launch>> {
    if k.shape.depth > MOST_PRODUCTS {
        return None;
    }
    let bounds = Params::default().f32([k.bounds.0, k.bounds.1]).binding();
    let has_bias = op.step.inputs.len() > 2;
    let (bias, stride) = if has_bias {
        (op.read(2), op.input_stride(2))
    } else {
        (Params::default().u32([0]).binding(), 0)
    };
    let geometry = geometry(op, &k.shape, stride);
    let bindings = vec![op.read(0), op.read(1), bias, op.write(0), geometry, bounds];
    let launch = Launch::linear("f32/matmul", op.output_elements(), bindings);
    let bias = f64::from(u8::from(has_bias));
    Some(vec![launch.with("BIAS", bias).seen()])
}

/// `None` where a sum is too long.
pub(super) fn i8(op: Op<'_>, k: &MatmulI8) -> Option<Vec<Launch>> {
    if 4 * k.shape.depth > MOST_PRODUCTS {
        return None;
    }
    let parameters = Params::default()
        .i32(k.input_zero_points)
        .i32([k.multiplier.mantissa, k.multiplier.shift])
        .i32([k.output_zero_point])
        .binding();
    let geometry = geometry(op, &k.shape, 0);
    let bindings = vec![op.read(0), op.read(1), op.write(0), geometry, parameters];
    Some(vec![Launch::linear(
        "int8/matmul",
        op.output_words(),
        bindings,
    )])
}
