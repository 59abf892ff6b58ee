//! What can be wrong with a graph.

/// A model that can be read but not run or quantized, with the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operator outside the supported list.
    #[error(
        "{file}: operator {index} of subgraph {subgraph} is {name}, which zeropoint does not support yet; `zeropoint inspect` lists the model's operators"
    )]
    UnsupportedOp {
        /// Model file.
        file: String,
        /// Operator index.
        index: usize,
        /// Subgraph index.
        subgraph: usize,
        /// Name of the operator.
        name: String,
    },
    /// A supported operator used in an unsupported or impossible way.
    #[error("{file}: {node}: {what}")]
    Node {
        /// Model file.
        file: String,
        /// `CONV_2D (operator 3)`
        node: String,
        /// What is wrong and what to do.
        what: String,
    },
    /// A tensor that cannot be used.
    #[error("{file}: tensor {index} '{name}': {what}")]
    Tensor {
        /// Model file.
        file: String,
        /// Tensor index.
        index: usize,
        /// Tensor name.
        name: String,
        /// What is wrong and what to do.
        what: String,
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
