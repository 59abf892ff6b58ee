//! The structure of models in figures, one model or several side by side.
//!
//! `--json` is a list of [`Structure`]: its fields are the keys. [`VERSION`] grows when a key changes its meaning or goes.

use super::quantize::type_name;
use super::table::{Table, file_names, grouped};
use crate::model::{self, Model, SubGraph, Tensor, TensorType};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What the JSON calls itself.
const FORMAT: &str = "zeropoint summary";
/// Version of the JSON.
pub const VERSION: u32 = 1;

/// A model in figures.
#[derive(Clone, Debug, Serialize)]
pub struct Structure {
    /// Always `zeropoint summary`.
    pub format: &'static str,
    /// Version of this JSON, 1.
    pub version: u32,
    /// File.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of constants, those that tensors share once.
    pub constant_bytes: u64,
    /// Bytes of the largest set of activations that are alive at the same operator of the first subgraph: no arena can be
    /// smaller. State counts all the time.
    pub alive_bytes: u64,
    /// Operations of one sample by operator, a multiplication and an addition being two; none where the model cannot be
    /// prepared.
    pub operations: Option<BTreeMap<String, u64>>,
    /// Multiplications with an addition (MACs) of one sample in convolutions, products and recurrent cells; none as above.
    pub multiply_adds: Option<u64>,
    /// Operators by name, all subgraphs.
    pub operators: BTreeMap<String, u64>,
    /// Tensors by type: constants and their bytes, activations.
    pub tensors: BTreeMap<String, Tensors>,
}

/// What a sample costs.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// See [`Structure::operations`].
    pub operations: BTreeMap<String, u64>,
    /// See [`Structure::multiply_adds`].
    pub multiply_adds: u64,
}

/// Tensors of one type.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tensors {
    /// Constants.
    pub constants: u64,
    /// Their bytes.
    pub constant_bytes: u64,
    /// Tensors that are fed, computed or kept.
    pub activations: u64,
}

impl Structure {
    /// Counts what is in a model.
    pub fn new(file: &str, model: &Model, bytes: u64, cost: Option<Cost>) -> Structure {
        let codes = model.operator_codes.as_deref().unwrap_or_default();
        let subgraphs = model.subgraphs.as_deref().unwrap_or_default();
        let mut operators = BTreeMap::new();
        for operator in subgraphs.iter().flat_map(|s| s.operators.iter().flatten()) {
            let code = codes.get(operator.opcode_index as usize);
            let name = code.map_or("?".into(), |c| model::operator_name(c));
            *operators.entry(name.into_owned()).or_insert(0) += 1;
        }
        let mut tensors: BTreeMap<String, Tensors> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for tensor in subgraphs.iter().flat_map(|s| s.tensors.iter().flatten()) {
            let row = tensors.entry(type_name(tensor.type_)).or_default();
            let size = data_bytes(model, tensor);
            if size > 0 {
                row.constants += 1;
                row.constant_bytes += if seen.insert(tensor.buffer) { size } else { 0 };
            } else if !is_empty(tensor) {
                row.activations += 1;
            }
        }
        Structure {
            format: FORMAT,
            version: VERSION,
            file: file.into(),
            bytes,
            constant_bytes: tensors.values().map(|t| t.constant_bytes).sum(),
            alive_bytes: subgraphs.first().map_or(0, |s| alive(model, s)),
            multiply_adds: cost.as_ref().map(|c| c.multiply_adds),
            operations: cost.map(|c| c.operations),
            operators,
            tensors,
        }
    }

    fn all_operations(&self) -> Option<u64> {
        self.operations.as_ref().map(|all| all.values().sum())
    }
}

fn data_bytes(model: &Model, tensor: &Tensor) -> u64 {
    let buffers = model.buffers.as_deref().unwrap_or_default();
    let data = buffers.get(tensor.buffer as usize).map(|b| &b.data);
    data.and_then(Option::as_ref).map_or(0, |d| d.len() as u64)
}

fn is_empty(tensor: &Tensor) -> bool {
    tensor.shape.as_ref().is_none_or(|s| s.contains(&0))
}

/// Bytes of an activation, in blocks of 16 as LiteRT places them; dynamic dimensions count as 1.
fn activation_bytes(tensor: &Tensor) -> u64 {
    let size = match TensorType::try_from(tensor.type_) {
        Ok(TensorType::Float32 | TensorType::Int32 | TensorType::Uint32) => 4,
        Ok(TensorType::Int16 | TensorType::Uint16 | TensorType::Float16) => 2,
        Ok(
            TensorType::Int64 | TensorType::Uint64 | TensorType::Float64 | TensorType::Complex64,
        ) => 8,
        _ => 1,
    };
    let dims = tensor.shape.iter().flatten();
    let elements = dims.fold(1u64, |n, &d| n.saturating_mul(d.unsigned_abs().into()));
    elements.saturating_mul(size).saturating_add(15) / 16 * 16
}

