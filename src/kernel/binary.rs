//! Functions of two elements, with broadcasting. For int8 every one of them but ADD and SUB is a table of all 65 536
//! pairs, filled as LiteRT's kernels compute it.

use super::broadcast::{Broadcast, broadcast};
use super::{Context, Kernel, add, xnnpack};
use crate::graph::{Activation, Binary, Error};
use crate::num::{Affine, DType, Multiplier};

/// A float function, whose result is float or, for comparisons, bool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BinaryF32 {
    /// The function.
    pub op: Binary,
    /// Shapes.
    pub shape: Broadcast<2>,
    /// Bounds of the fused activation.
    pub bounds: (f32, f32),
}

/// A function of int32 or int64, whose result is of that type or, for comparisons, bool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryInt {
    /// The function.
    pub op: Binary,
    /// Shapes.
    pub dims: [u32; super::broadcast::MAX_RANK],
    /// Steps of the operands.
    pub strides: [[u32; super::broadcast::MAX_RANK]; 2],
    /// Whether both operands have the output's shape.
    pub same_shape: bool,
    /// Bounds of the fused activation.
    pub bounds: (i64, i64),
}

/// A function of two bytes.
#[derive(Debug)]
pub struct BinaryTable {
    /// Shapes.
    pub shape: Broadcast<2>,
    /// The result of bytes a and b at `256 · a + b`.
    pub table: Vec<u8>,
    /// What the table holds, where it is a product.
    pub product: Option<ProductI8>,
}

/// An int8 product, scaled to its output.
#[derive(Clone, Copy, Debug)]
pub struct ProductI8 {
    /// Zero points of the operands.
    pub input_zero_points: [i32; 2],
    /// To the output's scale.
    pub multiplier: Multiplier,
    /// Zero point of the output.
    pub output_zero_point: i32,
    /// Clamp of the output.
    pub bounds: (i32, i32),
}

impl ProductI8 {
    /// The result of two elements.
    pub fn apply(&self, x: i32, y: i32) -> i32 {
        let product = (x - self.input_zero_points[0]) * (y - self.input_zero_points[1]);
        let scaled = self.multiplier.apply(product);
        let (low, high) = self.bounds;
        let moved = scaled.saturating_add(self.output_zero_point);
        moved.max(low).min(high)
    }
}

impl BinaryInt {
    /// How the operands walk.
    pub fn shape(&self) -> Broadcast<2> {
        Broadcast {
            dims: self.dims,
            strides: self.strides,
            same_shape: self.same_shape,
        }
    }
}

