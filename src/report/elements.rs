//! The first values of a constant, decoded by its type.

use crate::model::{Tensor, TensorType};
use half::{bf16, f16};
use serde::Serialize;
use std::fmt;

/// Most values that are shown of one constant.
pub(super) const SHOWN: usize = 8;

/// A value of any type that a constant can have.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Element {
    /// float16, bfloat16, float32. JSON has no NaN and no infinities: they are `null` there.
    Float(f32),
    /// float64.
    Double(f64),
    /// Signed integers.
    Signed(i64),
    /// Unsigned integers.
    Unsigned(u64),
    /// bool.
    Bool(bool),
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Element::Float(x) => number(f, f64::from(x), &x),
            Element::Double(x) => number(f, x, &x),
            Element::Signed(x) => write!(f, "{x}"),
            Element::Unsigned(x) => write!(f, "{x}"),
            Element::Bool(x) => write!(f, "{x}"),
        }
    }
}

/// A few digits that tell the size.
fn number(f: &mut fmt::Formatter<'_>, x: f64, exact: &dyn fmt::Display) -> fmt::Result {
    if x == x.trunc() && x.abs() < 1e6 || !x.is_finite() {
        write!(f, "{exact}")
    } else if (1e-3..1e6).contains(&x.abs()) {
        write!(f, "{x:.5}")
    } else {
        write!(f, "{x:.4e}")
    }
}

/// The first values of a tensor whose buffer holds `data`; none of types without a size. Of a sparse tensor these are the
/// values that are stored.
pub(super) fn first(tensor: &Tensor, data: &[u8]) -> Vec<Element> {
    let Ok(kind) = TensorType::try_from(tensor.type_) else {
        return Vec::new();
    };
    let dims = tensor.shape.iter().flatten();
    let elements = dims.fold(1u64, |n, &d| n.saturating_mul(d.unsigned_abs().into()));
    let most = usize::try_from(elements).unwrap_or(SHOWN).min(SHOWN);
    let signed = |x: i64| Element::Signed(x);
    let unsigned = |x: u64| Element::Unsigned(x);
    match kind {
        TensorType::Float32 => words(data, most, |b| Element::Float(f32::from_le_bytes(b))),
        TensorType::Float16 => words(data, most, |b| {
            Element::Float(f16::from_le_bytes(b).to_f32())
        }),
        TensorType::Bfloat16 => words(data, most, |b| {
            Element::Float(bf16::from_le_bytes(b).to_f32())
        }),
        TensorType::Float64 => words(data, most, |b| Element::Double(f64::from_le_bytes(b))),
        TensorType::Int8 => words(data, most, |b| signed(i8::from_le_bytes(b).into())),
        TensorType::Int16 => words(data, most, |b| signed(i16::from_le_bytes(b).into())),
        TensorType::Int32 => words(data, most, |b| signed(i32::from_le_bytes(b).into())),
        TensorType::Int64 => words(data, most, |b| signed(i64::from_le_bytes(b))),
        TensorType::Uint8 => words(data, most, |b| unsigned(u8::from_le_bytes(b).into())),
        TensorType::Uint16 => words(data, most, |b| unsigned(u16::from_le_bytes(b).into())),
        TensorType::Uint32 => words(data, most, |b| unsigned(u32::from_le_bytes(b).into())),
        TensorType::Uint64 => words(data, most, |b| unsigned(u64::from_le_bytes(b))),
        TensorType::Bool => words(data, most, |[b]: [u8; 1]| Element::Bool(b != 0)),
        TensorType::Int4 => packed(data, most, 4, |bits| {
            signed(i64::from((bits << 4) as i8 >> 4))
        }),
        TensorType::Int2 => packed(data, most, 2, |bits| {
            signed(i64::from((bits << 6) as i8 >> 6))
        }),
        TensorType::Uint4 => packed(data, most, 4, |bits| unsigned(bits.into())),
        _ => Vec::new(),
    }
}

fn words<const N: usize>(
    data: &[u8],
    most: usize,
    read: impl Fn([u8; N]) -> Element,
) -> Vec<Element> {
    let words = data.as_chunks().0.iter().take(most);
    words.map(|&word| read(word)).collect()
}

/// Values of a few bits, the first in the lowest ones.
fn packed(data: &[u8], most: usize, bits: usize, read: impl Fn(u8) -> Element) -> Vec<Element> {
    let mask = (1u8 << bits) - 1;
    let values = data.iter().flat_map(|&byte| {
        let places = (0..8).step_by(bits);
        places.map(move |place| byte >> place & mask)
    });
    values.take(most).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: TensorType, shape: &[i32], data: &[u8]) -> String {
        let tensor = Tensor {
            type_: kind as i8,
            shape: Some(shape.to_vec()),
            ..Tensor::default()
        };
        let texts: Vec<String> = first(&tensor, data)
            .iter()
            .map(ToString::to_string)
            .collect();
        texts.join(" ")
    }

    #[test]
    fn every_type_is_decoded() {
        let floats: Vec<u8> = [1.5f32, -0.1, 3e-9, f32::NAN, f32::NEG_INFINITY]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let text = "1.50000 -0.10000 3.0000e-9 NaN -inf";
        assert_eq!(shown(TensorType::Float32, &[5], &floats), text);
        let halves = [0x00, 0x3c, 0x00, 0xc0];
        assert_eq!(shown(TensorType::Float16, &[2], &halves), "1 -2");
        assert_eq!(shown(TensorType::Bfloat16, &[1], &[0x80, 0x3f]), "1");
        let bytes = [0xff, 0x01, 0x80, 0x7f, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(shown(TensorType::Int8, &[4], &bytes), "-1 1 -128 127");
        assert_eq!(shown(TensorType::Uint8, &[4], &bytes), "255 1 128 127");
        assert_eq!(shown(TensorType::Int16, &[2], &bytes), "511 32640");
        assert_eq!(
            shown(TensorType::Uint16, &[4], &bytes),
            "511 32640 65535 65535"
        );
        assert_eq!(shown(TensorType::Int32, &[2], &bytes), "2139095551 -1");
        assert_eq!(
            shown(TensorType::Uint32, &[2], &bytes),
            "2139095551 4294967295"
        );
        assert_eq!(shown(TensorType::Int64, &[], &bytes), "-2155871745");
        assert_eq!(shown(TensorType::Bool, &[3], &[1, 0, 2]), "true false true");
        // The last half byte is padding.
        assert_eq!(shown(TensorType::Int4, &[3], &[0x8f, 0x07]), "-1 -8 7");
        assert_eq!(shown(TensorType::Uint4, &[2], &[0x8f]), "15 8");
        assert_eq!(shown(TensorType::Int2, &[4], &[0b01_00_10_11]), "-1 -2 0 1");
        assert_eq!(shown(TensorType::String, &[1], &bytes), "");
        assert_eq!(
            shown(TensorType::Float32, &[i32::MAX; 8], &floats[..7]),
            "1.50000"
        );
        assert_eq!(
            shown(TensorType::Int8, &[100], &[3; 100]).len(),
            2 * SHOWN - 1
        );
    }
}
