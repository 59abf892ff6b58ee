//! Scores and distances against scikit-learn and numpy (`golden/metrics.json`, `golden/areas.json`, made by the scripts
//! beside them), and what must hold for all data.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use serde_json::Value;
use zeropoint::evaluate::{
    Classification, Distance, Error, Figures, METRICS, Metrics, metric, usual,
};

fn golden(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("golden/metrics.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn integers(value: &Value) -> Vec<i64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_i64().unwrap())
        .collect()
}

fn reals(value: &Value) -> Vec<f32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap() as f32)
        .collect()
}

/// Whether what we serialise and what the file says is the same number, to 1e-12, or the same null.
fn assert_same(case: &Value, key: &str, ours: &Value) {
    let wanted = &case[key];
    let same = match (wanted.as_f64(), ours.as_f64()) {
        (Some(wanted), Some(ours)) => (wanted - ours).abs() <= 1e-12 * wanted.abs().max(1.0),
        _ => wanted == ours,
    };
    assert!(same, "{}: {key} is {ours}, not {wanted}", case["name"]);
}

fn scores_of(case: &Value) -> Vec<Vec<i64>> {
    if let Some(scores) = case["scores"].as_array() {
        return scores.iter().map(integers).collect();
    }
    let classes = case["classes"].as_u64().unwrap() as usize;
    let row = |best: &Value| {
        let mut row = vec![0; classes];
        let best = integers(best);
        for (place, &class) in best.iter().enumerate() {
            row[class as usize] = (best.len() - place) as i64;
        }
        row
    };
    case["best"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn classification_is_scikit_learns() {
    let cases = golden("classification");
    assert_eq!(cases.len(), 11);
    for case in &cases {
        let classes = case["classes"].as_u64().unwrap() as usize;
        let labels: Vec<Vec<i64>> = case["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(integers)
            .collect();
        let mut count = Classification::new(classes).unwrap();
        for (scores, accepted) in scores_of(case).iter().zip(&labels) {
            count.add(scores, accepted).unwrap();
        }
        let metrics = count.metrics().unwrap();
        assert_eq!(metrics.samples as usize, labels.len());
        let ours = serde_json::to_value(&metrics).unwrap();
        for key in [
            "accuracy",
            "top5_accuracy",
            "macro_precision",
            "macro_recall",
            "macro_f1",
            "balanced_accuracy",
            "kappa",
        ] {
            assert_same(case, key, &ours[key]);
        }
        let rows = case["per_class"].as_array().unwrap();
        assert_eq!(rows.len(), metrics.per_class.len(), "{}", case["name"]);
        for (row, class) in rows.iter().zip(&metrics.per_class) {
            assert_eq!(
                (row[0].as_u64(), row[1].as_u64()),
                (Some(class.class as u64), Some(class.support))
            );
            for (wanted, ours) in [
                (&row[2], class.precision),
                (&row[3], class.recall),
                (&row[4], class.f1),
            ] {
                assert!(
                    (wanted.as_f64().unwrap() - ours).abs() <= 1e-12,
                    "{}: {row} {class:?}",
                    case["name"]
                );
            }
        }
        let cells: Vec<Vec<i64>> = case["confusion"]
            .as_array()
            .unwrap()
            .iter()
            .map(integers)
            .collect();
        let ours = metrics
            .confusion
            .cells
            .iter()
            .map(|c| vec![c.class as i64, c.predicted as i64, c.count as i64]);
        assert_eq!(ours.collect::<Vec<_>>(), cells, "{}", case["name"]);
        let dense = metrics.confusion.dense().unwrap();
        assert_eq!(
            (dense.sum(), dense.diag().sum() as f64 / dense.sum() as f64),
            (metrics.samples, metrics.accuracy)
        );
    }
}

#[test]
fn distances_are_numpys() {
    let cases = golden("distance");
    assert_eq!(cases.len(), 8);
    for case in &cases {
        let mut distance = Distance::new();
        let rows = |key: &str| {
            case[key]
                .as_array()
                .unwrap()
                .iter()
                .map(reals)
                .collect::<Vec<_>>()
        };
        for (reference, test) in rows("reference").iter().zip(&rows("test")) {
            distance.add(reference, test).unwrap();
        }
        let ours = serde_json::to_value(distance.figures().unwrap()).unwrap();
        for key in [
            "exact",
            "max_abs_error",
            "mean_abs_error",
            "mean_error",
            "rmse",
            "sqnr_db",
            "cosine",
            "arg_max_agreeing",
        ] {
            assert_same(case, key, &ours[key]);
        }
    }
}

/// The value of a metric after these samples: labels, float output, output under test.
type Rows = Vec<(Vec<i64>, Vec<f32>, Vec<f32>)>;

fn value(name: &str, rows: &Rows) -> Option<f64> {
    let mut metric = metric(name).unwrap();
    for (labels, float, test) in rows {
        metric.add(labels, float, test).unwrap();
    }
    metric.value()
}

/// The value a file states, to 1e-12.
fn assert_value(case: &Value, key: &str, name: &str, rows: &Rows) {
    let ours = value(name, rows).filter(|x| x.is_finite());
    assert_same(case, key, &serde_json::to_value(ours).unwrap());
}

#[test]
fn metrics_by_name_are_scikit_learns_and_numpys() {
    for case in &golden("classification") {
        let labels = case["labels"].as_array().unwrap().iter().map(integers);
        let scores = scores_of(case).into_iter();
        let scores = scores.map(|row| row.iter().map(|&x| x as f32).collect::<Vec<f32>>());
        let rows: Rows = labels.zip(scores).map(|(l, s)| (l, s.clone(), s)).collect();
        assert_value(case, "accuracy", "accuracy", &rows);
        assert_value(case, "macro_f1", "f1", &rows);
        assert_value(case, "top5_accuracy", "top5", &rows);
        assert_eq!(value("agreement", &rows), Some(1.0));
    }
    for case in &golden("distance") {
        let read = |key: &str| case[key].as_array().unwrap().iter().map(reals);
        let pairs = read("reference").zip(read("test"));
        let rows: Rows = pairs.map(|(r, t)| (Vec::new(), r, t)).collect();
        for (key, name) in [
            ("sqnr_db", "sqnr"),
            ("cosine", "cosine"),
            ("rmse", "rmse"),
            ("max_abs_error", "max-error"),
        ] {
            assert_value(case, key, name, &rows);
        }
        if case["exact"] == true {
            assert_eq!(value("sqnr", &rows), Some(f64::INFINITY));
        }
    }
}

#[test]
fn areas_are_scikit_learns() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("golden/areas.json")).unwrap();
    assert_eq!(cases.len(), 8);
    for case in &cases {
        let scores = case["scores"].as_array().unwrap().iter().map(reals);
        let labels = integers(&case["labels"]).into_iter();
        let rows: Rows = labels
            .zip(scores)
            .map(|(l, s)| (vec![l], s.clone(), s))
            .collect();
        assert_value(case, "value", case["metric"].as_str().unwrap(), &rows);
        let turned: Rows = rows.iter().rev().cloned().collect();
        assert_value(case, "value", case["metric"].as_str().unwrap(), &turned);
    }
}

#[test]
fn what_a_metric_cannot_measure_is_refused_and_changes_nothing() {
    let unknown = metric("accurancy").err().unwrap();
    for known in &METRICS {
        assert!(unknown.to_string().contains(known.name), "{unknown}");
        let mut metric = known.start();
        assert_eq!((metric.name(), metric.value()), (known.name, None));
        metric.add(&[1], &[0.0, 1.0], &[0.5, 0.0]).unwrap();
        let before = metric.value();
        let nan = metric.add(&[1], &[0.0, 1.0], &[0.5, f32::NAN]);
        assert!(nan.is_err(), "{}", known.name);
        assert_eq!(
            metric.add(&[], &[0.0, 1.0], &[0.5, 0.0]).is_err(),
            known.labels
        );
        assert_eq!(
            metric.add(&[2], &[0.0, 1.0], &[0.5, 0.0]).is_err(),
            known.labels
        );
        if known.labels {
            assert_eq!(metric.value(), before, "{}", known.name);
        }
        let one = known.start().add(&[1], &[0.5], &[0.5]);
        let areas = known.name.starts_with("auc");
        assert_eq!(one.is_err(), known.classes && !areas, "{}", known.name);
    }
    let names = |labels, elements| {
        usual(labels, elements)
            .iter()
            .map(|k| k.name)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(true, 7),
        ["accuracy", "f1", "agreement", "sqnr", "cosine"]
    );
    assert_eq!(names(false, 7), ["agreement", "sqnr", "cosine"]);
    assert_eq!(names(true, 1), ["sqnr", "cosine"]);
    let lower: Vec<&str> = METRICS
        .iter()
        .filter(|k| !k.start().larger_is_better())
        .map(|k| k.name)
        .collect();
    assert_eq!(lower, ["rmse", "max-error"]);
}

#[test]
fn what_cannot_be_scored_is_refused_and_changes_nothing() {
    assert_eq!(Classification::new(1).unwrap_err(), Error::TooFewClasses(1));
    let mut count = Classification::new(3).unwrap();
    assert_eq!(count.metrics().unwrap_err(), Error::Empty);
    count.add(&[0.0, 2.0, 1.0], &[1]).unwrap();
    let before = count.clone();
    let out = |label| Error::LabelOutOfRange {
        sample: 1,
        label,
        classes: 3,
    };
    assert_eq!(count.add(&[0.0, 2.0, 1.0], &[3]).unwrap_err(), out(3));
    assert_eq!(count.add(&[0.0, 2.0, 1.0], &[1, -1]).unwrap_err(), out(-1));
    assert_eq!(
        count.add(&[0.0, f32::NAN, 1.0], &[1]).unwrap_err(),
        Error::NanScore {
            sample: 1,
            class: 1
        }
    );
    assert_eq!(
        count.add(&[0u8, 1], &[1]).unwrap_err(),
        Error::ScoreCount {
            sample: 1,
            found: 2,
            classes: 3
        }
    );
    assert_eq!(
        count.add(&[0u8, 1, 2], &[]).unwrap_err(),
        Error::NoLabel { sample: 1 }
    );
    assert_eq!(
        count.merge(&Classification::new(4).unwrap()).unwrap_err(),
        Error::Merge { one: 3, other: 4 }
    );
    assert_eq!(count, before);
    assert!(out(3).to_string().contains("0 to 2"));

    let mut distance = Distance::new();
    assert_eq!(distance.figures().unwrap_err(), Error::Empty);
    distance.add(&[1.0], &[2.0]).unwrap();
    let before = distance.figures().unwrap();
    assert!(matches!(
        distance.add(&[1.0], &[]),
        Err(Error::Length { sample: 1, .. })
    ));
    for bad in [f32::NAN, f32::INFINITY] {
        assert!(matches!(
            distance.add(&[1.0, 2.0], &[5.0, bad]),
            Err(Error::NotFinite {
                sample: 1,
                element: 1,
                ..
            })
        ));
        assert!(matches!(
            distance.add(&[bad, 2.0], &[bad, 9.0]),
            Err(Error::NotFinite {
                sample: 1,
                element: 0,
                ..
            })
        ));
    }
    assert_eq!(distance.figures().unwrap(), before);
}

#[test]
fn a_huge_class_count_costs_nothing_and_has_no_dense_matrix() {
    let classes = 5000;
    let mut scores = vec![0i8; classes];
    scores[4999] = 1;
    let mut count = Classification::new(classes).unwrap();
    count.add(&scores, &[4999]).unwrap();
    let metrics = count.metrics().unwrap();
    assert_eq!(metrics.confusion.cells.len(), 1);
    assert!(metrics.confusion.dense().is_none());
}

fn count(samples: &[(Vec<u8>, i64)]) -> Classification {
    let mut count = Classification::new(7).unwrap();
    for (scores, label) in samples {
        count.add(scores, &[*label]).unwrap();
    }
    count
}

fn distance(samples: &[(Vec<f32>, Vec<f32>)]) -> Distance {
    let mut distance = Distance::new();
    for (reference, test) in samples {
        distance.add(reference, test).unwrap();
    }
    distance
}

fn scored() -> impl Strategy<Value = Vec<(Vec<u8>, i64)>> {
    prop::collection::vec((prop::collection::vec(0u8..5, 7), 0i64..7), 2..40)
}

fn compared() -> impl Strategy<Value = Vec<(Vec<f32>, Vec<f32>)>> {
    let row = || prop::collection::vec(prop_oneof![-1e3f32..1e3, prop::num::f32::NORMAL], 5);
    prop::collection::vec((row(), row()), 2..20)
}

proptest! {
    #[test]
    fn scores_depend_neither_on_order_nor_on_sharding(samples in scored(), cut: prop::sample::Index) {
        let whole: Metrics = count(&samples).metrics().unwrap();
        let (front, back) = samples.split_at(cut.index(samples.len()));
        let mut merged = count(back);
        merged.merge(&count(front)).unwrap();
        prop_assert_eq!(&merged.metrics().unwrap(), &whole);
        let turned: Vec<_> = samples.iter().rev().cloned().collect();
        prop_assert_eq!(&count(&turned).metrics().unwrap(), &whole);
    }

    #[test]
    fn scores_are_bounded_and_consistent(samples in scored()) {
        let m = count(&samples).metrics().unwrap();
        for x in [m.accuracy, m.macro_precision, m.macro_recall, m.macro_f1, m.balanced_accuracy] {
            prop_assert!((0.0..=1.0).contains(&x));
        }
        prop_assert!(m.top5_accuracy.unwrap() >= m.accuracy);
        prop_assert!(m.kappa.is_none_or(|kappa| (-1.0..=1.0).contains(&kappa)));
        prop_assert_eq!(m.per_class.iter().map(|class| class.support).sum::<u64>(), m.samples);
        prop_assert_eq!(m.per_class.iter().map(|class| class.predicted).sum::<u64>(), m.samples);
    }

    #[test]
    fn distances_depend_neither_on_order_nor_on_sharding(samples in compared(), cut: prop::sample::Index) {
        let whole: Figures = distance(&samples).figures().unwrap();
        let (front, back) = samples.split_at(cut.index(samples.len()));
        let mut merged = distance(back);
        merged.merge(&distance(front));
        prop_assert_eq!(&merged.figures().unwrap(), &whole);
        let turned: Vec<_> = samples.iter().rev().cloned().collect();
        prop_assert_eq!(&distance(&turned).figures().unwrap(), &whole);
        prop_assert!(whole.mean_abs_error <= whole.rmse * (1.0 + 1e-9));
        prop_assert!(whole.rmse <= whole.max_abs_error * (1.0 + 1e-9));
    }

    #[test]
    fn no_metric_depends_on_the_order(samples in scored()) {
        let row = |(scores, label): &(Vec<u8>, i64)| {
            let test: Vec<f32> = scores.iter().map(|&x| f32::from(x) / 3.0).collect();
            let float: Vec<f32> = scores.iter().map(|&x| f32::from(x * 7 % 5)).collect();
            (vec![*label], float, test)
        };
        for known in METRICS.iter().filter(|known| known.name != "auc-max") {
            let rows: Rows = samples.iter().map(row).collect();
            let turned: Rows = rows.iter().rev().cloned().collect();
            prop_assert_eq!(value(known.name, &rows), value(known.name, &turned));
        }
    }

    #[test]
    fn no_distance_to_itself(samples in compared()) {
        let same: Vec<_> = samples.iter().map(|(x, _)| (x.clone(), x.clone())).collect();
        let figures = distance(&same).figures().unwrap();
        prop_assert!(figures.exact && figures.rmse == 0.0 && figures.sqnr_db.is_none());
        prop_assert_eq!(figures.arg_max_agreeing, figures.samples);
    }
}
