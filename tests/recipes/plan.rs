//! The plan as a file.

use super::{DATA, har, write};
use crate::support::{Random, errors, quantize, zeropoint};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A mixed model of the example with its plan.
fn planned(folder: &Path) -> (PathBuf, PathBuf) {
    let recipe = r#"
        version = 1
        [[rule]]
        op = "CONV_2D"
        scheme = "int16x8"
        [[rule]]
        index = 3
        scheme = "dynamic"
    "#;
    let (recipe, calib) = (write(folder, recipe), har("calib.npz"));
    let options = ["--recipe", &recipe, "--data", &calib];
    let model = quantize(folder, "mixed.tflite", &[&options[..], &DATA].concat());
    (model, folder.join("mixed.plan.json"))
}

/// Carries out a plan that may be damaged. Whether it was; if not, nothing may be left behind.
fn carried_out(folder: &Path, plan: &str, what: &str) -> bool {
    let (path, to) = (folder.join("damaged.json"), folder.join("damaged.tflite"));
    std::fs::write(&path, plan).unwrap();
    let (path, out, model) = (
        path.display().to_string(),
        to.display().to_string(),
        har("model.tflite"),
    );
    let ran = zeropoint(&["quantize", &model, "--plan", &path, "-o", &out]);
    let code = ran.get_output().status.code();
    let error = errors(&ran);
    assert!(
        matches!(code, Some(0 | 2)) && !error.contains("panicked"),
        "{what}: {code:?} {error}"
    );
    assert_eq!(to.exists(), code == Some(0), "{what}");
    let done = code == Some(0);
    if done {
        std::fs::remove_file(to).unwrap();
    } else {
        assert!(error.starts_with("error: "), "{what}: {error}");
    }
    done
}

/// It lies beside the model, gives the same bytes without data, and is what `plan --json` prints.
#[test]
fn a_plan_is_carried_out_again() {
    let folder = TempDir::new().unwrap();
    let (first, plan) = planned(folder.path());
    let first = std::fs::read(first).unwrap();
    let again = |name: &str, plan: &Path| {
        let plan = plan.display().to_string();
        std::fs::read(quantize(folder.path(), name, &["--plan", &plan])).unwrap()
    };
    assert!(again("again.tflite", &plan) == first);
    assert!(
        !folder.path().join("again.plan.json").exists(),
        "a plan that was read is not written once more"
    );
    let (model, calib) = (har("model.tflite"), har("calib.npz"));
    let recipe = folder.path().join("r.toml").display().to_string();
    let command = ["plan", &model, "--recipe", &recipe, "--data", &calib];
    let printed = zeropoint(&[&command[..], &DATA, &["--json"]].concat()).success();
    let printed = printed.get_output().stdout.clone();
    let written: Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
    let value: Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(value, written);
    let path = folder.path().join("printed.json");
    std::fs::write(&path, printed).unwrap();
    assert!(again("printed.tflite", &path) == first);
}

/// Dynamic range keeps what no kernel takes as int8 behind DEQUANTIZE; its plan says so.
#[test]
fn a_plan_of_every_scheme_gives_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let calib = har("calib.npz");
    let data = ["--data", &calib, "--limit", "5", "--device", "cpu"];
    for (name, scheme) in [
        ("dynamic", vec!["--scheme", "dynamic"]),
        (
            "wide",
            [&["--scheme", "int16x8", "--io", "int16"], &data[..]].concat(),
        ),
        ("bytes", [&["--io", "uint8"], &data[..]].concat()),
    ] {
        let first = quantize(folder.path(), &format!("{name}.tflite"), &scheme);
        let plan = folder.path().join(format!("{name}.plan.json"));
        let plan = plan.display().to_string();
        let again = quantize(folder.path(), "again.tflite", &["--plan", &plan]);
        let (first, again) = (std::fs::read(first).unwrap(), std::fs::read(again).unwrap());
        assert!(first == again, "{name}");
    }
}

/// A plan for another model, and one of another version, are refused.
#[test]
fn a_plan_belongs_to_its_model() {
    let folder = TempDir::new().unwrap();
    let (model, plan) = planned(folder.path());
    let (model, plan) = (model.display().to_string(), plan.display().to_string());
    let out = folder.path().join("q.tflite").display().to_string();
    let other = zeropoint(&["quantize", &model, "--plan", &plan, "-o", &out]).code(2);
    assert!(
        errors(&other).contains("another model"),
        "{}",
        errors(&other)
    );
    for (key, value) in [
        ("version", json!(2)),
        ("format", json!("zeropoint statistics")),
    ] {
        let mut changed: Value = serde_json::from_slice(&std::fs::read(&plan).unwrap()).unwrap();
        changed[key] = value;
        assert!(!carried_out(folder.path(), &changed.to_string(), key));
    }
    for option in ["--data", "--calibration", "--recipe", "--scheme", "--io"] {
        let value = if option == "--scheme" {
            "int8"
        } else {
            "float"
        };
        let from = har("model.tflite");
        let refused = zeropoint(&[
            "quantize", &from, "--plan", &plan, option, value, "-o", &out,
        ]);
        let error = errors(&refused.code(2));
        assert!(error.contains("cannot be used with"), "{option}: {error}");
    }
    assert!(!Path::new(&out).exists());
}

