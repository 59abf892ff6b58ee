//! That a clamp in its source's launch has the bits and the statistics of one of its own, and that it has no launch.

use super::*;
use crate::cpu::Cpu;
use crate::gpu::Gpu;
use crate::gpu::launch::Binding;
use crate::gpu::matrix::Unit;
use crate::gpu::paths::Paths;
use crate::gpu::plan::plan;
use crate::gpu::product::plain;
use crate::gpu::ranges::Ranges;
use crate::gpu::session::stages;
use crate::gpu::tests::{Random, config, gpu, node, tensor};
use crate::gpu::tiles::Tiles;
use crate::graph::{Binary, Graph, Move, Op, Unary};
use crate::kernel::{
    AllMoved, BinaryF32, Broadcast, ConvF32, ConvShape, Device, DeviceError, Feed, FullyConnected,
    FullyConnectedF32, Keep, Range, SessionConfig, Statistics,
};
use crate::num::{Histogram, Values};

const CLAMPS: [Unary; 4] = [Unary::Relu, Unary::Relu6, Unary::ReluN1To1, Unary::Relu0To1];
pub(super) const UNBOUNDED: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);
/// What every device binds at least.
pub(super) const FEW: u32 = 8;

/// Tensors of these many floats, of which the first is fed and the last is the output, and steps over them.
pub(super) fn program(sizes: &[usize], steps: Vec<(Kernel, Vec<TensorId>, TensorId)>) -> Program {
    let tensors: Vec<_> = sizes
        .iter()
        .map(|&n| tensor(&[n], DType::F32, None))
        .collect();
    let last = steps.last().unwrap().2;
    Program {
        given: tensors.len(),
        graph: Graph {
            file: "test".into(),
            tensors,
            nodes: vec![node(Op::Move(Move::Reshape), &[0], last)],
            inputs: vec![0],
            outputs: vec![last],
        },
        steps: steps
            .into_iter()
            .map(|(kernel, inputs, output)| Step {
                node: 0,
                kernel,
                inputs,
                outputs: vec![output],
            })
            .collect(),
    }
}

/// 0 → kernel → 1 → clamp → 2.
fn clamped(kernel: Kernel, input: usize, output: usize, unary: Unary) -> Program {
    let clamp = (Kernel::UnaryF32(unary), vec![1], 2);
    let reads = match kernel {
        Kernel::BinaryF32(_) => vec![0, 0],
        _ => vec![0],
    };
    program(&[input, output, output], vec![(kernel, reads, 1), clamp])
}

pub(super) fn binary(op: Binary, elements: usize, bounds: (f32, f32)) -> Kernel {
    Kernel::BinaryF32(BinaryF32 {
        op,
        shape: Broadcast::same(elements as u32),
        bounds,
    })
}

/// −8 … 8.
pub(super) fn floats(random: &mut Random, n: usize) -> Vec<f32> {
    (0..n)
        .map(|_| (random.u32() as f32 / u32::MAX as f32 - 0.5) * 16.0)
        .collect()
}

/// 5 × 5 pixels and filters of 3 × 3, whose size stays.
pub(super) fn conv(in_c: u32, out_c: u32, groups: u32) -> ConvShape {
    ConvShape {
        in_h: 5,
        in_w: 5,
        in_c,
        out_h: 5,
        out_w: 5,
        out_c,
        k_h: 3,
        k_w: 3,
        pad_top: 1,
        pad_left: 1,
        group_in: in_c / groups,
        group_out: out_c / groups,
        ..plain(1, 1, 1)
    }
}

pub(super) fn convolution(shape: ConvShape, bounds: (f32, f32)) -> ConvF32 {
    let mut random = Random(3);
    let weights = floats(&mut random, shape.depth() * shape.out_c as usize);
    ConvF32 {
        weights: weights.into_iter().map(|w| w / 16.0).collect(),
        bias: floats(&mut random, shape.out_c as usize),
        shape,
        bounds,
    }
}

