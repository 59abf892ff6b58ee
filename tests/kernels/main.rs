//! Random kernels of the operators with products, on every device against the plain CPU kernels: strides, dilations,
//! padding, groups, odd channels, several samples, extreme values. Integers must be equal; floats agree within a bound
//! that grows with the length of the sums.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod hybrid;
mod int16;
mod product;
mod recurrence;
mod residual;

use case::{Random, agree, program};

use std::sync::Arc;
use zeropoint::cpu::Cpu;
use zeropoint::graph::{Graph, Move, Node, Op, Tensor};
use zeropoint::kernel::{
    ConvF32, ConvI8, ConvShape, Device, Feed, FullyConnected, FullyConnectedF32, FullyConnectedI8,
    Keep, Kernel, LstmF32, LstmI8, LstmShape, Program, RowQuantize, SessionConfig, Statistics,
    Step,
};
use zeropoint::num::{DType, Multiplier, Values, gemmlowp};

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
        multipliers: None,
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
