//! What is read, and what comes out.

use zeropoint::data::{DataSet, Options};
use zeropoint::num::{DType, Values};
use zip::CompressionMethod::{Deflated, Stored};

use crate::files::{Folder, floats, input, npy, read_all};

fn ramp(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 * 0.5 - 7.0).collect()
}

#[test]
fn every_batch_size_gives_the_same_samples() {
    let folder = Folder::new();
    // Larger than one portion of reading (256 KiB), so that portions end within samples.
    let (samples, elements) = (23, 6 * 1001);
    let values = ramp(samples * elements);
    let wanted = [input("x", &[1, 6, 1001], DType::F32)];
    for method in [Stored, Deflated] {
        let path = folder.npz(method, &[("input_0", floats("(23, 6, 1001)", &values))]);
        let mut set = DataSet::open(&path, &wanted, &Options::default()).unwrap();
        assert_eq!((set.len(), set.labels()), (samples, None));
        for n in [1, 2, 22, 23, 24, usize::MAX] {
            set.rewind().unwrap();
            let (mut got, mut first) = (Vec::<f32>::new(), 0);
            for batch in set.batches(n) {
                let batch = batch.unwrap();
                assert_eq!(batch.first, first);
                assert_eq!(batch.samples, n.min(samples - first));
                let [Values::F32(values)] = &batch.inputs[..] else {
                    panic!("{:?}", batch.inputs)
                };
                assert_eq!(values.len(), batch.samples * elements);
                got.extend(values);
                first += batch.samples;
            }
            assert!(got == values, "batches of {n}");
        }
    }
}

#[test]
fn arrays_are_found_by_number_by_name_or_alone() {
    let folder = Folder::new();
    let array = |x: f32| floats("(1, 2)", &[x, x]);
    let one = [input("serving:0", &[1, 2], DType::F32)];
    let two = [
        input("left", &[1, 2], DType::F32),
        input("right", &[2], DType::F32),
    ];
    let check = |path: &std::path::Path, inputs: &[_], wanted: &[f32]| {
        let got = read_all(path, inputs, &Options::default()).unwrap();
        assert_eq!(
            got,
            wanted
                .iter()
                .map(|&x| Values::F32(vec![x, x]))
                .collect::<Vec<_>>()
        );
    };
    check(
        &folder.stored(&[("other", array(9.0)), ("input_0", array(1.0))]),
        &one,
        &[1.0],
    );
    check(
        &folder.stored(&[("other", array(9.0)), ("serving:0", array(1.0))]),
        &one,
        &[1.0],
    );
    check(
        &folder.stored(&[
            ("anything", array(1.0)),
            ("labels", npy("<i4", "(1,)", &[0; 4])),
        ]),
        &one,
        &[1.0],
    );
    check(
        &folder.stored(&[("input_1", array(2.0)), ("input_0", array(1.0))]),
        &two,
        &[1.0, 2.0],
    );
    check(
        &folder.stored(&[("right", array(2.0)), ("left", array(1.0))]),
        &two,
        &[1.0, 2.0],
    );
    check(&folder.file("x.bin", &array(3.0)), &one, &[3.0]);
    // Keras counts from 1: names, not numbers.
    let keras = [
        input("input_1", &[1, 2], DType::F32),
        input("input_2", &[1, 2], DType::F32),
    ];
    check(
        &folder.stored(&[("input_2", array(2.0)), ("input_1", array(1.0))]),
        &keras,
        &[1.0, 2.0],
    );
}

#[test]
fn shapes_come_with_or_without_the_models_leading_one() {
    let folder = Folder::new();
    for (shape, wanted) in [
        ("(2, 3, 4)", &[1, 3, 4][..]),
        ("(2, 1, 3, 4)", &[1, 3, 4]),
        ("(2, 3, 4)", &[3, 4]),
        ("(24,)", &[1]),
        ("(24, 1)", &[1]),
    ] {
        let path = folder.file("x.npy", &floats(shape, &ramp(24)));
        let got = read_all(
            &path,
            &[input("x", wanted, DType::F32)],
            &Options::default(),
        )
        .unwrap();
        assert_eq!(got, [Values::F32(ramp(24))], "{shape}");
    }
}

/// Array type, its bytes (two elements), the input's type, scale and offset, what comes out, whether scale
/// and offset are still to be applied.
type Case = (
    &'static str,
    Vec<u8>,
    DType,
    Option<(f32, f32)>,
    Values,
    bool,
);

