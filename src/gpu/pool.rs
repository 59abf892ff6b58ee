//! Pools: bindings input, output, geometry, bounds.

use super::launch::{Binding, Launch, Op, Params};
use super::shader::{Source, embed};
use crate::graph::Pool;
use crate::kernel::{PoolF32, PoolI8, PoolShape};

pub(super) const SHADERS: &[Source] = &[embed!("f32/pool"), embed!("int8/pool")];

fn number(kind: Pool) -> f64 {
    match kind {
        Pool::Average => 0.0,
        Pool::Max => 1.0,
        Pool::L2 => 2.0,
    }
}

fn geometry(op: Op<'_>, shape: &PoolShape) -> Binding {
    Params::default()
        .u32(bytemuck::cast::<PoolShape, [u32; 12]>(*shape))
        .u32([op.input_stride(0), op.output_words() as u32])
        .u32([op.output_elements() as u32])
        .binding()
}

pub(super) fn f32(op: Op<'_>, k: &PoolF32) -> Vec<Launch> {
    let bounds = Params::default().f32([k.bounds.0, k.bounds.1]).binding();
    let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape), bounds];
    let launch = Launch::linear("f32/pool", op.output_elements(), bindings);
    vec![launch.with("OP", number(k.kind)).seen()]
}

pub(super) fn i8(op: Op<'_>, k: &PoolI8) -> Vec<Launch> {
    integers("int8/pool", op, k)
}

/// int8 or int16.
pub(super) fn integers(shader: &'static str, op: Op<'_>, k: &PoolI8) -> Vec<Launch> {
    let bounds = Params::default().i32([k.bounds.0, k.bounds.1]).binding();
    let bindings = vec![op.read(0), op.write(0), geometry(op, &k.shape), bounds];
    let launch = Launch::linear(shader, op.output_words(), bindings);
    vec![launch.with("OP", number(k.kind))]
}
