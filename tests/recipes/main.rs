//! Recipes and plans as files, through the real program on the example: what they say is done, and what is wrong with them
//! is told before anything is written.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod plan;
mod schema;

use std::path::{Path, PathBuf};
use support::{errors, har, zeropoint};
use tempfile::TempDir;
use zeropoint::model;

/// Samples are few where ranges do not matter.
const DATA: [&str; 4] = ["--limit", "5", "--device", "cpu"];

/// Writes a recipe.
fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("r.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Quantizes the example by a recipe. What the program said, and the model if there is one.
fn by_recipe(folder: &Path, text: &str) -> (assert_cmd::assert::Assert, PathBuf) {
    let (recipe, to) = (write(folder, text), folder.join("q.tflite"));
    let (model, calib, out) = (
        har("model.tflite"),
        har("calib.npz"),
        to.display().to_string(),
    );
    let options = ["--recipe", &recipe, "--data", &calib, "-o", &out];
    let ran = zeropoint(&[&["quantize", &model][..], &options, &DATA].concat());
    (ran, to)
}

/// A recipe that is refused with all of these words.
fn refused(text: &str, words: &[&str]) {
    let folder = TempDir::new().unwrap();
    let (ran, _) = by_recipe(folder.path(), text);
    let error = errors(&ran.code(2));
    for word in words {
        assert!(error.contains(word), "no '{word}' for\n{text}\nin: {error}");
    }
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "{text}\nleaves files behind");
}

/// Types of the first output of the operator that made this tensor, and of its weights; and the number of their scales.
fn types(path: &Path, name: &str) -> (i8, i8, usize) {
    let model = model::read(path).unwrap();
    let subgraph = model.subgraphs.as_ref().unwrap()[0].clone();
    let tensors = subgraph.tensors.unwrap();
    let tensor = |id: i32| tensors[usize::try_from(id).unwrap()].clone();
    let is_named = |id: i32| tensor(id).name.is_some_and(|n| n.contains(name));
    for operator in subgraph.operators.unwrap() {
        let (inputs, outputs) = (operator.inputs.unwrap(), operator.outputs.unwrap());
        if is_named(outputs[0]) && inputs.len() == 3 {
            let weights = tensor(inputs[1]);
            let scales = weights.quantization.and_then(|q| q.scale);
            let scales = scales.map_or(0, |s| s.len());
            return (tensor(outputs[0]).type_, weights.type_, scales);
        }
    }
    panic!("no operator with weights makes '{name}'")
}

const FLOAT: i8 = 0;
const INT8: i8 = 9;
const INT16: i8 = 7;

/// Operators get what the rules say, the others what stands at the top.
#[test]
fn a_recipe_is_carried_out() {
    let folder = TempDir::new().unwrap();
    let text = r#"
        version = 1
        weights = "per-tensor"

        [[rule]]
        op = "conv_2d"
        scheme = "int16x8"
        weights = "per-channel"

        [[rule]]
        index = [2]
        scheme = "dynamic"
        method = "minmax"

        [[rule]]
        name = "conv2d_3/"
        subgraph = 0
        scheme = "float"
    "#;
    let (ran, to) = by_recipe(folder.path(), text);
    ran.success();
    assert_eq!(types(&to, "conv2d/Relu"), (INT16, INT8, 64));
    assert_eq!(types(&to, "conv2d_1/Relu"), (INT16, INT8, 64));
    assert_eq!(types(&to, "conv2d_2/Relu"), (FLOAT, INT8, 64));
    assert_eq!(types(&to, "conv2d_3/Relu"), (FLOAT, FLOAT, 0));
    assert_eq!(types(&to, "dense/BiasAdd"), (INT8, INT8, 1));
}

/// Of several rules the last that says something about an attribute wins, for each attribute by itself.
#[test]
fn the_last_rule_wins() {
    let folder = TempDir::new().unwrap();
    let text = r#"
        version = 1
        [[rule]]
        op = "CONV_2D"
        scheme = "int16x8"
        weights = "per-tensor"
        [[rule]]
        op = "CONV_2D"
        index = [1, 2]
        scheme = "int8"
        [[rule]]
        index = 2
        weights = "per-channel"
    "#;
    let (ran, to) = by_recipe(folder.path(), text);
    ran.success();
    assert_eq!(types(&to, "conv2d/Relu"), (INT16, INT8, 1));
    assert_eq!(types(&to, "conv2d_1/Relu"), (INT8, INT8, 1));
    assert_eq!(types(&to, "conv2d_2/Relu"), (INT8, INT8, 64));
    // The other way round the particular rule loses.
    let text = r#"
        version = 1
        [[rule]]
        index = 2
        scheme = "int16x8"
        [[rule]]
        op = "CONV_2D"
        scheme = "int8"
    "#;
    let (ran, to) = by_recipe(folder.path(), text);
    ran.success();
    assert_eq!(types(&to, "conv2d_2/Relu").0, INT8);
}

