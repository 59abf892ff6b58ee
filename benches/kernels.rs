//! Operators alone, on every device that is there: GFLOP/s, GB/s and the share of the roofline measured in the same run,
//! written to `target/bench/kernels.md`.
//!
//! The shapes are some of EfficientNet-Lite0's. Times are the device's own: of the threads on the CPU,
//! by timestamps on a GPU. A software rasterizer is left out, as is a GPU without timestamps.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::fmt::Write;
use std::time::Duration;
use zeropoint::cpu::Cpu;
use zeropoint::gpu::Gpu;
use zeropoint::graph::{Binary, Graph, Move, Node, Op, Tensor};
use zeropoint::kernel::{
    BinaryF32, Broadcast, ConvF32, ConvI8, ConvShape, Device, Feed, Floor, FullyConnected,
    FullyConnectedF32, Keep, Kernel, Program, Roofline, SessionConfig, Statistics, Step,
};
use zeropoint::num::{DType, Multiplier, Values};

/// What is measured: a name, a program of one step, and samples at once.
struct Case {
    name: String,
    program: Program,
    samples: usize,
    statistics: Statistics,
}

/// A row of the table.
struct Row {
    device: String,
    name: String,
    samples: usize,
    seconds: f64,
    floor: Floor,
    roofline: Option<Roofline>,
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500))
        .without_plots()
        .configure_from_args();
    let mut devices: Vec<(&str, Box<dyn Device>)> = vec![("cpu", Box::new(Cpu::new()))];
    match Gpu::open(None) {
        Ok(gpu) if !gpu.is_software() => devices.push(("gpu", Box::new(gpu))),
        Ok(gpu) => eprintln!("{} is software and left out", gpu.summary().name),
        Err(error) => eprintln!("{error}"),
    }
    let mut rows = Vec::new();
    for (name, device) in &devices {
        let roofline = device.roofline();
        let samples = if *name == "cpu" { 8 } else { 128 };
        for case in cases(samples) {
            rows.extend(measure(
                &mut criterion,
                name,
                device.as_ref(),
                &case,
                roofline,
            ));
        }
    }
    criterion.final_summary();
    let text = table(&rows);
    print!("\n{text}");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    let written = std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join("kernels.md"), text));
    if let Err(error) = written {
        eprintln!("{}: {error}", folder.display());
    }
}

/// Lets criterion measure a case; `None` where it was filtered out or the device cannot tell its time.
fn measure(
    criterion: &mut Criterion,
    device_name: &str,
    device: &dyn Device,
    case: &Case,
    roofline: Option<Roofline>,
) -> Option<Row> {
    let config = SessionConfig {
        batch: Some(case.samples),
        keep: Keep::Nothing,
        statistics: case.statistics,
        profile: true,
        feeds: vec![Feed::Direct; case.program.graph.inputs.len()],
    };
    let mut session = match device.session(&case.program, &config) {
        Ok(session) => session,
        Err(error) => {
            eprintln!("{}: {error}", case.name);
            return None;
        }
    };
    let inputs: Vec<Values> = case
        .program
        .graph
        .inputs
        .iter()
        .map(|&id| input(&case.program, id, case.samples))
        .collect();
    let floor = case.program.floors().total;
    let mut best = f64::INFINITY;
    let mut group = criterion.benchmark_group(device_name);
    group.throughput(Throughput::Elements(
        floor.operations.max(1) * case.samples as u64,
    ));
    group.bench_function(BenchmarkId::from_parameter(&case.name), |bencher| {
        bencher.iter_custom(|times| {
            let before = total(session.as_mut());
            for _ in 0..times {
                session
                    .run(case.samples, &inputs)
                    .expect("the device runs what it loaded");
            }
            let seconds = total(session.as_mut()) - before;
            best = best.min(seconds / times as f64);
            Duration::from_secs_f64(seconds.max(1e-9))
        });
    });
    group.finish();
    best.is_finite().then(|| Row {
        device: device.name(),
        name: case.name.clone(),
        samples: case.samples,
        seconds: best / case.samples as f64,
        floor,
        roofline,
    })
}

