//! Options that several commands share: the device, and the data.

use super::{Failure, output};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use zeropoint::cpu::{Cpu, Numerics};
use zeropoint::gpu::{self, Gpu};
use zeropoint::graph::Graph;
use zeropoint::kernel::{self, Device, Feed, Program};
use zeropoint::num::DType;
use zeropoint::{data, model, simplify, stream};

/// Which device to run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// A real GPU if there is one, otherwise the CPU
    Auto,
    /// A GPU, also one that is emulated in software
    Gpu,
    /// The CPU
    Cpu,
}

/// How a GPU computes int8 products
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Int8Path {
    /// On matrix units where they prove exact on this device, otherwise dot products
    Auto,
    /// Dot products of four bytes
    Dot,
    /// On matrix units, or not at all
    Matrix,
}

/// How a GPU computes float products
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FloatPath {
    /// On matrix units where they prove accurate on this device, otherwise plain f32
    Auto,
    /// Plain f32
    Exact,
    /// On matrix units, or not at all
    Fast,
}

/// How the tiles of a GPU's products are chosen
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TilesName {
    /// Measured on a real GPU, by reasoning in software
    Auto,
    /// Measured
    Measured,
    /// By reasoning
    Reasoned,
}

/// Device options.
#[derive(Args, Clone, Debug)]
pub struct DeviceArguments {
    /// Where to compute
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "auto|gpu|cpu",
        hide_possible_values = true
    )]
    pub device: Choice,
    /// Take the GPU whose name contains NAME (see `zeropoint devices`)
    #[arg(long, value_name = "NAME")]
    pub adapter: Option<String>,
    /// How the GPU computes int8 products; all ways give equal bits
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "auto|dot|matrix",
        hide_possible_values = true
    )]
    pub int8_path: Int8Path,
    /// How the GPU computes float products: in plain f32, or faster with every float as two halves on matrix units
    #[arg(
        long = "float",
        value_enum,
        default_value = "auto",
        value_name = "auto|exact|fast",
        hide_possible_values = true
    )]
    pub float_path: FloatPath,
    /// How the GPU's products are cut into tiles: as measured once and kept in the user's cache folder, or by reasoning; the
    /// same results
    #[arg(
        long,
        value_enum,
        default_value = "auto",
        value_name = "auto|measured|reasoned",
        hide_possible_values = true
    )]
    pub tiles: TilesName,
    /// Have the GPU check every index and loop as it runs: slower, the same results
    #[arg(long)]
    pub checked_shaders: bool,
    /// Samples computed at once; chosen from memory if not given
    #[arg(long, value_name = "N", value_parser = positive)]
    pub batch: Option<usize>,
}

/// Whose rounding int8 has
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NumericsName {
    /// LiteRT's reference kernels
    Reference,
    /// LiteRT's default interpreter on x86
    Xnnpack,
    /// LiteRT and TensorFlow Lite Micro built with TFLITE_SINGLE_ROUNDING
    SingleRounding,
}

/// The rounding, for commands that honour it.
#[derive(Args, Clone, Copy, Debug)]
pub struct NumericsArguments {
    /// Round int8 as another runtime does, on the CPU: `xnnpack` as LiteRT's default interpreter on x86, `single-rounding` as
    /// builds with TFLITE_SINGLE_ROUNDING [default: reference]
    #[arg(
        long,
        value_enum,
        value_name = "reference|xnnpack|single-rounding",
        hide_possible_values = true
    )]
    pub numerics: Option<NumericsName>,
}

impl NumericsArguments {
    fn name(self) -> NumericsName {
        self.numerics.unwrap_or(NumericsName::Reference)
    }

    /// The name of the rounding, if it is not the reference's.
    pub fn other(self) -> Option<String> {
        let other = self.name() != NumericsName::Reference;
        let value = self.name().to_possible_value();
        value.filter(|_| other).map(|v| v.get_name().to_owned())
    }

