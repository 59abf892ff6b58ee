//! CONV_2D and DEPTHWISE_CONV_2D: geometry, weights as they are in the file (OHWI and 1HWO), multipliers a channel.

use super::{Context, Kernel, u32_of};
use crate::graph::{Error, Padding, Window};
use crate::num::{DType, Multiplier};

/// Which convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conv {
    /// CONV_2D, grouped or not.
    Full,
    /// DEPTHWISE_CONV_2D.
    Depthwise,
}

/// Geometry, as both devices use it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct ConvShape {
    /// The model's own batch dimension.
    pub batch: u32,
    /// Input height.
    pub in_h: u32,
    /// Input width.
    pub in_w: u32,
    /// Input channels.
    pub in_c: u32,
    /// Output height.
    pub out_h: u32,
    /// Output width.
    pub out_w: u32,
    /// Output channels.
    pub out_c: u32,
    /// Filter height.
    pub k_h: u32,
    /// Filter width.
    pub k_w: u32,
    /// Vertical stride.
    pub stride_h: u32,
    /// Horizontal stride.
    pub stride_w: u32,
    /// Vertical dilation.
    pub dilation_h: u32,
    /// Horizontal dilation.
    pub dilation_w: u32,
    /// Rows of padding above.
    pub pad_top: u32,
    /// Columns of padding at the left.
    pub pad_left: u32,
    /// Input channels one filter sees (1 for depthwise).
    pub group_in: u32,
    /// Output channels of one group (the depth multiplier for depthwise).
    pub group_out: u32,
}

/// A float convolution.
#[derive(Debug)]
pub struct ConvF32 {
    /// Geometry.
    pub shape: ConvShape,
    /// OHWI, or 1HWO for depthwise.
    pub weights: Vec<f32>,
    /// One an output channel; zeros where the model has none.
    pub bias: Vec<f32>,
    /// Bounds of the fused activation.
    pub bounds: (f32, f32),
}

/// An int8 convolution.
#[derive(Debug)]
pub struct ConvI8 {
    /// Geometry.
    pub shape: ConvShape,
    /// OHWI, or 1HWO for depthwise.
    pub weights: Vec<i8>,
    /// One an output channel.
    pub bias: Vec<i32>,
    /// One an output channel: input scale · weight scale / output scale.
    pub multipliers: Vec<Multiplier>,
    /// Zero point of the input.
    pub input_zero_point: i32,
    /// Zero point of the output.
    pub output_zero_point: i32,
    /// Clamp of the output: its type and the fused activation.
    pub bounds: (i32, i32),
}

impl ConvShape {
    /// Output pixels of one sample.
    pub fn pixels(&self) -> usize {
        self.batch as usize * self.out_h as usize * self.out_w as usize
    }

    /// Products in one output element.
    pub fn depth(&self) -> usize {
        self.k_h as usize * self.k_w as usize * self.group_in as usize
    }
}

/// The kernel of a float convolution.
pub(super) fn f32(c: Context<'_>, window: &Window, kind: Conv) -> Result<Kernel, Error> {
    let shape = geometry(c, window, kind)?;
    c.expect_dtype(c.output(0)?, DType::F32)?;
    let (kind, weights) = ways(&shape, kind, c.f32s(c.input(1)?)?);
    let kernel = ConvF32 {
        shape,
        weights,
        bias: c.bias_f32(2, shape.out_c as usize)?,
        bounds: window.activation.bounds(),
    };
    Ok(match kind {
        Conv::Full => Kernel::ConvF32(kernel),
        Conv::Depthwise => Kernel::DepthwiseF32(kernel),
    })
}

