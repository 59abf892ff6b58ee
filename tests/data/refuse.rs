//! What is refused: by name, with advice, and without harm.

use zeropoint::data::{DataSet, Options};
use zeropoint::num::DType;
use zip::CompressionMethod::{Deflated, Stored};

use crate::files::{Folder, floats, input, npy, problem};

fn plain() -> Options {
    Options::default()
}

#[test]
fn files_that_are_no_data_sets() {
    let folder = Folder::new();
    let inputs = [input("x", &[1, 2], DType::F32)];
    for (path, words) in [
        (folder.path("missing.npz"), "missing.npz: No such file"),
        (folder.path("."), "folder"),
        (folder.file("empty.npz", b""), "is empty"),
        (folder.file("text.npz", b"1.0,2.0\n"), "neither"),
        (
            folder.file("x.npz", b"PK\x03\x04 and nothing more"),
            "cut short",
        ),
        (folder.npz(Stored, &[]), "no arrays"),
        (
            folder.stored(&[("labels", npy("|i1", "(1,)", &[1]))]),
            "name the arrays input_0",
        ),
        (
            folder.stored(&[
                ("a", floats("(1, 2)", &[1.0; 2])),
                ("b", floats("(1, 2)", &[1.0; 2])),
            ]),
            "'a', 'b'",
        ),
    ] {
        let text = problem(&path, &inputs, &plain());
        assert!(text.contains(words), "{text}");
    }
    #[cfg(unix)]
    assert!(problem(std::path::Path::new("/dev/null"), &inputs, &plain()).contains("regular file"));
}

#[test]
fn arrays_that_do_not_fit_the_model() {
    let folder = Folder::new();
    let f32s = |shape: &str, n: usize| folder.file("x.npy", &floats(shape, &vec![1.0; n]));
    let text = problem(
        &f32s("(2, 6, 4)", 48),
        &[input("x", &[1, 4, 6], DType::F32)],
        &plain(),
    );
    assert!(
        text.contains("[2, 6, 4]") && text.contains("[1, 4, 6]"),
        "{text}"
    );
    for (shape, n, wanted) in [
        ("(2, 24, 1)", 48, &[1, 24][..]),
        ("(2, 24)", 48, &[2, 12]),
        ("()", 1, &[1]),
        ("(5, 0)", 0, &[1, 0]),
        ("(1000000000000000000, 0)", 0, &[1, 0]),
    ] {
        let text = problem(&f32s(shape, n), &[input("x", wanted, DType::F32)], &plain());
        assert!(text.contains("is not [N] followed by"), "{text}");
    }
    let text = problem(
        &f32s("(0, 3)", 0),
        &[input("x", &[1, 3], DType::F32)],
        &plain(),
    );
    assert!(text.contains("holds no samples"), "{text}");
    let two = [
        input("a", &[1, 1], DType::F32),
        input("b", &[1, 1], DType::F32),
    ];
    assert!(problem(&f32s("(1, 1)", 1), &two, &plain()).contains("only one input"));
    let uneven = [
        ("a", floats("(3, 1)", &[1.0; 3])),
        ("b", floats("(2, 1)", &[1.0; 2])),
    ];
    let text = problem(&folder.stored(&uneven), &two, &plain());
    assert!(
        text.contains("'b': it has 2 samples, but 'a' has 3"),
        "{text}"
    );
    // Counted from 0 or named from 1: both readings are possible.
    let keras = [
        input("input_1", &[1, 1], DType::F32),
        input("input_2", &[1, 1], DType::F32),
    ];
    let arrays = ["input_0", "input_1", "input_2"].map(|name| (name, floats("(1, 1)", &[1.0])));
    assert!(problem(&folder.stored(&arrays), &keras, &plain()).contains("keep one kind"));
}

