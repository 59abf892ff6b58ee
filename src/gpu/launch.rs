//! What an operator asks the GPU to do: a list of [`Launch`]es, made once a session, free of any wgpu type.
//!
//! # Memory layout
//! A tensor is `[samples][elements]`. Floats take a word each. 8-bit elements lie four in a word, 16-bit elements two
//! in a word, little-endian, and **every sample starts at a word boundary** ([`words`] is the stride between samples).
//! An invocation that writes 8-bit elements owns whole words; what it writes into the padding behind a sample's last
//! element does not matter. Constant operands are a single sample: their stride between samples is 0, which the
//! operator passes in its parameters ([`Op::stride`]). Buffers may be longer than the tensor: no `arrayLength`.
//!
//! # Bindings
//! Group 0. Binding 0 is always `var<uniform> run: Run` (see `shaders/shared/run.wgsl`), the bindings of the launch
//! follow from 1 in order. [`Binding::Write`] and [`Binding::Scratch`] are `var<storage, read_write>`, the others
//! `var<storage, read>`; the shader must say the same. Parameters are a constant binding of `u32`/`i32`/`f32` words
//! (made by [`Params`]) that the shader declares as a struct.
//!
//! # Grid
//! A launch asks for a number of workgroups; the recorder folds it into two dimensions, and the shader rebuilds the
//! linear index with `linear_workgroup` of `shared/run.wgsl`. The entry point is `main`.
//!
//! # Loops
//! Mesa's software rasterizer (llvmpipe) silently ends an invocation's loops after 65 535 iterations **in all, nested
//! ones included**. Split long sums over invocations and write short inner loops out.

use super::shader::Define;
use super::tiles::Tiles;
use crate::graph::{Graph, TensorId};
use crate::kernel::Step;
use crate::num::DType;

/// Invocations in a workgroup, unless a shader says otherwise.
pub(super) const WORKGROUP: usize = 64;

/// One dispatch.
pub(super) struct Launch {
    /// Path below `shaders/` without the extension, like `int8/conv_2d`.
    pub shader: &'static str,
    /// Values of the shader's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
    /// Definitions for the shader's preprocessor.
    pub defines: Vec<Define>,
    /// Bindings 1, 2, ….
    pub bindings: Vec<Binding>,
    /// Number of workgroups for a number of samples.
    pub workgroups: Box<dyn Fn(usize) -> usize + Send + Sync>,
    /// The bindings of outputs whose ranges the shader can gather as it writes, the step's own first: see
    /// `shared/range.wgsl`.
    pub seen: Vec<usize>,
    /// Whether it gathers statistics, and computes no tensor.
    pub statistics: bool,
    /// Float data of this launch that counts into a tensor's range, beside the step's non-variable float outputs.
    pub traces: Vec<Trace>,
}

/// What is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// A tensor, read.
    Read(TensorId),
    /// A tensor, written (and perhaps read).
    Write(TensorId),
    /// Constant bytes (parameters, weights, tables); uploaded once. Must be a multiple of 4 bytes long.
    Constant(Vec<u8>),
    /// Room between the launches of one operator, read and written, of so many bytes a sample.
    Scratch {
        /// Which one, from 0 in each operator.
        slot: usize,
        /// Size for one sample, a multiple of 4.
        bytes_per_sample: usize,
    },
    /// Scratch that an earlier launch wrote, by its slot, read.
    ReadScratch(usize),
    /// The bytes of the model's n-th input before their table makes floats of them, read.
    Fed(usize),
    /// The key pairs of ranges, which lie one behind another, read and written.
    Keys {
        /// The index of the first.
        first: usize,
        /// How many.
        ranges: usize,
    },
    /// The counts of all histograms, read and written.
    Bins,
}

/// Floats whose smallest and largest belong to a tensor that does not itself hold them all: an LSTM's states over
/// time. They lie `[samples][words]`, in what the launch binds at `binding`.
pub(super) struct Trace {
    /// Index into [`Launch::bindings`] of a `Scratch` or a `Write`.
    pub binding: usize,
    /// The tensor whose range it is.
    pub tensor: TensorId,
    /// Floats of one sample.
    pub words: usize,
}

impl Launch {
    /// A launch of one invocation for each of `per_sample` items of every sample, in groups of [`WORKGROUP`].
    pub fn linear(shader: &'static str, per_sample: usize, bindings: Vec<Binding>) -> Launch {
        Launch::groups(shader, bindings, move |samples| {
            (samples * per_sample).div_ceil(WORKGROUP)
        })
    }

    /// A launch with its own number of workgroups.
    pub fn groups(
        shader: &'static str,
        bindings: Vec<Binding>,
        workgroups: impl Fn(usize) -> usize + Send + Sync + 'static,
    ) -> Launch {
        Launch {
            shader,
            constants: Vec::new(),
            defines: Vec::new(),
            bindings,
            workgroups: Box::new(workgroups),
            seen: Vec::new(),
            statistics: false,
            traces: Vec::new(),
        }
    }

    /// Tells that the shader can gather the range of what it writes.
    pub fn seen(mut self) -> Launch {
        let writes = |b: &Binding| matches!(b, Binding::Write(_));
        self.seen = self.bindings.iter().position(writes).into_iter().collect();
        self
    }

