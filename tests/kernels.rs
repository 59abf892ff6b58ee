//! Random kernels of the operators with products, on every device against the plain CPU kernels: strides, dilations,
//! padding, groups, odd channels, several samples, extreme values. Integers must be equal; floats agree within a bound
//! that grows with the length of the sums.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::sync::Arc;
use zeropoint::cpu::Cpu;
use zeropoint::graph::{Graph, Node, Op, Tensor};
use zeropoint::kernel::{
    ConvF32, ConvI8, ConvShape, Device, Feed, FullyConnected, FullyConnectedF32, FullyConnectedI8,
    Keep, Kernel, LstmF32, LstmI8, LstmShape, Program, SessionConfig, Statistics, Step,
};
use zeropoint::num::{DType, Multiplier, Values, gemmlowp};

/// Seeded numbers (xorshift).
struct Random(u64);

impl Random {
    fn u32(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    fn below(&mut self, n: u32) -> u32 {
        self.u32() % n
    }

    /// −1 … 1.
    fn f32(&mut self) -> f32 {
        (f64::from(self.u32()) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
    }

    fn f32s(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.f32()).collect()
    }

    /// Any bytes, a third of them extreme.
    fn i8s(&mut self, n: usize) -> Vec<i8> {
        (0..n)
            .map(|_| match self.below(6) {
                0 => -128,
                1 => 127,
                _ => self.u32() as i8,
            })
            .collect()
    }

    fn i32s(&mut self, n: usize, magnitude: i32) -> Vec<i32> {
        (0..n).map(|_| self.u32() as i32 % magnitude).collect()
    }

    /// Around `real`, within a factor of 4.
    fn multipliers(&mut self, n: usize, real: f64) -> Vec<Multiplier> {
        (0..n)
            .map(|_| Multiplier::new(real * 4f64.powf(f64::from(self.f32()))).unwrap())
            .collect()
    }
}

/// A program of one kernel; tensor 0 is its input, the others are its outputs.
fn program(kernel: Kernel, input: (usize, DType), outputs: &[(usize, DType, bool)]) -> Program {
    let tensor = |elements: usize, dtype, variable| Tensor {
        name: String::new(),
        shape: vec![elements],
        dtype,
        quantization: None,
        constant: None,
        variable,
    };
    let mut tensors = vec![tensor(input.0, input.1, false)];
    tensors.extend(
        outputs
            .iter()
            .map(|&(n, dtype, variable)| tensor(n, dtype, variable)),
    );
    let ids: Vec<usize> = (1..tensors.len()).collect();
    let node = Node {
        index: 0,
        op: Op::Reshape,
        inputs: vec![Some(0)],
        outputs: vec![1],
        intermediates: Vec::new(),
    };
    Program {
        graph: Graph {
            file: "test".into(),
            tensors,
            nodes: vec![node],
            inputs: vec![0],
            outputs: vec![1],
        },
        steps: vec![Step {
            node: 0,
            kernel,
            inputs: vec![0],
            outputs: ids,
        }],
    }
}

/// Runs a program, and holds the statistics that the device gathers against the values themselves.
fn run(device: &dyn Device, program: &Program, samples: usize, x: &Values) -> Vec<Values> {
    // What is not finite has no range.
    let finite = !matches!(x, Values::F32(x) if x.iter().any(|x| !x.is_finite()));
    let config = SessionConfig {
        batch: Some(samples + 1),
        keep: Keep::All,
        statistics: if finite {
            Statistics::Histograms
        } else {
            Statistics::Nothing
        },
        profile: false,
        feeds: vec![Feed::Direct],
    };
    let mut session = device.session(program, &config).unwrap();
    session.run(samples, std::slice::from_ref(x)).unwrap();
    let outputs = &program.steps[0].outputs;
    let read = |&id: &usize| session.read(id).unwrap();
    let all: Vec<Values> = outputs.iter().map(read).collect();
    for (&id, values) in outputs.iter().zip(&all) {
        // States are seen at every step, not only at the end.
        let (Values::F32(values), false) = (values, program.graph.tensors[id].variable) else {
            continue;
        };
        if !finite {
            continue;
        }
        let place = || format!("{:.200?} on {}", program.steps[0].kernel, device.name());
        let range = session.ranges().unwrap()[id].unwrap();
        let low = values.iter().copied().fold(f32::MAX, f32::min);
        let high = values.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!((range.min, range.max), (low, high), "{}", place());
        let histogram = session.histograms().unwrap()[id].clone().unwrap();
        assert_eq!(histogram.total(), values.len() as u64, "{}", place());
    }
    all
}

/// Whether every device gives what the plain CPU kernels give.
fn agree(program: &Program, samples: usize, x: &Values, devices: &[Box<dyn Device>]) {
    let want = run(&Cpu::definition(), program, samples, x);
    for device in devices {
        let got = run(device.as_ref(), program, samples, x);
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let place = || format!("output {i} of {:?} on {}", program.steps[0], device.name());
            let (Values::F32(got), Values::F32(want)) = (got, want) else {
                if got != want {
                    let bytes = got.bytes().iter().zip(want.bytes());
                    let first = bytes.clone().position(|(a, b)| a != b);
                    let differ = bytes.filter(|(a, b)| a != b).count();
                    let place: String = place().chars().take(600).collect();
                    panic!("{differ} bytes differ, the first at {first:?}: {place}");
                }
                continue;
            };
            assert_eq!(got.len(), want.len());
            let largest = want.iter().fold(1.0f32, |m, x| m.max(x.abs()));
            let tolerance = program.tolerance(program.steps[0].outputs[i]);
            let limit = device.tolerance() * tolerance * largest;
            for (at, (a, b)) in got.iter().zip(want).enumerate() {
                if (a - b).is_nan() || (a - b).abs() > limit {
                    let place: String = place().chars().take(600).collect();
                    panic!("{a} is not {b} within {limit} at {at}: {place}");
                }
            }
        }
    }
}

