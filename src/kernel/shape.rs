//! The shapes of outputs, from the shapes of inputs and the values of shape arguments, as LiteRT finds them when it
//! prepares a model. What a file says of them does not count there: where dimensions are dynamic it holds −1, or what
//! they were when the model was converted.

use super::conv::window_axis;
use super::place::{paddings, parts};
use super::{Context, Numerics, strided_slice};
use crate::graph::{Error, Graph, Move, Node, Op, Padding, Static, TensorId, Window};
use crate::num::Values;
use std::collections::BTreeMap;

type Shape = Vec<usize>;

/// The shape of each output of a node. `known` holds values beside the graph's constants.
///
/// # Errors
/// If a shape argument is computed at run time, or the inputs do not fit.
pub fn output_shapes(
    graph: &Graph,
    node: &Node,
    known: &BTreeMap<TensorId, Values>,
) -> Result<Vec<Shape>, Error> {
    let c = Context {
        graph,
        node,
        known: Some(known),
        numerics: Numerics::Reference,
    };
    let shapes = (0..node.outputs.len()).map(|place| {
        let shape = c.output_shape(place)?;
        let elements = shape.iter().filter(|&&d| d > 0);
        let elements = elements.fold(1usize, |n, &d| n.saturating_mul(d));
        if elements >= 1 << 31 {
            return Err(c.error(format!("its output {shape:?} has 2^31 elements or more")));
        }
        Ok(shape)
    });
    shapes.collect()
}

