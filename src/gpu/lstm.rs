//! UNIDIRECTIONAL_SEQUENCE_LSTM: the inputs of all steps are projected by one matrix product ([`super::product`]), then
//! `shaders/{f32,int8}/lstm.wgsl` takes eight sequences a workgroup through time.
//!
//! On the device the four gates of a cell lie together (`[row][cell][gate]`), so that an invocation reads them at once;
//! in the prepared kernel they are stacked (`[gate][cell]`).

use super::launch::{Binding, Launch, Op, Params, Trace};
use super::product::{Finish, Io, Pack, ProductF32, ProductI8, plain};
use super::shader::{Source, embed};
use crate::kernel::{ConvShape, LstmF32, LstmI8, LstmShape};
use std::ops::Range;

pub(super) const SHADERS: &[Source] = &[
    embed!("f32/lstm"),
    embed!("f32/lstm_hybrid"),
    embed!("int8/lstm"),
];

/// Iterations of loops that an invocation may make in one launch, by the count below: llvmpipe silently ends them at
/// 65 535 in all, and compiled loops count a few more.
const ITERATIONS: usize = 30_000;

/// Invocations of a workgroup.
const INVOCATIONS: usize = 128;

/// Sequences that a workgroup takes.
const SEQUENCES: usize = 8;

/// Cells whose hidden states fit into 16 KiB of workgroup memory, float: 64 bytes each.
const CELLS_F32: usize = 256;

/// The same for int8: 32 bytes for four.
const CELLS_I8: usize = 2048;

/// Float.
pub(super) fn f32(op: Op<'_>, k: &LstmF32) -> Vec<Launch> {
    let shape = &k.shape;
    let (rows, cells) = (shape.rows(), shape.cells);
    let (gates, mut launches) = match k.hybrid {
        Some(_) => (op.read(0), Vec::new()),
        None => projection(op, k),
    };

    // Only a calibration wants the cell states of all steps.
    let step = shape.batch * cells;
    let (trace_words, trace_step) = if op.ranges {
        (shape.time * step, step)
    } else {
        (step, 0)
    };
    let params = |steps: Range<usize>| {
        Params::default()
            .u32(sizes(shape))
            .u32([trace_words as u32, trace_step as u32])
            .u32([u32::from(k.cell_clip.is_finite())])
            .f32([k.cell_clip])
            .u32([steps.start as u32, steps.end as u32])
            .f32(k.hybrid.map_or([0.0; 4], |hybrid| hybrid.scales))
            .u32([u32::from(k.hybrid.is_some_and(|hybrid| hybrid.symmetric))])
    };
    let recurrent = by_cell(&k.recurrent_weights, cells);
    let mut weights = Vec::with_capacity(recurrent.len() * 4);
    for column in 0..cells {
        for row in 0..cells * 4 {
            weights.extend(recurrent[row * cells + column].to_le_bytes());
        }
    }
    let bindings = [
        Binding::Constant(weights),
        gates,
        scratch(1, trace_words),
        op.write(0),
        op.write(1),
        op.write(2),
    ];
    let room = (cells <= CELLS_F32).then_some(cells);
    let loads = cells / 4 + cells % 4;
    // Quantizing a row takes one loop over its cells, and three long divisions.
    let around = k.hybrid.map_or(0, |_| cells + 300);
    let shader = match k.hybrid {
        None => "f32/lstm",
        Some(_) => "f32/lstm_hybrid",
    };
    let recurrence = recurrence(shader, shape, params, &bindings, room, (loads, around));
    launches.extend(recurrence);
    // Of the last launch, after which all steps are there.
    if let Some(launch) = launches.last_mut().filter(|_| op.ranges) {
        launch.traces = vec![
            Trace {
                binding: 3,
                tensor: op.step.outputs[2],
                words: trace_words,
            },
            Trace {
                binding: 4,
                tensor: op.step.outputs[1],
                words: rows * cells,
            },
        ];
    }
    launches
}

/// The projection of the inputs of all steps, as a matrix product.
pub(super) fn projected(shape: &LstmShape) -> ConvShape {
    plain(shape.rows(), shape.input, shape.cells * 4)
}

/// The gates that the inputs of all steps give, and the launches that compute them.
fn projection(op: Op<'_>, k: &LstmF32) -> (Binding, Vec<Launch>) {
    let (rows, cells) = (k.shape.rows(), k.shape.cells);
    let gates = scratch(0, rows * cells * 4);
    let input_weights = by_cell(&k.input_weights, cells);
    let product = ProductF32 {
        shape: projected(&k.shape),
        weights: &input_weights,
        bias: &by_cell(&k.bias, cells),
        bounds: (f32::NEG_INFINITY, f32::INFINITY),
    };
    let io = Io {
        input: op.read(0),
        in_stride: op.input_stride(0),
        output: gates.clone(),
    };
    (gates, product.launches(io, op.tiles))
}

