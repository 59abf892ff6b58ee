//! From an operator of a file to what it means.

use super::op::{Part, Pool, PoolWindow, Reduce, RnnActivation, Static};
use super::{Activation, Binary, Lstm, Move, Op, Padding, StridedSlice, Unary, Window};
use crate::model::{self, BuiltinOperator as B, BuiltinOptions as O, Operator};
use crate::num::DType;

/// The operator's options of one type, or `None` where the file leaves them out.
macro_rules! options {
    ($operator:expr, $variant:ident) => {
        match &$operator.builtin_options {
            Some(O::$variant(o)) => Some(o.as_ref()),
            _ => None,
        }
    };
}

/// Codes of types in the schema.
const INT32: i8 = 2;
const INT64: i8 = 4;

const SHIFTS: &str =
    "pot_scale_int16 with scales that are powers of two, for which LiteRT has another kernel";

fn activation(code: i8) -> Result<Activation, String> {
    match code {
        0 => Ok(Activation::None),
        1 => Ok(Activation::Relu),
        2 => Ok(Activation::ReluN1To1),
        3 => Ok(Activation::Relu6),
        // LiteRT's kernels take these without a word and compute no activation at all.
        4 => Err("fused activation TANH, which LiteRT ignores here; use a separate TANH".into()),
        5 => Err("fused activation SIGN_BIT, which LiteRT ignores here".into()),
        other => Err(format!("unknown fused activation {other}")),
    }
}

/// A window from its options: padding, strides, perhaps dilation, activation.
fn window(
    padding: i8,
    stride: (i32, i32),
    dilation: (i32, i32),
    fused: i8,
) -> Result<Window, String> {
    Ok(Window {
        padding: match padding {
            0 => Padding::Same,
            1 => Padding::Valid,
            other => return Err(format!("unknown padding {other}")),
        },
        stride: positive(stride, "stride")?,
        dilation: positive(dilation, "dilation")?,
        activation: activation(fused)?,
    })
}

fn positive((h, w): (i32, i32), what: &str) -> Result<[usize; 2], String> {
    match (usize::try_from(h), usize::try_from(w)) {
        (Ok(h), Ok(w)) if h > 0 && w > 0 => Ok([h, w]),
        _ => Err(format!("{what} {h}x{w} is not positive")),
    }
}

/// Whether options that concern int16 alone are those of the kernels: `bias` is its type, and `powers` says whether all
/// scales are powers of two.
pub(super) fn check_i16(
    operator: &Operator,
    bias: Option<DType>,
    powers: bool,
) -> Result<(), String> {
    let says = match &operator.builtin_options {
        Some(O::Conv2DOptions(o)) => o.quantized_bias_type,
        Some(O::TransposeConvOptions(o)) => o.quantized_bias_type,
        Some(O::FullyConnectedOptions(o)) => o.quantized_bias_type,
        Some(O::AddOptions(o)) if o.pot_scale_int16 && powers => return Err(SHIFTS.into()),
        Some(O::SubOptions(o)) if o.pot_scale_int16 && powers => return Err(SHIFTS.into()),
        _ => return Ok(()),
    };
    match (bias, says) {
        (Some(DType::I32), INT32) | (Some(DType::I64), 0 | INT64) | (None, 0 | INT32 | INT64) => {
            Ok(())
        }
        (Some(DType::I32), _) => {
            Err("its bias is int32 and quantized_bias_type is not: LiteRT reads it as int64".into())
        }
        (_, other) => Err(format!("quantized_bias_type {other} does not fit its bias")),
    }
}

