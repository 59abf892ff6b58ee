//! Where the errors of a quantized model come from: sources, gates of LSTMs, and scales that rows get at run time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use support::{Random, devices, shared};
use zeropoint::cpu::Cpu;
use zeropoint::data::{DataSet, NpzWriter, Options};
use zeropoint::debug::{
    self, Findings, LOSS, LOSS_ALONE, Matching, Part, SOURCES, SQUARED_ERROR, Task, Waterfall,
    gates, hybrid_scales, matching, waterfall, waterfall_cost,
};
use zeropoint::graph::{Activation, Graph, Node, Op, Quantization, Tensor};
use zeropoint::kernel::{Device, Feed};
use zeropoint::num::{DType, Values};
use zeropoint::{model, simplify, stream};

const DEPTH: usize = 16;
const UNITS: usize = 8;
const SAMPLES: usize = 512;
/// Powers of two, so that constants can be exact.
const INPUT: (f32, i32) = (1.0 / 64.0, -3);
const WEIGHT: f32 = 1.0 / 128.0;

fn tensor(name: &str, shape: &[usize], dtype: DType, scale: Option<(f32, i32)>) -> Tensor {
    Tensor {
        name: name.into(),
        shape: shape.to_vec(),
        dtype,
        quantization: scale.map(|(scale, zero_point)| Quantization {
            scales: vec![scale],
            zero_points: vec![zero_point],
            axis: 0,
        }),
        constant: None,
        variable: false,
    }
}

fn constant(mut tensor: Tensor, values: Values) -> Tensor {
    tensor.constant = Some(values);
    tensor
}

fn node(index: usize, op: Op, inputs: &[usize], output: usize) -> Node {
    Node {
        index,
        op,
        inputs: inputs.iter().map(|&id| Some(id)).collect(),
        outputs: vec![output],
        intermediates: Vec::new(),
    }
}

fn dense() -> Op {
    Op::FullyConnected {
        activation: Activation::None,
        asymmetric: true,
    }
}

fn graph(file: &str, tensors: Vec<Tensor>, nodes: Vec<Node>) -> Graph {
    Graph {
        file: file.into(),
        outputs: nodes.last().unwrap().outputs.clone(),
        tensors,
        nodes,
        inputs: vec![0],
    }
}

/// A FULLY_CONNECTED, how far its constants are from whole steps, and its output's scale.
struct Small {
    weights: Vec<f32>,
    bias: Vec<f32>,
    output: (f32, i32),
}

impl Small {
    /// Constants are whole steps and `off` of a step.
    fn new(off: [f32; 2], output: (f32, i32)) -> Small {
        let mut random = Random(7);
        let mut steps = |n: usize, most: usize, scale: f32, off: f32| -> Vec<f32> {
            let step = |_| (random.below(2 * most) as f32 - most as f32 + off) * scale;
            (0..n).map(step).collect()
        };
        Small {
            weights: steps(UNITS * DEPTH, 100, WEIGHT, off[0]),
            bias: steps(UNITS, 5000, WEIGHT * INPUT.0, off[1]),
            output,
        }
    }

    fn float(&self) -> Graph {
        let float = |name: &str, shape: &[usize]| tensor(name, shape, DType::F32, None);
        let tensors = vec![
            float("in", &[1, DEPTH]),
            constant(
                float("w", &[UNITS, DEPTH]),
                Values::F32(self.weights.clone()),
            ),
            constant(float("b", &[UNITS]), Values::F32(self.bias.clone())),
            float("out", &[1, UNITS]),
        ];
        graph(
            "float.tflite",
            tensors,
            vec![node(0, dense(), &[0, 1, 2], 3)],
        )
    }

    fn codes(values: &[f32], scale: f32) -> impl Iterator<Item = i32> {
        values.iter().map(move |x| (x / scale).round() as i32)
    }

