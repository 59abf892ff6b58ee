//! Operators that others can express: ADD_N becomes ADDs, in the order in which LiteRT adds. A DEQUANTIZE of zeros that fills a
//! state says what states are anyway.

use crate::model::{
    self, AddOptions, BuiltinOperator, BuiltinOptions, Model, Operator, OperatorCode, Tensor,
};

/// The model without ADD_N of two and more operands, and without what sets states to zero.
pub(super) fn lower(model: Model) -> Model {
    add_n(zero_states(model))
}

/// TensorFlow's float16 models fill the states of LSTMs by DEQUANTIZE, which would write a tensor that has a value already.
fn zero_states(mut model: Model) -> Model {
    let codes = model.operator_codes.as_deref().unwrap_or_default();
    let is_dequantize: Vec<bool> = codes
        .iter()
        .map(|c| model::builtin_code(c) == BuiltinOperator::Dequantize as i32)
        .collect();
    let buffers = model.buffers.as_deref().unwrap_or_default();
    let Some(subgraph) = model.subgraphs.as_mut().and_then(|s| s.first_mut()) else {
        return model;
    };
    let tensors = subgraph.tensors.as_deref().unwrap_or_default();
    let first = |ids: &Option<Vec<i32>>| {
        let id = ids.iter().flatten().next()?;
        tensors.get(usize::try_from(*id).ok()?)
    };
    let is_zero = |t: &Tensor| {
        let data = buffers
            .get(t.buffer as usize)
            .and_then(|b| b.data.as_deref());
        data.is_some_and(|data| !data.is_empty() && data.iter().all(|&b| b == 0))
    };
    if let Some(operators) = &mut subgraph.operators {
        operators.retain(|o| {
            let fills = is_dequantize.get(o.opcode_index as usize) == Some(&true);
            let state = first(&o.outputs).is_some_and(|t| t.is_variable);
            !(fills && state && first(&o.inputs).is_some_and(is_zero))
        });
    }
    model
}

fn add_n(mut model: Model) -> Model {
    let codes = model.operator_codes.as_deref().unwrap_or_default();
    let is_add_n = |c: &OperatorCode| model::builtin_code(c) == BuiltinOperator::AddN as i32;
    let numbers: Vec<u32> = (0u32..)
        .zip(codes)
        .filter(|(_, c)| is_add_n(c))
        .map(|(i, _)| i)
        .collect();
    let add = codes.len() as u32;
    let Some(subgraph) = model.subgraphs.as_mut().and_then(|s| s.first_mut()) else {
        return model;
    };
    let several = |o: &Operator| {
        numbers.contains(&o.opcode_index) && o.inputs.as_ref().is_some_and(|i| i.len() > 1)
    };
    if !subgraph.operators.iter().flatten().any(several) {
        return model;
    }
    let tensors = subgraph.tensors.get_or_insert_default();
    let mut operators = Vec::new();
    for operator in subgraph.operators.take().unwrap_or_default() {
        if several(&operator) {
            operators.extend(chain(&operator, add, tensors));
        } else {
            operators.push(operator);
        }
    }
    subgraph.operators = Some(operators);
    model
        .operator_codes
        .get_or_insert_default()
        .push(OperatorCode {
            deprecated_builtin_code: BuiltinOperator::Add as i8,
            builtin_code: BuiltinOperator::Add as i32,
            version: 1,
            ..OperatorCode::default()
        });
    model
}

fn chain(sum: &Operator, add: u32, tensors: &mut Vec<Tensor>) -> Vec<Operator> {
    let inputs = sum.inputs.as_deref().unwrap_or_default();
    let output = sum.outputs.iter().flatten().copied().next();
    let like = output.and_then(|id| tensors.get(usize::try_from(id).ok()?).cloned());
    let mut so_far = inputs[0];
    let mut operators = Vec::new();
    for (i, &next) in inputs.iter().enumerate().skip(1) {
        let to = if i + 1 == inputs.len() {
            sum.outputs.clone()
        } else {
            let mut part = like.clone().unwrap_or_default();
            part.name = part.name.map(|name| format!("{name}_{i}"));
            tensors.push(part);
            Some(vec![tensors.len() as i32 - 1])
        };
        operators.push(Operator {
            opcode_index: add,
            inputs: Some(vec![so_far, next]),
            outputs: to,
            builtin_options: Some(BuiltinOptions::AddOptions(Box::<AddOptions>::default())),
            ..Operator::default()
        });
        so_far = tensors.len() as i32 - 1;
    }
    operators
}
