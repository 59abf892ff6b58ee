//! Products where the ways that devices take differ most: large magnitudes, long sums, tiles, matrix units.

use super::case::{Random, agree, program, run};
use super::*;

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
                    shift: 1,
                    ..Multiplier::default()
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
