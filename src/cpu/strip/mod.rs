//! Chains of float steps computed strip by strip. Tensors of the first layers of an image network do not fit the
//! second-level cache, and a convolution of one pixel does little work a value: a step after another would wait for memory.
//! So some rows go through the whole chain, and only its last tensor exists as a whole. Of the others as many rows are
//! kept as the next step still reads. Every value is computed once and by the same sums as in a whole tensor, and
//! statistics see every row.

#[cfg(test)]
mod tests;

use super::chunk::Chunk;
use super::conv::{Rows, reach};
use super::memory::Memory;
use super::place::Padded;
use super::session::CpuSession;
use super::step::Fast;
use super::{binary, unary};
use crate::graph::TensorId;
use crate::kernel::{BinaryF32, ConvShape, Kernel, Place, Program, Step};
use crate::num::{DType, Values};
use std::ops::Range;

/// Bytes of the rows that are alive in a strip: they are to stay in the second-level cache. Chains that fit as a whole
/// are not cut.
pub const BYTES: usize = 1 << 20;

/// Steps in a row: each but the first reads what the one before computes, and nobody else reads that.
#[derive(Debug)]
pub struct Chain {
    links: Vec<Link>,
    /// Rows of the last output in a strip.
    rows: usize,
}

/// A step of a chain.
#[derive(Debug)]
struct Link {
    /// The geometry, if it is a convolution or padding; else row after row is made of row after row.
    shape: Option<ConvShape>,
    /// Height of the output.
    height: usize,
    /// Floats of a row of the output.
    row: usize,
    /// How rows are made, if it is padding.
    padded: Option<Padded>,
}

impl Link {
    /// Rows of the input that some rows of the output read.
    fn reads(&self, out: Range<usize>) -> Range<usize> {
        if out.is_empty() {
            return 0..0;
        }
        let Some(s) = self.shape else {
            return out;
        };
        let (pad, height) = (s.pad_top as usize, s.in_h as usize);
        let first = out.start * s.stride_h as usize;
        let end = first + reach(out.len(), s.stride_h, s.k_h, s.dilation_h);
        first.saturating_sub(pad).min(height)..end.saturating_sub(pad).min(height)
    }
}

/// The chains of some steps, by their first step, whose strips take `most` bytes.
pub fn chains(
    program: &Program,
    steps: &[Step],
    fast: &[Fast],
    kept: &[bool],
    within: Range<usize>,
    most: usize,
) -> Vec<Option<Chain>> {
    let mut readers = vec![0; kept.len()];
    steps
        .iter()
        .flat_map(|s| &s.inputs)
        .for_each(|&id| readers[id] += 1);
    let mut chains: Vec<Option<Chain>> = steps.iter().map(|_| None).collect();
    let mut at = within.start;
    while at < within.end {
        let links = chain(program, &steps[at..within.end], &fast[at..], |id| {
            readers[id] == 1 && !kept[id]
        });
        let n = links.len().max(1);
        chains[at] = worth(links, most);
        at += n;
    }
    chains
}

/// The longest chain at the beginning of some steps.
fn chain(
    program: &Program,
    steps: &[Step],
    fast: &[Fast],
    passing: impl Fn(TensorId) -> bool,
) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for (i, (step, fast)) in steps.iter().zip(fast).enumerate() {
        let from = i.checked_sub(1).map(|i| steps[i].outputs[0]);
        let follows = from.is_none_or(|id| passing(id) && step.inputs.contains(&id));
        let Some(link) = link(program, step, fast, from, links.last()).filter(|_| follows) else {
            break;
        };
        links.push(link);
    }
    links
}

/// A step as part of a chain, if it can be one.
fn link(
    program: &Program,
    step: &Step,
    fast: &Fast,
    from: Option<TensorId>,
    before: Option<&Link>,
) -> Option<Link> {
    let graph = &program.graph;
    let of = |s: &ConvShape| {
        let link = Link {
            shape: Some(*s),
            height: s.out_h as usize,
            row: (s.out_w * s.out_c) as usize,
            padded: None,
        };
        let input = step.inputs[0];
        let given = match from {
            Some(id) => id == input,
            None => graph.is_activation(input),
        };
        let some = link.height * link.row > 0;
        (s.batch == 1 && some && given).then_some(link)
    };
    // An elementwise step, which may be the first one.
    let same = || {
        let [height, row] = match (before, &graph.tensors[step.outputs[0]].shape[..]) {
            (Some(link), _) => [link.height, link.row],
            (None, &[1, height, width, channels]) => [height, width * channels],
            _ => return None,
        };
        (height * row > 0).then_some(Link {
            shape: None,
            height,
            row,
            padded: None,
        })
    };
    let along = along(program, step, from)?;
    match (&step.kernel, fast) {
        (Kernel::Place(k), _) if graph.tensors[along].dtype == DType::F32 => {
            let to = &graph.tensors[step.outputs[0]].shape;
            let (shape, padded) = padding(k, &graph.tensors[along].shape, to)?;
            of(&shape).map(|link| Link {
                padded: Some(padded),
                ..link
            })
        }
        (Kernel::ConvF32(k), Fast::ConvF32(_))
        | (Kernel::DepthwiseF32(k), Fast::DepthwiseF32(_)) => of(&k.shape),
        (Kernel::UnaryF32(_), _) => same(),
        (Kernel::BinaryF32(k), _) => {
            if let Some(few) = repeats(program, step, k, along) {
                let n = graph.elements(step.inputs[few]);
                return same().filter(|link| link.row.is_multiple_of(n));
            }
            // One operand comes along the chain, the other is there as a whole, for every sample.
            let mut others = step.inputs.iter().filter(|&&id| id != along);
            let other =
                others.next().is_some_and(|&id| graph.is_activation(id)) && others.next().is_none();
            same().filter(|_| other && binary::is_plain(k))
        }
        _ => None,
    }
}

