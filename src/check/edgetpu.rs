//! What the Edge TPU's compiler leaves to the CPU. After the first such operator everything stays there, since the compiler
//! cuts a model once.
//!
//! Read in Coral's "TensorFlow models on the Edge TPU" (coral.ai/docs/edgetpu/models-intro: requirements, table of
//! operations) as far as it could be had, and in the same table as Axis gives it for the Edge TPU of its ARTPEC-7
//! (developer.axis.com, system-on-chip/artpec-7: "Supported ops", "Optimization tips"): runtime 14. TRANSPOSE and
//! TRANSPOSE_CONV by google-coral/edgetpu issues 433 and 684. RSQRT, SQUARED_DIFFERENCE and SUM are let pass without a
//! source that could be read. The compiler has limits that are written nowhere ("not mapped due to some unspecified
//! limitation"), sizes above all.

use super::{Bound, Finding, Place};
use crate::model::BuiltinOptions as O;
use crate::model::TensorType::{Int4, Int8, Uint8};

/// Operators of the table.
#[rustfmt::skip]
const OPERATORS: [&str; 41] = [
    "ADD",
    "AVERAGE_POOL_2D",
    "CONCATENATION",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "EXPAND_DIMS",
    "FULLY_CONNECTED",
    "L2_NORMALIZATION",
    "LOGISTIC",
    "LSTM",
    "MAXIMUM",
    "MAX_POOL_2D",
    "MEAN",
    "MINIMUM",
    "MUL",
    "PACK",
    "PAD",
    "PRELU",
    "QUANTIZE",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "RESHAPE",
    "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR",
    "RSQRT",
    "SLICE",
    "SOFTMAX",
    "SPACE_TO_DEPTH",
    "SPLIT",
    "SQUARED_DIFFERENCE",
    "SQUEEZE",
    "STRIDED_SLICE",
    "SUB",
    "SUM",
    "TANH",
    "TRANSPOSE",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
];

/// Most elements of a SOFTMAX.
const SOFTMAX: i64 = 16_000;

pub(super) fn check(place: Place<'_>) -> Vec<Finding> {
    let name = place.name();
    if OPERATORS.binary_search(&name.as_str()).is_err() || place.is_custom() {
        let what = format!("{name} is not in the table of operations");
        let remedy = "it and all that follows stay on the CPU: express it by other operators";
        return vec![place.finding("operator", what, remedy)];
    }
    let mut findings = Vec::new();
    // Cell states of an LSTM are int16.
    let data = place.activations().filter(|t| !t.tensor.is_variable);
    if let Some(wide) = data.into_iter().find(|t| !t.is(Int8) && !t.is(Uint8)) {
        let what = format!("{} is {}", wide.describe(), wide.type_name());
        let remedy =
            "all tensors are 8-bit there, inputs and outputs too: quantize with --scheme int8-only";
        findings.push(place.finding("8-bit tensors", what, remedy));
    }
    if let Some(open) = place.open() {
        let what = format!("{} has the shape {:?}", open.describe(), open.dims());
        let remedy = "sizes are fixed at compile time: convert the model for one shape";
        findings.push(place.finding("dynamic shape", what, remedy));
    }
    let outer = |t: &Bound<'_>| {
        let dims = t.dims();
        dims[..dims.len().saturating_sub(3)].iter().any(|&d| d > 1)
    };
    if let Some(deep) = place.activations().find(outer) {
        let what = format!("{} has the shape {:?}", deep.describe(), deep.dims());
        let remedy = "only the three innermost dimensions may be larger than 1: a batch of 1";
        findings.push(place.finding("dimensions", what, remedy));
    }
    findings.extend(attributes(place));
    findings.extend(operands(place, &name));
    findings
}

fn attributes(place: Place<'_>) -> Option<Finding> {
    let fused = match place.operator.builtin_options.as_ref()? {
        O::Pool2DOptions(o) => o.fused_activation_function,
        O::ConcatenationOptions(o) => o.fused_activation_function,
        O::Conv2DOptions(o) => {
            return dilation(place, o.dilation_h_factor, o.dilation_w_factor);
        }
        O::DepthwiseConv2DOptions(o) => {
            return dilation(place, o.dilation_h_factor, o.dilation_w_factor);
        }
        O::FullyConnectedOptions(o) if o.weights_format != 0 => {
            let what = format!("its weights have the format {}", o.weights_format);
            return Some(place.finding("weights format", what, "only the default is taken"));
        }
        O::StridedSliceOptions(o) if o.ellipsis_mask != 0 || o.new_axis_mask != 0 => {
            let what = "it has an ellipsis or a new axis".into();
            return Some(place.finding("strided slice", what, "write it as a SLICE"));
        }
        _ => 0,
    };
    let what = format!("it has the fused activation {fused}");
    (fused != 0).then(|| place.finding("fused activation", what, "use an operator of its own"))
}

fn dilation(place: Place<'_>, h: i32, w: i32) -> Option<Finding> {
    let what = format!("the dilation is {h} × {w}");
    (h != w).then(|| place.finding("dilation", what, "it must be the same in both directions"))
}

