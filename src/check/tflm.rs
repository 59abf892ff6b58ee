//! What TensorFlow Lite Micro refuses when it prepares a model, beyond the specification.

use super::{Finding, Place};
use crate::model::TensorType;

pub(super) fn check(place: Place<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let products = [
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "FULLY_CONNECTED",
        "TRANSPOSE_CONV",
        "SVDF",
    ];
    let name = place.name();
    let float = place
        .inputs()
        .any(|t| t.is(TensorType::Float32) && !t.is_constant());
    let weights = place
        .input(1)
        .filter(|t| t.is(TensorType::Int8) && t.is_constant());
    if let Some(weights) = weights.filter(|_| float && products.contains(&name.as_str())) {
        let what = format!("{} is int8 behind a float input", weights.describe());
        let remedy =
            "hybrid (dynamic range) kernels do not exist there: quantize activations as well";
        findings.push(place.finding("hybrid", what, remedy));
    }
    let half = place.inputs().find(|t| t.is(TensorType::Float16));
    if let Some(half) = half {
        let what = format!("{} is float16", half.describe());
        findings.push(place.finding(
            "float16",
            what,
            "there is no float16: keep float32, or quantize to int8",
        ));
    }
    let open = place.inputs().chain(place.outputs()).find(|t| {
        let mut dims = t.tensor.shape.iter().flatten();
        dims.any(|&d| d < 0)
    });
    if let Some(open) = open {
        let what = format!("{} has the shape {:?}", open.describe(), open.tensor.shape);
        let remedy = "shapes are fixed there: convert the model for one shape";
        findings.push(place.finding("dynamic shape", what, remedy));
    }
    if name == "FULLY_CONNECTED"
        && let Some(weights) = weights.filter(|t| t.scales().len() > 1)
    {
        let what = format!(
            "{} has {} scales",
            weights.describe(),
            weights.scales().len()
        );
        let remedy = "releases before September 2024 refuse it, or compute it wrongly: update";
        findings.push(place.finding("per-channel FULLY_CONNECTED", what, remedy));
    }
    findings
}