fn alive(model: &Model, subgraph: &SubGraph) -> u64 {
    let tensors = subgraph.tensors.as_deref().unwrap_or_default();
    let operators = subgraph.operators.as_deref().unwrap_or_default();
    let end = operators.len();
    // First and last operator of each tensor.
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; tensors.len()];
    let mut touch = |id: i32, at: usize| {
        if let Some(life) = usize::try_from(id).ok().and_then(|id| lives.get_mut(id)) {
            let (first, last) = life.unwrap_or((at, at));
            *life = Some((first.min(at), last.max(at)));
        }
    };
    let inputs = subgraph.inputs.iter().flatten();
    inputs.for_each(|&id| touch(id, 0));
    for (i, operator) in operators.iter().enumerate() {
        let (inputs, outputs) = (operator.inputs.iter(), operator.outputs.iter());
        inputs.chain(outputs).flatten().for_each(|&id| touch(id, i));
    }
    let outputs = subgraph.outputs.iter().flatten();
    outputs.for_each(|&id| touch(id, end.saturating_sub(1)));
    let mut changes = vec![0i128; end + 2];
    for (tensor, life) in tensors.iter().zip(lives) {
        let constant = data_bytes(model, tensor) > 0 || is_empty(tensor);
        let life = if tensor.is_variable {
            Some((0, end))
        } else {
            life
        };
        if let Some((first, last)) = life.filter(|_| !constant) {
            let bytes = i128::from(activation_bytes(tensor));
            changes[first] += bytes;
            changes[last + 1] -= bytes;
        }
    }
    let mut now = 0;
    let sums = changes.into_iter().map(|change| {
        now += change;
        now
    });
    u64::try_from(sums.max().unwrap_or(0)).unwrap_or(u64::MAX)
}

/// The figures of models side by side: what one of them has and another has not shows as –.
pub fn structure(models: &[Structure]) -> String {
    let mut heading = vec![String::new()];
    let files: Vec<&str> = models.iter().map(|m| m.file.as_str()).collect();
    heading.extend(file_names(&files).iter().map(|name| format!(">{name}")));
    let mut table = Table::new(&heading);
    let mut row = |name: &str, cell: &dyn Fn(&Structure) -> Option<u64>| {
        let cells: Vec<Option<u64>> = models.iter().map(|m| cell(m).filter(|&n| n > 0)).collect();
        if cells.iter().all(Option::is_none) {
            return;
        }
        let cells = cells.into_iter().map(|n| n.map_or("–".into(), grouped));
        table.row([name.to_owned()].into_iter().chain(cells).collect());
    };
    row("bytes", &|m| Some(m.bytes));
    row("bytes of constants", &|m| Some(m.constant_bytes));
    row("bytes of the rest", &|m| {
        Some(m.bytes.saturating_sub(m.constant_bytes))
    });
    row("bytes of activations alive at once", &|m| {
        Some(m.alive_bytes)
    });
    row("multiply-adds a sample", &|m| m.multiply_adds);
    row("operations a sample", &Structure::all_operations);
    let kinds: BTreeSet<&String> = models.iter().flat_map(|m| m.operators.keys()).collect();
    row("operators", &|m| Some(m.operators.values().sum()));
    for kind in kinds {
        row(&format!("  {kind}"), &|m| m.operators.get(kind).copied());
    }
    let types: BTreeSet<&String> = models.iter().flat_map(|m| m.tensors.keys()).collect();
    for kind in types {
        let of = |m: &Structure| m.tensors.get(kind).copied();
        row(&format!("{kind} activations"), &|m| {
            of(m).map(|t| t.activations)
        });
        row(&format!("{kind} constants"), &|m| {
            of(m).map(|t| t.constants)
        });
        row(&format!("{kind} bytes of constants"), &|m| {
            of(m).map(|t| t.constant_bytes)
        });
    }
    let mut text = table.text();
    if let [model] = models
        && let Some(operations) = &model.operations
    {
        text += &format!("\n{}", operations_by_kind(operations));
    }
    text
}

fn operations_by_kind(operations: &BTreeMap<String, u64>) -> String {
    let all: u64 = operations.values().sum();
    let mut kinds: Vec<(&String, u64)> = operations.iter().map(|(k, &n)| (k, n)).collect();
    kinds.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    let mut table = Table::new(&["operator", ">operations a sample", ">share"]);
    for (kind, n) in kinds.into_iter().filter(|&(_, n)| n > 0) {
        let share = 100.0 * n as f64 / all.max(1) as f64;
        table.row(vec![kind.clone(), grouped(n), format!("{share:.1} %")]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Operator;

    /// Two operators in a row: while the second runs, what the first read is dead.
    #[test]
    fn what_is_alive_at_once() {
        let tensor = |n: i32| Tensor {
            shape: Some(vec![n]),
            ..Tensor::default()
        };
        let operator = |from: i32, to: i32| Operator {
            inputs: Some(vec![from]),
            outputs: Some(vec![to]),
            ..Operator::default()
        };
        let subgraph = SubGraph {
            tensors: Some(vec![tensor(4), tensor(8), tensor(16)]),
            inputs: Some(vec![0]),
            outputs: Some(vec![2]),
            operators: Some(vec![operator(0, 1), operator(1, 2)]),
            ..SubGraph::default()
        };
        assert_eq!(alive(&Model::default(), &subgraph), 4 * (8 + 16));
    }
}