/// int8.
pub(super) fn i8(op: Op<'_>, k: &LstmI8) -> Vec<Launch> {
    let shape = &k.shape;
    let (rows, cells) = (shape.rows(), shape.cells);
    let quads = cells.div_ceil(4);
    let in_workgroup = cells <= CELLS_I8;
    let states = shape.batch * cells;
    let gates = scratch(0, rows * cells * 4);
    let hidden = scratch(1, rows * cells);
    let last = scratch(2, states * 2);
    let packed = scratch(3, if in_workgroup { 1 } else { shape.batch * quads });

    let input_weights = by_cell(&k.input_weights, cells);
    let input_bias = by_cell(&k.input_bias, cells);
    let multipliers: Vec<_> = (0..cells * 4).map(|i| k.input_multipliers[i % 4]).collect();
    let product = ProductI8 {
        shape: projected(shape),
        weights: &input_weights,
        bias: &input_bias,
        // It is in the bias.
        input_zero_point: 0,
        finish: Finish::Multipliers {
            multipliers: &multipliers,
            output_zero_point: 0,
            bounds: (i32::from(i16::MIN), i32::from(i16::MAX)),
        },
    };
    let io = Io {
        input: op.read(0),
        in_stride: op.input_stride(0),
        output: gates.clone(),
    };
    let projection = product.launch(io, false, op.tiles);

    let params = |steps: Range<usize>| {
        Params::default()
            .i32(k.recurrent_multipliers.map(|m| m.mantissa))
            .i32(k.recurrent_multipliers.map(|m| m.shift))
            .u32(sizes(shape))
            .i32([
                k.hidden_multiplier.mantissa,
                k.hidden_multiplier.shift,
                k.hidden_zero_point,
                k.state_zero_point,
                30 + k.cell_exponent,
                i32::from(k.cell_clip),
            ])
            .u32([steps.start as u32, steps.end as u32])
            // Up to the alignment of the struct.
            .u32([0; 3])
    };
    let recurrent = by_cell(&k.recurrent_weights, cells);
    let mut weights = Vec::with_capacity(recurrent.len().next_multiple_of(16));
    for quad in 0..quads {
        for row in recurrent.chunks_exact(cells) {
            weights.extend((quad * 4..quad * 4 + 4).map(|c| row.get(c).map_or(0, |&w| w as u8)));
        }
    }
    let tables = [&k.logistic, &k.tanh_gate, &k.tanh_cell];
    let tables = tables
        .iter()
        .flat_map(|t| t.iter().flat_map(|v| v.to_le_bytes()));
    let bindings = [
        Binding::Constant(weights),
        Params::default()
            .i32(by_cell(&k.recurrent_bias, cells))
            .binding(),
        Binding::Constant(tables.collect()),
        gates,
        hidden.clone(),
        last.clone(),
        packed,
    ];
    let pack = |bits, elements, output: usize, in_stride, in_offset| Pack {
        bits,
        elements,
        words: op.words(op.step.outputs[output]),
        in_stride,
        in_offset,
    };
    let mut launches = vec![projection];
    let room = in_workgroup.then_some(quads);
    launches.extend(recurrence(
        "int8/lstm",
        shape,
        params,
        &bindings,
        room,
        (quads, 0),
    ));
    launches.extend([
        pack(8, rows * cells, 0, rows * cells, 0).launch(hidden, op.write(0)),
        pack(8, states, 1, states * 2, 0).launch(last.clone(), op.write(1)),
        pack(16, states, 2, states * 2, states).launch(last, op.write(2)),
    ]);
    launches
}

/// The recurrence, in as few launches as its loops allow: `loads` iterations a cell and step, `around` a step. Workgroup memory has room
/// for `room` cells or quads of cells; without, the hidden states go through storage.
fn recurrence(
    shader: &'static str,
    shape: &LstmShape,
    params: impl Fn(Range<usize>) -> Params,
    bindings: &[Binding],
    room: Option<usize>,
    (loads, around): (usize, usize),
) -> Vec<Launch> {
    let (time, batch) = (shape.time, shape.batch);
    let turns = shape.cells.div_ceil(INVOCATIONS);
    // Packing hidden states takes another iteration for each 16 that multiply them, and there are the loops around.
    let iterations = turns * (loads + 1) + loads.div_ceil(16) + 2 + around;
    let steps = (ITERATIONS / iterations).max(1);
    (0..time)
        .step_by(steps)
        .map(|from| {
            let mut all = vec![params(from..(from + steps).min(time)).binding()];
            all.extend_from_slice(bindings);
            Launch::groups(shader, all, move |samples| {
                (samples * batch).div_ceil(SEQUENCES)
            })
            .with("IN_WORKGROUP", f64::from(room.is_some()))
            .with("CAPACITY", room.unwrap_or(1) as f64)
        })
        .collect()
}

/// The words on sizes that both parameter structs have.
fn sizes(shape: &LstmShape) -> [u32; 5] {
    let (time_stride, batch_stride) = if shape.time_major {
        (shape.batch, 1)
    } else {
        (1, shape.time)
    };
    // Sizes of tensors were checked to fit when the graph was loaded.
    [
        shape.time,
        shape.batch,
        shape.cells,
        time_stride,
        batch_stride,
    ]
    .map(|n| n as u32)
}

fn scratch(slot: usize, words: usize) -> Binding {
    Binding::Scratch {
        slot,
        bytes_per_sample: words * 4,
    }
}

/// Rows stacked by gate, `[4][cells][…]`, in the order of the cells, `[cells][4][…]`.
fn by_cell<T: Copy>(stacked: &[T], cells: usize) -> Vec<T> {
    let length = stacked.len() / (cells * 4);
    let row = |i: usize| (i % 4 * cells + i / 4) * length;
    (0..cells * 4)
        .flat_map(|i| &stacked[row(i)..row(i) + length])
        .copied()
        .collect()
}
