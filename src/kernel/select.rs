//! SELECT and SELECT_V2: elements of the second operand where the first is true, of the third elsewhere.

use super::Context;
use super::broadcast::{Broadcast, broadcast};
use crate::graph::Error;
use crate::num::DType;

/// Shapes of condition, first and second choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Select {
    /// How the three walk along the output.
    pub shape: Broadcast<3>,
}

pub(super) fn prepare(c: Context<'_>, wide: bool) -> Result<Select, Error> {
    let (condition, a, b, output) = (c.input(0)?, c.input(1)?, c.input(2)?, c.output(0)?);
    c.expect_dtype(condition, DType::Bool)?;
    let dtype = c.tensor(output).dtype;
    c.expect_dtype(a, dtype)?;
    c.expect_dtype(b, dtype)?;
    let (shape, rows) = (c.shape(condition), c.shape(a));
    if [condition, a, b, output]
        .iter()
        .all(|&id| c.graph.elements(id) == 1)
    {
        // Whatever their ranks are.
        return Ok(Select {
            shape: Broadcast::same(1),
        });
    }
    if wide || shape == rows {
        return Ok(Select {
            shape: broadcast(c, [condition, a, b])?,
        });
    }
    // SELECT: a scalar, or one answer for each slice along the first dimension.
    c.expect_shape(b, rows)?;
    c.expect_shape(output, rows)?;
    let n = c.graph.elements(output);
    let answers = c.graph.elements(condition);
    if !(answers == 1 || (shape.len() == 1 && rows.first() == Some(&answers))) {
        return Err(c.error(format!(
            "its condition {shape:?} does not fit operands {rows:?}"
        )));
    }
    let mut shape = Broadcast::same(super::u32_of(n / answers));
    let last = shape.dims.len() - 1;
    shape.same_shape = false;
    shape.dims[last - 1] = super::u32_of(answers);
    let slice = shape.dims[last];
    shape.strides[0][last] = 0;
    shape.strides[0][last - 1] = u32::from(answers != 1);
    shape.strides[1][last - 1] = slice;
    shape.strides[2][last - 1] = slice;
    Ok(Select { shape })
}