/// Every shader that can clamp, in every way that it reads and writes: its kernel, and the sizes of input and output.
pub(super) fn producers() -> Vec<(Kernel, usize, usize)> {
    let mut all = Vec::new();
    // Channels by fours and one by one, in and out, and in groups.
    for (in_c, out_c, groups, bounds) in [
        (8, 12, 1, UNBOUNDED),
        (8, 12, 1, (f32::NEG_INFINITY, 4.0)),
        (8, 5, 1, UNBOUNDED),
        (3, 8, 1, UNBOUNDED),
        (3, 7, 1, UNBOUNDED),
        (6, 10, 2, UNBOUNDED),
    ] {
        let kernel = Kernel::ConvF32(convolution(conv(in_c, out_c, groups), bounds));
        all.push((kernel, 25 * in_c as usize, 25 * out_c as usize));
    }
    for (channels, multiplier) in [(8, 1), (3, 2)] {
        let shape = conv(channels, channels * multiplier, channels);
        let out = 25 * (channels * multiplier) as usize;
        let kernel = Kernel::DepthwiseF32(convolution(shape, UNBOUNDED));
        all.push((kernel, 25 * channels as usize, out));
    }
    for (depth, units) in [(16, 12), (13, 9)] {
        let product = convolution(plain(2, depth, units), UNBOUNDED);
        let kernel = Kernel::FullyConnectedF32(FullyConnectedF32 {
            shape: FullyConnected {
                rows: 2,
                depth,
                units,
            },
            weights: product.weights,
            bias: product.bias,
            bounds: UNBOUNDED,
        });
        all.push((kernel, 2 * depth, 2 * units));
    }
    for (op, bounds) in [
        (Binary::Add, UNBOUNDED),
        (Binary::Sub, UNBOUNDED),
        (Binary::Mul, (f32::NEG_INFINITY, 6.0)),
        // Hands on whatever it gets.
        (Binary::Maximum, UNBOUNDED),
        (Binary::Prelu, UNBOUNDED),
    ] {
        all.push((binary(op, 70, bounds), 70, 70));
    }
    all
}

/// What a session finds: the tensors of the last run, and the statistics of all.
pub(super) type Found = (
    Vec<Values>,
    Vec<Option<Range>>,
    Option<Vec<Option<Histogram>>>,
);

/// Two runs, of which the second has larger values, and more of them.
pub(super) fn found(
    device: &dyn Device,
    program: &Program,
    level: Statistics,
) -> (Found, Vec<Vec<f32>>) {
    let config = SessionConfig {
        feeds: vec![Feed::Direct; program.graph.inputs.len()],
        ..config(Keep::All, level, 4)
    };
    let mut session = device.session(program, &config).unwrap();
    let tensors = program.graph.tensors.len();
    let (mut random, mut seen) = (Random(8), vec![Vec::new(); tensors]);
    let mut last = Vec::new();
    for (samples, factor) in [(2, 0.05), (4, 1.0)] {
        let mut input = |&id: &TensorId| {
            let mut x = floats(&mut random, program.graph.elements(id) * samples);
            x.iter_mut().for_each(|x| *x *= factor);
            // Zeros of both signs, bounds, and numbers that a device may take for zero.
            let special = [0.0, -0.0, 1.0, -1.0, 6.0, -1e-40, 1e-40, -1e-45];
            for (x, special) in x.iter_mut().step_by(5).zip(special) {
                *x = special;
            }
            Values::F32(x)
        };
        let inputs: Vec<_> = program.graph.inputs.iter().map(&mut input).collect();
        session.run(samples, &inputs).unwrap();
        last = (0..tensors).map(|id| session.read(id).unwrap()).collect();
        for (seen, values) in seen.iter_mut().zip(&last) {
            seen.extend(as_floats(values));
        }
    }
    let ranges = session.ranges().unwrap();
    let histograms = (level == Statistics::Histograms).then(|| session.histograms().unwrap());
    ((last, ranges, histograms), seen)
}

pub(super) fn as_floats(values: &Values) -> &[f32] {
    let Values::F32(values) = values else {
        panic!("{values:?}")
    };
    values
}

/// Range and histogram of values, counted one by one.
fn counted(values: &[f32]) -> (Range, Histogram) {
    let range = values.iter().fold(Range::EMPTY, |range, &x| {
        range.merge(Range {
            min: x + 0.0,
            max: x + 0.0,
        })
    });
    let mut histogram = Histogram::new(range);
    histogram.count(values);
    (range, histogram)
}

