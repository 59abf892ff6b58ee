//! Which additions are fused, and that a sum in its product's launch has the bits and the statistics of one of its own.

use super::*;
use crate::cpu::Cpu;
use crate::gpu::fused::tests::{
    UNBOUNDED, as_floats, binary, check_against_the_cpu, check_statistics, convolution, found,
    gpu_and_unfused, launched, producers, program, run,
};
use crate::gpu::fused::{Clamp, Followers, followers};
use crate::gpu::launch::{Binding, Launch};
use crate::gpu::matrix::Unit;
use crate::gpu::paths::Paths;
use crate::gpu::plan::plan;
use crate::gpu::product::plain;
use crate::gpu::ranges::Ranges;
use crate::gpu::session::stages;
use crate::gpu::tests::{config, gpu};
use crate::gpu::tiles::Tiles;
use crate::graph::Unary;
use crate::kernel::{
    AllMoved, Device, DeviceError, FullyConnected, FullyConnectedF32, Keep, SessionConfig,
    Statistics,
};
use crate::num::Values;

/// What any of these launches needs at most, without matrix units.
const ENOUGH: u32 = 10;

type Node = (Kernel, Vec<TensorId>, TensorId);

/// 6 floats to 6 floats.
fn dense(from: TensorId, to: TensorId) -> Node {
    let product = convolution(plain(1, 6, 6), UNBOUNDED);
    let kernel = Kernel::FullyConnectedF32(FullyConnectedF32 {
        shape: FullyConnected {
            rows: 1,
            depth: 6,
            units: 6,
        },
        weights: product.weights,
        bias: product.bias,
        bounds: UNBOUNDED,
    });
    (kernel, vec![from], to)
}

fn add(a: TensorId, b: TensorId, to: TensorId) -> Node {
    (binary(Binary::Add, 6, UNBOUNDED), vec![a, b], to)
}

fn unary(op: Unary, from: TensorId, to: TensorId) -> Node {
    (Kernel::UnaryF32(op), vec![from], to)
}

/// Nodes over tensors of 6 floats.
fn sixes(tensors: usize, nodes: Vec<Node>) -> Program {
    program(&vec![6; tensors], nodes)
}

/// 0 → kernel → 2, 2 + 1 → 3, and a clamp of that → 4; 0 and 1 are fed.
fn residual(
    (kernel, input, output): (Kernel, usize, usize),
    bounds: (f32, f32),
    clamp: Option<Unary>,
) -> Program {
    let mut nodes = vec![
        (kernel, vec![0], 2),
        (binary(Binary::Add, output, bounds), vec![2, 1], 3),
    ];
    nodes.extend(clamp.map(|clamp| unary(clamp, 3, 4)));
    let sizes = [input, output, output, output, output];
    let mut program = program(&sizes[..2 + nodes.len()], nodes);
    program.graph.inputs = vec![0, 1];
    program
}

/// The products and depthwise convolutions, in every way that they read and write.
fn products() -> Vec<(Kernel, usize, usize)> {
    let mut all = producers();
    all.retain(|(kernel, ..)| !matches!(kernel, Kernel::BinaryF32(_)));
    all
}

/// Each step's addition, as residual and output.
fn fused(program: &Program) -> Vec<Option<(TensorId, TensorId)>> {
    let pair = |f: &Followers| f.addition.map(|a| (a.residual, a.output));
    followers(program).iter().map(pair).collect()
}

#[test]
fn an_addition_is_fused_into_the_later_of_its_operands() {
    let block = |a, b| sixes(3, vec![dense(0, 1), add(a, b, 2)]);
    for program in [block(1, 0), block(0, 1)] {
        assert_eq!(fused(&program), [Some((0, 2)), None]);
    }
    // Both are products, in either order; what lies between is left alone.
    for (a, b) in [(1, 2), (2, 1)] {
        let nodes = vec![
            dense(0, 1),
            dense(0, 2),
            unary(Unary::Exp, 2, 3),
            add(a, b, 4),
        ];
        let program = sixes(5, nodes);
        assert_eq!(fused(&program), [None, Some((1, 4)), None, None]);
    }
    // A sum is there for the next block, which adds to it.
    let blocks = sixes(
        5,
        vec![dense(0, 1), add(1, 0, 2), dense(2, 3), add(2, 3, 4)],
    );
    assert_eq!(fused(&blocks), [Some((0, 2)), None, Some((2, 4)), None]);
}

