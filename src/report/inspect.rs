//! What is in a model file, also in one that cannot be run.
//!
//! `--json` is the serialisation of [`Inspection`]: its fields are the keys. [`VERSION`] grows when a key changes its
//! meaning or goes; new ones may come at any time.

use super::elements::{self, Element};
use super::quantize::type_name;
use super::table::{Table, grouped, shorten};
use crate::model::{self, Model, SubGraph, Tensor};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the JSON calls itself.
const FORMAT: &str = "zeropoint inspection";
/// Version of the JSON.
pub const VERSION: u32 = 1;

/// Most characters of a name outside of tables.
const NAME: usize = 80;

/// Most scales listed for one tensor.
const LISTED: usize = 1;

/// Most bytes of metadata shown as text.
const TEXT: usize = 64;

/// A model laid out for reading.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Always `zeropoint inspection`.
    pub format: &'static str,
    /// Version of this JSON, 1.
    pub version: u32,
    /// File.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Version of the schema, 3.
    pub schema: u32,
    /// The model's description.
    pub description: Option<String>,
    /// Signatures: name, inputs and outputs by name.
    pub signatures: Vec<Signature>,
    /// Metadata.
    pub metadata: Vec<Metadata>,
    /// Subgraphs.
    pub subgraphs: Vec<Subgraph>,
    /// Bytes of constants by element type, a buffer that several tensors share once.
    pub constant_bytes: BTreeMap<String, u64>,
}

/// An entry of metadata.
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Number of its buffer.
    pub buffer: u32,
    /// Bytes in it.
    pub bytes: usize,
    /// These bytes, where they are few and printable.
    pub text: Option<String>,
}

/// A signature.
#[derive(Clone, Debug, Serialize)]
pub struct Signature {
    /// Its key.
    pub key: String,
    /// The subgraph it calls.
    pub subgraph: u32,
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
    /// Tensors that hold parameters of what lies inside (LSTM).
    pub intermediates: Vec<i32>,
}

/// One tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorRow {
    /// Name.
    pub name: String,
    /// Element type.
    pub dtype: String,
    /// Shape.
    pub shape: Vec<i32>,
    /// Shape with −1 where it is open, if the file has one.
    pub shape_signature: Option<Vec<i32>>,
    /// Number of its buffer; buffer 0 is empty by convention.
    pub buffer: u32,
    /// Bytes in that buffer: those of its constant value.
    pub bytes: usize,
    /// The first of its constant values, at most 8.
    pub values: Vec<Element>,
    /// Whether it is state.
    pub variable: bool,
    /// Whether the buffer holds only what is not zero.
    pub sparse: bool,
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
        let mut seen = BTreeSet::new();
        let tensors = subgraphs.iter().flat_map(|s| &s.tensors);
        for tensor in tensors.filter(|t| t.bytes > 0) {
            let bytes = constant_bytes.entry(tensor.dtype.clone()).or_insert(0);
            if seen.insert(tensor.buffer) {
                *bytes += tensor.bytes as u64;
            }
        }
        let maps = |list: &Option<Vec<model::TensorMap>>| {
            let pairs = list
                .iter()
                .flatten()
                .map(|m| (m.name.clone().unwrap_or_default(), m.tensor_index));
            pairs.collect::<Vec<_>>()
        };
        Self {
            format: FORMAT,
            version: VERSION,
            file: file.into(),
            bytes,
            schema: model.version,
            description: model.description.clone(),
            signatures: model
                .signature_defs
                .iter()
                .flatten()
                .map(|s| Signature {
                    key: s.signature_key.clone().unwrap_or_default(),
                    subgraph: s.subgraph_index,
                    inputs: maps(&s.inputs),
                    outputs: maps(&s.outputs),
                })
                .collect(),
            metadata: model
                .metadata
                .iter()
                .flatten()
                .map(|m| metadata(model, m))
                .collect(),
            subgraphs,
            constant_bytes,
        }
    }
}

fn buffer(model: &Model, buffer: u32) -> &[u8] {
    let buffers = model.buffers.as_deref().unwrap_or_default();
    let data = buffers.get(buffer as usize).map(|b| &b.data);
    data.and_then(|data| data.as_deref()).unwrap_or_default()
}