/// A random geometry; sizes stay small, every case of the kernels is hit.
fn geometry(random: &mut Random, depthwise: bool) -> ConvShape {
    loop {
        let groups = [1, 1, 1, 2, 3][random.below(5) as usize];
        let (group_in, group_out) = if depthwise {
            (1, [1, 1, 2, 3, 8][random.below(5) as usize])
        } else {
            (1 + random.below(20), 1 + random.below(24))
        };
        let groups = if depthwise {
            1 + random.below(20)
        } else {
            groups
        };
        // Half of them in whole quads.
        let quads = random.below(2) == 0;
        let round = |n: u32| if quads { n.next_multiple_of(4) } else { n };
        let (group_in, group_out, groups) = if depthwise {
            (group_in, group_out, round(groups))
        } else {
            (round(group_in), round(group_out), groups)
        };
        let [in_h, in_w] = [(); 2].map(|()| 1 + random.below(9));
        let [k_h, k_w] = [(); 2].map(|()| 1 + random.below(4));
        let [stride_h, stride_w] = [(); 2].map(|()| 1 + random.below(3));
        let [dilation_h, dilation_w] = [(); 2].map(|()| 1 + random.below(3));
        let same = random.below(2) == 0;
        let axis = |size: u32, k: u32, stride: u32, dilation: u32| -> Option<(u32, u32)> {
            let span = (k - 1) * dilation + 1;
            if same {
                let out = size.div_ceil(stride);
                return Some((out, ((out - 1) * stride + span).saturating_sub(size) / 2));
            }
            (span <= size).then(|| ((size - span) / stride + 1, 0))
        };
        let (Some((out_h, pad_top)), Some((out_w, pad_left))) = (
            axis(in_h, k_h, stride_h, dilation_h),
            axis(in_w, k_w, stride_w, dilation_w),
        ) else {
            continue;
        };
        return ConvShape {
            batch: 1 + random.below(2),
            in_h,
            in_w,
            in_c: groups * group_in,
            out_h,
            out_w,
            out_c: groups * group_out,
            k_h,
            k_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
            group_in,
            group_out,
        };
    }
}

fn input_elements(s: &ConvShape) -> usize {
    (s.batch * s.in_h * s.in_w * s.in_c) as usize
}