/// The operator's meaning; `None` if it is not on the list.
///
/// # Errors
/// What is wrong with its attributes.
pub(super) fn op(code: i32, name: &str, operator: &Operator) -> Result<Option<Op>, String> {
    let missing = || "its options are missing".to_owned();
    let fused = || match &operator.builtin_options {
        Some(O::AddOptions(o)) => o.fused_activation_function,
        Some(O::SubOptions(o)) => o.fused_activation_function,
        Some(O::MulOptions(o)) => o.fused_activation_function,
        Some(O::DivOptions(o)) => o.fused_activation_function,
        _ => 0,
    };
    let Ok(builtin) = B::try_from(code) else {
        return Ok(None);
    };
    let op = match builtin {
        B::Conv2d => {
            let o = options!(operator, Conv2DOptions).ok_or_else(missing)?;
            let dilation = (o.dilation_h_factor, o.dilation_w_factor);
            let stride = (o.stride_h, o.stride_w);
            Op::Conv2d(window(
                o.padding,
                stride,
                dilation,
                o.fused_activation_function,
            )?)
        }
        B::DepthwiseConv2d => {
            let o = options!(operator, DepthwiseConv2DOptions).ok_or_else(missing)?;
            let dilation = (o.dilation_h_factor, o.dilation_w_factor);
            let stride = (o.stride_h, o.stride_w);
            Op::DepthwiseConv2d(window(
                o.padding,
                stride,
                dilation,
                o.fused_activation_function,
            )?)
        }
        B::TransposeConv => {
            let o = options!(operator, TransposeConvOptions).ok_or_else(missing)?;
            let stride = (o.stride_h, o.stride_w);
            Op::TransposeConv(window(
                o.padding,
                stride,
                (1, 1),
                o.fused_activation_function,
            )?)
        }
        B::Custom if name == "Convolution2DTransposeBias" => {
            Op::Convolution2dTransposeBias(transpose_bias(operator.custom_options.as_deref())?)
        }
        B::FullyConnected => {
            let o = options!(operator, FullyConnectedOptions).ok_or_else(missing)?;
            if o.weights_format != 0 {
                return Err("shuffled weights are not supported".into());
            }
            Op::FullyConnected {
                activation: activation(o.fused_activation_function)?,
                asymmetric: o.asymmetric_quantize_inputs,
            }
        }
        B::BatchMatmul => {
            let o = options!(operator, BatchMatMulOptions);
            Op::BatchMatmul {
                adj_x: o.is_some_and(|o| o.adj_x),
                adj_y: o.is_some_and(|o| o.adj_y),
            }
        }
        B::UnidirectionalSequenceLstm => lstm(operator)?,
        B::UnidirectionalSequenceRnn => {
            let o = options!(operator, SequenceRnnOptions).ok_or_else(missing)?;
            Op::UnidirectionalSequenceRnn {
                activation: match o.fused_activation_function {
                    0 => RnnActivation::None,
                    1 => RnnActivation::Relu,
                    2 => RnnActivation::ReluN1To1,
                    3 => RnnActivation::Relu6,
                    4 => RnnActivation::Tanh,
                    other => return Err(format!("activation {other} is not supported")),
                },
                time_major: o.time_major,
            }
        }
        B::Svdf => {
            let o = options!(operator, SvdfOptions).ok_or_else(missing)?;
            Op::Svdf {
                rank: usize::try_from(o.rank)
                    .ok()
                    .filter(|&r| r > 0)
                    .ok_or_else(|| format!("rank {} is not positive", o.rank))?,
                activation: activation(o.fused_activation_function)?,
            }
        }
        B::Add => Op::Binary(Binary::Add, activation(fused())?),
        B::Sub => Op::Binary(Binary::Sub, activation(fused())?),
        B::Mul => Op::Binary(Binary::Mul, activation(fused())?),
        B::Div => Op::Binary(Binary::Div, activation(fused())?),
        B::Select => Op::Select { broadcast: false },
        B::SelectV2 => Op::Select { broadcast: true },
        B::ArgMax => Op::Arg { largest: true },
        B::ArgMin => Op::Arg { largest: false },
        B::AveragePool2d => pool(Pool::Average, operator)?,
        B::MaxPool2d => pool(Pool::Max, operator)?,
        B::L2Pool2d => pool(Pool::L2, operator)?,
        B::Softmax => {
            let beta = options!(operator, SoftmaxOptions).ok_or_else(missing)?.beta;
            if !beta.is_finite() || beta <= 0.0 {
                return Err(format!("beta {beta} is not positive"));
            }
            Op::Softmax { beta }
        }
        B::LogSoftmax => Op::LogSoftmax,
        B::L2Normalization => {
            let o = options!(operator, L2NormOptions);
            if o.is_some_and(|o| o.fused_activation_function != 0) {
                return Err("a fused activation, which LiteRT refuses here".into());
            }
            Op::L2Normalization
        }
        B::ResizeBilinear => {
            let o = options!(operator, ResizeBilinearOptions);
            Op::Resize {
                bilinear: true,
                align_corners: o.is_some_and(|o| o.align_corners),
                half_pixel_centers: o.is_some_and(|o| o.half_pixel_centers),
            }
        }
        B::ResizeNearestNeighbor => {
            let o = options!(operator, ResizeNearestNeighborOptions);
            Op::Resize {
                bilinear: false,
                align_corners: o.is_some_and(|o| o.align_corners),
                half_pixel_centers: o.is_some_and(|o| o.half_pixel_centers),
            }
        }
        B::Gather => {
            let o = options!(operator, GatherOptions);
            Op::Gather {
                axis: o.map_or(0, |o| o.axis),
                batch_dims: o.map_or(0, |o| o.batch_dims),
            }
        }
        B::GatherNd => Op::GatherNd,
        B::EmbeddingLookup => Op::EmbeddingLookup,
        B::Cast => Op::Cast,
        B::Cumsum => {
            let o = options!(operator, CumsumOptions);
            Op::Cumsum {
                exclusive: o.is_some_and(|o| o.exclusive),
                reverse: o.is_some_and(|o| o.reverse),
            }
        }
        B::TopkV2 => Op::TopK,
        B::OneHot => Op::OneHot {
            axis: options!(operator, OneHotOptions).map_or(-1, |o| o.axis),
        },
        B::Rfft2d => Op::Rfft2d,
        B::Real => Op::Complex(Part::Real),
        B::Imag => Op::Complex(Part::Imaginary),
        B::ComplexAbs => Op::Complex(Part::Magnitude),
        B::Quantize => Op::Quantize,
        B::Dequantize => Op::Dequantize,
        _ => {
            let other = unary(builtin, operator)
                .map(Op::Unary)
                .or_else(|| binary(builtin).map(|b| Op::Binary(b, Activation::None)))
                .or_else(|| reduce(builtin).map(Op::Reduce))
                .or_else(|| fixed(builtin).map(Op::Static));
            return match other {
                Some(op) => Ok(Some(op)),
                None => Ok(moved(builtin, operator)?.map(Op::Move)),
            };
        }
    };
    Ok(Some(op))
}