    fn quantized(&self) -> Graph {
        let weights = Self::codes(&self.weights, WEIGHT).map(|q| q as i8);
        let bias = Self::codes(&self.bias, WEIGHT * INPUT.0);
        let tensors = vec![
            tensor("in", &[1, DEPTH], DType::F32, None),
            tensor("in_int8", &[1, DEPTH], DType::I8, Some(INPUT)),
            constant(
                tensor("w", &[UNITS, DEPTH], DType::I8, Some((WEIGHT, 0))),
                Values::I8(weights.collect()),
            ),
            constant(
                tensor("b", &[UNITS], DType::I32, Some((WEIGHT * INPUT.0, 0))),
                Values::I32(bias.collect()),
            ),
            tensor("out_int8", &[1, UNITS], DType::I8, Some(self.output)),
            tensor("out", &[1, UNITS], DType::F32, None),
        ];
        let nodes = vec![
            node(0, Op::Quantize, &[0], 1),
            node(1, dense(), &[1, 2, 3], 4),
            node(2, Op::Dequantize, &[4], 5),
        ];
        graph("int8.tflite", tensors, nodes)
    }

    /// Weights of int8 alone.
    fn dynamic(&self) -> Graph {
        let mut graph = self.float();
        let weights = Self::codes(&self.weights, WEIGHT).map(|q| q as i8);
        graph.tensors[1] = constant(
            tensor("w", &[UNITS, DEPTH], DType::I8, Some((WEIGHT, 0))),
            Values::I8(weights.collect()),
        );
        graph
    }
}

/// Random inputs of −1.9 … 1.9, or whole steps of the input's scale.
fn inputs(whole: bool) -> Vec<f32> {
    let mut random = Random(11);
    let step = |_| {
        let x = random.below(240_000) as f32 / 1000.0 - 120.0;
        INPUT.0 * if whole { x.round() } else { x }
    };
    (0..SAMPLES * DEPTH).map(step).collect()
}

fn written(folder: &Path, values: &[f32]) -> PathBuf {
    let path = folder.join("in.npz");
    let mut writer = NpzWriter::create(&path).unwrap();
    let values = Values::F32(values.to_vec());
    writer.append("in", &[1, DEPTH], &values).unwrap();
    writer.finish().unwrap();
    path
}

/// A pair of models with what is asked of both.
struct Case {
    float: Graph,
    quantized: Graph,
    matching: Matching,
    feeds: [Vec<Feed>; 2],
    data: DataSet,
}

impl Case {
    fn new(float: Graph, quantized: Graph, data: &Path, limit: Option<usize>) -> Case {
        let options = Options {
            limit,
            ..Options::default()
        };
        let (data_set, float_feeds) = stream::open(data, &float, &options).unwrap();
        let (_, feeds) = stream::open(data, &quantized, &options).unwrap();
        Case {
            matching: matching(&float, &quantized).unwrap(),
            float,
            quantized,
            feeds: [float_feeds, feeds],
            data: data_set,
        }
    }

