//! From the bytes of an array to the [`Values`] that a model's input can take.
//!
//! Which array types serve which input is decided once, by [`plan`]; [`fill`] then only follows. Bytes
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
        DType::Bool if element == Element::Bool => Ok((Conversion::Keep, DType::Bool, false)),
        DType::Bool => Err("save it with x.astype(bool)"),
        DType::F16 | DType::U16 | DType::U32 | DType::C64 => Err("inputs of this type are not fed"),
    }
}

/// An array of zeros of a type that [`plan`] names.
pub(super) fn zeros(dtype: DType, count: usize) -> Result<Values, TryReserveError> {
    // Zeroed memory costs nothing until it is touched, but ends the program if there is none: asked for first.
    fn room<T: Clone + Default>(count: usize) -> Result<Vec<T>, TryReserveError> {
        Vec::<T>::new().try_reserve_exact(count)?;
        Ok(vec![T::default(); count])
    }
    Ok(match dtype {
        DType::F32 | DType::F16 => Values::F32(room(count)?),
        DType::I8 => Values::I8(room(count)?),
        DType::U8 => Values::U8(room(count)?),
        DType::Bool => Values::Bool(room(count)?),
        DType::C64 => Values::C64(room(count)?),
        DType::I16 => Values::I16(room(count)?),
        DType::U16 => Values::U16(room(count)?),
        DType::I32 => Values::I32(room(count)?),
        DType::U32 => Values::U32(room(count)?),
        DType::I64 => Values::I64(room(count)?),
    })
}