/// The clamp of one number, as the host has it.
pub(super) fn clamp(x: f32, (low, high): (f32, f32)) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// Holds statistics against the values that they are of.
pub(super) fn check_statistics((_, ranges, histograms): &Found, seen: &[Vec<f32>], what: &str) {
    for (id, values) in seen.iter().enumerate() {
        let (range, histogram) = counted(values);
        assert_eq!(ranges[id], Some(range), "{what}: tensor {id}");
        if let Some(histograms) = histograms {
            // Thousands of counts would tell nobody anything.
            assert!(histograms[id] == Some(histogram), "{what}: tensor {id}");
        }
    }
}

/// Holds what the GPU found of a program against the CPU.
pub(super) fn check_against_the_cpu(gpu: &Gpu, program: &Program, got: &Found, what: &str) {
    let (want, seen) = found(&Cpu::definition(), program, Statistics::Histograms);
    check_statistics(&want, &seen, &format!("{what}, but the CPU"));
    for step in &program.steps {
        let id = step.outputs[0];
        let largest = seen[id].iter().fold(0.0f32, |m, x| m.max(x.abs()));
        // Sums may cancel out.
        let limit = gpu.tolerance() * program.tolerance(id) * largest.max(8.0);
        let pairs = as_floats(&got.0[id]).iter().zip(as_floats(&want.0[id]));
        let worst = pairs.fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst <= limit, "{what}: {worst}, limit {limit}");
    }
}

/// A GPU, and one whose launches have no room for anything but their output.
pub(super) fn gpu_and_unfused() -> Option<[Gpu; 2]> {
    let mut pair = [gpu()?, gpu()?];
    pair[1].limits.max_storage_buffers_per_shader_stage = 0;
    Some(pair)
}

#[test]
fn a_clamp_has_the_bits_and_statistics_of_one_of_its_own() {
    let Some([gpu, unfused]) = gpu_and_unfused() else {
        return;
    };
    for (case, unary) in (0..producers().len()).flat_map(|i| CLAMPS.map(|unary| (i, unary))) {
        let (kernel, input, output) = producers().swap_remove(case);
        let program = clamped(kernel, input, output, unary);
        assert!(clamps(&program)[0].is_some());
        let what = format!("case {case}, {unary:?} on {}", gpu.name());
        let (got, seen) = found(&gpu, &program, Statistics::Ranges);
        check_statistics(&got, &seen, &what);
        let level = Statistics::Histograms;
        let (got, seen) = found(&gpu, &program, level);
        check_statistics(&got, &seen, &what);
        for (&x, &y) in seen[1].iter().zip(&seen[2]) {
            let want = clamp(x, unary.bounds());
            assert_eq!(y.to_bits(), want.to_bits(), "{what}: {x}");
        }
        // No bit depends on who writes the clamp.
        let (want, _) = found(&unfused, &program, level);
        assert!(got == want, "{what}");
        check_against_the_cpu(&gpu, &program, &got, &what);
    }
}

/// The shaders of each stage after feeding, and which of them write which tensors.
pub(super) fn launched(
    program: &Program,
    level: Statistics,
    tiles: &Tiles,
    most: u32,
) -> Vec<Vec<String>> {
    let mut ranges = Ranges::new(level >= Statistics::Histograms, AllMoved::new(program));
    let config = config(Keep::Nothing, level, 1);
    let all = stages(tiles, program, &config, &mut ranges, most).unwrap();
    let name = |launch: &Launch| {
        let writes = launch.bindings.iter().filter_map(|b| match b {
            Binding::Write(id) => Some(format!(" {id}")),
            _ => None,
        });
        [launch.shader.to_owned()]
            .into_iter()
            .chain(writes)
            .collect()
    };
    let names = |stage: &Vec<Launch>| stage.iter().map(name).collect();
    all[1..].iter().map(names).collect()
}

