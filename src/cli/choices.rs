//! What is to become of which model, by which ranges: what `quantize` and `plan` have in common.

use super::plan_file::PlanFile;
use super::ranges::{Wanted, averaged, calibrate, search};
use super::recipe::Recipe;
use super::schemes::{DynamicRows, Fallback, IoChoice, Scheme, WeightsChoice};
use super::seen::Seen;
use super::selection::Selection;
use super::target::{DataArguments, DeviceArguments, load_for};
use super::{Failure, output};
use clap::Args;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use zeropoint::calibrate::StatisticsFile;
use zeropoint::graph::{Graph, Op, TensorId};
use zeropoint::kernel::Statistics;
use zeropoint::quantize::{self, Io, NodeScheme};
use zeropoint::ranges::Choice;
use zeropoint::{graph, kernel, model, simplify};

/// What is to become of which model, by which ranges.
#[derive(Args)]
pub struct Choices {
    /// Float model
    pub model: PathBuf,
    #[command(flatten)]
    pub data: Option<DataArguments>,
    /// Ranges from a file that `zeropoint calibrate -o` wrote for this model, in place of --data
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub calibration: Option<PathBuf>,
    /// What becomes of the model, see below
    #[arg(
        long,
        value_enum,
        value_name = "SCHEME",
        hide_possible_values = true,
        default_value = "int8"
    )]
    pub scheme: Scheme,
    /// Type of the model's inputs and outputs: float keeps them and converts inside the model. float if not given, int8
    /// for int8-only
    #[arg(
        long,
        value_enum,
        value_name = "float|int8|uint8|int16",
        hide_possible_values = true
    )]
    pub io: Option<IoChoice>,
    #[command(flatten)]
    pub selection: Selection,
    /// How much of what was seen of inputs and outputs of operators is kept, see below; auto if not given
    #[arg(long, value_name = "NAME[:PARAMS]")]
    pub method: Option<Wanted>,
    /// How long auto searches: 0 not at all (minmax), 1 for another calibration, 2 for three, 3 for thirty; 2 if not given
    #[arg(long, value_name = "0..3", value_parser = clap::value_parser!(u8).range(0..=3))]
    pub effort: Option<u8>,
    /// How scales of weights are chosen: minmax as TensorFlow has it, or mse, the least squared error of rounding; auto tries
    /// both if not given
    #[arg(
        long,
        value_enum,
        value_name = "minmax|mse",
        hide_possible_values = true
    )]
    pub weights: Option<WeightsChoice>,
    /// Give the weights of every operator one scale, not one a channel
    #[arg(long)]
    pub per_tensor_weights: bool,
    /// The same for FULLY_CONNECTED alone, for targets that refuse it with a scale a channel
    #[arg(long)]
    pub per_tensor_dense: bool,
    /// What becomes of operators that have no kernel with 16-bit activations where the scheme is int16x8; int8 if not given
    #[arg(
        long,
        value_enum,
        value_name = "int8|float",
        hide_possible_values = true
    )]
    pub fallback: Option<Fallback>,
    /// An operator that cannot have its scheme is an error, and nothing is written
    #[arg(long, conflicts_with = "fallback")]
    pub no_fallback: bool,
    /// What a convolution of scheme dynamic quantizes as one as it runs: an image, as TensorFlow's do, or where its filter
    /// is one wide (or high) each column (or row), by a TRANSPOSE before and after it. image where the scheme is dynamic
    /// throughout, column in mixes
    #[arg(
        long,
        value_enum,
        value_name = "image|column",
        hide_possible_values = true
    )]
    pub dynamic_rows: Option<DynamicRows>,
    /// Rules for operators from a file, in place of the options above; see docs/recipes.md
    #[arg(long, value_name = "RECIPE.toml", conflicts_with_all = RECIPE_REPLACES)]
    pub recipe: Option<PathBuf>,
    /// Carry out a plan that `quantize` wrote or `plan --json` printed for this model; needs no data
    #[arg(long, value_name = "PLAN.json", conflicts_with_all = PLAN_REPLACES)]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceArguments,
    /// Print the result for machines
    #[arg(long)]
    pub json: bool,
}

/// What a recipe says.
const RECIPE_REPLACES: [&str; 13] = [
    "weights",
    "method",
    "scheme",
    "io",
    "skip_op",
    "skip_node",
    "only",
    "skip_scheme",
    "per_tensor_weights",
    "per_tensor_dense",
    "fallback",
    "no_fallback",
    "dynamic_rows",
];

