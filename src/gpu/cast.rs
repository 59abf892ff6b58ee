//! CAST: bindings input, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::num::DType;

pub(super) const SHADERS: &[Source] = &[embed!("any/cast")];

/// The type's number in the shader.
fn number(dtype: DType) -> Option<f64> {
    Some(match dtype {
        DType::F32 => 0.0,
        DType::I32 | DType::U32 => 1.0,
        DType::I8 => 2.0,
        DType::U8 => 3.0,
        DType::Bool => 4.0,
        DType::I64 => 5.0,
        _ => return None,
    })
}

/// `None` for types of 16 bits.
pub(super) fn cast(op: Op<'_>) -> Option<Vec<Launch>> {
    let dtype = |id: usize| number(op.graph.tensors[id].dtype);
    let (from, to) = (dtype(op.step.inputs[0])?, dtype(op.step.outputs[0])?);
    let parameters = Params::default()
        .u32([op.output_elements() as u32, op.input_stride(0)])
        .u32([op.output_words() as u32])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    let launch = Launch::linear("any/cast", op.output_words(), bindings);
    Some(vec![launch.with("FROM", from).with("TO", to)])
}
