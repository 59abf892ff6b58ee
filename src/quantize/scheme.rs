//! What each operator becomes: the wish of the user, what the operator's kernels allow, and what suits its neighbours.

use super::options::Options;
use super::plan::FloatReason;
use super::rule::{Rule, dynamic_weights, is_wide, reason, rule};
use crate::graph::{Graph, Node, Op};
use crate::num::DType;
use std::collections::HashSet;

/// How an operator computes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum NodeScheme {
    /// int8 activations and weights.
    #[default]
    Int8,
    /// int16 activations, int8 weights.
    Int16x8,
    /// Float activations, which its kernel quantizes as it runs, and int8 weights.
    Dynamic,
    /// Float throughout.
    Float,
}

impl std::fmt::Display for NodeScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NodeScheme::Int8 => "int8",
            NodeScheme::Int16x8 => "int16x8",
            NodeScheme::Dynamic => "dynamic",
            NodeScheme::Float => "float",
        })
    }
}

/// What was decided about a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decision {
    /// What its tensors have to be like.
    pub rule: Rule,
    /// What it becomes; none if it has no float tensors.
    pub scheme: Option<NodeScheme>,
    /// Why it stays float, if it does.
    pub float: Option<FloatReason>,
    /// Whether 16 bits were wanted that its kernels do not have.
    pub fallback: bool,
}

impl Decision {
    fn float(reason: FloatReason) -> Decision {
        Decision {
            rule: Rule::Float,
            scheme: Some(NodeScheme::Float),
            float: Some(reason),
            fallback: false,
        }
    }

    /// Type of the activations of a node that computes in integers.
    pub fn integer(&self) -> Option<DType> {
        match (self.rule, self.scheme) {
            (Rule::Untouched | Rule::Float | Rule::Dynamic, _) => None,
            (_, Some(NodeScheme::Int16x8)) => Some(DType::I16),
            _ => Some(DType::I8),
        }
    }

    /// Stays float for this reason.
    pub fn keep_float(&mut self, reason: FloatReason) {
        *self = Decision::float(reason);
    }
}

/// Decides for one node what becomes of it if `wish` is to be granted.
fn decide(graph: &Graph, node: &Node, wish: NodeScheme, options: &Options) -> Decision {
    let of = |rule: Rule, scheme: NodeScheme| Decision {
        rule,
        scheme: Some(scheme),
        float: None,
        fallback: false,
    };
    match (rule(graph, node), wish) {
        (Rule::Untouched, _) => Decision {
            scheme: None,
            ..of(Rule::Untouched, NodeScheme::Int8)
        },
        (_, NodeScheme::Float) => Decision::float(FloatReason::Asked),
        (_, NodeScheme::Dynamic) => match dynamic_weights(graph, node, options.least_weights) {
            Ok(_) => of(Rule::Dynamic, NodeScheme::Dynamic),
            Err(reason) => Decision::float(reason),
        },
        (Rule::Float, _) => Decision::float(reason(&node.op)),
        (rule, NodeScheme::Int16x8) if is_wide(graph, node, rule) => of(rule, wish),
        (_, NodeScheme::Int16x8) if !options.integer_fallback => {
            Decision::float(FloatReason::NoWideKernel)
        }
        (rule, NodeScheme::Int16x8) => Decision {
            fallback: true,
            ..of(rule, NodeScheme::Int8)
        },
        (rule, NodeScheme::Int8) => of(rule, wish),
    }
}

/// Decides about every node.
pub(super) fn decide_all(graph: &Graph, options: &Options) -> Vec<Decision> {
    let nodes = graph.nodes.iter().enumerate();
    let mut all: Vec<Decision> = nodes
        .map(|(i, node)| decide(graph, node, options.scheme(i), options))
        .collect();
    follow(graph, options, &mut all);
    all
}

/// Operators that only move elements take the form of their neighbours where these agree, so that nothing is converted
/// there and back and nothing is rounded to 8 bits between two operators of 16.
fn follow(graph: &Graph, options: &Options, all: &mut [Decision]) {
    let free = |i: usize| {
        let moves = matches!(all[i].rule, Rule::Inherit(_));
        let op = &graph.nodes[i].op;
        moves && !options.nodes.contains_key(&i) && matches!(op, Op::Move(_))
    };
    let neutral: Vec<bool> = (0..all.len()).map(free).collect();
    let mut producer = vec![None; graph.tensors.len()];
    let mut readers = vec![Vec::new(); graph.tensors.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        node.outputs.iter().for_each(|&id| producer[id] = Some(i));
        for &id in node.inputs.iter().flatten() {
            readers[id].push(i);
        }
    }
    let is_float = |id: usize| graph.tensors[id].dtype == DType::F32;
    let mut seen = vec![false; all.len()];
    for start in 0..all.len() {
        if !neutral[start] || seen[start] {
            continue;
        }
        // All moving operators that hang together, and what lies around them.
        let (mut group, mut around, mut stack) = (Vec::new(), HashSet::new(), vec![start]);
        seen[start] = true;
        while let Some(i) = stack.pop() {
            group.push(i);
            let node = &graph.nodes[i];
            let before = node.inputs.iter().flatten().filter(|&&id| is_float(id));
            let before = before.filter_map(|&id| producer[id]);
            let after = node.outputs.iter().filter(|&&id| is_float(id));
            let after = after.flat_map(|&id| readers[id].iter().copied());
            for neighbour in before.chain(after) {
                if !neutral[neighbour] {
                    // What is quantized as the model runs comes and goes as floats.
                    around.insert(match all[neighbour].scheme {
                        Some(NodeScheme::Dynamic) => Some(NodeScheme::Float),
                        other => other,
                    });
                } else if !seen[neighbour] {
                    seen[neighbour] = true;
                    stack.push(neighbour);
                }
            }
        }
        // Those without float tensors have no say.
        around.remove(&None);
        let mut around = around.into_iter().flatten();
        let (Some(scheme), None) = (around.next(), around.next()) else {
            continue;
        };
        for i in group {
            let node = &graph.nodes[i];
            match scheme {
                NodeScheme::Int8 => {}
                NodeScheme::Int16x8 if is_wide(graph, node, all[i].rule) => {
                    all[i].scheme = Some(scheme);
                    all[i].fallback = false;
                }
                NodeScheme::Int16x8 => {}
                NodeScheme::Dynamic | NodeScheme::Float => {
                    all[i].keep_float(FloatReason::Neighbours);
                }
            }
        }
    }
}