    /// Has the shader gather the range of what it writes, into the keys from these on.
    pub fn gather_range(mut self, first: usize) -> Launch {
        let ranges = self.seen.len().max(1);
        self.bindings.push(Binding::Keys { first, ranges });
        let binding = self.bindings.len() as u32;
        self.define("RANGE", binding)
    }

    /// Has the shader write its output once more, clamped: see `shared/clamp.wgsl`.
    pub fn clamp_into(mut self, tensor: TensorId, (low, high): (f32, f32)) -> Launch {
        self.bindings.push(Binding::Write(tensor));
        let binding = self.bindings.len() as u32;
        let has_high = high.is_finite();
        self.define("CLAMPED", binding)
            .with("CLAMP_LOW", low.into())
            .with("CLAMP_HAS_HIGH", u32::from(has_high).into())
            .with("CLAMP_HIGH", if has_high { high.into() } else { 0.0 })
    }

    /// Has the shader write its output plus a residual as well: see `shared/sum.wgsl`.
    pub fn sum_into(
        mut self,
        residual: TensorId,
        sum: TensorId,
        (low, high): (f32, f32),
    ) -> Launch {
        self.bindings.push(Binding::Read(residual));
        let residual = self.bindings.len() as u32;
        self.seen.push(self.bindings.len());
        self.bindings.push(Binding::Write(sum));
        let sum = self.bindings.len() as u32;
        let bound = |bound: f32| if bound.is_finite() { bound.into() } else { 0.0 };
        self.define("RESIDUAL", residual)
            .define("SUM", sum)
            .with("SUM_HAS_LOW", u32::from(low.is_finite()).into())
            .with("SUM_LOW", bound(low))
            .with("SUM_HAS_HIGH", u32::from(high.is_finite()).into())
            .with("SUM_HIGH", bound(high))
    }

    /// Marks it as one that gathers statistics.
    pub fn statistics(mut self) -> Launch {
        self.statistics = true;
        self
    }

    /// Adds a definition.
    pub fn define(mut self, name: &'static str, value: u32) -> Launch {
        self.defines.push((name, value));
        self
    }

    /// Sets an `override` constant.
    pub fn with(mut self, name: &'static str, value: f64) -> Launch {
        self.constants.push((name, value));
        self
    }
}

/// A step with the graph around it.
#[derive(Clone, Copy)]
pub(super) struct Op<'a> {
    /// The graph.
    pub graph: &'a Graph,
    /// The prepared node.
    pub step: &'a Step,
    /// Whether ranges are gathered, and so traces wanted.
    pub ranges: bool,
    /// Which way products take, and in which tiles.
    pub tiles: &'a Tiles,
}

impl Op<'_> {
    /// Binds the i-th run-time input.
    pub fn read(self, i: usize) -> Binding {
        Binding::Read(self.step.inputs[i])
    }

    /// Binds the i-th output (states follow the node's outputs).
    pub fn write(self, i: usize) -> Binding {
        Binding::Write(self.step.outputs[i])
    }

    /// Words from one sample of a tensor to the next; 0 for constants.
    pub fn stride(self, id: TensorId) -> u32 {
        if !self.graph.is_activation(id) {
            return 0;
        }
        self.words(id) as u32
    }

    /// Stride of the i-th run-time input.
    pub fn input_stride(self, i: usize) -> u32 {
        self.stride(self.step.inputs[i])
    }

    /// Words of one sample of a tensor.
    pub fn words(self, id: TensorId) -> usize {
        words(self.graph.elements(id), self.graph.tensors[id].dtype)
    }

    /// Elements of the first output in one sample.
    pub fn output_elements(self) -> usize {
        self.graph.elements(self.step.outputs[0])
    }

    /// Words of the first output in one sample.
    pub fn output_words(self) -> usize {
        self.words(self.step.outputs[0])
    }
}

/// Builds a parameter block word by word, in the order of the shader's struct.
#[derive(Default)]
pub(super) struct Params(Vec<u8>);

impl Params {
    /// Appends unsigned words; callers' sizes were checked to fit when the graph was loaded.
    pub fn u32(mut self, values: impl IntoIterator<Item = u32>) -> Params {
        self.0.extend(values.into_iter().flat_map(u32::to_le_bytes));
        self
    }

    /// Appends signed words.
    pub fn i32(mut self, values: impl IntoIterator<Item = i32>) -> Params {
        self.0.extend(values.into_iter().flat_map(i32::to_le_bytes));
        self
    }

    /// Appends floats. Infinite bounds are for `bounded` of `shared/bounds.wgsl`, which lets NaN and infinities through.
    pub fn f32(mut self, values: impl IntoIterator<Item = f32>) -> Params {
        self.0.extend(values.into_iter().flat_map(f32::to_le_bytes));
        self
    }

    /// The finished block.
    pub fn binding(self) -> Binding {
        Binding::Constant(self.0)
    }
}

/// Words that `elements` of a type take: the stride between samples.
pub(super) fn words(elements: usize, dtype: DType) -> usize {
    (elements * dtype.size()).div_ceil(4)
}
