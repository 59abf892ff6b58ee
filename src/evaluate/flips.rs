//! Predictions that change when a model is quantized: accuracy can stay while many samples trade places.

use super::{Error, arg_max};

/// Samples whose highest score is elsewhere than in the float model.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Flips {
    /// Samples compared.
    pub samples: u64,
    /// Those whose first highest score is at another place.
    pub flipped: u64,
    /// Wrong in the float model and right now; nothing without labels.
    pub became_right: Option<u64>,
    /// Right in the float model and wrong now; nothing without labels.
    pub became_wrong: Option<u64>,
}

impl Flips {
    /// Compares a sample; `labels` are the classes that are right, if that is known. An error leaves the count as it was.
    pub fn add(&mut self, labels: &[i64], float: &[f32], test: &[f32]) -> Result<(), Error> {
        let sample = self.samples;
        if float.len() != test.len() {
            return Err(Error::Length {
                sample,
                reference: float.len(),
                test: test.len(),
            });
        }
        let nan = |scores: &[f32]| scores.iter().position(|x| x.is_nan());
        if let Some(class) = nan(float).or_else(|| nan(test)) {
            return Err(Error::NanScore { sample, class });
        }
        let (before, after) = (arg_max(float), arg_max(test));
        let right = |place: usize| labels.iter().any(|&l| usize::try_from(l) == Ok(place));
        self.samples += 1;
        self.flipped += u64::from(before != after);
        if !labels.is_empty() {
            let (was, is) = (right(before), right(after));
            *self.became_right.get_or_insert(0) += u64::from(is && !was);
            *self.became_wrong.get_or_insert(0) += u64::from(was && !is);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_flip() {
        let mut flips = Flips::default();
        let rows: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        for (label, float, test) in [(0, 0, 0), (1, 0, 1), (0, 0, 2), (2, 0, 1), (9, 1, 1)] {
            flips.add(&[label], &rows[float], &rows[test]).unwrap();
        }
        // From one accepted class to another is neither.
        flips.add(&[0, 1], &rows[0], &rows[1]).unwrap();
        let wanted = Flips {
            samples: 6,
            flipped: 4,
            became_right: Some(1),
            became_wrong: Some(1),
        };
        assert_eq!(flips, wanted);
        assert!(flips.add(&[0], &rows[0], &rows[0][..2]).is_err());
        assert!(flips.add(&[0], &[f32::NAN, 1.0], &[0.0, 1.0]).is_err());
        assert_eq!(flips, wanted);
        let mut unlabelled = Flips::default();
        unlabelled.add(&[], &rows[0], &rows[1]).unwrap();
        assert_eq!((unlabelled.flipped, unlabelled.became_right), (1, None));
    }
}
