//! Prepares a graph for execution: every node becomes plain parameters, computed once on the host and shared by all
//! devices, so that devices cannot differ in anything but how they do the arithmetic.

mod add;
mod batch_matmul;
mod binary;
mod broadcast;
mod context;
mod conv;
mod device;
pub mod distance;
mod floor;
mod fully_connected;
mod hybrid;
mod int16;
mod lstm;
mod moved;
mod norm;
mod numerics;
mod place;
mod pool;
pub mod prefix;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod rfft;
mod row;
mod select;
mod shape;
mod softmax;
mod space;
mod stage;
mod strided_slice;
mod take;
mod tolerance;
mod transpose_conv;
pub(crate) mod unary;
mod xnnpack;

pub use crate::num::Range;
pub use add::{AddI8, LEFT_SHIFT};
pub use batch_matmul::{MatmulF32, MatmulI8, MatmulShape};
pub use binary::{BinaryF32, BinaryInt, BinaryTable, ProductI8};
pub use broadcast::Broadcast;
pub use conv::{Conv, ConvF32, ConvI8, ConvShape, fold_zero_point};
pub use device::{
    Device, DeviceError, Feed, Keep, Profile, Roofline, Session, SessionConfig, Statistics,
};
pub use distance::Distance;
pub use floor::{Floor, Floors, MultiplyAdds};
pub use fully_connected::{FullyConnected, FullyConnectedF32, FullyConnectedI8};
pub use hybrid::{HybridLstm, RowQuantize, RowScale};
pub use int16::{BinaryI16, ConvI16, Int16, MatmulI16, Scales, SoftmaxI16};
pub use lstm::{LstmF32, LstmI8, LstmShape};
pub use moved::{AllMoved, Clamped, Moved};
pub use norm::{L2Norm, LogSoftmaxI8};
pub use numerics::Numerics;
pub use place::{Box8, Place, VIEW};
pub use pool::{PoolF32, PoolI8, PoolShape};
pub use quantize::{Dequantize, Quantize, Table, Table16};
pub(crate) use quantize::{from_order_key, order_key};
pub use recurrent::{RnnF32, SvdfF32, SvdfI8};
pub use reduce::{Arg, Axes, MeanI8, ReduceOf};
pub use resize::{Bilinear, Nearest, ResizeShape, Tap};
pub use rfft::Rfft;
pub use row::{Cumsum, Lines, OneHot, TopK};
pub use select::Select;
pub use shape::output_shapes;
pub use softmax::{Softmax, SoftmaxI8};
pub use take::{MAX_INDICES, Take};
pub use tolerance::HALVES;

use crate::graph::{Error, Graph, Move, Op, Part, Tensor, TensorId, Unary};
use crate::num::DType;
use context::{Context, u32_of};
use stage::Between;

/// What a device runs: the graph and one prepared kernel a node.
#[derive(Debug)]
pub struct Program {
    /// The graph the kernels were prepared from, and behind its tensors those that lie between the kernels of a node.
    pub graph: Graph,
    /// How many tensors the file has.
    pub given: usize,
    /// In execution order.
    pub steps: Vec<Step>,
}

/// One prepared node.
#[derive(Debug)]
pub struct Step {
    /// Index into [`Graph::nodes`].
    pub node: usize,
    /// Parameters.
    pub kernel: Kernel,
    /// Tensors read at run time: activations, and constants that are operands rather than weights.
    pub inputs: Vec<TensorId>,
    /// Tensors written: the outputs, and the states of an LSTM after them.
    pub outputs: Vec<TensorId>,
}

