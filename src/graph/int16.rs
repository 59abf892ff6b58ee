//! Which operators LiteRT computes in int16 with zero point 0, beside int8 weights ("16x8"), and under which version.

use super::{Binary, Move, Op, Pool, Reduce, Unary};

/// Whether LiteRT's reference kernels take the operator in int16, mean by it what its scales say, and so do the kernels
/// of every device here.
///
/// Not PRELU, whose slopes have to be int8; and not SUM, NEG, DIV and orderings, which LiteRT computes on the stored
/// numbers.
pub fn has_i16(op: &Op) -> bool {
    match op {
        Op::Conv2d(_)
        | Op::DepthwiseConv2d(_)
        | Op::TransposeConv(_)
        | Op::FullyConnected { .. }
        | Op::BatchMatmul { .. }
        | Op::Softmax { .. }
        | Op::Select { .. }
        | Op::Resize { .. }
        | Op::Gather { .. }
        | Op::GatherNd
        | Op::Quantize
        | Op::Dequantize => true,
        Op::Unary(unary) => matches!(
            unary,
            Unary::Abs
                | Unary::Exp
                | Unary::Gelu { .. }
                | Unary::LeakyRelu { .. }
                | Unary::Log
                | Unary::Logistic
                | Unary::Relu
                | Unary::Relu6
                | Unary::Rsqrt
                | Unary::Sqrt
                | Unary::Tanh
        ),
        Op::Binary(binary, _) => matches!(
            binary,
            Binary::Add
                | Binary::Sub
                | Binary::Mul
                | Binary::Maximum
                | Binary::Minimum
                | Binary::Equal
                | Binary::NotEqual
        ),
        Op::Reduce(reduce) => matches!(reduce, Reduce::Mean | Reduce::Max | Reduce::Min),
        Op::Pool(pool, _) => matches!(pool, Pool::Average | Pool::Max),
        Op::Move(motion) => !matches!(motion, Move::SpaceToDepth(_) | Move::DepthToSpace(_)),
        _ => false,
    }
}

/// Least version of the operator that has its int16 kernel, as LiteRT's list of versions has it
/// (`tools/versioning/op_version.cc`; that of convolutions and FULLY_CONNECTED by the release that brought 16x8, as in
/// `runtime_version.cc`).
pub fn i16_version(op: &Op) -> i32 {
    match op {
        Op::FullyConnected { .. } => 7,
        Op::DepthwiseConv2d(_)
        | Op::Binary(Binary::Sub | Binary::Equal, _)
        | Op::Move(Move::Transpose) => 5,
        Op::Conv2d(_)
        | Op::Resize { .. }
        | Op::Gather { .. }
        | Op::Binary(Binary::Mul | Binary::Maximum | Binary::Minimum | Binary::NotEqual, _)
        | Op::Move(
            Move::Slice
            | Move::Split
            | Move::Unpack(_)
            | Move::SpaceToBatchNd
            | Move::BatchToSpaceNd,
        ) => 4,
        Op::Unary(
            Unary::Exp | Unary::Log | Unary::Sqrt | Unary::LeakyRelu { .. } | Unary::Gelu { .. },
        )
        | Op::Quantize => 2,
        Op::Select { .. }
        | Op::Binary(Binary::Prelu, _)
        | Op::Move(
            Move::Reshape
            | Move::Squeeze(_)
            | Move::ExpandDims
            | Move::Tile
            | Move::ReverseV2
            | Move::SplitV
            | Move::StridedSlice(_),
        ) => 1,
        _ => 3,
    }
}

/// The scale that LiteRT demands of an int16 output, where it does.
pub fn i16_fixed_output(op: &Op) -> Option<f32> {
    let fixed = matches!(
        op,
        Op::Softmax { .. } | Op::Unary(Unary::Logistic | Unary::Tanh)
    );
    fixed.then_some(1.0 / 32768.0)
}
