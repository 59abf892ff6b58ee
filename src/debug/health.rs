//! Rules about the integers of an operator: what its parameters and constants allow, and what the data made of them.
//!
//! Every rule that applies to an operator gives a verdict, also a good one, with the figure it rests on.

use super::errors::Row;
use super::report::{Health, Level};
use crate::graph::{Graph, Node, Op, TensorId};
use crate::num::{DType, Values};

/// Shares of clamped values from which on they are worth a warning, and are bad.
const CLAMPED: [f64; 2] = [1e-3, 2e-2];
/// Codes that hold 99 % of the values: fewer is a warning, far fewer is bad.
const CODES: [usize; 2] = [32, 8];
/// Steps that a channel's own range has: fewer is a warning.
const CHANNEL_STEPS: f64 = 16.0;
/// How many times the widest of several inputs with one scale may be as wide as the narrowest.
const RANGES: f64 = 16.0;

/// The verdicts about what computes a tensor.
pub(super) fn health(graph: &Graph, node: &Node, row: &Row) -> Vec<Health> {
    let mut all = Vec::new();
    if matches!(row.dtype, DType::I8 | DType::I16) {
        all.extend(clamped(row));
        all.extend(zero_point(row));
        all.extend(codes(node, row));
        all.extend(channels(row));
    }
    all.extend(products(graph, node, row));
    all.extend(operands(graph, node));
    all
}

fn level(is_bad: bool, is_warning: bool) -> Level {
    match (is_bad, is_warning) {
        (true, _) => Level::Bad,
        (_, true) => Level::Warning,
        _ => Level::Fine,
    }
}

fn bounds(dtype: DType) -> [i32; 2] {
    match dtype {
        DType::I16 => [-32768, 32767],
        _ => [-128, 127],
    }
}

/// Values cut off at an end that the float tensor goes beyond.
fn clamped(row: &Row) -> Option<Health> {
    let affine = row.affine?;
    let extremes = row.extremes?;
    let real =
        bounds(row.dtype).map(|q| f64::from(affine.scale) * f64::from(q - affine.zero_point));
    let half = 0.5 * f64::from(affine.scale);
    let beyond = [
        extremes.min.0 < real[0] - half,
        extremes.max.0 > real[1] + half,
    ];
    let share = |i: usize| match beyond[i] {
        true => row.at_ends[i] as f64 / row.elements.max(1) as f64,
        false => 0.0,
    };
    let shares = [share(0), share(1)];
    let worst = shares[0].max(shares[1]);
    Some(Health {
        rule: "clamped",
        level: level(worst > CLAMPED[1], worst > CLAMPED[0]),
        found: match beyond {
            [false, false] => format!(
                "nothing is cut off: the float values {:.4} … {:.4} fit {:.4} … {:.4}",
                extremes.min.0, extremes.max.0, real[0], real[1]
            ),
            _ => format!(
                "{:.3} % of the values at the lowest code and {:.3} % at the highest; the float values reach {:.4} … {:.4}, \
                 the codes {:.4} … {:.4}",
                100.0 * shares[0],
                100.0 * shares[1],
                extremes.min.0,
                extremes.max.0,
                real[0],
                real[1]
            ),
        },
        remedy: "if leaving the operator float helps, keep a wider range: more calibration data like these samples, or \
                 --method minmax for this tensor; else it is cut off for good reason"
            .into(),
    })
}

/// How far the float values go beyond the codes by less than a step: that is the rounding of the zero point.
fn zero_point(row: &Row) -> Option<Health> {
    let affine = row.affine?;
    let extremes = row.extremes?;
    let scale = f64::from(affine.scale);
    let [low, high] = bounds(row.dtype).map(|q| scale * f64::from(q - affine.zero_point));
    let beyond = [low - extremes.min.0, extremes.max.0 - high].map(|x| x / scale);
    let shift = beyond
        .into_iter()
        .filter(|&x| x > 0.0 && x < 1.0)
        .fold(0.0, f64::max);
    (row.dtype == DType::I8).then(|| Health {
        rule: "zero-point",
        level: match shift > 0.5 {
            true => Level::Note,
            false => Level::Fine,
        },
        found: match shift > 0.0 {
            true => format!("values reach {shift:.2} of a step beyond the codes; rounding the zero point may take half of one"),
            false => "no value lies beyond the codes by less than a step".into(),
        },
        remedy: "a range whose ends are whole steps from 0 is not moved; it matters only where there are few steps".into(),
    })
}