    /// The CPU with this rounding and with LSTMs that carry their states on.
    pub fn open_carrying(self, device: &DeviceArguments) -> Result<Box<dyn Device>, Failure> {
        if let Some(option) = device.for_gpu() {
            return Err(Failure::Input(format!(
                "--carry-state is for the CPU, but {option} asks for a GPU; leave one of them out"
            )));
        }
        let cpu = Cpu::new().carrying_state();
        Ok(Box::new(cpu.with_numerics(match self.name() {
            NumericsName::Reference => Numerics::Reference,
            NumericsName::Xnnpack => Numerics::Xnnpack,
            NumericsName::SingleRounding => Numerics::SingleRounding,
        })))
    }

    /// The device that options ask for, with this rounding. Only the CPU has another one than the reference's.
    pub fn open(self, device: &DeviceArguments) -> Result<Box<dyn Device>, Failure> {
        let numerics = match self.name() {
            NumericsName::Reference => return device.open(),
            NumericsName::Xnnpack => Numerics::Xnnpack,
            NumericsName::SingleRounding => Numerics::SingleRounding,
        };
        if let Some(option) = device.for_gpu() {
            return Err(Failure::Input(format!(
                "--numerics {numerics} is for the CPU, but {option} asks for a GPU; leave one of them out"
            )));
        }
        if device.device == Choice::Auto {
            output::note(&format!("{numerics} numerics: running on the CPU"));
        }
        Ok(Box::new(Cpu::new().with_numerics(numerics)))
    }
}

/// Data options.
#[derive(Args, Clone, Debug)]
pub struct DataArguments {
    /// Data set, .npz or .npy: input_0, input_1, … with the sample first
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Use only the first N samples
    #[arg(long, value_name = "N", requires = "data", value_parser = positive)]
    pub limit: Option<usize>,
    /// Integer data u for a float input means u·S + O
    #[arg(long, value_name = "S", requires = "data", value_parser = finite, allow_negative_numbers = true)]
    pub input_scale: Option<f32>,
    /// See --input-scale; 0 if not given
    #[arg(long, value_name = "O", requires = "input_scale", value_parser = finite, allow_negative_numbers = true)]
    pub input_offset: Option<f32>,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("expected a number of at least 1".into()),
    }
}

fn finite(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => Err("expected a finite number".into()),
    }
}

impl DataArguments {
    /// Reads a model, without what is known before it runs. Dynamic dimensions of its inputs are those of the data.
    pub fn load(&self, path: &Path) -> Result<(model::Model, Graph), Failure> {
        self.load_model(model::read(path)?, path)
    }

    /// The same for a model that is there; `path` is for messages.
    pub fn load_model(
        &self,
        model: model::Model,
        path: &Path,
    ) -> Result<(model::Model, Graph), Failure> {
        let arrays = match simplify::dynamic_inputs(&model) {
            Some(names) => {
                let input = |name| data::InputSpec {
                    name,
                    shape: Vec::new(),
                    dtype: DType::F32,
                };
                let inputs: Vec<_> = names.into_iter().map(input).collect();
                data::sample_shapes(&self.data, &inputs)?
            }
            None => Vec::new(),
        };
        load_for(model, path, &arrays)
    }

    /// As [`DataArguments::load`], prepared for running.
    pub fn program(&self, path: &Path) -> Result<(model::Model, Program), Failure> {
        let (model, graph) = self.load(path)?;
        Ok((model, kernel::prepare(graph)?))
    }

    /// Opens the data set for a graph.
    pub fn open(&self, graph: &Graph) -> Result<(data::DataSet, Vec<Feed>), Failure> {
        let scale_offset = self
            .input_scale
            .map(|s| (s, self.input_offset.unwrap_or(0.0)));
        let options = data::Options {
            limit: self.limit,
            scale_offset,
        };
        Ok(stream::open(&self.data, graph, &options)?)
    }
}

impl DeviceArguments {
    /// Whether none of them was given another value.
    pub fn is_default(&self) -> bool {
        let DeviceArguments {
            device,
            adapter,
            int8_path,
            float_path,
            tiles,
            checked_shaders,
            batch,
        } = self;
        *device == Choice::Auto
            && adapter.is_none()
            && *int8_path == Int8Path::Auto
            && *float_path == FloatPath::Auto
            && *tiles == TilesName::Auto
            && !checked_shaders
            && batch.is_none()
    }

