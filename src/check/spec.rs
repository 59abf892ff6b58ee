//! The 8-bit quantization specification, operator by operator.

use super::{Bound, Finding, Place};
use crate::model::TensorType;

/// Places of data, weights and bias, and the dimension of the weights along which scales may run.
struct Weighted {
    data: usize,
    weights: usize,
    bias: usize,
    axis: i32,
}

const fn weighted(data: usize, weights: usize, bias: usize, axis: i32) -> Weighted {
    Weighted {
        data,
        weights,
        bias,
        axis,
    }
}

/// What the specification says of an operator.
enum Rule {
    Weighted(Weighted),
    /// Scale and zero point of the output.
    Fixed(f32, i64),
    /// All int8 inputs from this place on and all outputs have the same parameters.
    Same(usize),
    /// Nothing beyond what holds for every operator.
    Free,
}

fn rule(name: &str) -> Rule {
    match name {
        "CONV_2D" => Rule::Weighted(weighted(0, 1, 2, 0)),
        "DEPTHWISE_CONV_2D" => Rule::Weighted(weighted(0, 1, 2, 3)),
        "FULLY_CONNECTED" => Rule::Weighted(weighted(0, 1, 2, 0)),
        "TRANSPOSE_CONV" => Rule::Weighted(weighted(2, 1, 3, 0)),
        "LOGISTIC" | "SOFTMAX" => Rule::Fixed(1.0 / 256.0, -128),
        "TANH" | "L2_NORMALIZATION" => Rule::Fixed(1.0 / 128.0, 0),
        "LOG_SOFTMAX" => Rule::Fixed(16.0 / 256.0, 127),
        "AVERAGE_POOL_2D"
        | "BATCH_TO_SPACE_ND"
        | "CONCATENATION"
        | "DEPTH_TO_SPACE"
        | "EXPAND_DIMS"
        | "GATHER"
        | "GATHER_ND"
        | "MAXIMUM"
        | "MAX_POOL_2D"
        | "MINIMUM"
        | "MIRROR_PAD"
        | "PACK"
        | "PAD"
        | "PADV2"
        | "REDUCE_MAX"
        | "REDUCE_MIN"
        | "RESHAPE"
        | "RESIZE_BILINEAR"
        | "RESIZE_NEAREST_NEIGHBOR"
        | "REVERSE_V2"
        | "SLICE"
        | "SPACE_TO_BATCH_ND"
        | "SPACE_TO_DEPTH"
        | "SPLIT"
        | "SPLIT_V"
        | "SQUEEZE"
        | "STRIDED_SLICE"
        | "TILE"
        | "TRANSPOSE"
        | "UNPACK" => Rule::Same(0),
        "SELECT" | "SELECT_V2" => Rule::Same(1),
        _ => Rule::Free,
    }
}

pub(super) fn check(place: Place<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let weights = match rule(&place.name()) {
        Rule::Weighted(w) => place.input(w.weights).map(|t| t.id),
        _ => None,
    };
    for tensor in place.inputs().chain(place.outputs()) {
        if Some(tensor.id) != weights {
            findings.extend(activation(place, tensor));
        }
    }
    match rule(&place.name()) {
        Rule::Weighted(w) => findings.extend(products(place, &w)),
        Rule::Fixed(scale, zero_point) => findings.extend(fixed(place, scale, zero_point)),
        Rule::Same(from) => findings.extend(same(place, from)),
        Rule::Free => {}
    }
    findings
}

fn activation(place: Place<'_>, t: Bound<'_>) -> Option<Finding> {
    if t.is(TensorType::Int8) && t.quantization().is_none() {
        let what = format!("{} is int8 without a scale", t.describe());
        return Some(place.finding("scale", what, "quantize the float model again"));
    }
    if t.is(TensorType::Int8) && t.affine().is_none() {
        let what = format!("{} has {} scales", t.describe(), t.scales().len());
        let remedy = "activations have one scale and one zero point a tensor";
        return Some(place.finding("per-tensor activations", what, remedy));
    }
    let (_, zero_point) = t.affine()?;
    let outside = t.is(TensorType::Int8) && !(-128..=127).contains(&zero_point);
    let shifted = t.is(TensorType::Int16) && zero_point != 0;
    if outside || shifted {
        let what = format!("{} has the zero point {zero_point}", t.describe());
        let remedy = "int8 zero points lie in [-128, 127], those of int16 are 0";
        return Some(place.finding("zero point", what, remedy));
    }
    None
}

