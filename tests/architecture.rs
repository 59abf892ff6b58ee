//! Who may know whom, how long files may be, and that the README's table of operators is the program's.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use zeropoint::graph::SUPPORT;

/// Each room of the library with the rooms it may import.
const ROOMS: [(&str, &[&str]); 17] = [
    ("num", &[]),
    ("model", &[]),
    ("data", &["num"]),
    ("evaluate", &["num"]),
    ("check", &["model"]),
    ("graph", &["model", "num"]),
    ("kernel", &["graph", "num"]),
    ("cpu", &["kernel", "graph", "num"]),
    ("gpu", &["kernel", "graph", "num"]),
    ("stream", &["data", "graph", "kernel", "num"]),
    ("calibrate", &["data", "graph", "kernel", "num", "stream"]),
    ("simplify", &["cpu", "graph", "kernel", "model", "num"]),
    ("ranges", &["num"]),
    ("quantize", &["graph", "model", "num", "ranges"]),
    (
        "tune",
        &[
            "data", "graph", "kernel", "model", "num", "quantize", "ranges", "stream",
        ],
    ),
    (
        "debug",
        &["data", "evaluate", "graph", "kernel", "num", "stream"],
    ),
    // Result structs, and of the graph only the rows of the support table.
    (
        "report",
        &[
            "check", "debug", "evaluate", "graph", "kernel", "model", "num", "quantize", "tune",
        ],
    ),
];

/// Written by planus from the schema.
const GENERATED: &str = "src/model/generated.rs";
/// Most lines of a Rust file.
const RUST_LINES: usize = 600;
/// Most lines of a shader.
const SHADER_LINES: usize = 275;

/// All files below a folder with this extension, relative to the root.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![support::root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path.strip_prefix(support::root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no .{extension} in {folder}");
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(support::root().join(path)).unwrap()
}

/// The code without its tests, which may compare any rooms, and without what follows `//`: links in documentation do
/// not count.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// What is named behind every `prefix`, also in braces: `crate::{a::b, c}` names a and c.
fn named(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(word(rest).to_owned());
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (i, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    names.insert(word(&list[i..]).to_owned());
                    start = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The room a source file belongs to.
fn room(path: &Path) -> String {
    let first = path.iter().nth(1).unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn names_are_found_in_all_forms() {
    let text = "use crate::num::{Affine, Range}; // crate::cli\nuse crate::{graph::{self, Op}, model};\nx: crate::data,";
    let text = &format!("{text}\n#[cfg(test)]\nmod tests {{ use crate::cpu;");
    let names: Vec<String> = named(&code(text), "crate::").into_iter().collect();
    assert_eq!(names, ["data", "graph", "model", "num"]);
}

#[test]
fn rooms_import_only_what_they_may() {
    let rules: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let lib = code(&read(Path::new("src/lib.rs")));
    let rooms: BTreeSet<&str> = lib
        .lines()
        .filter_map(|l| Some(word(l.trim().strip_prefix("pub mod ")?)))
        .collect();
    assert_eq!(
        rooms,
        rules.keys().copied().collect(),
        "every room needs a rule"
    );
    let mut broken = Vec::new();
    for path in files("src", "rs") {
        let room = room(&path);
        let tests = path.file_name().is_some_and(|name| name == "tests.rs");
        if path == Path::new(GENERATED) || tests || ["lib", "main"].contains(&room.as_str()) {
            continue;
        }
        let text = code(&read(&path));
        if text.contains("super::super::") {
            broken.push(format!("{}: climbs out with super::super", path.display()));
        }
        if room == "cli" {
            // The program sees the library from outside.
            continue;
        }
        for name in named(&text, "crate::") {
            if name != room && !rules[room.as_str()].contains(&name.as_str()) {
                broken.push(format!("{}: {room} imports {name}", path.display()));
            }
        }
        if text.contains("zeropoint::") {
            broken.push(format!("{}: names its own crate", path.display()));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn reports_know_of_the_graph_only_the_support_table() {
    for path in files("src/report", "rs") {
        let names = named(&code(&read(&path)), "crate::graph::");
        let others: Vec<&String> = names.iter().filter(|n| *n != "OpSupport").collect();
        assert!(
            others.is_empty(),
            "{}: graph::{others:?}, but reports show results",
            path.display()
        );
    }
}

#[test]
fn only_the_gpu_room_names_wgpu() {
    for path in files("src", "rs") {
        if room(&path) == "gpu" || path == Path::new(GENERATED) {
            continue;
        }
        let text = code(&read(&path));
        assert!(!text.contains("wgpu"), "{} names wgpu", path.display());
    }
}

#[test]
fn files_are_not_too_long() {
    let sources = files("src", "rs").into_iter().map(|p| (p, RUST_LINES));
    let shaders = files("shaders", "wgsl")
        .into_iter()
        .map(|p| (p, SHADER_LINES));
    let long: Vec<String> = sources
        .chain(shaders)
        .filter(|(path, _)| path != Path::new(GENERATED))
        .map(|(path, most)| (read(&path).lines().count(), most, path))
        .filter(|(lines, most, _)| lines > most)
        .map(|(lines, most, path)| format!("{}: {lines} lines, at most {most}", path.display()))
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn the_support_table_is_sorted_and_the_readme_has_it() {
    assert!(SUPPORT.windows(2).all(|pair| pair[0].op < pair[1].op));
    if !support::root().join("README.md").exists() {
        eprintln!("SKIPPED: no README.md to compare with the table of operators");
        return;
    }
    let text = read(Path::new("README.md"));
    let (_, rest) = text
        .split_once("<!-- ops -->")
        .expect("README.md marks its table");
    let (table, _) = rest.split_once("<!-- /ops -->").expect("the table ends");
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_matches('|');
        line.split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect()
    };
    let rows: Vec<Vec<String>> = table
        .lines()
        .filter(|l| l.trim().starts_with('|'))
        .skip(2)
        .map(cells)
        .collect();
    assert_eq!(rows.len(), SUPPORT.len(), "rows of the README's table");
    for (row, op) in rows.iter().zip(&SUPPORT) {
        assert_eq!(row[0], op.op);
        assert_eq!(row[1], op.float.to_string(), "float of {}", op.op);
        assert_eq!(row[2], op.int8.to_string(), "int8 of {}", op.op);
        assert_eq!(row[3], op.int16().to_string(), "int16x8 of {}", op.op);
        assert_eq!(row[4], op.dynamic().to_string(), "dynamic of {}", op.op);
        assert_eq!(row[5], op.limits, "limits of {}", op.op);
    }
}
