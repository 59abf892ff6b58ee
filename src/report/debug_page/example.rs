//! Reports as runs would give them, for tests.

use crate::debug::{
    AtOutput, AtOutputs, Channel, Decisions, ErrorStats, Extremes, Flip, Health, HybridScales,
    Level, NumericsReport, OpAtOutput, OpReport, OutputReport, Part, Report, SCHEMA_VERSION, Score,
    Waterfall,
};
use crate::evaluate::Figures;
use crate::num::{Affine, DType};

/// A number in 0 … 1 from two others, always the same.
fn noise(a: usize, b: usize) -> f64 {
    let mut z = (a as u64 * 7919 + b as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn stats(i: usize, db: f64, scale: Option<f64>, channels: usize) -> ErrorStats {
    let rmse = 10f64.powf(-db / 20.0) * 1.3;
    let ratio = scale.map(|s| rmse / s);
    let width = ratio.unwrap_or(0.0).max(0.25);
    let steps = (-16..=16).map(|x: i32| {
        let z = f64::from(x) / width;
        (1e6 * (-0.5 * z * z).exp() + 40.0 * noise(i, (x + 99) as usize) / f64::from(x.abs() + 1))
            as u64
    });
    let channels = (0..channels).map(|c| {
        let part = if c % 17 == 5 {
            0.05
        } else {
            0.3 + 0.7 * noise(i, c)
        };
        Channel {
            mean_error: rmse * (noise(i, c + 70) - 0.5),
            mean_squared_error: (rmse * (0.3 + 2.0 * noise(i, c + 9).powi(4))).powi(2),
            largest_error: rmse * 4.0,
            sqnr_db: Some(db),
            min: -2.1 * part * noise(i, c + 3),
            max: 3.9 * part,
        }
    });
    ErrorStats {
        num_elements: 4096,
        stddev: rmse * 0.97,
        mean_error: rmse * 0.1,
        max_abs_error: rmse * 5.0,
        mean_squared_error: rmse * rmse,
        rmse_over_scale: ratio,
        largest_error: rmse * 9.0,
        sqnr_db: Some(db),
        cosine: Some(1.0 - 10f64.powf(-db / 10.0) / 2.0),
        equal_codes: ratio.map(|r| (0.6 / (r + 0.2)).min(1.0)),
        steps: if scale.is_some() {
            steps.collect()
        } else {
            Vec::new()
        },
        nan_samples: 0,
        channels: channels.collect(),
    }
}

/// An operator with nothing but its place.
pub(super) fn op(i: usize, reads: &[usize]) -> OpReport {
    OpReport {
        op_index: i,
        op_name: "ADD".into(),
        tensor: i,
        tensor_name: format!("t{i}"),
        reads: reads.to_vec(),
        float_tensor: i,
        shape: vec![1, 4],
        dtype: DType::F32,
        affine: None,
        scheme: "float",
        local: None,
        cumulative: stats(i, 30.0, None, 0),
        at_output: None,
        health: Vec::new(),
        codes: Vec::new(),
        at_ends: [0.0; 2],
        extremes: None,
        by_time: Vec::new(),
        by_gate: Vec::new(),
    }
}

/// A report of these operators and nothing else.
pub(super) fn report(ops: Vec<OpReport>) -> Report {
    Report {
        schema_version: SCHEMA_VERSION,
        float: "float.tflite".into(),
        quantized: "quantized.tflite".into(),
        device: "cpu".into(),
        samples: 0,
        verdict: Vec::new(),
        ops,
        outputs: Vec::new(),
        metrics: Vec::new(),
        decisions: None,
        at_output: None,
        waterfalls: Vec::new(),
        hybrid: Vec::new(),
        unmatched: Vec::new(),
        numerics: None,
    }
}

/// Operators one after the other.
pub(super) fn chain(n: usize) -> Report {
    let one = |i: usize| op(i, &[i.checked_sub(1).unwrap_or(100_000)]);
    report((0..n).map(one).collect())
}

fn full(
    i: usize,
    name: &str,
    tensor: &str,
    reads: &[usize],
    local: f64,
    cumulative: f64,
) -> OpReport {
    let scale = 0.011 + 0.02 * noise(i, 4);
    let channels = if name == "CONV_2D" || name.contains("LSTM") {
        64
    } else {
        0
    };
    let codes = (0..256).map(|c: i32| {
        let z = f64::from(c - 110) / (18.0 + 40.0 * noise(i, 8));
        let ends = if c == 255 { 900.0 } else { 0.0 };
        (2e5 * (-z.abs()).exp() + ends) as u64
    });
    let lstm = name.contains("LSTM");
    OpReport {
        op_name: name.into(),
        tensor_name: tensor.into(),
        shape: vec![1, 24, 64],
        dtype: DType::I8,
        affine: Some(Affine {
            scale: scale as f32,
            zero_point: -20,
        }),
        scheme: "int8",
        local: Some(stats(i, local, Some(scale), channels)),
        cumulative: stats(i + 50, cumulative, Some(scale), channels),
        at_output: Some(OpAtOutput {
            alone_loss: 10f64.powf(-local / 10.0) * (0.2 + noise(i, 1)),
            left_float_gain: (name != "QUANTIZE")
                .then(|| 10f64.powf(-local / 10.0) * (noise(i, 2) - 0.15)),
        }),
        codes: codes.collect(),
        at_ends: [0.0, 0.002 * noise(i, 6)],
        extremes: Some(Extremes {
            min: (-2.1, 17),
            max: (3.9 + i as f64, 1204),
            next_min: -2.0,
            next_max: 3.6 + 0.5 * i as f64,
        }),
        by_time: if lstm {
            (0..24)
                .map(|t| 1e-5 * (1.0 + f64::from(t)).powf(1.2) * (0.8 + 0.4 * noise(i, t as usize)))
                .collect()
        } else {
            Vec::new()
        },
        by_gate: if lstm {
            ["input", "forget", "cell", "output"]
                .iter()
                .enumerate()
                .map(|(g, s)| Part {
                    source: (*s).into(),
                    error: 2e-5 * noise(i, g),
                })
                .collect()
        } else {
            Vec::new()
        },
        ..op(i, reads)
    }
}

/// A recurrent network for activity recognition, with everything that a report can hold.
pub(super) fn har() -> Report {
    let lstm = "UNIDIRECTIONAL_SEQUENCE_LSTM";
    let rows: [(&str, &str, f64, f64); 12] = [
        ("QUANTIZE", "serving_default_input:0_int8", 41.2, 41.2),
        (
            "CONV_2D",
            "deep_conv_lstm/conv1/Relu;deep_conv_lstm/conv1/BiasAdd",
            36.0,
            34.9,
        ),
        (
            "CONV_2D",
            "deep_conv_lstm/conv2/Relu;deep_conv_lstm/conv2/BiasAdd",
            35.1,
            32.8,
        ),
        (
            "CONV_2D",
            "deep_conv_lstm/conv3/Relu;deep_conv_lstm/conv3/BiasAdd",
            30.2,
            29.1,
        ),
        (
            "CONV_2D",
            "deep_conv_lstm/conv4/Relu;deep_conv_lstm/conv4/BiasAdd",
            33.4,
            28.0,
        ),
        ("RESHAPE", "deep_conv_lstm/reshape/Reshape", 300.0, 28.0),
        (lstm, "deep_conv_lstm/lstm1/PartitionedCall:1", 15.8, 14.9),
        (lstm, "deep_conv_lstm/lstm2/PartitionedCall:1", 22.3, 13.2),
        ("STRIDED_SLICE", "deep_conv_lstm/strided_slice", 300.0, 13.0),
        (
            "FULLY_CONNECTED",
            "deep_conv_lstm/dense/BiasAdd",
            34.7,
            12.9,
        ),
        ("SOFTMAX", "StatefulPartitionedCall:0_int8", 27.0, 17.5),
        ("DEQUANTIZE", "StatefulPartitionedCall:0", 300.0, 17.5),
    ];
    let mut ops: Vec<OpReport> = rows
        .iter()
        .enumerate()
        .map(|(i, &(name, tensor, local, cumulative))| {
            let mut op = full(
                i,
                name,
                tensor,
                &[i.checked_sub(1).unwrap_or(40)],
                local,
                cumulative,
            );
            if local > 200.0 {
                op.local = None;
                op.at_output = None;
            }
            op
        })
        .collect();
    ops[1].at_ends = [0.0, 0.0213];
    ops[1].extremes = ops[1].extremes.map(|e| Extremes {
        max: (6.9, 1204),
        next_max: 4.6,
        ..e
    });
    ops[10].affine = Some(Affine {
        scale: 1.0 / 256.0,
        zero_point: -128,
    });
    ops[11].scheme = "float";
    ops[11].dtype = DType::F32;
    ops[11].affine = None;
    ops[11].codes.clear();
    let health = |rule, level, found: &str, remedy: &str| Health {
        rule,
        level,
        found: found.into(),
        remedy: remedy.into(),
    };
    ops[6].health = vec![
        health(
            "recurrent",
            Level::Bad,
            "The local error grows from 0.4 to 9.1 steps over 24 time steps.",
            "Leave this operator float, or quantize it as dynamic or 16x8.",
        ),
        health(
            "shared-range",
            Level::Warning,
            "3 of 64 channels use less than an eighth of the range.",
            "Scale the channels of the operator before, or use --method mse.",
        ),
    ];
    ops[2].health = vec![health("clamped", Level::Fine, "nothing is cut off", "none")];
    ops[1].health = vec![health(
        "clamped",
        Level::Warning,
        "2.1 % of the elements are at the highest code.",
        "Calibrate with more samples, or with --method minmax.",
    )];
    ops[9].health = vec![health(
        "few-codes",
        Level::Note,
        "Only 61 of 256 codes occur.",
        "One sample alone sets the maximum: look at sample 1204.",
    )];
    let score = |loss: f64, agreeing: usize, correct: usize| Score {
        loss,
        agreeing: Some(agreeing),
        correct: Some(correct),
    };
    let ask = |name: &str, nodes: Vec<usize>, alone: f64, gain: f64, work: f64| AtOutput {
        name: name.into(),
        op_indices: nodes.clone(),
        float_names: Vec::new(),
        nodes,
        work,
        alone_loss: alone,
        left_float_gain: Some(gain),
        alone: score(
            alone,
            512 - (alone * 700.0) as usize,
            468 - (alone * 400.0) as usize,
        ),
        left_float: Some(score(
            0.0177 - gain,
            498 + (gain * 600.0) as usize,
            461 + (gain * 300.0) as usize,
        )),
    };
    let mut asked: Vec<AtOutput> = ops
        .iter()
        .enumerate()
        .filter_map(|(i, op)| {
            let at = op.at_output?;
            let name = format!("{} {} '{}'", i, op.op_name, op.tensor_name);
            let scale = 0.4;
            let mut one = ask(
                &name,
                vec![i],
                at.alone_loss * scale,
                at.left_float_gain.unwrap_or(0.0) * scale,
                noise(i, 77) / 6.0,
            );
            if op.op_name == "QUANTIZE" {
                one.left_float = None;
                one.left_float_gain = None;
            }
            Some(one)
        })
        .collect();
    asked.sort_by(|a, b| b.alone_loss.total_cmp(&a.alone_loss));
    let part = |source: &str, error: f64| Part {
        source: source.into(),
        error,
    };
    let confusion = |off: u64| -> Vec<Vec<u64>> {
        (0..6)
            .map(|l| {
                (0..6)
                    .map(|c| {
                        if l == c {
                            80 + l as u64 - off
                        } else {
                            (noise(l, c) * 4.0) as u64 + if c == (l + 1) % 6 { off } else { 0 }
                        }
                    })
                    .collect()
            })
            .collect()
    };
    Report {
        float: "models/deep_conv_lstm.tflite".into(),
        quantized: "models/deep_conv_lstm_int8.tflite".into(),
        device: "CPU, 2 threads, AVX-512 VNNI".into(),
        samples: 2947,
        verdict: vec![
            "Quantization costs 1.4 points of accuracy, and UNIDIRECTIONAL_SEQUENCE_LSTM 6 alone makes 61 % of the loss.".into(),
            "Left float or quantized as dynamic, it would bring the outputs from 17.5 to 21.6 dB; the next operator, CONV_2D 3, would add 0.4 dB.".into(),
            "39 of 2 947 samples change their class; 24 of them part from the float model in the first LSTM.".into(),
        ],
        outputs: vec![OutputReport {
            name: "StatefulPartitionedCall:0".into(),
            figures: Figures {
                samples: 2947,
                elements: 2947 * 6,
                exact: false,
                max_abs_error: 0.412,
                mean_abs_error: 0.0081,
                mean_error: 1e-5,
                rmse: 0.0312,
                sqnr_db: Some(17.5),
                cosine: Some(0.99112),
                arg_max_agreeing: 2908,
                arg_max_agreement: 2908.0 / 2947.0,
            },
        }],
        metrics: vec![crate::debug::MetricReport {
            name: "f1".into(),
            float: Some(0.8383),
            quantized: Some(0.6112),
        }],
        decisions: Some(Decisions {
            output: 0,
            classes: 6,
            agreeing: 2908,
            correct: Some([2694, 2653]),
            confusion: Some([confusion(0), confusion(7)]),
            flips: (0..39)
                .map(|i| Flip {
                    sample: (noise(i, 5) * 2947.0) as usize,
                    float_class: i % 6,
                    quantized_class: (i + 1) % 6,
                    labels: vec![((i + i / 5) % 6) as i64],
                    float_margin: 0.6 * (1.0 - i as f64 / 40.0),
                    quantized_margin: 0.3 * noise(i, 3),
                    parts_at: (i % 4 != 3).then_some(6 + i % 2),
                })
                .collect(),
        }),
        at_output: Some(AtOutputs {
            samples: 512,
            models: 38,
            float: score(0.0, 512, 468),
            quantized: score(0.0177, 498, 461),
            ops: asked,
            groups: vec![
                ask("all 4 CONV_2D", vec![1, 2, 3, 4], 0.0038, 0.0021, 0.61),
                ask("all 2 UNIDIRECTIONAL_SEQUENCE_LSTM", vec![6, 7], 0.0131, 0.0126, 0.35),
                ask("the 2 worst together", vec![6, 7], 0.0131, 0.0126, 0.35),
                ask("the 3 worst together", vec![3, 6, 7], 0.0142, 0.0139, 0.51),
            ],
        }),
        waterfalls: vec![
            Waterfall { name: "the whole model".into(), op_index: None, measure: "noise-to-signal ratio of the outputs", whole: 0.0177, parts: vec![part("activations", 0.0102), part("weights", 0.0061), part("biases", 0.0004), part("tables of activations", -0.0008)], interaction: 0.0018 },
            Waterfall { name: "6 UNIDIRECTIONAL_SEQUENCE_LSTM".into(), op_index: Some(6), measure: "mean squared error of its output", whole: 4.1e-4, parts: vec![part("weights", 1.1e-4), part("input", 0.4e-4), part("hidden state", 1.9e-4), part("cell state", 0.3e-4)], interaction: 0.4e-4 },
        ],
        hybrid: vec![HybridScales { op_index: 9, op_name: "FULLY_CONNECTED".into(), tensor_name: "deep_conv_lstm/dense/BiasAdd".into(), rows: 2947, smallest: 0.0021, median: 0.0073, largest: 0.0312 }],
        unmatched: vec!["13 CUSTOM 'extra/debug_node'".into()],
        numerics: Some(NumericsReport { numerics: "LiteRT's default interpreter".into(), codes: 9_184_112, differing_codes: 10_193, samples: 2947, differing_predictions: Some(2) }),
        ..report(ops)
    }
}

/// Blocks with branches and shortcuts, without labels.
pub(super) fn large(n: usize) -> Report {
    let ops = (0..n).map(|i| {
        let (name, reads): (&str, Vec<usize>) = match i {
            0 => ("QUANTIZE", vec![9999]),
            _ if i % 7 == 0 => ("ADD", vec![i - 1, i.saturating_sub(6)]),
            _ if i % 7 == 3 && i % 3 == 0 => ("CONCATENATION", vec![i - 1, i - 2]),
            _ if i % 7 == 2 => ("DEPTHWISE_CONV_2D", vec![i - 1]),
            _ => ("CONV_2D", vec![i - 1]),
        };
        let db = 44.0 - 24.0 * noise(i, 31).powi(5) - 4.0 * noise(i, 32);
        let mut op = full(
            i,
            name,
            &format!("block{}/{}/op{i}", i / 7, name.to_lowercase()),
            &reads,
            db,
            38.0 - 22.0 * (i as f64 / n as f64) - 2.0 * noise(i, 33),
        );
        op.at_output = None;
        op
    });
    let mut r = report(ops.collect());
    r.samples = 256;
    r.verdict = vec!["The outputs are at 16.1 dB; no operator alone is to blame.".into()];
    r
}
