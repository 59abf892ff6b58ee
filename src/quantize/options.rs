//! What a caller may choose of a plan, and what is checked before any time is spent.

use super::Error;
use super::correction::Correction;
use super::plan::{FloatReason, Io};
use super::rule::LEAST_WEIGHTS;
use super::scheme::{Decision, NodeScheme, decide_all};
use crate::graph::{Graph, Op, TensorId};
use crate::num::{DType, Range};
use crate::ranges::Choice;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// What a caller may choose.
#[derive(Clone, Debug)]
pub struct Options {
    /// Type of inputs and outputs.
    pub io: Io,
    /// What operators become.
    pub scheme: NodeScheme,
    /// What single ones become, by their position in the graph.
    pub nodes: HashMap<usize, NodeScheme>,
    /// Whether an operator that has no kernel of 16 bits becomes int8; else it stays float.
    pub integer_fallback: bool,
    /// Whether an operator that has to stay float is an error.
    pub integer_only: bool,
    /// Whether an operator that cannot have the scheme it was to have is an error.
    pub no_fallback: bool,
    /// Nodes whose weights get one scale, not one a channel, by position.
    pub per_tensor: HashSet<usize>,
    /// With [`NodeScheme::Dynamic`], weights of fewer elements stay float.
    pub least_weights: usize,
    /// How ranges of inputs and of what is computed are chosen.
    pub method: Choice,
    /// The same for the outputs of single nodes, by position.
    pub methods: HashMap<usize, Choice>,
    /// Ranges that were chosen already, by tensor: no method is asked about these.
    pub chosen: HashMap<TensorId, Chosen>,
    /// How scales of weights are chosen.
    pub weights: Weights,
    /// Means of activations, with which biases make up for the rounding of weights; see [`Correction`].
    pub correction: Option<Arc<Correction>>,
    /// Where what was found for weights is kept for further plans of the same graph by the same [`Correction`].
    pub memo: Option<Arc<Memo>>,
}

/// What was found for weights in earlier plans of the same graph.
#[derive(Debug, Default)]
pub struct Memo {
    /// Scales by constant, dimension and method.
    scales: Mutex<HashMap<ScalesOf, Vec<f32>>>,
    /// By node the scales of its weights, and what the rounding takes from its bias.
    corrections: Mutex<HashMap<usize, ScalesAndCorrection>>,
}

type ScalesOf = (TensorId, Option<usize>, Weights);
type ScalesAndCorrection = (Vec<f32>, Option<Vec<f32>>);

impl Memo {
    /// Scales that were found before, or now.
    pub(super) fn scales(&self, key: ScalesOf, find: impl FnOnce() -> Vec<f32>) -> Vec<f32> {
        let known = || self.scales.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scales) = known().get(&key) {
            return scales.clone();
        }
        // Not under the lock: this is work for all threads.
        let scales = find();
        known().insert(key, scales.clone());
        scales
    }

    /// The correction that was found for a node and these scales before, or now.
    pub(super) fn correction(
        &self,
        node: usize,
        scales: &[f32],
        find: impl FnOnce() -> Option<Vec<f32>>,
    ) -> Option<Vec<f32>> {
        let known = || {
            let all = self.corrections.lock();
            all.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((_, correction)) = known().get(&node).filter(|(of, _)| of == scales) {
            return correction.clone();
        }
        let correction = find();
        known().insert(node, (scales.to_vec(), correction.clone()));
        correction
    }
}

/// What is kept of the range of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The range.
    pub range: Range,
    /// How it was found, for readers of the plan.
    pub method: String,
}

/// How scales of symmetric weights are chosen, for each channel or all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// The largest magnitude is the largest integer, as in TensorFlow's converter.
    #[default]
    MinMax,
    /// The least squared error of rounding and clipping.
    Mse,
}

impl Options {
    /// int8 and nothing but the types of inputs and outputs.
    pub fn new(io: Io) -> Options {
        Options {
            io,
            scheme: NodeScheme::Int8,
            nodes: HashMap::new(),
            integer_fallback: true,
            integer_only: false,
            no_fallback: false,
            per_tensor: HashSet::new(),
            least_weights: LEAST_WEIGHTS,
            method: Choice::default(),
            methods: HashMap::new(),
            chosen: HashMap::new(),
            weights: Weights::default(),
            correction: None,
            memo: None,
        }
    }

