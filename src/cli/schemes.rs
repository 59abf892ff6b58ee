//! What can be chosen by a word: schemes, types, weights.

use clap::ValueEnum;
use zeropoint::quantize::{self, Io, NodeScheme};

/// Help that `quantize` and `plan` have in common.
pub const SCHEMES: &str = "\
Schemes:
  int8         int8 weights and activations; operators that have no int8 kernel stay float. Needs --data or --calibration
  int8-only    the same, but an operator that would stay float is an error, and no input or output is float
  int16x8      int16 activations, int8 weights; operators without such a kernel become int8. Needs --data or --calibration
  dynamic      int8 weights, float activations that are quantized as the model runs; needs no data
  float16      weights as float16, computed in float32; needs no data
  weight-only  weights as int8, computed in float32; needs no data
Mixes: --skip-op CONV_2D --skip-scheme int16x8 gives single operators another scheme; a recipe does so by rules.
Methods, from ranges and histograms of all values:
  auto                   tries the others, and narrower ranges for all or some tensors, and keeps what brings the outputs
                         nearest to the float model's for samples that are held back for that; also corrects biases for what
                         weights lose in rounding. Ctrl-C ends the search, and the best so far is written
  minmax                 the smallest and the largest value
  percentile:LOW,HIGH    without LOW percent of the values below and 100 - HIGH above; 0.01,99.99 if not given
  mse                    the least squared error of clipping and rounding
  entropy                the least Kullback-Leibler divergence, as ONNX Runtime and TensorRT
  histogram-percentile:LOW,HIGH, histogram-mse-bruteforce, histogram-mse-max-frequency, histogram-mse-symmetric
                         as TensorFlow's StableHLO quantizer
  moving-average         of each sample's range in turn, as litert-quantizer: depends on the order of the samples
Beside the model, OUT.plan.json says what was decided; --plan carries it out again, byte for byte and without data.";

/// What becomes of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scheme {
    /// int8 with float where there is no kernel
    Int8,
    /// int8 throughout
    Int8Only,
    /// int16 activations
    Int16x8,
    /// int8 weights, float activations
    Dynamic,
    /// float16 constants
    Float16,
    /// int8 weights behind DEQUANTIZE
    WeightOnly,
}

/// Type of inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IoChoice {
    /// float32
    Float,
    /// int8
    Int8,
    /// uint8
    Uint8,
    /// int16
    Int16,
}

/// How scales of weights are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightsChoice {
    /// The largest magnitude is the largest integer
    Minmax,
    /// The least squared error
    Mse,
}

impl WeightsChoice {
    /// The same for the library.
    pub fn weights(self) -> quantize::Weights {
        match self {
            WeightsChoice::Minmax => quantize::Weights::MinMax,
            WeightsChoice::Mse => quantize::Weights::Mse,
        }
    }
}

/// What is quantized with one scale as a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DynamicRows {
    /// Whole images
    Image,
    /// Columns that do not meet in the filter
    Column,
}

/// What becomes of operators without a kernel of 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fallback {
    /// int8
    Int8,
    /// float
    Float,
}

impl IoChoice {
    /// The same for the library.
    pub fn io(self) -> Io {
        match self {
            IoChoice::Float => Io::Float,
            IoChoice::Int8 => Io::Int8,
            IoChoice::Uint8 => Io::Uint8,
            IoChoice::Int16 => Io::Int16,
        }
    }
}

impl Scheme {
    /// What operators become; none if constants alone change.
    pub fn of_nodes(self) -> Option<NodeScheme> {
        match self {
            Scheme::Int8 | Scheme::Int8Only => Some(NodeScheme::Int8),
            Scheme::Int16x8 => Some(NodeScheme::Int16x8),
            Scheme::Dynamic => Some(NodeScheme::Dynamic),
            Scheme::Float16 | Scheme::WeightOnly => None,
        }
    }

    /// As on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |v| v.get_name().to_owned())
    }
}
