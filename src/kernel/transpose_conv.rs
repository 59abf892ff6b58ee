//! TRANSPOSE_CONV as a convolution: the input with zeros between its pixels, and the filter turned around. The sums
//! are of the same products, so int8 is exact, and every device's fast convolution serves.

use super::place::{Box8, Place, VIEW};
use super::stage::{Between, Stage};
use super::{Context, Conv, ConvF32, ConvI8, ConvShape, Int16, Kernel, int16, u32_of};
use crate::graph::{Error, Op, Padding, Quantization, TensorId, Window};
use crate::num::DType;

/// Inputs by what they are.
pub(super) struct Places {
    pub input: usize,
    pub filter: usize,
    pub bias: usize,
}

/// TRANSPOSE_CONV, whose first input is the output's shape.
pub(super) const TRANSPOSE_CONV: Places = Places {
    input: 2,
    filter: 1,
    bias: 3,
};
/// Convolution2DTransposeBias.
pub(super) const TRANSPOSE_BIAS: Places = Places {
    input: 0,
    filter: 1,
    bias: 2,
};

/// First the pixels spread out (unless they are already), then the convolution.
pub(super) fn stages(c: Context<'_>, window: &Window, at: &Places) -> Result<Vec<Stage>, Error> {
    let (input, filter, output) = (c.input(at.input)?, c.input(at.filter)?, c.output(0)?);
    let [batch, in_h, in_w, in_c] = c.shape_of_rank::<4>(input)?;
    let [out_c, k_h, k_w, depth] = c.shape_of_rank::<4>(filter)?;
    let [out_b, out_h, out_w, channels] = c.shape_of_rank::<4>(output)?;
    let dims = [batch, in_h, in_w, in_c, out_c, k_h, k_w, out_h, out_w];
    if dims.contains(&0) || depth != in_c || channels != out_c || out_b != batch {
        return Err(c.error(format!(
            "a filter {:?} does not take {:?} to {:?}",
            c.shape(filter),
            c.shape(input),
            c.shape(output)
        )));
    }
    // The forward convolution from the output to the input settles the padding.
    let axis = |size: usize, k: usize, i: usize, small: usize| -> Result<(usize, usize), Error> {
        let stride = window.stride[i];
        let forward = match window.padding {
            Padding::Same => size.div_ceil(stride),
            Padding::Valid => (size + stride).saturating_sub(k) / stride,
        };
        let pad = ((forward.max(1) - 1) * stride + k).saturating_sub(size) / 2;
        let spread = (small - 1)
            .checked_mul(stride)
            .and_then(|n| n.checked_add(1));
        match spread {
            Some(spread) if forward == small && pad < k => Ok((spread, k - 1 - pad)),
            _ => Err(c.error(format!(
                "an output of {size} does not belong to an input of {small} with stride {stride}"
            ))),
        }
    };
    let (wide_h, pad_top) = axis(out_h, k_h, 0, in_h)?;
    let (wide_w, pad_left) = axis(out_w, k_w, 1, in_w)?;
    let shape = [batch, wide_h, wide_w, in_c];
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    if elements.is_none_or(|n| n >= 1 << 31) {
        return Err(c.error("its input with zeros between its pixels has 2^31 elements or more"));
    }
    let sizes = [
        batch, wide_h, wide_w, in_c, out_h, out_w, out_c, k_h, k_w, 1, 1, 1, 1, pad_top, pad_left,
        in_c, out_c,
    ];
    let geometry: ConvShape = bytemuck::cast(sizes.map(u32_of));
    let strides = window.stride;
    let place = (strides != [1, 1]).then(|| {
        let mut view = [1; VIEW];
        let mut spread = Box8 {
            input: 0,
            start: [0; VIEW],
            step: [1; VIEW],
            count: [1; VIEW],
            base: 0,
            strides: [0; VIEW],
        };
        let row = in_w * in_c;
        let sides = [
            (batch, batch, 1, in_h * row),
            (wide_h, in_h, strides[0], row),
            (wide_w, in_w, strides[1], in_c),
            (in_c, in_c, 1, 1),
        ];
        for (i, (size, count, step, stride)) in sides.into_iter().enumerate() {
            let d = VIEW - 4 + i;
            view[d] = u32_of(size);
            spread.count[d] = u32_of(count);
            spread.step[d] = u32_of(step);
            spread.strides[d] = stride as i32;
        }
        let zero = c.tensor(input).affine().map_or(0, |a| a.zero_point as u8);
        Place {
            dims: view,
            boxes: vec![spread],
            fill: Some([zero, 0, 0, 0, 0, 0, 0, 0]),
        }
    });
    let conv = convolution(c, window, at, geometry, [input, filter, output])?;
    let of = c.tensor(input);
    let spread = place.map(|place| Stage {
        kernel: Kernel::Place(place),
        reads: Vec::new(),
        writes: vec![Between {
            name: format!("{} with zeros between its pixels", of.name),
            shape: shape.to_vec(),
            dtype: of.dtype,
            quantization: of.quantization.as_ref().map(|q| Quantization {
                scales: q.scales.clone(),
                zero_points: q.zero_points.clone(),
                axis: 0,
            }),
        }],
    });
    let conv = Stage {
        kernel: conv,
        reads: spread.iter().map(|_| 0).collect(),
        writes: Vec::new(),
    };
    Ok(spread.into_iter().chain([conv]).collect())
}

