//! Files that are damaged, or made to do harm, are refused quickly and in little memory; nothing panics.

#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

#[path = "model/sample.rs"]
mod sample;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use planus::{Builder, Offset};
use proptest::prelude::*;
use sample::sample;
use zeropoint::model::{self, Error, Model, Operator, SubGraph, Tensor, VariantSubType};

/// Bytes as planus writes them, with the identifier behind the offset of the root.
fn finish(mut builder: Builder, root: Offset<Model>) -> Vec<u8> {
    let bytes = builder.finish(root, None);
    let root = u32::from_le_bytes(bytes[..4].try_into().unwrap()) + 16;
    let header = [root.to_le_bytes(), *b"TFL3", [0; 4], [0; 4], [0; 4]];
    [header.as_flattened(), &bytes[4..]].concat()
}

fn model_of(mut builder: Builder, version: u32, subgraphs: Vec<Offset<SubGraph>>) -> Vec<u8> {
    let root = Model::create(
        &mut builder,
        version,
        (),
        subgraphs,
        (),
        (),
        (),
        (),
        (),
        (),
        (),
    );
    finish(builder, root)
}

/// Peak memory of this process in bytes, where the system tells.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? << 10)
}

fn assert_refused_as_too_large(bytes: &[u8], place: &str) {
    let before = peak_memory();
    let start = Instant::now();
    let error = model::parse(bytes).unwrap_err();
    let taken = start.elapsed();
    assert!(
        matches!(&error, Error::TooLarge { place: at, .. } if at.starts_with(place)),
        "{error}"
    );
    assert!(taken < Duration::from_secs(5), "{taken:?}");
    if let Some((before, after)) = before.zip(peak_memory()) {
        assert!(after - before < 256 << 20, "{} bytes", after - before);
    }
}

#[test]
fn a_small_file_cannot_unfold_to_a_huge_tree() {
    let mut builder = Builder::new();
    let operator = Operator {
        inputs: Some(vec![1; 80_000]),
        ..Operator::default()
    };
    let operator = builder_offset(&mut builder, &operator);
    let few = SubGraph::create(&mut builder, (), (), (), vec![operator; 1000], (), -1);
    let bytes = model_of(builder, 3, vec![few; 1000]);
    assert_refused_as_too_large(&bytes, "subgraphs[0].operators[");

    let mut builder = Builder::new();
    let operator = builder_offset(&mut builder, &Operator::default());
    let many = SubGraph::create(&mut builder, (), (), (), vec![operator; 80_000], (), -1);
    let bytes = model_of(builder, 3, vec![many; 80_000]);
    assert!(bytes.len() < 1 << 20);
    assert_refused_as_too_large(&bytes, "subgraphs[0].operators");
}

#[test]
fn repeated_subgraphs_are_counted_before_they_are_read() {
    let mut builder = Builder::new();
    let graph = builder_offset(&mut builder, &SubGraph::default());
    let bytes = model_of(builder, 3, vec![graph; 1 << 20]);
    assert_refused_as_too_large(&bytes, "subgraphs");
}

#[test]
fn repetition_inside_one_tensor_is_counted() {
    let mut builder = Builder::new();
    let variant = VariantSubType {
        shape: Some(vec![1; 100_000]),
        ..VariantSubType::default()
    };
    let variant = builder_offset(&mut builder, &variant);
    let variants = vec![variant; 100_000];
    let tensor = Tensor::create(
        &mut builder,
        (),
        0i8,
        0u32,
        (),
        (),
        false,
        (),
        (),
        false,
        variants,
        0u32,
    );
    let graph = SubGraph::create(&mut builder, vec![tensor], (), (), (), (), -1);
    let bytes = model_of(builder, 3, vec![graph]);
    assert_refused_as_too_large(&bytes, "subgraphs[0].tensors[0]");
}

fn builder_offset<T: planus::WriteAsOffset<T>>(builder: &mut Builder, table: &T) -> Offset<T> {
    planus::WriteAsOffset::prepare(table, builder)
}