#[test]
fn types_become_what_the_input_takes() {
    let so = Some((0.1f32, -3.0f32));
    let scaled = |x: [f32; 2]| Values::F32(x.map(|x| x * 0.1 + -3.0).to_vec());
    let half = |x: f32| half::f16::from_f32(x).to_le_bytes();
    let i16s = |x: [i16; 2]| x.map(i16::to_le_bytes).concat();
    let cases: Vec<Case> = vec![
        (
            "<f4",
            [1.5f32, -2.0].map(f32::to_le_bytes).concat(),
            DType::F32,
            None,
            Values::F32(vec![1.5, -2.0]),
            false,
        ),
        (
            "<f2",
            [half(1.5), half(-2.0)].concat(),
            DType::F32,
            None,
            Values::F32(vec![1.5, -2.0]),
            false,
        ),
        (
            "<f8",
            [0.1f64, -2.0].map(f64::to_le_bytes).concat(),
            DType::F32,
            so,
            Values::F32(vec![0.1, -2.0]),
            false,
        ),
        (
            ">f4",
            [1.5f32, -2.0].map(f32::to_be_bytes).concat(),
            DType::F32,
            None,
            Values::F32(vec![1.5, -2.0]),
            false,
        ),
        (
            ">i4",
            [7i32, -2].map(i32::to_be_bytes).concat(),
            DType::I32,
            None,
            Values::I32(vec![7, -2]),
            false,
        ),
        (
            "|u1",
            vec![3, 255],
            DType::F32,
            so,
            Values::U8(vec![3, 255]),
            true,
        ),
        (
            "|i1",
            vec![3, 255],
            DType::F32,
            so,
            Values::I8(vec![3, -1]),
            true,
        ),
        (
            "|b1",
            vec![0, 1],
            DType::F32,
            so,
            Values::U8(vec![0, 1]),
            true,
        ),
        (
            "<i2",
            i16s([3, -9]),
            DType::F32,
            so,
            scaled([3.0, -9.0]),
            false,
        ),
        (
            "<u4",
            [3u32, u32::MAX].map(u32::to_le_bytes).concat(),
            DType::F32,
            so,
            scaled([3.0, u32::MAX as f32]),
            false,
        ),
        (
            "<i8",
            [3i64, -9].map(i64::to_le_bytes).concat(),
            DType::I8,
            so,
            scaled([3.0, -9.0]),
            false,
        ),
        (
            "|i1",
            vec![3, 255],
            DType::I8,
            None,
            Values::I8(vec![3, -1]),
            false,
        ),
        (
            "|u1",
            vec![3, 255],
            DType::U8,
            None,
            Values::U8(vec![3, 255]),
            false,
        ),
        (
            "<i2",
            i16s([3, -9]),
            DType::I16,
            None,
            Values::I16(vec![3, -9]),
            false,
        ),
        (
            "|u1",
            vec![3, 255],
            DType::I8,
            so,
            Values::U8(vec![3, 255]),
            true,
        ),
        (
            "<f2",
            [half(1.5), half(-2.0)].concat(),
            DType::I8,
            None,
            Values::F32(vec![1.5, -2.0]),
            false,
        ),
        (
            "|u1",
            vec![3, 255],
            DType::I32,
            None,
            Values::I32(vec![3, 255]),
            false,
        ),
        (
            "<u8",
            [3u64, 1 << 40].map(u64::to_le_bytes).concat(),
            DType::I64,
            so,
            Values::I64(vec![3, 1 << 40]),
            false,
        ),
        (
            "<i8",
            [3i64, -9].map(i64::to_le_bytes).concat(),
            DType::I32,
            None,
            Values::I32(vec![3, -9]),
            false,
        ),
        (
            "|b1",
            vec![0, 2],
            DType::Bool,
            None,
            Values::Bool(vec![0, 1]),
            false,
        ),
    ];
    let folder = Folder::new();
    for (descr, bytes, wanted, scale_offset, values, to_scale) in cases {
        let path = folder.file("x.npy", &npy(descr, "(2, 1)", &bytes));
        let options = Options {
            limit: None,
            scale_offset,
        };
        let inputs = [input("x", &[1, 1], wanted)];
        let got = read_all(&path, &inputs, &options).unwrap();
        assert_eq!(got, std::slice::from_ref(&values), "{descr} for {wanted}");
        let set = DataSet::open(&path, &inputs, &options).unwrap();
        let info = set.arrays().next().unwrap();
        assert_eq!(
            info.scale_offset,
            scale_offset.filter(|_| to_scale),
            "{descr} for {wanted}"
        );
        assert_eq!(info.delivered, values.dtype(), "{descr} for {wanted}");
    }
}

#[test]
fn a_limit_leaves_the_rest_unread() {
    let folder = Folder::new();
    let values = [1.0, 2.0, f32::NAN, 4.0];
    let path = folder.stored(&[
        ("input_0", floats("(4, 1)", &values)),
        ("labels", npy("|i1", "(4,)", &[5, 6, 7, 8])),
    ]);
    let inputs = [input("x", &[1, 1], DType::F32)];
    let options = Options {
        limit: Some(2),
        scale_offset: None,
    };
    let set = DataSet::open(&path, &inputs, &options).unwrap();
    assert_eq!((set.len(), set.labels().unwrap().len()), (2, 2));
    assert_eq!(
        read_all(&path, &inputs, &options).unwrap(),
        [Values::F32(vec![1.0, 2.0])]
    );
    let all = Options {
        limit: Some(1000),
        ..options
    };
    assert_eq!(DataSet::open(&path, &inputs, &all).unwrap().len(), 4);
}

#[test]
fn labels_are_classes_or_rows_of_classes() {
    let folder = Folder::new();
    let open = |labels: Vec<u8>| {
        let path = folder.stored(&[
            ("input_0", floats("(3, 1)", &[1.0, 2.0, 3.0])),
            ("labels", labels),
        ]);
        DataSet::open(
            &path,
            &[input("x", &[1, 1], DType::F32)],
            &Options::default(),
        )
        .unwrap()
    };
    let single = npy("<i8", "(3,)", &[4i64, 0, 2].map(i64::to_le_bytes).concat());
    let real = npy(
        "<f4",
        "(3, 1)",
        &[4f32, 0.0, 2.0].map(f32::to_le_bytes).concat(),
    );
    for labels in [single, real] {
        let set = open(labels);
        let labels = set.labels().unwrap();
        assert_eq!(
            [labels.accepted(0), labels.accepted(1), labels.accepted(2)],
            [[4], [0], [2]]
        );
    }
    let set = open(npy("|i1", "(3, 2)", &[4, 255, 0, 7, 2, 255]));
    let labels = set.labels().unwrap();
    assert_eq!(
        (0..labels.len())
            .map(|i| labels.accepted(i))
            .collect::<Vec<_>>(),
        [&[4][..], &[0, 7], &[2]]
    );
}
