//! int8 FULLY_CONNECTED: rows of all samples as one matrix. Float is just `product::Packed::rows`.

use super::gemm_i8::WeightsI8;
use super::memory::Scratch;
use crate::kernel::{FullyConnectedI8, fold_zero_point};

/// The definition of the int8 kernel.
pub fn i8(k: &FullyConnectedI8, x: &[i8], y: &mut [i8]) {
    let (units, depth) = (k.shape.units, k.shape.depth);
    for (x, y) in x.chunks_exact(depth).zip(y.chunks_exact_mut(units)) {
        for (unit, (y, w)) in y.iter_mut().zip(k.weights.chunks_exact(depth)).enumerate() {
            let products = x
                .iter()
                .zip(w)
                .map(|(&x, &w)| (i32::from(x) - k.input_zero_point) * i32::from(w));
            let acc = products
                .fold(0i32, i32::wrapping_add)
                .wrapping_add(k.bias[unit]);
            *y = k.finish(unit, acc);
        }
    }
}

/// The fast int8 kernel.
#[derive(Debug)]
pub struct FastFullyConnectedI8 {
    weights: WeightsI8,
    bias: Vec<i32>,
}

impl FastFullyConnectedI8 {
    /// Converts the weights once.
    pub fn new(k: &FullyConnectedI8) -> Self {
        Self {
            weights: WeightsI8::new(&k.weights, k.shape.units),
            bias: fold_zero_point(&k.weights, k.shape.depth, &k.bias, k.input_zero_point),
        }
    }

    /// Runs all rows in `x`.
    pub fn run(&self, k: &FullyConnectedI8, x: &[i8], y: &mut [i8], scratch: &mut Scratch) {
        let (units, rows) = (k.shape.units, x.len() / k.shape.depth);
        let mut acc = std::mem::take(&mut scratch.acc);
        self.weights.multiply(x, rows, &mut acc, scratch);
        for (y, acc) in y.chunks_exact_mut(units).zip(acc.chunks_exact(units)) {
            for (unit, (y, &acc)) in y.iter_mut().zip(acc).enumerate() {
                *y = k.finish(unit, acc.wrapping_add(self.bias[unit]));
            }
        }
        scratch.acc = acc;
    }
}
