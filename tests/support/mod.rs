//! What several integration tests share: where things are, npz files, devices.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "every test binary uses its own part; a test may panic"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use zeropoint::cpu::Cpu;
use zeropoint::gpu::{FloatPath, Gpu, Int8Path, Options, Tuning};
use zeropoint::kernel::Device;
use zeropoint::num::Values;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the example.
pub fn har(file: &str) -> String {
    let path = root().join("examples/har").join(file);
    path.display().to_string()
}

/// Runs the real program.
pub fn zeropoint(arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_zeropoint"));
    command.args(arguments).assert()
}

/// What it said on stderr.
pub fn errors(ran: &assert_cmd::assert::Assert) -> String {
    String::from_utf8_lossy(&ran.get_output().stderr).into_owned()
}

/// Quantizes the example into `folder`.
pub fn quantize(folder: &Path, name: &str, options: &[&str]) -> PathBuf {
    let to = folder.join(name);
    let out = to.display().to_string();
    let model = har("model.tflite");
    let fixed = ["quantize", &model, "-o", &out];
    zeropoint(&[&fixed[..], options].concat()).success();
    to
}

/// Numbers from a seed, the same everywhere (splitmix64).
pub struct Random(pub u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// One of a list.
    pub fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// The Python that has `ai-edge-litert`, or `None` with a loud word; an error where it is required.
pub fn python() -> Option<PathBuf> {
    let path = std::env::var_os("ZEROPOINT_PYTHON")
        .map_or_else(|| root().join(".venv/bin/python"), PathBuf::from);
    let probe = Command::new(&path)
        .args(["-c", "import ai_edge_litert.interpreter, numpy"])
        .output();
    if probe.is_ok_and(|o| o.status.success()) {
        return Some(path);
    }
    let hint = format!(
        "no Python with ai-edge-litert at {}; ./zp test sets it up",
        path.display()
    );
    assert!(
        std::env::var_os("ZEROPOINT_REQUIRE_LITERT").is_none(),
        "{hint}"
    );
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {hint}\n"));
    None
}

/// The folder of development models, or `None` with a loud word.
pub fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("ZEROPOINT_SHARED")
        .map_or_else(|| root().join("../shared"), PathBuf::from);
    if path.join("models").is_dir() {
        return Some(path);
    }
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("SKIPPED: no development models at {}\n", path.display()),
    );
    None
}

/// The GPU, or `None` with a loud word; an error where it is required. The user's cache folder is left alone.
pub fn gpu() -> Option<Gpu> {
    let options = Options {
        tuning: Tuning::Reasoned,
        ..Options::default()
    };
    match Gpu::open_with(&options) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            assert!(
                std::env::var_os("ZEROPOINT_REQUIRE_GPU").is_none(),
                "a GPU is required: {error}"
            );
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("SKIPPED: {error}\n"),
            );
            None
        }
    }
}