/// Prepared parameters of one operator; one variant a kernel.
#[derive(Debug)]
pub enum Kernel {
    /// Float convolution.
    ConvF32(ConvF32),
    /// int8 convolution.
    ConvI8(ConvI8),
    /// Float depthwise convolution.
    DepthwiseF32(ConvF32),
    /// int8 depthwise convolution.
    DepthwiseI8(ConvI8),
    /// Float matrix product with constant weights.
    FullyConnectedF32(FullyConnectedF32),
    /// int8 matrix product with constant weights.
    FullyConnectedI8(FullyConnectedI8),
    /// What int16 needs kernels of its own for.
    Int16(Int16),
    /// Float products of activations.
    MatmulF32(MatmulF32),
    /// int8 products of activations.
    MatmulI8(MatmulI8),
    /// Float LSTM.
    LstmF32(LstmF32),
    /// Integer LSTM (8-bit activations, 16-bit cell).
    LstmI8(LstmI8),
    /// Float simple recurrent network.
    RnnF32(RnnF32),
    /// Float SVDF.
    SvdfF32(SvdfF32),
    /// int8 SVDF, with an int16 state.
    SvdfI8(SvdfI8),
    /// A function of each float.
    UnaryF32(Unary),
    /// A function of each byte.
    Table(Table),
    /// QUANTIZE from or to int16.
    Table16(Table16),
    /// A function of two floats.
    BinaryF32(BinaryF32),
    /// A function of two int32 or int64.
    BinaryInt(BinaryInt),
    /// A function of two bytes.
    BinaryTable(BinaryTable),
    /// int8 sum or difference.
    AddI8(AddI8),
    /// Elements of one of two operands, any type.
    Select(Select),
    /// Float reductions.
    ReduceF32(ReduceOf),
    /// int8 maximum and minimum.
    ReduceI8(ReduceOf),
    /// Reductions of int32, int64 and bool.
    ReduceInt(ReduceOf),
    /// int8 mean and sum.
    MeanI8(MeanI8),
    /// Index of the largest or smallest.
    Arg(Arg),
    /// Float pools.
    PoolF32(PoolF32),
    /// int8 pools.
    PoolI8(PoolI8),
    /// The elements as they are, any type.
    Copy,
    /// Elements in other places, any type.
    Place(Place),
    /// The nearest pixels, any type.
    Nearest(Nearest),
    /// Float pixels between neighbours.
    BilinearF32(Bilinear<f32>),
    /// int8 pixels between neighbours.
    BilinearI8(Bilinear<i32>),
    /// Slices by indices, any type.
    Take(Take),
    /// Float softmax.
    SoftmaxF32(Softmax),
    /// int8 softmax.
    SoftmaxI8(SoftmaxI8),
    /// Float logarithm of softmax.
    LogSoftmaxF32(Softmax),
    /// int8 logarithm of softmax.
    LogSoftmaxI8(LogSoftmaxI8),
    /// Float vectors of length 1.
    L2NormF32(L2Norm),
    /// int8 vectors of length 1.
    L2NormI8(L2Norm),
    /// Running sums of floats or integers.
    Cumsum(Cumsum),
    /// The largest floats of a line.
    TopK(TopK),
    /// Vectors with one float that differs.
    OneHot(OneHot),
    /// Real Fourier transforms.
    Rfft(Rfft),
    /// Real numbers of complex ones.
    Complex(Part),
    /// Another type, by C's conversion.
    Cast,
    /// How far a tensor is from a reference.
    Distance(Distance),
    /// Rows of floats as whole numbers, with their scales.
    RowQuantize(RowQuantize),
    /// Sums of such as floats.
    RowScale(RowScale),
    /// Float to 8 bits.
    Quantize(Quantize),
    /// 8 bits to float.
    Dequantize(Dequantize),
}

/// Most multiplications of one operator in one sample: minutes on a CPU, far beyond what is made for a phone.
const MAX_PRODUCTS: usize = 1 << 42;

/// Prepares every node of the graph.
///
/// # Errors
/// If a node's shapes, types or quantization parameters are not what its kernel can take.
pub fn prepare(graph: Graph) -> Result<Program, Error> {
    if let Some(&id) = graph.inputs.iter().find(|&&id| graph.elements(id) == 0) {
        return Err(Error::Model {
            file: graph.file.clone(),
            what: format!("its input {} has no elements", graph.describe(id)),
        });
    }
    let given = graph.tensors.len();
    let (steps, added) = steps(&graph, given, Numerics::Reference)?;
    let mut graph = graph;
    graph.tensors.extend(added);
    Ok(Program {
        graph,
        given,
        steps,
    })
}

