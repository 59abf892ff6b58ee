//! What a program cannot do without: operations and bytes a sample, computed from the graph.
//!
//! A multiplication and an addition count as two operations. Elementwise work counts one operation a result, a
//! reduction one an input, a SOFTMAX four a value, an LSTM ten a cell and step beside its products. Each operator reads its
//! inputs and writes its outputs once; weights are read once a batch and counted apart.
//!
//! [`MultiplyAdds`] counts products alone, and by the numbers that they are computed in.

use super::{Int16, Kernel, Program, Step};
use std::collections::BTreeSet;

/// The floor of one step, for one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Floor {
    /// Floating point or integer operations.
    pub operations: u64,
    /// Bytes of activations that are read or written.
    pub bytes: u64,
    /// Bytes of constants, once a batch.
    pub constant_bytes: u64,
}

/// The floor of a program, for one sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Floors {
    /// One a step.
    pub steps: Vec<Floor>,
    /// All steps.
    pub total: Floor,
}

/// Multiplications with an addition (MACs) of one sample in convolutions, products and recurrent cells, by how they are
/// computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MultiplyAdds {
    /// Integer activations times integer weights.
    pub integer: u64,
    /// Dynamic range: integers too, but of float activations that are quantized as the model runs.
    pub dynamic: u64,
    /// Floats.
    pub float: u64,
}

impl MultiplyAdds {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.integer + self.dynamic + self.float
    }
}

impl Kernel {
    /// Multiply-adds among the operations of a step with so many results, and whether they are of integers; `None` of what
    /// has no products.
    fn multiply_adds(&self, operations: u64, results: u64) -> Option<(u64, bool)> {
        match self {
            Kernel::ConvF32(_)
            | Kernel::DepthwiseF32(_)
            | Kernel::FullyConnectedF32(_)
            | Kernel::MatmulF32(_)
            | Kernel::RnnF32(_)
            | Kernel::SvdfF32(_) => Some((operations / 2, false)),
            Kernel::ConvI8(_)
            | Kernel::DepthwiseI8(_)
            | Kernel::FullyConnectedI8(_)
            | Kernel::MatmulI8(_)
            | Kernel::SvdfI8(_)
            | Kernel::Int16(Int16::Conv(_) | Int16::Matmul(_)) => Some((operations / 2, true)),
            // An LSTM has ten operations more for each result.
            Kernel::LstmF32(_) => Some((operations.saturating_sub(10 * results) / 2, false)),
            Kernel::LstmI8(_) => Some((operations.saturating_sub(10 * results) / 2, true)),
            _ => None,
        }
    }

