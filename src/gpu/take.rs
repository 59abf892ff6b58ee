//! GATHER, GATHER_ND and EMBEDDING_LOOKUP: bindings table, indices, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::Take;

pub(super) const SHADERS: &[Source] = &[embed!("any/take")];

pub(super) fn take(op: Op<'_>, k: &Take) -> Vec<Launch> {
    let size = |id: usize| op.graph.tensors[id].dtype.size();
    let width = size(op.step.outputs[0]);
    let parameters = Params::default()
        .u32([op.output_elements() as u32])
        .u32([op.input_stride(0), op.input_stride(1)])
        .u32([op.output_words() as u32, k.outer, k.rows, k.k, k.inner])
        .u32([k.entries() as u32])
        .u32(k.sizes)
        .binding();
    let bindings = vec![op.read(0), op.read(1), op.write(0), parameters];
    let launch = Launch::linear("any/take", op.output_words(), bindings)
        .with("WIDTH", width as f64)
        .with("INDEX_WORDS", (size(op.step.inputs[1]) / 4) as f64);
    vec![launch]
}
