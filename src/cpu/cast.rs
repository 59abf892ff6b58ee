//! CAST: integers wrap, floats are cut toward zero and saturate.

use crate::num::{DType, Values};

/// `bytes` of type `from` as type `to`.
pub fn cast(bytes: &[u8], from: DType, to: DType) -> Values {
    let Some(x) = Values::from_bytes(from, bytes) else {
        unreachable!("kernel::prepare refuses float16")
    };
    match x {
        Values::F32(v) => floats(&v, to),
        Values::I8(v) => integers(&v, to),
        Values::U8(v) | Values::Bool(v) => integers(&v, to),
        Values::I16(v) => integers(&v, to),
        Values::U16(v) => integers(&v, to),
        Values::I32(v) => integers(&v, to),
        Values::U32(v) => integers(&v, to),
        Values::I64(v) => by(&v, to, |x| x, |x| x as f32, |x| x != 0),
        Values::C64(_) => unreachable!("kernel::prepare refuses complex64"),
    }
}

/// Saturating, as LiteRT has it.
fn floats(v: &[f32], to: DType) -> Values {
    let v = v.iter().copied();
    match to {
        DType::F32 | DType::F16 | DType::C64 => Values::F32(v.collect()),
        DType::I8 => Values::I8(v.map(|x| x as i8).collect()),
        DType::U8 => Values::U8(v.map(|x| x as u8).collect()),
        DType::I16 => Values::I16(v.map(|x| x as i16).collect()),
        DType::U16 => Values::U16(v.map(|x| x as u16).collect()),
        DType::I32 => Values::I32(v.map(|x| x as i32).collect()),
        DType::U32 => Values::U32(v.map(|x| x as u32).collect()),
        DType::I64 => Values::I64(v.map(|x| x as i64).collect()),
        DType::Bool => Values::Bool(v.map(|x| u8::from(x != 0.0)).collect()),
    }
}

fn integers<T: Copy + Into<i64>>(v: &[T], to: DType) -> Values {
    let int = |x: T| -> i64 { x.into() };
    by(v, to, int, |x| int(x) as f32, |x| int(x) != 0)
}

fn by<T: Copy>(
    v: &[T],
    to: DType,
    int: impl Fn(T) -> i64,
    real: impl Fn(T) -> f32,
    truth: impl Fn(T) -> bool,
) -> Values {
    let v = v.iter().copied();
    match to {
        DType::F32 | DType::F16 | DType::C64 => Values::F32(v.map(real).collect()),
        DType::I8 => Values::I8(v.map(|x| int(x) as i8).collect()),
        DType::U8 => Values::U8(v.map(|x| int(x) as u8).collect()),
        DType::I16 => Values::I16(v.map(|x| int(x) as i16).collect()),
        DType::U16 => Values::U16(v.map(|x| int(x) as u16).collect()),
        DType::I32 => Values::I32(v.map(|x| int(x) as i32).collect()),
        DType::U32 => Values::U32(v.map(|x| int(x) as u32).collect()),
        DType::I64 => Values::I64(v.map(int).collect()),
        DType::Bool => Values::Bool(v.map(|x| u8::from(truth(x))).collect()),
    }
}