/// Codes that most values share.
fn codes(node: &Node, row: &Row) -> Option<Health> {
    // Whose parameters the specification fixes cannot use all codes.
    let fixed = matches!(
        node.op,
        Op::Softmax { .. } | Op::LogSoftmax | Op::L2Normalization
    );
    let total: u64 = row.codes.iter().sum();
    if fixed || total == 0 {
        return None;
    }
    let used = row.codes.iter().filter(|&&n| n > 0).count();
    let mut counts = row.codes.clone();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let mut sum = 0;
    let most = counts.iter().position(|&n| {
        sum += n;
        sum as f64 >= 0.99 * total as f64
    });
    let most = most.map_or(counts.len(), |i| i + 1);
    Some(Health {
        rule: "codes",
        level: level(most < CODES[1], most < CODES[0]),
        found: format!("{used} of 256 codes are used; {most} of them hold 99 % of the values"),
        remedy: "a few large values set the scale of all others: narrow the range (--method auto or percentile), or give the \
                 operator 16-bit activations (--skip-op or --skip-node with --skip-scheme int16x8)"
            .into(),
    })
}

/// Channels whose own range is a small part of the range they share.
fn channels(row: &Row) -> Option<Health> {
    let scale = f64::from(row.affine?.scale);
    let of = &row.cumulative.channels;
    let steps: Vec<f64> = of
        .iter()
        .map(|c| (c.max.max(0.0) - c.min.min(0.0)) / scale)
        .collect();
    // A channel without values needs no codes.
    let alive = steps.iter().filter(|&&s| s > 0.0);
    let least = alive.clone().copied().fold(f64::INFINITY, f64::min);
    let few = alive.filter(|&&s| s < CHANNEL_STEPS).count();
    let most = steps.iter().copied().fold(0.0, f64::max);
    (of.len() > 1 && least.is_finite()).then(|| Health {
        rule: "channels",
        level: level(2 * few > of.len(), 4 * few > of.len()),
        found: match few {
            0 => format!("all {} channels have {least:.0} steps or more", of.len()),
            _ => format!(
                "{few} of {} channels have fewer than {CHANNEL_STEPS} steps of the scale they share ({least:.1} to {most:.0})",
                of.len()
            ),
        },
        remedy: "channels of so different sizes need scales of their own: bring them to one size before the model (or by its \
                 weights), or give the operators around it 16-bit activations"
            .into(),
    })
}

