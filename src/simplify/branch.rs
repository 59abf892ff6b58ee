//! IF whose condition is known when the model is read: the branch that is taken becomes part of the first subgraph.

use super::{drop_unused, fold, resize};
use crate::graph::{self, Error};
use crate::model::{
    self, BuiltinOperator, BuiltinOptions, IfOptions, Model, Operator, SubGraph, Tensor,
};
use crate::num::Values;
use std::collections::HashMap;

/// Most branches of a model: one that contains itself would never end.
const MOST: usize = 256;

/// Puts the branches that are taken into the first subgraph. An IF whose condition depends on data stays.
///
/// # Errors
/// If the operators before an IF make no graph, or branches do not fit.
pub(super) fn take(mut model: Model, file: &str, arrays: &[Vec<usize>]) -> Result<Model, Error> {
    let mut taken = 0;
    let mut from = 0;
    while let Some(at) = next(&model, from) {
        let Some(condition) = condition(&model, at, file, arrays)? else {
            from = at + 1;
            continue;
        };
        if taken == MOST {
            return Err(error(file, "more than 256 branches are taken"));
        }
        taken += 1;
        insert(&mut model, at, condition).ok_or_else(|| {
            error(
                file,
                &format!("the branch of IF (operator {at}) does not fit it"),
            )
        })?;
    }
    if taken > 0 && next(&model, 0).is_none() {
        drop_branches(&mut model);
    }
    Ok(model)
}

fn error(file: &str, what: &str) -> Error {
    Error::Model {
        file: file.into(),
        what: what.into(),
    }
}

fn first(model: &Model) -> Option<&SubGraph> {
    model.subgraphs.as_deref()?.first()
}

fn operators(subgraph: &SubGraph) -> &[Operator] {
    subgraph.operators.as_deref().unwrap_or_default()
}

fn builtin(model: &Model, operator: &Operator) -> Option<i32> {
    let codes = model.operator_codes.as_deref()?;
    Some(model::builtin_code(
        codes.get(operator.opcode_index as usize)?,
    ))
}

/// The first IF from an operator on.
fn next(model: &Model, from: usize) -> Option<usize> {
    let is_if = |o: &Operator| builtin(model, o) == Some(BuiltinOperator::If as i32);
    let found = operators(first(model)?).iter().skip(from).position(is_if);
    found.map(|i| from + i)
}

/// What the condition of an IF is, if that is known: what comes before it is folded.
fn condition(
    model: &Model,
    at: usize,
    file: &str,
    arrays: &[Vec<usize>],
) -> Result<Option<bool>, Error> {
    let inputs = first(model).and_then(|s| operators(s)[at].inputs.as_deref());
    let Some(&id) = inputs.and_then(|inputs| inputs.first()) else {
        return Ok(None);
    };
    let mut before = model.clone();
    let Some(subgraph) = before.subgraphs.as_mut().and_then(|s| s.first_mut()) else {
        return Ok(None);
    };
    subgraph.operators.get_or_insert_default().truncate(at);
    subgraph.outputs = Some(vec![id]);
    let mut graph = graph::load(&before, file)?;
    resize(&before, &mut graph, arrays)?;
    let known = fold::fold(&mut graph)?;
    let id = graph.outputs[0];
    Ok(
        match known.get(&id).or(graph.tensors[id].constant.as_ref()) {
            Some(Values::Bool(v)) if v.len() == 1 => Some(v[0] != 0),
            _ => None,
        },
    )
}

/// Replaces an IF by the operators of a branch; `None` if the branch does not fit.
fn insert(model: &mut Model, at: usize, condition: bool) -> Option<()> {
    let subgraphs = model.subgraphs.as_mut()?;
    let IfOptions {
        then_subgraph_index,
        else_subgraph_index,
    } = match &operators(subgraphs.first()?)[at].builtin_options {
        Some(BuiltinOptions::IfOptions(o)) => (**o).clone(),
        _ => return None,
    };
    let branch = if condition {
        then_subgraph_index
    } else {
        else_subgraph_index
    };
    let branch = usize::try_from(branch).ok().filter(|&i| i > 0)?;
    let branch = subgraphs.get(branch)?.clone();
    let main = subgraphs.first_mut()?;
    let node = main.operators.as_mut()?.remove(at);
    let arguments = node.inputs.as_deref()?.get(1..)?;
    let (given, results) = (branch.inputs?, branch.outputs?);
    let outputs = node.outputs?;
    if given.len() != arguments.len() || results.len() != outputs.len() {
        return None;
    }
    // Where each tensor of the branch is in the first subgraph; results that nothing in the branch writes are not
    // copied but read where they are.
    let mut places: HashMap<i32, i32> = given.into_iter().zip(arguments.iter().copied()).collect();
    let inner = branch.operators.unwrap_or_default();
    let written = |id: i32| {
        inner
            .iter()
            .any(|o| o.outputs.iter().flatten().any(|&w| w == id))
    };
    for (&result, &output) in results.iter().zip(&outputs) {
        if written(result) {
            places.entry(result).or_insert(output);
        }
    }
    let tensors = main.tensors.get_or_insert_default();
    let own: Vec<Tensor> = branch.tensors.unwrap_or_default();
    for (id, tensor) in own.into_iter().enumerate() {
        places.entry(i32::try_from(id).ok()?).or_insert_with(|| {
            tensors.push(tensor);
            tensors.len() as i32 - 1
        });
    }
    places.insert(-1, -1);
    let renumber = |ids: &mut Option<Vec<i32>>| -> Option<()> {
        for id in ids.iter_mut().flatten() {
            *id = *places.get(id)?;
        }
        Some(())
    };
    let mut added = inner;
    for operator in &mut added {
        renumber(&mut operator.inputs)?;
        renumber(&mut operator.outputs)?;
        renumber(&mut operator.intermediates)?;
    }
    let pairs = results.iter().zip(&outputs);
    let aliases = pairs.map(|(result, &output)| Some((output, *places.get(result)?)));
    let aliases: HashMap<i32, i32> = aliases.collect::<Option<_>>()?;
    let follow = |id: &mut i32| *id = aliases.get(id).copied().unwrap_or(*id);
    let list = main.operators.as_mut()?;
    let readers = list.iter_mut().skip(at);
    readers
        .flat_map(|o| o.inputs.iter_mut().flatten())
        .for_each(follow);
    main.outputs.iter_mut().flatten().for_each(follow);
    list.splice(at..at, added);
    for signature in model.signature_defs.iter_mut().flatten() {
        if signature.subgraph_index == 0 {
            for output in signature.outputs.iter_mut().flatten() {
                let id = i32::try_from(output.tensor_index).ok()?;
                output.tensor_index =
                    u32::try_from(aliases.get(&id).copied().unwrap_or(id)).ok()?;
            }
        }
    }
    Some(())
}

/// Takes out all subgraphs but the first where nothing calls them any more.
fn drop_branches(model: &mut Model) {
    let calls = |o: &Operator| {
        o.builtin_options2.is_some()
            || matches!(
                o.builtin_options,
                Some(
                    BuiltinOptions::IfOptions(_)
                        | BuiltinOptions::WhileOptions(_)
                        | BuiltinOptions::CallOptions(_)
                        | BuiltinOptions::CallOnceOptions(_)
                )
            )
    };
    let called = first(model).is_some_and(|s| operators(s).iter().any(calls));
    let mut signatures = model.signature_defs.iter().flatten();
    if !called && signatures.all(|s| s.subgraph_index == 0) {
        model.subgraphs.get_or_insert_default().truncate(1);
        drop_unused(model);
    }
}