/// What cannot be carried out is refused before anything is written.
#[test]
fn a_mangled_plan_is_refused() {
    let folder = TempDir::new().unwrap();
    let (_, path) = planned(folder.path());
    let text = std::fs::read_to_string(path).unwrap();
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert!(carried_out(folder.path(), &plan.to_string(), "as it is"));
    for at in (0..text.len() - 2).step_by(text.len() / 20) {
        let cut = String::from_utf8_lossy(&text.as_bytes()[..at]).into_owned();
        let what = format!("cut at {at}");
        assert!(!carried_out(folder.path(), &cut, &what));
    }
    for (at, value) in [
        ("/plan/activations/1/tensor", json!(-1)),
        ("/plan/activations/1/tensor", json!(100_000)),
        ("/plan/activations/1/tensor", json!(1)),
        ("/plan/activations/1/tensor", json!(u64::MAX)),
        ("/plan/activations/1/scale", json!(0)),
        ("/plan/activations/1/scale", json!(-1)),
        ("/plan/activations/1/scale", json!(1e300)),
        ("/plan/activations/1/zero_point", json!(1_i64 << 40)),
        ("/plan/constants/0/source", json!(1 << 30)),
        ("/plan/constants/0/tensor", json!(u64::MAX)),
        ("/plan/constants/0/scales", json!([])),
        ("/plan/constants/0/scales/0", json!(-1)),
        ("/plan/constants/0/axis", json!(9)),
        ("/plan/constants/0/uses/0/node", json!(99)),
        ("/plan/conversions/0/from", json!(99_999)),
        ("/plan/conversions/0/before", json!(u64::MAX)),
        ("/plan/tensors/0/like", json!(99_999)),
        ("/plan/tensors/0/tensor", json!(u64::MAX)),
        ("/plan/intermediates/0/first", json!(99_999)),
        ("/plan/intermediates/0/first", json!(u64::MAX)),
        ("/plan/operators/0/version", json!(59)),
        ("/plan/operators/0/name", json!("ADD")),
        ("/plan/activations/1/scale", json!(1e-45)),
        ("/plan/intermediates/0/node", json!(0)),
        ("/plan/operators", json!([])),
        ("/plan/io", json!("int4")),
        ("/inputs/0", json!([-1, 128, 6, 1])),
        ("/inputs/0", json!([128, 6, 1])),
        ("/inputs", json!([])),
    ] {
        let mut changed = plan.clone();
        *changed.pointer_mut(at).unwrap() = value.clone();
        let what = format!("{at}: {value}");
        assert!(
            !carried_out(folder.path(), &changed.to_string(), &what),
            "{what}"
        );
    }
}

/// Any damage: a panic, a hang or half a file is never the answer.
#[test]
fn no_damage_to_a_plan_is_more_than_an_error() {
    let folder = TempDir::new().unwrap();
    let (_, path) = planned(folder.path());
    let plan: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut random = Random(7);
    for _ in 0..150 {
        let mut changed = plan.clone();
        let what = damage(&mut changed, &mut random);
        carried_out(folder.path(), &changed.to_string(), &what);
    }
}

/// Goes down at random and changes what it comes to.
fn damage(value: &mut Value, random: &mut Random) -> String {
    let deeper = random.below(8) > 0;
    match value {
        Value::Object(all) if deeper && !all.is_empty() => {
            let mut keys: Vec<String> = all.keys().cloned().collect();
            // The identity of the model is checked first, and hides the rest.
            keys.retain(|k| !matches!(k.as_str(), "format" | "version" | "model"));
            let key = random.pick(&keys);
            if random.below(10) == 0 {
                all.remove(&key);
                return format!("without {key}");
            }
            format!("{key} {}", damage(all.get_mut(&key).unwrap(), random))
        }
        Value::Array(all) if deeper && !all.is_empty() => {
            let place = random.below(all.len());
            match random.below(12) {
                0 => drop(all.remove(place)),
                1 => all.push(all[place].clone()),
                2 => all.reverse(),
                _ => return format!("{place} {}", damage(&mut all[place], random)),
            }
            format!("list changed at {place}")
        }
        other => {
            let small = json!(random.below(64));
            *other = random.pick(&[
                small.clone(),
                small,
                json!(-1),
                json!(0),
                json!(1.5),
                json!(i32::MAX),
                json!(u64::MAX),
                json!(1e-45),
                json!(1e308),
                json!(null),
                json!([]),
                json!({}),
                json!("i16"),
                json!("f32"),
                json!("int8"),
            ]);
            format!("= {other}")
        }
    }
}
