//! CONV_2D and DEPTHWISE_CONV_2D. The full convolution is an implicit matrix product ([`super::product`]); the
//! depthwise one has kernels of its own, in which an invocation owns four channels of a pixel.

use super::launch::{Binding, Launch, Op, Params};
use super::product::{Finish, Io, ProductF32, ProductI8, bounded};
use super::shader::{Source, embed};
use crate::kernel::{ConvF32, ConvI8, ConvShape};

pub(super) const SHADERS: &[Source] = &[
    embed!("f32/conv_2d"),
    embed!("f32/conv_2d_scalar"),
    embed!("f32/conv_2d_matrix"),
    embed!("int8/conv_2d"),
    embed!("int8/conv_2d_matrix"),
    embed!("int8/pack"),
    embed!("f32/depthwise_conv_2d"),
    embed!("f32/depthwise_conv_2d_scalar"),
    embed!("int8/depthwise_conv_2d"),
    embed!("int8/depthwise_conv_2d_scalar"),
];

/// Float CONV_2D.
pub(super) fn f32(op: Op<'_>, k: &ConvF32) -> Vec<Launch> {
    let product = ProductF32 {
        shape: k.shape,
        weights: &k.weights,
        bias: &k.bias,
        bounds: k.bounds,
    };
    product.launches(io(op), op.tiles)
}

/// int8 CONV_2D.
pub(super) fn i8(op: Op<'_>, k: &ConvI8) -> Vec<Launch> {
    let product = ProductI8 {
        shape: k.shape,
        weights: &k.weights,
        bias: &k.bias,
        input_zero_point: k.input_zero_point,
        finish: Finish::Multipliers {
            multipliers: &k.multipliers,
            output_zero_point: k.output_zero_point,
            bounds: k.bounds,
        },
    };
    product.launches(io(op), op.output_words(), op.tiles)
}

/// First input to first output.
pub(super) fn io(op: Op<'_>) -> Io {
    Io {
        input: op.read(0),
        in_stride: op.input_stride(0),
        output: op.write(0),
    }
}

/// THE choice of variant of the depthwise kernels: whether four channels at once.
fn depthwise_quads(shape: &ConvShape) -> bool {
    shape.group_out == 1 && shape.out_c.is_multiple_of(4)
}

/// Float DEPTHWISE_CONV_2D.
pub(super) fn depthwise_f32(op: Op<'_>, k: &ConvF32) -> Vec<Launch> {
    let (applies, bounds) = bounded(k.bounds);
    let params = window_params(op, &k.shape).u32([applies]).f32(bounds);
    let elements = op.output_elements();
    let (shader, items) = if depthwise_quads(&k.shape) {
        ("f32/depthwise_conv_2d", elements / 4)
    } else {
        ("f32/depthwise_conv_2d_scalar", elements)
    };
    let bindings = vec![
        params.binding(),
        Binding::Constant(bytemuck::cast_slice(&k.weights).to_vec()),
        Binding::Constant(bytemuck::cast_slice(&k.bias).to_vec()),
        op.read(0),
        op.write(0),
    ];
    vec![Launch::linear(shader, items, bindings).seen()]
}

/// int8 DEPTHWISE_CONV_2D.
pub(super) fn depthwise_i8(op: Op<'_>, k: &ConvI8) -> Vec<Launch> {
    let params = window_params(op, &k.shape).i32([
        k.input_zero_point,
        k.output_zero_point,
        k.bounds.0,
        k.bounds.1,
    ]);
    let shader = if depthwise_quads(&k.shape) {
        "int8/depthwise_conv_2d"
    } else {
        "int8/depthwise_conv_2d_scalar"
    };
    let mut weights: Vec<u8> = bytemuck::cast_slice(&k.weights).to_vec();
    weights.resize(weights.len().next_multiple_of(4), 0);
    let channels = k.bias.iter().zip(&k.multipliers);
    let channels = channels.flat_map(|(&bias, m)| [bias, m.mantissa, m.shift, 0]);
    let bindings = vec![
        params.binding(),
        Binding::Constant(weights),
        Params::default().i32(channels).binding(),
        op.read(0),
        op.write(0),
    ];
    vec![Launch::linear(shader, op.output_words(), bindings)]
}

/// The words of `shared/window.wgsl`, with which parameters begin.
pub(super) fn window_params(op: Op<'_>, shape: &ConvShape) -> Params {
    Params::default().u32([
        shape.in_h,
        shape.in_w,
        shape.in_c,
        shape.out_h,
        shape.out_w,
        shape.out_c,
        shape.k_h,
        shape.k_w,
        shape.stride_h,
        shape.stride_w,
        shape.dilation_h,
        shape.dilation_w,
        shape.pad_top,
        shape.pad_left,
        shape.group_out,
        shape.pixels() as u32,
        op.input_stride(0),
    ])
}