#[test]
fn what_is_no_residual_addition_stays() {
    let nodes = || vec![dense(0, 1), add(1, 0, 2)];
    let changed = |change: &dyn Fn(&mut Program)| {
        let mut program = sixes(3, nodes());
        change(&mut program);
        program
    };
    let function = |op| changed(&|p| p.steps[1].kernel = binary(op, 6, UNBOUNDED));
    let broadcast = changed(&|p| {
        let Kernel::BinaryF32(k) = &mut p.steps[1].kernel else {
            panic!("an ADD")
        };
        k.shape.same_shape = false;
    });
    let constant = changed(&|p| {
        p.graph.tensors[0].constant = Some(Values::F32(vec![1.0; 6]));
        p.graph.inputs.clear();
    });
    let state = |id: TensorId| changed(&move |p| p.graph.tensors[id].variable = true);
    let never_written = changed(&|p| p.graph.inputs.clear());
    let later = sixes(4, vec![dense(0, 1), unary(Unary::Exp, 0, 2), add(1, 2, 3)]);
    let itself = sixes(3, vec![dense(0, 1), add(1, 1, 2)]);
    let of_no_product = sixes(3, vec![unary(Unary::Exp, 0, 1), add(1, 0, 2)]);
    let of_a_sum = sixes(3, vec![add(0, 0, 1), add(1, 0, 2)]);
    for (why, program) in [
        ("another function", function(Binary::Sub)),
        ("another function", function(Binary::Mul)),
        ("a broadcast", broadcast),
        ("a constant", constant),
        ("a state added", state(0)),
        ("a state added to", state(1)),
        ("a state as the sum", state(2)),
        ("never written", never_written),
        ("computed later", later),
        ("added to itself", itself),
        ("no product", of_no_product),
        ("no product, but a sum", of_a_sum),
    ] {
        assert!(fused(&program).iter().all(Option::is_none), "{why}");
    }
    // Unchanged it is one.
    assert_eq!(fused(&sixes(3, nodes())), [Some((0, 2)), None]);
}

#[test]
fn of_two_additions_the_first_is_fused_and_none_onto_another_or_beside_a_clamp() {
    let two = sixes(4, vec![dense(0, 1), add(1, 0, 2), add(0, 1, 3)]);
    assert_eq!(fused(&two), [Some((0, 2)), None, None]);
    let chain = sixes(4, vec![dense(0, 1), add(1, 0, 2), add(2, 0, 3)]);
    assert_eq!(fused(&chain), [Some((0, 2)), None, None]);
    let nodes = vec![
        dense(0, 1),
        add(1, 0, 2),
        unary(Unary::Relu6, 2, 3),
        unary(Unary::Relu, 1, 4),
    ];
    let clamped = sixes(5, nodes);
    let all = followers(&clamped);
    let clamp = |step, output, bounds| {
        Some(Clamp {
            step,
            output,
            bounds,
        })
    };
    let of_the_product = clamp(3, 4, (0.0, f32::INFINITY));
    assert_eq!((all[0].addition, all[0].clamp), (None, of_the_product));
    assert_eq!(all[1].clamp, clamp(2, 3, (0.0, 6.0)));
    // Without that clamp the sum's goes with the sum.
    let mut program = clamped;
    program.steps.pop();
    let all = followers(&program);
    assert_eq!(all[0].clamp, clamp(2, 3, (0.0, 6.0)));
    assert_eq!(fused(&program), [Some((0, 2)), None, None]);
    assert_eq!(all[0].steps().collect::<Vec<_>>(), [1, 2]);
}

