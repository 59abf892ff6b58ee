//! TRANSPOSE_CONV as a convolution. An output pixel reads the taps of the filter that are its distance from the pixels of
//! the input modulo the stride: so each remainder, or *phase*, is a convolution with a part of the filter, turned around.
//! All phases are one convolution with as many times the channels, and their pixels are then put in their places. The
//! sums are of the same products, so int8 is exact, and every device's fast convolution serves.

use super::place::{Box8, MAX_BOXES, Place, VIEW};
use super::stage::{Between, Stage};
use super::{
    Context, Conv, ConvF32, ConvI8, ConvShape, Int16, Kernel, int16, int16::Scales, u32_of,
};
use crate::graph::{Error, Op, Padding, Quantization, Window};
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

/// Weights of all phases that are never too many: 256 MiB of floats.
const MOST_WEIGHTS: usize = 1 << 26;

/// The phases along one dimension. The output at o is of phase (o + pad) mod stride, and tap t of a phase is that of the
/// filter at `phase + stride · t`, which reads the input at (o + pad) / stride − t.
struct Axis {
    stride: usize,
    /// Taps of a phase, some of which may lie beyond the filter.
    taps: usize,
    /// Of the output, before its first pixel.
    pad: usize,
    /// Quotients (o + pad) / stride, from the first one on.
    first: usize,
    quotients: usize,
    size: usize,
}

impl Axis {
    fn new(
        c: Context<'_>,
        window: &Window,
        i: usize,
        [k, small, size]: [usize; 3],
    ) -> Result<Axis, Error> {
        let stride = window.stride[i];
        // The forward convolution from the output to the input settles the padding.
        let forward = match window.padding {
            Padding::Same => size.div_ceil(stride),
            Padding::Valid => (size + stride).saturating_sub(k) / stride,
        };
        let needed = (forward.max(1) - 1).checked_mul(stride);
        let needed = needed.and_then(|n| n.checked_add(k));
        let pad = needed.map(|n| n.saturating_sub(size) / 2);
        match pad {
            Some(pad) if forward == small && pad < k => Ok(Axis {
                stride,
                taps: k.div_ceil(stride),
                pad,
                first: pad / stride,
                quotients: (size - 1 + pad) / stride - pad / stride + 1,
                size,
            }),
            _ => Err(c.error(format!(
                "an output of {size} does not belong to an input of {small} with stride {stride}"
            ))),
        }
    }

    /// Padding of the convolution before the first pixel.
    fn padding(&self) -> usize {
        // A tap reads what lies before, so the first quotient needs taps − 1 pixels before it.
        (self.taps - 1).saturating_sub(self.first)
    }

    /// The outputs of a phase: the first one, how many, and the place of the first among the quotients.
    fn outputs(&self, phase: usize) -> (usize, usize, usize) {
        let skipped = usize::from(phase < self.pad % self.stride);
        let first = (self.first + skipped) * self.stride + phase - self.pad;
        let count = self.size.saturating_sub(first).div_ceil(self.stride);
        (first, count, skipped)
    }

    /// Whether every phase of every quotient is an output.
    fn is_whole(&self) -> bool {
        self.pad.is_multiple_of(self.stride) && self.size.is_multiple_of(self.stride)
    }
}

/// The convolution of all phases, and their places (unless there is just one).
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
    let rows = Axis::new(c, window, 0, [k_h, in_h, out_h])?;
    let columns = Axis::new(c, window, 1, [k_w, in_w, out_w])?;
    let phases = [&rows, &columns].map(|axis| axis.stride);
    let wide = phases
        .iter()
        .try_fold(out_c, |n, &phases| n.checked_mul(phases));
    let shape = [batch, rows.quotients, columns.quotients, wide.unwrap_or(0)];
    let elements = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let weights = wide.and_then(|n| n.checked_mul(rows.taps * columns.taps * in_c));
    // Only strides far beyond the filter leave most phases without taps.
    let most = MOST_WEIGHTS.max(16 * out_c * k_h * k_w * in_c);
    if elements.is_none_or(|n| n == 0 || n >= 1 << 31) || weights.is_none_or(|n| n > most) {
        return Err(c.error(format!(
            "strides {phases:?} are too large for its filter of {k_h} × {k_w} pixels"
        )));
    }
    let sizes = [
        batch,
        in_h,
        in_w,
        in_c,
        rows.quotients,
        columns.quotients,
        shape[3],
        rows.taps,
        columns.taps,
        1,
        1,
        1,
        1,
        rows.padding(),
        columns.padding(),
        in_c,
        shape[3],
    ];
    let geometry: ConvShape = bytemuck::cast(sizes.map(u32_of));
    if phases[0] * phases[1] > MAX_BOXES {
        return Err(c.error(format!("strides {phases:?} are too large")));
    }
    let conv = Stage {
        kernel: convolution(c, window, at, geometry, phases)?,
        reads: Vec::new(),
        writes: Vec::new(),
    };
    if phases == [1, 1] {
        return Ok(vec![conv]);
    }
    let of = c.tensor(output);
    Ok(vec![
        Stage {
            writes: vec![Between {
                name: format!("{}, each phase in channels of its own", of.name),
                shape: shape.to_vec(),
                dtype: of.dtype,
                quantization: of.quantization.as_ref().map(|q| Quantization {
                    scales: q.scales.clone(),
                    zero_points: q.zero_points.clone(),
                    axis: 0,
                }),
            }],
            ..conv
        },
        Stage {
            kernel: Kernel::Place(places(&shape, out_c, &rows, &columns)),
            reads: vec![0],
            writes: Vec::new(),
        },
    ])
}