#[test]
fn a_fused_clamp_has_no_launch_but_its_count() {
    let nothing: [&str; 0] = [];
    let tiles = Tiles::default();
    for (kernel, input, output) in producers() {
        let program = clamped(kernel, input, output, Unary::Relu);
        let plain = launched(&program, Statistics::Ranges, &tiles, 0);
        let shader = plain[0][0].strip_suffix(" 1").unwrap();
        assert_eq!(plain[1], ["f32/unary 2"]);
        for level in [Statistics::Nothing, Statistics::Ranges] {
            let stages = launched(&program, level, &tiles, FEW);
            assert_eq!(stages[0], [format!("{shader} 1 2")]);
            assert_eq!(stages[1], nothing);
        }
        let stages = launched(&program, Statistics::Histograms, &tiles, FEW);
        assert_eq!(stages[0].len(), 3);
        assert_eq!(stages[1], ["stats/rebin", "stats/histogram"]);
    }
    // Functions that are no clamps, and what is no product.
    for program in [
        clamped(binary(Binary::Add, 4, UNBOUNDED), 4, 4, Unary::Abs),
        clamped(Kernel::UnaryF32(Unary::Exp), 4, 4, Unary::Relu),
        clamped(Kernel::Copy, 4, 4, Unary::Relu),
    ] {
        assert_eq!(clamps(&program), [None, None]);
    }
}

/// Both launches write the clamp: rows that the units give up are written by the second one alone. That takes one buffer
/// more than every device binds.
#[test]
fn on_matrix_units_both_launches_write_the_clamp_if_they_can() {
    let unit = Unit {
        size: 16,
        subgroup: 32,
        invocations: 1024,
        memory: 48 << 10,
    };
    let paths = Paths {
        int8: None,
        float: Some(unit),
    };
    let tiles = Tiles::reasoned(paths, 1);
    let program = {
        let product = convolution(plain(64, 64, 64), UNBOUNDED);
        clamped(Kernel::ConvF32(product), 64 * 64, 64 * 64, Unary::Relu6)
    };
    let fused = launched(&program, Statistics::Ranges, &tiles, FEW + 1);
    assert_eq!(fused[0], ["f32/conv_2d_matrix 1 2", "f32/conv_2d 1 2"]);
    assert!(fused[1].is_empty());
    let plain = launched(&program, Statistics::Ranges, &tiles, FEW);
    assert_eq!(plain[0], ["f32/conv_2d_matrix 1", "f32/conv_2d 1"]);
    assert_eq!(plain[1], ["f32/unary 2"]);
}

/// 0 → + → 1, 0 → × → 2, 1 → RELU → 3, 1 → RELU6 → 4, 2 + 3 → 5, 5 + 4 → 6.
fn branches() -> Program {
    let add = |a, b, to| (binary(Binary::Add, 6, UNBOUNDED), vec![a, b], to);
    program(
        &[6; 7],
        vec![
            add(0, 0, 1),
            (binary(Binary::Mul, 6, UNBOUNDED), vec![0, 0], 2),
            (Kernel::UnaryF32(Unary::Relu), vec![1], 3),
            (Kernel::UnaryF32(Unary::Relu6), vec![1], 4),
            add(2, 3, 5),
            add(5, 4, 6),
        ],
    )
}

#[test]
fn of_two_clamps_the_first_is_fused_and_its_tensor_has_a_buffer_from_there_on() {
    let program = branches();
    let launched = launched(&program, Statistics::Nothing, &Tiles::default(), FEW);
    let names: Vec<_> = launched.iter().map(|stage| stage.join(", ")).collect();
    assert_eq!(
        names,
        [
            "f32/binary 1 3",
            "f32/binary 2",
            "",
            "f32/unary 4",
            "f32/binary 5",
            "f32/binary 6"
        ]
    );
    let config = config(Keep::Nothing, Statistics::Nothing, 1);
    let mut ranges = Ranges::new(false, AllMoved::default());
    let stages = stages(&Tiles::default(), &program, &config, &mut ranges, FEW);
    let slots = plan(&program, &stages.unwrap(), Keep::Nothing).slot_of;
    // All that is alive while 3 is: what its launch reads and writes, and what is written before it is read.
    for other in [0, 1, 2, 4, 5] {
        assert!(slots[3].is_some() && slots[3] != slots[other], "{other}");
    }
    // Behind its last reader there is room again.
    assert!([2, 3].iter().any(|&id| slots[id] == slots[6]), "{slots:?}");
}