/// A recipe without integers needs no data, and refuses some.
#[test]
fn without_integers_there_is_no_data() {
    let folder = TempDir::new().unwrap();
    let recipe = write(folder.path(), "version = 1\nscheme = \"dynamic\"");
    let to = support::quantize(folder.path(), "q.tflite", &["--recipe", &recipe]);
    assert_eq!(types(&to, "conv2d_3/Relu"), (FLOAT, INT8, 64));
    refused("version = 1\nscheme = \"dynamic\"", &["leave out --data"]);
}

/// It may serve several models, so that is no error.
#[test]
fn a_rule_that_matches_nothing_is_named() {
    let folder = TempDir::new().unwrap();
    let text = r#"
        version = 1
        [[rule]]
        op = "SOFTMAX"
        scheme = "float"
        [[rule]]
        op = "CONV2D"
        name = "^dense$"
        scheme = "float"
        [[rule]]
        subgraph = 1
        index = 3
        scheme = "float"
    "#;
    let (ran, _) = by_recipe(folder.path(), text);
    let error = errors(&ran.success());
    for rule in [
        "rule 2 (op 'CONV2D', name '^dense$')",
        "rule 3 (subgraph 1, index 3)",
    ] {
        let line = format!("r.toml: {rule} matches no operator");
        assert!(error.contains(&line), "{error}");
    }
    assert!(!error.contains("rule 1"), "{error}");
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    refused(
        "version = 1\nschem = \"int8\"",
        &["r.toml", "line 2", "schem", "`scheme`"],
    );
    let rule = "version = 1\n\n[[rule]]\noperator = \"CONV_2D\"\nscheme = \"int8\"";
    refused(rule, &["line 4", "operator", "`op`"]);
    let value = "version = 1\n[[rule]]\nop = \"CONV_2D\"\nscheme = \"int16\"";
    refused(value, &["line 4", "scheme = ", "`int16`", "`int16x8`"]);
    refused("version = 1\nio = \"int4\"", &["line 2", "io = ", "`int4`"]);
    refused("scheme = \"int8\"", &["`version`"]);
    refused("version = 2", &["version 2", "reads version 1"]);
    refused("version = 1\nscheme = int8", &["line 2"]);
    let name = "version = 1\n[[rule]]\nname = \"(\"\nscheme = \"float\"";
    refused(name, &["rule 1 (name '(')", "unclosed group"]);
    let silent = "version = 1\n[[rule]]\nop = \"ADD\"\n[[rule]]\nscheme = \"float\"";
    refused(silent, &["rule 1 (op 'ADD') says nothing"]);
    let index = "version = 1\n[[rule]]\nindex = -1\nscheme = \"float\"";
    refused(index, &["line 3", "an operator's number"]);
    let none = "version = 1\nscheme = \"int16x8\"\nfallback = \"none\"";
    refused(
        none,
        &["UNIDIRECTIONAL_SEQUENCE_LSTM (operator 5) as int16x8"],
    );
}

/// What a recipe says, options cannot say as well.
#[test]
fn options_beside_a_recipe_are_refused() {
    let folder = TempDir::new().unwrap();
    let recipe = write(folder.path(), "version = 1");
    let (model, out) = (har("model.tflite"), folder.path().join("q.tflite"));
    let out = out.display().to_string();
    let given = ["quantize", &model, "--recipe", &recipe, "-o", &out];
    for option in [
        &["--scheme", "int8"][..],
        &["--io", "int8"],
        &["--skip-op", "ADD"],
        &["--skip-node", "x"],
        &["--only", "ADD"],
        &["--skip-scheme", "float"],
        &["--per-tensor-weights"],
        &["--per-tensor-dense"],
        &["--fallback", "int8"],
        &["--no-fallback"],
        &["--plan", &recipe],
    ] {
        let refused = zeropoint(&[&given[..], option].concat()).code(2);
        let error = errors(&refused);
        assert!(
            error.contains("cannot be used with") && error.contains("--recipe"),
            "{error}"
        );
    }
    assert!(!Path::new(&out).exists());
}
