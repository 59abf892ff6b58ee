//! Recipes: ordered rules that say what becomes of which operators. TOML; `docs/recipes.md` explains it, and
//! `docs/recipe.schema.json` describes it for editors.

use super::ranges::Wanted;
use super::schemes::{DynamicRows, IoChoice};
use super::selection::{is, matches};
use super::{Failure, output};
use regex::Regex;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use zeropoint::graph::{Graph, Node};
use zeropoint::quantize::{self, Io, NodeScheme};
use zeropoint::ranges::Choice;

/// A recipe as it stands in its file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// Version of the format, 1.
    version: u32,
    /// What operators become that no rule matches.
    #[serde(default)]
    scheme: NodeScheme,
    /// Type of inputs and outputs.
    #[serde(default = "float")]
    io: IoChoice,
    /// What becomes of an operator that cannot have its scheme.
    #[serde(default)]
    fallback: Fallback,
    /// Scales of weights where no rule says so.
    #[serde(default)]
    weights: Weights,
    /// How ranges are chosen where no rule says so; those of the model's inputs too.
    #[serde(default)]
    method: Wanted,
    /// What convolutions of scheme dynamic quantize with one scale.
    #[serde(rename = "dynamic-rows")]
    dynamic_rows: Option<DynamicRows>,
    /// Later ones win.
    #[serde(default)]
    rule: Vec<Rule>,
}

fn float() -> IoChoice {
    IoChoice::Float
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Fallback {
    /// int8 in place of int16x8, float where there is no int8 either.
    #[default]
    Int8,
    /// Float.
    Float,
    /// It is an error.
    None,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Weights {
    #[default]
    PerChannel,
    PerTensor,
}

/// Operators that all of its conditions match, and what it says about them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Kind of operator.
    op: Option<String>,
    /// Regular expression for the name of an output.
    name: Option<String>,
    /// Number of the subgraph.
    subgraph: Option<usize>,
    /// Numbers of operators in the file.
    index: Option<OneOrMore>,
    /// What they become.
    scheme: Option<NodeScheme>,
    /// How the ranges of their outputs are chosen.
    method: Option<Choice>,
    /// Scales of their weights.
    weights: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an operator's number is wanted, or a list of them"
)]
enum OneOrMore {
    One(usize),
    More(Vec<usize>),
}

/// A recipe that was read and understood.
pub struct Recipe {
    path: PathBuf,
    text: Text,
    /// The regular expression of each rule.
    names: Vec<Option<Regex>>,
}

impl Recipe {
    /// Reads a recipe.
    pub fn read(path: &Path) -> Result<Recipe, Failure> {
        let failed = |what: String| Failure::Input(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let text: Text = toml::from_str(&text).map_err(|e| failed(e.to_string()))?;
        if text.version != 1 {
            return Err(failed(format!(
                "version {} of the format; this program reads version 1",
                text.version
            )));
        }
        let mut names = Vec::new();
        for (i, rule) in text.rule.iter().enumerate() {
            let place = || format!("rule {} ({})", i + 1, rule.describe());
            if (rule.scheme, rule.weights, &rule.method) == (None, None, &None) {
                return Err(failed(format!(
                    "{} says nothing: give scheme, weights or method",
                    place()
                )));
            }
            let name = rule.name.as_deref().map(Regex::new).transpose();
            names.push(name.map_err(|e| failed(format!("{}: name: {e}", place())))?);
        }
        Ok(Recipe {
            path: path.to_owned(),
            text,
            names,
        })
    }

    /// What convolutions of scheme dynamic quantize with one scale, if it says so.
    pub fn dynamic_rows(&self) -> Option<DynamicRows> {
        self.text.dynamic_rows
    }

    /// How ranges are chosen where no rule says so.
    pub fn method(&self) -> &Wanted {
        &self.text.method
    }

    /// What it says about a graph. Rules that match nothing are told on stderr.
    pub fn options(&self, graph: &Graph) -> Result<quantize::Options, Failure> {
        let Text { fallback, .. } = self.text;
        let mut nodes = HashMap::new();
        let mut methods = HashMap::new();
        let mut single: HashSet<usize> = match self.text.weights {
            Weights::PerTensor => (0..graph.nodes.len()).collect(),
            Weights::PerChannel => HashSet::new(),
        };
        for (i, (rule, name)) in self.text.rule.iter().zip(&self.names).enumerate() {
            let mut found = false;
            for (k, node) in graph.nodes.iter().enumerate() {
                if !rule.fits(graph, node, name.as_ref()) {
                    continue;
                }
                found = true;
                if let Some(scheme) = rule.scheme {
                    nodes.insert(k, scheme);
                }
                if let Some(method) = &rule.method {
                    methods.insert(k, method.clone());
                }
                match rule.weights {
                    Some(Weights::PerTensor) => drop(single.insert(k)),
                    Some(Weights::PerChannel) => drop(single.remove(&k)),
                    None => {}
                }
            }
            if !found {
                output::note(&format!(
                    "warning: {}: rule {} ({}) matches no operator; `zeropoint inspect` lists them",
                    self.path.display(),
                    i + 1,
                    rule.describe()
                ));
            }
        }
        let io: Io = self.text.io.io();
        Ok(quantize::Options {
            scheme: self.text.scheme,
            nodes,
            integer_fallback: fallback != Fallback::Float,
            no_fallback: fallback == Fallback::None,
            per_tensor: single,
            method: self.text.method.method(),
            methods,
            ..quantize::Options::new(io)
        })
    }
}

impl Rule {
    fn fits(&self, graph: &Graph, node: &Node, name: Option<&Regex>) -> bool {
        let kind = self.op.as_ref().is_none_or(|kind| is(node, kind));
        let index = match &self.index {
            None => true,
            Some(OneOrMore::One(i)) => node.index == *i,
            Some(OneOrMore::More(all)) => all.contains(&node.index),
        };
        // Only the first subgraph is quantized.
        let subgraph = self.subgraph.is_none_or(|number| number == 0);
        kind && index && subgraph && name.is_none_or(|name| matches(name, graph, node))
    }

    /// Its conditions, for messages.
    fn describe(&self) -> String {
        let index = self.index.as_ref().map(|index| match index {
            OneOrMore::One(i) => format!("index {i}"),
            OneOrMore::More(all) => format!("index {all:?}"),
        });
        let parts = [
            self.op.as_ref().map(|op| format!("op '{op}'")),
            self.name.as_ref().map(|name| format!("name '{name}'")),
            self.subgraph.map(|number| format!("subgraph {number}")),
            index,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => "all operators".into(),
            false => parts.join(", "),
        }
    }
}