impl Context<'_> {
    fn output_shape(self, place: usize) -> Result<Shape, Error> {
        let c = self;
        let input = |i: usize| Ok::<_, Error>(c.shape(c.input(i)?));
        let same = || Ok(input(0)?.to_vec());
        // What depends on attributes or weights alone is in the file.
        let file = c.shape(c.output(place)?);
        match &c.node.op {
            Op::Conv2d(window) => {
                let [out, h, w, _] = c.shape_of_rank::<4>(c.input(1)?)?;
                c.windows(window, [h, w], Some(out))
            }
            Op::DepthwiseConv2d(window) => {
                let [_, h, w, out] = c.shape_of_rank::<4>(c.input(1)?)?;
                c.windows(window, [h, w], Some(out))
            }
            Op::Pool(_, pool) => c.windows(&pool.window, pool.size, None),
            Op::TransposeConv(_) => c.sizes(c.input(0)?),
            Op::Convolution2dTransposeBias(window) => c.transposed(window),
            Op::FullyConnected { .. } => c.dense(file),
            Op::BatchMatmul { adj_x, adj_y } => c.matmul(*adj_x, *adj_y),
            Op::UnidirectionalSequenceLstm(_) | Op::UnidirectionalSequenceRnn { .. } => {
                // Weights of the forget gate, which every LSTM has, or of the RNN.
                let weights = c.optional_input(2).filter(|_| c.node.op.states().len() > 1);
                let weights = weights.map_or_else(|| c.input(1), Ok)?;
                let [cells, _] = c.shape_of_rank::<2>(weights)?;
                let [first, second, _] = c.shape_of_rank::<3>(c.input(0)?)?;
                Ok(vec![first, second, cells])
            }
            Op::Svdf { rank, .. } => {
                let [batch, _] = c.shape_of_rank::<2>(c.input(0)?)?;
                let [filters, _] = c.shape_of_rank::<2>(c.input(1)?)?;
                Ok(vec![batch, filters / (*rank).max(1)])
            }
            Op::Binary(..) => c.broadcast_shape(&[input(0)?, input(1)?]),
            Op::Select { broadcast: true } => c.broadcast_shape(&[input(0)?, input(1)?, input(2)?]),
            Op::Select { broadcast: false } => Ok(input(1)?.to_vec()),
            Op::Reduce(_) => c.reduced(file),
            Op::Arg { .. } => {
                let mut shape = input(0)?.to_vec();
                shape.remove(c.axis(c.scalar(c.input(1)?)?, shape.len())?);
                Ok(shape)
            }
            Op::Resize { .. } => {
                let [batch, _, _, channels] = c.shape_of_rank::<4>(c.input(0)?)?;
                let size = c.sizes(c.input(1)?)?;
                Ok([&[batch], size.as_slice(), &[channels]].concat())
            }
            Op::Move(motion) => c.moved_shape(motion, place, file),
            Op::Gather { axis, batch_dims } => {
                let (table, index) = (input(0)?, input(1)?);
                let axis = c.axis(i64::from(*axis), table.len())?;
                let batch = match *batch_dims {
                    n if n < 0 => i64::from(n) + index.len() as i64,
                    n => i64::from(n),
                };
                let batch = usize::try_from(batch).unwrap_or(usize::MAX);
                let rows = index.get(batch..);
                let rows =
                    rows.ok_or_else(|| c.error("it has more batch dimensions than indices"))?;
                Ok([&table[..axis], rows, &table[axis + 1..]].concat())
            }
            Op::GatherNd => {
                let (table, index) = (input(0)?, input(1)?);
                let split = index.split_last();
                let split = split.and_then(|(&k, rows)| Some((rows, table.get(k..)?)));
                let (rows, rest) =
                    split.ok_or_else(|| c.error("its indices do not fit its table"))?;
                Ok([rows, rest].concat())
            }
            Op::EmbeddingLookup => {
                let (index, table) = (input(0)?, input(1)?);
                Ok([index, table.get(1..).unwrap_or_default()].concat())
            }
            Op::TopK => {
                let mut shape = input(0)?.to_vec();
                let k = c.sizes(c.input(1)?)?;
                match (shape.last_mut(), k.as_slice()) {
                    (Some(last), &[k]) => *last = k,
                    _ => return Err(c.error("its input is a scalar, or its k not one number")),
                }
                Ok(shape)
            }
            Op::OneHot { axis } => {
                let mut shape = input(0)?.to_vec();
                let axis = c.axis(i64::from(*axis), shape.len() + 1)?;
                let depth = c.sizes(c.input(1)?)?;
                shape.splice(axis..axis, depth);
                Ok(shape)
            }
            Op::Rfft2d => {
                let mut shape = input(0)?.to_vec();
                let lengths = c.sizes(c.input(1)?)?;
                match (shape.last_chunk_mut::<2>(), lengths.as_slice()) {
                    (Some(last), &[h, w]) => *last = [h, w / 2 + 1],
                    _ => return Err(c.error("its lengths do not fit its input")),
                }
                Ok(shape)
            }
            Op::Static(op) => c.static_shape(*op, file),
            Op::Opaque(_) | Op::Distance => Ok(file.to_vec()),
            Op::Unary(_)
            | Op::Softmax { .. }
            | Op::LogSoftmax
            | Op::L2Normalization
            | Op::Cast
            | Op::Cumsum { .. }
            | Op::Complex(_)
            | Op::Quantize
            | Op::Dequantize => same(),
        }
    }

    /// Integers that are sizes.
    fn sizes(self, id: TensorId) -> Result<Shape, Error> {
        let sizes = self.integers(id)?.into_iter().map(|size| {
            usize::try_from(size)
                .map_err(|_| self.error(format!("its argument holds the negative size {size}")))
        });
        sizes.collect()
    }

    fn windows(
        self,
        window: &Window,
        size: [usize; 2],
        channels: Option<usize>,
    ) -> Result<Shape, Error> {
        let [batch, h, w, depth] = self.shape_of_rank::<4>(self.input(0)?)?;
        if size.contains(&0) || window.stride.contains(&0) {
            return Err(self.error("its filter or its stride is 0"));
        }
        let (out_h, _) = window_axis(self, window, h, size[0], 0)?;
        let (out_w, _) = window_axis(self, window, w, size[1], 1)?;
        Ok(vec![batch, out_h, out_w, channels.unwrap_or(depth)])
    }

    /// The inverse of a convolution's sizes.
    fn transposed(self, window: &Window) -> Result<Shape, Error> {
        let [batch, h, w, _] = self.shape_of_rank::<4>(self.input(0)?)?;
        let [out, k_h, k_w, _] = self.shape_of_rank::<4>(self.input(1)?)?;
        let axis = |size: usize, k: usize, i: usize| match window.padding {
            Padding::Same => size.saturating_mul(window.stride[i]),
            Padding::Valid => (size.saturating_sub(1).saturating_mul(window.stride[i]))
                .saturating_add(k.max(window.stride[i])),
        };
        Ok(vec![batch, axis(h, k_h, 0), axis(w, k_w, 1), out])
    }

    /// Rows of the weights' depth, or the input's own dimensions, as the file has it.
    fn dense(self, file: &[usize]) -> Result<Shape, Error> {
        let input = self.shape(self.input(0)?);
        let [units, depth] = self.shape_of_rank::<2>(self.input(1)?)?;
        let elements: usize = input.iter().product();
        match input.split_last() {
            Some((&last, outer)) if last == depth && file.len() == input.len() => {
                Ok([outer, &[units]].concat())
            }
            _ if depth > 0 && elements.is_multiple_of(depth) => Ok(vec![elements / depth, units]),
            _ => Err(self.error(format!(
                "an input {input:?} does not divide into rows of {depth}"
            ))),
        }
    }

    fn matmul(self, adj_x: bool, adj_y: bool) -> Result<Shape, Error> {
        let (a, b) = (self.shape(self.input(0)?), self.shape(self.input(1)?));
        let (Some((batch_a, &[a0, a1])), Some((batch_b, &[b0, b1]))) =
            (a.split_last_chunk::<2>(), b.split_last_chunk::<2>())
        else {
            return Err(self.error(format!("shapes {a:?} and {b:?} do not fit a product")));
        };
        let mut shape = self.broadcast_shape(&[batch_a, batch_b])?;
        shape.extend([if adj_x { a1 } else { a0 }, if adj_y { b0 } else { b1 }]);
        Ok(shape)
    }

    fn broadcast_shape(self, shapes: &[&[usize]]) -> Result<Shape, Error> {
        let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
        let mut out = vec![1; rank];
        for shape in shapes {
            for (to, &size) in out[rank - shape.len()..].iter_mut().zip(*shape) {
                match (*to, size) {
                    (a, b) if a == b || b == 1 => {}
                    (1, b) => *to = b,
                    _ => return Err(self.error(format!("shapes {shapes:?} do not broadcast"))),
                }
            }
        }
        Ok(out)
    }

    /// Whether reduced dimensions stay as 1 follows from the rank in the file.
    fn reduced(self, file: &[usize]) -> Result<Shape, Error> {
        let mut shape = self.shape(self.input(0)?).to_vec();
        let mut axes = Vec::new();
        for axis in self.integers(self.input(1)?)? {
            axes.push(self.axis(axis, shape.len())?);
        }
        axes.sort_unstable();
        axes.dedup();
        let keep = file.len() == shape.len();
        for &axis in axes.iter().rev() {
            if keep {
                shape[axis] = 1;
            } else {
                shape.remove(axis);
            }
        }
        Ok(shape)
    }

    fn static_shape(self, op: Static, file: &[usize]) -> Result<Shape, Error> {
        Ok(match op {
            Static::Shape => vec![self.shape(self.input(0)?).len()],
            Static::Rank => Vec::new(),
            Static::Fill => self.sizes(self.input(0)?)?,
            Static::ZerosLike | Static::Densify => self.shape(self.input(0)?).to_vec(),
            Static::Range => match self.range_length() {
                Some(length) => vec![length],
                None => file.to_vec(),
            },
        })
    }

    fn range_length(self) -> Option<usize> {
        let number = |i: usize| {
            let value = self.value(self.optional_input(i)?)?;
            match value {
                Values::F32(v) => v.first().map(|&x| f64::from(x)),
                Values::I32(v) => v.first().map(|&x| f64::from(x)),
                Values::I64(v) => v.first().map(|&x| x as f64),
                _ => None,
            }
        };
        let steps = ((number(1)? - number(0)?) / number(2)?).ceil();
        (0.0..2_147_483_648.0)
            .contains(&steps)
            .then_some(steps as usize)
    }

    fn moved_shape(self, motion: &Move, place: usize, file: &[usize]) -> Result<Shape, Error> {
        let c = self;
        let mut shape = c.shape(c.input(motion.first())?).to_vec();
        let rank = shape.len();
        let argument = |i: usize| c.sizes(c.input(i)?);
        let fits = |what: &str, n: usize| match n == rank {
            true => Ok(()),
            false => Err(c.error(format!("its {what} has {n} entries for rank {rank}"))),
        };
        match motion {
            Move::Reshape => return c.reshaped(&shape, file),
            Move::Squeeze(dims) => {
                let mut gone = vec![dims.is_empty(); rank];
                for &axis in dims {
                    gone[c.axis(i64::from(axis), rank)?] = true;
                }
                let kept = shape.iter().zip(gone);
                shape = kept
                    .filter(|&(&size, gone)| !(gone && size == 1))
                    .map(|(&size, _)| size)
                    .collect();
            }
            Move::ExpandDims => {
                let axis = c.axis(c.scalar(c.input(1)?)?, rank + 1)?;
                shape.insert(axis, 1);
            }
            Move::Concatenation(axis) => {
                let axis = c.axis(i64::from(*axis), rank)?;
                shape[axis] = 0;
                for &id in c.node.inputs.iter().flatten() {
                    let part = c.shape(id).get(axis).copied();
                    let part = part.ok_or_else(|| c.error("its inputs differ in rank"))?;
                    shape[axis] = shape[axis].saturating_add(part);
                }
            }
            Move::Pack(axis) => {
                let axis = c.axis(i64::from(*axis), rank + 1)?;
                shape.insert(axis, c.node.inputs.len());
            }
            Move::Unpack(axis) => {
                shape.remove(c.axis(i64::from(*axis), rank)?);
            }
            Move::Split | Move::SplitV => {
                let slot = if *motion == Move::Split { 0 } else { 2 };
                let axis = c.axis(c.scalar(c.input(slot)?)?, rank)?;
                shape[axis] = parts(c, motion, axis, shape[axis], place)?.1;
            }
            Move::Pad | Move::PadV2 | Move::MirrorPad { .. } => {
                for (size, [before, after]) in shape.iter_mut().zip(paddings(c, rank)?) {
                    *size = size.saturating_add(before).saturating_add(after);
                }
            }
            Move::Slice => {
                let (begin, size) = (argument(1)?, c.integers(c.input(2)?)?);
                fits("begin", begin.len())?;
                fits("size", size.len())?;
                for i in 0..rank {
                    shape[i] = match usize::try_from(size[i]) {
                        Ok(size) => size,
                        Err(_) => shape[i].saturating_sub(begin[i]),
                    };
                }
            }
            Move::StridedSlice(a) => return Ok(strided_slice::slice(c, a)?.dims),
            Move::Tile => {
                let multiples = argument(1)?;
                fits("multiples", multiples.len())?;
                for (size, times) in shape.iter_mut().zip(multiples) {
                    *size = size.saturating_mul(times);
                }
            }
            Move::BroadcastTo => return argument(1),
            Move::Transpose => {
                let order = c.integers(c.input(1)?)?;
                fits("permutation", order.len())?;
                let axes = order.into_iter().map(|axis| c.axis(axis, rank));
                let axes = axes.collect::<Result<Vec<_>, _>>()?;
                shape = axes.into_iter().map(|axis| shape[axis]).collect();
            }
            Move::SpaceToDepth(block) | Move::DepthToSpace(block) => {
                let block = usize::try_from(*block).ok().filter(|&b| b > 0);
                let block = block.ok_or_else(|| c.error("its block size is not positive"))?;
                let [n, h, w, ch] = c.shape_of_rank::<4>(c.input(0)?)?;
                let square = block.saturating_mul(block);
                shape = match motion {
                    Move::SpaceToDepth(_) => {
                        vec![n, h / block, w / block, ch.saturating_mul(square)]
                    }
                    _ => vec![
                        n,
                        h.saturating_mul(block),
                        w.saturating_mul(block),
                        ch / square,
                    ],
                };
            }
            Move::SpaceToBatchNd | Move::BatchToSpaceNd => {
                let (block, border) = (argument(1)?, argument(2)?);
                let phases = block.iter().fold(1usize, |n, &b| n.saturating_mul(b));
                if border.len() != 2 * block.len() || rank <= block.len() || phases == 0 {
                    return Err(c.error("its block shape and its borders do not fit its input"));
                }
                let to_batch = *motion == Move::SpaceToBatchNd;
                shape[0] = match to_batch {
                    true => shape[0].saturating_mul(phases),
                    false => shape[0] / phases,
                };
                for (i, &block) in block.iter().enumerate() {
                    let border = border[2 * i].saturating_add(border[2 * i + 1]);
                    shape[i + 1] = match to_batch {
                        true => shape[i + 1].saturating_add(border) / block,
                        false => shape[i + 1].saturating_mul(block).saturating_sub(border),
                    };
                }
            }
            Move::ReverseV2 => {}
        }
        Ok(shape)
    }

    /// A dimension of −1 takes what is left. Without an argument the shape is an attribute, and so is in the file.
    fn reshaped(self, input: &[usize], file: &[usize]) -> Result<Shape, Error> {
        let Some(id) = self.optional_input(1) else {
            return Ok(file.to_vec());
        };
        let wanted = self.integers(id)?;
        let elements: usize = input.iter().product();
        let open = wanted.iter().filter(|&&d| d == -1).count();
        let mut rest = wanted.iter().filter(|&&d| d != -1);
        let rest = rest.try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
        match (open, rest) {
            (0, Some(rest)) if rest == elements => {}
            (1, Some(rest)) if rest > 0 && elements.is_multiple_of(rest) => {}
            _ => {
                return Err(self.error(format!(
                    "{input:?} has {elements} elements and does not become {wanted:?}"
                )));
            }
        }
        let size = |&d: &i64| usize::try_from(d).unwrap_or(elements / rest.unwrap_or(1).max(1));
        Ok(wanted.iter().map(size).collect())
    }
}
