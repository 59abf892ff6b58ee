//! Prepares a graph for execution: every node becomes plain parameters, computed once on the host and shared by all
//! devices, so that devices cannot differ in anything but how they do the arithmetic.

mod add;
mod conv;
mod device;
mod floor;
mod fully_connected;
mod lstm;
mod mean;
mod quantize;
mod softmax;
mod strided_slice;
mod tolerance;

pub use crate::num::Range;
pub use add::{Add, AddI8, LEFT_SHIFT};
pub use conv::{Conv, ConvF32, ConvI8, ConvShape, fold_zero_point};
pub use device::{
    Device, DeviceError, Feed, Keep, Profile, Roofline, Session, SessionConfig, Statistics,
};
pub use floor::{Floor, Floors};
pub use fully_connected::{FullyConnected, FullyConnectedF32, FullyConnectedI8};
pub use lstm::{LstmF32, LstmI8, LstmShape};
pub use mean::{Mean, MeanI8};
pub use quantize::{Dequantize, Quantize, Requantize};
pub(crate) use quantize::{from_order_key, order_key};
pub use softmax::{Softmax, SoftmaxI8};
pub use strided_slice::Gather;
pub use tolerance::HALVES;

use crate::graph::{Error, Graph, Node, Op, TensorId};
use crate::num::{Affine, DType, Multiplier};

/// What a device runs: the graph and one prepared kernel a node.
#[derive(Debug)]
pub struct Program {
    /// The graph the kernels were prepared from.
    pub graph: Graph,
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
    /// Float matrix product.
    FullyConnectedF32(FullyConnectedF32),
    /// int8 matrix product.
    FullyConnectedI8(FullyConnectedI8),
    /// Float LSTM.
    LstmF32(LstmF32),
    /// Integer LSTM (8-bit activations, 16-bit cell).
    LstmI8(LstmI8),
    /// Float sum.
    AddF32(Add),
    /// int8 sum.
    AddI8(AddI8),
    /// Float mean.
    MeanF32(Mean),
    /// int8 mean.
    MeanI8(MeanI8),
    /// The elements as they are, any type.
    Copy,
    /// Elements picked by strides, any type.
    Gather(Gather),
    /// Float softmax.
    SoftmaxF32(Softmax),
    /// int8 softmax.
    SoftmaxI8(SoftmaxI8),
    /// Float to 8 bits.
    Quantize(Quantize),
    /// 8 bits to 8 bits with other parameters.
    Requantize(Requantize),
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
    let mut steps = Vec::with_capacity(graph.nodes.len());
    if let Some(&id) = graph.inputs.iter().find(|&&id| graph.elements(id) == 0) {
        return Err(Error::Model {
            file: graph.file.clone(),
            what: format!("its input {} has no elements", graph.describe(id)),
        });
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        let context = Context {
            graph: &graph,
            node,
        };
        let (inputs, outputs) = context.io();
        context.check_values(&inputs, &outputs)?;
        let kernel = context.kernel()?;
        context.check_work(&kernel)?;
        steps.push(Step {
            node: i,
            kernel,
            inputs,
            outputs,
        });
    }
    Ok(Program { graph, steps })
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

