// The recurrence of UNIDIRECTIONAL_SEQUENCE_LSTM in float; the projections of the inputs, bias included, are there.
//
// A workgroup takes eight sequences through time (a sequence is one entry of the model's batch in one sample), so that a
// weight that is loaded serves eight of them. An invocation owns a cell, or several, one after the other: its four
// gates (input, forget, cell, output: the components of a vector) in all eight sequences. The hidden states of one
// step are in workgroup memory, twice, or where there are too many cells read back from the output; the cell states
// are written by the invocation that reads them.
//
// Who imports it has the functions that float and whole weights differ in: `gates_of` (the gates of a row and cell from
// the input), `start` and `finish` (around the sum over the hidden states; `low` and `high` are the rows of the sequences), `prepare` (of the hidden states of a step)
// and `taken` (of those that are read back).
#import shared/run

// Whether the hidden states are in workgroup memory, and how many cells there is room for.
override IN_WORKGROUP: bool = true;
override CAPACITY: u32 = 256u;

struct Params {
    time: u32,
    batch: u32,
    cells: u32,
    // Rows from one step to the next, and from one entry of the batch to the next.
    time_stride: u32,
    batch_stride: u32,
    // Words of one sample in the cell states, and from one step to the next (0: only the last is kept).
    trace_sample: u32,
    trace_step: u32,
    // Whether the cell states are bounded, and by what.
    clipped: u32,
    clip: f32,
    // The steps of this launch.
    first_step: u32,
    end_step: u32,
    // Of whole weights: the scale of each gate, and whether hidden states have no zero point.
    scales: array<f32, 4>,
    symmetric: u32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// [k][cell]
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
// [sample][step][batch][cell]
@group(0) @binding(4) var<storage, read_write> trace: array<f32>;
// [sample][row][cell]
@group(0) @binding(5) var<storage, read_write> output: array<f32>;
// [sample][batch][cell]
@group(0) @binding(6) var<storage, read_write> output_state: array<f32>;
@group(0) @binding(7) var<storage, read_write> cell_state: array<f32>;

// [parity of the step][cell][8 sequences]
var<workgroup> hidden: array<vec4<f32>, CAPACITY * 4u>;


// The arguments are bounded so that no driver's exp overflows; at the bounds the results are 0 and 1 in float.
fn sigmoid(x: f32) -> f32 {
    return 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0)));
}

fn bounded_tanh(x: f32) -> f32 {
    return tanh(clamp(x, -15.0, 15.0));
}

// First row of a sequence; its rows follow every time_stride.
fn first_row(sequence: u32) -> u32 {
    return sequence / params.batch * params.time * params.batch + sequence % params.batch * params.batch_stride;
}

// One cell of a sequence one step further; the new hidden state.
fn advance(sequence: u32, cell: u32, step: u32, x: vec4<f32>) -> f32 {
    if (sequence >= run.samples * params.batch) {
        return 0.0;
    }
    let batch = params.batch;
    let at = sequence / batch * params.trace_sample + sequence % batch * params.cells + cell;
    var c = 0.0;
    if (step > 0u) {
        c = trace[at + (step - 1u) * params.trace_step];
    }
    c = sigmoid(x.y) * c + sigmoid(x.x) * bounded_tanh(x.z);
    if (params.clipped != 0u) {
        c = clamp(c, -params.clip, params.clip);
    }
    trace[at + step * params.trace_step] = c;
    let h = sigmoid(x.w) * bounded_tanh(c);
    output[(first_row(sequence) + step * params.time_stride) * params.cells + cell] = h;
    if (step + 1u == params.time) {
        output_state[sequence * params.cells + cell] = h;
        cell_state[sequence * params.cells + cell] = c;
    }
    return h;
}

// The hidden states of a cell in eight sequences.
struct Eight {
    low: vec4<f32>,
    high: vec4<f32>,
}

// The same, from the output: `low` and `high` are its rows.
fn from_output(cell: u32, low: vec4<u32>, high: vec4<u32>) -> Eight {
    let cells = params.cells;
    return Eight(
        vec4<f32>(
            output[low.x * cells + cell],
            output[low.y * cells + cell],
            output[low.z * cells + cell],
            output[low.w * cells + cell],
        ),
        vec4<f32>(
            output[high.x * cells + cell],
            output[high.y * cells + cell],
            output[high.z * cells + cell],
            output[high.w * cells + cell],
        ),
    );
}