/// Padding of an image, as a convolution that reads what it pads: filters of one pixel.
fn padding(k: &Place, from: &[usize], to: &[usize]) -> Option<(ConvShape, Padded)> {
    let (&[1, in_h, in_w, in_c], &[1, out_h, out_w, out_c]) = (from, to) else {
        return None;
    };
    let padded = Padded::new(k, [in_h, in_w * in_c], [out_h, out_w * out_c])?;
    let sizes = [1, in_h, in_w, in_c, out_h, out_w, out_c];
    let rest = [1, 1, 1, 1, 1, 1, padded.above, 0, 1, 1].map(|n| n as u32);
    let mut all = [0; 17];
    all[..7].copy_from_slice(&sizes.map(|n| n as u32));
    all[7..].copy_from_slice(&rest);
    Some((bytemuck::cast(all), padded))
}

/// The operand of a function that is a constant, repeated over the other one, which comes along the chain.
fn repeats(program: &Program, step: &Step, k: &BinaryF32, along: TensorId) -> Option<usize> {
    let few = binary::repeated(&k.shape).filter(|_| !k.op.is_comparison())?;
    let constant = program.graph.tensors[step.inputs[few]].constant.is_some();
    (constant && step.inputs[1 - few] == along).then_some(few)
}

/// What comes along the chain into a step: what the step before has computed, or else what the first step reads.
fn along(program: &Program, step: &Step, from: Option<TensorId>) -> Option<TensorId> {
    let mut read = step.inputs.iter().copied();
    from.or_else(|| read.find(|&id| program.graph.is_activation(id)))
}

/// The chain, if strips pay.
fn worth(links: Vec<Link>, most: usize) -> Option<Chain> {
    let height = links.last()?.height;
    let bytes = |rows: usize| -> usize {
        let mut out = 0..rows;
        let mut bytes = 0;
        // All but the last tensor, from the end.
        for pair in links.windows(2).rev() {
            let below = &pair[1];
            let read = match below.shape {
                Some(s) => reach(out.len(), s.stride_h, s.k_h, s.dilation_h),
                None => out.len(),
            };
            out = 0..read.min(pair[0].height);
            bytes += out.len() * pair[0].row * size_of::<f32>();
        }
        bytes
    };
    // Less would hardly be faster: weights come from further away once a strip.
    if bytes(height) <= most + most / 2 {
        return None;
    }
    let fit = (1..height).take_while(|&rows| bytes(rows) <= most).last();
    let strips = height.div_ceil(fit.unwrap_or(1));
    let rows = height.div_ceil(strips);
    Some(Chain { links, rows })
}

/// What a step does in a strip.
struct Part {
    /// The rows that it computes.
    out: Range<usize>,
    /// The rows that these read.
    reads: Range<usize>,
}

/// Rows of a tensor that are alive.
#[derive(Debug, Default)]
pub struct Alive {
    data: Vec<f32>,
    first: usize,
    end: usize,
}

impl Alive {
    /// Forgets the rows before `keep` and makes room up to row `end`; the place of the new ones.
    fn advance(&mut self, keep: usize, end: usize, row: usize) -> &mut [f32] {
        let keep = keep.clamp(self.first, self.end);
        if keep > self.first {
            let kept = (keep - self.first) * row..(self.end - self.first) * row;
            self.data.copy_within(kept, 0);
            self.first = keep;
        }
        let (from, until) = ((self.end - self.first) * row, (end - self.first) * row);
        if self.data.len() < until {
            self.data.resize(until, 0.0);
        }
        self.end = end;
        &mut self.data[from..until]
    }
}

impl Chain {
    /// How many steps it has.
    pub fn steps(&self) -> usize {
        self.links.len()
    }

    /// What each step does in the strip that takes the last one up to row `until`.
    fn strip(&self, alive: &[Alive], until: usize) -> Vec<Part> {
        let last = self.links.last().is_some_and(|last| until == last.height);
        let mut end = until;
        let mut plan: Vec<Part> = Vec::with_capacity(self.links.len());
        for (link, alive) in self.links.iter().zip(alive).rev() {
            // What nobody reads is computed and seen nevertheless.
            let end_here = if last {
                link.height
            } else {
                end.max(alive.end)
            };
            let out = alive.end..end_here;
            let reads = link.reads(out.clone());
            end = reads.end;
            plan.push(Part { out, reads });
        }
        plan.reverse();
        plan
    }
}

