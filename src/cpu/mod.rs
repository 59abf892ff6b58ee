//! Runs programs on the CPU: float, and int8 twice. The plain int8 kernels are the definition of what a quantized
//! model computes: short loops that follow LiteRT's reference kernels. The fast ones ride on the float GEMM, exactly
//! (see `gemm`), and must equal them bit for bit; tests and `zeropoint verify` hold them to it.
//!
//! Work is split over threads by samples: each thread takes a chunk of samples through the whole graph, so that
//! activations stay in its cache and no thread waits for another.

mod add;
mod batch_matmul;
mod binary;
mod binary_i8;
mod bytes;
mod cast;
mod chunk;
mod conv;
mod conv_f32;
mod conv_i8;
mod counting;
mod depthwise_f32;
mod distance;
mod dots;
mod fully_connected;
pub(crate) mod gemm;
mod gemm_i8;
mod hybrid;
mod int16;
mod lstm;
mod math;
mod memory;
mod norm;
mod operands;
mod place;
mod pool;
mod product;
mod quantize;
mod recurrent;
mod reduce;
mod requantize;
mod resize;
mod rfft;
mod roofline;
mod row;
mod select;
mod session;
mod simd;
mod softmax;
mod statistics;
mod step;
mod strip;
mod take;
mod unary;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use crate::kernel::Numerics;
use crate::kernel::{Device, DeviceError, Program, Roofline, Session, SessionConfig};

/// The processor of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    plain: bool,
    numerics: Numerics,
    carries: bool,
    /// Bytes of a strip.
    strips: usize,
}

impl Default for Cpu {
    fn default() -> Self {
        Self {
            plain: false,
            numerics: Numerics::default(),
            carries: false,
            strips: strip::BYTES,
        }
    }
}

impl Cpu {
    /// The CPU with its fast kernels.
    pub fn new() -> Self {
        Self::default()
    }

    /// The CPU with the plain integer kernels: slow, and the definition.
    pub fn definition() -> Self {
        Self {
            plain: true,
            ..Self::default()
        }
    }

    /// The same with the states of LSTMs going on from sample to sample, as in an interpreter that nobody resets between
    /// them: TensorFlow's calibrator and debugger run so. Samples are computed one after another.
    pub fn carrying_state(self) -> Self {
        Self {
            carries: true,
            ..self
        }
    }

    /// The same with the rounding of another runtime: what that would make of an int8 model. Sums are exact in every
    /// runtime, so only what becomes of them changes.
    pub fn with_numerics(self, numerics: Numerics) -> Self {
        Self { numerics, ..self }
    }

    /// The CPU with strips of so many bytes.
    #[cfg(test)]
    fn with_strips(strips: usize) -> Self {
        Self {
            strips,
            ..Self::default()
        }
    }
}

impl Device for Cpu {
    fn name(&self) -> String {
        let kernels = if self.plain {
            "plain kernels"
        } else {
            "native kernels"
        };
        let threads = rayon::current_num_threads();
        match self.numerics {
            Numerics::Reference => format!("CPU ({threads} threads, {kernels})"),
            other => format!("CPU ({threads} threads, {kernels}, {other} numerics)"),
        }
    }

    fn session<'a>(
        &'a self,
        program: &'a Program,
        config: &SessionConfig,
    ) -> Result<Box<dyn Session + 'a>, DeviceError> {
        let (numerics, strips) = (self.numerics, self.strips);
        let session = session::CpuSession::new(program, config, self.plain, numerics, strips)?;
        Ok(Box::new(match self.carries {
            true => session.carrying_state(),
            false => session,
        }))
    }

    fn roofline(&self) -> Option<Roofline> {
        Some(roofline::measure())
    }
}
