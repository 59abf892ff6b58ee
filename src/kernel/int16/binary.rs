//! Functions of two int16. ADD and SUB bring both operands to a common scale with 15 more bits, comparisons with 8.

use super::{bounds, symmetric};
use crate::graph::{Activation, Binary, Error};
use crate::kernel::broadcast::{Broadcast, broadcast};
use crate::kernel::{Context, Kernel};
use crate::num::{DType, Multiplier};

/// A function of two int16, whose result is int16 or, for comparisons, bool.
#[derive(Debug)]
pub struct BinaryI16 {
    /// The function.
    pub op: Binary,
    /// Shapes.
    pub shape: Broadcast<2>,
    /// Taken off the second operand: the zero point of PRELU's slopes, which are int8.
    pub zero_point: i32,
    /// Left shift of the operands of sums and comparisons before they are scaled.
    pub left_shift: u32,
    /// To the common scale; for PRELU, of what is not negative and of what is.
    pub input_multipliers: [Multiplier; 2],
    /// To the output.
    pub output_multiplier: Multiplier,
    /// Clamp of the output.
    pub bounds: (i32, i32),
}

pub(super) fn prepare(c: Context<'_>, op: Binary, activation: Activation) -> Result<Kernel, Error> {
    let (a, b, output) = (c.input(0)?, c.input(1)?, c.output(0)?);
    let shape = broadcast(c, [a, b])?;
    let (slopes, a) = (b, symmetric(c, a)?);
    let (b, zero_point) = match op {
        Binary::Prelu => {
            c.expect_dtype(slopes, DType::I8)?;
            let slopes = c.affine(slopes)?;
            (slopes.scale, slopes.zero_point)
        }
        _ => (symmetric(c, b)?, 0),
    };
    let mut kernel = BinaryI16 {
        op,
        shape,
        zero_point,
        left_shift: 0,
        input_multipliers: [Multiplier::default(); 2],
        output_multiplier: Multiplier::default(),
        bounds: (-32768, 32767),
    };
    if op.is_comparison() {
        c.expect_dtype(output, DType::Bool)?;
        if !matches!(op, Binary::Equal | Binary::NotEqual) {
            // LiteRT compares the stored numbers, whatever their scales are.
            return Ok(Kernel::Int16(super::Int16::Binary(kernel)));
        }
        kernel.left_shift = 8;
        for (to, scale) in kernel.input_multipliers.iter_mut().zip([a, b]) {
            if scale >= 1.0 {
                return Err(c.error(format!(
                    "LiteRT compares integers only for scales below 1, but an input's is {scale}; leave it float"
                )));
            }
            *to = c.multiplier(f64::from(scale))?;
        }
        return Ok(Kernel::Int16(super::Int16::Binary(kernel)));
    }
    let to = symmetric(c, output)?;
    let limits = bounds(c, activation, to)?;
    match op {
        Binary::Add | Binary::Sub => {
            kernel.left_shift = 15;
            // Single precision where LiteRT has it: the larger scale is doubled in float.
            let twice_largest = f64::from(2.0 * a.max(b));
            let to_output = twice_largest / f64::from((1u32 << 15) as f32 * to);
            if to_output >= 1.0 {
                return Err(c.error(format!(
                    "its output scale {to} is over sixteen thousand times smaller than its inputs'"
                )));
            }
            kernel.input_multipliers = [
                c.multiplier(f64::from(a) / twice_largest)?,
                c.multiplier(f64::from(b) / twice_largest)?,
            ];
            kernel.output_multiplier = c.multiplier(to_output)?;
            kernel.bounds = limits;
        }
        Binary::Mul => {
            kernel.output_multiplier = c.multiplier(f64::from(a * b / to))?;
            kernel.bounds = limits;
        }
        Binary::Prelu => {
            kernel.input_multipliers = [
                c.multiplier(f64::from(a / to))?,
                c.multiplier(f64::from(a * b / to))?,
            ];
        }
        // These compare integers, so all three must mean the same.
        Binary::Maximum | Binary::Minimum => {}
        _ => return Err(c.error("it has no int16 kernel; leave it float")),
    }
    Ok(Kernel::Int16(super::Int16::Binary(kernel)))
}

impl BinaryI16 {
    /// The result, 0 or 1 for comparisons.
    pub fn apply(&self, a: i16, b: i16) -> i32 {
        let (a, b) = (i32::from(a), i32::from(b) - self.zero_point);
        let scaled = |x: i32, i: usize| self.input_multipliers[i].apply(x << self.left_shift);
        let result = match self.op {
            Binary::Add => {
                let sum = scaled(a, 0).wrapping_add(scaled(b, 1));
                self.output_multiplier.apply(sum)
            }
            Binary::Sub => {
                let difference = scaled(a, 0).wrapping_sub(scaled(b, 1));
                self.output_multiplier.apply(difference)
            }
            Binary::Mul => self.output_multiplier.apply(a * b),
            Binary::Maximum => a.max(b),
            Binary::Minimum => a.min(b),
            Binary::Prelu if a >= 0 => self.input_multipliers[0].apply(a),
            Binary::Prelu => self.input_multipliers[1].apply(a * b),
            Binary::Equal | Binary::NotEqual => {
                return self.op.holds(scaled(a, 0), scaled(b, 1)).into();
            }
            op => return op.holds(a, b).into(),
        };
        result.clamp(self.bounds.0, self.bounds.1)
    }
}
