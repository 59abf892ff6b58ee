//! CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV and FULLY_CONNECTED of int16 with int8 weights, all as one windowed product.
//!
//! LiteRT sums in the type of the bias: int64, or int32 where the model says so. The former is requantized with a
//! multiplier of 15 bits ([`Multiplier::apply_wide`]), the latter like int8; FULLY_CONNECTED multiplies by a double.

use super::bounds;
use crate::graph::{Activation, Error, TensorId};
use crate::kernel::{Context, Conv, ConvShape, FullyConnected};
use crate::num::{DType, Multiplier, Values};

/// Largest magnitude of biases and of sums of products: a sum of both stays within the 48 bits for which LiteRT's
/// requantization is meant, and its product with 15 bits within 64.
const MOST: i64 = 1 << 46;

/// A product of int16 with int8 weights.
#[derive(Debug)]
pub struct ConvI16 {
    /// How the weights lie: OHWI, or 1HWO for depthwise.
    pub kind: Conv,
    /// Geometry; that of FULLY_CONNECTED is a 1×1 convolution over an image of one line.
    pub shape: ConvShape,
    /// int8 weights.
    pub weights: Vec<i8>,
    /// One an output channel.
    pub bias: Vec<i64>,
    /// Whether sums have 32 bits and wrap.
    pub narrow: bool,
    /// From sums to outputs.
    pub scales: Scales,
    /// Clamp of the output.
    pub bounds: (i32, i32),
}

/// Input scale · weight scale / output scale, one an output channel.
#[derive(Debug)]
pub enum Scales {
    /// Fixed-point.
    Multipliers(Vec<Multiplier>),
    /// The product in double, rounded half away from zero: FULLY_CONNECTED.
    Doubles(Vec<f64>),
}

impl ConvI16 {
    /// The output for a finished sum, its bias included.
    pub fn finish(&self, channel: usize, sum: i64) -> i16 {
        let sum = if self.narrow {
            i64::from(sum as i32)
        } else {
            sum
        };
        let scaled = match &self.scales {
            Scales::Multipliers(m) if self.narrow => m[channel].apply(sum as i32),
            Scales::Multipliers(m) => m[channel].apply_wide(sum),
            // The cast saturates where C++ would be undefined.
            Scales::Doubles(scales) => (sum as f64 * scales[channel]).round() as i32,
        };
        scaled.clamp(self.bounds.0, self.bounds.1) as i16
    }
}

/// A convolution whose geometry and weights are known.
pub fn convolution(
    c: Context<'_>,
    (kind, shape, weights): (Conv, ConvShape, Vec<i8>),
    [input, filter, output]: [TensorId; 3],
    bias: usize,
    activation: Activation,
) -> Result<ConvI16, Error> {
    let channels = shape.out_c as usize;
    let axis = match kind {
        Conv::Full => 0,
        Conv::Depthwise => 3,
    };
    let depth = match kind {
        Conv::Full => shape.depth(),
        Conv::Depthwise => shape.k_h as usize * shape.k_w as usize,
    };
    let (scales, to) = ratios(c, [input, filter, output], channels, axis)?;
    let (bias, narrow) = biases(c, bias, channels, depth)?;
    if kind == Conv::Depthwise && narrow {
        return Err(c.error("its bias is int32; for int16 LiteRT demands int64 here"));
    }
    let multipliers = scales
        .into_iter()
        .map(|real| {
            let m = c.multiplier(real)?;
            if !narrow && m.shift > 14 {
                return Err(c.error(format!(
                    "the scale ratio {real} is outside of what LiteRT's int16 kernel can take"
                )));
            }
            Ok(m)
        })
        .collect::<Result<_, _>>()?;
    Ok(ConvI16 {
        kind,
        shape,
        weights,
        bias,
        narrow,
        scales: Scales::Multipliers(multipliers),
        bounds: bounds(c, activation, to)?,
    })
}

/// FULLY_CONNECTED.
pub(super) fn fully_connected(
    c: Context<'_>,
    FullyConnected { rows, depth, units }: FullyConnected,
    activation: Activation,
) -> Result<ConvI16, Error> {
    let (filter, ids) = (c.input(1)?, [c.input(0)?, c.input(1)?, c.output(0)?]);
    let (scales, to) = ratios(c, ids, units, 0)?;
    let (bias, narrow) = biases(c, 2, units, depth)?;
    let sizes = [
        1, 1, rows, depth, 1, rows, units, 1, 1, 1, 1, 1, 1, 0, 0, depth, units,
    ];
    Ok(ConvI16 {
        kind: Conv::Full,
        shape: bytemuck::cast(sizes.map(crate::kernel::u32_of)),
        weights: c.i8s(filter)?,
        bias,
        narrow,
        scales: Scales::Doubles(scales),
        bounds: bounds(c, activation, to)?,
    })
}

/// Input scale · weight scale / output scale for each channel, and the output's scale.
fn ratios(
    c: Context<'_>,
    [input, filter, output]: [TensorId; 3],
    channels: usize,
    axis: usize,
) -> Result<(Vec<f64>, f32), Error> {
    let (from, to) = (super::symmetric(c, input)?, super::symmetric(c, output)?);
    let scales = c.weight_scales(filter, channels, axis)?;
    let ratio = |scale: f32| f64::from(from) * f64::from(scale) / f64::from(to);
    let ratios: Vec<f64> = scales.into_iter().map(ratio).collect();
    match ratios.iter().find(|r| !r.is_finite() || **r < 0.0) {
        Some(bad) => Err(c.error(format!("the scale ratio {bad} is no positive number"))),
        None => Ok((ratios, to)),
    }
}

/// The bias or zeros, and whether sums have 32 bits.
fn biases(
    c: Context<'_>,
    i: usize,
    channels: usize,
    depth: usize,
) -> Result<(Vec<i64>, bool), Error> {
    if depth as i64 > MOST >> 22 {
        return Err(c.error(format!("its sums have {depth} products")));
    }
    let Some(id) = c.optional_input(i) else {
        return Ok((vec![0; channels], false));
    };
    c.expect_elements(id, channels)?;
    match c.tensor(id).constant.as_ref() {
        Some(Values::I32(v)) => Ok((v.iter().map(|&b| b.into()).collect(), true)),
        Some(Values::I64(v)) if v.iter().all(|b| (-MOST..=MOST).contains(b)) => {
            Ok((v.clone(), false))
        }
        Some(Values::I64(_)) => Err(c.error(format!(
            "a value of {} has more than 46 bits",
            c.graph.describe(id)
        ))),
        Some(other) => Err(c.error(format!(
            "{} is {}, expected {} or int32",
            c.graph.describe(id),
            other.dtype(),
            DType::I64
        ))),
        None => Err(c.error(format!("{} must be a constant", c.graph.describe(id)))),
    }
}
