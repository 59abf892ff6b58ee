//! Which operators are quantized.

use super::{Failure, output};
use clap::{Args, ValueEnum};
use regex::Regex;
use std::collections::{HashMap, HashSet};
use zeropoint::graph::{Graph, Node};
use zeropoint::quantize::NodeScheme;

/// Options that give operators another scheme than the others.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Leave operators of this kind out, as CONV_2D; may be repeated
    #[arg(long, value_name = "OP")]
    skip_op: Vec<String>,
    /// Leave operators out whose output has a name that matches; may be repeated
    #[arg(long, value_name = "REGEX")]
    skip_node: Vec<String>,
    /// Leave all operators out but those of this kind, or whose output has a name that matches; may be repeated
    #[arg(long, value_name = "OP|REGEX")]
    only: Vec<String>,
    /// What becomes of operators that are left out; float if not given
    #[arg(
        long,
        value_enum,
        value_name = "float|dynamic|int16x8|int8",
        hide_possible_values = true
    )]
    skip_scheme: Option<SkipScheme>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SkipScheme {
    /// Float throughout
    Float,
    /// int8 weights, float activations
    Dynamic,
    /// int16 activations, int8 weights
    Int16x8,
    /// int8
    Int8,
}

impl Selection {
    /// The nodes that were chosen, by position, and what they become. What matches nothing is told on stderr.
    pub fn nodes(&self, graph: &Graph) -> Result<HashMap<usize, NodeScheme>, Failure> {
        let mut chosen = self.skipped(graph)?;
        let chosen = chosen.drain();
        let scheme = match self.skip_scheme {
            Some(_)
                if self.skip_op.is_empty() && self.skip_node.is_empty() && self.only.is_empty() =>
            {
                return Err(Failure::Input(
                    "--skip-scheme is for what --skip-op, --skip-node or --only leave out".into(),
                ));
            }
            Some(SkipScheme::Dynamic) => NodeScheme::Dynamic,
            Some(SkipScheme::Int16x8) => NodeScheme::Int16x8,
            Some(SkipScheme::Int8) => NodeScheme::Int8,
            Some(SkipScheme::Float) | None => NodeScheme::Float,
        };
        Ok(chosen.map(|i| (i, scheme)).collect())
    }

    fn skipped(&self, graph: &Graph) -> Result<HashSet<usize>, Failure> {
        let mut out = HashSet::new();
        for kind in &self.skip_op {
            out.extend(found("--skip-op", kind, graph, |node| is(node, kind)));
        }
        for text in &self.skip_node {
            let regex = regex("--skip-node", text)?;
            out.extend(found("--skip-node", text, graph, |node| {
                matches(&regex, graph, node)
            }));
        }
        if self.only.is_empty() {
            return Ok(out);
        }
        let mut chosen = HashSet::new();
        for text in &self.only {
            let regex = regex("--only", text)?;
            chosen.extend(found("--only", text, graph, |node| {
                is(node, text) || matches(&regex, graph, node)
            }));
        }
        out.extend((0..graph.nodes.len()).filter(|i| !chosen.contains(i)));
        Ok(out)
    }
}

/// Whether a node is of a kind.
pub fn is(node: &Node, kind: &str) -> bool {
    node.op.name().eq_ignore_ascii_case(kind)
}

/// Whether the name of an output matches.
pub fn matches(regex: &Regex, graph: &Graph, node: &Node) -> bool {
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
