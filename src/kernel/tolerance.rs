//! How far float results of two devices may be apart: the one place that says so.
//!
//! Devices add the same products in different orders, fuse or do not fuse, and have their own exp. The error of a sum of
//! K products grows like √K roundings at the size of the result, so two devices may differ by
//! ε · (8 + 4·√K) times the largest magnitude in the tensor, ε = 2⁻²⁴. An LSTM feeds its error back once a step, so its
//! tolerance is that of its longest sum times its steps. Along a graph the tolerances of the operators add up.
//!
//! Matrix units that take a float as two halves of 11 bits ([`HALVES`]) lose up to 2⁻²³ of each factor and 2⁻²² for the
//! product of the low halves they leave out: up to 2⁻²¹ = 8ε of every product, about ε in the mean. Long sums do not
//! suffer, as these are cut into pieces. Short sums that an activation clips do, their tolerance being that of what is
//! left. So such a device may be off by twice the tolerance.
//!
//! Dynamic range: whole numbers and their sums are equal where their input is. Where it is not, a value near the middle between two
//! steps can fall to either side, so what follows may be off by a step, 1/127 of the largest magnitude. So may the hidden
//! states of an LSTM.

use super::{Kernel, Program, Step};
use crate::graph::TensorId;

/// What the tolerance is multiplied by on a device that multiplies floats as two halves.
pub const HALVES: f32 = 2.0;

/// What a value may be off by that is rounded to one of 255 steps, where it was not quite the same on both devices: a
/// step of a row that may reach from 0 to its largest magnitude.
const CODE: f32 = 1.0 / 127.0;

impl Kernel {
    /// Products in the longest sum of one result, times the steps it is fed back; 0 where nothing is rounded.
    fn sums(&self) -> (usize, usize) {
        match self {
            Kernel::ConvF32(k) | Kernel::DepthwiseF32(k) => (k.shape.depth(), 1),
            Kernel::FullyConnectedF32(k) => (k.shape.depth, 1),
            Kernel::LstmF32(k) => (k.shape.input + k.shape.cells, k.shape.time),
            Kernel::MatmulF32(k) => (k.shape.depth as usize, 1),
            Kernel::RnnF32(k) => (k.shape.input + k.shape.cells, k.shape.time),
            Kernel::SvdfF32(k) => (k.input + k.rank, 1),
            Kernel::ReduceF32(k) => (k.shape.count as usize, 1),
            Kernel::PoolF32(k) => (k.shape.k_h as usize * k.shape.k_w as usize, 1),
            Kernel::SoftmaxF32(k) | Kernel::LogSoftmaxF32(k) => (k.depth, 1),
            Kernel::L2NormF32(k) => (k.depth, 1),
            Kernel::Cumsum(k) => (k.lines.size as usize, 1),
            Kernel::BilinearF32(_) => (4, 1),
            Kernel::Rfft(k) => (k.lengths[0] as usize * k.lengths[1] as usize, 1),
            Kernel::Complex(_) => (1, 1),
            Kernel::BinaryF32(_) | Kernel::UnaryF32(_) => (1, 1),
            Kernel::Distance(k) => (k.rows as usize, 1),
            _ => (0, 0),
        }
    }

    /// Whether sums of whole numbers up to 255 times the weights, if these are whole too, are exact in float32.
    fn is_exact_on_codes(&self) -> bool {
        let (weights, depth) = match self {
            Kernel::ConvF32(k) => (&k.weights, k.shape.depth()),
            Kernel::FullyConnectedF32(k) => (&k.weights, k.shape.depth),
            // A few products of 127 at most.
            Kernel::DepthwiseF32(k) => return k.shape.depth() * 127 * 255 < 1 << 24,
            _ => return false,
        };
        let mut rows = weights.chunks_exact(depth.max(1));
        rows.all(|row| 255.0 * row.iter().map(|w| w.abs()).sum::<f32>() < (1 << 24) as f32)
    }

    /// What two devices may differ by in this kernel, relative to the largest magnitude of its output.
    pub fn tolerance(&self) -> f32 {
        if let Kernel::LstmF32(k) = self
            && k.hybrid.is_some()
            && k.shape.time > 1
        {
            return CODE;
        }
        let (sum, steps) = self.sums();
        if sum == 0 {
            return 0.0;
        }
        f32::EPSILON / 2.0 * (8.0 + 4.0 * (sum as f32).sqrt()) * steps as f32
    }
}

impl Program {
    /// What two devices may differ by in a tensor, relative to its largest magnitude: the sum over the operators that
    /// lead to it.
    pub fn tolerance(&self, tensor: TensorId) -> f32 {
        let mut total = vec![0.0f32; self.graph.tensors.len()];
        let mut codes = vec![false; self.graph.tensors.len()];
        for Step {
            kernel,
            inputs,
            outputs,
            ..
        } in &self.steps
        {
            let mut before = inputs.iter().map(|&id| total[id]).fold(0.0, f32::max);
            if before > 0.0 && matches!(kernel, Kernel::RowQuantize(_)) {
                before += CODE;
            }
            let exact = inputs.iter().any(|&id| codes[id]) && kernel.is_exact_on_codes();
            let own = if exact { 0.0 } else { kernel.tolerance() };
            for &id in outputs {
                total[id] = before + own;
                codes[id] = matches!(kernel, Kernel::RowQuantize(_));
            }
        }
        total[tensor]
    }
}
