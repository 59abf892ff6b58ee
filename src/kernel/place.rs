//! Operators that move elements: the output is seen in at most eight dimensions, in which boxes are filled from the
//! inputs by strides. What lies in no box is padding.

use super::{Context, space, u32_of};
use crate::graph::{Error, Move, TensorId};
use crate::num::{DType, Values};

/// Most dimensions of the view of the output.
pub const VIEW: usize = 8;
/// Most boxes: one for each phase of a block, or for each side of a mirrored border.
pub(super) const MAX_BOXES: usize = 4096;

/// Where each output element of one sample comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The output's dimensions as seen here, outermost first, padded with 1 at the front.
    pub dims: [u32; VIEW],
    /// What is filled from where. No two overlap.
    pub boxes: Vec<Box8>,
    /// An element's bytes (the first ones count) for what no box fills; `None` if they fill everything.
    pub fill: Option<[u8; 8]>,
}

/// Output elements `start + i · step` for i below `count` in each dimension, from the element
/// `base + Σ i · stride` of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Box8 {
    /// Place of the input among the step's run-time inputs.
    pub input: u32,
    /// First coordinates.
    pub start: [u32; VIEW],
    /// Distances in the output.
    pub step: [u32; VIEW],
    /// How many.
    pub count: [u32; VIEW],
    /// First element of the input.
    pub base: u32,
    /// Distances in the input.
    pub strides: [i32; VIEW],
}

/// A dimension of a box before it is brought to eight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub start: usize,
    pub step: usize,
    pub count: usize,
    pub stride: i64,
}

/// A box before it is brought to eight dimensions.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub input: usize,
    pub base: i64,
    pub sides: Vec<Side>,
}

/// Distances between neighbours along each dimension.
pub(super) fn strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i] as i64;
    }
    strides
}

/// A box that fills all of `dims` with these strides.
pub(super) fn whole(dims: &[usize], strides: &[i64], base: i64) -> Raw {
    let sides = dims.iter().zip(strides);
    Raw {
        input: 0,
        base,
        sides: sides
            .map(|(&count, &stride)| Side {
                start: 0,
                step: 1,
                count,
                stride,
            })
            .collect(),
    }
}