#[test]
fn types_that_do_not_fit_the_model() {
    let folder = Folder::new();
    for (descr, size, wanted, words) in [
        ("|u1", 1, DType::F32, "--input-scale S --input-offset O"),
        ("<i4", 4, DType::F32, "--input-scale"),
        (
            "|u1",
            1,
            DType::I8,
            "for input 'x': uint8 values cannot feed int8",
        ),
        ("<f4", 4, DType::I32, "numpy.int32"),
        ("|u1", 1, DType::Bool, "astype(bool)"),
        ("|u1", 1, DType::U32, "not fed"),
        ("|O", 8, DType::F32, "Python objects"),
        ("<U2", 8, DType::F32, "text"),
    ] {
        let path = folder.file("x.npy", &npy(descr, "(1, 1)", &vec![0; size]));
        let text = problem(&path, &[input("x", &[1, 1], wanted)], &plain());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn values_that_cannot_be_used() {
    let folder = Folder::new();
    let f64s = |x: f64| [1.0, 2.0, 3.0, 4.0, x, 6.0].map(f64::to_le_bytes).concat();
    let i64s = |x: i64| [1, 2, 3, 4, x, 6].map(i64::to_le_bytes).concat();
    let u64s = |x: u64| [1, 2, 3, 4, x, 6].map(u64::to_le_bytes).concat();
    let halves = [0x3c00u16, 0, 0, 0, 0x7c00, 0]
        .map(u16::to_le_bytes)
        .concat();
    for (descr, bytes, wanted, words) in [
        ("<f8", f64s(f64::NAN), DType::F32, "it is NaN"),
        ("<f8", f64s(f64::NEG_INFINITY), DType::F32, "it is -inf"),
        ("<f8", f64s(-1e300), DType::F32, "-1e300 is beyond float32"),
        ("<f2", halves, DType::I8, "it is inf"),
        (
            "<i8",
            i64s(1 << 31),
            DType::I32,
            "2147483648 does not fit int32",
        ),
        (
            "<u8",
            u64s(1 << 63),
            DType::I64,
            "9223372036854775808 does not fit int64",
        ),
    ] {
        let path = folder.file("x.npy", &npy(descr, "(3, 2)", &bytes));
        let text = problem(&path, &[input("x", &[1, 2], wanted)], &plain());
        assert!(
            text.contains("sample 2, element 0") && text.contains(words),
            "{text}"
        );
        assert!(text.contains("x.npy, array 'x'"), "{text}");
    }
    let path = folder.file("x.npy", &npy("<i8", "(3, 2)", &i64s(i64::MAX)));
    let options = Options {
        limit: None,
        scale_offset: Some((1e30, 0.0)),
    };
    assert!(
        problem(&path, &[input("x", &[1, 2], DType::F32)], &options).contains("beyond float32")
    );
}

#[test]
fn a_failed_data_set_says_so_until_it_is_rewound() {
    let folder = Folder::new();
    let path = folder.file("x.npy", &floats("(3, 1)", &[1.0, f32::NAN, 3.0]));
    let mut set = DataSet::open(&path, &[input("x", &[1, 1], DType::F32)], &plain()).unwrap();
    let outcomes: Vec<bool> = set.batches(1).map(|batch| batch.is_ok()).collect();
    assert_eq!(outcomes, [true, false]);
    assert!(
        set.next_batch(1)
            .unwrap_err()
            .to_string()
            .contains("failed before")
    );
    set.rewind().unwrap();
    assert_eq!(set.next_batch(1).unwrap().unwrap().first, 0);
}

#[test]
fn settings_that_cannot_be_meant() {
    let folder = Folder::new();
    let path = folder.file("x.npy", &floats("(1, 1)", &[1.0]));
    let inputs = [input("x", &[1, 1], DType::F32)];
    for (limit, scale_offset) in [
        (Some(0), None),
        (None, Some((0.0, 1.0))),
        (None, Some((f32::NAN, 1.0))),
        (None, Some((1e38, 0.0))),
    ] {
        assert!(
            DataSet::open(
                &path,
                &inputs,
                &Options {
                    limit,
                    scale_offset
                }
            )
            .is_err()
        );
    }
    assert!(DataSet::open(&path, &[], &plain()).is_err());
}

#[test]
fn labels_that_make_no_sense() {
    let folder = Folder::new();
    for (shape, classes, words) in [
        ("(2,)", &[1i8, 2][..], "2 labels for 3 samples"),
        ("(3, 1, 1)", &[1, 2, 3], "shaped [N] or [N,k]"),
        ("(3, 0)", &[], "shaped [N] or [N,k]"),
        (
            "(3,)",
            &[1, -1, 3],
            "sample 1, element 0 of the sample: there is no label",
        ),
        (
            "(3,)",
            &[1, 2, -5],
            "sample 2, element 0 of the sample: the label -5 is negative",
        ),
        ("(3, 2)", &[1, -1, -1, 2, 3, -1], "sample 1"),
        (
            "(3, 3)",
            &[1, -1, 2, 2, 3, -1, 1, -1, -1],
            "comes after the padding",
        ),
        ("(3, 3)", &[0, 0, 1, 0, 1, 0, 1, 0, 0], "argmax"),
        ("(3, 2)", &[0, 1, 0, 1, 1, 0], "argmax"),
    ] {
        let labels = npy("|i1", shape, bytemuck::cast_slice(classes));
        let path = folder.stored(&[("input_0", floats("(3, 1)", &[1.0; 3])), ("labels", labels)]);
        let text = problem(&path, &[input("x", &[1, 1], DType::F32)], &plain());
        assert!(
            text.contains(words) && text.contains("'labels'"),
            "{shape}: {text}"
        );
    }
    let real = npy(
        "<f4",
        "(3,)",
        &[1.0f32, 2.5, 3.0].map(f32::to_le_bytes).concat(),
    );
    let path = folder.stored(&[("input_0", floats("(3, 1)", &[1.0; 3])), ("labels", real)]);
    assert!(
        problem(&path, &[input("x", &[1, 1], DType::F32)], &plain())
            .contains("2.5 is not a whole number")
    );
}

#[test]
fn headers_that_lie_about_their_size() {
    let folder = Folder::new();
    let inputs = [input("x", &[1, 1000], DType::F32)];
    for shape in [
        "(1000000000000000, 1000)",
        "(10000000000000000000, 1000)",
        "(3, 1000)",
    ] {
        let array = floats(shape, &[1.0; 2000]);
        for path in [
            folder.file("x.npy", &array),
            folder.npz(Stored, &[("x", array.clone())]),
            folder.npz(Deflated, &[("x", array.clone())]),
        ] {
            let text = problem(&path, &inputs, &plain());
            assert!(text.contains("cut short"), "{text}");
        }
    }
    let text = problem(
        &folder.file("x.npy", &floats("(1, 1000)", &[1.0; 2000])),
        &inputs,
        &plain(),
    );
    assert!(text.contains("4000 bytes follow"), "{text}");
    // An archive that joins the lie: the directory claims what deflate could never have made so small.
    let options = zip::write::SimpleFileOptions::default();
    let path = folder.npz_with(options, &[("x", floats("(2, 1000)", &[1.0; 2000]))]);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes
        .windows(4)
        .rposition(|window| window == b"PK\x01\x02")
        .unwrap();
    bytes[at + 24..at + 28].copy_from_slice(&0x7000_0000u32.to_le_bytes());
    let text = problem(&folder.file("lie.npz", &bytes), &inputs, &plain());
    assert!(text.contains("cannot hold"), "{text}");
}

#[test]
fn damage_anywhere_is_an_error_or_harmless_but_never_a_panic() {
    let folder = Folder::new();
    let values: Vec<f32> = (0..60).map(|i| (i % 7) as f32).collect();
    let arrays = [
        ("input_0", floats("(20, 3)", &values)),
        ("labels", npy("|u1", "(20,)", &[3; 20])),
    ];
    let inputs = [input("x", &[1, 3], DType::F32)];
    for method in [Stored, Deflated] {
        let whole = std::fs::read(folder.npz(method, &arrays)).unwrap();
        for length in 0..whole.len() {
            // Opening a shorter file can only fail; should it not, `problem` panics.
            problem(&folder.file("cut.npz", &whole[..length]), &inputs, &plain());
        }
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let path = folder.file("flip.npz", &bytes);
                if let Ok(read) = crate::files::read_all(&path, &inputs, &plain()) {
                    // What the checksum covers cannot have changed.
                    assert_eq!(
                        read,
                        [zeropoint::num::Values::F32(values.clone())],
                        "byte {at}"
                    );
                }
            }
        }
    }
    let whole = floats("(20, 3)", &values);
    for length in 0..whole.len() {
        problem(&folder.file("cut.npy", &whole[..length]), &inputs, &plain());
    }
}
