//! Chains of float steps computed strip by strip. Tensors of the first layers of an image network do not fit the
//! second-level cache, and a convolution of one pixel does little work a value: a step after another would wait for memory.
//! So some rows go through the whole chain, and only its last tensor exists as a whole. Of the others as many rows are
//! kept as the next step still reads. Every value is computed once and by the same sums as in a whole tensor, and
//! statistics see every row.

use super::chunk::Chunk;
use super::conv::{Rows, reach};
use super::memory::Memory;
use super::session::CpuSession;
use super::step::Fast;
use super::{binary, unary};
use crate::graph::TensorId;
use crate::kernel::{ConvShape, Kernel, Program, Step};
use crate::num::Values;
use std::ops::Range;

/// Bytes of the rows that are alive in a strip: they are to stay in the second-level cache. Chains that fit as a whole
/// are not cut.
pub const BYTES: usize = 1 << 20;

/// Steps in a row, each but the first reads what the one before computes and nobody else reads that.
#[derive(Debug)]
pub struct Chain {
    links: Vec<Link>,
    /// Rows of the last output in a strip.
    rows: usize,
}

/// A step of a chain.
#[derive(Debug)]
struct Link {
    /// The geometry, if it is a convolution; else row after row is made of row after row.
    shape: Option<ConvShape>,
    /// Height of the output.
    height: usize,
    /// Floats of a row of the output.
    row: usize,
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
        };
        let input = step.inputs[0];
        let given = match from {
            Some(id) => id == input,
            None => graph.is_activation(input),
        };
        let some = link.height * link.row > 0;
        (s.batch == 1 && some && given).then_some(link)
    };
    let same = |before: &Link| Link {
        shape: None,
        height: before.height,
        row: before.row,
    };
    match (&step.kernel, fast) {
        (Kernel::ConvF32(k), Fast::ConvF32(_))
        | (Kernel::DepthwiseF32(k), Fast::DepthwiseF32(_)) => of(&k.shape),
        (Kernel::UnaryF32(_), _) => before.map(same),
        (Kernel::BinaryF32(k), _) => {
            // One operand comes along the chain, the other is there as a whole, for every sample.
            let mut others = step.inputs.iter().filter(|&&id| Some(id) != from);
            let other =
                others.next().is_some_and(|&id| graph.is_activation(id)) && others.next().is_none();
            before.filter(|_| other && binary::is_plain(k)).map(same)
        }
        _ => None,
    }
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
        let (from, x) = match i.checked_sub(1) {
            Some(before) => {
                let before = &self.alive[before];
                let id = self.session.steps()[number - 1].outputs[0];
                (
                    Some(id),
                    Rows {
                        data: &before.data,
                        first: before.first,
                    },
                )
            }
            None => (
                None,
                Rows {
                    data: self.whole(step.inputs[0]),
                    first: 0,
                },
            ),
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
            (Kernel::BinaryF32(k), _) => {
                let operand = |id: TensorId| match Some(id) == from {
                    true => &x.data[same..][..to.len()],
                    false => &self.whole(id)[out.start * link.row..out.end * link.row],
                };
                binary::plain(k, operand(step.inputs[0]), operand(step.inputs[1]), to);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::graph::{Binary, Graph, Move, Node, Op, Tensor, Unary};
    use crate::kernel::{
        BinaryF32, Broadcast, ConvF32, Device, Feed, Keep, SessionConfig, Statistics,
    };
    use crate::num::{DType, Histogram};
    use proptest::prelude::*;

    const OPEN: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

    /// What a link of a random chain is.
    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Conv {
            channels: u32,
        },
        Depthwise,
        Relu,
        /// Adds the tensor that the last convolution began with, if the shapes allow.
        Add,
    }

    fn kind() -> impl Strategy<Value = (Kind, [u32; 4])> {
        let kind = prop_oneof![
            (1u32..20).prop_map(|channels| Kind::Conv { channels }),
            Just(Kind::Depthwise),
            Just(Kind::Relu),
            Just(Kind::Add),
        ];
        // Height and width of the filter, stride, dilation.
        (kind, [1u32..6, 1u32..6, 1u32..3, 1u32..3])
    }

    /// A program of one chain from an image `[height, width, channels]`, with SAME padding.
    fn program(image: [u32; 3], kinds: &[(Kind, [u32; 4])]) -> Program {
        let mut shapes = vec![image];
        let mut steps: Vec<Step> = Vec::new();
        for &(kind, [k_h, k_w, stride, dilation]) in kinds {
            let [in_h, in_w, in_c] = shapes[shapes.len() - 1];
            let from = shapes.len() - 1;
            let convolution = |out_c: u32, group_in: u32, group_out: u32| {
                let (out_h, out_w) = (in_h.div_ceil(stride), in_w.div_ceil(stride));
                let pad = |out: u32, size: u32, k: u32| {
                    ((out - 1) * stride + (k - 1) * dilation + 1).saturating_sub(size) / 2
                };
                let shape = ConvShape {
                    batch: 1,
                    in_h,
                    in_w,
                    in_c,
                    out_h,
                    out_w,
                    out_c,
                    k_h,
                    k_w,
                    stride_h: stride,
                    stride_w: stride,
                    dilation_h: dilation,
                    dilation_w: dilation,
                    pad_top: pad(out_h, in_h, k_h),
                    pad_left: pad(out_w, in_w, k_w),
                    group_in,
                    group_out,
                };
                let number = |i: usize| ((i * 7919) % 101) as f32 * 0.01 - 0.45;
                let weights = (0..shape.depth() * out_c as usize).map(number).collect();
                let bias = (0..out_c as usize).map(number).collect();
                let kernel = ConvF32 {
                    shape,
                    weights,
                    bias,
                    bounds: (-4.0, 6.0),
                };
                ([out_h, out_w, out_c], kernel)
            };
            let (shape, kernel, mut inputs) = match kind {
                Kind::Conv { channels } => {
                    let (shape, kernel) = convolution(channels, in_c, channels);
                    (shape, Kernel::ConvF32(kernel), vec![from])
                }
                Kind::Depthwise => {
                    let (shape, kernel) = convolution(in_c, 1, 1);
                    (shape, Kernel::DepthwiseF32(kernel), vec![from])
                }
                Kind::Relu => (shapes[from], Kernel::UnaryF32(Unary::Relu), vec![from]),
                Kind::Add => {
                    let n = shapes[from].iter().product();
                    let add = BinaryF32 {
                        op: Binary::Sub,
                        shape: Broadcast::same(n),
                        bounds: OPEN,
                    };
                    let other = shapes.iter().position(|s| *s == shapes[from]);
                    let inputs = vec![other.unwrap_or(from), from];
                    (shapes[from], Kernel::BinaryF32(add), inputs)
                }
            };
            inputs.truncate(2);
            steps.push(Step {
                node: 0,
                kernel,
                inputs,
                outputs: vec![shapes.len()],
            });
            shapes.push(shape);
        }
        let tensor = |shape: &[u32; 3]| Tensor {
            name: String::new(),
            shape: shape.iter().map(|&n| n as usize).collect(),
            dtype: DType::F32,
            quantization: None,
            constant: None,
            variable: false,
        };
        Program {
            given: shapes.len(),
            graph: Graph {
                file: "test".into(),
                tensors: shapes.iter().map(tensor).collect(),
                nodes: vec![Node {
                    index: 0,
                    op: Op::Move(Move::Reshape),
                    inputs: Vec::new(),
                    outputs: Vec::new(),
                    intermediates: Vec::new(),
                }],
                inputs: vec![0],
                outputs: vec![shapes.len() - 1],
            },
            steps,
        }
    }

    /// The output and the statistics of two samples, and how many steps went in strips.
    fn ran(program: &Program, bytes: usize) -> (Values, Vec<Option<Histogram>>, usize) {
        let config = SessionConfig {
            batch: None,
            keep: Keep::Outputs,
            statistics: Statistics::Histograms,
            profile: false,
            feeds: vec![Feed::Direct],
        };
        let cpu = Cpu::with_strips(bytes);
        let mut session = cpu.session(program, &config).unwrap();
        let n = 2 * program.graph.elements(0);
        let x = (0..n)
            .map(|i| ((i * 31) % 97) as f32 * 0.02 - 0.9)
            .collect();
        session.run(2, &[Values::F32(x)]).unwrap();
        let histograms = session.histograms().unwrap();
        let output = session.read(program.graph.outputs[0]).unwrap();
        let steps = &program.steps;
        let fast: Vec<Fast> = steps
            .iter()
            .map(|step| Fast::new(&program.graph, step, false))
            .collect();
        let mut kept = vec![false; program.graph.tensors.len()];
        kept[program.graph.outputs[0]] = true;
        let chains = chains(program, steps, &fast, &kept, 0..steps.len(), bytes);
        (
            output,
            histograms,
            chains.iter().flatten().map(Chain::steps).sum(),
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn strips_give_the_bits_of_whole_tensors(
            image in [1u32..30, 1u32..20, 1u32..12],
            kinds in prop::collection::vec(kind(), 1..7),
            bytes in 1usize..20_000,
        ) {
            let program = program(image, &kinds);
            let (whole, all, none) = ran(&program, usize::MAX / 2);
            prop_assert_eq!(none, 0);
            let (strips, seen, _) = ran(&program, bytes);
            prop_assert_eq!(strips, whole);
            prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn residual_blocks_go_in_strips_up_to_their_sum() {
        let (conv, add) = (Kind::Conv { channels: 8 }, Kind::Add);
        let k = [3, 3, 1, 1];
        let kinds = [
            (conv, k),
            (conv, k),
            (Kind::Depthwise, k),
            (add, k),
            (conv, k),
            (Kind::Relu, k),
        ];
        let program = program([24, 24, 8], &kinds);
        let (_, _, steps) = ran(&program, 4096);
        // The sum reads the image, which is there as a whole.
        assert_eq!(steps, 6);
    }
}
