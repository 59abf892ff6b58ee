// UNIDIRECTIONAL_SEQUENCE_LSTM with float weights.
#import shared/recurrence

// [sample][row][cell]
@group(0) @binding(3) var<storage, read_write> gates: array<vec4<f32>>;

fn gates_of(row: u32, cell: u32) -> vec4<f32> {
    return gates[row * params.cells + cell];
}

fn prepare(parity: u32, low: vec4<u32>, high: vec4<u32>, t: u32) {}

fn taken(h: Eight) -> Eight {
    return h;
}

// The sums begin with the gates.
fn start(x: ptr<function, array<vec4<f32>, 8>>) {}

fn finish(low: vec4<u32>, high: vec4<u32>, cell: u32, x: ptr<function, array<vec4<f32>, 8>>) {}