fn operands(place: Place<'_>, name: &str) -> Option<Finding> {
    match name {
        "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED" | "TRANSPOSE_CONV" => {
            weights(place, name)
        }
        "CONCATENATION" => concatenation(place),
        "MEAN" | "REDUCE_MAX" | "REDUCE_MIN" | "SUM" => reduction(place, name),
        "PACK" => match place.operator.builtin_options.as_ref()? {
            O::PackOptions(o) if o.axis == 0 => Some(batch(place)),
            _ => None,
        },
        "SPLIT" => {
            let axis = *place.input(0)?.integers()?.first()?;
            let rank = place.input(1)?.dims().len() as i64;
            (axis == 0 || axis == -rank).then(|| batch(place))
        }
        "PAD" => {
            let paddings = place.input(1)?.integers()?;
            let first = paddings.iter().take(2).any(|&p| p != 0);
            first.then(|| batch(place))
        }
        "PRELU" => {
            let alpha = place.input(1)?;
            let (_, outer) = alpha.dims().split_last()?;
            let what = format!("{} has the shape {:?}", alpha.describe(), alpha.dims());
            let remedy =
                "alpha varies along the innermost dimension alone: shared_axes=[1, 2] in Keras";
            let several = outer.iter().any(|&d| d > 1);
            several.then(|| place.finding("alpha", what, remedy))
        }
        "RESIZE_BILINEAR" | "RESIZE_NEAREST_NEIGHBOR" => {
            let what = format!("to {:?}", place.output(0)?.dims());
            let remedy = "for some sizes the compiler leaves it to the CPU: look at its log";
            Some(place.note("resize", what, remedy))
        }
        "SOFTMAX" => {
            let input = place.input(0)?;
            let mut large = input.dims().iter().filter(|&&d| d > 1);
            let elements: i64 = large
                .clone()
                .map(|&d| i64::from(d))
                .fold(1, i64::saturating_mul);
            let what = format!("{} has the shape {:?}", input.describe(), input.dims());
            let remedy = "it takes one dimension of at most 16 000 elements";
            let wrong = large.nth(1).is_some() || elements > SOFTMAX;
            wrong.then(|| place.finding("softmax", what, remedy))
        }
        "STRIDED_SLICE" => {
            let strides = place.input(3)?.integers()?;
            let what = format!("its strides are {strides:?}");
            let wide = strides.iter().any(|&s| s != 1);
            wide.then(|| place.finding("strided slice", what, "only strides of 1 are taken"))
        }
        _ => None,
    }
}

fn weights(place: Place<'_>, name: &str) -> Option<Finding> {
    let bias = if name == "TRANSPOSE_CONV" { 3 } else { 2 };
    let parameters = [1, bias].into_iter().filter_map(|i| place.input(i));
    if let Some(computed) = parameters.into_iter().find(|t| !t.is_constant()) {
        let what = format!("{} is computed", computed.describe());
        let remedy = "weights and biases are constants there";
        return Some(place.finding("constant parameters", what, remedy));
    }
    if let Some(packed) = place.input(1).filter(|t| t.is(Int4)) {
        let what = format!("{} is int4", packed.describe());
        return Some(place.finding("8-bit tensors", what, "quantize the weights to int8"));
    }
    let output = place.output(0).filter(|_| name == "FULLY_CONNECTED")?;
    let what = format!("{} has the shape {:?}", output.describe(), output.dims());
    let several = output.dims().iter().filter(|&&d| d > 1).count() > 1;
    several.then(|| {
        place.finding(
            "dense output",
            what,
            "its output has one dimension: use CONV_2D",
        )
    })
}

fn concatenation(place: Place<'_>) -> Option<Finding> {
    let constant = place.inputs().find(|t| t.is_constant())?;
    let (_, zero_point) = constant.affine().unwrap_or((1.0, 0));
    // int8 or uint8, as the bits have it.
    let zero = zero_point.to_le_bytes()[0];
    let zeros = constant.data()?.iter().all(|&b| b == zero);
    let pair = place.inputs().count() == 2;
    let what = format!("{} is a constant", constant.describe());
    let remedy = "a constant may only be zeros, and one of two operands: a padding";
    (!zeros || !pair).then(|| place.finding("concatenated constant", what, remedy))
}

fn reduction(place: Place<'_>, name: &str) -> Option<Finding> {
    let data = place.input(0)?;
    let rank = data.dims().len() as i64;
    let axes = place.input(1)?.integers()?;
    let axes: Vec<i64> = axes
        .iter()
        .map(|&a| if a < 0 { a + rank } else { a })
        .collect();
    if axes.contains(&0) && rank > 1 {
        return Some(batch(place));
    }
    let depth = i64::from(*data.dims().last()?);
    let uneven = name == "MEAN" && axes.contains(&(rank - 1)) && depth % 4 != 0;
    let what = format!("{} has {depth} channels", data.describe());
    let remedy = "a mean over channels takes a multiple of four";
    uneven.then(|| place.finding("mean over channels", what, remedy))
}

fn batch(place: Place<'_>) -> Finding {
    let what = "it works along the batch, dimension 0".into();
    place.finding("batch", what, "leave the batch dimension as it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(OPERATORS.is_sorted());
    }
}
