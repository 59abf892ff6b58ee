//! Ranges by tensor name as JSON, as other tools write and read them.

use super::{FileError, StatisticsFile};
use crate::kernel::{Program, Range};
use crate::num::DType;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names compared at most when one is unknown, and characters of each: a damaged model may have very many.
const COMPARED: usize = 10_000;
const CHARACTERS: usize = 128;

/// Ranges of a file by name, brought to a program's tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// By tensor number.
    pub ranges: Vec<Option<Range>>,
    /// Names of float tensors that are fed or computed and have no range.
    pub missing: Vec<String>,
    /// Names whose tensors need none: constants, integers, and what is computed beforehand.
    pub unused: Vec<String>,
}

/// Reads `{"name": [min, max]}` or `{"name": {"min": …, "max": …}}`.
///
/// # Errors
/// If it is something else, a name is none of the model's or those of several tensors, or a range is none.
pub fn import_ranges(program: &Program, text: &str) -> Result<Named, FileError> {
    let Pairs(pairs) = serde_json::from_str(text).map_err(|error| {
        // Python writes NaN and Infinity where JSON has no word for them.
        let hint = match ["NaN", "Infinity"].iter().find(|w| text.contains(**w)) {
            Some(word) => format!("; JSON knows no {word}, and it is no range"),
            None => String::new(),
        };
        FileError::Malformed(format!("{error}{hint}"))
    })?;
    let graph = &program.graph;
    let wanted = measured(program);
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for &id in &wanted {
        let name = graph.tensors[id].name.as_str();
        by_name.entry(name).or_default().push(id);
    }
    let others = graph.tensors.iter().take(program.given);
    let others: BTreeSet<&str> = others.map(|t| t.name.as_str()).collect();
    let mut named = Named {
        ranges: vec![None; graph.tensors.len()],
        missing: Vec::new(),
        unused: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    for (name, value) in &pairs {
        let failed = |problem: String| FileError::Name {
            name: name.clone(),
            problem,
        };
        if !seen.insert(name) {
            return Err(failed("it is listed twice".into()));
        }
        let range = range(value).map_err(failed)?;
        match by_name.get(name.as_str()).map(Vec::as_slice) {
            Some(&[id]) => named.ranges[id] = Some(range),
            Some(several) => return Err(failed(ambiguous(several))),
            None if others.contains(name.as_str()) => named.unused.push(name.clone()),
            None => return Err(failed(unknown(name, by_name.keys().copied()))),
        }
    }
    let missing = wanted.iter().filter(|&&id| named.ranges[id].is_none());
    named.missing = missing.map(|&id| graph.tensors[id].name.clone()).collect();
    Ok(named)
}

/// Writes `{"name": [min, max]}`, exactly: the float32 as decimal fractions that are the very same numbers.
///
/// # Errors
/// If several tensors have the same name.
pub fn export_ranges(file: &StatisticsFile) -> Result<String, FileError> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for t in &file.tensors {
        by_name.entry(&t.name).or_default().push(t.tensor);
    }
    if let Some((name, several)) = by_name.iter().find(|(_, ids)| ids.len() > 1) {
        return Err(FileError::Name {
            name: (*name).to_owned(),
            problem: ambiguous(several),
        });
    }
    let line = |t: &super::TensorStatistics| {
        let pair = [f64::from(t.min), f64::from(t.max)];
        format!(
            "  {}: [{:?}, {:?}]",
            Value::from(t.name.as_str()),
            pair[0],
            pair[1]
        )
    };
    let lines: Vec<String> = file.tensors.iter().map(line).collect();
    Ok(format!("{{\n{}\n}}\n", lines.join(",\n")))
}

/// Float tensors that a calibration measures.
fn measured(program: &Program) -> Vec<usize> {
    let written = program.steps.iter().flat_map(|step| &step.outputs);
    let all = program.graph.inputs.iter().chain(written).copied();
    let float = |&id: &usize| id < program.given && program.graph.tensors[id].dtype == DType::F32;
    let all: BTreeSet<usize> = all.filter(float).collect();
    all.into_iter().collect()
}

fn range(value: &Value) -> Result<Range, String> {
    let (min, max) = match value {
        Value::Array(pair) if pair.len() == 2 => (&pair[0], &pair[1]),
        Value::Object(map) => match (map.get("min"), map.get("max")) {
            (Some(min), Some(max)) => (min, max),
            _ => return Err("it needs \"min\" and \"max\"".into()),
        },
        _ => return Err("a range is [min, max] or {\"min\": …, \"max\": …}".into()),
    };
    let number = |x: &Value| {
        let number = x.as_f64().ok_or_else(|| format!("{x} is not a number"))?;
        let number = number as f32;
        match number.is_finite() {
            true => Ok(number),
            false => Err(format!("{x} is beyond float32")),
        }
    };
    let (min, max) = (number(min)?, number(max)?);
    if min > max {
        return Err(format!("its minimum {min} is above its maximum {max}"));
    }
    Ok(Range { min, max })
}

fn ambiguous(several: &[usize]) -> String {
    let ids: Vec<String> = several.iter().take(5).map(ToString::to_string).collect();
    let more = if several.len() > 5 { ", …" } else { "" };
    format!(
        "tensors {}{more} have this name, so ranges by name cannot tell them apart; keep them by number with -o",
        ids.join(", ")
    )
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .take(COMPARED)
        .min_by_key(|other| distance(name, other));
    let near = near.map_or(String::new(), |near| {
        format!("; the nearest name is '{near}'")
    });
    format!("the model has no tensor of this name{near}")
}

/// Characters to insert, delete or replace to make one name of the other.
fn distance(a: &str, b: &str) -> usize {
    let chars = |s: &str| s.chars().take(CHARACTERS).collect::<Vec<char>>();
    let (a, b) = (chars(a), chars(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// The entries of an object as they stand, also those of the same name.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of ranges by tensor name")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, n) in [
            ("", "", 0),
            ("abc", "", 3),
            ("conv/Relu", "conv1/relu", 2),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(a, b), n, "{a} {b}");
            assert_eq!(distance(b, a), n, "{b} {a}");
        }
        assert!(
            unknown("dense/BiasAd", ["conv", "dense/BiasAdd"].into_iter())
                .contains("'dense/BiasAdd'")
        );
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (text, word) in [
            ("[2, 1]", "above"),
            ("[1]", "min"),
            ("1", "[min, max]"),
            ("{\"min\": 1}", "max"),
            ("[null, 1]", "null"),
            ("[0, 1e300]", "beyond"),
        ] {
            let error = range(&serde_json::from_str(text).unwrap()).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        let both = ["[-1.5, 2]", "{\"max\": 2, \"min\": -1.5}"];
        for text in both {
            let range = range(&serde_json::from_str(text).unwrap()).unwrap();
            assert_eq!(
                range,
                Range {
                    min: -1.5,
                    max: 2.0
                }
            );
        }
    }
}