/// Every device that is there; a GPU with shaders that check themselves and with such that do not, and once more with its
/// matrix units.
pub fn devices() -> Vec<Box<dyn Device>> {
    let mut devices: Vec<Box<dyn Device>> = vec![Box::new(Cpu::definition()), Box::new(Cpu::new())];
    if gpu().is_none() {
        return devices;
    }
    let plain = Options {
        int8: Int8Path::Dot,
        float: FloatPath::Exact,
        tuning: Tuning::Reasoned,
        ..Options::default()
    };
    let checked = Options {
        checked: true,
        ..plain.clone()
    };
    devices.push(Box::new(Gpu::open_with(&plain).unwrap()));
    devices.push(Box::new(Gpu::open_with(&checked).unwrap()));
    let matrix = Options {
        int8: Int8Path::Matrix,
        float: FloatPath::Fast,
        tuning: Tuning::Reasoned,
        ..Options::default()
    };
    match Gpu::open_with(&matrix) {
        Ok(gpu) => devices.push(Box::new(gpu)),
        Err(error) => {
            let text = format!("SKIPPED: products on matrix units: {error}\n");
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
    }
    devices
}

/// An array of an npz file.
#[derive(Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

/// All arrays of an npz file, by name.
pub fn read_npz(path: &Path) -> BTreeMap<String, Array> {
    let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let names: Vec<String> = zip.file_names().map(str::to_owned).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let file = npyz::NpyFile::new(zip.by_name(&name).unwrap()).unwrap();
            let shape = file.shape().iter().map(|&d| d as usize).collect();
            let npyz::DType::Plain(kind) = file.dtype() else {
                panic!("{name}: a structured array")
            };
            let values = match kind.to_string().trim_matches('\'') {
                "<f4" => Values::F32(file.into_vec().unwrap()),
                "|i1" => Values::I8(file.into_vec().unwrap()),
                "|u1" => Values::U8(file.into_vec().unwrap()),
                "<i2" => Values::I16(file.into_vec().unwrap()),
                "<i4" => Values::I32(file.into_vec().unwrap()),
                "<i8" => Values::I64(file.into_vec().unwrap()),
                "|b1" => {
                    let answers: Vec<bool> = file.into_vec().unwrap();
                    Values::Bool(answers.into_iter().map(u8::from).collect())
                }
                _ => return None,
            };
            Some((
                name.trim_end_matches(".npy").to_owned(),
                Array { shape, values },
            ))
        })
        .collect()
}

/// Runs models in LiteRT's reference kernels and compares with what zeropoint made of them: integers must be equal, floats
/// within 10⁻⁴ of their range, in at least so many tensors of each. A job is an entry of `tests/litert/batch.py`'s list, with
/// our arrays at `ours`; it may have a `tolerance` of its own for floats, and `steps` by which integers of
/// such floats may differ, or by as much of their range.
pub fn judge_by_litert(python: &Path, jobs: &[serde_json::Value], least: usize) {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.json");
    std::fs::write(&list, serde_json::to_string(jobs).unwrap()).unwrap();
    let script = root().join("tests/litert/batch.py");
    let ran = std::process::Command::new(python)
        .arg(script)
        .arg(&list)
        .output();
    let ran = ran.unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{errors}");
    let failed = std::fs::read_to_string(folder.path().join("list.json.failed")).unwrap();
    assert_eq!(failed, "{}");
    for job in jobs {
        let read = |key: &str| read_npz(Path::new(job[key].as_str().unwrap()));
        let (ours, theirs) = (read("ours"), read("out"));
        let tolerance = job["tolerance"].as_f64().unwrap_or(1e-4) as f32;
        let steps = job["steps"].as_f64().unwrap_or(0.0) as f32;
        let mut compared = 0;
        for (name, got) in &ours {
            let Some(want) = theirs.get(name) else {
                continue;
            };
            let what = format!("{name} of {}", job["model"]);
            match (&got.values, &want.values) {
                (Values::F32(a), Values::F32(b)) => {
                    let ends = b
                        .iter()
                        .fold((0f32, 0f32), |(l, h), &x| (l.min(x), h.max(x)));
                    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
                    let worst = differences.fold(0.0, f32::max);
                    let bound = tolerance * (ends.1 - ends.0);
                    assert!(worst <= bound, "{what}: {worst} beyond {bound}");
                }
                (a, b) if steps == 0.0 => assert!(a.bytes() == b.bytes(), "{what} differs"),
                (a, b) => {
                    assert_eq!(a.dtype(), b.dtype(), "{what}");
                    let (a, b) = (a.to_f32(|q| q as f32), b.to_f32(|q| q as f32));
                    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
                    let worst = differences.fold(0.0, f32::max);
                    let ends = b
                        .iter()
                        .fold((0f32, 0f32), |(l, h), &x| (l.min(x), h.max(x)));
                    let bound = steps.max(tolerance * (ends.1 - ends.0));
                    assert!(worst <= bound, "{what}: {worst} beyond {bound}");
                }
            }
            compared += 1;
        }
        assert!(compared > least, "{compared} tensors of {}", job["model"]);
    }
}