fn convolution(
    c: Context<'_>,
    window: &Window,
    at: &Places,
    shape: ConvShape,
    [input, filter, output]: [TensorId; 3],
) -> Result<Kernel, Error> {
    let channels = shape.out_c as usize;
    c.expect_dtype(output, c.tensor(input).dtype)?;
    if c.tensor(input).dtype == DType::F32 {
        return Ok(Kernel::ConvF32(ConvF32 {
            shape,
            weights: turned(&c.f32s(filter)?, &shape),
            bias: c.bias_f32(at.bias, channels)?,
            bounds: window.activation.bounds(),
        }));
    }
    if c.tensor(input).dtype == DType::I16 {
        let weights = turned(&c.i8s(filter)?, &shape);
        let what = (Conv::Full, shape, weights);
        let ids = [input, filter, output];
        let conv = int16::convolution(c, what, ids, at.bias, window.activation)?;
        return Ok(Kernel::Int16(Int16::Conv(conv)));
    }
    c.expect_dtype(input, DType::I8)?;
    let strides = window.stride.map(u32_of);
    let (from, to) = (c.affine(input)?, c.affine(output)?);
    // XNNPACK does not take windows that leave gaps, nor MediaPipe's operator.
    let short = shape.k_h < strides[0] || shape.k_w < strides[1];
    let left = matches!(c.node.op, Op::Convolution2dTransposeBias(_))
        || window.padding == Padding::Same && short;
    let c = if left { c.reference() } else { c };
    let scales = c.weight_scales(filter, channels, 0)?;
    let (multipliers, bounds) = c.requantize(from, &scales, to, window.activation)?;
    Ok(Kernel::ConvI8(ConvI8 {
        shape,
        weights: turned(&c.i8s(filter)?, &shape),
        bias: c.bias_i32(at.bias, channels)?,
        multipliers,
        input_zero_point: from.zero_point,
        output_zero_point: to.zero_point,
        bounds,
    }))
}

/// An OHWI filter turned by half a turn.
fn turned<T: Copy>(weights: &[T], s: &ConvShape) -> Vec<T> {
    let depth = s.in_c as usize;
    let filter = (s.k_h * s.k_w) as usize * depth;
    weights
        .chunks_exact(filter)
        .flat_map(|filter| filter.chunks_exact(depth).rev().flatten().copied())
        .collect()
}