fn lstm(operator: &Operator) -> Result<Op, String> {
    let o = options!(operator, UnidirectionalSequenceLstmOptions)
        .ok_or_else(|| "its options are missing".to_owned())?;
    if o.fused_activation_function != model::ActivationFunctionType::Tanh as i8 {
        let code = o.fused_activation_function;
        return Err(format!("activation {code} is not supported, only TANH"));
    }
    if o.diagonal_recurrent_tensors {
        return Err("diagonal recurrent weights are not supported".into());
    }
    if !o.cell_clip.is_finite() || o.cell_clip < 0.0 {
        return Err(format!("cell clip {} is not a bound", o.cell_clip));
    }
    Ok(Op::UnidirectionalSequenceLstm(Lstm {
        cell_clip: o.cell_clip,
        time_major: o.time_major,
        asymmetric: o.asymmetric_quantize_inputs,
    }))
}

fn pool(kind: Pool, operator: &Operator) -> Result<Op, String> {
    let o =
        options!(operator, Pool2DOptions).ok_or_else(|| "its options are missing".to_owned())?;
    Ok(Op::Pool(
        kind,
        PoolWindow {
            size: positive((o.filter_height, o.filter_width), "filter")?,
            window: window(
                o.padding,
                (o.stride_h, o.stride_w),
                (1, 1),
                o.fused_activation_function,
            )?,
        },
    ))
}