    /// The option that asks for a GPU, if one does.
    fn for_gpu(&self) -> Option<String> {
        match (self.device, &self.adapter) {
            (Choice::Gpu, _) => Some("--device gpu".into()),
            (_, Some(name)) => Some(format!("--adapter {name}")),
            _ => self.gpu_only().map(str::to_owned),
        }
    }

    /// The option that means something on a GPU only, if one is given.
    fn gpu_only(&self) -> Option<&'static str> {
        let products = match (self.int8_path, self.float_path, self.tiles) {
            (Int8Path::Matrix, _, _) => Some("--int8-path matrix"),
            (_, FloatPath::Fast, _) => Some("--float fast"),
            (_, _, TilesName::Measured) => Some("--tiles measured"),
            _ => None,
        };
        products.or(self.checked_shaders.then_some("--checked-shaders"))
    }

    /// The GPU these options ask for; `None` for the CPU. `auto` says on stderr why it takes the CPU.
    pub fn gpu(&self) -> Result<Option<Gpu>, Failure> {
        let gpu_only = self.gpu_only();
        if let (Choice::Cpu, Some(option)) = (self.device, gpu_only) {
            return Err(Failure::Input(format!(
                "{option} is for a GPU, but --device cpu asks for the CPU"
            )));
        }
        let open = || Gpu::open_with(&self.gpu_options());
        match (self.device, &self.adapter) {
            (Choice::Auto, None) if gpu_only.is_some() => Ok(Some(open()?)),
            (Choice::Cpu, Some(name)) => Err(Failure::Input(format!(
                "--adapter {name} names a GPU, but --device cpu asks for the CPU"
            ))),
            (Choice::Cpu, None) => Ok(None),
            (Choice::Gpu, _) | (Choice::Auto, Some(_)) => Ok(Some(open()?)),
            (Choice::Auto, None) => match open() {
                Ok(gpu) if !gpu.is_software() => Ok(Some(gpu)),
                Ok(gpu) => {
                    output::note(&format!(
                        "no GPU but {}; running on native CPU kernels",
                        gpu.name()
                    ));
                    Ok(None)
                }
                Err(_) => {
                    output::note("no GPU found; running on native CPU kernels");
                    Ok(None)
                }
            },
        }
    }

    fn gpu_options(&self) -> gpu::Options {
        gpu::Options {
            adapter: self.adapter.clone(),
            int8: match self.int8_path {
                Int8Path::Auto => gpu::Int8Path::Auto,
                Int8Path::Dot => gpu::Int8Path::Dot,
                Int8Path::Matrix => gpu::Int8Path::Matrix,
            },
            float: match self.float_path {
                FloatPath::Auto => gpu::FloatPath::Auto,
                FloatPath::Exact => gpu::FloatPath::Exact,
                FloatPath::Fast => gpu::FloatPath::Fast,
            },
            tuning: match self.tiles {
                TilesName::Auto => gpu::Tuning::Auto,
                TilesName::Measured => gpu::Tuning::Measured,
                TilesName::Reasoned => gpu::Tuning::Reasoned,
            },
            checked: self.checked_shaders,
        }
    }

    /// The device these options ask for.
    pub fn open(&self) -> Result<Box<dyn Device>, Failure> {
        Ok(match self.gpu()? {
            Some(gpu) => Box::new(gpu),
            None => Box::new(Cpu::new()),
        })
    }
}

/// A model without what is known before it runs, for arrays of these shapes; says what is not computed.
pub fn load_for(
    model: model::Model,
    path: &Path,
    arrays: &[Vec<usize>],
) -> Result<(model::Model, Graph), Failure> {
    let (model, graph) = simplify::load_for(model, &path.display().to_string(), arrays)?;
    for note in graph.opaque_notes() {
        output::note(&note);
    }
    Ok((model, graph))
}