/// Sums, biases and multipliers of an operator with weights.
fn products(graph: &Graph, node: &Node, row: &Row) -> Vec<Health> {
    let weighted = match node.op {
        Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::FullyConnected { .. } => [0, 1, 2],
        Op::TransposeConv(_) => [2, 1, 3],
        _ => return Vec::new(),
    };
    let tensor = |i: usize| Some(&graph.tensors[node.inputs.get(i).copied().flatten()?]);
    let (Some(x), Some(w)) = (tensor(weighted[0]), tensor(weighted[1])) else {
        return Vec::new();
    };
    let y = &graph.tensors[node.outputs[0]];
    let (Some(xa), Some(ya), Some(Values::I8(weights))) = (x.affine(), y.affine(), &w.constant)
    else {
        return Vec::new();
    };
    let (Some(q), true) = (&w.quantization, matches!(x.dtype, DType::I8 | DType::I16)) else {
        return Vec::new();
    };
    let axis = if matches!(node.op, Op::DepthwiseConv2d(_)) {
        3
    } else {
        0
    };
    let channels = w.shape.get(axis).copied().unwrap_or(1).max(1);
    let inner: usize = w.shape.iter().skip(axis + 1).product::<usize>().max(1);
    let mut magnitudes = vec![0i64; channels];
    for (i, &w) in weights.iter().enumerate() {
        magnitudes[i / inner % channels] += i64::from(w).abs();
    }
    let bias = |c: usize| match tensor(weighted[2]).and_then(|t| t.constant.as_ref()) {
        Some(Values::I32(b)) => b.get(c).map_or(0, |&b| i64::from(b)),
        Some(Values::I64(b)) => b.get(c).copied().unwrap_or(0),
        _ => 0,
    };
    let [low, high] = bounds(x.dtype).map(i64::from);
    let zero = i64::from(xa.zero_point);
    let reach = (zero - low).max(high - zero);
    let peak = (0..channels).map(|c| {
        magnitudes[c]
            .saturating_mul(reach)
            .saturating_add(bias(c).abs())
    });
    let peak = peak.max().unwrap_or(0) as f64;
    let wide = x.dtype == DType::I16;
    let limit = if wide { 2f64.powi(63) } else { 2f64.powi(31) };
    let largest = (0..channels)
        .map(|c| bias(c).unsigned_abs())
        .max()
        .unwrap_or(0) as f64;
    let scale = |c: usize| f64::from(q.scales.get(c).or(q.scales.first()).copied().unwrap_or(1.0));
    // What the data made of them, at least: the float results in steps of the sums. An activation may have cut them off.
    let of_channels = row
        .local
        .stats()
        .map(|l| l.channels.as_slice())
        .unwrap_or_default();
    let seen = of_channels
        .iter()
        .enumerate()
        .map(|(c, of)| of.max.abs().max(of.min.abs()) / (f64::from(xa.scale) * scale(c)));
    let seen = seen.filter(|x| x.is_finite()).fold(0.0, f64::max);
    let multipliers = (0..channels).map(|c| f64::from(xa.scale) * scale(c) / f64::from(ya.scale));
    let smallest = multipliers.clone().fold(f64::INFINITY, f64::min);
    let greatest = multipliers.fold(0.0, f64::max);
    // A bias that is far larger than its channel's products leaves these no codes.
    vec![
        Health {
            rule: "accumulator",
            level: level(peak >= limit, peak >= limit / 2.0),
            found: format!(
                "sums reach 2^{:.1} in this data and stay below {peak:.3e} whatever the input: 2^{:.1} of 2^{}{}",
                seen.max(1.0).log2(),
                peak.max(1.0).log2(),
                if wide { 63 } else { 31 },
                if peak < 2f64.powi(24) { ", exact in float32 too" } else { "" }
            ),
            remedy: "a larger scale of the weights (--per-tensor-weights), or the operator in float".into(),
        },
        Health {
            rule: "bias",
            level: level(largest >= 2f64.powi(31) - 1.0, largest >= 2f64.powi(30)),
            found: format!("the largest bias is 2^{:.1} of 2^31", largest.max(1.0).log2()),
            remedy: "its scale is that of input times weights: a channel of tiny weights with a large bias needs a larger scale"
                .into(),
        },
        Health {
            rule: "multiplier",
            level: level(greatest >= 2f64.powi(30) || smallest < 2f64.powi(-31), greatest >= 1.0),
            found: format!("sums are multiplied by {smallest:.3e} to {greatest:.3e}"),
            remedy: "from 1 on, a step of the output is finer than its sums, and some kernels refuse it; below 2^-31 a channel \
                     is 0: look at the range of the output"
                .into(),
        },
    ]
}

/// Several inputs of one operator, whose sizes differ.
fn operands(graph: &Graph, node: &Node) -> Option<Health> {
    if !matches!(
        node.op,
        Op::Binary(..) | Op::Move(crate::graph::Move::Concatenation(_))
    ) {
        return None;
    }
    let is_integer = |id: &TensorId| matches!(graph.tensors[*id].dtype, DType::I8 | DType::I16);
    let inputs = node.inputs.iter().flatten().copied();
    let inputs: Vec<TensorId> = inputs
        .filter(|id| is_integer(id) && graph.is_activation(*id))
        .collect();
    let scales = inputs
        .iter()
        .filter_map(|&id| Some(f64::from(graph.tensors[id].affine()?.scale)));
    let widest = scales.clone().fold(0.0, f64::max);
    let narrowest = scales.fold(f64::INFINITY, f64::min);
    (inputs.len() > 1).then(|| Health {
        rule: "operands",
        level: level(widest / narrowest > 16.0 * RANGES, widest / narrowest > RANGES),
        found: format!("scales of its inputs: {narrowest:.3e} to {widest:.3e}, {:.1} times", widest / narrowest),
        remedy: "what the narrow input adds is lost in a step of the wide one: check whether the wide one's range is that of a \
                 few values, or give the operator 16-bit activations"
            .into(),
    })
}