    /// What a node is to become.
    pub fn scheme(&self, node: usize) -> NodeScheme {
        self.nodes.get(&node).copied().unwrap_or(self.scheme)
    }

    /// How the ranges of a node's outputs are chosen, of the model's inputs where there is no node.
    pub fn method(&self, node: Option<usize>) -> &Choice {
        let single = node.and_then(|i| self.methods.get(&i));
        single.unwrap_or(&self.method)
    }

    /// A method that needs more than ranges, if there is one.
    pub fn needs_histograms(&self) -> Option<&Choice> {
        let mut all = std::iter::once(&self.method).chain(self.methods.values());
        all.find(|method| method.needs_histogram())
    }

    /// The same for a method that looks at samples one by one.
    pub fn needs_samples(&self) -> Option<&Choice> {
        let mut all = std::iter::once(&self.method).chain(self.methods.values());
        all.find(|method| method.needs_samples())
    }

    /// Nodes whose kernels will quantize their inputs as they run, by position.
    pub fn dynamic(&self, graph: &Graph) -> HashSet<usize> {
        let decisions = decide_all(graph, self).into_iter().enumerate();
        let dynamic = decisions.filter(|(_, d)| d.scheme == Some(NodeScheme::Dynamic));
        dynamic.map(|(i, _)| i).collect()
    }

    /// The same wishes after operators were added: for each the position that it had before, if it was there.
    #[must_use]
    pub fn moved(&self, origin: &[Option<usize>]) -> Options {
        let places = || {
            origin
                .iter()
                .enumerate()
                .filter_map(|(to, from)| Some((to, (*from)?)))
        };
        let nodes = places().filter_map(|(to, from)| Some((to, *self.nodes.get(&from)?)));
        let methods =
            places().filter_map(|(to, from)| Some((to, self.methods.get(&from)?.clone())));
        let per_tensor = places().filter(|(_, from)| self.per_tensor.contains(from));
        Options {
            nodes: nodes.collect(),
            methods: methods.collect(),
            per_tensor: per_tensor.map(|(to, _)| to).collect(),
            memo: None,
            ..self.clone()
        }
    }

    /// Whether ranges are needed to carry them out on this graph.
    pub fn need_ranges(&self, graph: &Graph) -> bool {
        let integer = |d: &Decision| d.integer().is_some();
        self.io != Io::Float || decide_all(graph, self).iter().any(integer)
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
    check_decisions(graph, &decide_all(graph, options), options)
}

/// Where nothing may stay float, or become anything but what was wanted, all that would.
pub(super) fn check_decisions(
    graph: &Graph,
    decisions: &[Decision],
    options: &Options,
) -> Result<(), Error> {
    let mut listed = Vec::new();
    for (i, (node, decision)) in graph.nodes.iter().zip(decisions).enumerate() {
        let wish = options.scheme(i);
        let why = match decision.float {
            Some(reason) if options.integer_only => Some(reason.to_string()),
            // What stays float as asked is what was wanted, and so are small weights.
            Some(FloatReason::Asked | FloatReason::Neighbours) => None,
            Some(FloatReason::SmallWeights | FloatReason::NoWeights) => None,
            Some(reason) if options.no_fallback => Some(reason.to_string()),
            None if options.no_fallback && decision.fallback => {
                Some(FloatReason::NoWideKernel.to_string())
            }
            _ => None,
        };
        if let Some(why) = why {
            let wish = match options.integer_only {
                true => String::new(),
                false => format!(" as {wish}"),
            };
            listed.push(format!("{}{wish}: {why}", node.describe()));
        }
    }
    if listed.is_empty() {
        return Ok(());
    }
    Err(Error::NotAsAsked {
        file: graph.file.clone(),
        what: match options.integer_only {
            true => "integer",
            false => "what was asked",
        },
        operators: listed,
    })
}