/// What a plan says.
const PLAN_REPLACES: [&str; 17] = [
    "effort",
    "weights",
    "method",
    "recipe",
    "data",
    "calibration",
    "scheme",
    "io",
    "skip_op",
    "skip_node",
    "only",
    "skip_scheme",
    "per_tensor_weights",
    "per_tensor_dense",
    "fallback",
    "no_fallback",
    "dynamic_rows",
];

impl Choices {
    /// What the options say that are not a recipe or a plan.
    fn options(&self, graph: &Graph) -> Result<quantize::Options, Failure> {
        let integer_only = self.scheme == Scheme::Int8Only;
        let io = match self.io {
            Some(IoChoice::Float) if integer_only => {
                return Err(Failure::Input(
                    "--scheme int8-only leaves no float: --io int8 or uint8".into(),
                ));
            }
            Some(io) => io.io(),
            None if integer_only => Io::Int8,
            None => Io::Float,
        };
        let scheme = self.scheme.of_nodes().unwrap_or_default();
        let nodes = self.selection.nodes(graph)?;
        let wide =
            scheme == NodeScheme::Int16x8 || nodes.values().any(|s| *s == NodeScheme::Int16x8);
        if self.fallback.is_some() && !wide {
            return Err(Failure::Input(
                "--fallback is for operators that are to be int16x8, and none is".into(),
            ));
        }
        let positions = 0..graph.nodes.len();
        let dense = |&i: &usize| matches!(graph.nodes[i].op, Op::FullyConnected { .. });
        let per_tensor: HashSet<usize> = match (self.per_tensor_weights, self.per_tensor_dense) {
            (true, _) => positions.collect(),
            (false, true) => positions.filter(dense).collect(),
            (false, false) => HashSet::new(),
        };
        Ok(quantize::Options {
            scheme,
            nodes,
            integer_fallback: self.fallback != Some(Fallback::Float),
            integer_only,
            no_fallback: self.no_fallback,
            per_tensor,
            method: self.method.clone().unwrap_or_default().method(),
            weights: self.weights.map(WeightsChoice::weights).unwrap_or_default(),
            ..quantize::Options::new(io)
        })
    }

    /// The scheme as on the command line, if it is not for a recipe or a plan to say.
    pub fn named_scheme(&self) -> Option<String> {
        let elsewhere = self.recipe.is_some() || self.plan.is_some();
        (!elsewhere).then(|| self.scheme.name())
    }

    /// The files that are read.
    pub fn files(&self) -> Vec<&Path> {
        let data = self.data.as_ref().map(|d| d.data.as_path());
        let others = [&self.calibration, &self.recipe, &self.plan];
        let others = others.into_iter().filter_map(Option::as_deref);
        data.into_iter().chain(others).collect()
    }

    /// The float model without what is known beforehand, and its graph.
    fn load(&self, shapes: &Shapes<'_>) -> Result<(model::Model, Graph), Failure> {
        if let Some(data) = &self.data {
            return data.load(&self.model);
        }
        let model = model::read(&self.model)?;
        let shapes = match shapes {
            Shapes::Unknown => Vec::new(),
            Shapes::Given(shapes) => shapes.to_vec(),
            Shapes::Of(file) => {
                let inputs = model.subgraphs.iter().flatten().take(1);
                let inputs = inputs.flat_map(|s| s.inputs.iter().flatten());
                inputs.map(|&id| file.shape(id as usize)).collect()
            }
        };
        load_for(model, &self.model, &shapes)
    }