    /// Tensors that have a value after a run: fed or computed, states included, in the order of the file.
    pub fn values(&self) -> Vec<TensorId> {
        let mut ids: Vec<TensorId> = self.graph.inputs.clone();
        ids.extend(self.steps.iter().flat_map(|s| s.outputs.iter().copied()));
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// A node under preparation, with what its family needs to look up or complain.
#[derive(Clone, Copy)]
struct Context<'a> {
    graph: &'a Graph,
    node: &'a Node,
}

impl<'a> Context<'a> {
    fn kernel(self) -> Result<Kernel, Error> {
        let dtype = self.tensor(self.input(0)?).dtype;
        match (&self.node.op, dtype) {
            (Op::Conv2d(w), DType::F32) => Ok(Kernel::ConvF32(conv::f32(self, w, Conv::Full)?)),
            (Op::Conv2d(w), DType::I8) => Ok(Kernel::ConvI8(conv::i8(self, w, Conv::Full)?)),
            (Op::DepthwiseConv2d(w), DType::F32) => {
                Ok(Kernel::DepthwiseF32(conv::f32(self, w, Conv::Depthwise)?))
            }
            (Op::DepthwiseConv2d(w), DType::I8) => {
                Ok(Kernel::DepthwiseI8(conv::i8(self, w, Conv::Depthwise)?))
            }
            (Op::FullyConnected { activation }, DType::F32) => Ok(Kernel::FullyConnectedF32(
                fully_connected::f32(self, *activation)?,
            )),
            (Op::FullyConnected { activation }, DType::I8) => Ok(Kernel::FullyConnectedI8(
                fully_connected::i8(self, *activation)?,
            )),
            (Op::UnidirectionalSequenceLstm(a), DType::F32) => {
                Ok(Kernel::LstmF32(lstm::f32(self, a)?))
            }
            (Op::UnidirectionalSequenceLstm(a), DType::I8) => {
                Ok(Kernel::LstmI8(lstm::i8(self, a)?))
            }
            (Op::Add { activation }, DType::F32) => {
                Ok(Kernel::AddF32(add::f32(self, *activation)?))
            }
            (Op::Add { activation }, DType::I8) => Ok(Kernel::AddI8(add::i8(self, *activation)?)),
            (Op::Mean, DType::F32) => Ok(Kernel::MeanF32(mean::f32(self)?)),
            (Op::Mean, DType::I8) => Ok(Kernel::MeanI8(mean::i8(self)?)),
            (Op::Reshape, DType::F32 | DType::I8 | DType::U8) => {
                self.same_parameters()?;
                if self.graph.elements(self.input(0)?) != self.graph.elements(self.output(0)?) {
                    return Err(
                        self.error("the output does not have as many elements as the input")
                    );
                }
                Ok(Kernel::Copy)
            }
            (Op::StridedSlice(a), DType::F32 | DType::I8 | DType::U8) => {
                self.same_parameters()?;
                Ok(Kernel::Gather(strided_slice::prepare(self, a)?))
            }
            (Op::Softmax { beta }, DType::F32) => {
                Ok(Kernel::SoftmaxF32(softmax::f32(self, *beta)?))
            }
            (Op::Softmax { beta }, DType::I8) => Ok(Kernel::SoftmaxI8(softmax::i8(self, *beta)?)),
            (Op::Quantize, DType::F32) => Ok(Kernel::Quantize(quantize::quantize(self)?)),
            (Op::Quantize, DType::I8 | DType::U8) => {
                Ok(Kernel::Requantize(quantize::requantize(self)?))
            }
            (Op::Dequantize, DType::I8 | DType::U8) => {
                Ok(Kernel::Dequantize(quantize::dequantize(self)?))
            }
            (_, dtype) => Err(self.error(format!(
                "its input is {dtype}; `zeropoint ops` lists the types it can take"
            ))),
        }
    }

    /// Devices count on elements to work on, and on a value for each sample where an operator is not one of the few
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
            Op::Add { .. } | Op::Reshape | Op::StridedSlice(_)
        );
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
            Kernel::FullyConnectedF32(k) => k.shape.depth,
            Kernel::FullyConnectedI8(k) => k.shape.depth,
            Kernel::LstmF32(k) => 4 * (k.shape.input + k.shape.cells),
            Kernel::LstmI8(k) => 4 * (k.shape.input + k.shape.cells),
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

    /// Tensors read and written at run time.
    fn io(self) -> (Vec<TensorId>, Vec<TensorId>) {
        let graph = self.graph;
        let mut outputs = self.node.outputs.clone();
        let inputs = match self.node.op {
            Op::Add { .. } => self.node.inputs.iter().flatten().copied().collect(),
            _ => self
                .node
                .inputs
                .first()
                .copied()
                .flatten()
                .into_iter()
                .collect(),
        };
        outputs.extend(
            self.node
                .inputs
                .iter()
                .flatten()
                .filter(|&&id| graph.tensors[id].variable),
        );
        (inputs, outputs)
    }