/// Where the pixels of each phase go; `shape` is that of the convolution's output.
fn places(shape: &[usize; 4], channels: usize, rows: &Axis, columns: &Axis) -> Place {
    let [batch, h, w, wide] = *shape;
    let mut boxes = Vec::new();
    let mut put = |base: usize, sides: [(usize, usize, usize, usize); 6]| {
        let mut b = Box8 {
            input: 0,
            start: [0; VIEW],
            step: [1; VIEW],
            count: [1; VIEW],
            base: u32_of(base),
            strides: [0; VIEW],
        };
        for (i, (start, step, count, stride)) in sides.into_iter().enumerate() {
            let d = VIEW - sides.len() + i;
            b.start[d] = u32_of(start);
            b.step[d] = u32_of(step);
            b.count[d] = u32_of(count);
            b.strides[d] = stride as i32;
        }
        if !b.count.contains(&0) {
            boxes.push(b);
        }
    };
    let (high, across) = (rows.stride, columns.stride);
    let row = across * channels;
    if rows.is_whole() && columns.is_whole() {
        let sides = [
            (0, 1, batch, h * w * wide),
            (0, 1, h, w * wide),
            (0, 1, high, row),
            (0, 1, w, wide),
            (0, 1, row, 1),
            (0, 1, 1, 0),
        ];
        put(0, sides);
        return Place {
            dims: view([batch, h, high, w, row, 1]),
            boxes,
            fill: None,
        };
    }
    for phase in 0..high * across {
        let (y, count_y, at_y) = rows.outputs(phase / across);
        let (x, count_x, at_x) = columns.outputs(phase % across);
        let sides = [
            (0, 1, 1, 0),
            (0, 1, 1, 0),
            (0, 1, batch, h * w * wide),
            (y, high, count_y, w * wide),
            (x, across, count_x, wide),
            (0, 1, channels, 1),
        ];
        put((at_y * w + at_x) * wide + phase * channels, sides);
    }
    Place {
        dims: view([1, 1, batch, rows.size, columns.size, channels]),
        boxes,
        fill: None,
    }
}

fn view(dims: [usize; 6]) -> [u32; VIEW] {
    let mut view = [1; VIEW];
    view[VIEW - dims.len()..].copy_from_slice(&dims.map(u32_of));
    view
}

/// The convolution of all phases, each of which has the scales and biases of the channels.
fn convolution(
    c: Context<'_>,
    window: &Window,
    at: &Places,
    shape: ConvShape,
    strides: [usize; 2],
) -> Result<Kernel, Error> {
    let ids = [c.input(at.input)?, c.input(at.filter)?, c.output(0)?];
    let [input, filter, output] = ids;
    let phases = strides[0] * strides[1];
    let [channels, k_h, k_w, _] = c.shape_of_rank::<4>(filter)?;
    c.expect_dtype(output, c.tensor(input).dtype)?;
    if c.tensor(input).dtype == DType::F32 {
        return Ok(Kernel::ConvF32(ConvF32 {
            shape,
            weights: by_phase(&c.f32s(filter)?, [k_h, k_w], &shape, strides),
            bias: c.bias_f32(at.bias, channels)?.repeat(phases),
            bounds: window.activation.bounds(),
        }));
    }
    let weights = || Ok(by_phase(&c.i8s(filter)?, [k_h, k_w], &shape, strides));
    if c.tensor(input).dtype == DType::I16 {
        let one = ConvShape {
            out_c: u32_of(channels),
            ..shape
        };
        let what = (Conv::Full, one, weights()?);
        let mut conv = int16::convolution(c, what, ids, at.bias, window.activation)?;
        conv.shape = shape;
        conv.bias = conv.bias.repeat(phases);
        if let Scales::Multipliers(all) = &mut conv.scales {
            *all = all.repeat(phases);
        }
        return Ok(Kernel::Int16(Int16::Conv(conv)));
    }
    c.expect_dtype(input, DType::I8)?;
    let (from, to) = (c.affine(input)?, c.affine(output)?);
    // XNNPACK does not take windows that leave gaps, nor MediaPipe's operator.
    let short = k_h < strides[0] || k_w < strides[1];
    let left = matches!(c.node.op, Op::Convolution2dTransposeBias(_))
        || window.padding == Padding::Same && short;
    let c = if left { c.reference() } else { c };
    let scales = c.weight_scales(filter, channels, 0)?;
    let (multipliers, bounds) = c.requantize(from, &scales, to, window.activation)?;
    Ok(Kernel::ConvI8(ConvI8 {
        shape,
        weights: weights()?,
        bias: c.bias_i32(at.bias, channels)?.repeat(phases),
        multipliers: multipliers.repeat(phases),
        input_zero_point: from.zero_point,
        output_zero_point: to.zero_point,
        bounds,
    }))
}

/// The filters of all phases, turned around, of an OHWI filter of `k` rows and columns; what a phase does not have is 0.
fn by_phase<T: Copy + Default>(
    filter: &[T],
    [k_h, k_w]: [usize; 2],
    shape: &ConvShape,
    [high, across]: [usize; 2],
) -> Vec<T> {
    let (rows, columns, depth) = (shape.k_h as usize, shape.k_w as usize, shape.in_c as usize);
    let mut all = Vec::with_capacity(shape.out_c as usize * rows * columns * depth);
    for phase in 0..high * across {
        for one in filter.chunks_exact(k_h * k_w * depth) {
            for tap in (0..rows * columns).rev() {
                let y = phase / across + high * (tap / columns);
                let x = phase % across + across * (tap % columns);
                match y < k_h && x < k_w {
                    true => all.extend_from_slice(&one[(y * k_w + x) * depth..][..depth]),
                    false => all.resize(all.len() + depth, T::default()),
                }
            }
        }
    }
    all
}
