//! RFFT2D and what is taken of complex numbers: bindings input, output, parameters, roots of unity.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::graph::Part;
use crate::kernel::Rfft;

pub(super) const SHADERS: &[Source] = &[embed!("f32/complex"), embed!("f32/rfft")];

/// Iterations of nested loops that any driver takes: see "Loops" in `launch.rs`.
const MOST: u32 = 60_000;

/// `None` for images that are too large for a transform by its definition.
pub(super) fn rfft(op: Op<'_>, k: &Rfft) -> Option<Vec<Launch>> {
    let [h, w] = [0, 1].map(|i| k.input[i].min(k.lengths[i]));
    if h.saturating_mul(w) > MOST {
        return None;
    }
    let elements = k.images * k.lengths[0] * k.columns();
    let parameters = Params::default()
        .u32(k.input)
        .u32(k.lengths)
        .u32([k.columns(), elements])
        .u32([op.input_stride(0), op.output_words() as u32])
        .binding();
    let roots = k.lengths.into_iter().flat_map(|n| {
        (0..n).flat_map(move |i| {
            let angle = std::f64::consts::TAU * f64::from(i) / f64::from(n);
            [angle.cos() as f32, -angle.sin() as f32]
        })
    });
    let roots = Params::default().f32(roots).binding();
    let bindings = vec![op.read(0), op.write(0), parameters, roots];
    Some(vec![Launch::linear(
        "f32/rfft",
        elements as usize,
        bindings,
    )])
}

pub(super) fn part(op: Op<'_>, part: Part) -> Vec<Launch> {
    let number = match part {
        Part::Real => 0.0,
        Part::Imaginary => 1.0,
        Part::Magnitude => 2.0,
    };
    let parameters = Params::default()
        .u32([op.output_elements() as u32, op.input_stride(0)])
        .binding();
    let bindings = vec![op.read(0), op.write(0), parameters];
    let launch = Launch::linear("f32/complex", op.output_elements(), bindings);
    vec![launch.with("OP", number)]
}
