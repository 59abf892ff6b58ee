// The recurrence of UNIDIRECTIONAL_SEQUENCE_LSTM in int8, as LiteRT's 8x8_16 reference; the requantized projections of
// the inputs are there, an i16 in each word.
//
// Work is divided as in f32/lstm: a workgroup takes eight sequences through time, an invocation owns cells. After each
// step the hidden states, a word each in `hidden`, are packed four cells to a word, for dot4I8Packed: into workgroup
// memory, or where there are too many cells into `packed`. Final packing into the tensors is a launch of its own.
#import shared/run
#import shared/fixed

// Whether the packed hidden states are in workgroup memory, and how many quads of cells there is room for.
override IN_WORKGROUP: bool = true;
override CAPACITY: u32 = 256u;

struct Params {
    // One a gate: mantissas, shifts.
    mantissas: vec4<i32>,
    shifts: vec4<i32>,
    time: u32,
    batch: u32,
    cells: u32,
    // Rows from one step to the next, and from one entry of the batch to the next.
    time_stride: u32,
    batch_stride: u32,
    hidden_mantissa: i32,
    hidden_shift: i32,
    hidden_zero_point: i32,
    state_zero_point: i32,
    // 30 + exponent of the cell state's scale.
    cell_shift: u32,
    // 0: none.
    cell_clip: i32,
    // The steps of this launch.
    first_step: u32,
    end_step: u32,
}

@group(0) @binding(1) var<storage, read> params: Params;
// [quad of k][cell], a component a gate.
@group(0) @binding(2) var<storage, read> weights: array<vec4<u32>>;
// [cell], a component a gate: -zero point * sum of weights.
@group(0) @binding(3) var<storage, read> bias: array<vec4<i32>>;
// Logistic and tanh of the gates, tanh of the cell: 65536 half words each.
@group(0) @binding(4) var<storage, read> tables: array<u32>;
// [sample][row][cell]
@group(0) @binding(5) var<storage, read_write> gates: array<vec4<i32>>;
// [sample][row][cell]
@group(0) @binding(6) var<storage, read_write> hidden: array<i32>;
// [sample][hidden, cell][batch][cell]: the states after the last step; the cell states always.
@group(0) @binding(7) var<storage, read_write> states: array<i32>;
// [sample][batch][quad of cells]
@group(0) @binding(8) var<storage, read_write> packed: array<u32>;

// [quad of cells][8 sequences]
var<workgroup> shared_packed: array<u32, CAPACITY * 8u>;

const LOGISTIC: u32 = 0u;
const TANH_GATE: u32 = 32768u;
const TANH_CELL: u32 = 65536u;

fn look_up(table: u32, x: i32) -> i32 {
    let bits = bitcast<u32>(x) & 0xffffu;
    return half_of(tables[table + bits / 2u], bits % 2u);
}

fn wrap16(x: i32) -> i32 {
    return extractBits(x, 0u, 16u);
}

fn saturate16(x: i32) -> i32 {
    return clamp(x, -32768, 32767);
}

// Adds a requantized sum to a gate, saturating to 16 bits.
fn add_gate(sum: i32, mantissa: i32, shift: i32, gate: i32) -> i32 {
    return with_zero_point(multiply_by_multiplier(sum, mantissa, shift), gate, -32768, 32767);
}

// First row of a sequence; its rows follow every time_stride.
fn first_row(sequence: u32) -> u32 {
    return sequence / params.batch * params.time * params.batch + sequence % params.batch * params.batch_stride;
}

fn dots(h: u32, w: vec4<u32>) -> vec4<i32> {
    return vec4<i32>(
        dot4I8Packed(h, w.x),
        dot4I8Packed(h, w.y),
        dot4I8Packed(h, w.z),
        dot4I8Packed(h, w.w),
    );
}

