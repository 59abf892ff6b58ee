//! Operators that trade height and width for depth or batch.

use super::Context;
use super::place::{MAX_BOXES, Raw, Side, strides, whole};
use crate::graph::{Error, TensorId};

/// SPACE_TO_DEPTH and its inverse: one box in six dimensions.
pub(super) fn depth(
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
pub(super) fn batch(
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
        n.checked_mul(b)
            .filter(|n| (1..=MAX_BOXES as i64).contains(n))
    });
    let phases = phases.ok_or_else(|| {
        c.error(format!(
            "blocks {block:?} have no or more than {MAX_BOXES} phases"
        ))
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
