//! The header of numpy's .npy format: what an array is made of, and where its numbers begin.
//!
//! Layout: `\x93NUMPY`, one byte major and one byte minor version, the header's length (u16 in version 1,
//! u32 in 2 and 3, little-endian), then a Python dictionary with the keys `descr`, `fortran_order` and
//! `shape`, then the numbers. Everything is bounded: a header beyond [`MAX_HEADER`] is refused unread.

use std::io::Read;

/// First bytes of every .npy file.
pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header text accepted. numpy writes some 120 bytes, more only for structured types.
const MAX_HEADER: usize = 65_535;

/// Most dimensions an array can have (numpy's own limit).
const MAX_DIMS: usize = 64;

/// Element types that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    F32,
    F64,
}

impl Element {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Element::Bool | Element::I8 | Element::U8 => 1,
            Element::I16 | Element::U16 | Element::F16 => 2,
            Element::I32 | Element::U32 | Element::F32 => 4,
            Element::I64 | Element::U64 | Element::F64 => 8,
        }
    }

    /// numpy's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Element::Bool => "bool",
            Element::I8 => "int8",
            Element::I16 => "int16",
            Element::I32 => "int32",
            Element::I64 => "int64",
            Element::U8 => "uint8",
            Element::U16 => "uint16",
            Element::U32 => "uint32",
            Element::U64 => "uint64",
            Element::F16 => "float16",
            Element::F32 => "float32",
            Element::F64 => "float64",
        }
    }

    /// Whether the numbers are floating point.
    pub fn is_float(self) -> bool {
        matches!(self, Element::F16 | Element::F32 | Element::F64)
    }

    /// From numpy's kind letter and byte count, as in `f4`.
    fn from_code(code: &str) -> Option<Element> {
        Some(match code {
            "b1" => Element::Bool,
            "i1" => Element::I8,
            "i2" => Element::I16,
            "i4" => Element::I32,
            "i8" => Element::I64,
            "u1" => Element::U8,
            "u2" => Element::U16,
            "u4" => Element::U32,
            "u8" => Element::U64,
            "f2" => Element::F16,
            "f4" => Element::F32,
            "f8" => Element::F64,
            _ => return None,
        })
    }
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub element: Element,
    pub big_endian: bool,
    pub shape: Vec<u64>,
    /// Bytes before the first number.
    pub length: u64,
}

impl Header {
    /// Bytes of all numbers, or nothing if that does not fit 64 bits.
    pub fn data_bytes(&self) -> Option<u64> {
        let size = self.element.size() as u64;
        self.shape
            .iter()
            .try_fold(size, |bytes, &dim| bytes.checked_mul(dim))
    }

    /// Reads the header and leaves `reader` at the first number. The error is a sentence.
    pub fn read(reader: &mut dyn Read) -> Result<Header, String> {
        let mut start = [0; 8];
        read_exact(reader, &mut start)?;
        if &start[..6] != MAGIC {
            return Err("it does not begin like an .npy array".into());
        }
        let (text_length, prefix) = match start[6] {
            1 => {
                let mut bytes = [0; 2];
                read_exact(reader, &mut bytes)?;
                (usize::from(u16::from_le_bytes(bytes)), 10)
            }
            2 | 3 => {
                let mut bytes = [0; 4];
                read_exact(reader, &mut bytes)?;
                (u32::from_le_bytes(bytes) as usize, 12)
            }
            major => return Err(format!("version {major} of the .npy format is not known")),
        };
        if text_length > MAX_HEADER {
            return Err(format!(
                "its header claims {text_length} bytes, more than {MAX_HEADER}"
            ));
        }
        let mut text = vec![0; text_length];
        read_exact(reader, &mut text)?;
        let text = std::str::from_utf8(&text).map_err(|_| "its header is not text".to_string())?;
        let (descr, fortran_order, shape) = Cursor { rest: text }.dictionary()?;
        let (element, big_endian) = element(&descr)?;
        if fortran_order {
            return Err(
                "it is stored in Fortran order; save numpy.ascontiguousarray(x) instead".into(),
            );
        }
        Ok(Header {
            element,
            big_endian,
            shape,
            length: (prefix + text_length) as u64,
        })
    }
}

fn read_exact(reader: &mut dyn Read, bytes: &mut [u8]) -> Result<(), String> {
    reader
        .read_exact(bytes)
        .map_err(|error| format!("its header cannot be read ({error})"))
}

/// Element type and whether it is big-endian, from a `descr` such as `<f4`.
fn element(descr: &str) -> Result<(Element, bool), String> {
    let (order, code) = match descr.chars().next() {
        Some(order @ ('<' | '>' | '|' | '=')) => (order, &descr[1..]),
        _ => ('=', descr),
    };
    let Some(element) = Element::from_code(code) else {
        let kind = match code.chars().next() {
            Some('O') => "Python objects",
            Some('S' | 'U' | 'a') => "text",
            Some('c') => "complex numbers",
            Some('M' | 'm') => "times",
            Some('V') => "raw bytes (bfloat16 is saved like this)",
            _ => "an element type that is not read",
        };
        return Err(format!(
            "it holds {kind} ('{descr}'); convert it with x.astype(numpy.float32) or another plain type"
        ));
    };
    Ok((
        element,
        order == '>' || (order == '=' && cfg!(target_endian = "big")),
    ))
}

