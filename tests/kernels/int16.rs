//! Products of int16 with int8 weights: sums of up to 47 bits, and every way to the output.

use super::*;
use zeropoint::kernel::{Conv, ConvI16, Int16, Scales};

/// Any int16, a third of them extreme.
fn i16s(random: &mut Random, n: usize) -> Vec<i16> {
    let mut one = || match random.below(6) {
        0 => i16::MIN,
        1 => i16::MAX,
        _ => random.u32() as i16,
    };
    (0..n).map(|_| one()).collect()
}

fn product(random: &mut Random, kind: Conv, shape: ConvShape, devices: &[Box<dyn Device>]) {
    let out_c = shape.out_c as usize;
    let depth = match kind {
        Conv::Full => shape.depth(),
        Conv::Depthwise => (shape.k_h * shape.k_w) as usize,
    };
    let samples = 1 + random.below(4) as usize;
    let (inputs, outputs) = (input_elements(&shape), shape.pixels() * out_c);
    let narrow = random.below(3) == 0;
    // As large as the sums, or as large as biases may be.
    let bits = [24, 30, 46][random.below(if narrow { 2 } else { 3 }) as usize];
    let bias = (0..out_c).map(|_| {
        let wide = i64::from(random.u32()) << 32 | i64::from(random.u32());
        wide >> (63 - bits)
    });
    let bias: Vec<i64> = bias.collect();
    let largest = 2f64.powi(bits) + 3e6 * (depth as f64).sqrt();
    // Within the range, beyond it, and far below.
    let real = [2e4, 2e5, 3.0][random.below(3) as usize] / largest;
    let scales = if random.below(3) == 0 {
        let double = |_| real * 4f64.powf(f64::from(random.f32()));
        Scales::Doubles((0..out_c).map(double).collect())
    } else {
        Scales::Multipliers(random.multipliers(out_c, real))
    };
    let kernel = Kernel::Int16(Int16::Conv(ConvI16 {
        kind,
        shape,
        weights: random.i8s(out_c * depth),
        bias,
        narrow,
        scales,
        bounds: (
            [-32768, 0][random.below(2) as usize],
            [32767, 20000][random.below(2) as usize],
        ),
    }));
    let x = Values::I16(i16s(random, samples * inputs));
    let program = program(
        kernel,
        (inputs, DType::I16),
        &[(outputs, DType::I16, false)],
    );
    agree(&program, samples, &x, devices);
}

#[test]
fn windows_of_int16() {
    let devices = support::devices();
    let mut random = Random(21);
    for i in 0..120 {
        let depthwise = i % 2 == 1;
        let kind = if depthwise {
            Conv::Depthwise
        } else {
            Conv::Full
        };
        let shape = geometry(&mut random, depthwise);
        product(&mut random, kind, shape, &devices);
    }
}

#[test]
fn rows_of_int16() {
    let devices = support::devices();
    let mut random = Random(22);
    // A sum longer than llvmpipe's loops comes last.
    let sizes = (0..60).map(|_| [7, 300, 90]).chain([[1, 100_000, 3]]);
    for (i, most) in sizes.enumerate() {
        let [rows, depth, units] = match i {
            60 => most,
            _ => most.map(|n| 1 + random.below(n)),
        };
        let shape = ConvShape {
            batch: 1,
            in_h: 1,
            in_w: rows,
            in_c: depth,
            out_h: 1,
            out_w: rows,
            out_c: units,
            k_h: 1,
            k_w: 1,
            stride_h: 1,
            stride_w: 1,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: 0,
            pad_left: 0,
            group_in: depth,
            group_out: units,
        };
        product(&mut random, Conv::Full, shape, &devices);
    }
}