/// Bits of what every tensor holds.
fn bits(tensors: &[Values]) -> Vec<Vec<u32>> {
    let bits = |values| as_floats(values).iter().map(|x| x.to_bits()).collect();
    tensors.iter().map(bits).collect()
}

/// As the shader of a sum has it.
fn bounded(x: f32, (low, high): (f32, f32)) -> f32 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

#[test]
fn a_sum_has_the_bits_and_statistics_of_one_of_its_own() {
    let Some([gpu, unfused]) = gpu_and_unfused() else {
        return;
    };
    let infinity = f32::INFINITY;
    for case in 0..products().len() {
        for (bounds, clamp) in [
            (UNBOUNDED, None),
            ((0.0, infinity), None),
            ((-1.0, 1.0), None),
            (UNBOUNDED, Some(Unary::Relu)),
            ((-infinity, 3.0), Some(Unary::ReluN1To1)),
        ] {
            let program = residual(products().swap_remove(case), bounds, clamp);
            assert!(fused(&program)[0].is_some());
            let what = format!("case {case}, {bounds:?}, {clamp:?} on {}", gpu.name());
            for level in [Statistics::Ranges, Statistics::Histograms] {
                let (got, seen) = found(&gpu, &program, level);
                check_statistics(&got, &seen, &what);
                let (want, _) = found(&unfused, &program, level);
                assert!(bits(&got.0) == bits(&want.0), "{what}");
                assert!((&got.1, &got.2) == (&want.1, &want.2), "{what}");
                let sums = seen[2].iter().zip(&seen[1]).zip(&seen[3]);
                for ((x, residual), y) in sums {
                    let want = bounded(x + residual, bounds);
                    assert_eq!(y.to_bits(), want.to_bits(), "{what}: {x} + {residual}");
                }
                if level == Statistics::Histograms {
                    check_against_the_cpu(&gpu, &program, &got, &what);
                }
            }
        }
    }
}

fn count(stages: &[Vec<String>]) -> usize {
    stages.iter().map(Vec::len).sum()
}

#[test]
fn a_product_its_addition_and_its_clamp_are_one_launch_where_there_is_room() {
    let nothing: [&str; 0] = [];
    let tiles = Tiles::default();
    let counts = ["stats/rebin", "stats/histogram"];
    for case in 0..products().len() {
        let of = |clamp| residual(products().swap_remove(case), UNBOUNDED, clamp);
        let depthwise = matches!(of(None).steps[0].kernel, Kernel::DepthwiseF32(_));
        // Buffers of the three outputs, the residual and the keys, beside what the product reads.
        let needed = if depthwise { ENOUGH - 1 } else { ENOUGH };
        for (clamp, outputs) in [(None, 2), (Some(Unary::Relu), 3)] {
            let (program, needed) = (of(clamp), needed + outputs - 3);
            let plain = launched(&program, Statistics::Ranges, &tiles, 0);
            let shader = plain[0][0].strip_suffix(" 2").unwrap();
            let name = format!("{shader}{}", [" 2 3", " 2 3 4"][outputs as usize - 2]);
            for level in [Statistics::Nothing, Statistics::Ranges] {
                let stages = launched(&program, level, &tiles, needed);
                assert_eq!(stages[0], [&*name]);
                assert!(stages[1..].iter().all(|stage| *stage == nothing));
                assert_eq!((count(&plain), count(&stages)), (outputs as usize, 1));
            }
            let stages = launched(&program, Statistics::Histograms, &tiles, needed);
            assert_eq!(stages[0], [&[&*name], &counts[..]].concat());
            assert!(stages[1..].iter().all(|stage| *stage == counts));
            // As it was: the addition has a launch, with its clamp.
            let stages = launched(&program, Statistics::Ranges, &tiles, needed - 1);
            assert_eq!(stages[0], plain[0]);
            assert_eq!(
                stages[1],
                [["f32/binary 3", "f32/binary 3 4"][outputs as usize - 2]]
            );
            assert_eq!(count(&stages), 2);
        }
    }
}