/// Whether two scales are the same but for rounding.
fn close(a: f32, b: f32) -> bool {
    (a - b).abs() <= 1e-4 * a.abs().max(b.abs())
}

fn products(place: Place<'_>, w: &Weighted) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (Some(data), Some(weights)) = (place.input(w.data), place.input(w.weights)) else {
        return findings;
    };
    let integer = data.is(TensorType::Int8) || data.is(TensorType::Int16);
    if !integer || !weights.is(TensorType::Int8) {
        return findings;
    }
    if weights.zero_points().iter().any(|&z| z != 0) {
        let what = format!("{} has a zero point other than 0", weights.describe());
        findings.push(place.finding(
            "symmetric weights",
            what,
            "quantize the weights symmetrically",
        ));
    }
    if weights.data().is_some_and(|data| data.contains(&0x80)) {
        let what = format!("{} contains -128", weights.describe());
        findings.push(place.finding(
            "weights in [-127, 127]",
            what,
            "quantize the weights to the narrow range",
        ));
    }
    let axis = weights.quantization().map_or(0, |q| q.quantized_dimension);
    if weights.scales().len() > 1 && axis != w.axis {
        let what = format!("{} has scales along dimension {axis}", weights.describe());
        findings.push(place.finding(
            "output channels",
            what,
            "scales run along the output channels",
        ));
    }
    let Some(bias) = place.input(w.bias) else {
        return findings;
    };
    if data.is(TensorType::Int8) && !bias.is(TensorType::Int32) {
        let what = format!("{} is not int32", bias.describe());
        findings.push(place.finding("bias", what, "the bias of an int8 operator is int32"));
        return findings;
    }
    if bias.zero_points().iter().any(|&z| z != 0) {
        let what = format!("{} has a zero point other than 0", bias.describe());
        findings.push(place.finding("bias", what, "the zero point of a bias is 0"));
    }
    let (Some((input, _)), scales, factors) = (data.affine(), bias.scales(), weights.scales())
    else {
        return findings;
    };
    let expected = |c: usize| factors.get(c).or(factors.first()).map(|f| input * f);
    let wrong = scales.iter().enumerate().find_map(|(c, &scale)| {
        expected(c)
            .filter(|&e| !close(scale, e))
            .map(|e| (c, scale, e))
    });
    if let Some((c, scale, expected)) = wrong {
        let what = format!(
            "{} has the scale {scale:e} in channel {c}, not input · weights = {expected:e}",
            bias.describe()
        );
        findings.push(place.finding(
            "bias",
            what,
            "quantize the bias by input scale · weight scale",
        ));
    }
    findings
}

fn fixed(place: Place<'_>, scale: f32, zero_point: i64) -> Option<Finding> {
    let output = place.output(0).filter(|t| t.is(TensorType::Int8))?;
    let (s, z) = output.affine()?;
    if z == zero_point && close(s, scale) {
        return None;
    }
    let what = format!(
        "{} has scale {s:e} and zero point {z}, not {scale:e} and {zero_point}",
        output.describe()
    );
    Some(place.finding(
        "fixed output",
        what,
        "the specification fixes this output's parameters",
    ))
}

fn same(place: Place<'_>, from: usize) -> Option<Finding> {
    let output = place.output(0).filter(|t| t.is(TensorType::Int8))?;
    let (scale, zero_point) = output.affine()?;
    let inputs = place.inputs().skip(from).chain(place.outputs());
    // Constants are held to it as well: kernels read them with the output's parameters.
    let other = inputs.filter(|t| t.is(TensorType::Int8)).find(|t| {
        t.affine()
            .is_some_and(|(s, z)| z != zero_point || !close(s, scale))
    })?;
    let (s, z) = other.affine()?;
    let what = format!(
        "{} has scale {s:e} and zero point {z}, {} scale {scale:e} and zero point {zero_point}",
        other.describe(),
        output.describe()
    );
    Some(place.finding("same parameters", what, "put a QUANTIZE between them"))
}
