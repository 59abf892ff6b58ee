//! From the bytes of an array to the [`Values`] that a model's input can take.
//!
//! Which array types serve which input is decided once, by [`plan`]; [`append`] then only follows. Bytes
//! come in any portions that hold whole elements.

use std::collections::TryReserveError;

use crate::num::{DType, Values};

use super::npy::Element;

/// What is made of every element of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Conversion {
    /// Integers kept as they are; a bool becomes 0 or 1.
    Keep,
    /// Floating point to float32, refusing NaN, infinity and what float32 cannot hold.
    Float,
    /// Integers to float32: `x as f32 * scale + offset`, rounded after each step as numpy does in float32.
    Scale(f32, f32),
    /// Integers to int32, refusing what does not fit.
    Int32,
    /// Integers to int64, refusing what does not fit.
    Int64,
}

/// A value that cannot be used: its index among the elements given, and why.
pub(super) struct BadValue {
    pub index: usize,
    pub problem: String,
}

/// How an array of `element`s feeds an input of type `wanted`; the error is advice.
///
/// Returns the conversion, the type that comes out, and whether the device still has to apply
/// `scale_offset` to it (8-bit data travels as it is).
pub(super) fn plan(
    element: Element,
    wanted: DType,
    scale_offset: Option<(f32, f32)>,
) -> Result<(Conversion, DType, bool), &'static str> {
    match wanted {
        DType::F32 | DType::I8 | DType::U8 | DType::I16 if element.is_float() => {
            Ok((Conversion::Float, DType::F32, false))
        }
        DType::F32 | DType::I8 | DType::U8 | DType::I16 => match (element, scale_offset) {
            (Element::I8, Some(_)) => Ok((Conversion::Keep, DType::I8, true)),
            (Element::U8 | Element::Bool, Some(_)) => Ok((Conversion::Keep, DType::U8, true)),
            (_, Some((scale, offset))) => Ok((Conversion::Scale(scale, offset), DType::F32, false)),
            (Element::I8, None) if wanted == DType::I8 => Ok((Conversion::Keep, wanted, false)),
            (Element::U8, None) if wanted == DType::U8 => Ok((Conversion::Keep, wanted, false)),
            (Element::I16, None) if wanted == DType::I16 => Ok((Conversion::Keep, wanted, false)),
            (_, None) => Err(
                "say how they become real numbers, x * S + O: pass --input-scale S --input-offset O",
            ),
        },
        DType::I32 | DType::I64 if element.is_float() => {
            Err("save integers, with x.astype(numpy.int32)")
        }
        DType::I32 => Ok((Conversion::Int32, DType::I32, false)),
        DType::I64 => Ok((Conversion::Int64, DType::I64, false)),
        DType::Bool if element == Element::Bool => Ok((Conversion::Keep, DType::U8, false)),
        DType::Bool => Err("save it with x.astype(bool)"),
        DType::F16 | DType::U16 | DType::U32 => Err("inputs of this type are not fed"),
    }
}

/// An empty array of a type that [`plan`] names, with room for `capacity` elements.
pub(super) fn empty(dtype: DType, capacity: usize) -> Result<Values, TryReserveError> {
    fn room<T>(capacity: usize) -> Result<Vec<T>, TryReserveError> {
        let mut room = Vec::new();
        room.try_reserve_exact(capacity)?;
        Ok(room)
    }
    Ok(match dtype {
        DType::F32 | DType::F16 => Values::F32(room(capacity)?),
        DType::I8 => Values::I8(room(capacity)?),
        DType::U8 | DType::Bool => Values::U8(room(capacity)?),
        DType::I16 => Values::I16(room(capacity)?),
        DType::U16 => Values::U16(room(capacity)?),
        DType::I32 => Values::I32(room(capacity)?),
        DType::U32 => Values::U32(room(capacity)?),
        DType::I64 => Values::I64(room(capacity)?),
    })
}

