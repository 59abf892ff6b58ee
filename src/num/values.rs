//! A typed, flat array of numbers: what moves between data sets, devices and reports.

/// Element type of a tensor or of an array in a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// Signed 8 bit.
    I8,
    /// Unsigned 8 bit.
    U8,
    /// Signed 16 bit.
    I16,
    /// Unsigned 16 bit.
    U16,
    /// Signed 32 bit.
    I32,
    /// Unsigned 32 bit.
    U32,
    /// Signed 64 bit.
    I64,
    /// One byte, 0 or 1.
    Bool,
    /// Two floats: real and imaginary part.
    C64,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::I8 | DType::U8 | DType::Bool => 1,
            DType::F16 | DType::I16 | DType::U16 => 2,
            DType::F32 | DType::I32 | DType::U32 => 4,
            DType::I64 | DType::C64 => 8,
        }
    }

    /// The field's name of the type, as numpy and TensorFlow spell it.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "float32",
            DType::F16 => "float16",
            DType::I8 => "int8",
            DType::U8 => "uint8",
            DType::I16 => "int16",
            DType::U16 => "uint16",
            DType::I32 => "int32",
            DType::U32 => "uint32",
            DType::I64 => "int64",
            DType::Bool => "bool",
            DType::C64 => "complex64",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A flat array of one element type, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// float32
    F32(Vec<f32>),
    /// int8
    I8(Vec<i8>),
    /// uint8
    U8(Vec<u8>),
    /// int16
    I16(Vec<i16>),
    /// uint16
    U16(Vec<u16>),
    /// int32
    I32(Vec<i32>),
    /// uint32
    U32(Vec<u32>),
    /// int64
    I64(Vec<i64>),
    /// bool, a byte of 0 or 1 each
    Bool(Vec<u8>),
    /// complex64
    C64(Vec<[f32; 2]>),
}

impl Values {
    /// Element type of the array.
    pub fn dtype(&self) -> DType {
        match self {
            Values::F32(_) => DType::F32,
            Values::I8(_) => DType::I8,
            Values::U8(_) => DType::U8,
            Values::I16(_) => DType::I16,
            Values::U16(_) => DType::U16,
            Values::I32(_) => DType::I32,
            Values::U32(_) => DType::U32,
            Values::I64(_) => DType::I64,
            Values::Bool(_) => DType::Bool,
            Values::C64(_) => DType::C64,
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(v) => v.len(),
            Values::I8(v) => v.len(),
            Values::U8(v) => v.len(),
            Values::I16(v) => v.len(),
            Values::U16(v) => v.len(),
            Values::I32(v) => v.len(),
            Values::U32(v) => v.len(),
            Values::I64(v) => v.len(),
            Values::Bool(v) => v.len(),
            Values::C64(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The array as little-endian bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Values::F32(v) => bytemuck::cast_slice(v),
            Values::I8(v) => bytemuck::cast_slice(v),
            Values::U8(v) | Values::Bool(v) => v,
            Values::I16(v) => bytemuck::cast_slice(v),
            Values::U16(v) => bytemuck::cast_slice(v),
            Values::I32(v) => bytemuck::cast_slice(v),
            Values::U32(v) => bytemuck::cast_slice(v),
            Values::I64(v) => bytemuck::cast_slice(v),
            Values::C64(v) => bytemuck::cast_slice(v),
        }
    }

    /// The array of a type from little-endian bytes, a whole number of elements; `None` for float16.
    pub fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<Values> {
        // TFLite files are little-endian, as is every platform wgpu runs on.
        Some(match dtype {
            DType::F32 => Values::F32(bytemuck::pod_collect_to_vec(bytes)),
            DType::I8 => Values::I8(bytemuck::pod_collect_to_vec(bytes)),
            DType::U8 => Values::U8(bytes.to_vec()),
            DType::I16 => Values::I16(bytemuck::pod_collect_to_vec(bytes)),
            DType::U16 => Values::U16(bytemuck::pod_collect_to_vec(bytes)),
            DType::I32 => Values::I32(bytemuck::pod_collect_to_vec(bytes)),
            DType::U32 => Values::U32(bytemuck::pod_collect_to_vec(bytes)),
            DType::I64 => Values::I64(bytemuck::pod_collect_to_vec(bytes)),
            DType::Bool => Values::Bool(bytes.iter().map(|&b| u8::from(b != 0)).collect()),
            DType::C64 => Values::C64(bytemuck::pod_collect_to_vec(bytes)),
            DType::F16 => return None,
        })
    }

    /// Adds the elements of an array of the same type; one of another type is not added.
    pub fn append(&mut self, other: Values) {
        match (self, other) {
            (Values::F32(a), Values::F32(b)) => a.extend(b),
            (Values::I8(a), Values::I8(b)) => a.extend(b),
            (Values::U8(a), Values::U8(b)) | (Values::Bool(a), Values::Bool(b)) => a.extend(b),
            (Values::I16(a), Values::I16(b)) => a.extend(b),
            (Values::U16(a), Values::U16(b)) => a.extend(b),
            (Values::I32(a), Values::I32(b)) => a.extend(b),
            (Values::U32(a), Values::U32(b)) => a.extend(b),
            (Values::I64(a), Values::I64(b)) => a.extend(b),
            (Values::C64(a), Values::C64(b)) => a.extend(b),
            _ => {}
        }
    }

    /// The elements as floats, integers through `real`, which is given each integer; of complex ones the real part.
    pub fn to_f32(&self, real: impl Fn(i64) -> f32) -> Vec<f32> {
        match self {
            Values::F32(v) => v.clone(),
            Values::I8(v) => v.iter().map(|&x| real(x.into())).collect(),
            Values::U8(v) | Values::Bool(v) => v.iter().map(|&x| real(x.into())).collect(),
            Values::I16(v) => v.iter().map(|&x| real(x.into())).collect(),
            Values::U16(v) => v.iter().map(|&x| real(x.into())).collect(),
            Values::I32(v) => v.iter().map(|&x| real(x.into())).collect(),
            Values::U32(v) => v.iter().map(|&x| real(x.into())).collect(),
            Values::I64(v) => v.iter().map(|&x| real(x)).collect(),
            Values::C64(v) => v.iter().map(|x| x[0]).collect(),
        }
    }
}
