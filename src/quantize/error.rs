//! What can keep a model from being quantized.

use crate::graph::{Graph, Node, TensorId};

/// Why there is no plan, or why it does not fit the model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model is not a float model.
    #[error(
        "{file}: the model is quantized already ({found}); start from the float model it was made of"
    )]
    AlreadyQuantized {
        /// Model file.
        file: String,
        /// What gives it away.
        found: String,
    },
    /// No range is known for a tensor that needs one.
    #[error("{file}: {tensor} has no range; calibrate with data that reaches it")]
    MissingRange {
        /// Model file.
        file: String,
        /// `tensor 40 'conv2d/Relu'`
        tensor: String,
    },
    /// Nothing but a range is known of a tensor whose method looks at more.
    #[error(
        "{file}: {tensor} has no histogram, which the method {method} needs; gather histograms"
    )]
    MissingHistogram {
        /// Model file.
        file: String,
        /// `tensor 40 'conv2d/Relu'`
        tensor: String,
        /// The method.
        method: String,
    },
    /// A range that no scale can be made of.
    #[error(
        "{file}: {tensor} has the range [{min}, {max}], which cannot be quantized; check the calibration data"
    )]
    BadRange {
        /// Model file.
        file: String,
        /// `tensor 40 'conv2d/Relu'`
        tensor: String,
        /// Smallest value.
        min: f32,
        /// Largest value.
        max: f32,
    },
    /// A constant holds NaN or an infinity.
    #[error("{file}: element {index} of {tensor} is {value}; the float model is damaged")]
    NotFinite {
        /// Model file.
        file: String,
        /// `tensor 5 'conv2d/Conv2D'`
        tensor: String,
        /// Position in the flat array.
        index: usize,
        /// The value.
        value: f32,
    },
    /// An operator that cannot be quantized as it is.
    #[error("{file}: {node}: {what}")]
    Node {
        /// Model file.
        file: String,
        /// `CONV_2D (operator 3)`
        node: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// Operators that cannot be integer where all have to be, or cannot have the scheme that they must have.
    #[error("{file}: {} cannot be {what}:{}", counted(operators.len()), listed(operators))]
    NotAsAsked {
        /// Model file.
        file: String,
        /// What they cannot be.
        what: &'static str,
        /// Each with its reason.
        operators: Vec<String>,
    },
    /// Anything about the model as a whole.
    #[error("{file}: {what}")]
    Model {
        /// Model file.
        file: String,
        /// What is wrong and what to do.
        what: String,
    },
}

fn counted(n: usize) -> String {
    match n {
        1 => "one operator".into(),
        n => format!("{n} operators"),
    }
}

fn listed(operators: &[String]) -> String {
    operators.iter().map(|o| format!("\n  {o}")).collect()
}

impl Error {
    pub(super) fn node(graph: &Graph, node: &Node, what: impl Into<String>) -> Error {
        Error::Node {
            file: graph.file.clone(),
            node: node.describe(),
            what: what.into(),
        }
    }

    pub(super) fn model(graph: &Graph, what: impl Into<String>) -> Error {
        Error::Model {
            file: graph.file.clone(),
            what: what.into(),
        }
    }

    pub(super) fn missing_range(graph: &Graph, id: TensorId) -> Error {
        Error::MissingRange {
            file: graph.file.clone(),
            tensor: graph.describe(id),
        }
    }
}