    /// Operations for one sample whose first output has so many elements.
    fn operations(&self, elements: u64) -> u64 {
        match self {
            Kernel::ConvF32(k) => elements * 2 * k.shape.depth() as u64,
            Kernel::ConvI8(k) => elements * 2 * k.shape.depth() as u64,
            Kernel::DepthwiseF32(k) => elements * 2 * u64::from(k.shape.k_h * k.shape.k_w),
            Kernel::DepthwiseI8(k) => elements * 2 * u64::from(k.shape.k_h * k.shape.k_w),
            Kernel::Int16(k) => k.operations(elements),
            Kernel::FullyConnectedF32(k) => elements * 2 * k.shape.depth as u64,
            Kernel::FullyConnectedI8(k) => elements * 2 * k.shape.depth as u64,
            // The product with the input is a step of its own in a hybrid layer.
            Kernel::LstmF32(k) => {
                let input = k.hybrid.map_or(k.shape.input, |_| 0);
                lstm(elements, input, k.shape.cells)
            }
            Kernel::LstmI8(k) => lstm(elements, k.shape.input, k.shape.cells),
            Kernel::MatmulF32(k) => elements * 2 * u64::from(k.shape.depth),
            Kernel::MatmulI8(k) => elements * 2 * u64::from(k.shape.depth),
            Kernel::RnnF32(k) => elements * 2 * (k.shape.input + k.shape.cells) as u64,
            Kernel::SvdfI8(k) => elements * 2 * (k.rank * (k.input + 1)) as u64,
            Kernel::SvdfF32(k) => elements * 2 * (k.rank * (k.input + 1)) as u64,
            Kernel::ReduceF32(k) | Kernel::ReduceI8(k) | Kernel::ReduceInt(k) => {
                elements * u64::from(k.shape.count)
            }
            Kernel::MeanI8(k) => elements * u64::from(k.shape.count),
            Kernel::Arg(k) => elements * u64::from(k.shape.count),
            Kernel::PoolF32(k) => elements * u64::from(k.shape.k_h * k.shape.k_w),
            Kernel::PoolI8(k) => elements * u64::from(k.shape.k_h * k.shape.k_w),
            Kernel::BilinearF32(_) | Kernel::BilinearI8(_) => elements * 8,
            Kernel::SoftmaxF32(_)
            | Kernel::SoftmaxI8(_)
            | Kernel::LogSoftmaxF32(_)
            | Kernel::LogSoftmaxI8(_)
            | Kernel::L2NormF32(_)
            | Kernel::L2NormI8(_) => elements * 4,
            Kernel::UnaryF32(_)
            | Kernel::BinaryF32(_)
            | Kernel::BinaryInt(_)
            | Kernel::AddI8(_)
            | Kernel::Cumsum(_)
            | Kernel::Quantize(_) => elements,
            Kernel::RowQuantize(_) | Kernel::RowScale(_) => elements * 3,
            Kernel::Rfft(k) => {
                let log = u64::from(k.lengths[0].ilog2() + k.lengths[1].ilog2());
                elements * 10 * log
            }
            Kernel::Complex(_) => elements * 3,
            Kernel::Distance(k) => 10 * u64::from(k.channels) * u64::from(k.rows),
            Kernel::TopK(k) => u64::from(k.lines.outer) * u64::from(k.lines.size),
            Kernel::Copy
            | Kernel::Place(_)
            | Kernel::Nearest(_)
            | Kernel::Take(_)
            | Kernel::Select(_)
            | Kernel::Table(_)
            | Kernel::Table16(_)
            | Kernel::BinaryTable(_)
            | Kernel::OneHot(_)
            | Kernel::Cast
            | Kernel::Dequantize(_) => 0,
        }
    }
}

/// Four gates a result, each with a product of input and state.
fn lstm(results: u64, input: usize, cells: usize) -> u64 {
    results * (4 * 2 * (input + cells) as u64 + 10)
}

impl Program {
    /// The floor of every step and of all.
    pub fn floors(&self) -> Floors {
        let mut floors = Floors::default();
        for step in &self.steps {
            let floor = self.floor(step);
            floors.total.operations += floor.operations;
            floors.total.bytes += floor.bytes;
            floors.total.constant_bytes += floor.constant_bytes;
            floors.steps.push(floor);
        }
        floors
    }

    /// The multiply-adds of one sample.
    pub fn multiply_adds(&self) -> MultiplyAdds {
        let quantizes = |s: &&Step| matches!(s.kernel, Kernel::RowQuantize(_));
        let dynamic: BTreeSet<usize> = self
            .steps
            .iter()
            .filter(quantizes)
            .map(|s| s.node)
            .collect();
        let mut all = MultiplyAdds::default();
        for step in &self.steps {
            let results = self.graph.elements(step.outputs[0]) as u64;
            let operations = step.kernel.operations(results);
            match step.kernel.multiply_adds(operations, results) {
                Some((n, _)) if dynamic.contains(&step.node) => all.dynamic += n,
                Some((n, true)) => all.integer += n,
                Some((n, false)) => all.float += n,
                None => {}
            }
        }
        all
    }

    fn floor(&self, step: &Step) -> Floor {
        let graph = &self.graph;
        let bytes = |id: usize| (graph.elements(id) * graph.tensors[id].dtype.size()) as u64;
        let constant = |id: &usize| graph.tensors[*id].constant.is_some();
        let node = graph.nodes[step.node].inputs.iter().flatten();
        Floor {
            operations: step
                .kernel
                .operations(graph.elements(step.outputs[0]) as u64),
            bytes: step
                .inputs
                .iter()
                .filter(|id| !constant(id))
                .chain(&step.outputs)
                .map(|&id| bytes(id))
                .sum(),
            constant_bytes: node.filter(|id| constant(id)).map(|&id| bytes(id)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_lstm_by_hand() {
        // 3 steps of 2 cells from 5 inputs: a step multiplies 4·2 rows by 5 + 2 columns.
        assert_eq!(lstm(3 * 2, 5, 2), 3 * (2 * 8 * 7 + 2 * 10));
    }
}
