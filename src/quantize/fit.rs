//! Whether a plan can be carried out on a graph: it may come from a file, and a hand may have been in it.

use super::Error;
use super::plan::Plan;
use crate::graph::{Graph, TensorId};
use crate::num::{Affine, DType};

/// No operator of LiteRT has so many versions.
const MOST_VERSIONS: i32 = 32;

/// Refuses a plan of another graph, and parameters that mean nothing.
pub(super) fn check(graph: &Graph, plan: &Plan) -> Result<(), Error> {
    let error = |what: String| Err(Error::model(graph, what));
    let same = |(o, n): (&super::OperatorPlan, &crate::graph::Node)| {
        o.index == n.index && o.name == n.op.name()
    };
    let operators = plan.operators.iter();
    if plan.operators.len() != graph.nodes.len() || !operators.zip(&graph.nodes).all(same) {
        return error("the plan was made for another model".into());
    }
    for operator in &plan.operators {
        if !(1..=MOST_VERSIONS).contains(&operator.version) {
            return error(format!(
                "the plan gives operator {} {} the version {}",
                operator.index, operator.name, operator.version
            ));
        }
    }
    for activation in &plan.activations {
        let tensor = graph.tensors.get(activation.tensor);
        if !tensor.is_some_and(|t| t.dtype == DType::F32 && t.constant.is_none()) {
            return error(format!(
                "the plan has parameters for tensor {}, which is no float activation",
                activation.tensor
            ));
        }
        affine(
            graph,
            activation.tensor,
            activation.dtype,
            activation.affine,
        )?;
    }
    for added in &plan.tensors {
        if let Some(parameters) = added.affine {
            affine(graph, added.tensor, added.dtype, parameters)?;
        }
    }
    for outside in &plan.surface {
        affine(graph, outside.tensor, outside.dtype, outside.affine)?;
    }
    for constant in &plan.constants {
        for &scale in &constant.scales {
            let zero_point = constant.zero_point;
            let dtype = constant.role.dtype();
            affine(graph, constant.tensor, dtype, Affine { scale, zero_point })?;
        }
    }
    for layer in &plan.intermediates {
        affine(graph, layer.first, DType::I8, layer.hidden)?;
        if layer.first > i32::MAX as usize - layer.names.len() {
            return error(format!("the plan has a tensor {}", layer.first));
        }
    }
    Ok(())
}

/// Refuses parameters that no kernel can take.
fn affine(graph: &Graph, id: TensorId, dtype: DType, affine: Affine) -> Result<(), Error> {
    let zero_points = match dtype {
        DType::I8 => -128..=127,
        DType::U8 => 0..=255,
        // Symmetric.
        _ => 0..=0,
    };
    if affine.scale.is_normal() && affine.scale > 0.0 && zero_points.contains(&affine.zero_point) {
        return Ok(());
    }
    Err(Error::model(
        graph,
        format!(
            "the plan gives tensor {id} of {dtype} the scale {} and the zero point {}",
            affine.scale, affine.zero_point
        ),
    ))
}
