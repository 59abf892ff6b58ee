//! What calibration, evaluation and verification ask of a device, and how data is fed to it.

use super::Program;
use super::quantize::table;
use crate::graph::TensorId;
use crate::num::affine::quantize;
use crate::num::{Affine, DType, Histogram, Range, Values};

/// Something that runs programs: the CPU or a GPU.
pub trait Device {
    /// What to call it in reports.
    fn name(&self) -> String;

    /// What the tolerance of float results (`kernel/tolerance.rs`) is multiplied by on this device.
    fn tolerance(&self) -> f32 {
        1.0
    }

    /// Loads a program.
    ///
    /// # Errors
    /// If the device has not enough memory or refuses a kernel.
    fn session<'a>(
        &'a self,
        program: &'a Program,
        config: &SessionConfig,
    ) -> Result<Box<dyn Session + 'a>, DeviceError>;

    /// What the device can do at most, measured now; `None` if it cannot tell.
    fn roofline(&self) -> Option<Roofline> {
        None
    }
}

/// The two limits that no kernel can beat.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Roofline {
    /// float32 operations, a multiply-add being two.
    pub operations_per_second: f64,
    /// Bytes copied through memory, reading and writing counted both.
    pub bytes_per_second: f64,
}

/// A loaded program with its buffers.
pub trait Session {
    /// How many samples one [`Session::run`] may take.
    fn batch(&self) -> usize;

    /// Runs `samples` samples; every array is sample-major, in the type its [`Feed`] announced.
    ///
    /// # Errors
    /// If the device fails.
    fn run(&mut self, samples: usize, inputs: &[Values]) -> Result<(), DeviceError>;

    /// The values of a kept tensor in the last run, sample-major; each can be read once a run.
    ///
    /// # Errors
    /// If the tensor was not kept or the device fails.
    fn read(&mut self, tensor: TensorId) -> Result<Values, DeviceError>;

    /// Smallest and largest value of every float tensor over all runs; state tensors over all time steps.
    ///
    /// # Errors
    /// If ranges were not asked for or the device fails.
    fn ranges(&mut self) -> Result<Vec<Option<Range>>, DeviceError>;

    /// How often which values occurred in every float tensor over all runs; as [`Session::ranges`] otherwise.
    ///
    /// # Errors
    /// If histograms were not asked for or the device fails.
    fn histograms(&mut self) -> Result<Vec<Option<Histogram>>, DeviceError>;

    /// Seconds that each part of the work took over all runs, all threads together.
    ///
    /// # Errors
    /// If a profile was not asked for or the device cannot measure it.
    fn profile(&mut self) -> Result<Profile, DeviceError> {
        Err(DeviceError::Failed {
            device: "this device".into(),
            what: "it does not measure the time of steps".into(),
        })
    }
}

/// What a session gathers over all its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statistics {
    /// Nothing.
    Nothing,
    /// The range of every float tensor.
    Ranges,
    /// Range and histogram of every float tensor.
    Histograms,
}

/// Where the time of a session went, in seconds; for the CPU the sum over its threads.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Profile {
    /// How many threads these times are the sum of; 1 for a GPU.
    pub workers: usize,
    /// Bringing the data to the device and making the model's inputs of it.
    pub feed: f64,
    /// The kernel of each step of the program. On a GPU a clamp has 0 where the kernel of its source writes it as well, and
    /// counts as time of that one.
    pub steps: Vec<f64>,
    /// Statistics of the outputs of each step, where they are not part of its kernel.
    pub statistics: Vec<f64>,
}

/// Which tensors of the last run can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None: only ranges are wanted.
    Nothing,
    /// The model's outputs.
    Outputs,
    /// Every tensor that has a value.
    All,
}

/// What a session is for.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Samples at once; chosen from memory where `None`.
    pub batch: Option<usize>,
    /// What can be read afterwards.
    pub keep: Keep,
    /// What is gathered over all runs.
    pub statistics: Statistics,
    /// Whether the time of every step is measured. That may cost speed.
    pub profile: bool,
    /// How each input of the model arrives.
    pub feeds: Vec<Feed>,
}

/// A failure of a device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No such adapter, or none at all.
    #[error("{0}")]
    NotFound(String),
    /// The device does not have the memory.
    #[error("{device}: not enough memory for {what}; a smaller --batch may help")]
    OutOfMemory {
        /// Device.
        device: String,
        /// What was to be allocated.
        what: String,
    },
    /// A computed value is not finite.
    #[error("{tensor} became {what} during the run; the float model does not survive this data")]
    NotFinite {
        /// Description of the tensor.
        tensor: String,
        /// NaN or infinite.
        what: &'static str,
    },
    /// The data asks for what the model does not have.
    #[error("{what}")]
    Data {
        /// Operator, tensor, value and what to do.
        what: String,
    },
    /// Anything else.
    #[error("{device}: {what}")]
    Failed {
        /// Device.
        device: String,
        /// What happened.
        what: String,
    },
}

