//! ONNX Runtime's own calibrators (`onnxruntime.py`) over the same samples, where their definitions are ours, and where they
//! are not, what the difference comes from.
//!
//! **Percentile**, not symmetric: ONNX Runtime cuts (100 − P) / 2 percent of the values on each side, as our
//! `percentile:LOW,HIGH` with these numbers, and takes the left edge of the bin in which the rank lies; ours goes on to
//! where the rank lies within the bin. So the ends are apart by at most a bin of theirs and one of ours. Symmetric, it is a
//! percentile of magnitudes, which is another method, but for values that are not negative: there the upper ends agree.
//!
//! **Entropy**: with its default of 128 bins ONNX Runtime has a single candidate and keeps everything. With 2048 bins its
//! candidates have odd numbers of bins, whose rest goes to the last of the 128 groups and is not spread again, while ours
//! are spread evenly (`src/ranges/entropy.rs`). Both keep values that fill their range. On bells the ends differ by less
//! than a tenth of the range; on values of one sign it leaves half of its groups empty, and keeps more than we do.

use super::formulas::sets;
use super::properties::{choose, seen, width};
use super::support;
use std::path::PathBuf;
use std::process::Command;
use zeropoint::num::{Histogram, Range};
use zeropoint::ranges::Choice;

/// A Python with onnxruntime, or `None` with a loud word; an error where it is required.
fn python() -> Option<PathBuf> {
    let path = support::python()?;
    let import = "from onnxruntime.quantization import calibrate";
    // Elsewhere than beside a file of that name.
    let folder = tempfile::tempdir().unwrap();
    let probe = Command::new(&path)
        .args(["-c", import])
        .current_dir(folder.path())
        .output();
    if probe.is_ok_and(|o| o.status.success()) {
        return Some(path);
    }
    let hint = format!(
        "no onnxruntime for {}; ./zp test installs it",
        path.display()
    );
    assert!(
        std::env::var_os("ZEROPOINT_REQUIRE_ONNXRUNTIME").is_none(),
        "{hint}"
    );
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {hint}\n"));
    None
}

struct Theirs {
    range: Range,
    width: f64,
}

fn ours(method: &str, range: Range, histogram: &Histogram) -> Range {
    let method: Choice = method.parse().unwrap();
    choose(&method, range, histogram, 8)
}

#[test]
fn onnx_runtime_agrees_where_it_means_the_same() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let even: Vec<f32> = (0..20_000).map(|i| i as f32 / 10_000.0 - 1.0).collect();
    let mut all = sets();
    all.push(("even", even));
    for (name, values) in &all {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.path().join(format!("{name}.f32")), bytes).unwrap();
    }
    let script = support::root().join("tests/ranges/onnxruntime.py");
    let ran = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    for (name, values) in &all {
        let (range, histogram) = seen(values);
        let text = std::fs::read_to_string(folder.path().join(format!("{name}.ort.json"))).unwrap();
        let answers: serde_json::Value = serde_json::from_str(&text).unwrap();
        let theirs = |method: &str| {
            let number = |value: &serde_json::Value| value.as_f64().unwrap();
            let answer = &answers[method];
            // We keep 0 in every range.
            Theirs {
                range: Range {
                    min: (number(&answer["range"][0]) as f32).min(0.0),
                    max: (number(&answer["range"][1]) as f32).max(0.0),
                },
                width: number(&answer["width"]),
            }
        };
        let near = |what: &str, ours: f32, theirs: f32, bound: f64| {
            let off = (f64::from(ours) - f64::from(theirs)).abs();
            assert!(
                off <= bound,
                "{what} of {name}: {ours}, not {theirs} ± {bound}"
            );
        };
        let both = |what: &str, ours: Range, theirs: Range, bound: f64| {
            near(what, ours.min, theirs.min, bound);
            near(what, ours.max, theirs.max, bound);
        };
        let span = f64::from(range.max.max(0.0)) - f64::from(range.min.min(0.0));
        let bins = |t: &Theirs| t.width + width(&histogram) + 1e-6 * span;
        for (what, method) in [
            ("percentile 99.875", "percentile:0.0625,99.9375"),
            ("percentile 97.3325", "percentile:1.33375,98.66625"),
        ] {
            let t = theirs(what);
            both(what, ours(method, range, &histogram), t.range, bins(&t));
        }
        if range.min >= 0.0 {
            let t = theirs("symmetric 99.8875");
            let kept = ours("percentile:0,99.8875", range, &histogram);
            near("symmetric 99.8875", kept.max, t.range.max, bins(&t));
        }
        let everything = ours("minmax", range, &histogram);
        let t = theirs("entropy by default");
        both("entropy by default", everything, t.range, 1e-6 * span);
        let (kept, t) = (ours("entropy", range, &histogram), theirs("entropy"));
        match *name {
            "even" | "few" => both("entropy", kept, t.range, bins(&t)),
            "normal" => both("entropy", kept, t.range, 0.1 * span),
            "rectified" => assert!(kept.max < t.range.max),
            _ => {}
        }
    }
}
