//! With numpy itself, where there is one, and with the real data of the models, where these are.

use std::path::{Path, PathBuf};
use std::process::Command;

use zeropoint::data::{DataSet, NpzWriter, Options};
use zeropoint::num::{DType, Values};

use crate::files::{Folder, input, read_all};

/// A Python with numpy: `ZEROPOINT_PYTHON`, or the one in `.venv`.
fn python() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let python = std::env::var_os("ZEROPOINT_PYTHON").map_or(venv, PathBuf::from);
    let works = Command::new(&python)
        .args(["-c", "import numpy"])
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no Python with numpy in .venv or ZEROPOINT_PYTHON\n"),
        );
    }
    works.then_some(python)
}

fn run(python: &Path, script: &str, path: &Path) {
    let output = Command::new(python)
        .args(["-c", script])
        .arg(path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn numpy_reads_what_is_written() {
    let Some(python) = python() else { return };
    let folder = Folder::new();
    let path = folder.path("out.npz");
    let mut writer = NpzWriter::create(&path).unwrap();
    for values in [
        Values::F32(vec![0.1, -0.0, 3e38, 1e-45, 5.0, 6.0]),
        Values::I8(vec![-128, -1, 0, 1, 2, 127]),
        Values::U8(vec![0, 1, 2, 3, 4, 255]),
        Values::I16(vec![i16::MIN, -1, 0, 1, 2, i16::MAX]),
        Values::I32(vec![i32::MIN, -1, 0, 1, 2, i32::MAX]),
        Values::I64(vec![i64::MIN, -1, 0, 1, 2, i64::MAX]),
    ] {
        let name = values.dtype().name();
        writer.append(name, &[3], &values).unwrap();
        writer.append(name, &[3], &values).unwrap();
    }
    writer.append("flat", &[], &Values::U8(vec![9; 5])).unwrap();
    writer.finish().unwrap();
    let script = r#"
import sys, numpy as np
z = np.load(sys.argv[1])
def check(name, values):
    x = z[name]
    assert x.dtype == np.dtype(name) and x.shape == (4, 3) and x.flags.c_contiguous, (name, x.dtype, x.shape)
    assert x.tobytes() == np.array(values * 2, dtype=name).tobytes(), (name, x)
check("float32", [0.1, -0.0, 3e38, 1e-45, 5, 6])
check("int8", [-128, -1, 0, 1, 2, 127])
check("uint8", [0, 1, 2, 3, 4, 255])
for name in ("int16", "int32", "int64"):
    check(name, [np.iinfo(name).min, -1, 0, 1, 2, np.iinfo(name).max])
assert z["flat"].shape == (5,) and len(z.files) == 7
"#;
    run(&python, script, &path);
}

#[test]
fn what_numpy_writes_is_read() {
    let Some(python) = python() else { return };
    let folder = Folder::new();
    for save in ["np.savez", "np.savez_compressed"] {
        let path = folder.path("in.npz");
        let script = format!(
            "import sys, numpy as np\n\
             r = np.arange(24).reshape(4, 1, 2, 3)\n\
             {save}(sys.argv[1], a=r.astype('>f8') / 8, b=(r[:, 0] > 9), c=r.astype(np.uint64), labels=np.arange(4))"
        );
        run(&python, &script, &path);
        let inputs = [
            input("a", &[1, 2, 3], DType::F32),
            input("b", &[1, 2, 3], DType::Bool),
            input("c", &[1, 2, 3], DType::I32),
        ];
        let read = read_all(&path, &inputs, &Options::default()).unwrap();
        assert_eq!(
            read[0],
            Values::F32((0..24).map(|i| i as f32 / 8.0).collect())
        );
        assert_eq!(
            read[1],
            Values::Bool((0..24).map(|i| u8::from(i > 9)).collect())
        );
        assert_eq!(read[2], Values::I32((0..24).collect()));
        let set = DataSet::open(&path, &inputs, &Options::default()).unwrap();
        assert_eq!(set.labels().unwrap().accepted(3), [3]);
    }
    let path = folder.path("fortran.npy");
    run(
        &python,
        "import sys, numpy as np; np.save(sys.argv[1], np.ones((2, 3), order='F'))",
        &path,
    );
    let text = crate::files::problem(
        &path,
        &[input("x", &[1, 3], DType::F32)],
        &Options::default(),
    );
    assert!(text.contains("ascontiguousarray"), "{text}");
}

#[test]
fn the_models_own_data_is_read() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("ZEROPOINT_SHARED").map_or(here.join("../shared"), PathBuf::from);
    if !shared.join("models").is_dir() {
        let _ = std::io::Write::write_fmt(
            &mut std::io::stderr(),
            format_args!("SKIPPED: no {}/models\n", shared.display()),
        );
        return;
    }
    let scale_offset = Some((1.0 / 127.5, -1.0));
    for (file, shape, dtype, samples, labels) in [
        (
            "deepconvlstm_gdps/eval.npz",
            &[1, 128, 6, 1][..],
            DType::F32,
            1031,
            7,
        ),
        (
            "blazeface_short/eval.npz",
            &[1, 128, 128, 3],
            DType::F32,
            200,
            2,
        ),
        ("textgenrnn_lstm/eval.npz", &[1, 40], DType::I32, 1000, 1000),
        (
            "ina_speech_music_noise/calib.npz",
            &[1, 68, 21],
            DType::F32,
            200,
            0,
        ),
    ] {
        let path = shared.join("models").join(file);
        let options = Options {
            limit: None,
            scale_offset,
        };
        let mut set = DataSet::open(&path, &[input("any", shape, dtype)], &options).unwrap();
        assert_eq!(set.len(), samples, "{file}");
        let read: usize = set
            .batches(64)
            .map(|batch| batch.unwrap().inputs[0].len())
            .sum();
        assert_eq!(read, samples * shape.iter().product::<usize>(), "{file}");
        assert_eq!(set.labels().is_some(), labels > 0, "{file}");
        if let Some(found) = set.labels() {
            assert!((0..found.len()).all(|i| {
                found
                    .accepted(i)
                    .iter()
                    .all(|class| (0..labels).contains(class))
            }));
        }
    }
}
