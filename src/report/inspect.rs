//! What is in a model file, also in one that cannot be run.

use super::quantize::type_name;
use super::table::{Table, grouped, shorten};
use crate::model::{self, Model, SubGraph, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;

/// Most characters of a name outside of tables.
const NAME: usize = 80;

/// Most scales listed for one tensor.
const LISTED: usize = 1;

/// A model laid out for reading.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// File.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// The model's description.
    pub description: Option<String>,
    /// Signatures: name, inputs and outputs by name.
    pub signatures: Vec<Signature>,
    /// Metadata: name and bytes.
    pub metadata: Vec<(String, usize)>,
    /// Subgraphs.
    pub subgraphs: Vec<Subgraph>,
    /// Bytes of constants by element type.
    pub constant_bytes: BTreeMap<String, u64>,
}

/// A signature.
#[derive(Clone, Debug, Serialize)]
pub struct Signature {
    /// Its key.
    pub key: String,
    /// Input names with tensor numbers.
    pub inputs: Vec<(String, u32)>,
    /// Output names with tensor numbers.
    pub outputs: Vec<(String, u32)>,
}

/// One subgraph.
#[derive(Clone, Debug, Serialize)]
pub struct Subgraph {
    /// Name.
    pub name: String,
    /// Input tensors.
    pub inputs: Vec<i32>,
    /// Output tensors.
    pub outputs: Vec<i32>,
    /// Operators in order.
    pub operators: Vec<OperatorRow>,
    /// Tensors in order.
    pub tensors: Vec<TensorRow>,
}

/// One operator.
#[derive(Clone, Debug, Serialize)]
pub struct OperatorRow {
    /// Name.
    pub name: String,
    /// Version.
    pub version: i32,
    /// Input tensors, −1 where absent.
    pub inputs: Vec<i32>,
    /// Output tensors.
    pub outputs: Vec<i32>,
}

/// One tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorRow {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: String,
    /// Shape; −1 where the signature leaves it open.
    pub shape: Vec<i32>,
    /// Bytes of its constant value.
    pub bytes: usize,
    /// Whether it is state.
    pub variable: bool,
    /// Scales.
    pub scales: Vec<f32>,
    /// Zero points.
    pub zero_points: Vec<i64>,
    /// Dimension along which several scales run.
    pub axis: i32,
}

impl Inspection {
    /// Lays out a model.
    pub fn new(file: &str, model: &Model, bytes: u64) -> Self {
        let subgraphs: Vec<Subgraph> = model
            .subgraphs
            .iter()
            .flatten()
            .map(|s| subgraph(model, s))
            .collect();
        let mut constant_bytes = BTreeMap::new();
        for tensor in subgraphs
            .iter()
            .flat_map(|s| &s.tensors)
            .filter(|t| t.bytes > 0)
        {
            *constant_bytes.entry(tensor.dtype.clone()).or_insert(0) += tensor.bytes as u64;
        }
        let maps = |list: &Option<Vec<model::TensorMap>>| {
            let pairs = list
                .iter()
                .flatten()
                .map(|m| (m.name.clone().unwrap_or_default(), m.tensor_index));
            pairs.collect::<Vec<_>>()
        };
        Self {
            file: file.into(),
            bytes,
            description: model.description.clone(),
            signatures: model
                .signature_defs
                .iter()
                .flatten()
                .map(|s| Signature {
                    key: s.signature_key.clone().unwrap_or_default(),
                    inputs: maps(&s.inputs),
                    outputs: maps(&s.outputs),
                })
                .collect(),
            metadata: model
                .metadata
                .iter()
                .flatten()
                .map(|m| {
                    (
                        m.name.clone().unwrap_or_default(),
                        buffer_len(model, m.buffer),
                    )
                })
                .collect(),
            subgraphs,
            constant_bytes,
        }
    }
}

fn buffer_len(model: &Model, buffer: u32) -> usize {
    let buffer = model.buffers.iter().flatten().nth(buffer as usize);
    buffer.and_then(|b| b.data.as_ref()).map_or(0, Vec::len)
}

fn subgraph(model: &Model, s: &SubGraph) -> Subgraph {
    let codes = model.operator_codes.as_deref().unwrap_or_default();
    let operators = s.operators.iter().flatten().map(|o| {
        let code = codes.get(o.opcode_index as usize);
        OperatorRow {
            name: code.map_or_else(|| "?".into(), |c| model::operator_name(c).into_owned()),
            version: code.map_or(0, |c| c.version),
            inputs: o.inputs.clone().unwrap_or_default(),
            outputs: o.outputs.clone().unwrap_or_default(),
        }
    });
    Subgraph {
        name: s.name.clone().unwrap_or_default(),
        inputs: s.inputs.clone().unwrap_or_default(),
        outputs: s.outputs.clone().unwrap_or_default(),
        operators: operators.collect(),
        tensors: s
            .tensors
            .iter()
            .flatten()
            .map(|t| tensor(model, t))
            .collect(),
    }
}