/// The kernel of an int8 convolution.
pub(super) fn i8(c: Context<'_>, window: &Window, kind: Conv) -> Result<Kernel, Error> {
    let shape = geometry(c, window, kind)?;
    let (input, filter, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    c.expect_dtype(output, DType::I8)?;
    let (input, output) = (c.affine(input)?, c.affine(output)?);
    let axis = match kind {
        Conv::Full => 0,
        Conv::Depthwise => 3,
    };
    let scales = c.weight_scales(filter, shape.out_c as usize, axis)?;
    let (multipliers, bounds) = c.requantize(input, &scales, output, window.activation)?;
    let (kind, weights) = ways(&shape, kind, c.i8s(filter)?);
    let kernel = ConvI8 {
        shape,
        weights,
        bias: c.bias_i32(2, shape.out_c as usize)?,
        multipliers,
        input_zero_point: input.zero_point,
        output_zero_point: output.zero_point,
        bounds,
    };
    Ok(match kind {
        Conv::Full => Kernel::ConvI8(kernel),
        Conv::Depthwise => Kernel::DepthwiseI8(kernel),
    })
}

/// A grouped convolution each of whose groups is one channel, in and out, is computed as the depthwise one that it is: as
/// many products as channels would each be too small for any device. Converters write it where the strides differ.
fn ways<T: Copy>(shape: &ConvShape, kind: Conv, weights: Vec<T>) -> (Conv, Vec<T>) {
    let one_by_one = shape.group_in == 1 && shape.group_out == 1 && shape.in_c > 1;
    if kind == Conv::Depthwise || !one_by_one {
        return (kind, weights);
    }
    let (taps, channels) = (shape.depth(), shape.out_c as usize);
    let by_tap = (0..taps * channels).map(|i| weights[i % channels * taps + i / channels]);
    (Conv::Depthwise, by_tap.collect())
}

pub(super) fn geometry(c: Context<'_>, window: &Window, kind: Conv) -> Result<ConvShape, Error> {
    let (input, filter, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    let [batch, in_h, in_w, in_c] = c.shape_of_rank::<4>(input)?;
    let [first, k_h, k_w, last] = c.shape_of_rank::<4>(filter)?;
    if [batch, in_h, in_w, in_c, first, k_h, k_w, last].contains(&0) {
        return Err(c.error("a dimension of its input or filter is 0"));
    }
    let (out_c, group_in, group_out) = match kind {
        Conv::Full => {
            if in_c % last != 0 || first % (in_c / last) != 0 {
                return Err(c.error(format!(
                    "{in_c} input channels and {first} filters of {last} channels do not divide into groups"
                )));
            }
            (first, last, first / (in_c / last))
        }
        Conv::Depthwise => {
            if first != 1 || last % in_c != 0 {
                return Err(c.error(format!(
                    "a filter of shape {:?} does not fit {in_c} input channels",
                    c.shape(filter)
                )));
            }
            (last, 1, last / in_c)
        }
    };
    let (out_h, pad_top) = window_axis(c, window, in_h, k_h, 0)?;
    let (out_w, pad_left) = window_axis(c, window, in_w, k_w, 1)?;
    c.expect_shape(output, &[batch, out_h, out_w, out_c])?;
    let sizes = [
        batch,
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        k_h,
        k_w,
        window.stride[0],
        window.stride[1],
        window.dilation[0],
        window.dilation[1],
        pad_top,
        pad_left,
        group_in,
        group_out,
    ];
    if sizes.iter().any(|&s| s > i32::MAX as usize) {
        return Err(c.error("a stride, dilation or padding is too large"));
    }
    Ok(bytemuck::cast(sizes.map(u32_of)))
}

/// Outputs along dimension `i` (height, width) of a window of `k` over `size` positions, and the padding before them.
pub(super) fn window_axis(
    c: Context<'_>,
    window: &Window,
    size: usize,
    k: usize,
    i: usize,
) -> Result<(usize, usize), Error> {
    let (stride, dilation) = (window.stride[i], window.dilation[i]);
    let span = (k - 1).checked_mul(dilation).and_then(|s| s.checked_add(1));
    let span = span.ok_or_else(|| c.error("its dilated filter is too large"))?;
    match window.padding {
        Padding::Valid if span > size => Err(c.error(format!(
            "its filter spans {span} positions but the input has {size}"
        ))),
        Padding::Valid => Ok(((size - span) / stride + 1, 0)),
        Padding::Same => {
            let out = size.div_ceil(stride);
            let needed = out.saturating_sub(1) * stride + span;
            Ok((out, needed.saturating_sub(size) / 2))
        }
    }
}

/// bias − zero point · Σ weights, a row of `depth` weights at a time.
pub fn fold_zero_point(weights: &[i8], depth: usize, bias: &[i32], zero_point: i32) -> Vec<i32> {
    let sums = weights
        .chunks_exact(depth)
        .map(|row| row.iter().fold(0i32, |sum, &w| sum.wrapping_add(w.into())));
    sums.zip(bias)
        .map(|(sum, &b)| b.wrapping_sub(sum.wrapping_mul(zero_point)))
        .collect()
}
