//! Which operator an operator code means, and what it is called.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{BuiltinOperator, OperatorCode};

/// Names as the TFLite documents spell them, by number: the schema is the list.
static NAMES: LazyLock<BTreeMap<i32, &'static str>> =
    LazyLock::new(|| names_in(include_str!("schema.fbs")));

fn names_in(schema: &'static str) -> BTreeMap<i32, &'static str> {
    schema
        .lines()
        .skip_while(|line| !line.starts_with("enum BuiltinOperator:"))
        .skip(1)
        .take_while(|line| *line != "}")
        .filter_map(|line| line.trim().trim_end_matches(',').split_once(" = "))
        .filter_map(|(name, number)| Some((number.parse().ok()?, name)))
        .collect()
}

/// The number of the operator, one of [`BuiltinOperator`] unless the file is newer than our schema.
///
/// Codes up to 127 may stand in either of two fields (old files fill only the deprecated one), later codes leave a
/// placeholder of 127 in the deprecated field: the larger one is meant.
pub fn builtin_code(code: &OperatorCode) -> i32 {
    code.builtin_code
        .max(i32::from(code.deprecated_builtin_code))
}

/// What the operator is called: `CONV_2D`, or the name a custom operator gives itself.
pub fn operator_name(code: &OperatorCode) -> Cow<'_, str> {
    let number = builtin_code(code);
    match &code.custom_code {
        Some(name) if number == BuiltinOperator::Custom as i32 && !name.is_empty() => name.into(),
        _ => match NAMES.get(&number) {
            Some(name) => Cow::Borrowed(name),
            None => format!("BUILTIN_{number}").into(),
        },
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]
mod tests {
    use super::*;

    fn code(deprecated: i8, builtin: i32, custom: Option<&str>) -> OperatorCode {
        OperatorCode {
            deprecated_builtin_code: deprecated,
            builtin_code: builtin,
            custom_code: custom.map(str::to_owned),
            ..OperatorCode::default()
        }
    }

    #[test]
    fn every_builtin_operator_has_its_name() {
        for (code, name) in NAMES.iter() {
            let operator = BuiltinOperator::try_from(*code).unwrap();
            let plain = name.replace('_', "").to_lowercase();
            assert_eq!(format!("{operator:?}").to_lowercase(), plain);
        }
        assert_eq!(NAMES.len(), 210);
    }

    #[test]
    fn names_follow_the_larger_code() {
        assert_eq!(operator_name(&code(3, 0, None)), "CONV_2D");
        assert_eq!(operator_name(&code(127, 150, None)), "GELU");
        assert_eq!(operator_name(&code(0, 0, None)), "ADD");
        assert_eq!(operator_name(&code(32, 32, Some("MyOp"))), "MyOp");
        assert_eq!(operator_name(&code(32, 32, None)), "CUSTOM");
        assert_eq!(operator_name(&code(127, 4711, None)), "BUILTIN_4711");
        assert_eq!(operator_name(&code(-5, -7, Some("x"))), "BUILTIN_-5");
    }
}
