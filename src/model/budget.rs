//! A limit on the memory that a file may ask for.

use super::Error;

/// Bytes of tree an honest file may need for each of its own. A tensor or an operator takes about 4 to 5 times the bytes
/// it has in the file, the data of buffers exactly as many.
const PER_BYTE: usize = 8;

/// Allowed on top of that, so that small files of many tiny tables pass.
const ALLOWANCE: usize = 16 << 20;

/// What is left of the memory that the tree of one file may take.
pub(super) struct Budget {
    limit: usize,
    left: usize,
}

impl Budget {
    /// The budget for a file of `len` bytes.
    pub(super) fn for_file(len: usize) -> Budget {
        let limit = len.saturating_mul(PER_BYTE).saturating_add(ALLOWANCE);
        Budget { limit, left: limit }
    }

    /// Takes `bytes` off the budget. To be called before memory is reserved wherever the amount is known by then.
    pub(super) fn spend(&mut self, bytes: usize, place: &str) -> Result<(), Error> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| Error::TooLarge {
                place: place.to_owned(),
                limit: self.limit,
            })?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]
mod tests {
    use super::*;

    #[test]
    fn spends_up_to_the_limit_and_no_further() {
        let mut budget = Budget::for_file(100);
        budget.spend(800 + ALLOWANCE, "all of it").unwrap();
        let error = budget.spend(1, "buffers[7]").unwrap_err().to_string();
        assert!(error.starts_with("buffers[7]: "), "{error}");
        Budget::for_file(usize::MAX).spend(usize::MAX, "").unwrap();
    }
}
