//! What a caller may choose of a plan, and what is checked before any time is spent.

use super::Error;
use super::plan::{FloatReason, Io};
use super::rule::{Rule, reason, rule};
use crate::graph::{Graph, Op};
use crate::num::DType;
use std::collections::HashSet;

/// What a caller may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Type of inputs and outputs.
    pub io: Io,
    /// Nodes that stay float, by their position in the graph.
    pub float: HashSet<usize>,
    /// Whether an operator that has to stay float is an error.
    pub integer_only: bool,
}

impl Options {
    /// Nothing but the types of inputs and outputs.
    pub fn new(io: Io) -> Options {
        Options {
            io,
            float: HashSet::new(),
            integer_only: false,
        }
    }

    /// The rule of a node before its ranges are known, and why it stays float if it does.
    pub(super) fn rule(&self, graph: &Graph, node: usize) -> (Rule, Option<FloatReason>) {
        match rule(graph, &graph.nodes[node]) {
            Rule::Untouched => (Rule::Untouched, None),
            _ if self.float.contains(&node) => (Rule::Float, Some(FloatReason::Asked)),
            Rule::Float => (Rule::Float, Some(reason(&graph.nodes[node].op))),
            rule => (rule, None),
        }
    }
}

/// Refuses a model that is quantized already, before any time is spent on calibrating it.
///
/// # Errors
/// If a tensor or operator is quantized; names it.
pub fn check_float(graph: &Graph) -> Result<(), Error> {
    let found = |found: String| Error::AlreadyQuantized {
        file: graph.file.clone(),
        found,
    };
    for node in graph.nodes.iter().filter(|n| !n.op.is_opaque()) {
        if matches!(node.op, Op::Quantize | Op::Dequantize) {
            return Err(found(format!("it has a {}", node.describe())));
        }
        for &id in node.inputs.iter().flatten().chain(&node.outputs) {
            let tensor = &graph.tensors[id];
            let small = matches!(
                tensor.dtype,
                DType::I8 | DType::U8 | DType::I16 | DType::F16
            );
            if tensor.quantization.is_some() || small {
                return Err(found(format!("{} is {}", graph.describe(id), tensor.dtype)));
            }
        }
    }
    Ok(())
}

/// Refuses what cannot be, before any time is spent on calibrating.
///
/// # Errors
/// If every operator is to be integer and one cannot be, whatever its ranges.
pub fn check_options(graph: &Graph, options: &Options) -> Result<(), Error> {
    let nodes = 0..graph.nodes.len();
    let float: Vec<_> = nodes.map(|i| options.rule(graph, i).1).collect();
    check_integer_only(graph, &float, options.integer_only)
}

/// Where nothing may stay float, all that would have to.
pub(super) fn check_integer_only(
    graph: &Graph,
    float: &[Option<FloatReason>],
    integer_only: bool,
) -> Result<(), Error> {
    let stay = graph.nodes.iter().zip(float);
    let stay: Vec<String> = stay
        .filter_map(|(node, float)| Some(format!("{}: {}", node.describe(), (*float)?)))
        .collect();
    if !integer_only || stay.is_empty() {
        return Ok(());
    }
    Err(Error::NotInteger {
        file: graph.file.clone(),
        operators: stay,
    })
}
