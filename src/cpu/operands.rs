//! The run-time inputs of a step for a chunk of samples.

use crate::graph::Graph;
use crate::kernel::Step;
use crate::num::{DType, Values};

/// Values of a step's inputs. Those that are computed may be longer than their tensors; constants have one sample that
/// serves for all.
#[derive(Clone, Copy)]
pub struct Operands<'a> {
    pub graph: &'a Graph,
    pub step: &'a Step,
    pub values: &'a [Option<Values>],
    pub samples: usize,
}

impl<'a> Operands<'a> {
    /// The i-th input.
    pub fn value(self, i: usize) -> &'a Values {
        let id = self.step.inputs[i];
        let value = self.values[id]
            .as_ref()
            .or(self.graph.tensors[id].constant.as_ref());
        value.expect("graph::load checked that every value exists before it is read")
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.step.inputs.len()
    }

    /// Whether it is the same for all samples.
    pub fn constant(self, i: usize) -> bool {
        self.graph.tensors[self.step.inputs[i]].constant.is_some()
    }

    pub fn dtype(self, i: usize) -> DType {
        self.graph.tensors[self.step.inputs[i]].dtype
    }

    /// Elements of one sample.
    pub fn elements(self, i: usize) -> usize {
        self.graph.elements(self.step.inputs[i])
    }

    fn all(self, i: usize) -> usize {
        self.elements(i) * if self.constant(i) { 1 } else { self.samples }
    }

    pub fn f32s(self, i: usize) -> &'a [f32] {
        match self.value(i) {
            Values::F32(v) => &v[..self.all(i)],
            _ => unreachable!("kernel::prepare checked the types"),
        }
    }

    pub fn i8s(self, i: usize) -> &'a [i8] {
        match self.value(i) {
            Values::I8(v) => &v[..self.all(i)],
            _ => unreachable!("kernel::prepare checked the types"),
        }
    }

    pub fn bytes(self, i: usize) -> &'a [u8] {
        &self.value(i).bytes()[..self.all(i) * self.dtype(i).size()]
    }

    /// One sample's part of all of input `i`.
    pub fn sample<T>(self, i: usize, all: &'a [T], sample: usize) -> &'a [T] {
        if self.constant(i) {
            return all;
        }
        let n = all.len() / self.samples;
        &all[sample * n..][..n]
    }

    /// Indices, int32 or int64.
    pub fn index(self, i: usize, at: usize) -> i64 {
        match self.value(i) {
            Values::I32(v) => v[at].into(),
            Values::I64(v) => v[at],
            _ => unreachable!("kernel::prepare checked the types"),
        }
    }
}