/// Prepares output `k` of the node.
pub(super) fn prepare(c: Context<'_>, motion: &Move, k: usize) -> Result<Place, Error> {
    let input = c.input(motion.first())?;
    let (shape, output) = (c.shape(input), c.output(k)?);
    let out = c.shape(output).to_vec();
    let steps = strides(shape);
    let rank = shape.len();
    let same_rank = |what: &str, n: usize| match n == rank {
        true => Ok(()),
        false => Err(c.error(format!("its {what} has {n} entries for rank {rank}"))),
    };
    let (dims, boxes) = match motion {
        Move::StridedSlice(a) => {
            let slice = super::strided_slice::slice(c, a)?;
            c.expect_shape(output, &slice.dims)?;
            (out.clone(), vec![whole(&out, &slice.steps, slice.base)])
        }
        Move::Slice => {
            let (begin, size) = (c.integers(c.input(1)?)?, c.integers(c.input(2)?)?);
            same_rank("begin", begin.len())?;
            same_rank("size", size.len())?;
            let mut dims = Vec::new();
            for i in 0..rank {
                let count = if size[i] == -1 {
                    (shape[i] as i64).saturating_sub(begin[i])
                } else {
                    size[i]
                };
                if begin[i] < 0 || count < 0 || begin[i].saturating_add(count) > shape[i] as i64 {
                    return Err(c.error(format!(
                        "it takes {count} from {} of dimension {i} of size {}",
                        begin[i], shape[i]
                    )));
                }
                dims.push(count as usize);
            }
            c.expect_shape(output, &dims)?;
            let base = begin.iter().zip(&steps).map(|(b, s)| b * s).sum();
            (dims.clone(), vec![whole(&dims, &steps, base)])
        }
        Move::Split | Move::SplitV => {
            let slot = if *motion == Move::Split { 0 } else { 2 };
            let axis = c.axis(c.scalar(c.input(slot)?)?, rank)?;
            let (first, count) = parts(c, motion, axis, shape[axis], k)?;
            let mut dims = shape.to_vec();
            dims[axis] = count;
            c.expect_shape(output, &dims)?;
            let base = first as i64 * steps[axis];
            (dims.clone(), vec![whole(&dims, &steps, base)])
        }
        Move::Unpack(axis) => {
            let axis = c.axis(i64::from(*axis), rank)?;
            if c.node.outputs.len() != shape[axis] {
                return Err(c.error(format!(
                    "it has {} outputs for dimension {axis} of size {}",
                    c.node.outputs.len(),
                    shape[axis]
                )));
            }
            let (mut dims, mut rest) = (shape.to_vec(), steps.clone());
            dims.remove(axis);
            rest.remove(axis);
            c.expect_shape(output, &dims)?;
            (
                dims.clone(),
                vec![whole(&dims, &rest, k as i64 * steps[axis])],
            )
        }
        Move::Concatenation(axis) => concatenation(c, *axis, &out)?,
        Move::Pack(axis) => {
            let axis = c.axis(i64::from(*axis), rank + 1)?;
            let mut dims = shape.to_vec();
            dims.insert(axis, c.node.inputs.len());
            c.expect_shape(output, &dims)?;
            let mut boxes = Vec::new();
            for i in 0..c.node.inputs.len() {
                c.expect_shape(c.input(i)?, shape)?;
                let mut part = whole(shape, &steps, 0);
                let side = Side {
                    start: i,
                    step: 1,
                    count: 1,
                    stride: 0,
                };
                part.sides.insert(axis, side);
                part.input = i;
                boxes.push(part);
            }
            (dims, boxes)
        }
        Move::Pad | Move::PadV2 => {
            let paddings = paddings(c, rank)?;
            let mut dims = Vec::new();
            let mut part = whole(shape, &steps, 0);
            for (i, &[before, after]) in paddings.iter().enumerate() {
                dims.push(before + shape[i] + after);
                part.sides[i].start = before;
            }
            c.expect_shape(output, &dims)?;
            (dims, vec![part])
        }
        Move::MirrorPad { reflect } => mirror(c, *reflect, shape, &steps, output)?,
        Move::Tile => {
            let multiples = c.integers(c.input(1)?)?;
            same_rank("multiples", multiples.len())?;
            let (mut dims, mut rest, mut expected) = (Vec::new(), Vec::new(), Vec::new());
            for i in 0..rank {
                let times = usize::try_from(multiples[i])
                    .map_err(|_| c.error(format!("multiple {} is negative", multiples[i])))?;
                dims.extend([times, shape[i]]);
                rest.extend([0, steps[i]]);
                expected.push(times.saturating_mul(shape[i]));
            }
            c.expect_shape(output, &expected)?;
            (dims.clone(), vec![whole(&dims, &rest, 0)])
        }
        Move::BroadcastTo => {
            let missing = out.len().checked_sub(rank);
            let missing = missing.ok_or_else(|| c.error("its output has a smaller rank"))?;
            let mut rest = vec![0; missing];
            for i in 0..rank {
                if shape[i] != 1 && shape[i] != out[missing + i] {
                    return Err(c.error(format!("{shape:?} does not broadcast to {out:?}")));
                }
                rest.push(if shape[i] == 1 { 0 } else { steps[i] });
            }
            (out.clone(), vec![whole(&out, &rest, 0)])
        }
        Move::ReverseV2 => {
            c.expect_shape(output, shape)?;
            let (mut rest, mut base) = (steps.clone(), 0);
            for axis in c.integers(c.input(1)?)? {
                let axis = c.axis(axis, rank)?;
                if rest[axis] == steps[axis] {
                    base += (shape[axis] as i64 - 1).max(0) * steps[axis];
                    rest[axis] = -steps[axis];
                }
            }
            (out.clone(), vec![whole(&out, &rest, base)])
        }
        Move::Transpose => {
            let order = c.integers(c.input(1)?)?;
            same_rank("permutation", order.len())?;
            let mut seen = vec![false; rank];
            let (mut dims, mut rest) = (Vec::new(), Vec::new());
            for axis in order {
                let axis = c.axis(axis, rank)?;
                if std::mem::replace(&mut seen[axis], true) {
                    return Err(c.error(format!("its permutation names dimension {axis} twice")));
                }
                dims.push(shape[axis]);
                rest.push(steps[axis]);
            }
            c.expect_shape(output, &dims)?;
            (dims.clone(), vec![whole(&dims, &rest, 0)])
        }
        Move::SpaceToDepth(block) | Move::DepthToSpace(block) => {
            let to_depth = matches!(motion, Move::SpaceToDepth(_));
            space::depth(c, *block, to_depth, input, output)?
        }
        Move::SpaceToBatchNd => space::batch(c, false, shape, &out)?,
        Move::BatchToSpaceNd => space::batch(c, true, shape, &out)?,
        Move::Reshape | Move::Squeeze(_) | Move::ExpandDims => {
            unreachable!("these keep the order of their elements: Kernel::Copy")
        }
    };
    finish(c, dims, boxes, fill(c, motion)?)
}

