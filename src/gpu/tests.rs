//! The room on whatever adapter is there, against the host: shared integer functions, and sessions against the CPU.

use super::shader::expand;
use super::{Gpu, Options, Tuning};
use crate::cpu::Cpu;
use crate::graph::{Activation, Binary, Graph, Move, Node, Op, Quantization, Tensor, TensorId};
use crate::kernel::{
    self, Device, DeviceError, Feed, Keep, Program, Session, SessionConfig, Statistics,
};
use crate::num::fixed::{doubling_high_mul, rounding_divide_by_pot};
use crate::num::{DType, Multiplier, Values, gemmlowp};
use std::io::Write as _;

/// The GPU, or `None` with a loud word; an error where it is required. The user's cache folder is left alone.
pub(super) fn gpu() -> Option<Gpu> {
    let options = Options {
        tuning: Tuning::Reasoned,
        ..Options::default()
    };
    match Gpu::open_with(&options) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            assert!(
                std::env::var_os("ZEROPOINT_REQUIRE_GPU").is_none(),
                "a GPU is required: {error}"
            );
            let _ = writeln!(std::io::stderr(), "SKIPPED: {error}");
            None
        }
    }
}

/// Seeded numbers (xorshift).
pub(super) struct Random(pub u64);

impl Random {
    pub fn u32(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    pub fn i8s(&mut self, n: usize) -> Values {
        Values::I8((0..n).map(|_| self.u32() as i8).collect())
    }
}

/// Random pairs after all pairs of extremes.
fn pairs(seed: u64) -> Vec<[i32; 2]> {
    let edges = [
        0,
        1,
        -1,
        2,
        1 << 30,
        -(1 << 30),
        0x3fff_ffff,
        i32::MAX,
        i32::MIN,
        i32::MIN + 1,
    ];
    let mut all: Vec<[i32; 2]> = edges
        .iter()
        .flat_map(|&a| edges.iter().map(move |&b| [a, b]))
        .collect();
    let mut random = Random(seed);
    all.extend((0..100_000).map(|_| {
        // Of all magnitudes.
        let (a, b) = (random.u32() as i32, random.u32() as i32);
        [a >> (random.u32() % 32), b >> (random.u32() % 32)]
    }));
    all
}

/// Evaluates a WGSL expression of `a` and `b` (`i32`) for every pair.
fn evaluate(gpu: &Gpu, expression: &str, pairs: &[[i32; 2]]) -> Vec<i32> {
    let text = format!(
        "#import shared/run
        #import shared/fixed
        #import shared/gemmlowp
        @group(0) @binding(1) var<storage, read> pairs: array<vec2<i32>>;
        @group(0) @binding(2) var<storage, read_write> results: array<i32>;
        @compute @workgroup_size(64)
        fn main(
            @builtin(workgroup_id) group: vec3<u32>,
            @builtin(num_workgroups) groups: vec3<u32>,
            @builtin(local_invocation_index) local: u32,
        ) {{
            let i = linear_workgroup(group, groups) * 64u + local;
            if (i >= run.samples) {{ return; }}
            let a = pairs[i].x;
            let b = pairs[i].y;
            results[i] = {expression};
        }}"
    );
    let pipeline = gpu
        .compile(expression, expand(&text, &[]).unwrap(), &[], &[false, true])
        .unwrap();
    let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let run = gpu.buffer("run", 16, uniform).unwrap();
    gpu.write(&run, bytemuck::cast_slice(&[pairs.len() as u32, 0, 0, 0]));
    let input = gpu.upload("pairs", bytemuck::cast_slice(pairs)).unwrap();
    let output = gpu.upload("results", &vec![0; 4 * pairs.len()]).unwrap();
    let entries: Vec<_> = [&run, &input, &output]
        .into_iter()
        .enumerate()
        .map(|(i, buffer)| wgpu::BindGroupEntry {
            binding: i as u32,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.layout,
        entries: &entries,
    });
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(&pipeline.compute);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups(pairs.len().div_ceil(64) as u32, 1, 1);
    drop(pass);
    gpu.submit(encoder).unwrap();
    let bytes = gpu
        .read(&output, 4 * pairs.len() as u64, &mut None)
        .unwrap();
    bytemuck::pod_collect_to_vec(&bytes)
}

#[test]
fn shared_integer_functions_give_the_bits_of_the_host() {
    let Some(gpu) = gpu() else { return };
    let multiplier = |b: i32, shift: i32| Multiplier {
        mantissa: b,
        shift,
        ..Multiplier::default()
    };
    type Host = Box<dyn Fn(i32, i32) -> i32>;
    let functions: [(&str, Host); 7] = [
        ("doubling_high_mul(a, b)", Box::new(doubling_high_mul)),
        (
            "rounding_divide_by_pot(a, bitcast<u32>(b) & 31u)",
            Box::new(|a, b| rounding_divide_by_pot(a, b & 31)),
        ),
        (
            "multiply_by_multiplier(a, b, (a ^ b) % 32)",
            Box::new(move |a, b| multiplier(b, (a ^ b) % 32).apply(a)),
        ),
        (
            "one_over_one_plus(a & I32_MAX)",
            Box::new(|a, _| gemmlowp::one_over_one_plus::<32>(a & i32::MAX)),
        ),
        (
            "bitcast<i32>(pack_bytes(unpack_bytes(bitcast<u32>(a))))",
            Box::new(|a, _| a),
        ),
        (
            "half_of(pack_halves(a, b), 0u) ^ half_of(pack_halves(a, b), 1u)",
            Box::new(|a, b| i32::from(a as i16) ^ i32::from(b as i16)),
        ),
        (
            "with_zero_point(a, b >> 24u, -128, 127)",
            Box::new(|a, b| a.saturating_add(b >> 24).clamp(-128, 127)),
        ),
    ];
    for (i, (expression, host)) in functions.iter().enumerate() {
        let pairs = pairs(7 + i as u64);
        let got = evaluate(&gpu, expression, &pairs);
        for (&[a, b], got) in pairs.iter().zip(got) {
            assert_eq!(got, host(a, b), "{expression} of a = {a}, b = {b}");
        }
    }
}

pub(super) fn tensor(shape: &[usize], dtype: DType, quantization: Option<(f32, i32)>) -> Tensor {
    Tensor {
        name: String::new(),
        shape: shape.to_vec(),
        dtype,
        quantization: quantization.map(|(scale, zero_point)| Quantization {
            scales: vec![scale],
            zero_points: vec![zero_point],
            axis: 0,
        }),
        constant: None,
        variable: false,
    }
}

pub(super) fn node(op: Op, inputs: &[TensorId], output: TensorId) -> Node {
    Node {
        index: 0,
        op,
        inputs: inputs.iter().copied().map(Some).collect(),
        outputs: vec![output],
        intermediates: Vec::new(),
    }
}

fn program(tensors: Vec<Tensor>, nodes: Vec<Node>, inputs: &[TensorId]) -> Program {
    let outputs = nodes.last().unwrap().outputs.clone();
    let graph = Graph {
        file: "test".into(),
        tensors,
        nodes,
        inputs: inputs.to_vec(),
        outputs,
    };
    kernel::prepare(graph).unwrap()
}

pub(super) fn config(keep: Keep, statistics: Statistics, batch: usize) -> SessionConfig {
    SessionConfig {
        batch: Some(batch),
        keep,
        statistics,
        profile: false,
        feeds: vec![Feed::Direct],
    }
}

const NONE: Activation = Activation::None;

/// x [5] → x + x → + constant → DEQUANTIZE, in 8 bits with ragged samples: 0 i8, 1 i8, 2 i8 constant, 3 i8, 4 f32.
fn ragged() -> Program {
    let q = |scale| tensor(&[5], DType::I8, Some((scale, 3)));
    let mut constant = q(0.02);
    constant.constant = Some(Values::I8(vec![-128, 127, 0, 5, -7]));
    program(
        vec![
            q(0.05),
            q(0.1),
            constant,
            q(0.11),
            tensor(&[5], DType::F32, None),
        ],
        vec![
            node(Op::Binary(Binary::Add, NONE), &[0, 0], 1),
            node(Op::Binary(Binary::Add, NONE), &[1, 2], 3),
            node(Op::Dequantize, &[3], 4),
        ],
        &[0],
    )
}

#[test]
fn sessions_equal_the_cpu_whatever_the_batch_and_the_reuse_of_buffers() {
    let Some(gpu) = gpu() else { return };
    let program = ragged();
    let mut random = Random(1);
    for keep in [Keep::All, Keep::Outputs] {
        let mut session = gpu
            .session(&program, &config(keep, Statistics::Nothing, 7))
            .unwrap();
        // Fewer samples after more: the rest of the buffers is stale. More runs than there are staging buffers.
        for samples in [7, 3, 1, 5, 7, 2] {
            let x = random.i8s(5 * samples);
            let cpu = Cpu::definition();
            let mut reference = cpu
                .session(&program, &config(Keep::All, Statistics::Nothing, 7))
                .unwrap();
            reference.run(samples, std::slice::from_ref(&x)).unwrap();
            session.run(samples, &[x]).unwrap();
            let read = if keep == Keep::All {
                vec![0, 1, 3, 4]
            } else {
                vec![4]
            };
            for id in read {
                assert_eq!(
                    session.read(id).unwrap(),
                    reference.read(id).unwrap(),
                    "{id}"
                );
            }
        }
        if keep == Keep::Outputs {
            assert!(
                session
                    .read(1)
                    .unwrap_err()
                    .to_string()
                    .contains("not kept")
            );
        }
    }
}

#[test]
fn ranges_are_exact_over_runs_and_blind_to_stale_data() {
    let Some(gpu) = gpu() else { return };
    // Large enough for a grid that must be folded; 3 floats a sample, so that the last vector is ragged.
    let program = program(
        vec![
            tensor(&[3], DType::F32, None),
            tensor(&[3], DType::F32, None),
        ],
        vec![node(Op::Binary(Binary::Add, Activation::Relu6), &[0, 0], 1)],
        &[0],
    );
    let batch = 1_400_001;
    for device in [&gpu as &dyn Device, &Cpu::definition()] {
        let mut random = Random(5);
        let mut session = device
            .session(&program, &config(Keep::Nothing, Statistics::Ranges, batch))
            .unwrap();
        let (mut low, mut high) = (f32::MAX, f32::MIN);
        for samples in [3, batch, 5] {
            // Above 1: a zero that is not data would show.
            let x: Vec<f32> = (0..3 * samples)
                .map(|_| 1.0 + random.u32() as f32 / 1e9)
                .collect();
            low = x.iter().copied().fold(low, f32::min);
            high = x.iter().copied().fold(high, f32::max);
            session.run(samples, &[Values::F32(x)]).unwrap();
        }
        let ranges = session.ranges().unwrap();
        let [input, output] = [ranges[0].unwrap(), ranges[1].unwrap()];
        assert_eq!((input.min, input.max), (low, high), "{}", device.name());
        assert_eq!(
            (output.min, output.max),
            (2.0 * low, 6.0),
            "{}",
            device.name()
        );
    }
}

#[test]
fn histograms_are_those_of_the_cpu_while_the_range_grows() {
    let Some(gpu) = gpu() else { return };
    let program = program(
        vec![
            tensor(&[3], DType::F32, None),
            tensor(&[3], DType::F32, None),
        ],
        vec![node(Op::Binary(Binary::Add, Activation::None), &[0, 0], 1)],
        &[0],
    );
    // Values of every run: a factor, and what is taken off them.
    let runs = [
        (1e-30, 0.0),
        (1e-3, 0.0),
        (1e-3, 0.5e-3),
        (4.0, 0.0),
        (1.0, 900.0),
        (0.0, 0.0),
        (1e30, 0.5e30),
    ];
    let mut found = Vec::new();
    for (device, batch) in [
        (&gpu as &dyn Device, 20_000),
        (&gpu, 777),
        (&Cpu::new(), 3000),
    ] {
        let config = config(Keep::Nothing, Statistics::Histograms, batch);
        let mut session = device.session(&program, &config).unwrap();
        let mut random = Random(3);
        let mut steps = Vec::new();
        for (factor, offset) in runs {
            let x: Vec<f32> = (0..60_000)
                .map(|_| random.u32() as f32 * f32::powi(2.0, -32) * factor - offset)
                .collect();
            for part in x.chunks(3 * batch) {
                let values = [Values::F32(part.to_vec())];
                session.run(part.len() / 3, &values).unwrap();
            }
            steps.push(session.histograms().unwrap());
        }
        assert_eq!(steps[6][0].as_ref().unwrap().total(), 7 * 60_000);
        found.push(steps);
    }
    assert_eq!(found[0], found[2], "{}", gpu.name());
    assert_eq!(found[1], found[2], "{}", gpu.name());
}

#[test]
fn minus_zero_counts_as_zero() {
    let Some(gpu) = gpu() else { return };
    let program = program(
        vec![
            tensor(&[2], DType::F32, None),
            tensor(&[2], DType::F32, None),
        ],
        vec![node(Op::Move(Move::Reshape), &[0], 1)],
        &[0],
    );
    let mut session = gpu
        .session(&program, &config(Keep::Outputs, Statistics::Histograms, 1))
        .unwrap();
    assert_eq!(session.ranges().unwrap(), vec![None, None]);
    session.run(1, &[Values::F32(vec![-0.0, -1.0])]).unwrap();
    let range = session.ranges().unwrap()[1].unwrap();
    assert_eq!((range.min, range.max.to_bits()), (-1.0, 0));
    // The value itself is untouched.
    assert_eq!(session.read(1).unwrap().bytes()[3], 0x80);
    let zeros = |session: &mut dyn Session| {
        let histograms = session.histograms().unwrap();
        let zeros = histograms
            .iter()
            .map(|h| h.as_ref().unwrap().zeros.unwrap());
        zeros.collect::<Vec<u64>>()
    };
    assert_eq!(zeros(session.as_mut()), [1, 1]);
    session.run(1, &[Values::F32(vec![0.0, 9.0])]).unwrap();
    session.run(1, &[Values::F32(vec![1e-45, 0.0])]).unwrap();
    assert_eq!(zeros(session.as_mut()), [3, 3]);
}

#[test]
fn a_tensor_that_is_not_finite_is_named() {
    let Some(gpu) = gpu() else { return };
    let program = program(
        (0..3).map(|_| tensor(&[4], DType::F32, None)).collect(),
        vec![
            node(Op::Binary(Binary::Add, NONE), &[0, 0], 1),
            node(Op::Binary(Binary::Add, NONE), &[1, 1], 2),
        ],
        &[0],
    );
    for (bad, tensor_id, what) in [
        (f32::MAX, 1, "infinite"),
        (f32::NAN, 0, "NaN"),
        (-f32::NAN, 0, "NaN"),
        (f32::NEG_INFINITY, 0, "infinite"),
    ] {
        let mut session = gpu
            .session(&program, &config(Keep::Nothing, Statistics::Ranges, 2))
            .unwrap();
        let x = Values::F32(vec![1.0, 2.0, bad, 3.0]);
        session.run(1, &[x]).unwrap();
        match session.ranges().unwrap_err() {
            DeviceError::NotFinite { tensor, what: got } => {
                assert!(
                    tensor.contains(&format!("tensor {tensor_id} ")),
                    "{bad}: {tensor}"
                );
                assert_eq!(got, what, "{bad}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn bytes_become_floats_by_their_table() {
    let Some(gpu) = gpu() else { return };
    let program = program(
        vec![
            tensor(&[5], DType::F32, None),
            tensor(&[5], DType::F32, None),
        ],
        vec![node(Op::Move(Move::Reshape), &[0], 1)],
        &[0],
    );
    let table: Vec<f32> = (0..256).map(|i| (i as f32 - 127.5) / 127.5).collect();
    let config = SessionConfig {
        feeds: vec![Feed::Table(table.clone())],
        ..config(Keep::Outputs, Statistics::Ranges, 3)
    };
    let mut session = gpu.session(&program, &config).unwrap();
    let bytes: Vec<u8> = (0..15).map(|i| i * 17).collect();
    let floats: Vec<f32> = bytes.iter().map(|&b| table[usize::from(b)]).collect();
    session.run(3, &[Values::U8(bytes)]).unwrap();
    assert_eq!(session.read(1).unwrap(), Values::F32(floats.clone()));
    let range = session.ranges().unwrap()[0].unwrap();
    assert_eq!((range.min, range.max), (floats[0], floats[14]));
}

#[test]
fn quantization_has_no_float_arithmetic_to_go_wrong() {
    let Some(gpu) = gpu() else { return };
    for (dtype, scale, zero_point) in [
        (DType::I8, 0.1, -5),
        (DType::U8, 3.7e-3, 128),
        (DType::I8, 1e-40, 0),
        (DType::I8, 1e37, 7),
    ] {
        let program = program(
            vec![
                tensor(&[1], DType::F32, None),
                tensor(&[1], dtype, Some((scale, zero_point))),
            ],
            vec![node(Op::Quantize, &[0], 1)],
            &[0],
        );
        let mut x = vec![
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
            -0.0,
            f32::MAX,
            f32::MIN,
        ];
        // Both sides of every step, and any bits at all.
        for q in -300..300 {
            let edge = (q as f32 + 0.5) * scale;
            x.extend([edge, edge.next_up(), edge.next_down()]);
        }
        let mut random = Random(9);
        x.extend((0..1000).map(|_| f32::from_bits(random.u32())));
        let n = x.len();
        let mut values = Vec::new();
        for device in [&gpu as &dyn Device, &Cpu::definition()] {
            let mut session = device
                .session(&program, &config(Keep::All, Statistics::Nothing, n))
                .unwrap();
            session.run(n, &[Values::F32(x.clone())]).unwrap();
            values.push(session.read(1).unwrap());
        }
        let pairs = values[0].bytes().iter().zip(values[1].bytes());
        for (x, (got, want)) in x.iter().zip(pairs) {
            assert_eq!(got, want, "{x} to {dtype} {scale} {zero_point}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let Some(gpu) = gpu() else { return };
    let program = ragged();
    for batch in [usize::MAX >> 8, usize::MAX] {
        let huge = config(Keep::All, Statistics::Nothing, batch);
        assert!(matches!(
            gpu.session(&program, &huge).map(|s| s.batch()),
            Err(DeviceError::OutOfMemory { .. })
        ));
    }
    let mut session = gpu
        .session(&program, &config(Keep::All, Statistics::Nothing, 2))
        .unwrap();
    for (samples, values) in [
        (3, Values::I8(vec![0; 15])),
        (2, Values::I8(vec![0; 9])),
        (2, Values::U8(vec![0; 10])),
        (2, Values::F32(vec![0.0; 10])),
        (0, Values::I8(Vec::new())),
    ] {
        assert!(session.run(samples, &[values]).is_err(), "{samples}");
    }
    assert!(session.run(2, &[]).is_err());
    // None of that hurt the device.
    session.run(2, &[Values::I8(vec![1; 10])]).unwrap();
    let unknown = Gpu::open(Some("no such adapter")).map(|g| g.name());
    let message = unknown.unwrap_err().to_string();
    assert!(
        message.contains("no such adapter") && message.contains(&gpu.name()),
        "{message}"
    );
}

#[test]
fn a_shader_that_does_not_compile_is_named() {
    let Some(gpu) = gpu() else { return };
    let text = "@compute @workgroup_size(64) fn main() { let x: i32 = 1.5; }".to_owned();
    let error = gpu.compile("int8/broken", text, &[], &[]).err().unwrap();
    assert!(error.to_string().contains("int8/broken"), "{error}");
    assert!(
        gpu.compile(
            "fine",
            "@compute @workgroup_size(1) fn main() {}".to_owned(),
            &[],
            &[]
        )
        .is_ok()
    );
}

#[test]
fn a_lost_device_is_an_error_and_no_panic() {
    let Some(gpu) = gpu() else { return };
    let program = ragged();
    let mut session = gpu
        .session(&program, &config(Keep::All, Statistics::Nothing, 2))
        .unwrap();
    session.run(2, &[Values::I8(vec![1; 10])]).unwrap();
    gpu.device.destroy();
    // Batches are on their way before anybody waits for one.
    let mut runs = (0..4).map(|_| session.run(2, &[Values::I8(vec![1; 10])]));
    assert!(runs.any(|run| run.is_err()));
    assert!(session.read(4).is_err());
    assert!(
        gpu.session(&program, &config(Keep::All, Statistics::Nothing, 2))
            .is_err()
    );
}

#[test]
fn adapters_are_listed_with_what_was_opened() {
    let Some(gpu) = gpu() else { return };
    let all = super::adapters();
    assert!(all.iter().any(|a| a.name == gpu.summary().name));
    let software = gpu.summary().kind == super::AdapterKind::Cpu;
    assert_eq!(gpu.is_software(), software);
    let part: String = gpu.name().chars().take(5).collect();
    assert!(Gpu::open(Some(&part.to_uppercase())).is_ok());
}