fn metadata(model: &Model, m: &model::Metadata) -> Metadata {
    let data = buffer(model, m.buffer);
    // Version numbers are padded with zeros.
    let end = data.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&data[..end.min(TEXT + 1)]).ok();
    let printable = |text: &&str| {
        let short = (1..=TEXT).contains(&text.len());
        short && text.chars().all(|c| !c.is_control())
    };
    Metadata {
        name: m.name.clone().unwrap_or_default(),
        buffer: m.buffer,
        bytes: data.len(),
        text: text.filter(printable).map(str::to_owned),
    }
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
            intermediates: o.intermediates.clone().unwrap_or_default(),
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
    let data = buffer(model, t.buffer);
    TensorRow {
        name: t.name.clone().unwrap_or_default(),
        dtype: type_name(t.type_),
        shape: t.shape.clone().unwrap_or_default(),
        shape_signature: t.shape_signature.clone(),
        buffer: t.buffer,
        bytes: data.len(),
        values: elements::first(t, data),
        variable: t.is_variable,
        sparse: t.sparsity.is_some(),
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
        let subgraph = match s.subgraph {
            0 => String::new(),
            n => format!(" of subgraph {n}"),
        };
        text += &format!(
            "signature {}{subgraph}: ({}) -> ({})\n",
            shorten(&s.key, NAME),
            names(&s.inputs),
            names(&s.outputs)
        );
    }
    for m in &i.metadata {
        let name = shorten(&m.name, NAME);
        let bytes = grouped(m.bytes as u64);
        let shown = m.text.as_ref().map_or(String::new(), |t| format!(" '{t}'"));
        text += &format!(
            "metadata {name}: {bytes} bytes in buffer {}{shown}\n",
            m.buffer
        );
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
        let inside = match o.intermediates.as_slice() {
            [] => String::new(),
            ids => format!(" (inside: {})", list(ids)),
        };
        table.row(vec![
            i.to_string(),
            shorten(&o.name, 40),
            o.version.to_string(),
            list(&o.inputs),
            list(&o.outputs) + &inside,
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
        ">buffer",
        ">bytes",
        "quantization",
        "first values",
    ]);
    for (i, t) in s.tensors.iter().enumerate() {
        let open = t.shape_signature.as_ref().filter(|&open| *open != t.shape);
        let open = open.map_or(String::new(), |open| format!(" of {open:?}"));
        let bytes = match t.bytes {
            0 => String::new(),
            n => grouped(n as u64),
        };
        let more = if t.bytes > 0 && t.values.len() == elements::SHOWN {
            " …"
        } else {
            ""
        };
        let values: Vec<String> = t.values.iter().map(ToString::to_string).collect();
        table.row(vec![
            i.to_string(),
            shorten(&t.name, 48),
            t.dtype.clone(),
            format!("{:?}{open}", t.shape),
            t.buffer.to_string(),
            bytes,
            quantization(t),
            values.join(" ") + more,
        ]);
    }
    table.text()
}

/// Scale and zero point, or how many and between which values; and what else is special.
fn quantization(t: &TensorRow) -> String {
    let mut parts = Vec::new();
    if t.scales.len() > LISTED {
        let low = t.scales.iter().copied().fold(f32::INFINITY, f32::min);
        let high = t.scales.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let axis = t.axis;
        parts.push(format!(
            "{} scales {low:.4e} … {high:.4e} along {axis}",
            t.scales.len()
        ));
        let zeros = (t.zero_points.iter().min(), t.zero_points.iter().max());
        if let (Some(low), Some(high)) = zeros {
            parts.push(match low == high {
                true => format!("zero points {low}"),
                false => format!("zero points {low} … {high}"),
            });
        }
    } else if let Some(scale) = t.scales.first() {
        let zero_point = t.zero_points.first().copied().unwrap_or(0);
        parts.push(format!("scale {scale:.6e} zero point {zero_point}"));
    }
    parts.extend(t.variable.then(|| "state".to_owned()));
    parts.extend(t.sparse.then(|| "sparse".to_owned()));
    parts.join(", ")
}