/// First index and length of part `k` of a split dimension.
pub(super) fn parts(
    c: Context<'_>,
    motion: &Move,
    axis: usize,
    size: usize,
    k: usize,
) -> Result<(usize, usize), Error> {
    let n = c.node.outputs.len();
    if *motion == Move::Split {
        if !size.is_multiple_of(n) {
            return Err(c.error(format!(
                "dimension {axis} of size {size} does not split into {n} equal parts"
            )));
        }
        return Ok((k * (size / n), size / n));
    }
    let given = c.integers(c.input(1)?)?;
    let known = given.iter().filter(|&&s| s >= 0);
    let known = known.fold(0i64, |sum, &s| sum.saturating_add(s));
    let open = given.iter().filter(|&&s| s == -1).count();
    let sizes: Vec<i64> = given
        .iter()
        .map(|&s| if s == -1 { size as i64 - known } else { s })
        .collect();
    let fits = open <= 1
        && sizes.len() == n
        && sizes.iter().all(|&s| (0..=size as i64).contains(&s))
        && sizes.iter().sum::<i64>() == size as i64;
    if !fits {
        return Err(c.error(format!(
            "sizes {given:?} do not split dimension {axis} of size {size} into {n} parts"
        )));
    }
    let first: i64 = sizes[..k].iter().sum();
    Ok((first as usize, sizes[k] as usize))
}

fn concatenation(
    c: Context<'_>,
    axis: i32,
    out: &[usize],
) -> Result<(Vec<usize>, Vec<Raw>), Error> {
    let axis = c.axis(i64::from(axis), out.len())?;
    let mut boxes = Vec::new();
    let mut at = 0;
    for i in 0..c.node.inputs.len() {
        let id = c.input(i)?;
        let shape = c.shape(id);
        let fits =
            shape.len() == out.len() && (0..out.len()).all(|d| d == axis || shape[d] == out[d]);
        if !fits {
            return Err(c.error(format!(
                "{} has shape {shape:?}, which does not fit the output {out:?} along dimension {axis}",
                c.graph.describe(id)
            )));
        }
        let mut part = whole(shape, &strides(shape), 0);
        part.input = i;
        part.sides[axis].start = at;
        at += shape[axis];
        boxes.push(part);
    }
    if at != out[axis] {
        return Err(c.error(format!(
            "its inputs have {at} entries along dimension {axis}, its output {}",
            out[axis]
        )));
    }
    Ok((out.to_vec(), boxes))
}

/// `[rank, 2]` counts before and after each dimension.
pub(super) fn paddings(c: Context<'_>, rank: usize) -> Result<Vec<[usize; 2]>, Error> {
    let values = c.integers(c.input(1)?)?;
    if values.len() != 2 * rank {
        return Err(c.error(format!(
            "its paddings have {} entries for rank {rank}",
            values.len()
        )));
    }
    values
        .chunks_exact(2)
        .map(
            |pair| match (usize::try_from(pair[0]), usize::try_from(pair[1])) {
                (Ok(before), Ok(after)) if before.max(after) < 1 << 31 => Ok([before, after]),
                _ => Err(c.error(format!("padding {pair:?} is negative or too large"))),
            },
        )
        .collect()
}

fn mirror(
    c: Context<'_>,
    reflect: bool,
    shape: &[usize],
    steps: &[i64],
    output: TensorId,
) -> Result<(Vec<usize>, Vec<Raw>), Error> {
    let paddings = paddings(c, shape.len())?;
    let mut dims = Vec::new();
    let mut boxes = vec![whole(shape, steps, 0)];
    for (i, &[before, after]) in paddings.iter().enumerate() {
        let most = shape[i].saturating_sub(usize::from(reflect));
        if before > most || after > most {
            return Err(c.error(format!(
                "padding {:?} of dimension {i} is larger than its {most} mirrored elements",
                [before, after]
            )));
        }
        dims.push(before + shape[i] + after);
        let border = i64::from(reflect);
        let sides = [
            // The first one is mirrored from `before − 1 + border` downwards.
            (0, before, before as i64 - 1 + border, -1),
            (before, shape[i], 0, 1),
            (before + shape[i], after, shape[i] as i64 - 1 - border, -1),
        ];
        let old = std::mem::take(&mut boxes);
        for part in old {
            for (start, count, first, direction) in sides.into_iter().filter(|s| s.1 > 0) {
                let mut part = part.clone();
                part.base += first * steps[i];
                part.sides[i] = Side {
                    start,
                    step: 1,
                    count,
                    stride: direction * steps[i],
                };
                boxes.push(part);
            }
        }
        if boxes.len() > MAX_BOXES {
            return Err(c.error("it mirrors more dimensions than are supported"));
        }
    }
    c.expect_shape(output, &dims)?;
    Ok((dims, boxes))
}

