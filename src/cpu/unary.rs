//! Functions of one element.

use super::math::{exp, sigmoid, tanh};
use crate::graph::Unary;
use crate::kernel::unary;

/// Each float.
pub fn f32(op: Unary, x: &[f32], y: &mut [f32]) {
    match op {
        Unary::Abs => each(x, y, f32::abs),
        Unary::Ceil => each(x, y, f32::ceil),
        Unary::Cos => each(x, y, f32::cos),
        Unary::Elu => each(x, y, |x| if x < 0.0 { x.exp_m1() } else { x }),
        Unary::Exp => each(x, y, f32::exp),
        Unary::Floor => each(x, y, f32::floor),
        Unary::Gelu { approximate: true } => each(x, y, unary::gelu_by_tanh),
        Unary::Gelu { approximate: false } => each(x, y, unary::gelu),
        Unary::HardSwish => vectors(x, y, Vectored::HardSwish),
        Unary::LeakyRelu { alpha } => vectors(x, y, Vectored::LeakyRelu(alpha)),
        Unary::Log => each(x, y, f32::ln),
        Unary::Logistic => vectors(x, y, Vectored::Logistic),
        Unary::Neg => each(x, y, |x| -x),
        Unary::Relu | Unary::Relu0To1 | Unary::Relu6 | Unary::ReluN1To1 => {
            vectors(x, y, Vectored::Clamp(op.bounds()));
        }
        Unary::Round => each(x, y, f32::round_ties_even),
        Unary::Rsqrt => each(x, y, |x| 1.0 / x.sqrt()),
        Unary::Sign => each(x, y, |x| {
            if x > 0.0 {
                1.0
            } else if x < 0.0 {
                -1.0
            } else {
                x * 0.0
            }
        }),
        Unary::Sin => each(x, y, f32::sin),
        Unary::Sqrt => each(x, y, f32::sqrt),
        Unary::Square => each(x, y, |x| x * x),
        Unary::Tanh => vectors(x, y, Vectored::Tanh),
        Unary::LogicalNot => unreachable!("kernel::prepare makes a table of it"),
    }
}

fn each(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = f(x));
}

/// What is worth vectors.
#[derive(Clone, Copy)]
enum Vectored {
    Clamp((f32, f32)),
    HardSwish,
    LeakyRelu(f32),
    Logistic,
    Tanh,
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn vectors(x: &[f32], y: &mut [f32], op: Vectored) {
    let pairs = y.iter_mut().zip(x);
    match op {
        Vectored::Clamp((low, high)) => {
            for (y, &x) in pairs {
                // Comparisons written so that NaN passes through and is noticed.
                let x = if x < low { low } else { x };
                *y = if x > high { high } else { x };
            }
        }
        Vectored::HardSwish => {
            for (y, &x) in pairs {
                let gate = x + 3.0;
                let gate = if gate < 0.0 { 0.0 } else { gate };
                let gate = if gate > 6.0 { 6.0 } else { gate };
                *y = x * gate / 6.0;
            }
        }
        Vectored::LeakyRelu(alpha) => {
            for (y, &x) in pairs {
                *y = if x < 0.0 { x * alpha } else { x };
            }
        }
        Vectored::Logistic => {
            for (y, &x) in pairs {
                // Far below, e^−x is clamped and 1 / (1 + e^−x) would not go to 0.
                *y = if x < -80.0 { exp(x) } else { sigmoid(x) };
            }
        }
        Vectored::Tanh => {
            for (y, &x) in pairs {
                *y = tanh(x);
            }
        }
    }
}
