//! `zeropoint plan`

use super::quantize::{Choices, Planned, SCHEMES};
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
    if !choices.scheme.is_integer() {
        return Err(Failure::Input(format!(
            "--scheme {} changes constants alone, so there is nothing to plan",
            choices.scheme.name()
        )));
    }
    let planned = choices.plan()?;
    if choices.json {
        return output::print_json(&planned.plan);
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
        let float = plan.operators[i].float;
        let (becomes, why) = match (float, activation) {
            (Some(reason), _) => ("float", reason.to_string()),
            (None, Some(a)) => ("int8", a.why.to_string()),
            (None, None) => ("unchanged", "it has no float tensors".into()),
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
