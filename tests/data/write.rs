//! What is written is read again, and nothing half-written stays.

use zeropoint::data::NpzWriter;
use zeropoint::num::{DType, Values};

use crate::files::{Folder, input, read_all};

#[test]
fn appended_chunks_become_arrays() {
    let folder = Folder::new();
    let path = folder.path("out.npz");
    let mut writer = NpzWriter::create(&path).unwrap();
    let values: Vec<f32> = (0..300).map(|i| (i as f32).sqrt()).collect();
    for chunk in values.chunks(42) {
        writer
            .append("output_0", &[2, 3], &Values::F32(chunk.to_vec()))
            .unwrap();
        writer
            .append("output_1", &[], &Values::I64(vec![-7; chunk.len() / 6]))
            .unwrap();
    }
    assert_eq!(folder.names().len(), 0, "nothing is seen before the end");
    writer.finish().unwrap();
    assert_eq!(folder.names(), ["out.npz"]);
    let inputs = [
        input("output_0", &[1, 2, 3], DType::F32),
        input("output_1", &[1], DType::I64),
    ];
    let read = read_all(&path, &inputs, &Default::default()).unwrap();
    assert_eq!(read, [Values::F32(values), Values::I64(vec![-7; 50])]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(
            mode(&path),
            mode(&folder.file("ordinary", b"")),
            "readable like any other file"
        );
    }
}

#[test]
fn chunks_that_do_not_fit_are_refused_and_the_rest_is_kept() {
    let folder = Folder::new();
    let path = folder.path("out.npz");
    let mut writer = NpzWriter::create(&path).unwrap();
    writer.append("x", &[2], &Values::U8(vec![1, 2])).unwrap();
    for (shape, values) in [
        (&[2][..], Values::U8(vec![1])),
        (&[1, 2], Values::U8(vec![1, 2])),
        (&[2], Values::I8(vec![1, 2])),
        (&[0], Values::U8(vec![])),
        (&[usize::MAX, 2], Values::U8(vec![1, 2])),
    ] {
        let error = writer.append("x", shape, &values).unwrap_err();
        assert!(error.to_string().contains("array 'x'"), "{error}");
    }
    writer.finish().unwrap();
    let read = read_all(&path, &[input("x", &[2], DType::U8)], &Default::default()).unwrap();
    assert_eq!(read, [Values::U8(vec![1, 2])]);
}

#[test]
fn giving_up_leaves_the_old_file_and_nothing_else() {
    let folder = Folder::new();
    let path = folder.file("out.npz", b"old");
    let mut writer = NpzWriter::create(&path).unwrap();
    writer
        .append("x", &[], &Values::U8(vec![1; 100_000]))
        .unwrap();
    drop(writer);
    assert_eq!(folder.names(), ["out.npz"]);
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert!(NpzWriter::create(&folder.path("no/such/folder/out.npz")).is_err());
    assert!(NpzWriter::create(&folder.path(".")).is_err());
}
