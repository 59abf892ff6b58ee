//! Operators that move elements: bindings input, output, parameters, boxes; a launch for each input.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::{Box8, Place};

pub(super) const SHADERS: &[Source] = &[embed!("any/place")];

pub(super) fn place(op: Op<'_>, k: &Place) -> Vec<Launch> {
    let output = op.step.outputs[0];
    let width = op.graph.tensors[output].dtype.size();
    let fill = k.fill.unwrap_or_default();
    let word = |at: usize| u32::from_le_bytes([fill[at], fill[at + 1], fill[at + 2], fill[at + 3]]);
    let mut inputs: Vec<u32> = k.boxes.iter().map(|b| b.input).collect();
    inputs.dedup();
    if inputs.is_empty() {
        inputs.push(0);
    }
    let launch = |(n, &input): (usize, &u32)| {
        let boxes: Vec<&Box8> = k.boxes.iter().filter(|b| b.input == input).collect();
        let parameters = Params::default()
            .u32([op.output_elements() as u32])
            .u32([op.input_stride(input as usize), op.output_words() as u32])
            .u32([boxes.len() as u32, word(0), word(4)])
            .u32(k.dims)
            .binding();
        let mut list = Params::default();
        for b in boxes {
            list = list.u32([b.base]).u32(b.start).u32(b.step).u32(b.count);
            list = list.i32(b.strides);
        }
        // A binding cannot be empty.
        let list = list.u32(k.boxes.is_empty().then_some(0));
        let read = Binding::Read(op.step.inputs[input as usize]);
        let bindings = vec![read, op.write(0), parameters, list.binding()];
        Launch::linear("any/place", op.output_words(), bindings)
            .with("WIDTH", width as f64)
            .with("FIRST", f64::from(u8::from(n == 0)))
    };
    inputs.iter().enumerate().map(launch).collect()
}
