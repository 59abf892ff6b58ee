//! Products of int16 with int8 weights: bindings parameters, weights, channels, input, output.

use crate::gpu::conv::window_params;
use crate::gpu::launch::{Binding, Launch, Op, Params};
use crate::kernel::{Conv, ConvI16, Scales};

pub(super) fn conv(op: Op<'_>, k: &ConvI16) -> Vec<Launch> {
    let s = &k.shape;
    let parameters = window_params(op, s)
        .u32([s.group_in])
        .i32([k.bounds.0, k.bounds.1])
        .binding();
    let mut channels = Params::default();
    for (channel, &bias) in k.bias.iter().enumerate() {
        let (factor, shift) = factor(k, channel);
        channels = channels
            .u32([(bias >> 32) as u32, bias as u32])
            .u32([(factor >> 32) as u32, factor as u32])
            .i32([shift]);
    }
    let bindings = vec![
        parameters,
        Binding::Constant(weights(k)),
        channels.binding(),
        op.read(0),
        op.write(0),
    ];
    let flag = |on: bool| f64::from(u8::from(on));
    let launch = Launch::linear("int16/conv_2d", op.output_words(), bindings)
        .with("DEPTHWISE", flag(k.kind == Conv::Depthwise))
        .with("NARROW", flag(k.narrow))
        .with("DOUBLE", flag(matches!(k.scales, Scales::Doubles(_))));
    vec![launch]
}

/// Mantissa and shift of a channel, as the shader takes them.
fn factor(k: &ConvI16, channel: usize) -> (u64, i32) {
    match &k.scales {
        Scales::Multipliers(m) if k.narrow => (m[channel].mantissa as u64, m[channel].shift),
        Scales::Multipliers(m) => (m[channel].reduced() as u64, 15 - m[channel].shift),
        Scales::Doubles(scales) => {
            let bits = scales[channel].to_bits();
            let (exponent, fraction) = ((bits >> 52) as i32 & 0x7ff, bits & ((1 << 52) - 1));
            // A subnormal has the exponent of the smallest normal number, and no hidden bit.
            match exponent {
                0 => (fraction, 1074),
                _ => (fraction | 1 << 52, 1075 - exponent),
            }
        }
    }
}

/// Weights in words, for a full convolution every tap in words of its own.
fn weights(k: &ConvI16) -> Vec<u8> {
    let bytes: &[u8] = bytemuck::cast_slice(&k.weights);
    let row = match k.kind {
        Conv::Full => k.shape.group_in as usize,
        Conv::Depthwise => bytes.len(),
    };
    let mut words = Vec::with_capacity(bytes.len());
    for row in bytes.chunks_exact(row) {
        words.extend_from_slice(row);
        words.resize(words.len().next_multiple_of(4), 0);
    }
    words
}
