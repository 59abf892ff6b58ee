//! Bit-for-bit comparison of tensors.

use serde::Serialize;

/// Elements compared and elements that differ, with the first that does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Equality {
    /// Elements compared.
    pub elements: u64,
    /// Elements whose bits differ.
    pub differing: u64,
    /// Sample and flat element of the first difference.
    pub first: Option<(usize, usize)>,
}

impl Equality {
    /// Compares arrays of elements of `size` bytes; `elements` of them are one sample, the first being `sample`.
    ///
    /// Arrays of different lengths differ in every element that one of them lacks.
    pub fn add(&mut self, a: &[u8], b: &[u8], size: usize, elements: usize, sample: usize) {
        let longer = a.len().max(b.len()) / size;
        self.elements += longer as u64;
        if a == b {
            return;
        }
        for i in 0..longer {
            let at = i * size..(i + 1) * size;
            if a.get(at.clone()) != b.get(at) {
                self.differing += 1;
                self.first
                    .get_or_insert((sample + i / elements.max(1), i % elements.max(1)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_difference() {
        let mut e = Equality::default();
        e.add(&[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5, 7], 1, 2, 10);
        assert_eq!(
            e,
            Equality {
                elements: 6,
                differing: 1,
                first: Some((12, 1))
            }
        );
        e.add(&[1, 2], &[1, 2], 2, 1, 13);
        assert_eq!((e.elements, e.differing), (7, 1));
        e.add(&[1], &[1, 2], 1, 1, 14);
        assert_eq!((e.elements, e.differing), (9, 2));
    }
}
