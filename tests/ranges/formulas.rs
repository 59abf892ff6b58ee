//! The formulas in numpy over the values themselves (`formulas.py`), within the bounds that the modules state.

use super::properties::{choose, rms, seen, width};
use super::support;
use std::path::Path;
use std::process::Command;
use zeropoint::calibrate::{Samples, moving_average};
use zeropoint::num::Range;

/// Values of a sample, as in `formulas.py`; what is left at the end belongs to none.
const SAMPLE: usize = 37;

/// Numbers from 0 to 1 that are the same everywhere.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Values as activations have them.
pub fn sets() -> Vec<(&'static str, Vec<f32>)> {
    let many = |seed: u64, n: usize, value: &dyn Fn(&mut dyn FnMut() -> f64) -> f64| -> Vec<f32> {
        let mut next = uniform(seed);
        (0..n).map(|_| value(&mut next) as f32).collect()
    };
    let normal = |next: &mut dyn FnMut() -> f64| (0..12).map(|_| next()).sum::<f64>() - 6.0;
    vec![
        ("normal", many(1, 20_000, &normal)),
        (
            "rectified",
            many(2, 20_000, &|next| normal(next).max(0.0) * 1.7),
        ),
        (
            "tailed",
            many(3, 20_000, &|next| normal(next).powi(5) * 0.1),
        ),
        (
            "lopsided",
            many(4, 20_000, &|next| normal(next).exp() - 0.6),
        ),
        ("negative", many(5, 5_000, &|next| -normal(next).powi(2))),
        ("few", many(6, 37, &|next| next() - 0.3)),
    ]
}

#[test]
fn numpy_agrees_on_the_values_themselves() {
    let Some(python) = support::python() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, values) in sets() {
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let path = |kind: &str| folder.path().join(format!("{name}.{kind}"));
        std::fs::write(path("f32"), bytes).unwrap();
        std::fs::write(path("width"), width(&seen(&values).1).to_string()).unwrap();
    }
    let script = support::root().join("tests/ranges/formulas.py");
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
    for (name, values) in sets() {
        let (range, histogram) = seen(&values);
        let text = std::fs::read_to_string(folder.path().join(format!("{name}.json"))).unwrap();
        let answers: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text).unwrap();
        let width = width(&histogram);
        for (method, answer) in &answers {
            let Some(ends) = answer.as_array() else {
                // Searched on the histogram, judged by the values: off by a bin here and there.
                let kept = choose(&"mse".parse().unwrap(), range, &histogram, 8);
                let (ours, best) = (rms(&values, kept, 8), answer.as_f64().unwrap());
                assert!(
                    ours <= best + 2.0 * width && ours <= 1.05 * best,
                    "{name}: {ours}, not {best}"
                );
                continue;
            };
            let Range { min, max } = choose(&method.parse().unwrap(), range, &histogram, 8);
            let bound = match method.starts_with("percentile") {
                true => width,
                false => 1e-6 * f64::from(range.max - range.min),
            };
            let low = ends[0]
                .as_f64()
                .unwrap()
                .clamp(f64::from(range.min.min(0.0)), 0.0);
            let high = ends[1]
                .as_f64()
                .unwrap()
                .clamp(0.0, f64::from(range.max.max(0.0)));
            let near = |ours: f32, theirs: f64| (f64::from(ours) - theirs).abs() <= bound;
            assert!(
                near(min, low) && near(max, high),
                "{method} of {name}: [{min}, {max}], not [{low}, {high}] ± {bound}"
            );
        }
        assert_eq!(answers.len(), 10);
        judge_moments(folder.path(), name, &values);
    }
}

/// Zeros, mean, deviation, and the moving average over samples.
fn judge_moments(folder: &Path, name: &str, values: &[f32]) {
    let text = std::fs::read_to_string(folder.join(format!("{name}.moments.json"))).unwrap();
    let answers: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (_, histogram) = seen(values);
    let ours = histogram.moments().unwrap();
    assert_eq!(ours.within, 0.5 * width(&histogram));
    for (key, value) in [("mean", ours.mean), ("deviation", ours.deviation)] {
        let exact = answers[key].as_f64().unwrap();
        assert!(
            (value - exact).abs() <= ours.within,
            "{key} of {name}: {value}, not {exact} ± {}",
            ours.within
        );
    }
    assert_eq!(answers["zeros"], histogram.zeros.unwrap(), "{name}");
    let each = values.chunks_exact(SAMPLE).map(|sample| seen(sample).0);
    let samples = Samples {
        samples: values.len() / SAMPLE,
        ranges: vec![each.collect()],
    };
    let Range { min, max } = moving_average(&samples)[0].unwrap();
    for (end, exact) in [min, max].into_iter().zip(0..) {
        let exact = answers["moving-average"][exact].as_f64().unwrap();
        let off = (f64::from(end) - exact).abs();
        assert!(off <= 1e-6 * exact.abs(), "{name}: {end}, not {exact}");
    }
}