// Adds what the hidden state `k` gives to the gates of a cell.
fn accumulate(
    k: u32,
    cell: u32,
    parity: u32,
    low: vec4<u32>,
    high: vec4<u32>,
    x: ptr<function, array<vec4<f32>, 8>>,
) {
    let w = weights[k * params.cells + cell];
    var h: Eight;
    if (IN_WORKGROUP) {
        let at = (parity * params.cells + k) * 2u;
        h = Eight(hidden[at], hidden[at + 1u]);
    } else {
        h = taken(from_output(k, low, high));
    }
    (*x)[0] += w * h.low.x;
    (*x)[1] += w * h.low.y;
    (*x)[2] += w * h.low.z;
    (*x)[3] += w * h.low.w;
    (*x)[4] += w * h.high.x;
    (*x)[5] += w * h.high.y;
    (*x)[6] += w * h.high.z;
    (*x)[7] += w * h.high.w;
}


fn remember(parity: u32, cell: u32, h: Eight) {
    if (IN_WORKGROUP) {
        let at = (parity * params.cells + cell) * 2u;
        hidden[at] = h.low;
        hidden[at + 1u] = h.high;
    }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let cells = params.cells;
    let sequences = run.samples * params.batch;
    let first = linear_workgroup(group_id, group_count) * 8u;
    if (first >= sequences) {
        return;
    }
    // First rows; sequences behind the end read what the last one reads and write nothing.
    let last = sequences - 1u;
    let low = vec4<u32>(
        first_row(first),
        first_row(min(first + 1u, last)),
        first_row(min(first + 2u, last)),
        first_row(min(first + 3u, last)),
    );
    let high = vec4<u32>(
        first_row(min(first + 4u, last)),
        first_row(min(first + 5u, last)),
        first_row(min(first + 6u, last)),
        first_row(min(first + 7u, last)),
    );
    if (params.first_step > 0u) {
        let before = vec4<u32>((params.first_step - 1u) * params.time_stride);
        for (var cell = t; cell < cells; cell += 128u) {
            remember((params.first_step - 1u) % 2u, cell, from_output(cell, low + before, high + before));
        }
        workgroupBarrier();
    }
    for (var step = params.first_step; step < params.end_step; step++) {
        let now = vec4<u32>(step * params.time_stride);
        let before = now - vec4<u32>(params.time_stride);
        let parity = (step + 1u) % 2u;
        if (step > 0u) {
            prepare(parity, low + before, high + before, t);
        }
        for (var cell = t; cell < cells; cell += 128u) {
            let now_low = low + now;
            let now_high = high + now;
            var x = array<vec4<f32>, 8>(
                gates_of(now_low.x, cell),
                gates_of(now_low.y, cell),
                gates_of(now_low.z, cell),
                gates_of(now_low.w, cell),
                gates_of(now_high.x, cell),
                gates_of(now_high.y, cell),
                gates_of(now_high.z, cell),
                gates_of(now_high.w, cell),
            );
            if (step > 0u) {
                start(&x);
                // Written out by fours: llvmpipe ends long loops.
                var k = 0u;
                for (; k + 3u < cells; k += 4u) {
                    accumulate(k, cell, parity, low + before, high + before, &x);
                    accumulate(k + 1u, cell, parity, low + before, high + before, &x);
                    accumulate(k + 2u, cell, parity, low + before, high + before, &x);
                    accumulate(k + 3u, cell, parity, low + before, high + before, &x);
                }
                for (; k < cells; k++) {
                    accumulate(k, cell, parity, low + before, high + before, &x);
                }
                finish(now_low, now_high, cell, &x);
            }
            let h = Eight(
                vec4<f32>(
                    advance(first, cell, step, x[0]),
                    advance(first + 1u, cell, step, x[1]),
                    advance(first + 2u, cell, step, x[2]),
                    advance(first + 3u, cell, step, x[3]),
                ),
                vec4<f32>(
                    advance(first + 4u, cell, step, x[4]),
                    advance(first + 5u, cell, step, x[5]),
                    advance(first + 6u, cell, step, x[6]),
                    advance(first + 7u, cell, step, x[7]),
                ),
            );
            remember(1u - parity, cell, h);
        }
        storageBarrier();
        workgroupBarrier();
    }
}
