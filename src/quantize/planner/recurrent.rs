//! Layers with a state: LSTM and SVDF.

use super::{Known, Planner};
use crate::graph::{Node, lstm_inputs};
use crate::num::affine::{power_of_two_16bit, symmetric};
use crate::num::{Affine, DType, Range};
use crate::quantize::error::Error;
use crate::quantize::plan::{Role, Why};

impl Planner<'_> {
    pub(super) fn lstm(&mut self, i: usize, node: &Node) -> Result<(), Error> {
        let graph = self.graph;
        let error = |what: String| Error::node(graph, node, what);
        if let Some((k, what)) = lstm_inputs::UNSUPPORTED
            .into_iter()
            .find(|&(k, _)| node.inputs.get(k).copied().flatten().is_some())
        {
            return Err(error(format!("{what} (input {k}) is not supported yet")));
        }
        let input = self.operand(i, node, 0)?;
        for (weight, bias) in lstm_inputs::INPUT_WEIGHTS
            .into_iter()
            .zip(lstm_inputs::BIAS)
        {
            self.weight(i, node, weight, None, Some((bias, input)))?;
        }
        for weight in lstm_inputs::RECURRENT_WEIGHTS {
            self.weight(i, node, weight, None, None)?;
        }
        let output = self.output(node)?;
        let hidden = self.measured(output)?;
        let (state, cell) = (
            self.input(node, lstm_inputs::OUTPUT_STATE)?,
            self.input(node, lstm_inputs::CELL_STATE)?,
        );
        for id in [state, cell] {
            if !graph.tensors[id].variable {
                let what = format!("its state {} is not a variable tensor", graph.describe(id));
                return Err(error(what));
            }
        }
        self.decide(state, DType::I8, hidden, Why::StateOf(output));
        let (scale, why) = match self.known {
            Known::Ranges(..) => {
                let Range { min, max } = self.range(cell)?;
                (power_of_two_16bit(min, max), Why::Range { min, max })
            }
            Known::Parameters(_) => (self.given(cell)?.scale, Why::Given),
        };
        let affine = Affine {
            scale,
            zero_point: 0,
        };
        self.decide(cell, DType::I16, affine, why);
        Ok(())
    }

    /// As TensorFlow's quantizer has it (`operator_property.cc`): ten bits for the time filters, since their products with
    /// the state are added up in 32, and a symmetric state of 16.
    pub(super) fn svdf(&mut self, i: usize, node: &Node) -> Result<(), Error> {
        self.operand(i, node, 0)?;
        self.weight(i, node, 1, None, None)?;
        let time = self.input(node, 2)?;
        let largest = |values: &[f32]| values.iter().fold(0f32, |m, x| m.max(x.abs()));
        let time_scale = symmetric(largest(self.constant(node, time)?), 511.0);
        let state = self.input(node, 4)?;
        let (scale, why) = match self.known {
            Known::Ranges(..) => {
                let Range { min, max } = self.range(state)?;
                (symmetric(max.max(-min), 32767.0), Why::Range { min, max })
            }
            Known::Parameters(_) => (self.given(state)?.scale, Why::Given),
        };
        let scales = vec![time_scale];
        self.use_constant(i, 2, time, Role::Time, None, scales, 0);
        if let Some(bias) = node.inputs.get(3).copied().flatten() {
            let scale = time_scale * scale;
            self.constant(node, bias)?;
            self.use_constant(i, 3, bias, Role::Bias, None, vec![scale], 0);
        }
        let affine = Affine {
            scale,
            zero_point: 0,
        };
        self.decide(state, DType::I16, affine, why);
        self.computed(node, DType::I8, 0.0)
    }
}
