//! RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR. Where an output row or column looks is computed once on the host, in
//! LiteRT's own arithmetic: float32 for floats, 10 fractional bits for int8.

use super::{Context, Int16, Kernel, Numerics, u32_of, xnnpack};
use crate::graph::Error;
use crate::num::DType;

/// Sizes in one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizeShape {
    /// The model's own batch dimension.
    pub batch: u32,
    /// Input height and width.
    pub input: [u32; 2],
    /// Output height and width.
    pub output: [u32; 2],
    /// Channels.
    pub channels: u32,
}

/// The nearest pixels, of any type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Sizes.
    pub shape: ResizeShape,
    /// Input row of each output row.
    pub rows: Vec<u32>,
    /// Input column of each output column.
    pub columns: Vec<u32>,
}

/// Where one output row or column looks: two neighbours and the weight of the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tap<W> {
    /// The neighbour before.
    pub lower: u32,
    /// The neighbour behind.
    pub upper: u32,
    /// Weight of the first.
    pub below: W,
    /// Weight of the second.
    pub above: W,
}

/// Between neighbours. Weights are float32, or int32 with 10 fractional bits (XNNPACK: 11).
#[derive(Clone, Debug, PartialEq)]
pub struct Bilinear<W> {
    /// Sizes.
    pub shape: ResizeShape,
    /// One an output row.
    pub rows: Vec<Tap<W>>,
    /// One an output column.
    pub columns: Vec<Tap<W>>,
    /// Fractional bits of integer weights.
    pub bits: u32,
    /// Whether integers on a tie go upward, and not away from zero.
    pub ties_up: bool,
}

pub(super) fn prepare(
    c: Context<'_>,
    bilinear: bool,
    align_corners: bool,
    half_pixel: bool,
) -> Result<Kernel, Error> {
    let (input, output) = (c.input(0)?, c.output(0)?);
    let dtype = c.tensor(input).dtype;
    c.expect_dtype(output, dtype)?;
    let [batch, in_h, in_w, channels] = c.shape_of_rank::<4>(input)?;
    let [out_h, out_w] = match c.integers(c.input(1)?)?[..] {
        [h, w] if (1..1 << 24).contains(&h) && (1..1 << 24).contains(&w) => [h, w],
        ref size => return Err(c.error(format!("its size {size:?} is not two positive numbers"))),
    };
    if in_h >= 1 << 20 || in_w >= 1 << 20 {
        return Err(c.error("its input has a side of 2^20 or more"));
    }
    c.expect_shape(output, &[batch, out_h as usize, out_w as usize, channels])?;
    if align_corners && half_pixel {
        return Err(c.error("it has both align_corners and half_pixel_centers"));
    }
    let shape = ResizeShape {
        batch: u32_of(batch),
        input: [u32_of(in_h), u32_of(in_w)],
        output: [out_h as u32, out_w as u32],
        channels: u32_of(channels),
    };
    let along = |i: usize| Along {
        input: shape.input[i] as i32,
        output: shape.output[i] as i32,
        align_corners,
        half_pixel,
    };
    match dtype {
        DType::F32 | DType::I8 | DType::U8 | DType::I16 if !bilinear => {
            Ok(Kernel::Nearest(Nearest {
                shape,
                rows: along(0).each(Along::nearest),
                columns: along(1).each(Along::nearest),
            }))
        }
        DType::F32 => Ok(Kernel::BilinearF32(Bilinear {
            shape,
            rows: along(0).each(Along::float),
            columns: along(1).each(Along::float),
            bits: 0,
            ties_up: false,
        })),
        DType::I8 | DType::I16 => {
            let xnnpack = c.is_xnnpack() && dtype == DType::I8;
            let fixed = if xnnpack {
                Along::xnnpack
            } else {
                Along::fixed
            };
            let taps = Bilinear {
                shape,
                rows: along(0).each(fixed),
                columns: along(1).each(fixed),
                bits: if xnnpack { 11 } else { 10 },
                ties_up: xnnpack || c.numerics == Numerics::SingleRounding,
            };
            Ok(match dtype {
                DType::I8 => Kernel::BilinearI8(taps),
                _ => Kernel::Int16(Int16::Bilinear(taps)),
            })
        }
        _ => Err(c.error(format!(
            "its input is {dtype}; `zeropoint ops` lists the types it can take"
        ))),
    }
}

/// One dimension.
#[derive(Clone, Copy)]
struct Along {
    input: i32,
    output: i32,
    align_corners: bool,
    half_pixel: bool,
}

impl Along {
    fn each<T>(self, f: fn(Along, i32) -> T) -> Vec<T> {
        (0..self.output).map(|i| f(self, i)).collect()
    }

    fn corners(self) -> bool {
        self.align_corners && self.output > 1
    }

    /// `GetNearestNeighbor` of `resize_nearest_neighbor.h`.
    fn nearest(self, i: i32) -> u32 {
        let scale = if self.corners() {
            (self.input - 1) as f32 / (self.output - 1) as f32
        } else {
            self.input as f32 / self.output as f32
        };
        let offset = if self.half_pixel { 0.5f32 } else { 0.0 };
        let at = (i as f32 + offset) * scale;
        let at = if self.align_corners {
            at.round()
        } else {
            at.floor()
        };
        (at as i32).min(self.input - 1).max(0) as u32
    }

    /// `ComputeInterpolationValues` of `resize_bilinear.h`.
    fn float(self, i: i32) -> Tap<f32> {
        let scale = if self.corners() {
            (self.input - 1) as f32 / (self.output - 1) as f32
        } else {
            self.input as f32 / self.output as f32
        };
        let at = if self.half_pixel {
            (i as f32 + 0.5) * scale - 0.5
        } else {
            i as f32 * scale
        };
        let lower = (at.floor() as i32).max(0).min(self.input - 1);
        let above = at - lower as f32;
        Tap {
            lower: lower as u32,
            upper: (at.ceil() as i32).min(self.input - 1).max(0) as u32,
            below: 1.0 - above,
            above,
        }
    }

    /// XNNPACK's positions, with 11 fractional bits.
    fn xnnpack(self, i: i32) -> Tap<i32> {
        let sides = [self.input, self.output];
        let (lower, above) = xnnpack::tap(i, sides, self.align_corners, self.half_pixel);
        Tap {
            lower: lower as u32,
            upper: (lower + 1).min(self.input - 1) as u32,
            below: (1 << 11) - above,
            above,
        }
    }

    /// `ComputeInterpolationValuesInteger`: positions with 10 fractional bits.
    fn fixed(self, i: i32) -> Tap<i32> {
        const ONE: i64 = 1 << 10;
        let (input, output) = (i64::from(self.input), i64::from(self.output));
        let scale = if self.corners() {
            (ONE * (input - 1) + (output - 1) / 2) / (output - 1)
        } else {
            (ONE * input + output / 2) / output
        };
        let at = if self.half_pixel {
            i64::from(i) * scale + scale / 2 - ONE / 2
        } else {
            i64::from(i) * scale
        };
        let lower = (at / ONE).max(0).min(input - 1);
        let above = at - ONE * lower;
        Tap {
            lower: lower as u32,
            upper: ((at + ONE - 1) / ONE).min(input - 1).max(0) as u32,
            below: (ONE - above) as i32,
            above: above as i32,
        }
    }
}
