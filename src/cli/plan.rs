//! `zeropoint plan`

use super::choices::{Choices, Planned};
use super::plan_file::PlanFile;
use super::schemes::SCHEMES;
use super::{Failure, output};
use clap::Args;
use zeropoint::kernel;
use zeropoint::report::{self, PlanReport, PlannedOperator};

/// Arguments of `zeropoint plan`.
#[derive(Args)]
#[command(after_help = SCHEMES, mut_arg("data", |data| data.required(false)))]
pub struct Arguments {
    #[command(flatten)]
    choices: Choices,
}

/// Runs the command.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let choices = &arguments.choices;
    if choices.scheme.of_nodes().is_none() {
        return Err(Failure::Input(format!(
            "--scheme {} changes constants alone, so there is nothing to plan",
            choices.scheme.name()
        )));
    }
    let planned = choices.plan()?;
    if choices.json {
        return output::print_json(&PlanFile::of(&planned, &choices.model)?);
    }
    output::print(&report::plan(&report_of(&planned)?));
    Ok(())
}

fn report_of(planned: &Planned) -> Result<PlanReport, Failure> {
    let Planned { graph, plan, .. } = planned;
    let program = kernel::prepare(graph.clone())?;
    let mut operations = vec![0; graph.nodes.len()];
    for (step, floor) in program.steps.iter().zip(program.floors().steps) {
        operations[step.node] += floor.operations;
    }
    let operator = |(i, node): (usize, &zeropoint::graph::Node)| {
        let output = node.outputs.first().copied();
        let activation = output.and_then(|id| plan.activation(id));
        let decided = &plan.operators[i];
        let becomes = decided.scheme.map_or("unchanged".into(), |s| s.to_string());
        let why = match (decided.scheme, decided.float, activation) {
            (_, Some(reason), _) => reason.to_string(),
            (Some(_), None, Some(a)) => a.why.to_string(),
            (Some(_), None, None) => "float activations, int8 weights".into(),
            (None, None, _) => "it has no float tensors".into(),
        };
        let why = match decided.fallback {
            true => format!("no kernel of 16 bits; {why}"),
            false => why,
        };
        let constants = node.inputs.iter().flatten().copied();
        let constants = constants.filter(|&id| graph.tensors[id].constant.is_some());
        let bytes = |id: usize| (graph.elements(id) * graph.tensors[id].dtype.size()) as u64;
        let stays: u64 = constants.clone().map(bytes).sum();
        let uses = plan
            .constants
            .iter()
            .filter(|c| c.uses.iter().any(|u| u.node == i));
        let changed = uses.map(|c| {
            let elements = graph.elements(c.source) as u64;
            (bytes(c.source), elements * c.role.dtype().size() as u64)
        });
        let (before, after) = changed.fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
        PlannedOperator {
            index: node.index,
            name: node.op.name().to_owned(),
            becomes,
            why,
            output: output.map_or(String::new(), |id| graph.tensors[id].name.clone()),
            affine: activation.map(|a| a.affine),
            constant_bytes: [stays, stays.saturating_sub(before) + after],
            operations: operations[i],
            conversions: plan.conversions.iter().filter(|c| c.before == i).count(),
        }
    };
    Ok(PlanReport {
        operators: graph.nodes.iter().enumerate().map(operator).collect(),
        conversions: plan.conversions.len(),
    })
}