/// Walks through the dictionary, without recursion.
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn dictionary(mut self) -> Result<(String, bool, Vec<u64>), String> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.expect('{')?;
        while !self.accept('}') {
            let key = self.string()?;
            self.expect(':')?;
            match key.as_str() {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran_order = Some(self.boolean()?),
                "shape" => shape = Some(self.tuple()?),
                _ => return Err(malformed(&format!("the key '{}'", key.escape_debug()))),
            }
            if !self.accept(',') {
                self.expect('}')?;
                break;
            }
        }
        match (descr, fortran_order, shape) {
            (Some(descr), Some(order), Some(shape)) => Ok((descr, order, shape)),
            _ => Err(malformed("no descr, fortran_order or shape")),
        }
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        let Some(rest) = self.rest.strip_prefix(wanted) else {
            return false;
        };
        self.rest = rest;
        true
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) {
            Ok(())
        } else {
            Err(malformed(&format!("no '{wanted}' where one belongs")))
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = if self.accept('"') { '"' } else { '\'' };
        if quote == '\'' {
            self.expect('\'')?;
        }
        let (text, rest) = self
            .rest
            .split_once(quote)
            .ok_or_else(|| malformed("text without an end"))?;
        self.rest = rest;
        Ok(text.to_string())
    }

    fn descr(&mut self) -> Result<String, String> {
        if self.accept('[') {
            return Err("it is a structured array; save each field as an array of its own".into());
        }
        self.string()
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err(malformed("fortran_order is neither True nor False"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        let mut dims = Vec::new();
        self.expect('(')?;
        while !self.accept(')') {
            if dims.len() == MAX_DIMS {
                return Err(malformed("too many dimensions"));
            }
            dims.push(self.integer()?);
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(dims)
    }

    fn integer(&mut self) -> Result<u64, String> {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        // Python 2 wrote long integers with an L behind them.
        self.rest = rest.strip_prefix('L').unwrap_or(rest);
        digits
            .parse()
            .map_err(|_| malformed("a dimension that is no size"))
    }
}

fn malformed(what: &str) -> String {
    format!("its header is malformed: {what}")
}

/// The bytes before the numbers of a little-endian, C-ordered array, for writing.
pub(super) fn header_bytes(code: &str, shape: &[u64]) -> Vec<u8> {
    let dims: Vec<String> = shape.iter().map(u64::to_string).collect();
    let comma = if dims.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{code}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        dims.join(", ")
    );
    // numpy aligns the numbers to 64 bytes; 10 is the length of what goes before the text.
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.extend(std::iter::repeat_n(' ', length - 1 - text.len()));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((length as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Header, String> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        Header::read(&mut bytes.as_slice())
    }

    #[test]
    fn reads_what_numpy_writes() {
        let header =
            read("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 128, 6), }      \n")
                .unwrap();
        assert_eq!(header.element, Element::F32);
        assert_eq!(header.shape, [3, 128, 6]);
        assert!(!header.big_endian);
        assert_eq!(header.data_bytes(), Some(3 * 128 * 6 * 4));
        assert!(
            read("{'descr': '>i2', 'fortran_order': False, 'shape': (5L,)}")
                .unwrap()
                .big_endian
        );
        assert_eq!(
            read("{'shape': (), 'descr': '|b1', 'fortran_order': False}")
                .unwrap()
                .shape,
            [0u64; 0]
        );
    }

    #[test]
    fn refuses_by_name() {
        for (text, words) in [
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
                "Python objects",
            ),
            (
                "{'descr': '<U7', 'fortran_order': False, 'shape': (3,), }",
                "text",
            ),
            (
                "{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }",
                "complex",
            ),
            (
                "{'descr': '|V2', 'fortran_order': False, 'shape': (3,), }",
                "bfloat16",
            ),
            (
                "{'descr': 'é4', 'fortran_order': False, 'shape': (3,), }",
                "not read",
            ),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
                "structured",
            ),
            (
                "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }",
                "ascontiguousarray",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }",
                "malformed",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
                "malformed",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3",
                "malformed",
            ),
            ("{'descr': '<f4', 'shape': (3,)}", "malformed"),
            ("", "malformed"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn a_header_that_claims_gigabytes_is_refused_unread() {
        let mut bytes = b"\x93NUMPY\x02\x00".to_vec();
        bytes.extend(u32::MAX.to_le_bytes());
        assert!(
            Header::read(&mut bytes.as_slice())
                .unwrap_err()
                .contains("claims")
        );
    }

    #[test]
    fn a_size_beyond_64_bits_is_noticed() {
        let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }";
        assert_eq!(read(text).unwrap().data_bytes(), None);
    }

    #[test]
    fn what_is_written_is_read_and_aligned() {
        for shape in [vec![], vec![7], vec![u64::MAX, 3], vec![1; 30]] {
            let bytes = header_bytes("<i2", &shape);
            assert_eq!(bytes.len() % 64, 0);
            let header = Header::read(&mut bytes.as_slice()).unwrap();
            assert_eq!((header.element, &header.shape), (Element::I16, &shape));
            assert_eq!(header.length, bytes.len() as u64);
        }
    }
}