/// Rows that the units give up are written by the second launch, the sum and its clamp as well.
#[test]
fn on_matrix_units_both_launches_write_the_sum_if_they_can() {
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
    let product = convolution(plain(64, 64, 64), UNBOUNDED);
    let kernel = (Kernel::ConvF32(product), 64 * 64, 64 * 64);
    let program = residual(kernel, UNBOUNDED, Some(Unary::Relu6));
    let fused = launched(&program, Statistics::Ranges, &tiles, ENOUGH + 1);
    assert_eq!(fused[0], ["f32/conv_2d_matrix 2 3 4", "f32/conv_2d 2 3 4"]);
    assert_eq!(count(&fused), 2);
    let plain = launched(&program, Statistics::Ranges, &tiles, ENOUGH);
    assert_eq!(plain[0], ["f32/conv_2d_matrix 2", "f32/conv_2d 2"]);
    assert_eq!(plain[1], ["f32/binary 3 4"]);
}

/// Both launches read and write the same tensors, and gather the ranges of two.
#[test]
fn keys_of_a_product_and_its_sum_lie_one_behind_the_other() {
    let program = residual(products().swap_remove(0), UNBOUNDED, None);
    let mut ranges = Ranges::new(true, AllMoved::new(&program));
    let config = config(Keep::Nothing, Statistics::Histograms, 1);
    let stages = stages(&Tiles::default(), &program, &config, &mut ranges, ENOUGH).unwrap();
    let keys = |launch: &Launch| launch.bindings.last().cloned();
    // Behind those of the inputs.
    let (first, ranges) = (2, 2);
    assert_eq!(keys(&stages[1][0]), Some(Binding::Keys { first, ranges }));
    let (first, ranges) = (3, 1);
    assert_eq!(keys(&stages[2][0]), Some(Binding::Keys { first, ranges }));
}

/// 0 → 1 → 2, exp(0) → 3, 2 + 1 → 4, RELU → 5, 5 + 3 → 6: the addition is that of the second product.
fn block() -> Program {
    sixes(
        7,
        vec![
            dense(0, 1),
            dense(1, 2),
            unary(Unary::Logistic, 0, 3),
            add(2, 1, 4),
            unary(Unary::Relu, 4, 5),
            add(5, 3, 6),
        ],
    )
}

#[test]
fn a_residual_lives_until_the_product_runs_and_a_sum_from_then_on() {
    let program = block();
    let names: Vec<_> = launched(&program, Statistics::Nothing, &Tiles::default(), ENOUGH)
        .iter()
        .map(|stage| stage.join(", "))
        .collect();
    let product = "f32/conv_2d_scalar";
    let want = [
        format!("{product} 1"),
        format!("{product} 2 4 5"),
        "f32/unary 3".into(),
        String::new(),
        String::new(),
        "f32/binary 6".into(),
    ];
    assert_eq!(names, want);
    let config = config(Keep::Nothing, Statistics::Nothing, 1);
    let mut ranges = Ranges::new(false, AllMoved::default());
    let stages = stages(&Tiles::default(), &program, &config, &mut ranges, ENOUGH);
    let slots = plan(&program, &stages.unwrap(), Keep::Nothing).slot_of;
    // All that the launch of the product reads and writes, and what else is alive then.
    for (i, id) in [0, 1, 2, 4, 5].into_iter().enumerate() {
        assert!(slots[id].is_some());
        let others = [0, 1, 2, 4, 5].into_iter().skip(i + 1);
        assert!(
            others.into_iter().all(|other| slots[other] != slots[id]),
            "{id}"
        );
    }
    // What is written before the clamp is read lies apart; where the residual was there is room.
    assert_ne!(slots[3], slots[5]);
    assert!(
        [1, 2, 4].iter().any(|&id| slots[id] == slots[3]),
        "{slots:?}"
    );
}

/// Two blocks; the product of the second is added twice, the sum of the first as well.
fn blocks() -> Program {
    sixes(
        8,
        vec![
            dense(0, 1),
            add(0, 1, 2),
            unary(Unary::ReluN1To1, 2, 3),
            dense(3, 4),
            add(4, 3, 5),
            add(4, 2, 6),
            add(5, 6, 7),
        ],
    )
}