fn bounds_f32(random: &mut Random) -> (f32, f32) {
    let (low, high) = (f32::NEG_INFINITY, f32::INFINITY);
    [(low, high), (0.0, high), (0.0, 6.0), (-1.0, 1.0)][random.below(4) as usize]
}

fn convolution(random: &mut Random, depthwise: bool, devices: &[Box<dyn Device>]) {
    let shape = geometry(random, depthwise);
    let (out_c, depth) = (shape.out_c as usize, shape.depth());
    let samples = 1 + random.below(4) as usize;
    let (inputs, outputs) = (input_elements(&shape), shape.pixels() * out_c);
    let float = ConvF32 {
        shape,
        weights: random.f32s(out_c * depth),
        bias: random.f32s(out_c),
        bounds: bounds_f32(random),
    };
    let kernel = if depthwise {
        Kernel::DepthwiseF32(float)
    } else {
        Kernel::ConvF32(float)
    };
    let x = Values::F32(random.f32s(samples * inputs));
    let float = program(
        kernel,
        (inputs, DType::F32),
        &[(outputs, DType::F32, false)],
    );
    agree(&float, samples, &x, devices);

    let real = 1.0 / (60.0 * (depth as f64).sqrt() + 1.0);
    let low = [-128, -128, -5][random.below(3) as usize];
    let integer = ConvI8 {
        shape,
        weights: random.i8s(out_c * depth),
        bias: random.i32s(out_c, 20_000),
        multipliers: random.multipliers(out_c, real),
        input_zero_point: random.u32() as i32 % 129,
        output_zero_point: random.u32() as i32 % 129,
        bounds: (low, 127),
    };
    let kernel = if depthwise {
        Kernel::DepthwiseI8(integer)
    } else {
        Kernel::ConvI8(integer)
    };
    let x = Values::I8(random.i8s(samples * inputs));
    let integer = program(kernel, (inputs, DType::I8), &[(outputs, DType::I8, false)]);
    agree(&integer, samples, &x, devices);
}

#[test]
fn convolutions() {
    let devices = support::devices();
    let mut random = Random(11);
    for _ in 0..60 {
        convolution(&mut random, false, &devices);
    }
}

#[test]
fn depthwise_convolutions() {
    let devices = support::devices();
    let mut random = Random(12);
    for _ in 0..60 {
        convolution(&mut random, true, &devices);
    }
}

fn fully_connected(
    random: &mut Random,
    [rows, depth, units, samples]: [usize; 4],
    devices: &[Box<dyn Device>],
) {
    let shape = FullyConnected { rows, depth, units };
    let (inputs, outputs) = (rows * depth, rows * units);
    let kernel = Kernel::FullyConnectedF32(FullyConnectedF32 {
        shape,
        weights: random.f32s(units * depth),
        bias: random.f32s(units),
        bounds: bounds_f32(random),
    });
    let x = Values::F32(random.f32s(samples * inputs));
    let float = program(
        kernel,
        (inputs, DType::F32),
        &[(outputs, DType::F32, false)],
    );
    agree(&float, samples, &x, devices);

    let per_channel = random.below(2) == 0;
    let real = 1.0 / (60.0 * (depth as f64).sqrt() + 1.0);
    let scales = (0..units).map(|_| {
        real * if per_channel {
            4f64.powf(f64::from(random.f32()))
        } else {
            1.0
        }
    });
    let kernel = Kernel::FullyConnectedI8(FullyConnectedI8 {
        shape,
        scales: scales.collect(),
        weights: random.i8s(units * depth),
        bias: random.i32s(units, 20_000),
        input_zero_point: random.u32() as i32 % 129,
        output_zero_point: random.u32() as i32 % 129,
        bounds: ([-128, 3][random.below(2) as usize], 127),
    });
    let x = Values::I8(random.i8s(samples * inputs));
    let integer = program(kernel, (inputs, DType::I8), &[(outputs, DType::I8, false)]);
    agree(&integer, samples, &x, devices);
}