fn unary(builtin: B, operator: &Operator) -> Option<Unary> {
    Some(match builtin {
        B::Abs => Unary::Abs,
        B::Ceil => Unary::Ceil,
        B::Cos => Unary::Cos,
        B::Elu => Unary::Elu,
        B::Exp => Unary::Exp,
        B::Floor => Unary::Floor,
        B::Gelu => Unary::Gelu {
            approximate: options!(operator, GeluOptions).is_some_and(|o| o.approximate),
        },
        B::HardSwish => Unary::HardSwish,
        B::LeakyRelu => Unary::LeakyRelu {
            alpha: options!(operator, LeakyReluOptions).map_or(0.0, |o| o.alpha),
        },
        B::Log => Unary::Log,
        B::LogicalNot => Unary::LogicalNot,
        B::Logistic => Unary::Logistic,
        B::Neg => Unary::Neg,
        B::Relu => Unary::Relu,
        B::Relu0To1 => Unary::Relu0To1,
        B::Relu6 => Unary::Relu6,
        B::ReluN1To1 => Unary::ReluN1To1,
        B::Round => Unary::Round,
        B::Rsqrt => Unary::Rsqrt,
        B::Sign => Unary::Sign,
        B::Sin => Unary::Sin,
        B::Sqrt => Unary::Sqrt,
        B::Square => Unary::Square,
        B::Tanh => Unary::Tanh,
        _ => return None,
    })
}

fn binary(builtin: B) -> Option<Binary> {
    Some(match builtin {
        B::Pow => Binary::Pow,
        B::FloorDiv => Binary::FloorDiv,
        B::FloorMod => Binary::FloorMod,
        B::Maximum => Binary::Maximum,
        B::Minimum => Binary::Minimum,
        B::SquaredDifference => Binary::SquaredDifference,
        B::Prelu => Binary::Prelu,
        B::Equal => Binary::Equal,
        B::NotEqual => Binary::NotEqual,
        B::Less => Binary::Less,
        B::LessEqual => Binary::LessEqual,
        B::Greater => Binary::Greater,
        B::GreaterEqual => Binary::GreaterEqual,
        B::LogicalAnd => Binary::LogicalAnd,
        B::LogicalOr => Binary::LogicalOr,
        _ => return None,
    })
}

fn reduce(builtin: B) -> Option<Reduce> {
    Some(match builtin {
        B::Mean => Reduce::Mean,
        B::Sum => Reduce::Sum,
        B::ReduceMax => Reduce::Max,
        B::ReduceMin => Reduce::Min,
        B::ReduceProd => Reduce::Prod,
        B::ReduceAny => Reduce::Any,
        B::ReduceAll => Reduce::All,
        _ => return None,
    })
}

fn fixed(builtin: B) -> Option<Static> {
    Some(match builtin {
        B::Shape => Static::Shape,
        B::Rank => Static::Rank,
        B::Range => Static::Range,
        B::Fill => Static::Fill,
        B::ZerosLike => Static::ZerosLike,
        B::Densify => Static::Densify,
        _ => return None,
    })
}