/// The kernels of all nodes of a graph, and the tensors between them that its file does not have; of the graph's tensors the
/// file has those before `given`.
fn steps(
    graph: &Graph,
    given: usize,
    numerics: Numerics,
) -> Result<(Vec<Step>, Vec<Tensor>), Error> {
    let mut steps = Vec::with_capacity(graph.nodes.len());
    let mut added = Vec::new();
    let computed = graph.nodes.iter().enumerate();
    for (i, node) in computed.filter(|(_, n)| !n.op.is_opaque()) {
        let context = Context {
            graph,
            node,
            known: None,
            numerics,
        };
        for place in 0..node.outputs.len() {
            let (inputs, outputs) = context.io(place);
            // An empty part of a SPLIT_V: there is nothing to compute.
            if node.outputs.len() > 1 && graph.elements(outputs[0]) == 0 {
                continue;
            }
            context.check_values(&inputs, &outputs)?;
            let first = given + added.len();
            for stage in context.stages(place)? {
                let mut step = Step {
                    node: i,
                    kernel: stage.kernel,
                    inputs: inputs.clone(),
                    outputs: outputs.clone(),
                };
                if !stage.reads.is_empty() {
                    step.inputs = stage.reads.iter().map(|k| first + k).collect();
                }
                if !stage.writes.is_empty() {
                    let from = given + added.len();
                    added.extend(stage.writes.into_iter().map(Between::tensor));
                    step.outputs = (from..given + added.len()).collect();
                }
                context.check_work(&step.kernel)?;
                steps.push(step);
            }
        }
    }
    Ok((steps, added))
}

