//! Whose rounding the integer kernels have. The reference is the definition; the other profiles say what a model computes
//! in runtimes that round in other places, so that a difference between devices can be told from a mistake. Only the CPU
//! runs them. Kernels are prepared for a profile here, so that devices need nothing but [`Multiplier::apply`].

use super::{Context, Program, Step, xnnpack};
use crate::graph::{Activation, Error};
use crate::num::{Affine, Multiplier, Rounding};
use std::fmt;

/// A profile of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Numerics {
    /// LiteRT's reference kernels, which are the definition: multipliers round twice.
    #[default]
    Reference,
    /// LiteRT's default interpreter on x86: XNNPACK's rounding where XNNPACK takes the operator, the reference elsewhere.
    Xnnpack,
    /// LiteRT and TensorFlow Lite Micro built with `TFLITE_SINGLE_ROUNDING`.
    SingleRounding,
}

impl Numerics {
    /// All profiles.
    pub const ALL: [Numerics; 3] = [
        Numerics::Reference,
        Numerics::Xnnpack,
        Numerics::SingleRounding,
    ];

    /// The profile's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Numerics::Reference => "reference",
            Numerics::Xnnpack => "xnnpack",
            Numerics::SingleRounding => "single-rounding",
        }
    }

    /// How multipliers round that the profile does not replace.
    pub(super) fn rounding(self) -> Rounding {
        match self {
            // What XNNPACK leaves to LiteRT's own kernels.
            Numerics::Reference | Numerics::Xnnpack => Rounding::Double,
            Numerics::SingleRounding => Rounding::Single,
        }
    }
}

impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Program {
    /// The steps as another profile computes them: the same nodes, tensors and order.
    ///
    /// # Errors
    /// If a node cannot be prepared for it.
    pub fn steps_in(&self, numerics: Numerics) -> Result<Vec<Step>, Error> {
        super::steps(&self.graph, self.given, numerics).map(|(steps, _)| steps)
    }
}

impl Context<'_> {
    /// Whether XNNPACK may take the node.
    pub fn is_xnnpack(self) -> bool {
        self.numerics == Numerics::Xnnpack
    }

    /// The node, left to LiteRT's own kernels by XNNPACK.
    pub fn reference(self) -> Self {
        let numerics = match self.numerics {
            Numerics::Xnnpack => Numerics::Reference,
            other => other,
        };
        Self { numerics, ..self }
    }

    /// How the sums of a convolution become outputs: a multiplier for each scale of the weights, and the clamp.
    pub fn requantize(
        self,
        input: Affine,
        weights: &[f32],
        output: Affine,
        activation: Activation,
    ) -> Result<(Vec<Multiplier>, (i32, i32)), Error> {
        if self.is_xnnpack()
            && let Some(multipliers) = xnnpack::ratios(input.scale, weights, output.scale)
        {
            return Ok((multipliers, xnnpack::bounds(activation, output)));
        }
        let multiplier = |&scale: &f32| {
            self.multiplier(f64::from(input.scale) * f64::from(scale) / f64::from(output.scale))
        };
        Ok((
            weights.iter().map(multiplier).collect::<Result<_, _>>()?,
            self.quantized_bounds(activation, output)?,
        ))
    }
}
