//! Operators that move elements: the output is seen in at most eight dimensions, in which boxes are filled from the
//! inputs by strides. What lies in no box is padding.

use super::{Context, u32_of};
use crate::graph::{Error, Move, TensorId};
use crate::num::{DType, Values};

/// Most dimensions of the view of the output.
pub const VIEW: usize = 8;
/// Most boxes: one for each phase of a block, or for each side of a mirrored border.
const MAX_BOXES: usize = 4096;

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
struct Side {
    start: usize,
    step: usize,
    count: usize,
    stride: i64,
}

#[derive(Clone, Debug)]
struct Raw {
    input: usize,
    base: i64,
    sides: Vec<Side>,
}

/// Distances between neighbours along each dimension.
fn strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i] as i64;
    }
    strides
}

/// A box that fills all of `dims` with these strides.
fn whole(dims: &[usize], strides: &[i64], base: i64) -> Raw {
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
            depth(c, *block, to_depth, input, output)?
        }
        Move::SpaceToBatchNd => batch(c, false, shape, &out)?,
        Move::BatchToSpaceNd => batch(c, true, shape, &out)?,
        Move::Reshape | Move::Squeeze | Move::ExpandDims => {
            unreachable!("these keep the order of their elements: Kernel::Copy")
        }
    };
    finish(c, dims, boxes, fill(c, motion)?)
}

/// First index and length of part `k` of a split dimension.
fn parts(
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
        let fits = shape.len() == out.len()
            && (0..out.len()).all(|d| d == axis || shape[d] == out[d]);
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
fn paddings(c: Context<'_>, rank: usize) -> Result<Vec<[usize; 2]>, Error> {
    let values = c.integers(c.input(1)?)?;
    if values.len() != 2 * rank {
        return Err(c.error(format!(
            "its paddings have {} entries for rank {rank}",
            values.len()
        )));
    }
    values
        .chunks_exact(2)
        .map(|pair| match (usize::try_from(pair[0]), usize::try_from(pair[1])) {
            (Ok(before), Ok(after)) if before.max(after) < 1 << 31 => Ok([before, after]),
            _ => Err(c.error(format!("padding {pair:?} is negative or too large"))),
        })
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

fn depth(
    c: Context<'_>,
    block: i32,
    to_depth: bool,
    input: TensorId,
    output: TensorId,
) -> Result<(Vec<usize>, Vec<Raw>), Error> {
    let block = usize::try_from(block).ok().filter(|&b| b > 0);
    let block = block.ok_or_else(|| c.error("its block size is not positive"))?;
    let ([n, h, w, ch], out) = (c.shape_of_rank::<4>(input)?, c.shape(output));
    let s = strides(c.shape(input));
    let misfit = || c.error(format!("its shape does not divide into blocks of {block}"));
    let b = block as i64;
    let (dims, steps, expected) = if to_depth {
        if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
            return Err(misfit());
        }
        let (h, w) = (h / block, w / block);
        (
            vec![n, h, w, block, block, ch],
            vec![s[0], b * s[1], b * s[2], s[1], s[2], 1],
            [n, h, w, ch.saturating_mul(block * block)],
        )
    } else {
        let square = block.checked_mul(block).ok_or_else(misfit)?;
        if !ch.is_multiple_of(square) {
            return Err(misfit());
        }
        let rest = ch / square;
        (
            vec![n, h, block, w, block, rest],
            vec![s[0], s[1], b * rest as i64, s[2], rest as i64, 1],
            [n, h * block, w * block, rest],
        )
    };
    if out != expected {
        c.expect_shape(output, &expected)?;
    }
    Ok((dims.clone(), vec![whole(&dims, &steps, 0)]))
}

/// SPACE_TO_BATCH_ND and its inverse: a box for each phase of the blocks.
fn batch(
    c: Context<'_>,
    to_space: bool,
    shape: &[usize],
    out: &[usize],
) -> Result<(Vec<usize>, Vec<Raw>), Error> {
    let block = c.integers(c.input(1)?)?;
    let border = c.integers(c.input(2)?)?;
    let m = block.len();
    let small = border.iter().all(|b| (0..1 << 31).contains(b));
    if shape.len() != out.len() || shape.len() <= m || border.len() != 2 * m || !small {
        return Err(c.error("its block shape and its borders do not fit its input"));
    }
    let phases = block.iter().try_fold(1i64, |n, &b| {
        n.checked_mul(b).filter(|n| (1..=MAX_BOXES as i64).contains(n))
    });
    let phases = phases.ok_or_else(|| {
        c.error(format!("blocks {block:?} have no or more than {MAX_BOXES} phases"))
    })? as usize;
    // The side with the whole image, and the one with the blocks.
    let (image, blocks) = if to_space { (out, shape) } else { (shape, out) };
    for i in 0..m {
        let [before, after] = [border[2 * i], border[2 * i + 1]];
        let total = if to_space {
            Some(blocks[i + 1] as i64 * block[i] - before - after)
        } else {
            let padded = image[i + 1] as i64 + before + after;
            (padded % block[i] == 0 && padded / block[i] == blocks[i + 1] as i64)
                .then_some(image[i + 1] as i64)
        };
        if total != Some(image[i + 1] as i64) {
            return Err(c.error(format!(
                "dimension {} of {} and {} does not fit blocks of {} with borders {before} and {after}",
                i + 1,
                image[i + 1],
                blocks[i + 1],
                block[i]
            )));
        }
    }
    if blocks[0] != image[0] * phases || blocks[m + 1..] != image[m + 1..] {
        return Err(c.error(format!("{shape:?} does not become {out:?}")));
    }
    let (image_steps, block_steps) = (strides(image), strides(blocks));
    let n = image[0];
    // The output with the phases apart from the batch.
    let dims: Vec<usize> = if to_space {
        image.to_vec()
    } else {
        [&[phases, n], &blocks[1..]].concat()
    };
    let side = |start: usize, step: usize, count: usize, stride: i64| Side {
        start,
        step,
        count,
        stride,
    };
    let mut boxes = Vec::new();
    for phase in 0..phases {
        let mut rest = phase;
        let mut at = vec![0; m];
        for i in (0..m).rev() {
            at[i] = rest as i64 % block[i];
            rest /= block[i] as usize;
        }
        let mut sides = vec![];
        let mut base = 0;
        if to_space {
            base += (phase * n) as i64 * block_steps[0];
            sides.push(side(0, 1, n, block_steps[0]));
        } else {
            sides.extend([side(phase, 1, 1, 0), side(0, 1, n, image_steps[0])]);
        }
        for i in 0..m {
            // Pixel of the image = block index · block + phase − border.
            let shift = at[i] - border[2 * i];
            let first = ((-shift).max(0) + block[i] - 1) / block[i];
            let last = (image[i + 1] as i64 - 1 - shift).div_euclid(block[i]);
            let last = last.min(blocks[i + 1] as i64 - 1);
            let count = (last - first + 1).max(0) as usize;
            let pixel = (first * block[i] + shift).max(0);
            if to_space {
                base += first * block_steps[i + 1];
                let step = block[i] as usize;
                sides.push(side(pixel as usize, step, count, block_steps[i + 1]));
            } else {
                base += pixel * image_steps[i + 1];
                let stride = block[i] * image_steps[i + 1];
                sides.push(side(first as usize, 1, count, stride));
            }
        }
        for i in m + 1..image.len() {
            sides.push(side(0, 1, image[i], image_steps[i]));
        }
        boxes.push(Raw {
            input: 0,
            base,
            sides,
        });
    }
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
        match &self.tensor(id).constant {
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