/// What padding consists of: zeros, or the real zero of a quantized tensor.
fn fill(c: Context<'_>, motion: &Move) -> Result<Option<[u8; 8]>, Error> {
    let output = c.output(0)?;
    let mut element = [0; 8];
    match motion {
        Move::PadV2 => {
            let id = c.input(2)?;
            c.expect_dtype(id, c.tensor(output).dtype)?;
            c.expect_elements(id, 1)?;
            let value = c.tensor(id).constant.as_ref();
            let value = value.ok_or_else(|| {
                c.error("its value is computed at run time, which is not supported")
            })?;
            element[..value.bytes().len()].copy_from_slice(value.bytes());
        }
        Move::Pad | Move::SpaceToBatchNd => {
            if matches!(c.tensor(output).dtype, DType::I8 | DType::U8)
                && c.tensor(output).quantization.is_some()
            {
                element[0] = c.affine(output)?.zero_point as u8;
            }
        }
        _ => return Ok(None),
    }
    Ok(Some(element))
}

/// Brings dimensions and boxes to eight: without those of size 1, neighbours merged where every box allows it.
fn finish(
    c: Context<'_>,
    mut dims: Vec<usize>,
    mut boxes: Vec<Raw>,
    fill: Option<[u8; 8]>,
) -> Result<Place, Error> {
    boxes.retain(|b| b.sides.iter().all(|s| s.count > 0));
    for i in (0..dims.len()).rev() {
        if dims[i] == 1 && dims.len() > 1 {
            dims.remove(i);
            for part in &mut boxes {
                // A box has the one element there is.
                part.sides.remove(i);
            }
        }
    }
    for i in (1..dims.len()).rev() {
        let together = |b: &Raw| {
            let (outer, inner) = (b.sides[i - 1], b.sides[i]);
            inner.start == 0
                && inner.step == 1
                && inner.count == dims[i]
                && outer.step == 1
                && (outer.count == 1 || outer.stride == inner.stride * dims[i] as i64)
        };
        if boxes.iter().all(together) {
            let size = dims.remove(i);
            dims[i - 1] *= size;
            for part in &mut boxes {
                let inner = part.sides.remove(i);
                let outer = &mut part.sides[i - 1];
                outer.start *= size;
                outer.count *= size;
                outer.stride = inner.stride;
            }
        }
    }
    if dims.len() > VIEW {
        return Err(c.error(format!(
            "it moves along {} dimensions, more than {VIEW}",
            dims.len()
        )));
    }
    let pad = VIEW - dims.len();
    let widen = |b: Raw| -> Result<Box8, Error> {
        let mut result = Box8 {
            input: u32_of(b.input),
            start: [0; VIEW],
            step: [1; VIEW],
            count: [1; VIEW],
            base: u32_of(b.base as usize),
            strides: [0; VIEW],
        };
        for (i, s) in b.sides.iter().enumerate() {
            result.start[pad + i] = u32_of(s.start);
            result.step[pad + i] = u32_of(s.step);
            result.count[pad + i] = u32_of(s.count);
            result.strides[pad + i] =
                i32::try_from(s.stride).map_err(|_| c.error("a stride is too large"))?;
        }
        Ok(result)
    };
    let mut view = [1; VIEW];
    for (to, from) in view[pad..].iter_mut().zip(&dims) {
        *to = u32_of(*from);
    }
    let covered: usize = boxes
        .iter()
        .map(|b| b.sides.iter().map(|s| s.count).product::<usize>())
        .sum();
    Ok(Place {
        dims: view,
        boxes: boxes.into_iter().map(widen).collect::<Result<_, _>>()?,
        fill: fill.filter(|_| covered < dims.iter().product()),
    })
}

impl Context<'_> {
    /// The integers of a constant, int32 or int64.
    pub(super) fn integers(self, id: TensorId) -> Result<Vec<i64>, Error> {
        match self.value(id) {
            Some(Values::I32(v)) => Ok(v.iter().map(|&x| x.into()).collect()),
            Some(Values::I64(v)) => Ok(v.clone()),
            Some(other) => Err(self.error(format!(
                "{} is {}, expected int32 or int64",
                self.graph.describe(id),
                other.dtype()
            ))),
            None => Err(self.error(format!(
                "{} is computed at run time; only shape arguments known before are supported",
                self.graph.describe(id)
            ))),
        }
    }

    /// The one integer of a constant.
    pub(super) fn scalar(self, id: TensorId) -> Result<i64, Error> {
        match self.integers(id)?[..] {
            [x] => Ok(x),
            ref other => Err(self.error(format!(
                "{} has {} elements, expected 1",
                self.graph.describe(id),
                other.len()
            ))),
        }
    }

    /// A dimension's number, which may count from the end.
    pub(super) fn axis(self, axis: i64, rank: usize) -> Result<usize, Error> {
        let from_start = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(from_start)
            .ok()
            .filter(|&a| a < rank)
            .ok_or_else(|| self.error(format!("axis {axis} is outside of rank {rank}")))
    }
}