#[test]
fn products() {
    let devices = support::devices();
    let mut random = Random(13);
    // Tiles exactly, one more, one less; a sum longer than llvmpipe's loops.
    for sizes in [
        [64, 64, 64, 1],
        [65, 17, 65, 2],
        [1, 1, 1, 5],
        [63, 68, 60, 3],
        [1, 100_000, 5, 2],
        [1, 99_999, 3, 1],
    ] {
        fully_connected(&mut random, sizes, &devices);
    }
    for _ in 0..30 {
        let sizes = [7, 200, 90, 4].map(|n| 1 + random.below(n) as usize);
        fully_connected(&mut random, sizes, &devices);
    }
}

fn lstm(random: &mut Random, shape: LstmShape, samples: usize, devices: &[Box<dyn Device>]) {
    let (cells, rows) = (shape.cells, shape.rows());
    let (inputs, outputs, states) = (rows * shape.input, rows * cells, shape.batch * cells);
    let scale = |n: usize| 1.0 / (n as f32).sqrt();
    let scaled = |v: Vec<f32>, s: f32| v.into_iter().map(|x| x * s).collect::<Vec<f32>>();
    let kernel = Kernel::LstmF32(LstmF32 {
        shape,
        input_weights: scaled(random.f32s(4 * cells * shape.input), scale(shape.input)),
        recurrent_weights: scaled(random.f32s(4 * cells * cells), 0.5 * scale(cells)),
        bias: random.f32s(4 * cells),
        cell_clip: [f32::INFINITY, 0.75][random.below(2) as usize],
    });
    let float = program(
        kernel,
        (inputs, DType::F32),
        &[
            (outputs, DType::F32, false),
            (states, DType::F32, true),
            (states, DType::F32, true),
        ],
    );
    let x = Values::F32(random.f32s(samples * inputs));
    // Rounding of one step moves the next; the weights are too small for chaos.
    agree(&float, samples, &x, devices);

    let cell_exponent = -15 + random.below(7) as i32;
    let table =
        |f: &dyn Fn(i16) -> i16| Arc::new((0..=u16::MAX).map(|bits| f(bits as i16)).collect());
    let real = |n: usize| 2.0 / (n as f64).sqrt();
    let four = |v: Vec<Multiplier>| <[Multiplier; 4]>::try_from(v).unwrap();
    let kernel = Kernel::LstmI8(LstmI8 {
        shape,
        input_weights: random.i8s(4 * cells * shape.input),
        recurrent_weights: random.i8s(4 * cells * cells),
        input_bias: random.i32s(4 * cells, 30_000),
        recurrent_bias: random.i32s(4 * cells, 30_000),
        input_multipliers: four(random.multipliers(4, real(shape.input))),
        recurrent_multipliers: four(random.multipliers(4, real(cells))),
        hidden_multiplier: random.multipliers(1, 1.0 / 8_000_000.0)[0],
        hidden_zero_point: random.u32() as i32 % 129,
        state_zero_point: random.u32() as i32 % 129,
        cell_exponent,
        cell_clip: [0, 20_000][random.below(2) as usize],
        logistic: table(&gemmlowp::logistic_q3_12),
        tanh_gate: table(&|x| gemmlowp::tanh_i16(x, 3)),
        tanh_cell: table(&|x| gemmlowp::tanh_i16(x, (15 + cell_exponent) as u32)),
    });
    let integer = program(
        kernel,
        (inputs, DType::I8),
        &[
            (outputs, DType::I8, false),
            (states, DType::I8, true),
            (states, DType::I16, true),
        ],
    );
    let x = Values::I8(random.i8s(samples * inputs));
    agree(&integer, samples, &x, devices);
}

