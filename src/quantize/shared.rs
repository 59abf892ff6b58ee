//! Which tensors take over the parameters of the one they are joined into (CONCATENATION, PACK, MAXIMUM, …): those that
//! nothing else reads. The others keep their own, and a QUANTIZE brings them to those of the join.

use super::rule::{Rule, operands};
use super::scheme::Decision;
use crate::graph::{Graph, TensorId};

/// For each tensor, the tensor whose parameters it takes.
pub(super) fn shared(graph: &Graph, decisions: &[Decision]) -> Vec<Option<TensorId>> {
    let mut readers = vec![Vec::new(); graph.tensors.len()];
    let mut producer = vec![None; graph.tensors.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        for &id in node.inputs.iter().flatten() {
            readers[id].push(i);
        }
        for &id in &node.outputs {
            producer[id] = Some(i);
        }
    }
    let mut shared = vec![None; graph.tensors.len()];
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if !matches!(decisions[i].rule, Rule::Together { .. }) {
            continue;
        }
        let Some(&output) = node.outputs.first() else {
            continue;
        };
        // A join that is joined itself.
        let target = shared[output].unwrap_or(output);
        for place in operands(node, decisions[i].rule) {
            let Some(mut id) = node.inputs.get(place).copied().flatten() else {
                continue;
            };
            let mut reader = i;
            // Back through operators that only move: what computes the values takes the parameters.
            loop {
                let only_here = readers[id].iter().all(|&r| r == reader);
                let Some(from) = producer[id].filter(|_| only_here && !graph.outputs.contains(&id))
                else {
                    break;
                };
                if decisions[from].integer() != decisions[i].integer() {
                    break;
                }
                match decisions[from].rule {
                    Rule::Inherit(place) => {
                        let Some(before) = graph.nodes[from].inputs.get(place).copied().flatten()
                        else {
                            break;
                        };
                        // Other outputs of a split would change with it.
                        if graph.nodes[from].outputs.len() > 1 {
                            break;
                        }
                        (id, reader) = (before, from);
                    }
                    Rule::Free | Rule::Weighted { .. } | Rule::Together { .. } => {
                        shared[id] = Some(target);
                        break;
                    }
                    Rule::Fixed(_)
                    | Rule::Lstm
                    | Rule::Svdf
                    | Rule::Float
                    | Rule::Dynamic
                    | Rule::Untouched => {
                        break;
                    }
                }
            }
        }
    }
    shared
}