    fn ask<T>(
        &mut self,
        device: &dyn Device,
        ask: impl FnOnce(Task<'_>, &Matching, &mut DataSet) -> T,
    ) -> T {
        let task = Task {
            float: &self.float,
            quantized: &self.quantized,
            float_feeds: &self.feeds[0],
            feeds: &self.feeds[1],
            device,
            batch: None,
        };
        ask(task, &self.matching, &mut self.data)
    }

    fn waterfalls(&mut self, device: &dyn Device, n: usize, chosen: &[usize]) -> Vec<Waterfall> {
        self.ask(device, |task, matching, data| {
            let mut models = 0;
            let found =
                waterfall(task, matching, data, n, chosen, || models += 1).expect("it can be run");
            assert_eq!(models, waterfall_cost(task, n, chosen.len()).models);
            found.iter().for_each(adds_up);
            assert_eq!((found[0].measure, found[1].measure), (LOSS, LOSS_ALONE));
            assert_eq!(found.len(), 2 + chosen.len());
            found
        })
    }
}

/// Parts and interaction are the whole, in the order of the sources.
fn adds_up(w: &Waterfall) {
    let parts: f64 = w.parts.iter().map(|p| p.error).sum();
    assert!(
        (parts + w.interaction - w.whole).abs() <= 1e-12 * w.whole.abs().max(1e-30),
        "{w:?}"
    );
    let sources: Vec<&str> = w.parts.iter().map(|p| p.source.as_str()).collect();
    assert_eq!(sources, SOURCES);
}

fn errors_of(w: &Waterfall) -> [f64; 6] {
    let errors: Vec<f64> = w.parts.iter().map(|p| p.error).collect();
    errors.try_into().unwrap()
}

fn small(small: &Small, whole: bool, device: &dyn Device) -> [Waterfall; 3] {
    let folder = tempfile::tempdir().unwrap();
    let data = written(folder.path(), &inputs(whole));
    let mut case = Case::new(small.float(), small.quantized(), &data, None);
    let found = case.waterfalls(device, SAMPLES, &[1]);
    found.try_into().unwrap()
}

#[test]
fn what_is_exact_adds_nothing_and_rounding_is_a_twelfth() {
    let scale = 1.0 / 8.0;
    let exact = Small::new([0.0, 0.0], (scale, 2));
    for device in devices() {
        let [model, alone, op] = small(&exact, true, device.as_ref());
        for w in [&model, &alone, &op] {
            let [weights, bias, input, rounding, clamp, _] = errors_of(w);
            assert_eq!([weights, bias, input, clamp], [0.0; 4], "{w:?}");
            assert!(rounding > 0.0);
        }
        let [.., rounding, _, integers] = errors_of(&op);
        let pure = f64::from(scale * scale) / 12.0;
        assert!((rounding / pure - 1.0).abs() < 0.1, "{rounding} {pure}");
        assert!(integers.abs() < 0.01 * rounding, "{op:?}");
        assert_eq!((op.op_index, op.measure), (Some(1), SQUARED_ERROR));
        assert_eq!([model.op_index, alone.op_index], [None; 2]);
    }
}

#[test]
fn each_source_is_seen_alone() {
    let cpu = Cpu::new();
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.1;
    let scale = 1.0 / 8.0;
    // Weights that are a quarter of a step off: Σ (off · x)² of uncorrelated inputs.
    let [model, _, op] = small(&Small::new([0.25, 0.0], (scale, 2)), true, &cpu);
    let [weights, bias, input, ..] = errors_of(&op);
    let steps = f64::from(WEIGHT) * 0.25;
    let power = DEPTH as f64 * (240.0 * f64::from(INPUT.0)).powi(2) / 12.0;
    assert!(near(weights, steps * steps * power), "{op:?}");
    assert_eq!([bias, input], [0.0; 2]);
    assert!(errors_of(&model)[0] > 0.0);
    // Biases that are off by a quarter of their step, which is small.
    let [.., op] = small(&Small::new([0.0, 0.25], (scale, 2)), true, &cpu);
    let [weights, bias, ..] = errors_of(&op);
    assert!(weights == 0.0 && bias != 0.0, "{op:?}");
    // Inputs between the steps: each weight brings the rounding of one.
    let rough = Small::new([0.0, 0.0], (scale, 2));
    let [model, _, op] = small(&rough, false, &cpu);
    let squares = |v: &[f32]| v.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    let pure = f64::from(INPUT.0 * INPUT.0) / 12.0 * squares(&rough.weights) / UNITS as f64;
    let [_, _, input, ..] = errors_of(&op);
    // The output's own rounding falls otherwise, too, which is chance.
    assert!((input / pure - 1.0).abs() < 0.3, "{input} {pure}");
    assert!(errors_of(&model)[2] > 0.0);
    // An output whose range is too small is cut off.
    let [model, _, op] = small(&Small::new([0.0, 0.0], (1.0 / 64.0, 2)), true, &cpu);
    for w in [model, op] {
        let [_, _, _, rounding, clamp, _] = errors_of(&w);
        assert!(clamp > 100.0 * rounding.abs(), "{w:?}");
    }
}

#[test]
fn what_cannot_be_told_apart_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = written(folder.path(), &inputs(true));
    let small = Small::new([0.0, 0.0], (0.125, 0));
    let mut case = Case::new(small.float(), small.quantized(), &data, None);
    case.matching.float[1] = None;
    let cpu = Cpu::new();
    for (position, word) in [(1, "no counterpart"), (9, "none at position 9")] {
        let found = case.ask(&cpu, |task, matching, data| {
            waterfall(task, matching, data, 8, &[position], || {})
        });
        let error = found.unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn rows_have_the_scales_of_their_ranges() {
    let folder = tempfile::tempdir().unwrap();
    let values = inputs(false);
    let data = written(folder.path(), &values);
    let small = Small::new([0.25, 0.0], (0.125, 0));
    let mut wanted: Vec<f32> = values
        .chunks(DEPTH)
        .map(|row| {
            let ends = row
                .iter()
                .fold((0f32, 0f32), |(a, b), &x| (a.min(x), b.max(x)));
            (f64::from(ends.1 - ends.0) / 255.0) as f32
        })
        .collect();
    wanted.sort_unstable_by(f32::total_cmp);
    let mut case = Case::new(small.float(), small.dynamic(), &data, None);
    for device in devices() {
        let ask = |task: Task<'_>, _: &Matching, data: &mut DataSet| {
            hybrid_scales(task, data, |_| {}).unwrap()
        };
        let [found] = &case.ask(device.as_ref(), ask)[..] else {
            panic!("one operator quantizes rows");
        };
        assert_eq!(found.rows, SAMPLES as u64);
        let at = |i: usize| f64::from(wanted[i]);
        assert_eq!(
            [found.smallest, found.median, found.largest],
            [at(0), at(SAMPLES / 2), at(SAMPLES - 1)]
        );
        assert_eq!((found.op_index, found.tensor_name.as_str()), (0, "out"));
    }
    // Weights, and what rows lose as the model runs; there is nothing else.
    for w in &case.waterfalls(&Cpu::new(), SAMPLES, &[0]) {
        let [weights, bias, input, rounding, clamp, integers] = errors_of(w);
        assert_eq!([bias, input, rounding, clamp], [0.0; 4]);
        assert!(weights > 0.0 && integers > 0.0, "{w:?}");
    }
    let none = Case::new(small.float(), small.quantized(), &data, None).ask(
        &Cpu::new(),
        |task, matching, data| {
            assert!(gates(task, matching, data, |_| {}).unwrap().is_empty());
            hybrid_scales(task, data, |_| {}).unwrap()
        },
    );
    assert_eq!(none, []);
}

/// A quantized form of a development model, over its first samples.
fn real(model: &str, quantized: &str, limit: usize) -> Option<Case> {
    let folder = shared()?.join("models").join(model);
    let load = |name: &str| {
        let path = folder.join(name);
        let name = path.display().to_string();
        simplify::load(model::read(&path).unwrap(), &name)
            .unwrap()
            .1
    };
    let (float, quantized) = (load("model.tflite"), load(quantized));
    let data = folder.join("eval.npz");
    Some(Case::new(float, quantized, &data, Some(limit)))
}

/// The positions with the worst local errors.
fn worst(found: &Findings, most: usize) -> Vec<usize> {
    let rows = found.rows.iter();
    let stats = rows.filter_map(|r| Some((r.node, r.local.stats()?.sqnr_db?)));
    let mut order: Vec<(usize, f64)> = stats.collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    order.into_iter().take(most).map(|(node, _)| node).collect()
}

fn print(name: &str, parts: &[Part]) {
    let one = |p: &Part| format!("{} {:.3e}", p.source, p.error);
    let parts: Vec<String> = parts.iter().map(one).collect();
    println!("{name}: {}", parts.join(", "));
}

#[test]
fn real_models_are_told_apart() {
    let cpu = Cpu::new();
    for name in ["fiq", "fiq_int8io", "drq", "fiq_skip_conv_2d"] {
        let file = format!("tensorflow/{name}.tflite");
        let Some(mut case) = real("deepconvlstm_gdps", &file, 96) else {
            return;
        };
        let found = case.ask(&cpu, |task, matching, data| {
            debug::errors(task, matching, data, false, |_| Ok(()), |_| {}).unwrap()
        });
        let chosen = worst(&found, 5);
        let falls = case.waterfalls(&cpu, 96, &chosen);
        for w in &falls {
            let title = format!("{name} {} whole {:.4e}", w.name, w.whole);
            print(&title, &w.parts);
            println!("   interaction {:.3e}", w.interaction);
        }
        for w in &falls[..2] {
            let [_, bias, input, rounding, clamp, _] = errors_of(w);
            match name {
                "drq" => assert_eq!([bias, input, rounding, clamp], [0.0; 4]),
                "fiq_skip_conv_2d" => assert!(input == 0.0 && rounding > 0.5 * w.whole),
                _ => assert!(w.interaction.abs() > 0.5 * w.whole),
            }
        }
        // Each of both ruins the model, so it does not help to switch off one; nothing else does much.
        if name.starts_with("fiq_int8io") || name == "fiq" {
            let [weights, bias, input, rounding, clamp, integers] = errors_of(&falls[1]);
            let others = weights.abs() + bias.abs() + clamp.abs() + integers.abs();
            assert!(input.min(rounding) > 10.0 * others);
            // An operator at a time they add up.
            for w in falls[2..].iter().filter(|w| w.name.contains("CONV_2D")) {
                let [weights, bias, input, rounding, clamp, integers] = errors_of(w);
                let others = weights.abs() + bias.abs() + clamp.abs() + integers.abs();
                assert!(input.min(rounding) > others, "{w:?}");
            }
        }
        // What gates do not explain is left, so parts are the local error.
        let of_gates = case.ask(&cpu, |task, matching, data| {
            gates(task, matching, data, |_| {}).unwrap()
        });
        assert_eq!(of_gates.len(), 2);
        for g in &of_gates {
            let row = found.rows.iter().find(|r| r.tensor == g.tensor).unwrap();
            print(
                &format!("{name} {} {}", row.op_index, row.op_name),
                &g.by_gate,
            );
            let sum: f64 = g.by_gate.iter().map(|p| p.error).sum();
            let local = row.local.stats().unwrap().mean_squared_error;
            assert!((sum / local - 1.0).abs() < 1e-3, "{sum} {local}");
            assert!(g.by_gate[..4].iter().all(|p| p.error > 0.0));
        }
        let scales = case.ask(&cpu, |task, _, data| {
            hybrid_scales(task, data, |_| {}).unwrap()
        });
        assert_eq!(scales.is_empty(), name != "drq");
        for s in &scales {
            println!("{name} {s:?}");
            assert!(s.smallest <= s.median && s.median <= s.largest && s.rows >= 96);
        }
    }
}

#[test]
fn float16_has_weights_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = written(folder.path(), &inputs(true));
    let small = Small::new([0.123, 0.0], (0.125, 0));
    let mut halves = small.float();
    let rounded = small.weights.iter().map(|&w| (w * 256.0).round() / 256.0);
    halves.tensors[1].constant = Some(Values::F32(rounded.collect()));
    let mut case = Case::new(small.float(), halves, &data, None);
    for w in case.waterfalls(&Cpu::new(), 64, &[0]) {
        let [weights, others @ ..] = errors_of(&w);
        assert!(weights > 0.0, "{w:?}");
        assert_eq!(others, [0.0; 5]);
    }
}