/// Room for elements of a type that [`plan`] names.
pub(super) enum Room<'a> {
    F32(&'a mut [f32]),
    I8(&'a mut [i8]),
    U8(&'a mut [u8]),
    I16(&'a mut [i16]),
    I32(&'a mut [i32]),
    I64(&'a mut [i64]),
}

impl<'a> Room<'a> {
    /// All of an array; its type is one that [`plan`] names.
    pub fn of(values: &'a mut Values) -> Room<'a> {
        match values {
            Values::F32(v) => Room::F32(v),
            Values::I8(v) => Room::I8(v),
            Values::U8(v) | Values::Bool(v) => Room::U8(v),
            Values::I16(v) => Room::I16(v),
            Values::I32(v) => Room::I32(v),
            Values::I64(v) => Room::I64(v),
            Values::U16(_) | Values::U32(_) | Values::C64(_) => {
                unreachable!("plan never delivers these")
            }
        }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Room::F32(v) => v.len(),
            Room::I8(v) => v.len(),
            Room::U8(v) => v.len(),
            Room::I16(v) => v.len(),
            Room::I32(v) => v.len(),
            Room::I64(v) => v.len(),
        }
    }

    /// Pieces of `n` elements; the last may be shorter.
    pub fn chunks(self, n: usize) -> Vec<Room<'a>> {
        match self {
            Room::F32(v) => v.chunks_mut(n).map(Room::F32).collect(),
            Room::I8(v) => v.chunks_mut(n).map(Room::I8).collect(),
            Room::U8(v) => v.chunks_mut(n).map(Room::U8).collect(),
            Room::I16(v) => v.chunks_mut(n).map(Room::I16).collect(),
            Room::I32(v) => v.chunks_mut(n).map(Room::I32).collect(),
            Room::I64(v) => v.chunks_mut(n).map(Room::I64).collect(),
        }
    }

    /// The bytes to read into where the file's little-endian elements are already what is wanted.
    pub fn as_stored(&mut self, element: Element, conversion: Conversion) -> Option<&mut [u8]> {
        if cfg!(target_endian = "big") {
            return None;
        }
        match (self, element, conversion) {
            (Room::F32(v), Element::F32, Conversion::Float) => Some(bytemuck::cast_slice_mut(v)),
            (Room::U8(v), Element::U8, Conversion::Keep) => Some(v),
            (Room::I8(v), Element::I8, Conversion::Keep) => Some(bytemuck::cast_slice_mut(v)),
            (Room::I16(v), Element::I16, Conversion::Keep) => Some(bytemuck::cast_slice_mut(v)),
            _ => None,
        }
    }
}

/// Refuses floats that are not finite, among elements that were read as they are.
pub(super) fn check(room: &Room<'_>) -> Result<(), BadValue> {
    let Room::F32(values) = room else {
        return Ok(());
    };
    // In stretches without an early end, which the compiler can vectorise.
    let suspicious = |part: &[f32]| {
        part.iter()
            .fold(0u32, |bad, x| bad | u32::from(!x.is_finite()))
    };
    if values.chunks(1024).all(|part| suspicious(part) == 0) {
        return Ok(());
    }
    let index = values.iter().position(|x| !x.is_finite()).unwrap_or(0);
    Err(BadValue {
        index,
        problem: not_finite(values[index]),
    })
}

fn not_finite(x: f32) -> String {
    format!("it is {x}; clean the data, nothing can be calibrated from it")
}

/// Turns little-endian `bytes` into elements, from the `at`-th on.
pub(super) fn fill(
    bytes: &[u8],
    element: Element,
    conversion: Conversion,
    room: &mut Room<'_>,
    at: usize,
) -> Result<(), BadValue> {
    let end = at + bytes.len() / element.size();
    match (conversion, room) {
        (Conversion::Float, Room::F32(out)) => floats(bytes, element, &mut out[at..end]),
        (Conversion::Scale(scale, offset), Room::F32(out)) => {
            let mut out = out[at..end].iter_mut();
            each_integer(bytes, element, |x| {
                let real = x as f32 * scale + offset;
                put(&mut out, real);
                if real.is_finite() {
                    Ok(())
                } else {
                    Err(format!("{x} * {scale} + {offset} is beyond float32"))
                }
            })
        }
        (Conversion::Int32, Room::I32(out)) => {
            let mut out = out[at..end].iter_mut();
            each_integer(bytes, element, |x| {
                let value = i32::try_from(x).map_err(|_| format!("{x} does not fit int32"))?;
                put(&mut out, value);
                Ok(())
            })
        }
        (Conversion::Int64, Room::I64(out)) => {
            let mut out = out[at..end].iter_mut();
            each_integer(bytes, element, |x| {
                put(&mut out, x);
                Ok(())
            })
        }
        (Conversion::Keep, Room::U8(out)) => {
            let is_bool = element == Element::Bool;
            let pairs = out[at..end].iter_mut().zip(bytes);
            pairs.for_each(|(out, &b)| *out = if is_bool { u8::from(b != 0) } else { b });
            Ok(())
        }
        (Conversion::Keep, Room::I8(out)) => {
            let pairs = out[at..end].iter_mut().zip(bytes);
            pairs.for_each(|(out, &b)| *out = b as i8);
            Ok(())
        }
        (Conversion::Keep, Room::I16(out)) => {
            let pairs = out[at..end].iter_mut().zip(bytes.as_chunks::<2>().0);
            pairs.for_each(|(out, &b)| *out = i16::from_le_bytes(b));
            Ok(())
        }
        (conversion, _) => unreachable!("{conversion:?} makes another type: plan pairs them"),
    }
}

/// Puts a value into the next place.
fn put<T>(out: &mut std::slice::IterMut<'_, T>, value: T) {
    if let Some(place) = out.next() {
        *place = value;
    }
}

fn floats(bytes: &[u8], element: Element, out: &mut [f32]) -> Result<(), BadValue> {
    match element {
        Element::F16 => {
            let pairs = out.iter_mut().zip(bytes.as_chunks::<2>().0);
            pairs.for_each(|(out, &b)| *out = half::f16::from_le_bytes(b).to_f32());
        }
        Element::F64 => {
            let pairs = out.iter_mut().zip(bytes.as_chunks::<8>().0);
            pairs.for_each(|(out, &b)| *out = f64::from_le_bytes(b) as f32);
        }
        _ => {
            let pairs = out.iter_mut().zip(bytes.as_chunks::<4>().0);
            pairs.for_each(|(out, &b)| *out = f32::from_le_bytes(b));
        }
    }
    let Some(index) = out.iter().position(|x| !x.is_finite()) else {
        return Ok(());
    };
    let problem = match (element, bytes.as_chunks::<8>().0.get(index)) {
        (Element::F64, Some(&b)) if f64::from_le_bytes(b).is_finite() => {
            format!("{:e} is beyond float32", f64::from_le_bytes(b))
        }
        _ => not_finite(out[index]),
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
