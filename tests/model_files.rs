//! What is read is written again, whole: real models, a model with every field of the schema, and a built one; judged
//! by our own reader, by a second reading of the bytes, and by LiteRT.

#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

#[path = "model/flatbuffer.rs"]
mod flatbuffer;
#[path = "model/sample.rs"]
mod sample;

use std::path::{Path, PathBuf};
use std::process::Command;

use sample::sample;
use zeropoint::model::{self, Buffer, Error, Model, Operator};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.tflite` file under the shared models; none, with a word about it, where the folder is absent.
fn real_models() -> Vec<PathBuf> {
    let shared = std::env::var_os("ZEROPOINT_SHARED")
        .map_or_else(|| root().join("../shared"), PathBuf::from)
        .join("models");
    let mut found = Vec::new();
    let mut folders = vec![shared.clone()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "tflite") {
                found.push(path);
            }
        }
    }
    if found.is_empty() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no models under {}\n", shared.display()),
        );
    }
    found
}

/// Python with ai-edge-litert; none, with a word about it, where it is absent.
fn python() -> Option<Command> {
    let program = std::env::var_os("ZEROPOINT_PYTHON")
        .map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    if !program.exists() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!(
                "SKIPPED: no Python at {}; set ZEROPOINT_PYTHON to one with ai-edge-litert\n",
                program.display()
            ),
        );
        return None;
    }
    Some(Command::new(program))
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes `model`, checks the bytes, and returns them.
fn checked_bytes(model: &Model) -> Vec<u8> {
    let bytes = model::to_bytes(model).unwrap();
    let again = model::parse(&bytes).unwrap();
    assert!(again == *model, "the tree changed");
    assert!(model::to_bytes(&again).unwrap() == bytes);

    let buffers = model.buffers.as_deref().unwrap_or_default();
    let ranges = flatbuffer::buffer_ranges(&bytes);
    assert_eq!(ranges.len(), buffers.len());
    for (buffer, range) in buffers.iter().zip(ranges) {
        let stored = range.map(|(start, len)| {
            assert!(
                len == 0 || start % 16 == 0,
                "{len} bytes of data at {start}"
            );
            &bytes[start..start + len]
        });
        assert!(stored == buffer.data.as_deref());
    }
    bytes
}

/// Has LiteRT compare each model with our copy of it and, if it is one that means something, `load` the copy.
fn assert_equal_in_litert(models: &[PathBuf], load: bool) {
    let Some(mut command) = python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    command.arg(root().join("tests/model/compare_trees.py"));
    command.args(load.then_some("--load"));
    for (i, path) in models.iter().enumerate() {
        let copy = folder.path().join(format!("{i}.tflite"));
        model::write(&copy, &model::read(path).unwrap()).unwrap();
        command.arg(path).arg(copy);
    }
    run(command);
}

#[test]
fn real_models_come_back_equal() {
    for path in real_models() {
        let model = model::read(&path).unwrap();
        let bytes = checked_bytes(&model);
        let original = std::fs::metadata(&path).unwrap().len();
        assert!(
            bytes.len() as u64 <= original + original / 10 + 4096,
            "{}: {original} bytes became {}",
            path.display(),
            bytes.len()
        );
    }
}

#[test]
fn real_models_are_equal_to_litert() {
    let models = real_models();
    if !models.is_empty() {
        assert_equal_in_litert(&models, true);
    }
}

#[test]
fn every_field_of_the_schema_comes_back() {
    let Some(mut command) = python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full.tflite");
    command
        .arg(root().join("tests/model/full_model.py"))
        .arg(&path);
    run(command);
    let model = model::read(&path).unwrap();
    let operators = model.subgraphs.as_ref().unwrap()[0]
        .operators
        .as_ref()
        .unwrap();
    assert!(operators.len() > 140, "one for each kind of options");
    checked_bytes(&model);
    assert_equal_in_litert(&[path], false);
}

#[test]
fn a_built_model_comes_back_equal() {
    checked_bytes(&sample());
    checked_bytes(&Model {
        version: 3,
        ..Model::default()
    });
}

#[test]
fn the_schema_is_the_one_of_the_wheel() {
    let Some(mut command) = python() else {
        return;
    };
    command
        .arg(root().join("tools/derive_schema.py"))
        .arg("--check")
        .arg(root().join("src/model/schema.fbs"));
    run(command);
}

/// The model as a writer of large files would store it: data of buffers and custom options behind the FlatBuffer.
fn with_outside_data() -> (Vec<u8>, Model) {
    let mut model = sample();
    let mut expected = sample();
    let weights = vec![3u8; 40];
    let options = vec![9u8; 5];
    let build = |model: &mut Model, offset: u64| {
        model.buffers.as_mut().unwrap()[1] = Buffer {
            data: None,
            offset,
            size: 40,
        };
        // Writers mark buffers without data by 1.
        model.buffers.as_mut().unwrap()[0].offset = 1;
        let operator = custom_operator(model);
        operator.custom_options = None;
        operator.large_custom_options_offset = offset + 40;
        operator.large_custom_options_size = 5;
        let mut bytes = planus::Builder::new().finish(&*model, None).to_vec();
        // 16 bytes keep all alignments; the identifier stands behind the offset of the root.
        let root = u32::from_le_bytes(bytes[..4].try_into().unwrap()) + 16;
        let header = [root.to_le_bytes(), *b"TFL3", [0; 4], [0; 4], [0; 4]];
        bytes.splice(..4, header.concat());
        bytes
    };
    let len = build(&mut model, 2).len() as u64;
    let mut bytes = build(&mut model, len);
    assert_eq!(bytes.len() as u64, len);
    bytes.extend_from_slice(&weights);
    bytes.extend_from_slice(&options);
    expected.buffers.as_mut().unwrap()[1].data = Some(weights);
    custom_operator(&mut expected).custom_options = Some(options);
    (bytes, expected)
}

fn custom_operator(model: &mut Model) -> &mut Operator {
    let graph = &mut model.subgraphs.as_mut().unwrap()[0];
    &mut graph.operators.as_mut().unwrap()[1]
}

#[test]
fn data_outside_the_flatbuffer_is_read_in() {
    let (mut bytes, expected) = with_outside_data();
    assert_eq!(model::parse(&bytes).unwrap(), expected);
    checked_bytes(&expected);

    bytes.pop();
    let error = model::parse(&bytes).unwrap_err();
    assert!(
        matches!(&error, Error::OutsideData { place, size: 5, .. } if place == "subgraphs[0].operators[1]"),
        "{error}"
    );
    bytes.truncate(bytes.len() - 10);
    let error = model::parse(&bytes).unwrap_err().to_string();
    assert!(
        error.contains("buffers[1]") || error.contains("operators[1]"),
        "{error}"
    );
}

#[test]
fn a_tree_with_unresolved_data_is_not_written() {
    let mut model = sample();
    model.buffers.as_mut().unwrap()[0].offset = 64;
    let error = model::to_bytes(&model).unwrap_err();
    assert!(matches!(error, Error::UnresolvedData { place } if place == "buffers[0]"));
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.tflite");
    std::fs::write(&path, "old").unwrap();
    model::write(&path, &sample()).unwrap();
    assert_eq!(model::read(&path).unwrap(), sample());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let plain = folder.path().join("plain");
        std::fs::write(&plain, "").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
        std::fs::remove_file(plain).unwrap();
    }

    let taken = folder.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    let error = model::write(&taken, &sample()).unwrap_err();
    assert!(
        matches!(&error, Error::Io { path, .. } if *path == taken),
        "{error}"
    );
    let mut unresolved = sample();
    unresolved.buffers.as_mut().unwrap()[0].offset = 64;
    let error = model::write(&path, &unresolved).unwrap_err().to_string();
    assert!(error.contains("model.tflite: buffers[0]"), "{error}");

    assert_eq!(model::read(&path).unwrap(), sample());
    let left = folder.path().read_dir().unwrap().count();
    assert_eq!(left, 2, "the temporary files are gone");
    assert!(model::write(&folder.path().join("no/such/folder.tflite"), &sample()).is_err());
}
