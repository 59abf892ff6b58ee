//! `docs/recipe.schema.json` and what the program reads are the same.

use super::{har, write};
use crate::support::{errors, zeropoint};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// What the program says about a recipe: as data is missing, one that is understood gets no further than that.
fn said(folder: &Path, text: &str) -> String {
    let (recipe, model) = (write(folder, text), har("model.tflite"));
    errors(&zeropoint(&["plan", &model, "--recipe", &recipe]))
}

fn is_read(said: &str) -> bool {
    !said.contains("r.toml")
}

/// A part of the schema, with what it refers to.
fn resolve<'a>(schema: &'a Value, part: &'a Value) -> &'a Value {
    let Some(to) = part.get("$ref").and_then(Value::as_str) else {
        return part;
    };
    schema.pointer(to.trim_start_matches('#')).unwrap()
}

/// Values of a property as TOML, each that the schema names or one that it allows; and one that it does not.
fn values(schema: &Value, property: &Value) -> (Vec<String>, String) {
    let part = resolve(schema, property);
    if let Some(all) = part.get("enum").and_then(Value::as_array) {
        let all = all.iter().map(Value::to_string).collect();
        return (all, "\"nonsense\"".into());
    }
    if let Some(only) = part.get("const") {
        return (vec![only.to_string()], "0".into());
    }
    if let Some(any) = part.get("anyOf").and_then(Value::as_array) {
        let all = any.iter().flat_map(|part| values(schema, part).0);
        return (all.collect(), "\"nonsense\"".into());
    }
    match part["type"].as_str().unwrap() {
        "string" if part.get("pattern").is_some() => {
            let all = part["examples"].as_array().unwrap().iter();
            (all.map(Value::to_string).collect(), "\"nonsense\"".into())
        }
        "string" => (vec!["\"CONV_2D\"".into()], "1".into()),
        "integer" => {
            let least = part["minimum"].as_i64().unwrap();
            (vec![least.to_string(), "7".into()], (least - 1).to_string())
        }
        "array" => {
            let (items, wrong) = values(schema, &part["items"]);
            (vec!["[]".into(), format!("[{}]", items.join(", "))], wrong)
        }
        other => panic!("a property of type {other}"),
    }
}

/// The names in the program's message about an unknown key.
fn keys(said: &str) -> Vec<String> {
    let list = said.split_once("expected one of").unwrap().1;
    let mut names: Vec<String> = list
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// Every property and value of the schema is read, what is not in it is refused, and neither knows a key that the other
/// does not.
#[test]
fn the_schema_describes_what_is_read() {
    let folder = TempDir::new().unwrap();
    let path = crate::support::root().join("docs/recipe.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let rule = &schema["$defs"]["rule"];
    let says = rule["anyOf"].as_array().unwrap().iter();
    let says: Vec<&str> = says.map(|r| r["required"][0].as_str().unwrap()).collect();
    for (part, start) in [
        (&schema, "version = 1\n"),
        (rule, "version = 1\n[[rule]]\n"),
    ] {
        assert_eq!(part["additionalProperties"], false);
        let error = said(folder.path(), &format!("{start}nonsense = 1\n"));
        let properties = part["properties"].as_object().unwrap();
        let mut names: Vec<String> = properties.keys().cloned().collect();
        names.sort();
        assert_eq!(keys(&error), names);
        for (key, property) in properties.iter().filter(|(key, _)| *key != "rule") {
            let (right, wrong) = values(&schema, property);
            let start = start.replace(
                "version = 1\n",
                if key == "version" {
                    ""
                } else {
                    "version = 1\n"
                },
            );
            // A condition alone says nothing.
            let conditional = start.contains("rule") && !says.contains(&key.as_str());
            let rest = if conditional {
                "scheme = \"float\"\n"
            } else {
                ""
            };
            for value in right {
                let text = format!("{start}{key} = {value}\n{rest}");
                let error = said(folder.path(), &text);
                let matches_nothing = error.contains("matches no operator");
                assert!(is_read(&error) || matches_nothing, "{text}: {error}");
            }
            let text = format!("{start}{key} = {wrong}\n{rest}");
            let error = said(folder.path(), &text);
            assert!(
                error.contains("error: ") && !is_read(&error),
                "{text}: {error}"
            );
            if conditional {
                let text = format!("{start}{key} = {}\n", values(&schema, property).0[0]);
                assert!(
                    said(folder.path(), &text).contains("says nothing"),
                    "{text}"
                );
            }
        }
    }
    assert_eq!(schema["required"], serde_json::json!(["version"]));
    assert!(!is_read(&said(folder.path(), "")));
}