    /// Decides what becomes of the model.
    pub fn plan(&self) -> Result<Planned, Failure> {
        if let Some(path) = &self.plan {
            return self.planned_before(path);
        }
        // What is wrong with a file of rules is told before anything is computed.
        let recipe = self.recipe.as_deref().map(Recipe::read).transpose()?;
        let statistics = self.calibration.as_deref();
        if statistics.is_some() && !self.device.is_default() {
            return Err(computes_nothing("--calibration"));
        }
        let statistics = statistics
            .map(|path| statistics_of(path, &self.model))
            .transpose()?;
        let shapes = statistics.as_ref().map_or(Shapes::Unknown, Shapes::Of);
        let dynamic = simplify::dynamic_inputs(&model::read(&self.model)?).is_some();
        if dynamic && matches!(shapes, Shapes::Unknown) && self.data.is_none() {
            output::note("note: the inputs have dynamic dimensions; without --data they are 1");
        }
        let (float, graph) = self.load(&shapes)?;
        quantize::check_float(&graph)?;
        let float = simplify::fuse(float, &graph);
        let graph = graph::load(&float, &graph.file)?;
        let options = match &recipe {
            Some(recipe) => recipe.options(&graph)?,
            None => self.options(&graph)?,
        };
        quantize::check_options(&graph, &options)?;
        let as_it_runs = options.dynamic(&graph);
        let separable = simplify::separable(&graph, &as_it_runs);
        let rows = recipe
            .as_ref()
            .map_or(self.dynamic_rows, Recipe::dynamic_rows);
        if self.dynamic_rows.is_some() && as_it_runs.is_empty() {
            return Err(Failure::Input(
                "--dynamic-rows is for operators of scheme dynamic, and there is none".into(),
            ));
        }
        let needs_ranges = options.need_ranges(&graph);
        let columns = match rows {
            Some(DynamicRows::Image) => Vec::new(),
            None if !needs_ranges => {
                if !separable.is_empty() {
                    output::note(&format!(
                        "note: {} convolutions can have a scale for each column in place of one for all, which may be more \
                         accurate: --dynamic-rows column",
                        separable.len()
                    ));
                }
                Vec::new()
            }
            Some(DynamicRows::Column) | None => separable,
        };
        let (float, graph, split) = split(float, graph, &columns)?;
        let options = options.moved(&split.origin);
        let program = kernel::prepare(graph.clone())?;
        let method = options.needs_histograms();
        if let (Some(method), Some(path), Some(file)) = (method, &self.calibration, &statistics) {
            check_histograms(path, file, method)?;
        }
        if let (Some(method), false) = (method.or(options.needs_samples()), needs_ranges) {
            return Err(Failure::Input(format!(
                "no activation becomes an integer, so the method {method} has nothing to choose: leave it out"
            )));
        }
        let gather = match method.or(options.needs_samples()) {
            Some(_) => Statistics::Histograms,
            None => Statistics::Ranges,
        };
        let wanted = match &recipe {
            Some(recipe) => recipe.method().clone(),
            None => self.method.clone().unwrap_or_default(),
        };
        let effort = wanted.effort(self.effort)?;
        if self.effort.is_some() && !needs_ranges {
            return Err(Failure::Input(
                "no activation becomes an integer, so there are no ranges to search: leave out --effort".into(),
            ));
        }
        let options = match (&self.data, options.needs_samples(), needs_ranges) {
            (Some(data), Some(_), true) => averaged(data, &self.device, &program, &options)?,
            _ => options,
        };
        let mut found = None;
        let mut seen = match (&self.data, statistics, needs_ranges) {
            (Some(data), _, true) => match effort {
                Some(effort) => {
                    let models = (&float, &graph, &program);
                    let fixed = self.weights.is_some();
                    let (seen, options) =
                        search(data, &self.device, models, &options, fixed, effort)?;
                    found = Some(options);
                    seen
                }
                None => calibrate(data, &self.device, &program, gather)?,
            },
            (None, Some(_), true) if options.needs_samples().is_some() => {
                return Err(Failure::Input(
                    "moving-average looks at samples one by one, and --calibration has none: give --data".into(),
                ));
            }
            (None, Some(file), true) => {
                if effort.is_some() {
                    self.without_samples(recipe.is_some())?;
                }
                Seen::of(&file, &graph)
            }
            (None, None, true) => {
                return Err(Failure::Input(
                    "integers take their scales from what the model computes: give --data or --calibration".into(),
                ));
            }
            (None, None, false) if self.device.is_default() => Seen::nothing(&graph),
            (None, None, false) => return Err(computes_nothing("no integer activations")),
            // Data may be there to say what dynamic dimensions are.
            (Some(_), None, false) if dynamic && self.device.is_default() => Seen::nothing(&graph),
            (data, _, false) => {
                let option = if data.is_some() {
                    "--data"
                } else {
                    "--calibration"
                };
                return Err(Failure::Input(format!(
                    "no activation becomes an integer, so no range is needed: leave out {option}"
                )));
            }
        };
        for &(copy, of) in &split.copies {
            // A file knows nothing of tensors that were added just now.
            if let (None, Some(&range)) = (seen.ranges[copy], seen.ranges.get(of)) {
                seen.ranges[copy] = range;
                if let Some(histogram) = seen.histograms.get(of).cloned() {
                    seen.histograms[copy] = histogram;
                }
            }
        }
        let options = found.unwrap_or(options);
        let plan = quantize::plan_by(&graph, &seen.ranges, &seen.histograms, &options)?;
        let uniform = recipe.is_none() && options.nodes.is_empty();
        Ok(Planned {
            weight_only: uniform && options.scheme == NodeScheme::Dynamic,
            columns,
            float,
            graph,
            plan,
            seen,
        })
    }

