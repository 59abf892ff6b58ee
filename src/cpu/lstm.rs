//! UNIDIRECTIONAL_SEQUENCE_LSTM: the input projection of all steps as one product, then the steps, from the state that the
//! caller gives: for every sample zero, unless a session carries states on. Rows of a step are the samples (times the model's own batch), so the recurrence is a product too.

use super::gemm_i8::WeightsI8;
use super::hybrid::quantize_row;
use super::math::{sigmoid, tanh};
use super::memory::Scratch;
use super::product::Packed;
use super::requantize::Requantize;
use crate::kernel::{HybridLstm, LstmF32, LstmI8};
use crate::num::Multiplier;
use crate::num::fixed::rounding_divide_by_pot;

/// Results of an LSTM: the outputs of all steps and the state after the last. The states come in as they are before the
/// first step.
pub struct Output<'a, T, C> {
    /// `[samples][rows][cells]`.
    pub output: &'a mut [T],
    /// Output state, `[samples][batch][cells]`.
    pub hidden: &'a mut [T],
    /// Cell state.
    pub cell: &'a mut [C],
}

/// The float layer with packed weights.
#[derive(Debug)]
pub struct Lstm {
    /// None for a hybrid layer.
    input: Option<Packed>,
    recurrent: Packed,
    cells: usize,
}

/// No activation is fused into these products.
const OPEN: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

impl Lstm {
    /// Packs the weights once.
    pub fn new(k: &LstmF32) -> Self {
        Self {
            input: (k.hybrid.is_none()).then(|| Packed::new(&k.input_weights, 1, &k.bias)),
            recurrent: Packed::new(&k.recurrent_weights, 1, &vec![0.0; k.bias.len()]),
            cells: k.shape.cells,
        }
    }

    /// Runs all samples in `x`; `see` is shown the cell states after each step. `room` is for the gates.
    pub fn run(
        &self,
        k: &LstmF32,
        x: &[f32],
        out: &mut Output<'_, f32, f32>,
        room: &mut [f32],
        mut see: impl FnMut(&[f32]),
    ) {
        let s = &k.shape;
        let (cells, gates, per_sample) = (s.cells, 4 * s.cells, s.rows());
        let projected: &[f32] = match &self.input {
            Some(input) => {
                input.rows(x, room, OPEN);
                room
            }
            None => x,
        };
        let samples = projected.len() / (per_sample * gates);
        let mut hidden = out.hidden.to_vec();
        let from_zero = hidden.iter().all(|&h| h == 0.0);
        let mut step = vec![0.0; samples * s.batch * gates];
        let entries = || (0..samples).flat_map(|sample| (0..s.batch).map(move |b| (sample, b)));
        for t in 0..s.time {
            // The states' layout [samples][batch] is that of a step's rows.
            for ((sample, b), step) in entries().zip(step.chunks_exact_mut(gates)) {
                let row = sample * per_sample + s.row(t, b);
                step.copy_from_slice(&projected[row * gates..][..gates]);
            }
            match k.hybrid {
                _ if t == 0 && from_zero => {}
                None => self.recurrent.add_rows(&hidden, &mut step),
                Some(hybrid) => self.add_hybrid(hybrid, &hidden, &mut step),
            }
            for ((step, hidden), cell) in step
                .chunks_exact(gates)
                .zip(hidden.chunks_exact_mut(cells))
                .zip(out.cell.chunks_exact_mut(cells))
            {
                advance(step, k.cell_clip, cell, hidden);
            }
            see(out.cell);
            for ((sample, b), hidden) in entries().zip(hidden.chunks_exact(cells)) {
                let row = sample * per_sample + s.row(t, b);
                out.output[row * cells..][..cells].copy_from_slice(hidden);
            }
        }
        out.hidden.copy_from_slice(&hidden);
    }

    /// Adds what rows of hidden states give to the gates, quantizing each row.
    fn add_hybrid(&self, k: HybridLstm, hidden: &[f32], step: &mut [f32]) {
        let cells = self.cells;
        let mut codes = vec![0.0; hidden.len()];
        let mut sums = vec![0.0; step.len()];
        let rows = hidden
            .chunks_exact(cells)
            .zip(codes.chunks_exact_mut(cells));
        let scales: Vec<f32> = rows
            .map(|(x, codes)| quantize_row(k.symmetric, x, codes))
            .collect();
        self.recurrent.rows(&codes, &mut sums, OPEN);
        let rows = step
            .chunks_exact_mut(4 * cells)
            .zip(sums.chunks_exact(4 * cells));
        for ((step, sums), row) in rows.zip(scales) {
            let gates = step.chunks_exact_mut(cells).zip(sums.chunks_exact(cells));
            for ((step, sums), scale) in gates.zip(k.scales) {
                let scale = scale * row;
                step.iter_mut()
                    .zip(sums)
                    .for_each(|(x, sum)| *x += sum * scale);
            }
        }
    }
}

/// One step of one row's cells, from its summed gates.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx512dq", "x86_64+avx2"))]
fn advance(gates: &[f32], clip: f32, cell: &mut [f32], hidden: &mut [f32]) {
    let cells = cell.len();
    let hidden = &mut hidden[..cells];
    let (i, rest) = gates.split_at(cells);
    let (f, rest) = rest.split_at(cells);
    let (g, o) = rest.split_at(cells);
    let o = &o[..cells];
    for j in 0..cells {
        let c = sigmoid(f[j]) * cell[j] + sigmoid(i[j]) * tanh(g[j]);
        let c = if c > clip { clip } else { c };
        let c = if c < -clip { -clip } else { c };
        cell[j] = c;
        hidden[j] = sigmoid(o[j]) * tanh(c);
    }
}

