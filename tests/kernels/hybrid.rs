//! Rows of floats as whole numbers: equal on every device, also where a zero point lies in the middle between two.

use super::case::{Random, agree, program};
use super::*;

/// Values of a row whose range is hard: as wide on both sides of zero, in steps, or on one side only.
fn row(random: &mut Random, depth: usize) -> Vec<f32> {
    let size = 10f32.powf(random.f32() * 20.0);
    let mut x: Vec<f32> = random.f32s(depth).iter().map(|x| x * size).collect();
    match random.below(6) {
        0 => {
            x[0] = size;
            x[depth - 1] = -size;
        }
        1 => x.iter_mut().for_each(|x| *x = x.abs()),
        2 => x.iter_mut().for_each(|x| *x = -x.abs()),
        3 => x.iter_mut().for_each(|x| *x = (*x / size * 16.0).round()),
        4 => {
            // Ranges whose zero point is nearly half an integer, which rounding in double decides.
            let k = random.below(255) as f32 + 0.5;
            x[0] = -size * k;
            x[depth - 1] = size * (255.0 - k);
        }
        _ => {}
    }
    x
}

#[test]
fn rows_as_whole_numbers() {
    let devices = support::devices();
    let mut random = Random(77);
    for depth in [1, 2, 3, 17, 9000, 20_000] {
        for symmetric in [false, true] {
            let rows = (6000 / depth).max(3);
            let samples = 2;
            let kernel = Kernel::RowQuantize(RowQuantize {
                rows,
                depth,
                symmetric,
            });
            let outputs = [(rows * depth, DType::F32, false), (rows, DType::F32, false)];
            let program = program(kernel, (rows * depth, DType::F32), &outputs);
            let x = (0..samples * rows).flat_map(|_| row(&mut random, depth));
            agree(&program, samples, &Values::F32(x.collect()), &devices);
        }
    }
}