/// Both operands are products, and the residual is what the other one reads.
fn products_added() -> Program {
    sixes(4, vec![dense(0, 1), dense(1, 2), add(1, 2, 3)])
}

#[test]
fn blocks_are_those_of_launches_of_their_own() {
    let Some([gpu, unfused]) = gpu_and_unfused() else {
        return;
    };
    let x: Vec<f32> = (0..6).map(|i| i as f32 - 2.5).collect();
    for (i, make) in [block, blocks, products_added].into_iter().enumerate() {
        let program = make();
        assert!(fused(&program).iter().any(Option::is_some));
        for level in [Statistics::Ranges, Statistics::Histograms] {
            for device in [&gpu as &dyn Device, &unfused, &Cpu::new()] {
                let (got, seen) = found(device, &program, level);
                let what = format!("{i}, {level:?} on {}", device.name());
                check_statistics(&got, &seen, &what);
            }
            let (got, _) = found(&gpu, &program, level);
            let (want, _) = found(&unfused, &program, level);
            assert_eq!(bits(&got.0), bits(&want.0), "{i}");
            assert!((&got.1, &got.2) == (&want.1, &want.2), "{i}");
            check_against_the_cpu(&gpu, &program, &got, &i.to_string());
        }
        // Where tensors share buffers: each of them once as the output.
        for output in program.steps.iter().map(|step| step.outputs[0]) {
            let mut program = make();
            program.graph.outputs = vec![output];
            let config = config(Keep::Outputs, Statistics::Histograms, 1);
            let [got, want] = [&gpu, &unfused].map(|gpu| run(gpu, &program, &config, &x));
            assert_eq!(got, want, "{i}: {output}");
        }
    }
}

#[test]
fn a_profile_has_no_time_of_the_additions_own() {
    let Some(gpu) = gpu() else { return };
    if !gpu.summary().timestamp_queries {
        return;
    }
    let config = SessionConfig {
        profile: true,
        ..config(Keep::Outputs, Statistics::Ranges, 1)
    };
    let program = block();
    let mut session = gpu.session(&program, &config).unwrap();
    session.run(1, &[Values::F32(vec![1.0; 6])]).unwrap();
    let profile = session.profile().unwrap();
    assert_eq!((profile.steps[3], profile.steps[4]), (0.0, 0.0));
    assert!(profile.steps[1] > 0.0);
}

/// A sum is written, and its range gathered, before the steps between have run. They come first nevertheless.
#[test]
fn the_first_step_that_is_not_finite_is_named() {
    let Some([gpu, unfused]) = gpu_and_unfused() else {
        return;
    };
    // The product is its bias, and the sum too large. So is the square between them.
    let programs = [Binary::Mul, Binary::Minimum].map(|between| {
        let (mut kernel, from, to) = dense(0, 1);
        if let Kernel::FullyConnectedF32(k) = &mut kernel {
            k.weights.fill(0.0);
            k.bias.fill(f32::MAX);
        }
        let between = (binary(between, 6, UNBOUNDED), vec![0, 0], 2);
        sixes(4, vec![(kernel, from, to), between, add(1, 0, 3)])
    });
    for (program, named) in programs.iter().zip(["tensor 2 ", "tensor 3 "]) {
        assert_eq!(fused(program)[0], Some((0, 3)));
        for device in [&gpu as &dyn Device, &unfused, &Cpu::definition()] {
            let config = config(Keep::Nothing, Statistics::Ranges, 1);
            let mut session = device.session(program, &config).unwrap();
            // The CPU says so as it runs.
            let ran = session.run(1, &[Values::F32(vec![f32::MAX; 6])]);
            match ran.and_then(|()| session.ranges()).unwrap_err() {
                DeviceError::NotFinite { tensor, what } => {
                    assert!(tensor.contains(named), "{tensor} on {}", device.name());
                    assert_eq!(what, "infinite");
                }
                other => panic!("{other}"),
            }
        }
    }
}
