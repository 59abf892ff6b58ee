//! The accepted classes of every sample, from the array `labels`.
//!
//! Layout: `[N]`, one class a sample, or `[N,k]`, up to k accepted classes a sample, padded with −1. Labels
//! are the one thing of a data set that is held in memory as a whole.

use super::Error;
use super::decode::each_integer;
use super::npy::{Element, Header};
use super::reader::{CHUNK, read_chunk};
use super::source::Origin;

/// Most label entries that are taken into memory (1 GiB).
const MAX_LABELS: u64 = 1 << 27;

/// Classes that count as right, for every sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    width: usize,
    values: Vec<i64>,
}

impl Labels {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The accepted classes of a sample, without the padding; at least one.
    ///
    /// # Panics
    /// If `sample` is not below [`len`](Self::len), as indexing a slice does.
    pub fn accepted(&self, sample: usize) -> &[i64] {
        let row = &self.values[sample * self.width..(sample + 1) * self.width];
        &row[..row.iter().position(|&class| class < 0).unwrap_or(row.len())]
    }

    /// Reads the labels of the first `keep` of `samples` samples.
    pub(super) fn read(origin: &Origin, samples: u64, keep: usize) -> Result<Labels, Error> {
        let (header, mut stream) = origin.open()?;
        let width = width(&header, samples).map_err(|problem| origin.error(problem))?;
        let Some(entries) = (keep as u64)
            .checked_mul(width)
            .filter(|&entries| entries <= MAX_LABELS)
        else {
            return Err(origin.error(format!(
                "{width} classes for each of {keep} samples are too many labels"
            )));
        };
        let width = width as usize;
        let bad = |sample: usize, element: usize, problem: String| Error::Value {
            path: origin.path.clone(),
            array: origin.name.clone(),
            sample: sample as u64,
            element: element as u64,
            problem,
        };
        let mut values: Vec<i64> = Vec::new();
        let mut left = entries as usize * header.element.size();
        let mut chunk = Vec::new();
        while left > 0 {
            let before = values.len();
            read_chunk(&mut stream, &mut chunk, left.min(CHUNK), &header).map_err(|source| {
                Error::Io {
                    path: origin.path.clone(),
                    source,
                }
            })?;
            decode(&chunk, header.element, &mut values).map_err(|(index, problem)| {
                bad((before + index) / width, (before + index) % width, problem)
            })?;
            left -= chunk.len();
        }
        for (sample, row) in values.chunks_exact(width).enumerate() {
            check_row(row).map_err(|(element, problem)| bad(sample, element, problem))?;
        }
        if width == 2
            && values.len() > 2
            && values
                .chunks_exact(2)
                .all(|row| row == [0, 1] || row == [1, 0])
        {
            return Err(origin.error(
                "every sample accepts both class 0 and class 1, this looks one-hot; save x.argmax(axis=1) instead",
            ));
        }
        Ok(Labels { width, values })
    }
}

/// Entries a sample, from the shape.
fn width(header: &Header, samples: u64) -> Result<u64, String> {
    let (count, width) = match header.shape[..] {
        [count] => (count, 1),
        [count, width] if width > 0 => (count, width),
        _ => {
            return Err(format!(
                "labels are shaped [N] or [N,k], not {:?}",
                header.shape
            ));
        }
    };
    if count != samples {
        return Err(format!(
            "{count} labels for {samples} samples; there must be one for each"
        ));
    }
    Ok(width)
}

fn decode(bytes: &[u8], element: Element, values: &mut Vec<i64>) -> Result<(), (usize, String)> {
    if !element.is_float() {
        return each_integer(bytes, element, |class| {
            values.push(class);
            Ok(())
        })
        .map_err(|bad| (bad.index, bad.problem));
    }
    for (index, bytes) in bytes.chunks_exact(element.size()).enumerate() {
        let class = match *bytes {
            [a, b] => half::f16::from_le_bytes([a, b]).to_f64(),
            [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => unreachable!("floating point has 2, 4 or 8 bytes"),
        };
        // Beyond 2^53 not every integer is a float64; no model has so many classes.
        if class.fract() != 0.0 || class.abs() > 9_007_199_254_740_992.0 {
            return Err((index, format!("the label {class} is not a whole number")));
        }
        values.push(class as i64);
    }
    Ok(())
}

/// Classes first, each once and not negative, then only −1.
fn check_row(row: &[i64]) -> Result<(), (usize, String)> {
    let end = row
        .iter()
        .position(|&class| class == -1)
        .unwrap_or(row.len());
    if end == 0 {
        return Err((0, "there is no label; leave such samples out".into()));
    }
    for (element, &class) in row.iter().enumerate() {
        if element >= end {
            if class != -1 {
                return Err((
                    element,
                    format!("the label {class} comes after the padding of -1"),
                ));
            }
        } else if class < 0 {
            return Err((
                element,
                format!("the label {class} is negative; only -1 may be, as padding at the end"),
            ));
        }
    }
    // Sorted, so that a row of many classes is not compared each with each.
    let mut classes: Vec<(i64, usize)> = row[..end].iter().copied().zip(0..).collect();
    classes.sort_unstable();
    match classes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err((
            pair[1].1,
            format!(
                "the label {} is there twice; if this is one-hot, save x.argmax(axis=1) instead",
                pair[0].0
            ),
        )),
        None => Ok(()),
    }
}