    fn error(self, what: impl Into<String>) -> Error {
        Error::Node {
            file: self.graph.file.clone(),
            node: self.node.describe(),
            what: what.into(),
        }
    }

    fn tensor(self, id: TensorId) -> &'a crate::graph::Tensor {
        &self.graph.tensors[id]
    }

    fn optional_input(self, i: usize) -> Option<TensorId> {
        self.node.inputs.get(i).copied().flatten()
    }

    fn input(self, i: usize) -> Result<TensorId, Error> {
        self.optional_input(i)
            .ok_or_else(|| self.error(format!("input {i} is missing")))
    }

    fn output(self, i: usize) -> Result<TensorId, Error> {
        self.node
            .outputs
            .get(i)
            .copied()
            .ok_or_else(|| self.error(format!("output {i} is missing")))
    }

    fn shape(self, id: TensorId) -> &'a [usize] {
        &self.tensor(id).shape
    }

    /// The tensor's shape if it has rank `N`.
    fn shape_of_rank<const N: usize>(self, id: TensorId) -> Result<[usize; N], Error> {
        <[usize; N]>::try_from(self.shape(id)).map_err(|_| {
            self.error(format!(
                "{} has shape {:?}, expected rank {N}",
                self.graph.describe(id),
                self.shape(id)
            ))
        })
    }

    fn expect_dtype(self, id: TensorId, dtype: DType) -> Result<(), Error> {
        let got = self.tensor(id).dtype;
        if got == dtype {
            return Ok(());
        }
        Err(self.error(format!(
            "{} is {got}, expected {dtype}",
            self.graph.describe(id)
        )))
    }

    fn expect_shape(self, id: TensorId, shape: &[usize]) -> Result<(), Error> {
        if self.shape(id) == shape {
            return Ok(());
        }
        Err(self.error(format!(
            "{} has shape {:?}, expected {shape:?}",
            self.graph.describe(id),
            self.shape(id)
        )))
    }

    fn affine(self, id: TensorId) -> Result<Affine, Error> {
        let affine = self.tensor(id).affine().ok_or_else(|| {
            self.error(format!(
                "{} needs one scale and one zero point",
                self.graph.describe(id)
            ))
        })?;
        let (low, high) = match self.tensor(id).dtype {
            DType::I8 => (-128, 127),
            DType::U8 => (0, 255),
            DType::I16 => (-32768, 32767),
            _ => (i32::MIN, i32::MAX),
        };
        if !(low..=high).contains(&affine.zero_point) {
            return Err(self.error(format!(
                "{} has zero point {}, outside of its type",
                self.graph.describe(id),
                affine.zero_point
            )));
        }
        Ok(affine)
    }

    /// Symmetric weights' scales: one, or one for each of `channels` along `axis`; zero points 0.
    fn weight_scales(self, id: TensorId, channels: usize, axis: usize) -> Result<Vec<f32>, Error> {
        let describe = || self.graph.describe(id);
        let q = self.tensor(id).quantization.as_ref();
        let q = q.ok_or_else(|| self.error(format!("{} is not quantized", describe())))?;
        if q.zero_points.iter().any(|&z| z != 0) {
            return Err(self.error(format!(
                "{} has a zero point other than 0; int8 weights are symmetric",
                describe()
            )));
        }
        if q.scales.len() == 1 {
            return Ok(vec![q.scales[0]; channels]);
        }
        if q.scales.len() != channels || q.axis != axis {
            return Err(self.error(format!(
                "{} has {} scales along dimension {}, expected {channels} along dimension {axis}",
                describe(),
                q.scales.len(),
                q.axis
            )));
        }
        Ok(q.scales.clone())
    }

    fn constant<T: Clone>(
        self,
        id: TensorId,
        as_slice: impl Fn(&crate::num::Values) -> Option<&Vec<T>>,
        what: &str,
    ) -> Result<Vec<T>, Error> {
        let value = self.tensor(id).constant.as_ref();
        let value = value.ok_or_else(|| {
            self.error(format!(
                "{} must be a constant; weights computed at run time are not supported",
                self.graph.describe(id)
            ))
        })?;
        as_slice(value).cloned().ok_or_else(|| {
            self.error(format!(
                "{} is {}, expected {what}",
                self.graph.describe(id),
                value.dtype()
            ))
        })
    }

    fn f32s(self, id: TensorId) -> Result<Vec<f32>, Error> {
        self.constant(
            id,
            |v| {
                if let crate::num::Values::F32(v) = v {
                    Some(v)
                } else {
                    None
                }
            },
            "float32",
        )
    }

    fn i8s(self, id: TensorId) -> Result<Vec<i8>, Error> {
        self.constant(
            id,
            |v| {
                if let crate::num::Values::I8(v) = v {
                    Some(v)
                } else {
                    None
                }
            },
            "int8",
        )
    }

    fn i32s(self, id: TensorId) -> Result<Vec<i32>, Error> {
        self.constant(
            id,
            |v| {
                if let crate::num::Values::I32(v) = v {
                    Some(v)
                } else {
                    None
                }
            },
            "int32",
        )
    }

    /// The bias of `channels` values, or zeros.
    fn bias_f32(self, i: usize, channels: usize) -> Result<Vec<f32>, Error> {
        let Some(id) = self.optional_input(i) else {
            return Ok(vec![0.0; channels]);
        };
        let bias = self.f32s(id)?;
        self.expect_elements(id, channels)?;
        Ok(bias)
    }

    fn bias_i32(self, i: usize, channels: usize) -> Result<Vec<i32>, Error> {
        let Some(id) = self.optional_input(i) else {
            return Ok(vec![0; channels]);
        };
        let bias = self.i32s(id)?;
        self.expect_elements(id, channels)?;
        Ok(bias)
    }

    fn expect_elements(self, id: TensorId, n: usize) -> Result<(), Error> {
        let got = self.graph.elements(id);
        if got == n {
            return Ok(());
        }
        Err(self.error(format!(
            "{} has {got} elements, expected {n}",
            self.graph.describe(id)
        )))
    }

    fn multiplier(self, real: f64) -> Result<Multiplier, Error> {
        Multiplier::new(real).map_err(|e| self.error(e.to_string()))
    }

    /// TFLite's `CalculateActivationRangeQuantized`.
    fn quantized_bounds(
        self,
        activation: crate::graph::Activation,
        output: Affine,
    ) -> Result<(i32, i32), Error> {
        let (low, high) = activation.bounds();
        let quantize = |bound: f32, open: i32| -> Result<i32, Error> {
            if bound.is_infinite() {
                return Ok(open);
            }
            let steps = (bound / output.scale).round();
            // LiteRT refuses such an output scale as well.
            if !(-2_147_483_648.0..2_147_483_648.0).contains(&steps) {
                return Err(self.error(format!(
                    "its output scale {} is too small for its activation",
                    output.scale
                )));
            }
            Ok((steps as i32).saturating_add(output.zero_point))
        };
        Ok((
            quantize(low, -128)?.max(-128),
            quantize(high, 127)?.min(127),
        ))
    }

    /// Ops that move data cannot change its quantization.
    fn same_parameters(self) -> Result<(), Error> {
        let (a, b) = (self.tensor(self.input(0)?), self.tensor(self.output(0)?));
        if a.dtype != b.dtype {
            return Err(self.error(format!("it cannot turn {} into {}", a.dtype, b.dtype)));
        }
        Ok(())
    }
}

/// Narrows a size for a parameter block; sizes were checked to fit when the graph was loaded.
fn u32_of(x: usize) -> u32 {
    u32::try_from(x).expect("graph::load bounds every tensor to 2^31 elements")
}
