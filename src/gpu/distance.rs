//! Sums and counts of errors: bindings test, reference, output, parameters.

use super::launch::{Launch, Op, Params};
use super::shader::{Source, embed};
use crate::kernel::Distance;
use crate::kernel::distance::counts;
use crate::num::{Affine, DType};

pub(super) const SHADERS: &[Source] = &[embed!("stats/distance"), embed!("stats/codes")];

/// Invocations of a workgroup, and most channels of one.
const WIDTH: u32 = 256;
/// Loops that any driver takes: see "Loops" in `launch.rs`. Behind one of the sums another one follows.
const MOST: u32 = 60_000;

/// `None` for samples that are too large for one workgroup.
pub(super) fn distance(op: Op<'_>, k: &Distance) -> Option<Vec<Launch>> {
    let test = op.step.inputs[0];
    let dtype = op.graph.tensors[test].dtype;
    let affine = k.affine.unwrap_or(Affine {
        scale: 1.0,
        zero_point: 0,
    });
    let strides = [
        op.input_stride(0),
        op.input_stride(1),
        op.output_words() as u32,
    ];
    let bindings = |p: Params| vec![op.read(0), op.read(1), op.write(0), p.binding()];
    let bits = 8.0 * dtype.size() as f64;
    if k.counts {
        let elements = k.channels.checked_mul(k.rows)?;
        if elements / WIDTH > MOST {
            return None;
        }
        let bounds = match dtype {
            DType::I8 => [-128, 127],
            _ => [-32768, 32767],
        };
        let p = Params::default()
            .u32([elements])
            .u32(strides)
            .i32(bounds)
            .i32([affine.zero_point])
            .f32([1.0 / affine.scale]);
        let launch = Launch::groups("stats/codes", bindings(p), |samples| samples);
        let counted = op.output_elements() > counts::CODES;
        let launch = launch.with("BITS", bits);
        return Some(vec![
            launch.with("WITH_CODES", f64::from(u8::from(counted))),
        ]);
    }
    if k.rows / (WIDTH / k.channels.min(WIDTH)) > MOST {
        return None;
    }
    let groups = k.channels.div_ceil(WIDTH);
    let p = Params::default()
        .u32([k.channels, k.rows])
        .u32(strides)
        .u32([groups])
        .i32([affine.zero_point])
        .f32([affine.scale]);
    let launch = Launch::groups("stats/distance", bindings(p), move |samples| {
        samples * groups as usize
    });
    Some(vec![launch.with("BITS", bits)])
}
