//! One step of a program: from the prepared kernel to the function that computes it.

use super::binary_i8::BinaryI8;
use super::chunk::Chunk;
use super::conv_f32::{self, Conv};
use super::conv_i8::{self, FastConvI8, FastDepthwiseI8};
use super::depthwise_f32::Depthwise;
use super::fully_connected::{self, FastFullyConnectedI8};
use super::lstm::{self, FastLstmI8, Lstm};
use super::operands::Operands;
use super::product::Packed;
use super::session::CpuSession;
use super::{
    add, batch_matmul, binary, bytes, cast, distance, hybrid, int16, norm, place, pool, quantize,
    recurrent, reduce, resize, rfft, row, select, softmax, take, unary,
};
use crate::graph::{Graph, TensorId};
use crate::kernel::{Kernel, Step};
use crate::num::{DType, Values};

/// What a kernel needs beyond the prepared parameters.
#[allow(clippy::large_enum_variant, reason = "one a step")]
pub enum Fast {
    None,
    ConvF32(Conv),
    DepthwiseF32(Depthwise),
    FullyConnectedF32(Packed),
    LstmF32(Lstm),
    Conv(FastConvI8),
    Depthwise(FastDepthwiseI8),
    FullyConnected(FastFullyConnectedI8),
    Lstm(FastLstmI8),
    /// int8 products that float units hold exactly.
    Matmul,
    /// int8 functions of two operands.
    Binary(BinaryI8),
}

/// Calls a function that only moves elements with the bytes of the output as elements of their width.
macro_rules! by_width {
    ($dtype:expr, $bytes:expr, |$y:ident| $call:expr) => {
        match $dtype.size() {
            1 => {
                let $y: &mut [u8] = $bytes;
                $call
            }
            2 => {
                let $y: &mut [u16] = bytemuck::cast_slice_mut($bytes);
                $call
            }
            4 => {
                let $y: &mut [u32] = bytemuck::cast_slice_mut($bytes);
                $call
            }
            _ => {
                let $y: &mut [u64] = bytemuck::cast_slice_mut($bytes);
                $call
            }
        }
    };
}

impl Fast {
    /// Converts what the kernel of a step has; `plain` leaves integer kernels as they are defined.
    pub fn new(graph: &Graph, step: &Step, plain: bool) -> Fast {
        match &step.kernel {
            Kernel::ConvF32(k) => Fast::ConvF32(Conv::new(k)),
            Kernel::DepthwiseF32(k) => Depthwise::new(k).map_or(Fast::None, Fast::DepthwiseF32),
            Kernel::FullyConnectedF32(k) => {
                Fast::FullyConnectedF32(Packed::new(&k.weights, 1, &k.bias))
            }
            Kernel::LstmF32(k) => Fast::LstmF32(Lstm::new(k)),
            Kernel::ConvI8(k) if !plain && is_i8(k.input_zero_point) => {
                Fast::Conv(FastConvI8::new(k))
            }
            Kernel::DepthwiseI8(k) if !plain && is_i8(k.input_zero_point) => {
                Fast::Depthwise(FastDepthwiseI8::new(k))
            }
            Kernel::FullyConnectedI8(k) if !plain => {
                Fast::FullyConnected(FastFullyConnectedI8::new(k))
            }
            Kernel::LstmI8(k) if !plain => Fast::Lstm(FastLstmI8::new(k)),
            Kernel::AddI8(k) if !plain => {
                BinaryI8::of_sum(k, graph, step).map_or(Fast::None, Fast::Binary)
            }
            Kernel::BinaryTable(k) if !plain => {
                BinaryI8::of_table(k, graph, step).map_or(Fast::None, Fast::Binary)
            }
            Kernel::MatmulI8(k) if !plain && batch_matmul::is_exact(k) => Fast::Matmul,
            _ => Fast::None,
        }
    }
}

