//! Pools: a window over height and width, channel by channel.

use super::{Context, Int16, Kernel, conv::window_axis, int16, u32_of, xnnpack};
use crate::graph::{Error, Pool, PoolWindow};
use crate::num::DType;

/// Sizes of a pool in one sample.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct PoolShape {
    /// The model's own batch dimension.
    pub batch: u32,
    /// Input height.
    pub in_h: u32,
    /// Input width.
    pub in_w: u32,
    /// Channels.
    pub channels: u32,
    /// Output height.
    pub out_h: u32,
    /// Output width.
    pub out_w: u32,
    /// Window height.
    pub k_h: u32,
    /// Window width.
    pub k_w: u32,
    /// Vertical stride.
    pub stride_h: u32,
    /// Horizontal stride.
    pub stride_w: u32,
    /// Rows of padding above.
    pub pad_top: u32,
    /// Columns of padding at the left.
    pub pad_left: u32,
}

/// A pool of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolF32 {
    /// What is made of a window.
    pub kind: Pool,
    /// Sizes.
    pub shape: PoolShape,
    /// Bounds of the fused activation.
    pub bounds: (f32, f32),
}

/// A pool of int8, whose input and output have the same parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolI8 {
    /// What is made of a window: average or maximum.
    pub kind: Pool,
    /// Sizes.
    pub shape: PoolShape,
    /// Clamp of the output.
    pub bounds: (i32, i32),
}

impl PoolShape {
    /// The rows (or columns) of the input that output row `out` sees.
    pub fn rows(&self, out: usize) -> std::ops::Range<usize> {
        span(out, self.stride_h, self.pad_top, self.k_h, self.in_h)
    }

    /// The columns of the input that output column `out` sees.
    pub fn columns(&self, out: usize) -> std::ops::Range<usize> {
        span(out, self.stride_w, self.pad_left, self.k_w, self.in_w)
    }
}

fn span(out: usize, stride: u32, pad: u32, k: u32, size: u32) -> std::ops::Range<usize> {
    let first = out * stride as usize;
    let end = (first + k as usize).saturating_sub(pad as usize);
    first.saturating_sub(pad as usize)..end.min(size as usize)
}

pub(super) fn prepare(c: Context<'_>, kind: Pool, window: &PoolWindow) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let dtype = c.tensor(input).dtype;
    c.expect_dtype(output, dtype)?;
    let [batch, in_h, in_w, channels] = c.shape_of_rank::<4>(input)?;
    let (out_h, pad_top) = window_axis(c, &window.window, in_h, window.size[0], 0)?;
    let (out_w, pad_left) = window_axis(c, &window.window, in_w, window.size[1], 1)?;
    c.expect_shape(output, &[batch, out_h, out_w, channels])?;
    let sizes = [
        batch,
        in_h,
        in_w,
        channels,
        out_h,
        out_w,
        window.size[0],
        window.size[1],
        window.window.stride[0],
        window.window.stride[1],
        pad_top,
        pad_left,
    ];
    if sizes.iter().any(|&s| s > i32::MAX as usize) {
        return Err(c.error("its window, stride or padding is too large"));
    }
    let shape: PoolShape = bytemuck::cast(sizes.map(u32_of));
    let activation = window.window.activation;
    match (dtype, kind) {
        (DType::F32, _) => Ok(Kernel::PoolF32(PoolF32 {
            kind,
            shape,
            bounds: activation.bounds(),
        })),
        (DType::I8, Pool::Average | Pool::Max) => Ok(Kernel::PoolI8(PoolI8 {
            kind,
            shape,
            bounds: match kind {
                Pool::Max if c.is_xnnpack() => xnnpack::bounds(activation, c.affine(output)?),
                _ => c.quantized_bounds(activation, c.affine(output)?)?,
            },
        })),
        (DType::I16, Pool::Average | Pool::Max) => Ok(Kernel::Int16(Int16::Pool(PoolI8 {
            kind,
            shape,
            bounds: int16::pool_bounds(c, activation)?,
        }))),
        _ => Err(c.error(format!(
            "its input is {dtype}; `zeropoint ops` lists the types it can take"
        ))),
    }
}
