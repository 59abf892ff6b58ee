//! UNIDIRECTIONAL_SEQUENCE_LSTM: the input projection of all steps as one product, then the steps; every sample's state
//! starts from zero. Rows of a step are the samples (times the model's own batch), so the recurrence is a product too.

use super::gemm::{ExactWeights, matrix, matrix_mut, multiply};
use super::math::{sigmoid, tanh};
use crate::kernel::{LstmF32, LstmI8, LstmShape};
use crate::num::fixed::rounding_divide_by_pot;
use ndarray::{Array2, ArrayView3, ArrayViewMut3, Axis};

/// Results of an LSTM: the outputs of all steps and the state after the last.
pub struct Output<'a, T, C> {
    /// `[samples][rows][cells]`.
    pub output: &'a mut [T],
    /// Output state, `[samples][batch][cells]`.
    pub hidden: &'a mut [T],
    /// Cell state.
    pub cell: &'a mut [C],
}

/// Position of a step's first row and the distance between its rows, for one sample.
fn rows_of_step(s: &LstmShape, t: usize) -> impl Iterator<Item = usize> + '_ {
    (0..s.batch).map(move |b| s.row(t, b))
}

/// Float; `see` is shown the cell states after each step.
pub fn f32(k: &LstmF32, x: &[f32], out: &mut Output<'_, f32, f32>, mut see: impl FnMut(&[f32])) {
    let s = &k.shape;
    let (cells, gates, per_sample) = (s.cells, 4 * s.cells, s.rows());
    let samples = x.len() / (per_sample * s.input);
    let mut projected = vec![0.0; samples * per_sample * gates];
    for row in projected.chunks_exact_mut(gates) {
        row.copy_from_slice(&k.bias);
    }
    multiply(
        matrix(x, samples * per_sample, s.input),
        matrix(&k.input_weights, gates, s.input),
        &mut matrix_mut(&mut projected, samples * per_sample, gates),
        true,
    );
    let recurrent = matrix(&k.recurrent_weights, gates, cells);
    let mut step = vec![0.0; samples * s.batch * gates];
    out.hidden.fill(0.0);
    out.cell.fill(0.0);
    for t in 0..s.time {
        // The states' layout [samples][batch] is that of a step's rows.
        let mut at = step.chunks_exact_mut(gates);
        for sample in 0..samples {
            for row in rows_of_step(s, t) {
                let from = &projected[(sample * per_sample + row) * gates..][..gates];
                at.next()
                    .expect("one row a sample and batch entry")
                    .copy_from_slice(from);
            }
        }
        if t > 0 {
            let hidden = matrix(out.hidden, samples * s.batch, cells);
            multiply(
                hidden,
                recurrent,
                &mut matrix_mut(&mut step, samples * s.batch, gates),
                true,
            );
        }
        for ((step, hidden), cell) in step
            .chunks_exact(gates)
            .zip(out.hidden.chunks_exact_mut(cells))
            .zip(out.cell.chunks_exact_mut(cells))
        {
            let (i, rest) = step.split_at(cells);
            let (f, rest) = rest.split_at(cells);
            let (g, o) = rest.split_at(cells);
            for j in 0..cells {
                let c = sigmoid(f[j]) * cell[j] + sigmoid(i[j]) * tanh(g[j]);
                let c = if c > k.cell_clip { k.cell_clip } else { c };
                let c = if c < -k.cell_clip { -k.cell_clip } else { c };
                cell[j] = c;
                hidden[j] = sigmoid(o[j]) * tanh(c);
            }
        }
        see(out.cell);
        let mut hidden = out.hidden.chunks_exact(cells);
        for sample in 0..samples {
            for row in rows_of_step(s, t) {
                let to = &mut out.output[(sample * per_sample + row) * cells..][..cells];
                to.copy_from_slice(hidden.next().expect("one row a sample and batch entry"));
            }
        }
    }
}

/// One gate's contribution, saturated to 16 bits as the reference does after each product.
fn add_gate(acc: i32, multiplier: crate::num::Multiplier, gate: i16) -> i16 {
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
    out.hidden.fill(k.state_zero_point as i8);
    out.cell.fill(0);
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

/// The integer LSTM on float units, exactly.
#[derive(Debug)]
pub struct FastLstmI8 {
    input: ExactWeights,
    recurrent: ExactWeights,
}

impl FastLstmI8 {
    /// Converts the weights once.
    pub fn new(k: &LstmI8) -> Self {
        Self {
            input: ExactWeights::new(&k.input_weights, 4 * k.shape.cells),
            recurrent: ExactWeights::new(&k.recurrent_weights, 4 * k.shape.cells),
        }
    }

    /// Runs all samples in `x`.
    pub fn run(&self, k: &LstmI8, x: &[i8], out: &mut Output<'_, i8, i16>) {
        let s = &k.shape;
        let (cells, gates) = (s.cells, 4 * s.cells);
        let samples = x.len() / (s.rows() * s.input);
        let to_float = |v: &i8| f32::from(*v);
        let floats: Vec<f32> = x.iter().map(to_float).collect();
        let (mut acc, mut scratch) = (Vec::new(), Vec::new());
        self.input
            .multiply(&floats, samples * s.rows(), &mut acc, &mut scratch);
        let projected: Vec<i16> = acc
            .iter()
            .enumerate()
            .map(|(e, &a)| {
                let row = e % gates;
                add_gate(
                    a.wrapping_add(k.input_bias[row]),
                    k.input_multipliers[row / cells],
                    0,
                )
            })
            .collect();
        let projected =
            ArrayView3::from_shape((samples, s.rows(), gates), &projected).expect("sized above");
        let mut output = ArrayViewMut3::from_shape((samples, s.rows(), cells), &mut *out.output)
            .expect("the session sizes outputs by the kernel's shape");
        out.hidden.fill(k.state_zero_point as i8);
        out.cell.fill(0);
        let mut state: Array2<f32> = Array2::zeros((samples * s.batch, cells));
        for t in 0..s.time {
            state
                .iter_mut()
                .zip(out.hidden.iter())
                .for_each(|(f, h)| *f = to_float(h));
            let state = state.as_slice().expect("standard layout");
            self.recurrent
                .multiply(state, samples * s.batch, &mut acc, &mut scratch);
            for (entry, acc) in acc.chunks_exact(gates).enumerate() {
                let (sample, row) = (entry / s.batch, s.row(t, entry % s.batch));
                let input = projected.index_axis(Axis(0), sample);
                let input = input.row(row);
                for j in 0..cells {
                    let gate = |g: usize| {
                        let at = g * cells + j;
                        add_gate(
                            acc[at].wrapping_add(k.recurrent_bias[at]),
                            k.recurrent_multipliers[g],
                            input[at],
                        )
                    };
                    let at = entry * cells + j;
                    let (cell, hidden) =
                        update(k, [gate(0), gate(1), gate(2), gate(3)], out.cell[at]);
                    out.cell[at] = cell;
                    out.hidden[at] = hidden;
                    output[[sample, row, j]] = hidden;
                }
            }
        }
    }
}
