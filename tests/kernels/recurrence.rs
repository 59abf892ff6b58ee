//! LSTMs.

use super::case::{Random, agree, program};
use super::*;

fn lstm(random: &mut Random, shape: LstmShape, samples: usize, devices: &[Box<dyn Device>]) {
    let (cells, rows) = (shape.cells, shape.rows());
    let (inputs, outputs, states) = (rows * shape.input, rows * cells, shape.batch * cells);
    let scale = |n: usize| 1.0 / (n as f32).sqrt();
    let scaled = |v: Vec<f32>, s: f32| v.into_iter().map(|x| x * s).collect::<Vec<f32>>();
    let kernel = Kernel::LstmF32(LstmF32 {
        shape,
        hybrid: None,
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
        hybrid: None,
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
