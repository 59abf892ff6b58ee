// UNIDIRECTIONAL_SEQUENCE_LSTM with int8 weights, here whole numbers, and so are the hidden states that they multiply: in
// each step those of a sequence are quantized.
#import shared/recurrence
#import shared/row_parameters

// [sample][row][gate][cell]
@group(0) @binding(3) var<storage, read> gates: array<f32>;

// What the hidden states of each sequence are quantized with.
var<workgroup> rows: array<Row, 8>;

fn gates_of(row: u32, cell: u32) -> vec4<f32> {
    let cells = params.cells;
    let at = row * 4u * cells + cell;
    return vec4<f32>(gates[at], gates[at + cells], gates[at + 2u * cells], gates[at + 3u * cells]);
}

// Afterwards the hidden states in workgroup memory are whole numbers.
fn prepare(parity: u32, low: vec4<u32>, high: vec4<u32>, t: u32) {
    let cells = params.cells;
    if (t < 8u) {
        var first = low;
        if (t >= 4u) {
            first = high;
        }
        var range = vec2<f32>(0.0, 0.0);
        for (var k = 0u; k < cells; k++) {
            var x = 0.0;
            if (IN_WORKGROUP) {
                x = hidden[(parity * cells + k) * 2u + t / 4u][t % 4u];
            } else {
                x = output[first[t % 4u] * cells + k];
            }
            range = vec2<f32>(min(range.x, x), max(range.y, x));
        }
        if (params.symmetric != 0u) {
            rows[t] = symmetric(range.x, range.y);
        } else {
            rows[t] = asymmetric(range.x, range.y);
        }
    }
    workgroupBarrier();
    if (IN_WORKGROUP) {
        for (var k = t; k < cells; k += 128u) {
            let at = (parity * cells + k) * 2u;
            let whole = taken(Eight(hidden[at], hidden[at + 1u]));
            hidden[at] = whole.low;
            hidden[at + 1u] = whole.high;
        }
        workgroupBarrier();
    }
}

fn whole(first: u32, h: vec4<f32>) -> vec4<f32> {
    let nothing = run.pad0;
    return vec4<f32>(
        code(rows[first], h.x, nothing),
        code(rows[first + 1u], h.y, nothing),
        code(rows[first + 2u], h.z, nothing),
        code(rows[first + 3u], h.w, nothing),
    );
}

fn taken(h: Eight) -> Eight {
    return Eight(whole(0u, h.low), whole(4u, h.high));
}

fn start(x: ptr<function, array<vec4<f32>, 8>>) {
    for (var i = 0u; i < 8u; i++) {
        (*x)[i] = vec4<f32>();
    }
}

// The sums of whole numbers as floats, and the gates from the input.
fn finish(low: vec4<u32>, high: vec4<u32>, cell: u32, x: ptr<function, array<vec4<f32>, 8>>) {
    let s = params.scales;
    let scales = vec4<f32>(s[0], s[1], s[2], s[3]);
    for (var i = 0u; i < 4u; i++) {
        (*x)[i] = gates_of(low[i], cell) + (*x)[i] * (scales * rows[i].scale);
        (*x)[i + 4u] = gates_of(high[i], cell) + (*x)[i + 4u] * (scales * rows[i + 4u].scale);
    }
}