pub(super) fn prepare(c: Context<'_>, op: Binary, activation: Activation) -> Result<Kernel, Error> {
    let (a, b, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    let dtype = c.tensor(a).dtype;
    c.expect_dtype(b, dtype)?;
    let comparison = op.is_comparison();
    c.expect_dtype(output, if comparison { DType::Bool } else { dtype })?;
    let logical = matches!(op, Binary::LogicalAnd | Binary::LogicalOr);
    let equality = matches!(op, Binary::Equal | Binary::NotEqual);
    if dtype == DType::I8
        && let Some(f) = xnnpack::binary(c, op, activation)
    {
        return Ok(Kernel::BinaryTable(BinaryTable {
            shape: broadcast(c, [a, b])?,
            table: pairs(|x, y| f(i32::from(x as i8), i32::from(y as i8)) as u8),
            product: None,
        }));
    }
    match dtype {
        DType::Bool if logical || equality => {
            let f = |a: bool, b: bool| match op {
                Binary::LogicalAnd => a && b,
                Binary::LogicalOr => a || b,
                Binary::Equal => a == b,
                _ => a != b,
            };
            Ok(Kernel::BinaryTable(BinaryTable {
                shape: broadcast(c, [a, b])?,
                table: pairs(|a, b| u8::from(f(a != 0, b != 0))),
                product: None,
            }))
        }
        _ if logical => Err(c.error(format!("its inputs are {dtype}, expected bool"))),
        DType::F32 => Ok(Kernel::BinaryF32(BinaryF32 {
            op,
            shape: broadcast(c, [a, b])?,
            bounds: activation.bounds(),
        })),
        DType::I32 | DType::I64 => {
            if op == Binary::Prelu {
                return Err(c.error(format!("its inputs are {dtype}")));
            }
            let shape = broadcast(c, [a, b])?;
            let (low, high) = activation.bounds();
            Ok(Kernel::BinaryInt(BinaryInt {
                op,
                dims: shape.dims,
                strides: shape.strides,
                same_shape: shape.same_shape,
                // Infinite bounds saturate to the ends of the type.
                bounds: (low as i64, high as i64),
            }))
        }
        DType::I8 if op == Binary::Add => Ok(Kernel::AddI8(add::i8(c, activation, false)?)),
        DType::I8 if op == Binary::Sub => Ok(Kernel::AddI8(add::i8(c, activation, true)?)),
        DType::I8 if op == Binary::Mul => {
            let product = product(c, activation)?;
            Ok(Kernel::BinaryTable(BinaryTable {
                shape: broadcast(c, [a, b])?,
                table: signed(|x, y| product.apply(x, y)),
                product: Some(product),
            }))
        }
        DType::I8 => Ok(Kernel::BinaryTable(BinaryTable {
            shape: broadcast(c, [a, b])?,
            table: table(c, op)?,
            product: None,
        })),
        _ => Err(c.error(format!(
            "its inputs are {dtype}; `zeropoint ops` lists the types it can take"
        ))),
    }
}

fn pairs(f: impl Fn(u8, u8) -> u8) -> Vec<u8> {
    (0..=255u8)
        .flat_map(|a| (0..=255u8).map(move |b| (a, b)))
        .map(|(a, b)| f(a, b))
        .collect()
}

fn signed(f: impl Fn(i32, i32) -> i32) -> Vec<u8> {
    pairs(|x, y| f(i32::from(x as i8), i32::from(y as i8)) as u8)
}

fn product(c: Context<'_>, activation: Activation) -> Result<ProductI8, Error> {
    let (a, b) = (c.affine(c.input(0)?)?, c.affine(c.input(1)?)?);
    let output = c.affine(c.output(0)?)?;
    Ok(ProductI8 {
        input_zero_points: [a.zero_point, b.zero_point],
        // Single precision, as LiteRT has it.
        multiplier: c.multiplier(f64::from(a.scale * b.scale / output.scale))?,
        output_zero_point: output.zero_point,
        bounds: c.quantized_bounds(activation, output)?,
    })
}

fn table(c: Context<'_>, op: Binary) -> Result<Vec<u8>, Error> {
    let (a, b) = (c.affine(c.input(0)?)?, c.affine(c.input(1)?)?);
    if op.is_comparison() {
        return compare(c, op, a, b).map(|f| signed(|x, y| i32::from(f(x, y))));
    }
    if op == Binary::Div {
        return Err(c.error(
            "int8 division fails in LiteRT where the divisor rounds to zero; leave it float",
        ));
    }
    let output = c.affine(c.output(0)?)?;
    let zero = output.zero_point;
    let bounded = |x: i32| x.saturating_add(zero).clamp(-128, 127);
    match op {
        // These compare integers, so all three must mean the same.
        Binary::Maximum => Ok(signed(i32::max)),
        Binary::Minimum => Ok(signed(i32::min)),
        Binary::Prelu => {
            let positive = c.multiplier(f64::from(a.scale / output.scale))?;
            let negative = c.multiplier(f64::from(a.scale * b.scale / output.scale))?;
            Ok(signed(|x, y| {
                let x = x - a.zero_point;
                let scaled = if x >= 0 {
                    positive.apply(x)
                } else {
                    negative.apply(x * (y - b.zero_point))
                };
                bounded(scaled)
            }))
        }
        Binary::SquaredDifference => {
            /// Bits that the operands gain.
            const LEFT_SHIFT: i32 = 7;
            let twice = f64::from(2.0 * a.scale.max(b.scale));
            let common = [
                c.multiplier(f64::from(a.scale) / twice)?,
                c.multiplier(f64::from(b.scale) / twice)?,
            ];
            let divisor = f64::from((1 << (2 * LEFT_SHIFT)) as f32 * output.scale);
            let real = twice * twice / divisor;
            if real >= 1.0 {
                return Err(c.error(format!(
                    "its output scale {} is too small for its inputs; LiteRT refuses it",
                    output.scale
                )));
            }
            let to_output = c.multiplier(real)?;
            Ok(signed(|x, y| {
                let x = common[0].apply((x - a.zero_point) << LEFT_SHIFT);
                let y = common[1].apply((y - b.zero_point) << LEFT_SHIFT);
                let difference = x.wrapping_sub(y);
                let square = difference.wrapping_mul(difference);
                bounded(to_output.apply(square))
            }))
        }
        _ => Err(c.error("it has no int8 kernel; leave it float")),
    }
}

/// `ComparisonWithScaling` of `internal/reference/comparisons.h`.
fn compare(
    c: Context<'_>,
    op: Binary,
    a: Affine,
    b: Affine,
) -> Result<impl Fn(i32, i32) -> bool, Error> {
    let multiplier = |affine: Affine| -> Result<Multiplier, Error> {
        if affine.scale >= 1.0 {
            return Err(c.error(format!(
                "LiteRT compares int8 only for scales below 1, but an input's is {}; leave it float",
                affine.scale
            )));
        }
        c.multiplier(f64::from(affine.scale))
    };
    let (to_a, to_b) = (multiplier(a)?, multiplier(b)?);
    Ok(move |x: i32, y: i32| {
        let x = to_a.apply((x - a.zero_point) << 8);
        let y = to_b.apply((y - b.zero_point) << 8);
        op.holds(x, y)
    })
}

impl Binary {
    /// Whether LiteRT has an int8 kernel for it that cannot fail.
    pub fn has_i8(self) -> bool {
        matches!(
            self,
            Binary::Add
                | Binary::Sub
                | Binary::Mul
                | Binary::Maximum
                | Binary::Minimum
                | Binary::SquaredDifference
                | Binary::Prelu
        ) || self.is_comparison()
    }

    /// The answer of a comparison.
    pub fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Binary::Equal => a == b,
            Binary::NotEqual => a != b,
            Binary::Less => a < b,
            Binary::LessEqual => a <= b,
            Binary::Greater => a > b,
            Binary::GreaterEqual => a >= b,
            _ => false,
        }
    }
}