#[test]
fn recurrences() {
    let devices = support::devices();
    let mut random = Random(14);
    // More sequences than a workgroup takes, more cells than invocations, states that do not fit into workgroup
    // memory, and more steps than llvmpipe's loops have iterations.
    for (samples, [time, batch, input, cells]) in [
        (11, [3, 1, 5, 8]),
        (3, [4, 3, 6, 7]),
        (1, [3, 1, 4, 130]),
        (2, [3, 1, 3, 260]),
        (1, [2, 1, 2, 2052]),
        (1, [5000, 1, 1, 50]),
    ] {
        // The large ones would take minutes of the plain kernels.
        for time_major in [false, true] {
            let shape = LstmShape {
                time,
                batch,
                input,
                cells,
                time_major,
            };
            lstm(&mut random, shape, samples, &devices);
            if cells * time > 2000 {
                break;
            }
        }
    }
    for _ in 0..12 {
        let [time, batch, input, cells] = [6, 3, 9, 21].map(|n| 1 + random.below(n) as usize);
        let time_major = random.below(2) == 0;
        let shape = LstmShape {
            time,
            batch,
            input,
            cells,
            time_major,
        };
        let samples = 1 + random.below(4) as usize;
        lstm(&mut random, shape, samples, &devices);
    }
}

/// Ranges of a calibration: states over all steps, equal for every batch size.
#[test]
fn ranges_of_an_lstm_do_not_depend_on_the_batch() {
    let shape = LstmShape {
        time: 9,
        batch: 2,
        input: 4,
        cells: 6,
        time_major: false,
    };
    let mut random = Random(15);
    let (rows, cells, samples) = (shape.rows(), shape.cells, 10);
    let kernel = Kernel::LstmF32(LstmF32 {
        shape,
        input_weights: random.f32s(4 * cells * shape.input),
        recurrent_weights: random.f32s(4 * cells * cells),
        bias: random.f32s(4 * cells),
        cell_clip: f32::INFINITY,
    });
    let states = shape.batch * cells;
    let program = program(
        kernel,
        (rows * shape.input, DType::F32),
        &[
            (rows * cells, DType::F32, false),
            (states, DType::F32, true),
            (states, DType::F32, true),
        ],
    );
    let x = random.f32s(samples * rows * shape.input);
    let ranges = |device: &dyn Device, batch: usize| {
        let config = SessionConfig {
            batch: Some(batch),
            keep: Keep::Nothing,
            statistics: Statistics::Ranges,
            profile: false,
            feeds: vec![Feed::Direct],
        };
        let mut session = device.session(&program, &config).unwrap();
        for x in x.chunks(batch * rows * shape.input) {
            let n = x.len() / (rows * shape.input);
            session.run(n, &[Values::F32(x.to_vec())]).unwrap();
        }
        session.ranges().unwrap()
    };
    let want = ranges(&Cpu::definition(), samples);
    for device in support::devices() {
        let all = ranges(device.as_ref(), samples);
        for batch in [1, 3, 9] {
            assert_eq!(
                ranges(device.as_ref(), batch),
                all,
                "{} {batch}",
                device.name()
            );
        }
        for (id, (got, want)) in all.iter().zip(&want).enumerate() {
            let (got, want) = (got.unwrap(), want.unwrap());
            for (a, b) in [(got.min, want.min), (got.max, want.max)] {
                assert!(
                    (a - b).abs() < 1e-5,
                    "tensor {id}: {a} {b} on {}",
                    device.name()
                );
            }
        }
    }
}

/// A float product of `rows` in each sample.
fn product(rows: usize, depth: usize, units: usize, weights: &[f32]) -> Program {
    let kernel = Kernel::FullyConnectedF32(FullyConnectedF32 {
        shape: FullyConnected { rows, depth, units },
        weights: weights[..units * depth].to_vec(),
        bias: vec![0.0; units],
        bounds: (f32::NEG_INFINITY, f32::INFINITY),
    });
    let (inputs, outputs) = (rows * depth, rows * units);
    program(
        kernel,
        (inputs, DType::F32),
        &[(outputs, DType::F32, false)],
    )
}

fn floats(values: &[Values]) -> &[f32] {
    let Values::F32(floats) = &values[0] else {
        panic!("{values:?}")
    };
    floats
}

