//! SELECT and SELECT_V2: bindings condition, a, b, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::Select;

pub(super) const SHADERS: &[Source] = &[embed!("any/select")];

pub(super) fn select(op: Op<'_>, k: &Select) -> Vec<Launch> {
    let width = op.graph.tensors[op.step.outputs[0]].dtype.size();
    let parameters = Params::default()
        .u32([op.output_elements() as u32])
        .u32([0, 1, 2].map(|i| op.input_stride(i)))
        .u32([op.output_words() as u32])
        .u32(k.shape.dims)
        .u32(k.shape.strides.into_iter().flatten())
        .binding();
    let bindings = vec![op.read(0), op.read(1), op.read(2), op.write(0), parameters];
    let launch = Launch::linear("any/select", op.output_words(), bindings);
    vec![launch.with("WIDTH", width as f64)]
}