fn tensor(model: &Model, t: &Tensor) -> TensorRow {
    let q = t.quantization.as_deref();
    TensorRow {
        name: t.name.clone().unwrap_or_default(),
        dtype: type_name(t.type_),
        shape: t
            .shape_signature
            .clone()
            .or_else(|| t.shape.clone())
            .unwrap_or_default(),
        bytes: buffer_len(model, t.buffer),
        variable: t.is_variable,
        scales: q.and_then(|q| q.scale.clone()).unwrap_or_default(),
        zero_points: q.and_then(|q| q.zero_point.clone()).unwrap_or_default(),
        axis: q.map_or(0, |q| q.quantized_dimension),
    }
}

/// The tables.
pub fn inspect(i: &Inspection) -> String {
    let mut text = format!("{}: {} bytes", i.file, grouped(i.bytes));
    if let Some(description) = &i.description {
        text += &format!(", {}", shorten(description, NAME));
    }
    text.push('\n');
    let names = |list: &[(String, u32)]| {
        list.iter()
            .map(|(name, id)| format!("{} = {id}", shorten(name, NAME)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for s in &i.signatures {
        text += &format!(
            "signature {}: ({}) -> ({})\n",
            shorten(&s.key, NAME),
            names(&s.inputs),
            names(&s.outputs)
        );
    }
    for (name, bytes) in &i.metadata {
        let name = shorten(name, NAME);
        text += &format!("metadata {name}: {} bytes\n", grouped(*bytes as u64));
    }
    for (n, s) in i.subgraphs.iter().enumerate() {
        text += &format!(
            "\nsubgraph {n} '{}': inputs {:?}, outputs {:?}\n\n",
            shorten(&s.name, NAME),
            s.inputs,
            s.outputs
        );
        text += &operators(s);
        text.push('\n');
        text += &tensors(s);
    }
    text += "\nconstants: ";
    let sizes: Vec<String> = i
        .constant_bytes
        .iter()
        .map(|(t, b)| format!("{t} {} bytes", grouped(*b)))
        .collect();
    text += &if sizes.is_empty() {
        "none".into()
    } else {
        sizes.join(", ")
    };
    text.push('\n');
    text
}

fn operators(s: &Subgraph) -> String {
    let mut table = Table::new(&[">op", "name", ">version", "inputs", "outputs"]);
    for (i, o) in s.operators.iter().enumerate() {
        let list = |ids: &[i32]| {
            let shown = ids
                .iter()
                .map(|&id| if id < 0 { "–".into() } else { id.to_string() });
            shown.collect::<Vec<_>>().join(" ")
        };
        table.row(vec![
            i.to_string(),
            shorten(&o.name, 40),
            o.version.to_string(),
            list(&o.inputs),
            list(&o.outputs),
        ]);
    }
    table.text()
}

fn tensors(s: &Subgraph) -> String {
    let mut table = Table::new(&[
        ">tensor",
        "name",
        "type",
        "shape",
        ">constant bytes",
        "quantization",
    ]);
    for (i, t) in s.tensors.iter().enumerate() {
        let mut quantization = String::new();
        if t.scales.len() > LISTED {
            let low = t.scales.iter().copied().fold(f32::INFINITY, f32::min);
            let high = t.scales.iter().copied().fold(0.0, f32::max);
            quantization = format!(
                "{} scales {low:.4e} … {high:.4e} along {}",
                t.scales.len(),
                t.axis
            );
        } else if let Some(scale) = t.scales.first() {
            quantization = format!(
                "scale {scale:.6e} zero point {}",
                t.zero_points.first().copied().unwrap_or(0)
            );
        }
        if t.variable {
            quantization += if quantization.is_empty() {
                "state"
            } else {
                ", state"
            };
        }
        let bytes = if t.bytes == 0 {
            String::new()
        } else {
            grouped(t.bytes as u64)
        };
        table.row(vec![
            i.to_string(),
            shorten(&t.name, 48),
            t.dtype.clone(),
            format!("{:?}", t.shape),
            bytes,
            quantization,
        ]);
    }
    table.text()
}