/// Matrix units have few exponents: rows of all magnitudes, each judged by its own largest result.
#[test]
fn rows_of_all_magnitudes_are_right() {
    let devices = support::devices();
    let mut random = Random(16);
    let (depth, units) = (150, 20);
    let mut weights = random.f32s(units * depth);
    // Filters of different magnitudes.
    for (unit, filter) in weights.chunks_exact_mut(depth).enumerate() {
        filter
            .iter_mut()
            .for_each(|w| *w *= [1.0, 1e-6, 1e5][unit % 3]);
    }
    type Make = fn(f32, usize) -> f32;
    let makes: [Make; 10] = [
        |x, _| x,
        |x, _| x * 1e-30,
        |x, _| x * 1e30,
        |x, _| x * 1e-4,
        // Nothing at first, then what the scale for nothing does not suit.
        |x, k| if k < 32 { 0.0 } else { x * 1e-7 },
        |x, k| if k < 32 { 0.0 } else { x * 1e7 },
        |x, k| if k < 40 { x * 1e-9 } else { x * 1e9 },
        |x, k| if k % 50 == 0 { x * 1e9 } else { x * 1e-3 },
        |x, k| if k == 149 { x } else { 0.0 },
        |_, _| 0.0,
    ];
    // More than one tile, and every kind beside every other.
    let rows = 131;
    let values = random.f32s(rows * depth);
    let x = (0..rows * depth)
        .map(|i| makes[i / depth * 7 % makes.len()](values[i], i % depth))
        .collect();
    let x = Values::F32(x);
    let program = product(rows, depth, units, &weights);
    let want = run(&Cpu::definition(), &program, 1, &x);
    for device in &devices {
        let got = run(device.as_ref(), &program, 1, &x);
        let tolerance = device.tolerance() * program.tolerance(1);
        for unit in 0..units {
            for row in 0..rows {
                let at = row * units + unit;
                let (a, b) = (floats(&got)[at], floats(&want)[at]);
                // The largest that this filter could give with this row.
                let scale = [1.0, 1e-6, 1e5][unit % 3];
                let Values::F32(x) = &x else { panic!() };
                let norm: f32 = x[row * depth..(row + 1) * depth]
                    .iter()
                    .map(|v| v.abs())
                    .fold(0.0, f32::max);
                let limit = tolerance * norm * scale * (depth as f32).sqrt();
                assert!(
                    (a - b).abs() <= limit.max(1e-37),
                    "row {row} unit {unit}: {a} is not {b} within {limit} on {}",
                    device.name()
                );
            }
        }
    }
}

/// Whatever is not finite stays so, and stays in its row.
#[test]
fn rows_that_are_not_finite_do_not_touch_others() {
    let mut random = Random(17);
    let (rows, depth, units) = (70, 100, 9);
    let weights = random.f32s(units * depth);
    let mut x = random.f32s(rows * depth);
    let program = product(rows, depth, units, &weights);
    let bad = [(3, 0, f32::NAN), (5, 99, f32::INFINITY), (64, 40, f32::NAN)];
    for device in &support::devices() {
        let clean = run(device.as_ref(), &program, 1, &Values::F32(x.clone()));
        for &(row, k, value) in &bad {
            x[row * depth + k] = value;
        }
        let got = run(device.as_ref(), &program, 1, &Values::F32(x.clone()));
        for (at, (a, b)) in floats(&got).iter().zip(floats(&clean)).enumerate() {
            if bad.iter().any(|&(row, ..)| row == at / units) {
                assert!(!a.is_finite(), "{a} at {at} on {}", device.name());
            } else {
                assert_eq!(a.to_bits(), b.to_bits(), "{at} on {}", device.name());
            }
        }
        for &(row, k, _) in &bad {
            x[row * depth + k] = 0.5;
        }
    }
}