/// The tensors that a node reads at run time, each once: what it must be fed with to run alone.
pub fn fed(graph: &Graph, node: &crate::graph::Node) -> Vec<TensorId> {
    let context = Context {
        graph,
        node,
        known: None,
        numerics: Numerics::Reference,
    };
    let mut ids = context.io(0).0;
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Program {
    /// Bytes of all tensors that one sample needs, without reuse.
    pub fn bytes_per_sample(&self) -> usize {
        let graph = &self.graph;
        (0..graph.tensors.len())
            .filter(|&id| graph.is_activation(id))
            .map(|id| graph.elements(id) * graph.tensors[id].dtype.size())
            .sum()
    }

    /// Tensors of the file that have a value after a run: fed or computed, states included, in its order.
    pub fn values(&self) -> Vec<TensorId> {
        let mut ids: Vec<TensorId> = self.graph.inputs.clone();
        ids.extend(self.steps.iter().flat_map(|s| s.outputs.iter().copied()));
        ids.retain(|&id| id < self.given);
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl Context<'_> {
    fn kernel(self, place: usize) -> Result<Kernel, Error> {
        let (inputs, _) = self.io(place);
        let first = inputs.first().copied();
        let first = first.ok_or_else(|| self.error("its first input is missing"))?;
        let dtype = self.tensor(first).dtype;
        let is_constant = |i: usize| {
            self.optional_input(i)
                .is_some_and(|id| self.tensor(id).constant.is_some())
        };
        if dtype == DType::I16
            && let Some(kernel) = int16::prepare(self)?
        {
            return Ok(kernel);
        }
        match (&self.node.op, dtype) {
            (Op::Conv2d(w), DType::F32) => conv::f32(self, w, Conv::Full),
            (Op::Conv2d(w), DType::I8) => conv::i8(self, w, Conv::Full),
            (Op::DepthwiseConv2d(w), DType::F32) => conv::f32(self, w, Conv::Depthwise),
            (Op::DepthwiseConv2d(w), DType::I8) => conv::i8(self, w, Conv::Depthwise),
            (Op::FullyConnected { activation, .. }, DType::F32) if !is_constant(1) => {
                batch_matmul::dense(self, *activation).map(Kernel::MatmulF32)
            }
            (Op::FullyConnected { activation, .. }, DType::F32) => {
                fully_connected::f32(self, *activation).map(Kernel::FullyConnectedF32)
            }
            (Op::FullyConnected { activation, .. }, DType::I8) => {
                fully_connected::i8(self, *activation).map(Kernel::FullyConnectedI8)
            }
            (Op::BatchMatmul { adj_x, adj_y }, DType::F32) => {
                batch_matmul::f32(self, *adj_x, *adj_y).map(Kernel::MatmulF32)
            }
            (Op::BatchMatmul { adj_x, adj_y }, DType::I8) => {
                batch_matmul::i8(self, *adj_x, *adj_y).map(Kernel::MatmulI8)
            }
            (Op::UnidirectionalSequenceLstm(a), DType::F32) => {
                lstm::f32(self, a).map(Kernel::LstmF32)
            }
            (Op::UnidirectionalSequenceLstm(a), DType::I8) => lstm::i8(self, a).map(Kernel::LstmI8),
            (
                Op::UnidirectionalSequenceRnn {
                    activation,
                    time_major,
                },
                DType::F32,
            ) => recurrent::rnn(self, *activation, *time_major).map(Kernel::RnnF32),
            (Op::Svdf { rank, activation }, DType::F32) => {
                recurrent::svdf(self, *rank, *activation).map(Kernel::SvdfF32)
            }
            (Op::Svdf { rank, activation }, DType::I8) => {
                recurrent::svdf_i8(self, *rank, *activation).map(Kernel::SvdfI8)
            }
            (Op::Unary(u), DType::F32) => unary::f32(self, *u).map(Kernel::UnaryF32),
            (Op::Unary(u), DType::I8) => unary::i8(self, *u).map(Kernel::Table),
            (Op::Unary(u), DType::Bool) => unary::bool(self, *u).map(Kernel::Table),
            (Op::Binary(op, activation), _) => binary::prepare(self, *op, *activation),
            (Op::Select { broadcast }, _) => select::prepare(self, *broadcast).map(Kernel::Select),
            (Op::Reduce(op), _) => reduce::prepare(self, *op),
            (Op::Arg { largest }, _) => reduce::arg(self, *largest).map(Kernel::Arg),
            (Op::Pool(kind, window), _) => pool::prepare(self, *kind, window),
            (Op::Move(motion), _) => self.moved(motion, place),
            (
                Op::Resize {
                    bilinear,
                    align_corners,
                    half_pixel_centers,
                },
                _,
            ) => resize::prepare(self, *bilinear, *align_corners, *half_pixel_centers),
            (Op::Gather { axis, batch_dims }, _) => {
                take::gather(self, *axis, *batch_dims).map(Kernel::Take)
            }
            (Op::GatherNd, _) => take::gather_nd(self).map(Kernel::Take),
            (Op::EmbeddingLookup, _) => take::embedding(self).map(Kernel::Take),
            (Op::Softmax { beta }, DType::F32) => softmax::f32(self, *beta).map(Kernel::SoftmaxF32),
            (Op::Softmax { beta }, DType::I8) => softmax::i8(self, *beta).map(Kernel::SoftmaxI8),
            (Op::LogSoftmax, _) => norm::log_softmax(self),
            (Op::L2Normalization, _) => norm::l2(self),
            (Op::Cast, DType::C64) => {
                // LiteRT drops the imaginary part.
                self.expect_dtype(self.output(0)?, DType::F32)?;
                self.expect_shape(self.output(0)?, self.shape(first))?;
                Ok(Kernel::Complex(Part::Real))
            }
            (Op::Cast, _) => {
                let to = self.tensor(self.output(0)?).dtype;
                if [dtype, to]
                    .iter()
                    .any(|t| [DType::C64, DType::F16].contains(t))
                {
                    return Err(self.error(format!("it cannot turn {dtype} into {to}")));
                }
                self.expect_shape(self.output(0)?, self.shape(first))?;
                Ok(Kernel::Cast)
            }
            (Op::Cumsum { exclusive, reverse }, _) => row::cumsum(self, *exclusive, *reverse),
            (Op::TopK, _) => row::top_k(self, place),
            (Op::OneHot { axis }, _) => row::one_hot(self, *axis),
            (Op::Quantize, DType::F32) => quantize::quantize(self).map(Kernel::Quantize),
            (Op::Quantize, DType::I8 | DType::U8 | DType::I16) => quantize::requantize(self),
            (Op::Dequantize, DType::I8 | DType::U8 | DType::I16) => {
                quantize::dequantize(self).map(Kernel::Dequantize)
            }
            (Op::Distance, _) => distance::prepare(self, place),
            (Op::Rfft2d, DType::F32) => rfft::prepare(self).map(Kernel::Rfft),
            (Op::Complex(part), DType::C64) => {
                let output = self.output(0)?;
                self.expect_dtype(output, DType::F32)?;
                self.expect_shape(output, self.shape(first))?;
                Ok(Kernel::Complex(*part))
            }
            (Op::Static(_), _) => Err(self
                .error("it cannot be computed at run time; only where its inputs are constants")),
            (_, dtype) => Err(self.error(format!(
                "its input is {dtype}; `zeropoint ops` lists the types it can take"
            ))),
        }
    }

    /// Elements move and do not change, and so does what they mean.
    fn moved(self, motion: &Move, place: usize) -> Result<Kernel, Error> {
        let (input, output) = (self.input(motion.first())?, self.output(place)?);
        for &id in &self.io(place).0 {
            self.expect_dtype(id, self.tensor(output).dtype)?;
        }
        if !matches!(motion, Move::Reshape | Move::Squeeze(_) | Move::ExpandDims) {
            return place::prepare(self, motion, place).map(Kernel::Place);
        }
        if self.graph.elements(input) != self.graph.elements(output) {
            return Err(self.error("the output does not have as many elements as the input"));
        }
        Ok(Kernel::Copy)
    }

    /// Devices count on elements to work on, and on a value for each sample where an operator is not one of those
    /// that converters leave behind a constant.
    fn check_values(self, inputs: &[TensorId], outputs: &[TensorId]) -> Result<(), Error> {
        let describe = |id: TensorId| self.graph.describe(id);
        if let Some(&id) = inputs
            .iter()
            .chain(outputs)
            .find(|&&id| self.graph.elements(id) == 0)
        {
            return Err(self.error(format!("{} has no elements", describe(id))));
        }
        let may_be_constant = matches!(
            self.node.op,
            Op::Binary(..)
                | Op::Move(_)
                | Op::Select { .. }
                | Op::Gather { .. }
                | Op::GatherNd
                | Op::EmbeddingLookup
                | Op::BatchMatmul { .. }
        ) || inputs.len() > 1;
        match inputs
            .iter()
            .find(|&&id| !may_be_constant && !self.graph.is_activation(id))
        {
            Some(&id) => Err(self.error(format!(
                "its input {} is a constant; convert the model with constant folding",
                describe(id)
            ))),
            None => Ok(()),
        }
    }

    /// A small file can ask for years of work.
    fn check_work(self, kernel: &Kernel) -> Result<(), Error> {
        let depth = match kernel {
            Kernel::ConvF32(k) | Kernel::DepthwiseF32(k) => k.shape.depth(),
            Kernel::ConvI8(k) | Kernel::DepthwiseI8(k) => k.shape.depth(),
            Kernel::Int16(k) => k.depth(),
            Kernel::FullyConnectedF32(k) => k.shape.depth,
            Kernel::FullyConnectedI8(k) => k.shape.depth,
            Kernel::MatmulF32(k) => k.shape.depth as usize,
            Kernel::MatmulI8(k) => k.shape.depth as usize,
            Kernel::LstmF32(k) => 4 * (k.shape.input + k.shape.cells),
            Kernel::LstmI8(k) => 4 * (k.shape.input + k.shape.cells),
            Kernel::RnnF32(k) => k.shape.input + k.shape.cells,
            Kernel::SvdfF32(k) => k.rank * (k.input + k.memory),
            Kernel::SvdfI8(k) => k.rank * (k.input + k.memory),
            Kernel::PoolF32(k) => (k.shape.k_h as usize).saturating_mul(k.shape.k_w as usize),
            Kernel::PoolI8(k) => (k.shape.k_h as usize).saturating_mul(k.shape.k_w as usize),
            Kernel::TopK(k) => k.lines.size as usize,
            _ => 1,
        };
        let products = self.graph.elements(self.output(0)?).saturating_mul(depth);
        if products <= MAX_PRODUCTS {
            return Ok(());
        }
        Err(self.error(format!(
            "it takes {products} multiplications a sample, more than the {MAX_PRODUCTS} that are allowed"
        )))
    }

    /// Tensors that output `place` reads at run time, and that it writes: itself and states.
    fn io(self, place: usize) -> (Vec<TensorId>, Vec<TensorId>) {
        let node = self.node;
        let pick = |places: &[usize]| -> Vec<TensorId> {
            places
                .iter()
                .filter_map(|&i| self.optional_input(i))
                .collect()
        };
        let inputs = match &node.op {
            Op::Binary(..)
            | Op::Gather { .. }
            | Op::GatherNd
            | Op::BatchMatmul { .. }
            | Op::Distance => pick(&[0, 1]),
            Op::EmbeddingLookup => pick(&[1, 0]),
            Op::Select { .. } => pick(&[0, 1, 2]),
            Op::TransposeConv(_) => pick(&[2]),
            Op::Move(motion) => match motion.moved() {
                None => node.inputs.iter().flatten().copied().collect(),
                Some(_) => pick(&[motion.first()]),
            },
            Op::FullyConnected { .. }
                if self
                    .optional_input(1)
                    .is_some_and(|id| self.graph.is_activation(id)) =>
            {
                pick(&[0, 1, 2])
            }
            _ => pick(&[0]),
        };
        let mut outputs = vec![node.outputs[place]];
        let states = node.inputs.iter().flatten();
        outputs.extend(states.filter(|&&id| self.graph.tensors[id].variable));
        (inputs, outputs)
    }
}