fn moved(builtin: B, operator: &Operator) -> Result<Option<Move>, String> {
    let missing = || "its options are missing".to_owned();
    Ok(Some(match builtin {
        B::BatchToSpaceNd => Move::BatchToSpaceNd,
        B::BroadcastTo => Move::BroadcastTo,
        B::Concatenation => {
            let o = options!(operator, ConcatenationOptions).ok_or_else(missing)?;
            if o.fused_activation_function != 0 {
                return Err("a fused activation, which LiteRT refuses here".into());
            }
            Move::Concatenation(o.axis)
        }
        B::DepthToSpace => {
            let o = options!(operator, DepthToSpaceOptions).ok_or_else(missing)?;
            Move::DepthToSpace(o.block_size)
        }
        B::ExpandDims => Move::ExpandDims,
        B::MirrorPad => {
            let mode = options!(operator, MirrorPadOptions).map_or(0, |o| o.mode);
            Move::MirrorPad { reflect: mode == 0 }
        }
        B::Pack => Move::Pack(options!(operator, PackOptions).ok_or_else(missing)?.axis),
        B::Pad => Move::Pad,
        B::Padv2 => Move::PadV2,
        B::Reshape => Move::Reshape,
        B::ReverseV2 => Move::ReverseV2,
        B::Slice => Move::Slice,
        B::SpaceToBatchNd => Move::SpaceToBatchNd,
        B::SpaceToDepth => {
            let o = options!(operator, SpaceToDepthOptions).ok_or_else(missing)?;
            Move::SpaceToDepth(o.block_size)
        }
        B::Split => Move::Split,
        B::SplitV => Move::SplitV,
        B::Squeeze => {
            let dims = options!(operator, SqueezeOptions).and_then(|o| o.squeeze_dims.clone());
            Move::Squeeze(dims.unwrap_or_default())
        }
        B::StridedSlice => {
            let o = options!(operator, StridedSliceOptions).ok_or_else(missing)?;
            Move::StridedSlice(StridedSlice {
                begin_mask: o.begin_mask as u32,
                end_mask: o.end_mask as u32,
                ellipsis_mask: o.ellipsis_mask as u32,
                new_axis_mask: o.new_axis_mask as u32,
                shrink_axis_mask: o.shrink_axis_mask as u32,
                offset: o.offset,
            })
        }
        B::Tile => Move::Tile,
        B::Transpose => Move::Transpose,
        B::Unpack => Move::Unpack(options!(operator, UnpackOptions).ok_or_else(missing)?.axis),
        _ => return Ok(None),
    }))
}

/// The options of `Convolution2DTransposeBias` are a `TfLiteTransposeConvParams` of C: three little-endian words,
/// padding (1 is SAME, 2 is VALID), stride width, stride height.
fn transpose_bias(options: Option<&[u8]>) -> Result<Window, String> {
    let words: Vec<i32> = options
        .unwrap_or_default()
        .chunks_exact(4)
        .map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    let [padding, stride_w, stride_h, ..] = words[..] else {
        return Err("its custom options are shorter than padding and strides".into());
    };
    let padding = i8::try_from(padding - 1).map_err(|_| format!("unknown padding {padding}"))?;
    window(padding, (stride_h, stride_w), (1, 1), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Kernels, SUPPORT, has_i16};

    /// An operator is read exactly if the support table has it.
    #[test]
    fn the_support_table_names_what_is_read() {
        for code in 0..=255 {
            let Ok(builtin) = B::try_from(code) else {
                continue;
            };
            let operator = Operator::default();
            // Without options it may be refused, but not as unknown.
            let known = !matches!(op(code, "", &operator), Ok(None));
            let code_of = code;
            let code = model::OperatorCode {
                builtin_code: code,
                ..model::OperatorCode::default()
            };
            let name = model::operator_name(&code);
            let row = SUPPORT.iter().find(|row| row.op == name);
            let listed = row.is_some();
            // What stays float may have a kernel too.
            if let (Ok(Some(op)), Some(row)) = (self::op(code_of, "", &operator), row) {
                let wide = row.int16() != Kernels::None;
                assert_eq!(has_i16(&op) || name == "PRELU", wide, "{name}");
            }
            // Another operator has its place before a graph is made of the model.
            let lowered = builtin == B::AddN;
            assert_eq!(known || lowered, listed, "{name} ({builtin:?})");
        }
    }
}
