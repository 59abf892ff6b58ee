//! RESHAPE: bindings input, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};

pub(super) const SHADERS: &[Source] = &[embed!("any/copy")];

pub(super) fn copy(op: Op<'_>) -> Vec<Launch> {
    let words = op.output_words();
    let parameters = Params::default()
        .u32([words as u32, op.input_stride(0)])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    vec![Launch::linear("any/copy", words, bindings)]
}
