//! The tensors a quantized model has beyond those of the float model: their numbers, names and places.

use super::plan::Intermediates;
use super::rule::Rule;
use super::scheme::Decision;
use crate::graph::{Graph, TensorId};
use crate::num::{Affine, DType};
use std::collections::{HashMap, HashSet};

/// Names the converter gives the intermediate tensors of an LSTM.
const INTERMEDIATES: [&str; 5] = [
    "input_to_input_intermediate",
    "input_to_forget_intermediate",
    "input_to_cell_intermediate",
    "input_to_output_intermediate",
    "effective_hidden_scale_intermediate",
];

/// Numbers and unused names for the tensors to be added.
pub(super) struct Added {
    next: TensorId,
    names: HashSet<String>,
    /// The last number tried behind each name.
    counts: HashMap<String, usize>,
}

impl Added {
    pub(super) fn new(graph: &Graph) -> Self {
        Added {
            next: graph.tensors.len(),
            names: graph.tensors.iter().map(|t| t.name.clone()).collect(),
            counts: HashMap::new(),
        }
    }

    /// The next number, and `base` with the first number behind it that makes a new name.
    pub(super) fn tensor(&mut self, base: &str) -> (TensorId, String) {
        let mut name = base.to_owned();
        let count = self.counts.entry(name.clone()).or_default();
        while !self.names.insert(name.clone()) {
            *count += 1;
            name = format!("{base}{count}");
        }
        self.next += 1;
        (self.next - 1, name)
    }
}

pub(super) fn is_float(graph: &Graph, id: TensorId) -> bool {
    graph.tensors[id].dtype == DType::F32
}

/// Five tensors for each integer LSTM; `affine` has the parameters of its output.
pub(super) fn intermediates(
    graph: &Graph,
    decisions: &[Decision],
    affine: &[Option<Affine>],
    added: &mut Added,
) -> Vec<Intermediates> {
    let nodes = graph.nodes.iter().enumerate();
    nodes
        .filter(|&(i, _)| decisions[i].rule == Rule::Lstm)
        .filter_map(|(node, n)| {
            let hidden = affine[*n.outputs.first()?]?;
            let first = added.next;
            let names = INTERMEDIATES.map(|base| added.tensor(base).1);
            Some(Intermediates {
                node,
                first,
                names,
                hidden,
            })
        })
        .collect()
}
