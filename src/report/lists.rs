//! Devices and operators.

use super::table::Table;
use crate::graph::OpSupport;
use serde_json::Value;

/// The CPU and the GPU adapters; `adapters` is their summaries as data, because this room knows no device.
pub fn devices(cpu: &str, adapters: &Value) -> String {
    let mut text = format!("{cpu}\n");
    let adapters = adapters.as_array().map(Vec::as_slice).unwrap_or_default();
    if adapters.is_empty() {
        return text + "no GPU: no Vulkan, Metal or DX12 adapter was found\n";
    }
    for adapter in adapters {
        let get = |key: &str| match &adapter[key] {
            Value::String(s) => s.clone(),
            Value::Bool(true) => "yes".into(),
            Value::Bool(false) => "no".into(),
            other => other.to_string(),
        };
        text += &format!("\n{} ({}, {})\n", get("name"), get("kind"), get("backend"));
        for (key, value) in adapter.as_object().into_iter().flatten() {
            if !["name", "kind", "backend"].contains(&key.as_str()) && !value.is_null() {
                text += &format!("  {:<32} {}\n", key.replace('_', " "), get(key));
            }
        }
    }
    text
}

/// The support table.
pub fn ops(rows: &[OpSupport]) -> String {
    let mut table = Table::new(&["operator", "float", "int8", "int16x8", "dynamic", "limits"]);
    for row in rows {
        table.row(vec![
            row.op.into(),
            row.float.to_string(),
            row.int8.to_string(),
            row.int16().to_string(),
            row.dynamic().to_string(),
            row.limits.into(),
        ]);
    }
    table.text()
}