/// Turns little-endian `bytes` into elements and appends them to `values`.
pub(super) fn append(
    bytes: &[u8],
    element: Element,
    conversion: Conversion,
    values: &mut Values,
) -> Result<(), BadValue> {
    match (conversion, values) {
        (Conversion::Float, Values::F32(out)) => floats(bytes, element, out),
        (Conversion::Scale(scale, offset), Values::F32(out)) => each_integer(bytes, element, |x| {
            let real = x as f32 * scale + offset;
            out.push(real);
            if real.is_finite() {
                Ok(())
            } else {
                Err(format!("{x} * {scale} + {offset} is beyond float32"))
            }
        }),
        (Conversion::Int32, Values::I32(out)) => each_integer(bytes, element, |x| {
            out.push(i32::try_from(x).map_err(|_| format!("{x} does not fit int32"))?);
            Ok(())
        }),
        (Conversion::Int64, Values::I64(out)) => each_integer(bytes, element, |x| {
            out.push(x);
            Ok(())
        }),
        (Conversion::Keep, Values::U8(out)) if element == Element::Bool => {
            out.extend(bytes.iter().map(|&byte| u8::from(byte != 0)));
            Ok(())
        }
        (Conversion::Keep, Values::U8(out)) => {
            out.extend(bytes);
            Ok(())
        }
        (Conversion::Keep, Values::I8(out)) => {
            out.extend(bytes.iter().map(|&byte| byte as i8));
            Ok(())
        }
        (Conversion::Keep, Values::I16(out)) => {
            out.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&b| i16::from_le_bytes(b)),
            );
            Ok(())
        }
        (conversion, values) => unreachable!(
            "{conversion:?} never makes {}: plan pairs them",
            values.dtype()
        ),
    }
}

fn floats(bytes: &[u8], element: Element, out: &mut Vec<f32>) -> Result<(), BadValue> {
    let before = out.len();
    match element {
        Element::F16 => out.extend(
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&b| half::f16::from_le_bytes(b).to_f32()),
        ),
        Element::F64 => out.extend(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&b| f64::from_le_bytes(b) as f32),
        ),
        _ => out.extend(
            bytes
                .as_chunks::<4>()
                .0
                .iter()
                .map(|&b| f32::from_le_bytes(b)),
        ),
    }
    let Some(index) = out[before..].iter().position(|x| !x.is_finite()) else {
        return Ok(());
    };
    let problem = match (element, bytes.as_chunks::<8>().0.get(index)) {
        (Element::F64, Some(&b)) if f64::from_le_bytes(b).is_finite() => {
            format!("{:e} is beyond float32", f64::from_le_bytes(b))
        }
        _ => format!(
            "it is {}; clean the data, nothing can be calibrated from it",
            out[before + index]
        ),
    };
    Err(BadValue { index, problem })
}

/// Calls `take` with every integer (bools as 0 and 1), until it returns an error.
pub(super) fn each_integer(
    bytes: &[u8],
    element: Element,
    mut take: impl FnMut(i64) -> Result<(), String>,
) -> Result<(), BadValue> {
    macro_rules! each {
        ($size:literal, $value:expr) => {
            bytes
                .as_chunks::<$size>()
                .0
                .iter()
                .enumerate()
                .try_for_each(|(index, &b)| {
                    let value: Result<i64, String> = $value(b);
                    value
                        .and_then(&mut take)
                        .map_err(|problem| BadValue { index, problem })
                })
        };
    }
    match element {
        Element::Bool => each!(1, |b: [u8; 1]| Ok(i64::from(b[0] != 0))),
        Element::I8 => each!(1, |b| Ok(i64::from(i8::from_le_bytes(b)))),
        Element::U8 => each!(1, |b| Ok(i64::from(u8::from_le_bytes(b)))),
        Element::I16 => each!(2, |b| Ok(i64::from(i16::from_le_bytes(b)))),
        Element::U16 => each!(2, |b| Ok(i64::from(u16::from_le_bytes(b)))),
        Element::I32 => each!(4, |b| Ok(i64::from(i32::from_le_bytes(b)))),
        Element::U32 => each!(4, |b| Ok(i64::from(u32::from_le_bytes(b)))),
        Element::I64 => each!(8, |b| Ok(i64::from_le_bytes(b))),
        Element::U64 => each!(8, |b| {
            let value = u64::from_le_bytes(b);
            i64::try_from(value).map_err(|_| format!("{value} does not fit int64"))
        }),
        Element::F16 | Element::F32 | Element::F64 => {
            unreachable!("plan sends floating point to `floats`")
        }
    }
}
