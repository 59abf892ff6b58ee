//! `zeropoint quantize`

use super::choices::{Choices, Planned};
use super::plan_file::PlanFile;
use super::schemes::{SCHEMES, Scheme};
use super::seen::Seen;
use super::selection::Selection;
use super::{Failure, output};
use clap::Args;
use std::path::{Path, PathBuf};
use zeropoint::graph::{Graph, Op, lstm_inputs};
use zeropoint::kernel::{self, Range};
use zeropoint::report::{self, ChosenRange, ModelSize};
use zeropoint::{model, quantize, simplify};

/// Arguments of `zeropoint quantize`.
#[derive(Args)]
#[command(after_help = SCHEMES, mut_arg("data", |data| data.required(false)))]
pub struct Arguments {
    #[command(flatten)]
    choices: Choices,
    /// Where to write the quantized model; MODEL_SCHEME.tflite if not given (MODEL_RECIPE.tflite, MODEL_planned.tflite)
    #[arg(short, long, value_name = "OUT.tflite")]
    output: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let choices = &arguments.choices;
    match choices.scheme.of_nodes() {
        Some(_) => planned(arguments),
        None => constants(arguments),
    }
}

/// The schemes that change constants alone.
fn constants(arguments: &Arguments) -> Result<(), Failure> {
    let choices = &arguments.choices;
    let scheme = choices.scheme.name();
    let senseless = [
        ("--data", choices.data.is_some()),
        ("--calibration", choices.calibration.is_some()),
        ("--method", choices.method.is_some()),
        ("--effort", choices.effort.is_some()),
        ("--weights", choices.weights.is_some()),
        ("--io", choices.io.is_some()),
        ("--dynamic-rows", choices.dynamic_rows.is_some()),
        ("--recipe", choices.recipe.is_some()),
        ("--plan", choices.plan.is_some()),
        ("--per-tensor-weights", choices.per_tensor_weights),
        ("--per-tensor-dense", choices.per_tensor_dense),
        ("--fallback", choices.fallback.is_some()),
        ("--no-fallback", choices.no_fallback),
        ("the options of devices", !choices.device.is_default()),
        (
            "a choice of operators",
            choices.selection != Selection::default(),
        ),
    ];
    if let Some((option, _)) = senseless.iter().find(|(_, given)| *given) {
        return Err(Failure::Input(format!(
            "--scheme {scheme} changes constants alone: leave out {option}"
        )));
    }
    let to = arguments.output_path(&[])?;
    let float = model::read(&choices.model)?;
    let (quantized, count) = match choices.scheme {
        Scheme::Float16 => quantize::float16(&float),
        _ => quantize::weight_only(&float),
    };
    if count == 0 {
        output::note(&format!(
            "warning: {} has no constants that --scheme {scheme} would make smaller; it is written as it is",
            choices.model.display()
        ));
    }
    let sizes = arguments.write(&to, &float, &quantized)?;
    if choices.json {
        return output::print_json(&serde_json::json!({
            "output": to.display().to_string(),
            "scheme": scheme,
            "constants": count,
            "sizes": sizes,
        }));
    }
    let what = format!("{count} constants as {scheme}");
    output::print(&report::quantize(&what, None, &[], &[], &sizes));
    Ok(())
}

impl Arguments {
    fn output_path(&self, inputs: &[&Path]) -> Result<PathBuf, Failure> {
        let model = &self.choices.model;
        let default = || default_output(&self.choices);
        let to = self.output.clone().unwrap_or_else(default);
        output::check_place(&to, &[&[model.as_path()], inputs].concat())?;
        Ok(to)
    }

    /// Writes the model. What we write must be what we can run: the file's own bytes go through the whole way once more.
    fn write(
        &self,
        to: &Path,
        float: &model::Model,
        quantized: &model::Model,
    ) -> Result<[ModelSize; 2], Failure> {
        let bytes = model::to_bytes(quantized)?;
        let read = model::parse(&bytes)?;
        let (_, graph) = simplify::load(read, &to.display().to_string())?;
        kernel::prepare(graph)?;
        model::write(to, quantized)?;
        let model = &self.choices.model;
        let float_bytes = std::fs::metadata(model).map_or(0, |m| m.len());
        Ok([
            ModelSize::new(&model.display().to_string(), float, float_bytes),
            ModelSize::new(&to.display().to_string(), quantized, bytes.len() as u64),
        ])
    }
}