/// A chain at work on one sample.
struct Work<'a> {
    session: &'a CpuSession<'a>,
    chain: &'a Chain,
    /// Number of its first step.
    at: usize,
    sample: usize,
    /// Tensors that are there as a whole.
    values: &'a [Option<Values>],
    alive: &'a mut [Alive],
}

impl Work<'_> {
    /// The floats of the sample in a whole tensor.
    fn whole(&self, id: TensorId) -> &[f32] {
        let n = self.session.program.graph.elements(id);
        match &self.values[id] {
            Some(Values::F32(v)) => &v[self.sample * n..][..n],
            _ => unreachable!("kernel::prepare checked the types, graph::load that values exist"),
        }
    }

    /// What step `i` of the chain does in a strip; `y` is the last tensor.
    fn rows(&mut self, i: usize, plan: &[Part], y: &mut [f32], memory: &mut Memory) {
        let (Part { out, .. }, link) = (&plan[i], &self.chain.links[i]);
        if out.is_empty() {
            return;
        }
        let number = self.at + i;
        let step = &self.session.steps()[number];
        let clock = self.session.clock();
        let mut here = std::mem::take(&mut self.alive[i]);
        let to = if i + 1 == plan.len() {
            here.end = out.end;
            &mut y[out.start * link.row..out.end * link.row]
        } else {
            let next = &plan[i + 1];
            let keep = if next.out.is_empty() {
                0
            } else {
                next.reads.start
            };
            here.advance(keep, out.end, link.row)
        };
        let before = i.checked_sub(1).map(|before| &self.alive[before]);
        let from = before.map(|_| self.session.steps()[number - 1].outputs[0]);
        let id = along(self.session.program, step, from).expect("`link` found it");
        let x = match before {
            Some(before) => Rows {
                data: &before.data,
                first: before.first,
            },
            None => Rows {
                data: self.whole(id),
                first: 0,
            },
        };
        let same = (out.start - x.first.min(out.start)) * link.row;
        match (&step.kernel, &self.session.fast[number]) {
            (Kernel::ConvF32(k), Fast::ConvF32(conv)) => {
                conv.rows(k, x, out.clone(), to, &mut memory.scratch);
            }
            (Kernel::DepthwiseF32(k), Fast::DepthwiseF32(fast)) => {
                fast.rows(k, x, out.clone(), to, &mut memory.scratch.padded);
            }
            (Kernel::UnaryF32(op), _) => unary::f32(*op, &x.data[same..][..to.len()], to),
            (Kernel::Place(k), _) => {
                let padded = link.padded.expect("`link` found it");
                padded.rows(k, out.clone(), x.data, x.first, to);
            }
            (Kernel::BinaryF32(k), _) => {
                let along = &x.data[same..][..to.len()];
                let operand = |operand: TensorId| match operand == id {
                    true => along,
                    false => &self.whole(operand)[out.start * link.row..out.end * link.row],
                };
                let few = repeats(self.session.program, step, k, id);
                let graph = &self.session.program.graph;
                match few.map(|few| (few, &graph.tensors[step.inputs[few]].constant)) {
                    Some((few, Some(Values::F32(values)))) => {
                        binary::rows(k, along, values, few, to);
                    }
                    _ => binary::plain(k, operand(step.inputs[0]), operand(step.inputs[1]), to),
                }
            }
            _ => unreachable!("`link` takes no other kernels"),
        }
        self.session.took(1 + 2 * number, clock);
        let clock = self.session.clock();
        self.session.see(step.outputs[0], to, &mut memory.tables);
        self.session.took(2 + 2 * number, clock);
        self.alive[i] = here;
    }
}

impl CpuSession<'_> {
    /// Runs the steps of a chain that begins with step `at`.
    pub(super) fn strips(&self, at: usize, chain: &Chain, samples: usize, chunk: &mut Chunk) {
        let Some(last) = chain.links.last() else {
            return;
        };
        let n = last.height * last.row;
        let Chunk { values, memory } = chunk;
        let mut y = memory.floats.take(samples * n);
        let mut alive = std::mem::take(&mut memory.strips);
        alive.resize_with(chain.steps().max(alive.len()), Alive::default);
        for (sample, y) in y[..samples * n].chunks_exact_mut(n).enumerate() {
            alive
                .iter_mut()
                .for_each(|alive| (alive.first, alive.end) = (0, 0));
            let mut work = Work {
                session: self,
                chain,
                at,
                sample,
                values,
                alive: &mut alive,
            };
            for from in (0..last.height).step_by(chain.rows) {
                let plan = chain.strip(work.alive, last.height.min(from + chain.rows));
                (0..plan.len()).for_each(|i| work.rows(i, &plan, y, memory));
            }
        }
        memory.strips = alive;
        let output = self.steps()[at + chain.steps() - 1].outputs[0];
        values[output] = Some(Values::F32(y));
    }
}