    /// A search wants samples, and there are statistics alone.
    fn without_samples(&self, recipe: bool) -> Result<(), Failure> {
        if self.method.is_some() || self.effort.is_some_and(|effort| effort > 0) {
            return Err(Failure::Input(
                "auto looks at outputs, and --calibration has none: give --data, or choose another --method".into(),
            ));
        }
        if self.effort.is_none() {
            let else_say = if recipe {
                ""
            } else {
                "; --method says so, too"
            };
            output::note(&format!(
                "note: ranges are those that were seen (minmax), since statistics say nothing of outputs; with --data they \
                 are chosen by what they do to the outputs{else_say}"
            ));
        }
        Ok(())
    }

    /// A plan from a file.
    fn planned_before(&self, path: &Path) -> Result<Planned, Failure> {
        if !self.device.is_default() {
            return Err(computes_nothing("--plan"));
        }
        let file = PlanFile::read(path, &self.model)?;
        let (float, graph) = self.load(&Shapes::Given(&file.inputs))?;
        quantize::check_float(&graph)?;
        let float = simplify::fuse(float, &graph);
        let graph = graph::load(&float, &graph.file)?;
        let shapes = graph.inputs.iter().map(|&id| &graph.tensors[id].shape);
        if !shapes.eq(&file.inputs) {
            return Err(Failure::Input(format!(
                "{}: its inputs are not those of {}",
                path.display(),
                self.model.display()
            )));
        }
        let (float, graph, _) = split(float, graph, &file.columns)?;
        Ok(Planned {
            weight_only: file.weight_only,
            columns: file.columns,
            seen: Seen::nothing(&graph),
            float,
            graph,
            plan: file.plan,
        })
    }
}

/// What [`simplify::columns`] added.
struct Split {
    origin: Vec<Option<usize>>,
    copies: Vec<(TensorId, TensorId)>,
}

/// Gives the columns of these convolutions a scale each.
fn split(
    float: model::Model,
    graph: Graph,
    nodes: &[usize],
) -> Result<(model::Model, Graph, Split), Failure> {
    let simplify::Columns {
        model,
        origin,
        copies,
    } = simplify::columns(float, &graph, nodes);
    let graph = graph::load(&model, &graph.file)?;
    Ok((model, graph, Split { origin, copies }))
}

/// Refuses a file of ranges alone where a method looks at more.
fn check_histograms(path: &Path, file: &StatisticsFile, method: &Choice) -> Result<(), Failure> {
    if file.has_histograms() {
        return Ok(());
    }
    Err(Failure::Input(format!(
        "{}: it holds ranges alone, but the method {method} needs histograms; write it by `zeropoint calibrate MODEL --data \
         D -o FILE` without --ranges-only, give --data in its place, or choose --method minmax",
        path.display()
    )))
}

fn computes_nothing(option: &str) -> Failure {
    Failure::Input(format!(
        "with {option} nothing is computed: leave out the options of devices"
    ))
}

/// What is known of the shapes of the inputs.
enum Shapes<'a> {
    Unknown,
    Given(&'a [Vec<usize>]),
    Of(&'a StatisticsFile),
}

/// Statistics of this very model.
pub fn statistics_of(path: &Path, model: &Path) -> Result<StatisticsFile, Failure> {
    let failed = |what: String| Failure::Input(format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
    let file = StatisticsFile::parse(&text).map_err(|e| failed(e.to_string()))?;
    let bytes =
        std::fs::read(model).map_err(|e| Failure::Input(format!("{}: {e}", model.display())))?;
    if !file.is_of(&bytes) {
        return Err(failed(format!(
            "it was made for another model ('{}', {} bytes) than {}",
            file.model.file,
            file.model.bytes,
            model.display()
        )));
    }
    Ok(file)
}

/// A plan with what it was made of.
pub struct Planned {
    /// The float model, without what is known beforehand and with activations fused.
    pub float: model::Model,
    /// Its graph.
    pub graph: Graph,
    /// What becomes of it.
    pub plan: quantize::Plan,
    /// Whether weights that no hybrid kernel takes become int8 behind DEQUANTIZE.
    pub weight_only: bool,
    /// Convolutions whose columns have a scale each, by their position before the TRANSPOSEs were there.
    pub columns: Vec<usize>,
    /// Where ranges come from.
    pub seen: Seen,
}

impl Planned {
    /// The quantized model.
    pub fn quantized(&self) -> Result<model::Model, Failure> {
        let quantized = quantize::apply(&self.float, &self.graph, &self.plan)?;
        Ok(match self.weight_only {
            true => quantize::weight_only(&quantized).0,
            false => quantized,
        })
    }
}