/// How the data of one input becomes the model's input tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Feed {
    /// As it is.
    Direct,
    /// One byte an element, turned to float by this table on the device.
    Table(Vec<f32>),
    /// Float, quantized on the host with the input's own parameters.
    Quantize {
        /// The input's parameters.
        affine: Affine,
        /// The input's type: int8, uint8 or int16.
        dtype: DType,
    },
    /// One byte an element, replaced by this table on the host.
    Bytes {
        /// Replacement for each byte.
        table: Vec<u8>,
        /// The input's type.
        dtype: DType,
    },
    /// One byte an element, replaced by this table on the host: an int16 input.
    Wide(Vec<i16>),
}

impl Feed {
    /// Chooses how data of type `data` reaches an input of type `want`; `scale_offset` turns integers into reals.
    ///
    /// `None` if there is no way.
    pub fn new(
        want: DType,
        data: DType,
        affine: Option<Affine>,
        scale_offset: Option<(f32, f32)>,
    ) -> Option<Feed> {
        let real = |dtype: DType| -> Option<Vec<f32>> {
            let (scale, offset) = scale_offset?;
            let integer = Affine {
                scale: 1.0,
                zero_point: 0,
            };
            Some(
                table(integer, dtype)
                    .into_iter()
                    .map(|u| u * scale + offset)
                    .collect(),
            )
        };
        match (want, data) {
            (DType::F32, DType::U8 | DType::I8) => Some(Feed::Table(real(data)?)),
            (DType::I8 | DType::U8, DType::U8 | DType::I8) if scale_offset.is_some() => {
                let (affine, bounds) = (affine?, bounds(want));
                let table = real(data)?
                    .into_iter()
                    .map(|x| quantize(x, affine, bounds.0, bounds.1) as u8)
                    .collect();
                Some(Feed::Bytes { table, dtype: want })
            }
            (DType::I16, DType::U8 | DType::I8) => {
                let affine = affine?;
                let table = real(data)?.into_iter();
                let table = table.map(|x| quantize(x, affine, -32768, 32767) as i16);
                Some(Feed::Wide(table.collect()))
            }
            (a, b) if a == b => Some(Feed::Direct),
            (DType::I8 | DType::U8 | DType::I16, DType::F32) => Some(Feed::Quantize {
                affine: affine?,
                dtype: want,
            }),
            _ => None,
        }
    }

    /// How the same data reaches an input of 8 or 16 bits in place of a float one. What is quantized already stays.
    pub fn quantized(&self, affine: Affine, dtype: DType) -> Feed {
        let (low, high) = bounds(dtype);
        match self {
            Feed::Direct => Feed::Quantize { affine, dtype },
            Feed::Table(table) => {
                let integers = table.iter().map(|&x| quantize(x, affine, low, high));
                match dtype {
                    DType::I16 => Feed::Wide(integers.map(|q| q as i16).collect()),
                    _ => Feed::Bytes {
                        table: integers.map(|q| q as u8).collect(),
                        dtype,
                    },
                }
            }
            other => other.clone(),
        }
    }

    /// Does the host's part of the work.
    pub fn apply(&self, values: Values) -> Values {
        let typed = |bytes: Vec<u8>, dtype: DType| match dtype {
            DType::I8 => Values::I8(bytes.into_iter().map(|b| b as i8).collect()),
            _ => Values::U8(bytes),
        };
        match (self, values) {
            (Feed::Quantize { affine, dtype }, Values::F32(v)) => {
                let (low, high) = bounds(*dtype);
                let q = v.into_iter().map(|x| quantize(x, *affine, low, high));
                match dtype {
                    DType::I16 => Values::I16(q.map(|q| q as i16).collect()),
                    _ => typed(q.map(|q| q as u8).collect(), *dtype),
                }
            }
            (Feed::Bytes { table, dtype }, values @ (Values::U8(_) | Values::I8(_))) => typed(
                values
                    .bytes()
                    .iter()
                    .map(|&b| table[usize::from(b)])
                    .collect(),
                *dtype,
            ),
            (Feed::Wide(table), values @ (Values::U8(_) | Values::I8(_))) => {
                let bytes = values.bytes().iter();
                Values::I16(bytes.map(|&b| table[usize::from(b)]).collect())
            }
            (_, values) => values,
        }
    }
}

/// Lowest and highest integer of a type of 8 bits, or of int16.
fn bounds(dtype: DType) -> (i32, i32) {
    match dtype {
        DType::I8 => (-128, 127),
        DType::I16 => (-32768, 32767),
        _ => (0, 255),
    }
}
