// The recurrence of UNIDIRECTIONAL_SEQUENCE_LSTM in float; the projections of the inputs, bias included, are there.
//
// A workgroup takes eight sequences through time (a sequence is one entry of the model's batch in one sample), so that a
// weight that is loaded serves eight of them. An invocation owns a cell, or several, one after the other: its four
// gates (input, forget, cell, output: the components of a vector) in all eight sequences. The hidden states of one
// step are in workgroup memory, twice, or where there are too many cells read back from the output; the cell states
// are written by the invocation that reads them.
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
}

@group(0) @binding(1) var<storage, read> params: Params;
// [k][cell]
@group(0) @binding(2) var<storage, read> weights: array<vec4<f32>>;
// [sample][row][cell]
@group(0) @binding(3) var<storage, read_write> gates: array<vec4<f32>>;
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
    // Sequences behind the end read what the last one reads and write nothing.
    let last = sequences - 1u;
    let start = array<u32, 8>(
        first_row(first),
        first_row(min(first + 1u, last)),
        first_row(min(first + 2u, last)),
        first_row(min(first + 3u, last)),
        first_row(min(first + 4u, last)),
        first_row(min(first + 5u, last)),
        first_row(min(first + 6u, last)),
        first_row(min(first + 7u, last)),
    );
    for (var step = 0u; step < params.time; step++) {
        let now = step * params.time_stride;
        let read_from = (step + 1u) % 2u * cells * 2u;
        let write_to = step % 2u * cells * 2u;
        for (var cell = t; cell < cells; cell += 128u) {
            var x0 = gates[(start[0] + now) * cells + cell];
            var x1 = gates[(start[1] + now) * cells + cell];
            var x2 = gates[(start[2] + now) * cells + cell];
            var x3 = gates[(start[3] + now) * cells + cell];
            var x4 = gates[(start[4] + now) * cells + cell];
            var x5 = gates[(start[5] + now) * cells + cell];
            var x6 = gates[(start[6] + now) * cells + cell];
            var x7 = gates[(start[7] + now) * cells + cell];
            if (step > 0u) {
                let before = now - params.time_stride;
                for (var k = 0u; k < cells; k++) {
                    let w = weights[k * cells + cell];
                    var low: vec4<f32>;
                    var high: vec4<f32>;
                    if (IN_WORKGROUP) {
                        low = hidden[read_from + k * 2u];
                        high = hidden[read_from + k * 2u + 1u];
                    } else {
                        low = vec4<f32>(
                            output[(start[0] + before) * cells + k],
                            output[(start[1] + before) * cells + k],
                            output[(start[2] + before) * cells + k],
                            output[(start[3] + before) * cells + k],
                        );
                        high = vec4<f32>(
                            output[(start[4] + before) * cells + k],
                            output[(start[5] + before) * cells + k],
                            output[(start[6] + before) * cells + k],
                            output[(start[7] + before) * cells + k],
                        );
                    }
                    x0 += w * low.x;
                    x1 += w * low.y;
                    x2 += w * low.z;
                    x3 += w * low.w;
                    x4 += w * high.x;
                    x5 += w * high.y;
                    x6 += w * high.z;
                    x7 += w * high.w;
                }
            }
            let low = vec4<f32>(
                advance(first, cell, step, x0),
                advance(first + 1u, cell, step, x1),
                advance(first + 2u, cell, step, x2),
                advance(first + 3u, cell, step, x3),
            );
            let high = vec4<f32>(
                advance(first + 4u, cell, step, x4),
                advance(first + 5u, cell, step, x5),
                advance(first + 6u, cell, step, x6),
                advance(first + 7u, cell, step, x7),
            );
            if (IN_WORKGROUP) {
                hidden[write_to + cell * 2u] = low;
                hidden[write_to + cell * 2u + 1u] = high;
            }
        }
        storageBarrier();
        workgroupBarrier();
    }
}