#[test]
fn other_files_are_named_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tflite");
    let error_of = |content: &[u8]| {
        std::fs::write(&path, content).unwrap();
        let error = model::read(&path).unwrap_err().to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        error
    };
    assert!(error_of(b"").contains("only 0 bytes"));
    assert!(error_of(b"abc").contains("only 3 bytes"));
    assert!(error_of(b"PK\x03\x04\x14\x00\x00\x00rest").contains("\"\\x14\\x00\\x00\\x00\""));
    assert!(error_of(b"\xff\xff\xff\xffTFL3").contains("damaged"));
    assert!(error_of(&model_of(Builder::new(), 2, vec![])).contains("version 2"));

    let folder_error = model::read(folder.path()).unwrap_err();
    assert!(matches!(folder_error, Error::NotAFile { .. }));
    let missing = model::read(Path::new("no/such/model.tflite")).unwrap_err();
    assert!(missing.to_string().starts_with("no/such/model.tflite: "));
}

#[test]
fn damage_is_named_with_its_place() {
    let mut builder = Builder::new();
    let operator = builder_offset(&mut builder, &sample_operator());
    let graph = SubGraph::create(&mut builder, (), (), (), vec![operator; 18], (), -1);
    let mut bytes = model_of(builder, 3, vec![graph]);
    // The tag of the operator's options is the only byte with this value.
    let tag = bytes.iter().position(|byte| *byte == 111).unwrap();
    assert_eq!(bytes.iter().filter(|byte| **byte == 111).count(), 1);
    model::parse(&bytes).unwrap();
    bytes[tag] = 250;
    let error = model::parse(&bytes).unwrap_err().to_string();
    assert!(error.contains("subgraphs[0].operators[0]"), "{error}");
    assert!(error.contains("builtin_options"), "{error}");
    assert!(error.contains("250"), "{error}");
}

fn sample_operator() -> Operator {
    Operator {
        builtin_options: Some(model::BuiltinOptions::VarHandleOptions(Box::default())),
        ..Operator::default()
    }
}

/// What must hold of any bytes: no panic, and what can be read can be written and read again.
fn check(bytes: &[u8]) {
    if let Ok(model) = model::parse(bytes) {
        let written = model::to_bytes(&model).unwrap();
        let again = model::parse(&written).unwrap();
        assert!(model::to_bytes(&again).unwrap() == written);
    }
}

fn hostile_word() -> impl Strategy<Value = u32> {
    prop_oneof![
        0u32..64,
        Just(u32::MAX),
        Just(i32::MAX as u32),
        Just(1 << 31),
        (0u32..5000).prop_map(u32::wrapping_neg),
        any::<u32>(),
    ]
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Word(prop::sample::Index, u32),
    Cut(prop::sample::Index),
    Copy(prop::sample::Index, prop::sample::Index, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Damage::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Damage::Word(at, word) => {
                let at = at.index(len) & !3;
                let end = len.min(at + 4);
                bytes[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
            }
            Damage::Cut(at) => bytes.truncate(at.index(len)),
            Damage::Copy(from, to, count) => {
                let (from, to) = (from.index(len), to.index(len));
                let count = (*count).min(len - from).min(len - to);
                bytes.copy_within(from..from + count, to);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => (at(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (at(), hostile_word()).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => at().prop_map(Damage::Cut),
        2 => (at(), at(), 1usize..64).prop_map(|(from, to, count)| Damage::Copy(from, to, count)),
    ]
}

/// A real model of a few hundred kilobytes; none, with a word about it, where the shared models are absent.
static REAL: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
    let shared = std::env::var_os("ZEROPOINT_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let path = shared.join("models/blazeface_short/model.tflite");
    let bytes = std::fs::read(&path).ok();
    if bytes.is_none() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no model at {}\n", path.display()),
        );
    }
    bytes
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_real_files_never_panic(damages in prop::collection::vec(damage(), 1..6)) {
        if let Some(mut bytes) = REAL.clone() {
            for damage in &damages {
                damage.apply(&mut bytes);
            }
            check(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(damages in prop::collection::vec(damage(), 1..6)) {
        let mut bytes = model::to_bytes(&sample()).unwrap();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        check(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_header_never_panic(tail in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&[&[12, 0, 0, 0], b"TFL3".as_slice(), &tail].concat());
    }
}