/// Seconds that kernels and statistics of steps have taken so far, threads side by side.
fn total(session: &mut dyn zeropoint::kernel::Session) -> f64 {
    let profile = session.profile().expect("a profile was asked for");
    let parts = profile.steps.iter().chain(&profile.statistics);
    parts.sum::<f64>() / profile.workers as f64
}

fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for (i, row) in rows.iter().enumerate() {
        if i == 0 || rows[i - 1].device != row.device {
            let limits = row.roofline.map_or_else(String::new, |r| {
                format!(
                    "; limits measured in this run: {:.0} GFLOP/s, {:.1} GB/s",
                    r.operations_per_second / 1e9,
                    r.bytes_per_second / 1e9
                )
            });
            let _ = writeln!(text, "\n{}{limits}\n", row.device);
            let _ = writeln!(
                text,
                "| operator | samples | µs/sample | GFLOP/s | GB/s | of the roofline |"
            );
            let _ = writeln!(text, "|---|---|---|---|---|---|");
        }
        let (operations, bytes) = (row.floor.operations as f64, row.floor.bytes as f64);
        let share = row.roofline.map_or_else(
            || "–".to_owned(),
            |r| {
                let floor = (operations / r.operations_per_second).max(bytes / r.bytes_per_second);
                format!("{:.0} %", 100.0 * floor / row.seconds)
            },
        );
        let _ = writeln!(
            text,
            "| {} | {} | {:.1} | {:.1} | {:.1} | {share} |",
            row.name,
            row.samples,
            1e6 * row.seconds,
            operations / row.seconds / 1e9,
            bytes / row.seconds / 1e9,
        );
    }
    text
}

fn cases(samples: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    // Size of the image, channels in and out, size of the filter, stride.
    for (size, from, to, k, stride) in [
        (224, 3, 32, 3, 2),
        (112, 16, 96, 1, 1),
        (56, 144, 24, 1, 1),
        (14, 480, 112, 1, 1),
        (7, 192, 1152, 1, 1),
    ] {
        let shape = same(size, from, to, k, stride, false);
        let name = format!("CONV_2D {k}×{k} /{stride} {size}×{size} {from} → {to}");
        cases.extend(convolution(&name, shape, samples, false));
    }
    for (size, channels, k, stride) in [
        (112, 32, 3, 1),
        (56, 144, 5, 2),
        (14, 480, 5, 1),
        (7, 1152, 5, 1),
    ] {
        let shape = same(size, channels, channels, k, stride, true);
        let name = format!("DEPTHWISE_CONV_2D {k}×{k} /{stride} {size}×{size} {channels}");
        cases.extend(convolution(&name, shape, samples, true));
    }
    let (depth, units) = (1280, 1000);
    cases.push(case(
        format!("FULLY_CONNECTED {depth} → {units}, float"),
        Kernel::FullyConnectedF32(FullyConnectedF32 {
            shape: FullyConnected {
                rows: 1,
                depth,
                units,
            },
            weights: floats(depth * units),
            bias: vec![0.1; units],
            bounds: (f32::NEG_INFINITY, f32::INFINITY),
        }),
        &[depth],
        units,
        DType::F32,
        samples,
    ));
    let n = 56 * 56 * 24;
    let add = || {
        Kernel::BinaryF32(BinaryF32 {
            op: Binary::Add,
            shape: Broadcast::same(n as u32),
            bounds: (f32::NEG_INFINITY, f32::INFINITY),
        })
    };
    for (what, statistics) in [
        ("", Statistics::Nothing),
        (" with its range", Statistics::Ranges),
        (" with its histogram", Statistics::Histograms),
    ] {
        let name = format!("ADD 56×56×24, float{what}");
        let plain = case(name, add(), &[n, n], n, DType::F32, samples);
        cases.push(Case {
            statistics,
            ..plain
        });
    }
    cases
}