/// One gate's contribution, saturated to 16 bits as the reference does after each product.
fn add_gate(acc: i32, multiplier: Multiplier, gate: i16) -> i16 {
    let sum = multiplier.apply(acc).saturating_add(i32::from(gate));
    sum.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// What happens to one cell in one step, gates already summed: (cell, hidden).
fn update(k: &LstmI8, [i, f, g, o]: [i16; 4], cell: i16) -> (i16, i8) {
    let look = |table: &[i16], x: i16| i32::from(table[usize::from(x as u16)]);
    let (i, f, o) = (
        look(&k.logistic, i),
        look(&k.logistic, f),
        look(&k.logistic, o),
    );
    let g = look(&k.tanh_gate, g);
    let kept = rounding_divide_by_pot(f * i32::from(cell), 15) as i16;
    let new = rounding_divide_by_pot(i * g, 30 + k.cell_exponent) as i16;
    let mut cell = kept.saturating_add(new);
    if k.cell_clip > 0 {
        cell = cell.clamp(-k.cell_clip, k.cell_clip);
    }
    let hidden = k
        .hidden_multiplier
        .apply(o * look(&k.tanh_cell, cell))
        .saturating_add(k.hidden_zero_point);
    (cell, hidden.clamp(-128, 127) as i8)
}

/// The definition of the integer LSTM: 8-bit activations, 16-bit gates and cell.
pub fn i8(k: &LstmI8, x: &[i8], out: &mut Output<'_, i8, i16>) {
    let s = &k.shape;
    let (cells, per_sample) = (s.cells, s.rows());
    let dot = |a: &[i8], b: &[i8], start: i32| {
        a.iter().zip(b).fold(start, |acc, (&a, &b)| {
            acc.wrapping_add(i32::from(a) * i32::from(b))
        })
    };
    for (sample, x) in x.chunks_exact(per_sample * s.input).enumerate() {
        for b in 0..s.batch {
            let state = (sample * s.batch + b) * cells;
            for t in 0..s.time {
                let x = &x[s.row(t, b) * s.input..][..s.input];
                let before = out.hidden[state..state + cells].to_vec();
                for j in 0..cells {
                    let gate = |gate: usize| {
                        let row = gate * cells + j;
                        let from_input = dot(
                            x,
                            &k.input_weights[row * s.input..][..s.input],
                            k.input_bias[row],
                        );
                        let from_state = dot(
                            &before,
                            &k.recurrent_weights[row * cells..][..cells],
                            k.recurrent_bias[row],
                        );
                        let sum = add_gate(from_input, k.input_multipliers[gate], 0);
                        add_gate(from_state, k.recurrent_multipliers[gate], sum)
                    };
                    let (cell, hidden) =
                        update(k, [gate(0), gate(1), gate(2), gate(3)], out.cell[state + j]);
                    out.cell[state + j] = cell;
                    out.hidden[state + j] = hidden;
                    out.output[(sample * per_sample + s.row(t, b)) * cells + j] = hidden;
                }
            }
        }
    }
}

/// The fast integer LSTM: all products of a step at once.
#[derive(Debug)]
pub struct FastLstmI8 {
    input: (WeightsI8, Requantize),
    recurrent: (WeightsI8, Requantize),
}

impl FastLstmI8 {
    /// Converts the weights once.
    pub fn new(k: &LstmI8) -> Self {
        let (cells, gates) = (k.shape.cells, 4 * k.shape.cells);
        let half = |weights: &[i8], bias: &[i32], multipliers: &[Multiplier; 4]| {
            let requantize = Requantize::new(bias, |row| multipliers[row / cells]);
            (WeightsI8::new(weights, gates), requantize)
        };
        Self {
            input: half(&k.input_weights, &k.input_bias, &k.input_multipliers),
            recurrent: half(
                &k.recurrent_weights,
                &k.recurrent_bias,
                &k.recurrent_multipliers,
            ),
        }
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &LstmI8, x: &[i8], out: &mut Output<'_, i8, i16>, scratch: &mut Scratch) {
        let s = &k.shape;
        let (cells, gates) = (s.cells, 4 * s.cells);
        let samples = x.len() / (s.rows() * s.input);
        let mut acc = std::mem::take(&mut scratch.acc);
        let (weights, requantize) = &self.input;
        weights.multiply(x, samples * s.rows(), &mut acc, scratch);
        // Each half of a gate is saturated to 16 bits, as the reference does after each product.
        let mut projected = std::mem::take(&mut scratch.projected);
        projected.clear();
        projected.resize(acc.len(), 0);
        requantize.add_to_i16(&acc, &mut projected);
        let (weights, requantize) = &self.recurrent;
        let mut step = vec![0i16; samples * s.batch * gates];
        for t in 0..s.time {
            let row = |entry: usize| entry / s.batch * s.rows() + s.row(t, entry % s.batch);
            for (entry, step) in step.chunks_exact_mut(gates).enumerate() {
                step.copy_from_slice(&projected[row(entry) * gates..][..gates]);
            }
            weights.multiply(out.hidden, samples * s.batch, &mut acc, scratch);
            requantize.add_to_i16(&acc, &mut step);
            for (entry, step) in step.chunks_exact(gates).enumerate() {
                let state = entry * cells..(entry + 1) * cells;
                let (hidden, cell) = (&mut out.hidden[state.clone()], &mut out.cell[state]);
                for j in 0..cells {
                    let gates = [0, 1, 2, 3].map(|gate| step[gate * cells + j]);
                    (cell[j], hidden[j]) = update(k, gates, cell[j]);
                }
                out.output[row(entry) * cells..][..cells].copy_from_slice(hidden);
            }
        }
        (scratch.acc, scratch.projected) = (acc, projected);
    }
}