/// The bits of a result depend on its row and its filter, not on the tile they fall into or who else is there.
#[test]
fn bits_do_not_depend_on_tiles() {
    let mut random = Random(18);
    let (rows, depth) = (150, 700);
    let weights = random.f32s(200 * depth);
    let mut x = random.f32s(rows * depth);
    // Some rows that matrix units give up.
    x[7 * depth + 500] = 1e12;
    x[140 * depth..141 * depth].fill(1e-20);
    for device in &support::devices() {
        let device = device.as_ref();
        if device.name().contains("CPU") {
            // Its product is that of a library.
            continue;
        }
        let x = Values::F32(x.clone());
        let all = run(device, &product(rows, depth, 200, &weights), 1, &x);
        for units in [3, 17, 40, 64, 100] {
            for (rows_each, samples) in [(rows, 1), (1, rows), (50, 3)] {
                let program = product(rows_each, depth, units, &weights);
                let got = run(device, &program, samples, &x);
                for (at, a) in floats(&got).iter().enumerate() {
                    let b = floats(&all)[at / units * 200 + at % units];
                    assert_eq!(
                        a.to_bits(),
                        b.to_bits(),
                        "{a} {b}: {at} of {samples} x {rows_each} x {units} on {}",
                        device.name()
                    );
                }
            }
        }
    }
}

/// Weights so large that sums leave what float holds exactly: pieces are added as integers.
#[test]
fn int8_sums_beyond_floats_are_exact() {
    let devices = support::devices();
    let mut random = Random(19);
    for (depth, units) in [(1031, 5), (4000, 70), (33_000, 2)] {
        let samples = 3;
        let sign = |at: usize| {
            let cancels = at / depth % 3 == 2 && at % depth < depth / 2;
            if cancels { -1 } else { 1 }
        };
        // Of one sign, so that nothing cancels; some cancel from a distance.
        let weights: Vec<i8> = (0..units * depth)
            .map(|at| sign(at) * (120 + random.below(8) as i8))
            .collect();
        let x: Vec<i8> = (0..samples * depth)
            .map(|at| [127, -128, random.u32() as i8][at / depth])
            .collect();
        let kernel = Kernel::ConvI8(ConvI8 {
            shape: ConvShape {
                batch: 1,
                in_h: 1,
                in_w: 1,
                in_c: depth as u32,
                out_h: 1,
                out_w: 1,
                out_c: units as u32,
                k_h: 1,
                k_w: 1,
                stride_h: 1,
                stride_w: 1,
                dilation_h: 1,
                dilation_w: 1,
                pad_top: 0,
                pad_left: 0,
                group_in: depth as u32,
                group_out: units as u32,
            },
            // The first sample comes out around 0 to the last bit.
            bias: weights
                .chunks_exact(depth)
                .enumerate()
                .map(|(unit, filter)| {
                    let sum: i32 = filter.iter().map(|&w| 127 * i32::from(w)).sum();
                    unit as i32 - 30 - sum
                })
                .collect(),
            weights,
            multipliers: vec![
                Multiplier {
                    mantissa: 1 << 30,
                    shift: 1
                };
                units
            ],
            input_zero_point: 0,
            output_zero_point: 0,
            bounds: (-128, 127),
        });
        let program = program(kernel, (depth, DType::I8), &[(units, DType::I8, false)]);
        agree(&program, samples, &Values::I8(x), &devices);
    }
}

/// Against double precision: what the tolerance says of two devices holds of each one.
#[test]
fn long_sums_of_floats_are_within_the_tolerance_of_the_truth() {
    let mut random = Random(20);
    let (rows, units) = (65, 20);
    for (depth, positive) in [(64, false), (1152, true), (1152, false), (8192, true)] {
        let weights = random.f32s(units * depth);
        let mut x = random.f32s(rows * depth);
        if positive {
            x.iter_mut().for_each(|x| *x = x.abs());
        }
        let want: Vec<f64> = x
            .chunks_exact(depth)
            .flat_map(|row| {
                weights.chunks_exact(depth).map(move |filter| {
                    let pairs = row.iter().zip(filter);
                    pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                })
            })
            .collect();
        let largest = want.iter().fold(0.0, |m: f64, y| m.max(y.abs()));
        let program = product(rows, depth, units, &weights);
        let limit = f64::from(program.tolerance(1)) * largest;
        for device in support::devices() {
            let got = run(device.as_ref(), &program, 1, &Values::F32(x.clone()));
            for (&a, b) in floats(&got).iter().zip(&want) {
                let far = (f64::from(a) - b).abs();
                assert!(far <= limit, "{depth}: {a} {b} on {}", device.name());
            }
        }
    }
}
