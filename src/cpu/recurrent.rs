//! UNIDIRECTIONAL_SEQUENCE_RNN in float and SVDF.

use super::conv::clamp;
use crate::graph::RnnActivation;
use crate::kernel::{RnnF32, SvdfF32, SvdfI8};

/// All samples; the state after them goes to `state`, `[samples][batch, cells]`.
pub fn rnn(k: &RnnF32, x: &[f32], y: &mut [f32], state: &mut [f32]) {
    let s = &k.shape;
    let samples = x.len() / (s.rows() * s.input);
    for sample in 0..samples {
        let x = &x[sample * s.rows() * s.input..][..s.rows() * s.input];
        let y = &mut y[sample * s.rows() * s.cells..][..s.rows() * s.cells];
        for b in 0..s.batch {
            let state = &mut state[(sample * s.batch + b) * s.cells..][..s.cells];
            state.fill(0.0);
            for t in 0..s.time {
                let row = s.row(t, b);
                let x = &x[row * s.input..][..s.input];
                let out = &mut y[row * s.cells..][..s.cells];
                for (cell, out) in out.iter_mut().enumerate() {
                    let dot =
                        |w: &[f32], v: &[f32]| -> f32 { w.iter().zip(v).map(|(w, v)| w * v).sum() };
                    let w = &k.input_weights[cell * s.input..][..s.input];
                    let r = &k.recurrent_weights[cell * s.cells..][..s.cells];
                    *out = k.bias[cell] + dot(w, x) + dot(r, state);
                }
                activate(k.activation, out);
                state.copy_from_slice(out);
            }
        }
    }
}

fn activate(activation: RnnActivation, y: &mut [f32]) {
    match activation {
        RnnActivation::None => {}
        RnnActivation::Relu => clamp(y, (0.0, f32::INFINITY)),
        RnnActivation::ReluN1To1 => clamp(y, (-1.0, 1.0)),
        RnnActivation::Relu6 => clamp(y, (0.0, 6.0)),
        RnnActivation::Tanh => y.iter_mut().for_each(|y| *y = y.tanh()),
    }
}

/// All samples; the state after them goes to `state`, `[samples][batch, filters, memory]`.
pub fn svdf(k: &SvdfF32, x: &[f32], y: &mut [f32], state: &mut [f32]) {
    let filters = k.units * k.rank;
    state.fill(0.0);
    let rows = x.chunks_exact(k.input).zip(y.chunks_exact_mut(k.units));
    for ((x, y), state) in rows.zip(state.chunks_exact_mut(filters * k.memory)) {
        y.copy_from_slice(&k.bias);
        for filter in 0..filters {
            let w = &k.feature_weights[filter * k.input..][..k.input];
            let feature: f32 = w.iter().zip(x).map(|(w, x)| w * x).sum();
            let last = (filter + 1) * k.memory - 1;
            state[last] = feature;
            y[filter / k.rank] += k.time_weights[last] * feature;
        }
    }
    clamp(y, k.bounds);
}

/// The definition of the int8 kernel; the state after it goes to `state`, `[samples][batch, filters, memory]`.
pub fn svdf_i8(k: &SvdfI8, x: &[i8], y: &mut [i8], state: &mut [i16]) {
    let filters = k.units * k.rank;
    state.fill(0);
    let rows = x.chunks_exact(k.input).zip(y.chunks_exact_mut(k.units));
    for ((x, y), state) in rows.zip(state.chunks_exact_mut(filters * k.memory)) {
        let mut sums = k.bias.clone();
        for filter in 0..filters {
            let w = &k.feature_weights[filter * k.input..][..k.input];
            let sum = w.iter().zip(x).fold(0i32, |sum, (&w, &x)| {
                sum.wrapping_add(i32::from(w) * (i32::from(x) - k.input_zero_point))
            });
            let feature = k.feature_multiplier.apply(sum).clamp(-32768, 32767);
            state[(filter + 1) * k.memory - 1] = feature as i16;
            let product = i32::from(k.last_time_weights[filter]).wrapping_mul(feature);
            let unit = &mut sums[filter / k.rank];
            *unit = unit.wrapping_add(product);
        }
        for (y, &sum) in y.iter_mut().zip(&sums) {
            let q = k.output_multiplier.apply(sum);
            *y = q.saturating_add(k.output_zero_point).clamp(-128, 127) as i8;
        }
    }
}