/// The schemes that decide about operators.
fn planned(arguments: &Arguments) -> Result<(), Failure> {
    let choices = &arguments.choices;
    let to = arguments.output_path(&choices.files())?;
    let plan_to = to.with_extension("plan.json");
    let inputs = [
        &[choices.model.as_path(), to.as_path()],
        &choices.files()[..],
    ]
    .concat();
    // A plan that is carried out again may lie where it was written.
    let again = choices.plan.is_some();
    if !again {
        output::check_place(&plan_to, &inputs)?;
    }
    let planned = choices.plan()?;
    let quantized = planned.quantized()?;
    let Planned {
        float,
        graph,
        plan,
        seen,
        ..
    } = &planned;
    let sizes = arguments.write(&to, float, &quantized)?;
    if !again {
        let file = PlanFile::of(&planned, &choices.model)?;
        output::write_whole(&plan_to, &file.text()?)?;
    }
    let mut warnings = warnings(graph, &seen.ranges);
    let others = float.subgraphs.iter().flatten().skip(1);
    warnings.extend(others.zip(1..).map(|(subgraph, i)| {
        let name = subgraph.name.as_deref().unwrap_or_default();
        format!("subgraph {i} '{name}' stays as it is; only the first is quantized")
    }));
    for warning in &warnings {
        output::note(&format!("warning: {warning}"));
    }
    let chosen = seen.chosen(plan);
    if choices.json {
        return output::print_json(&Report {
            chosen,
            output: to.display().to_string(),
            scheme: choices.named_scheme(),
            seen,
            plan,
            sizes,
            warnings,
        });
    }
    let text = seen.text();
    let search = seen.search.as_ref();
    output::print(&report::quantize(
        &text,
        search,
        &chosen,
        &plan.operators,
        &sizes,
    ));
    Ok(())
}

/// What `--json` prints.
#[derive(serde::Serialize)]
struct Report<'a> {
    output: String,
    /// None of a recipe or a plan, which say it for each operator.
    scheme: Option<String>,
    #[serde(flatten)]
    seen: &'a Seen,
    /// Ranges that are not all that was seen.
    chosen: Vec<ChosenRange>,
    plan: &'a quantize::Plan,
    sizes: [ModelSize; 2],
    warnings: Vec<String>,
}

fn default_output(choices: &Choices) -> PathBuf {
    let stem = |path: &Path| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        stem.into_owned()
    };
    let how = match (&choices.recipe, &choices.plan) {
        (Some(recipe), _) => stem(recipe),
        (None, Some(_)) => "planned".into(),
        (None, None) => choices.scheme.name().replace('-', "_"),
    };
    let name = format!("{}_{how}.tflite", stem(&choices.model));
    choices.model.with_file_name(name)
}

/// What a user should know about this model although nothing is wrong with it.
fn warnings(graph: &Graph, ranges: &[Option<Range>]) -> Vec<String> {
    let mut all = Vec::new();
    for node in &graph.nodes {
        let Op::UnidirectionalSequenceLstm(lstm) = &node.op else {
            continue;
        };
        let cell = node
            .inputs
            .get(lstm_inputs::CELL_STATE)
            .copied()
            .flatten()
            .and_then(|id| ranges[id]);
        let reached = cell.is_some_and(|r| r.max.max(-r.min) >= lstm.cell_clip);
        if lstm.cell_clip > 0.0 && reached {
            all.push(format!(
                "{}: its cell state reached the bound of {} that the converter wrote into the file; Keras has no such \
                 bound, so results can differ from the model as it was trained",
                node.describe(),
                lstm.cell_clip
            ));
        }
    }
    all
}