// One cell of a sequence one step further, from the sums over the hidden states.
fn advance(sequence: u32, cell: u32, step: u32, sums: vec4<i32>) {
    if (sequence >= run.samples * params.batch) {
        return;
    }
    let cells = params.cells;
    let row = first_row(sequence) + step * params.time_stride;
    let x = gates[row * cells + cell];
    let m = params.mantissas;
    let s = params.shifts;
    let i = look_up(LOGISTIC, add_gate(sums.x, m.x, s.x, x.x));
    let f = look_up(LOGISTIC, add_gate(sums.y, m.y, s.y, x.y));
    let g = look_up(TANH_GATE, add_gate(sums.z, m.z, s.z, x.z));
    let o = look_up(LOGISTIC, add_gate(sums.w, m.w, s.w, x.w));
    let state = (sequence / params.batch * 2u * params.batch + sequence % params.batch) * cells + cell;
    let cell_at = state + params.batch * cells;
    var c = 0;
    if (step > 0u) {
        c = states[cell_at];
    }
    let kept = wrap16(rounding_divide_by_pot(f * c, 15u));
    let added = wrap16(rounding_divide_by_pot(i * g, params.cell_shift));
    c = saturate16(kept + added);
    if (params.cell_clip > 0) {
        c = clamp(c, -params.cell_clip, params.cell_clip);
    }
    states[cell_at] = c;
    let y = multiply_by_multiplier(o * look_up(TANH_CELL, c), params.hidden_mantissa, params.hidden_shift);
    let h = with_zero_point(y, params.hidden_zero_point, -128, 127);
    hidden[row * cells + cell] = h;
    if (step + 1u == params.time) {
        states[state] = h;
    }
}

// The hidden state that a cell has before a step.
fn hidden_before(step: u32, row: u32, cell: u32) -> i32 {
    if (cell >= params.cells) {
        return 0;
    }
    if (step == 0u) {
        return params.state_zero_point;
    }
    return hidden[row * params.cells + cell];
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(num_workgroups) group_count: vec3<u32>,
    @builtin(local_invocation_index) t: u32,
) {
    let cells = params.cells;
    let quads = (cells + 3u) / 4u;
    let sequences = run.samples * params.batch;
    let first = linear_workgroup(group_id, group_count) * 8u;
    if (first >= sequences) {
        return;
    }
    // Sequences behind the end read what the last one reads and write nothing.
    let last = sequences - 1u;
    let count = min(8u, sequences - first);
    for (var step = params.first_step; step < params.end_step; step++) {
        for (var i = t; i < quads * count; i += 128u) {
            let quad = i / count;
            let sequence = i % count;
            let row = first_row(first + sequence) + (max(step, 1u) - 1u) * params.time_stride;
            let word = pack_bytes(vec4<i32>(
                hidden_before(step, row, quad * 4u),
                hidden_before(step, row, quad * 4u + 1u),
                hidden_before(step, row, quad * 4u + 2u),
                hidden_before(step, row, quad * 4u + 3u),
            ));
            if (IN_WORKGROUP) {
                shared_packed[quad * 8u + sequence] = word;
            } else {
                packed[(first + sequence) * quads + quad] = word;
            }
        }
        storageBarrier();
        workgroupBarrier();
        for (var cell = t; cell < cells; cell += 128u) {
            let start = bias[cell];
            var x0 = start;
            var x1 = start;
            var x2 = start;
            var x3 = start;
            var x4 = start;
            var x5 = start;
            var x6 = start;
            var x7 = start;
            for (var quad = 0u; quad < quads; quad++) {
                let w = weights[quad * cells + cell];
                if (IN_WORKGROUP) {
                    let at = quad * 8u;
                    x0 += dots(shared_packed[at], w);
                    x1 += dots(shared_packed[at + 1u], w);
                    x2 += dots(shared_packed[at + 2u], w);
                    x3 += dots(shared_packed[at + 3u], w);
                    x4 += dots(shared_packed[at + 4u], w);
                    x5 += dots(shared_packed[at + 5u], w);
                    x6 += dots(shared_packed[at + 6u], w);
                    x7 += dots(shared_packed[at + 7u], w);
                } else {
                    x0 += dots(packed[first * quads + quad], w);
                    x1 += dots(packed[min(first + 1u, last) * quads + quad], w);
                    x2 += dots(packed[min(first + 2u, last) * quads + quad], w);
                    x3 += dots(packed[min(first + 3u, last) * quads + quad], w);
                    x4 += dots(packed[min(first + 4u, last) * quads + quad], w);
                    x5 += dots(packed[min(first + 5u, last) * quads + quad], w);
                    x6 += dots(packed[min(first + 6u, last) * quads + quad], w);
                    x7 += dots(packed[min(first + 7u, last) * quads + quad], w);
                }
            }
            advance(first, cell, step, x0);
            advance(first + 1u, cell, step, x1);
            advance(first + 2u, cell, step, x2);
            advance(first + 3u, cell, step, x3);
            advance(first + 4u, cell, step, x4);
            advance(first + 5u, cell, step, x5);
            advance(first + 6u, cell, step, x6);
            advance(first + 7u, cell, step, x7);
        }
        storageBarrier();
        workgroupBarrier();
    }
}