#[test]
fn branches_and_chains_of_clamps_are_those_of_launches_of_their_own() {
    let Some([gpu, unfused]) = gpu_and_unfused() else {
        return;
    };
    // A clamp of a clamp, and one of what was moved: their ranges follow from ranges that follow.
    let chain = program(
        &[6; 6],
        vec![
            (binary(Binary::Sub, 6, (-3.0, 5.0)), vec![0, 0], 1),
            (binary(Binary::Mul, 6, UNBOUNDED), vec![0, 0], 2),
            (Kernel::UnaryF32(Unary::Relu6), vec![2], 3),
            (Kernel::UnaryF32(Unary::Relu0To1), vec![3], 4),
            (Kernel::Copy, vec![4], 5),
        ],
    );
    let moved = program(
        &[6; 4],
        vec![
            (Kernel::Copy, vec![0], 1),
            (Kernel::UnaryF32(Unary::ReluN1To1), vec![1], 2),
            (Kernel::Copy, vec![2], 3),
        ],
    );
    for (i, program) in [branches(), chain, moved].iter().enumerate() {
        for level in [Statistics::Ranges, Statistics::Histograms] {
            for device in [&gpu as &dyn Device, &Cpu::definition(), &Cpu::new()] {
                let what = format!("{i}, {level:?} on {}", device.name());
                let (got, seen) = found(device, program, level);
                check_statistics(&got, &seen, &what);
            }
            let ((got, ..), _) = found(&gpu, program, level);
            let ((want, ..), _) = found(&unfused, program, level);
            assert_eq!(got, want, "{i}");
        }
    }
}

pub(super) fn run(gpu: &Gpu, program: &Program, config: &SessionConfig, x: &[f32]) -> Vec<f32> {
    let mut session = gpu.session(program, config).unwrap();
    session.run(1, &[Values::F32(x.to_vec())]).unwrap();
    let output = session.read(program.graph.outputs[0]).unwrap();
    as_floats(&output).to_vec()
}

/// A source that is an output is kept as it is, and so is a clamp; a profile has no time of the clamp's own.
#[test]
fn source_and_clamp_can_be_outputs() {
    let Some(gpu) = gpu() else { return };
    let x = [-3.0, -0.5, 0.0, 0.5, 2.0, 4.0];
    for (output, want) in [
        (1, [-6.0, -1.0, 0.0, 1.0, 4.0, 8.0]),
        (2, [0.0, 0.0, 0.0, 1.0, 4.0, 6.0]),
    ] {
        let add = binary(Binary::Add, 6, UNBOUNDED);
        let mut program = clamped(add, 6, 6, Unary::Relu6);
        program.graph.outputs = vec![output];
        for level in [Statistics::Nothing, Statistics::Histograms] {
            let config = config(Keep::Outputs, level, 1);
            assert_eq!(run(&gpu, &program, &config, &x), want);
        }
        let config = SessionConfig {
            profile: true,
            ..config(Keep::Outputs, Statistics::Ranges, 1)
        };
        if gpu.summary().timestamp_queries {
            let mut session = gpu.session(&program, &config).unwrap();
            session.run(1, &[Values::F32(x.to_vec())]).unwrap();
            let profile = session.profile().unwrap();
            assert_eq!((profile.steps.len(), profile.steps[1]), (2, 0.0));
            assert_eq!(profile.statistics, [0.0, 0.0]);
        }
    }
}

#[test]
fn what_is_not_finite_stays_and_its_source_is_named() {
    let Some(gpu) = gpu() else { return };
    for (op, x, what) in [
        // 0 / 0, and a sum that is too large.
        (Binary::Div, 0.0, "NaN"),
        (Binary::Add, f32::MAX, "infinite"),
        (Binary::Add, f32::MIN, "infinite"),
    ] {
        for unary in CLAMPS {
            let program = clamped(binary(op, 2, UNBOUNDED), 2, 2, unary);
            let config = config(Keep::All, Statistics::Nothing, 1);
            let y = run(&gpu, &program, &config, &[1.0, x])[1];
            if what == "NaN" {
                assert!(y.is_nan(), "{y}");
            } else {
                assert_eq!(y, clamp(2.0 * x, unary.bounds()));
            }
            for level in [Statistics::Ranges, Statistics::Histograms] {
                let config = crate::gpu::tests::config(Keep::Nothing, level, 1);
                let mut session = gpu.session(&program, &config).unwrap();
                session.run(1, &[Values::F32(vec![1.0, x])]).unwrap();
                match session.ranges().unwrap_err() {
                    DeviceError::NotFinite { tensor, what: got } => {
                        assert!(tensor.contains("tensor 1 "), "{tensor}");
                        assert_eq!(got, what);
                    }
                    other => panic!("{other}"),
                }
            }
        }
    }
}