impl CpuSession<'_> {
    /// Runs one step.
    pub(super) fn step(&self, i: usize, step: &Step, samples: usize, chunk: &mut Chunk) {
        let graph = &self.program.graph;
        let output = step.outputs[0];
        let n = samples * graph.elements(output);
        let dtype = graph.tensors[output].dtype;
        let mut states: Vec<(TensorId, Values)> = Vec::new();
        let value = {
            let x = Operands {
                graph,
                step,
                values: &chunk.values,
                samples,
            };
            let (f32s, i8s) = (|i: usize| x.f32s(i), |i: usize| x.i8s(i));
            let memory = &mut chunk.memory;
            match (&step.kernel, &self.fast[i]) {
                (Kernel::ConvF32(k), Fast::ConvF32(conv)) => memory
                    .new_f32(n, |y, scratch| conv.run(k, f32s(0), y, scratch)),
                (Kernel::ConvI8(k), Fast::Conv(fast)) => memory.new_i8(n, |y, scratch| {
                    fast.run(k, i8s(0), y, scratch);
                }),
                (Kernel::ConvI8(k), _) => memory.new_i8(n, |y, _| conv_i8::i8(k, i8s(0), y)),
                (Kernel::DepthwiseF32(k), Fast::DepthwiseF32(fast)) => {
                    memory.new_f32(n, |y, scratch| {
                        fast.run(k, f32s(0), y, &mut scratch.padded);
                    })
                }
                (Kernel::DepthwiseF32(k), _) => memory.new_f32(n, |y, _| {
                    conv_f32::multiplied(k, f32s(0), y);
                }),
                (Kernel::DepthwiseI8(k), Fast::Depthwise(fast)) => {
                    memory.new_i8(n, |y, scratch| {
                        fast.run(k, i8s(0), y, scratch);
                    })
                }
                (Kernel::DepthwiseI8(k), _) => memory.new_i8(n, |y, _| {
                    conv_i8::depthwise_i8(k, i8s(0), y);
                }),
                (Kernel::FullyConnectedF32(k), Fast::FullyConnectedF32(weights)) => {
                    memory.new_f32(n, |y, _| {
                        weights.rows(f32s(0), y, k.bounds);
                    })
                }
                (Kernel::FullyConnectedI8(k), Fast::FullyConnected(fast)) => {
                    memory.new_i8(n, |y, scratch| {
                        fast.run(k, i8s(0), y, scratch);
                    })
                }
                (Kernel::FullyConnectedI8(k), _) => memory.new_i8(n, |y, _| {
                    fully_connected::i8(k, i8s(0), y);
                }),
                (Kernel::LstmF32(k), Fast::LstmF32(lstm)) => {
                    let state = samples * k.shape.batch * k.shape.cells;
                    let gates = if k.hybrid.is_some() { 0 } else { 4 * n };
                    let mut projected = memory.floats.take(gates);
                    let mut y = memory.floats.take(n);
                    let (mut hidden, mut cell) = match self.carried(i) {
                        Some((Values::F32(hidden), Values::F32(cell))) => (hidden, cell),
                        _ => (vec![0.0; state], vec![0.0; state]),
                    };
                    let mut out = lstm::Output {
                        output: &mut y[..n],
                        hidden: &mut hidden,
                        cell: &mut cell,
                    };
                    // The ranges of the states are those of all steps.
                    let cells = step.outputs[2];
                    lstm.run(k, f32s(0), &mut out, &mut projected[..gates], |cell| {
                        self.see(cells, cell, &mut memory.tables);
                    });
                    memory.floats.give(projected);
                    self.see(step.outputs[1], &y[..n], &mut memory.tables);
                    states.push((step.outputs[1], Values::F32(hidden)));
                    states.push((step.outputs[2], Values::F32(cell)));
                    Values::F32(y)
                }
                (Kernel::LstmI8(k), fast) => {
                    let state = samples * k.shape.batch * k.shape.cells;
                    let mut y = memory.bytes.take(n);
                    let (mut hidden, mut cell) = match self.carried(i) {
                        Some((Values::I8(hidden), Values::I16(cell))) => (hidden, cell),
                        _ => (vec![k.state_zero_point as i8; state], vec![0; state]),
                    };
                    let mut out = lstm::Output {
                        output: &mut y[..n],
                        hidden: &mut hidden,
                        cell: &mut cell,
                    };
                    match fast {
                        Fast::Lstm(fast) => {
                            fast.run(k, i8s(0), &mut out, &mut memory.scratch);
                        }
                        _ => lstm::i8(k, i8s(0), &mut out),
                    }
                    states.push((step.outputs[1], Values::I8(hidden)));
                    states.push((step.outputs[2], Values::I16(cell)));
                    Values::I8(y)
                }
                (Kernel::Int16(k), _) => memory.new_any(dtype, n, |y| int16::run(k, x, y)),
                (Kernel::AddI8(k), Fast::Binary(fast)) => {
                    memory.new_i8(n, |y, scratch| fast.add(k, x, y, &mut scratch.spread))
                }
                (Kernel::AddI8(k), _) => memory.new_i8(n, |y, _| add::i8(k, x, y)),
                (Kernel::MatmulF32(k), _) => memory.new_f32(n, |y, _| batch_matmul::f32(k, x, y)),
                (Kernel::MatmulI8(k), Fast::Matmul) => {
                    memory.new_i8(n, |y, _| batch_matmul::fast_i8(k, x, y))
                }
                (Kernel::MatmulI8(k), _) => memory.new_i8(n, |y, _| batch_matmul::i8(k, x, y)),
                (Kernel::RnnF32(k), _) => {
                    let mut state = vec![0.0; samples * graph.elements(step.outputs[1])];
                    let y = memory.new_f32(n, |y, _| recurrent::rnn(k, f32s(0), y, &mut state));
                    // The state took every value of the output.
                    if let Values::F32(y) = &y {
                        self.see(step.outputs[1], &y[..n], &mut memory.tables);
                    }
                    states.push((step.outputs[1], Values::F32(state)));
                    y
                }
                (Kernel::SvdfF32(k), _) => {
                    let mut state = vec![0.0; samples * graph.elements(step.outputs[1])];
                    let y = memory.new_f32(n, |y, _| recurrent::svdf(k, f32s(0), y, &mut state));
                    self.see(step.outputs[1], &state, &mut memory.tables);
                    states.push((step.outputs[1], Values::F32(state)));
                    y
                }
                (Kernel::SvdfI8(k), _) => {
                    let mut state = vec![0; samples * graph.elements(step.outputs[1])];
                    let y = memory.new_i8(n, |y, _| recurrent::svdf_i8(k, i8s(0), y, &mut state));
                    states.push((step.outputs[1], Values::I16(state)));
                    y
                }
                (Kernel::UnaryF32(op), _) => memory.new_f32(n, |y, _| unary::f32(*op, f32s(0), y)),
                (Kernel::Table(k), _) => {
                    memory.new_any(dtype, n, |y| bytes::map(&k.bytes, x.bytes(0), y))
                }
                (Kernel::BinaryF32(k), _) if dtype == DType::Bool => {
                    memory.new_any(dtype, n, |y| binary::compare_f32(k, x, y))
                }
                (Kernel::BinaryF32(k), _) => memory.new_f32(n, |y, _| binary::f32(k, x, y)),
                (Kernel::BinaryInt(k), _) => memory.new_any(dtype, n, |y| match (x.dtype(0), dtype) {
                    (DType::I32, DType::Bool) => binary::compare_int::<i32>(k, x, y),
                    (DType::I32, _) => binary::int::<i32>(k, x, bytemuck::cast_slice_mut(y)),
                    (_, DType::Bool) => binary::compare_int::<i64>(k, x, y),
                    _ => binary::int::<i64>(k, x, bytemuck::cast_slice_mut(y)),
                }),
                (Kernel::BinaryTable(k), Fast::Binary(fast)) => {
                    memory.new_i8(n, |y, scratch| fast.table(k, x, y, &mut scratch.spread))
                }
                (Kernel::BinaryTable(k), _) => {
                    memory.new_any(dtype, n, |y| binary::table(k, x, y))
                }
                (Kernel::Select(k), _) => memory.new_any(dtype, n, |y| {
                    by_width!(dtype, y, |y| select::select(k, x, y));
                }),
                (Kernel::ReduceF32(k), _) => memory.new_f32(n, |y, _| reduce::f32(k, f32s(0), y)),
                (Kernel::ReduceI8(k), _) => memory.new_i8(n, |y, _| reduce::i8(k, i8s(0), y)),
                (Kernel::ReduceInt(k), _) => memory.new_any(dtype, n, |y| {
                    let x = x.bytes(0);
                    let cast = bytemuck::cast_slice_mut;
                    match dtype {
                        DType::Bool => reduce::bool(k, x, y),
                        DType::I32 => reduce::int::<i32>(k, bytemuck::cast_slice(x), cast(y)),
                        _ => {
                            let y = bytemuck::cast_slice_mut(y);
                            reduce::int::<i64>(k, bytemuck::cast_slice(x), y);
                        }
                    }
                }),
                (Kernel::MeanI8(k), _) => memory.new_i8(n, |y, _| reduce::mean_i8(k, i8s(0), y)),
                (Kernel::Arg(k), _) => reduce::arg(k, x, dtype),
                (Kernel::PoolF32(k), _) => memory.new_f32(n, |y, _| pool::f32(k, f32s(0), y)),
                (Kernel::PoolI8(k), _) => memory.new_i8(n, |y, _| pool::i8(k, i8s(0), y)),
                (Kernel::Copy, _) => memory.new_any(dtype, n, |y| {
                    let part = y.len() / samples;
                    for (s, y) in y.chunks_exact_mut(part).enumerate() {
                        y.copy_from_slice(x.sample(0, x.bytes(0), s));
                    }
                }),
                (Kernel::Place(k), _) => memory.new_any(dtype, n, |y| {
                    by_width!(dtype, y, |y| place::place(k, x, y));
                }),
                (Kernel::Nearest(k), _) => memory.new_any(dtype, n, |y| {
                    by_width!(dtype, y, |y| resize::nearest(k, x, y));
                }),
                (Kernel::BilinearF32(k), _) => {
                    memory.new_f32(n, |y, _| resize::f32(k, f32s(0), y))
                }
                (Kernel::BilinearI8(k), _) => memory.new_i8(n, |y, _| resize::i8(k, i8s(0), y)),
                (Kernel::Take(k), _) => memory.new_any(dtype, n, |y| {
                    if let Err(index) = by_width!(dtype, y, |y| take::take(k, x, y)) {
                        let node = &graph.nodes[step.node];
                        self.fail(format!(
                            "{}: {} takes index {index} from {}, whose shape is {:?}; check the data",
                            graph.file,
                            node.describe(),
                            graph.describe(step.inputs[0]),
                            graph.tensors[step.inputs[0]].shape
                        ));
                        y.fill(0);
                    }
                }),
                (Kernel::LogSoftmaxF32(k), _) => {
                    memory.new_f32(n, |y, _| norm::log_softmax_f32(k, f32s(0), y))
                }
                (Kernel::LogSoftmaxI8(k), _) => {
                    memory.new_i8(n, |y, _| norm::log_softmax_i8(k, i8s(0), y))
                }
                (Kernel::L2NormF32(k), _) => memory.new_f32(n, |y, _| norm::l2_f32(k, f32s(0), y)),
                (Kernel::L2NormI8(k), _) => memory.new_i8(n, |y, _| norm::l2_i8(k, i8s(0), y)),
                (Kernel::Cumsum(k), _) => memory.new_any(dtype, n, |y| {
                    let x = x.bytes(0);
                    match dtype {
                        DType::F32 => {
                            let y = bytemuck::cast_slice_mut(y);
                            row::cumsum_f32(k, bytemuck::cast_slice(x), y);
                        }
                        DType::I32 => {
                            let y = bytemuck::cast_slice_mut(y);
                            row::cumsum_int::<i32>(k, bytemuck::cast_slice(x), y);
                        }
                        _ => {
                            let y = bytemuck::cast_slice_mut(y);
                            row::cumsum_int::<i64>(k, bytemuck::cast_slice(x), y);
                        }
                    }
                }),
                (Kernel::TopK(k), _) => row::top_k(k, f32s(0)),
                (Kernel::OneHot(k), _) => memory.new_f32(n, |y, _| row::one_hot(k, x, y)),
                (Kernel::Rfft(k), _) => memory.new_any(dtype, n, |y| {
                    rfft::rfft(k, f32s(0), bytemuck::cast_slice_mut(y));
                }),
                (Kernel::Complex(part), _) => memory.new_f32(n, |y, _| {
                    rfft::part(*part, bytemuck::cast_slice(x.bytes(0)), y);
                }),
                (Kernel::Cast, _) => cast::cast(x.bytes(0), x.dtype(0), dtype),
                (Kernel::SoftmaxF32(k), _) => memory.new_f32(n, |y, _| {
                    softmax::f32(k, f32s(0), y);
                }),
                (Kernel::SoftmaxI8(k), _) => {
                    memory.new_i8(n, |y, _| softmax::i8(k, i8s(0), y))
                }
                (Kernel::RowQuantize(k), _) => {
                    let mut scales = vec![0.0; samples * k.rows];
                    let codes = memory.new_f32(n, |y, _| {
                        hybrid::row_quantize(k, f32s(0), y, &mut scales);
                    });
                    self.see(step.outputs[1], &scales, &mut memory.tables);
                    states.push((step.outputs[1], Values::F32(scales)));
                    codes
                }
                (Kernel::RowScale(k), _) => {
                    memory.new_f32(n, |y, _| hybrid::row_scale(k, f32s(0), f32s(1), y))
                }
                (Kernel::Distance(k), _) if k.counts => {
                    let mut y = vec![0; n];
                    distance::counts(k, x, &mut y);
                    Values::I32(y)
                }
                (Kernel::Distance(k), _) => {
                    // Kept until the end of the run: it must not take the memory of a large tensor with it.
                    let mut y = vec![0.0; n];
                    distance::sums(k, x, &mut y);
                    Values::F32(y)
                }
                (Kernel::Quantize(k), _) => memory.new_any(dtype, n, |y| match dtype {
                    DType::I16 => {
                        quantize::quantize_16(k, f32s(0), bytemuck::cast_slice_mut(y));
                    }
                    _ => quantize::quantize(k, f32s(0), y),
                }),
                (Kernel::Table16(k), _) => memory.new_any(dtype, n, |y| {
                    let x = (x.dtype(0), x.bytes(0));
                    match (x, dtype) {
                        ((DType::I16, x), DType::I16) => {
                            let x: &[u16] = bytemuck::cast_slice(x);
                            quantize::table_16(k, x, bytemuck::cast_slice_mut(y));
                        }
                        ((DType::I16, x), _) => {
                            quantize::table_16_to_8(k, bytemuck::cast_slice(x), y);
                        }
                        ((_, x), _) => quantize::table_16(k, x, bytemuck::cast_slice_mut(y)),
                    }
                }),
                (Kernel::Dequantize(k), _) => memory.new_f32(n, |y, _| match x.dtype(0) {
                    DType::I16 => {
                        let x: &[u16] = bytemuck::cast_slice(x.bytes(0));
                        quantize::dequantize(k, x, y);
                    }
                    DType::I8 => quantize::dequantize_8(k, x.bytes(0), y),
                    _ => quantize::dequantize(k, x.bytes(0), y),
                }),
                (Kernel::ConvF32(_) | Kernel::FullyConnectedF32(_) | Kernel::LstmF32(_), _) => {
                    unreachable!("CpuSession::new packs the weights of these")
                }
            }
        };
        if let [(_, hidden), (_, cell)] = &states[..]
            && matches!(step.kernel, Kernel::LstmF32(_) | Kernel::LstmI8(_))
        {
            self.carry(i, hidden, cell);
        }
        for (id, value) in states.into_iter().chain([(output, value)]) {
            chunk.values[id] = Some(value);
        }
    }
}

/// Whether a zero point is a value of its type: the fast kernels pad with it and subtract it in 16 bits.
fn is_i8(zero_point: i32) -> bool {
    i8::try_from(zero_point).is_ok()
}
