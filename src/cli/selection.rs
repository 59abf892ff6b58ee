//! Which operators are quantized.

use super::{Failure, output};
use clap::Args;
use regex::Regex;
use std::collections::HashSet;
use zeropoint::graph::{Graph, Node};

/// Options that leave operators float.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Leave operators of this kind float, as CONV_2D; may be repeated
    #[arg(long, value_name = "OP")]
    skip_op: Vec<String>,
    /// Leave operators float whose output has a name that matches; may be repeated
    #[arg(long, value_name = "REGEX")]
    skip_node: Vec<String>,
    /// Quantize only operators of this kind, or whose output has a name that matches; may be repeated
    #[arg(long, value_name = "OP|REGEX")]
    only: Vec<String>,
}

impl Selection {
    /// Positions of the nodes that stay float. What matches nothing is told on stderr.
    pub fn float(&self, graph: &Graph) -> Result<HashSet<usize>, Failure> {
        let mut float = HashSet::new();
        for kind in &self.skip_op {
            float.extend(found("--skip-op", kind, graph, |node| is(node, kind)));
        }
        for text in &self.skip_node {
            let regex = regex("--skip-node", text)?;
            float.extend(found("--skip-node", text, graph, |node| {
                matches(&regex, graph, node)
            }));
        }
        if self.only.is_empty() {
            return Ok(float);
        }
        let mut chosen = HashSet::new();
        for text in &self.only {
            let regex = regex("--only", text)?;
            chosen.extend(found("--only", text, graph, |node| {
                is(node, text) || matches(&regex, graph, node)
            }));
        }
        float.extend((0..graph.nodes.len()).filter(|i| !chosen.contains(i)));
        Ok(float)
    }
}

fn is(node: &Node, kind: &str) -> bool {
    node.op.name().eq_ignore_ascii_case(kind)
}

fn matches(regex: &Regex, graph: &Graph, node: &Node) -> bool {
    let mut names = node.outputs.iter().map(|&id| &graph.tensors[id].name);
    names.any(|name| regex.is_match(name))
}

fn regex(option: &str, text: &str) -> Result<Regex, Failure> {
    Regex::new(text).map_err(|e| Failure::Input(format!("{option} '{text}': {e}")))
}

fn found(option: &str, text: &str, graph: &Graph, fits: impl Fn(&Node) -> bool) -> Vec<usize> {
    let nodes = graph.nodes.iter().enumerate();
    let found: Vec<usize> = nodes.filter(|(_, n)| fits(n)).map(|(i, _)| i).collect();
    if found.is_empty() {
        output::note(&format!(
            "warning: {option} '{text}' matches no operator; `zeropoint inspect` lists them"
        ));
    }
    found
}
