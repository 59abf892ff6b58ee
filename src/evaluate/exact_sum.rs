//! A sum of f64 that does not depend on the order of its terms.
//!
//! Kept as non-overlapping partial sums whose exact total is the exact sum (J. R. Shewchuk, "Adaptive
//! Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997); rounded once, to
//! nearest even, when asked. So shards merge to the same bits, whatever was where.

/// An exact sum of finite numbers; no total in between may overflow.
#[derive(Clone, Debug, Default)]
pub(super) struct ExactSum {
    /// In ascending magnitude, no two overlap.
    partials: Vec<f64>,
}

impl ExactSum {
    /// Adds a number.
    pub fn add(&mut self, mut x: f64) {
        let mut kept = 0;
        for index in 0..self.partials.len() {
            let mut y = self.partials[index];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            // high + low is exactly x + y, as |x| >= |y|.
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                self.partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        self.partials.truncate(kept);
        self.partials.push(x);
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &ExactSum) {
        for &partial in &other.partials {
            self.add(partial);
        }
    }

    /// The sum, correctly rounded.
    pub fn value(&self) -> f64 {
        let mut parts = self.partials.iter().rev().copied();
        let mut high = parts.next().unwrap_or(0.0);
        let mut low = 0.0;
        for part in parts.by_ref() {
            let total = high + part;
            low = part - (total - high);
            high = total;
            if low != 0.0 {
                break;
            }
        }
        // `high` was rounded without what is below `low`. That matters only if `low` is exactly half a unit
        // in the last place: then the next part decides the direction.
        if let Some(next) = parts.next()
            && (low < 0.0) == (next < 0.0)
        {
            let double = low * 2.0;
            let moved = high + double;
            if moved - high == double {
                return moved;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(terms: &[f64]) -> f64 {
        let mut sum = ExactSum::default();
        terms.iter().for_each(|&term| sum.add(term));
        sum.value()
    }

    #[test]
    fn rounds_once() {
        assert_eq!(sum(&[]), 0.0);
        assert_eq!(sum(&[0.1; 10]), 1.0);
        assert_eq!(sum(&[1e100, 1.0, -1e100, 1e-100]), 1.0);
        // A tie that a tiny third part breaks, up and down.
        let half = f64::EPSILON / 2.0;
        assert_eq!(sum(&[1.0, half]), 1.0);
        assert_eq!(sum(&[1.0, half, 1e-30]), 1.0 + f64::EPSILON);
        assert_eq!(sum(&[1.0 + f64::EPSILON, half, -1e-30]), 1.0 + f64::EPSILON);
        assert_eq!(sum(&[1.0 + f64::EPSILON, half]), 1.0 + 2.0 * f64::EPSILON);
    }

    proptest::proptest! {
        #[test]
        fn neither_order_nor_sharding_matters(terms: Vec<f32>, cut: proptest::sample::Index) {
            let terms: Vec<f64> = terms.iter().filter(|x| x.is_finite()).map(|&x| f64::from(x).powi(3)).collect();
            let whole = sum(&terms);
            let backwards: Vec<f64> = terms.iter().rev().copied().collect();
            proptest::prop_assert_eq!(sum(&backwards).to_bits(), whole.to_bits());
            let (front, back) = terms.split_at(cut.index(terms.len() + 1));
            let (mut one, mut other) = (ExactSum::default(), ExactSum::default());
            front.iter().for_each(|&term| one.add(term));
            back.iter().for_each(|&term| other.add(term));
            other.merge(&one);
            proptest::prop_assert_eq!(other.value().to_bits(), whole.to_bits());
        }
    }
}
