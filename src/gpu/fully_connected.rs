//! FULLY_CONNECTED: a matrix product like a 1×1 convolution over the rows of all samples, see [`super::product`].

use super::conv::io;
use super::launch::{Launch, Op};
use super::product::{Finish, ProductF32, ProductI8, plain};
use super::shader::Source;
use crate::kernel::{ConvShape, FullyConnected, FullyConnectedF32, FullyConnectedI8};

/// None of its own: those of CONV_2D.
pub(super) const SHADERS: &[Source] = &[];

/// As a matrix product.
pub(super) fn geometry(shape: &FullyConnected) -> ConvShape {
    plain(shape.rows, shape.depth, shape.units)
}

/// Float.
pub(super) fn f32(op: Op<'_>, k: &FullyConnectedF32) -> Vec<Launch> {
    let product = ProductF32 {
        shape: geometry(&k.shape),
        weights: &k.weights,
        bias: &k.bias,
        bounds: k.bounds,
    };
    product.launches(io(op), op.tiles)
}

/// int8.
pub(super) fn i8(op: Op<'_>, k: &FullyConnectedI8) -> Vec<Launch> {
    let product = ProductI8 {
        shape: geometry(&k.shape),
        weights: &k.weights,
        bias: &k.bias,
        input_zero_point: k.input_zero_point,
        finish: Finish::Levels(k),
    };
    product.launches(io(op), op.output_words(), op.tiles)
}
