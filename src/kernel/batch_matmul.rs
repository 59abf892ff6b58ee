//! BATCH_MATMUL of two activations, and FULLY_CONNECTED whose weights are one: `[…, rows, depth] · […, depth, columns]`.

use super::{Context, u32_of, xnnpack};
use crate::graph::{Activation, Error};
use crate::num::{DType, Multiplier};

/// Most batch dimensions.
pub const MAX_BATCH_DIMS: usize = 4;

/// Sizes and how both operands walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulShape {
    /// Batch dimensions of the output, outermost first, padded with 1 at the front.
    pub batch: [u32; MAX_BATCH_DIMS],
    /// Step of each operand along each of them; 0 where it is broadcast.
    pub batch_strides: [[u32; MAX_BATCH_DIMS]; 2],
    /// Rows of the first operand.
    pub rows: u32,
    /// Columns of the second.
    pub columns: u32,
    /// Products in a sum.
    pub depth: u32,
    /// Step of the first operand from row to row and along a sum.
    pub x: [u32; 2],
    /// Step of the second operand along a sum and from column to column.
    pub y: [u32; 2],
}

/// The float product; a third run-time input is the bias, one a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatmulF32 {
    /// Sizes.
    pub shape: MatmulShape,
    /// Bounds of the fused activation.
    pub bounds: (f32, f32),
}

/// The int8 product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatmulI8 {
    /// Sizes.
    pub shape: MatmulShape,
    /// Zero points of the operands.
    pub input_zero_points: [i32; 2],
    /// To the output.
    pub multiplier: Multiplier,
    /// Zero point of the output.
    pub output_zero_point: i32,
}

impl MatmulShape {
    /// Matrices of one sample: calls `f` with the number of each and where its operands start.
    pub fn each(&self, mut f: impl FnMut(usize, [usize; 2])) {
        let matrices: u32 = self.batch.iter().product();
        for i in 0..matrices {
            let (mut rest, mut at) = (i, [0; 2]);
            for d in (0..MAX_BATCH_DIMS).rev() {
                let index = rest % self.batch[d];
                rest /= self.batch[d];
                for (at, strides) in at.iter_mut().zip(&self.batch_strides) {
                    *at += index as usize * strides[d] as usize;
                }
            }
            f(i as usize, at);
        }
    }
}

pub(super) fn shape(c: Context<'_>, adj_x: bool, adj_y: bool) -> Result<MatmulShape, Error> {
    let (a, b, output) = (c.shape(c.input(0)?), c.shape(c.input(1)?), c.output(0)?);
    let misfit = || c.error(format!("shapes {a:?} and {b:?} do not fit a product"));
    if a.len() < 2 || b.len() < 2 {
        return Err(misfit());
    }
    let (batch_a, matrix_a) = a.split_at(a.len() - 2);
    let (batch_b, matrix_b) = b.split_at(b.len() - 2);
    let (rows, depth) = match adj_x {
        false => (matrix_a[0], matrix_a[1]),
        true => (matrix_a[1], matrix_a[0]),
    };
    let (inner, columns) = match adj_y {
        false => (matrix_b[0], matrix_b[1]),
        true => (matrix_b[1], matrix_b[0]),
    };
    let dims = batch_a.len().max(batch_b.len());
    if inner != depth || dims > MAX_BATCH_DIMS || [rows, depth, columns].contains(&0) {
        return Err(misfit());
    }
    let mut shape = MatmulShape {
        batch: [1; MAX_BATCH_DIMS],
        batch_strides: [[0; MAX_BATCH_DIMS]; 2],
        rows: u32_of(rows),
        columns: u32_of(columns),
        depth: u32_of(depth),
        x: if adj_x {
            [1, u32_of(rows)]
        } else {
            [u32_of(depth), 1]
        },
        y: if adj_y {
            [1, u32_of(depth)]
        } else {
            [u32_of(columns), 1]
        },
    };
    let mut steps = [rows * depth, depth * columns];
    let mut expected = Vec::new();
    for back in 0..dims {
        let size = |batch: &[usize]| batch.iter().rev().nth(back).copied().unwrap_or(1);
        let sizes = [size(batch_a), size(batch_b)];
        let out = if sizes[0] == 1 { sizes[1] } else { sizes[0] };
        let at = MAX_BATCH_DIMS - 1 - back;
        for k in 0..2 {
            if sizes[k] != 1 && sizes[k] != out {
                return Err(misfit());
            }
            shape.batch_strides[k][at] = if sizes[k] == 1 { 0 } else { u32_of(steps[k]) };
            steps[k] *= sizes[k];
        }
        shape.batch[at] = u32_of(out);
        expected.push(out);
    }
    expected.reverse();
    expected.extend([rows, columns]);
    c.expect_shape(output, &expected)?;
    Ok(shape)
}

pub(super) fn f32(c: Context<'_>, adj_x: bool, adj_y: bool) -> Result<MatmulF32, Error> {
    c.expect_dtype(c.input(1)?, DType::F32)?;
    c.expect_dtype(c.output(0)?, DType::F32)?;
    Ok(MatmulF32 {
        shape: shape(c, adj_x, adj_y)?,
        bounds: Activation::None.bounds(),
    })
}

pub(super) fn i8(c: Context<'_>, adj_x: bool, adj_y: bool) -> Result<MatmulI8, Error> {
    let (a, b, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    c.expect_dtype(b, DType::I8)?;
    c.expect_dtype(output, DType::I8)?;
    let (a, b, output) = (c.affine(a)?, c.affine(b)?, c.affine(output)?);
    // Single precision up to the division, as LiteRT has it.
    let real = f64::from(a.scale * b.scale) / f64::from(output.scale);
    // XNNPACK takes symmetric second operands only.
    let float = (c.is_xnnpack() && b.zero_point == 0)
        .then(|| xnnpack::ratios(a.scale, &[b.scale], output.scale))
        .flatten();
    let multiplier = match float.as_deref() {
        Some(&[multiplier]) => multiplier,
        _ => c.multiplier(real)?,
    };
    Ok(MatmulI8 {
        shape: shape(c, adj_x, adj_y)?,
        input_zero_points: [a.zero_point, b.zero_point],
        multiplier,
        output_zero_point: output.zero_point,
    })
}

/// FULLY_CONNECTED with weights that are computed: `[units, depth]`.
pub(super) fn dense(c: Context<'_>, activation: Activation) -> Result<MatmulF32, Error> {
    let (input, weights, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    let [units, depth] = c.shape_of_rank::<2>(weights)?;
    let elements = c.graph.elements(input);
    if depth == 0 || units == 0 || !elements.is_multiple_of(depth) {
        return Err(c.error(format!(
            "{elements} input elements do not divide into rows of {depth}"
        )));
    }
    let rows = elements / depth;
    c.expect_elements(output, rows * units)?;
    c.expect_dtype(weights, DType::F32)?;
    c.expect_dtype(output, DType::F32)?;
    if let Some(bias) = c.optional_input(2) {
        c.expect_dtype(bias, DType::F32)?;
        c.expect_elements(bias, units)?;
    }
    let (rows, columns, depth) = (u32_of(rows), u32_of(units), u32_of(depth));
    Ok(MatmulF32 {
        shape: MatmulShape {
            batch: [1; MAX_BATCH_DIMS],
            batch_strides: [[0; MAX_BATCH_DIMS]; 2],
            rows,
            columns,
            depth,
            x: [depth, 1],
            y: [1, depth],
        },
        bounds: activation.bounds(),
    })
}