/// Padding SAME.
fn same(size: u32, from: u32, to: u32, k: u32, stride: u32, depthwise: bool) -> ConvShape {
    let out = size.div_ceil(stride);
    let pad = ((out - 1) * stride + k).saturating_sub(size) / 2;
    ConvShape {
        batch: 1,
        in_h: size,
        in_w: size,
        in_c: from,
        out_h: out,
        out_w: out,
        out_c: to,
        k_h: k,
        k_w: k,
        stride_h: stride,
        stride_w: stride,
        dilation_h: 1,
        dilation_w: 1,
        pad_top: pad,
        pad_left: pad,
        group_in: if depthwise { 1 } else { from },
        group_out: if depthwise { 1 } else { to },
    }
}

/// A convolution in float and in int8.
fn convolution(name: &str, shape: ConvShape, samples: usize, depthwise: bool) -> [Case; 2] {
    let channels = shape.out_c as usize;
    let weights = channels * shape.depth();
    let float = ConvF32 {
        shape,
        weights: floats(weights),
        bias: vec![0.1; channels],
        bounds: (0.0, 6.0),
    };
    let int8 = ConvI8 {
        shape,
        weights: (0..weights).map(|i| (i * 37 % 255) as i8).collect(),
        bias: vec![100; channels],
        multipliers: vec![Multiplier::new(0.001).expect("a ratio of scales"); channels],
        input_zero_point: -3,
        output_zero_point: -128,
        bounds: (-128, 127),
    };
    let (float, int8) = if depthwise {
        (Kernel::DepthwiseF32(float), Kernel::DepthwiseI8(int8))
    } else {
        (Kernel::ConvF32(float), Kernel::ConvI8(int8))
    };
    let input = (shape.in_h * shape.in_w * shape.in_c) as usize;
    let output = shape.pixels() * channels;
    [
        case(
            format!("{name}, float"),
            float,
            &[input],
            output,
            DType::F32,
            samples,
        ),
        case(
            format!("{name}, int8"),
            int8,
            &[input],
            output,
            DType::I8,
            samples,
        ),
    ]
}

fn floats(n: usize) -> Vec<f32> {
    (0..n)
        .map(|i| (i * 37 % 101) as f32 / 101.0 - 0.5)
        .collect()
}

/// A program of one step.
fn case(
    name: String,
    kernel: Kernel,
    inputs: &[usize],
    output: usize,
    dtype: DType,
    samples: usize,
) -> Case {
    let tensor = |&elements: &usize| Tensor {
        name: String::new(),
        shape: vec![elements],
        dtype,
        quantization: None,
        constant: None,
        variable: false,
    };
    let ids: Vec<usize> = (0..inputs.len()).collect();
    let graph = Graph {
        file: "benchmark".into(),
        tensors: inputs.iter().chain([&output]).map(tensor).collect(),
        nodes: vec![Node {
            index: 0,
            op: Op::Move(Move::Reshape),
            inputs: ids.iter().map(|&id| Some(id)).collect(),
            outputs: vec![inputs.len()],
            intermediates: Vec::new(),
        }],
        inputs: ids.clone(),
        outputs: vec![inputs.len()],
    };
    let step = Step {
        node: 0,
        kernel,
        inputs: ids,
        outputs: vec![inputs.len()],
    };
    Case {
        name,
        program: Program {
            given: 1 + inputs.len(),
            graph,
            steps: vec![step],
        },
        samples,
        statistics: Statistics::Nothing,
    }
}

/// Values for an input.
fn input(program: &Program, id: usize, samples: usize) -> Values {
    let n = samples * program.graph.elements(id);
    match program.graph.tensors[id].dtype {
        DType::F32 => Values::F32(floats(n)),
        _ => Values::I8((0..n).map(|i| (i * 31 % 251) as i8).collect()),
    }
}
