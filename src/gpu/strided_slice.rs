//! STRIDED_SLICE: bindings input, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::Gather;

pub(super) const SHADERS: &[Source] = &[embed!("any/gather")];

pub(super) fn gather(op: Op<'_>, k: &Gather) -> Vec<Launch> {
    let words = op.output_words();
    let element_bytes = op.graph.tensors[op.step.outputs[0]].dtype.size();
    let parameters = Params::default()
        .u32([
            op.output_elements() as u32,
            op.input_stride(0),
            words as u32,
            k.base,
        ])
        .u32(k.dims)
        .i32(k.strides)
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    vec![Launch::linear("any/gather", words, bindings).with("LANES", 4.0 / element_bytes as f64)]
}
