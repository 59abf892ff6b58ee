//! What every method promises, whatever the values.

use proptest::prelude::*;
use zeropoint::num::affine::{activation_8bit, activation_16bit, quantize};
use zeropoint::num::{Histogram, Range};
use zeropoint::ranges::{Choice, NAMES, Statistics, mse};

/// All methods, without parameters.
pub fn all() -> Vec<Choice> {
    let names = NAMES.iter().map(|name| name.split(':').next().unwrap());
    names.map(|name| name.parse().unwrap()).collect()
}

pub fn seen(values: &[f32]) -> (Range, Histogram) {
    let each = values.iter().map(|&x| Range { min: x, max: x });
    let range = each.fold(Range::EMPTY, Range::merge);
    let mut histogram = Histogram::new(range);
    histogram.count(values);
    (range, histogram)
}

pub fn choose(method: &Choice, range: Range, histogram: &Histogram, bits: u32) -> Range {
    method.range(&Statistics {
        range,
        histogram,
        averaged: None,
        bits,
    })
}

/// The width of the histogram's bins.
pub fn width(histogram: &Histogram) -> f64 {
    f64::from(histogram.exponent).exp2()
}

/// The root of the mean squared error of these very values.
pub fn rms(values: &[f32], Range { min, max }: Range, bits: u32) -> f64 {
    let (affine, low, high) = match bits {
        16 => (activation_16bit(min, max), -32768, 32767),
        _ => (activation_8bit(min, max, -128), -128, 127),
    };
    let errors = values.iter().map(|&x| {
        let q = quantize(x, affine, low, high) - affine.zero_point;
        f64::from(q) * f64::from(affine.scale) - f64::from(x)
    });
    (errors.map(|e| e * e).sum::<f64>() / values.len() as f64).sqrt()
}

fn values() -> impl Strategy<Value = Vec<f32>> {
    // Powers give long tails, on one side or both.
    let tails = prop::collection::vec((-1.0f32..1.0, 1i32..12), 1..300);
    let tails = tails.prop_map(|v| v.into_iter().map(|(x, k)| 30.0 * x.powi(k)).collect());
    let finite = prop::num::f32::ANY.prop_filter("finite", |x| x.is_finite() && x.abs() < 1e38);
    prop_oneof![
        4 => tails,
        2 => prop::collection::vec(-4.0f32..9.0, 1..300),
        1 => prop::collection::vec(100.0f32..100.5, 1..50),
        1 => prop::collection::vec(-7.0f32..-2.0, 1..50),
        1 => prop::collection::vec(0i32..3, 1..50).prop_map(|v| v.into_iter().map(|x| x as f32).collect()),
        1 => prop::collection::vec(finite, 1..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ranges_hold_zero_and_nothing_unseen(v in values()) {
        let (range, histogram) = seen(&v);
        for method in all() {
            for bits in [8, 16] {
                let Range { min, max } = choose(&method, range, &histogram, bits);
                prop_assert!(min <= 0.0 && max >= 0.0, "{} [{}, {}]", method, min, max);
                prop_assert!(min >= range.min.min(0.0) && max <= range.max.max(0.0), "{} [{}, {}]", method, min, max);
            }
        }
    }

    #[test]
    fn order_and_parts_do_not_matter(a in values(), b in values()) {
        let whole: Vec<f32> = b.iter().chain(&a).copied().collect();
        let (range, histogram) = seen(&whole);
        let merged = seen(&a).1.merge(&seen(&b).1, range);
        for method in all() {
            prop_assert_eq!(choose(&method, range, &histogram, 8), choose(&method, range, &merged, 8));
        }
    }

    #[test]
    fn higher_percentages_keep_more(v in values(), cut in prop::collection::vec(0.0f64..100.0, 3)) {
        let mut cut = cut;
        cut.sort_by(f64::total_cmp);
        prop_assume!(cut[0] < cut[1] && cut[1] < cut[2]);
        let (range, histogram) = seen(&v);
        for name in ["percentile", "histogram-percentile"] {
            let of = |low: f64, high: f64| {
                let method = format!("{name}:{low},{high}").parse().unwrap();
                choose(&method, range, &histogram, 8)
            };
            prop_assert!(of(cut[0], cut[1]).max <= of(cut[0], cut[2]).max);
            prop_assert!(of(cut[0], cut[2]).min <= of(cut[1], cut[2]).min);
        }
    }

    #[test]
    fn mse_is_never_worse_than_minmax(v in values()) {
        let (range, histogram) = seen(&v);
        for bits in [8, 16] {
            let kept = choose(&"mse".parse().unwrap(), range, &histogram, bits);
            let all = choose(&Choice::default(), range, &histogram, bits);
            prop_assert!(mse::error(&histogram, kept, bits) <= mse::error(&histogram, all, bits));
        }
    }

    /// The bound that the module states.
    #[test]
    fn the_error_of_a_histogram_is_near_that_of_the_values(v in values(), low in 0.01f32..1.0, high in 0.01f32..1.0) {
        let (range, histogram) = seen(&v);
        prop_assume!(range.max.max(-range.min) < 1e15 && range.max.max(-range.min) > 1e-3);
        let part = Range { min: range.min.min(0.0) * low, max: range.max.max(0.0) * high };
        for bits in [8, 16] {
            let estimate = mse::error(&histogram, part, bits).max(0.0).sqrt();
            let exact = rms(&v, part, bits);
            // The values are quantized in single precision.
            let room = width(&histogram) + 1e-6 * f64::from(range.max.max(-range.min));
            prop_assert!((estimate - exact).abs() <= room, "{} {} {}", estimate, exact, room);
        }
    }
}

/// A tail that hardly ever occurs is cut; values that fill their range are not.
#[test]
fn tails_are_cut_and_bodies_are_not() {
    // One value of so many: clipping it costs less than the steps that reach it, (60 / 255)² / 12 each.
    const MANY: i32 = 4_000_000;
    let body: Vec<f32> = (0..MANY)
        .map(|i| 2.0 * i as f32 / MANY as f32 - 1.0)
        .collect();
    let with_tail: Vec<f32> = body.iter().copied().chain([60.0]).collect();
    let (range, histogram) = seen(&body);
    let (wide, tailed) = seen(&with_tail);
    for method in all().into_iter().filter(Choice::needs_histogram) {
        let Range { min, max } = choose(&method, range, &histogram, 8);
        assert!(max > 0.95 && min < -0.95, "{method} keeps [{min}, {max}]");
        let Range { min, max } = choose(&method, wide, &tailed, 8);
        let most = match method.to_string().as_str() {
            // TensorFlow's never leaves out the bin in the middle.
            "histogram-mse-symmetric" => 60.0,
            // Wide groups tell as much of an even body as narrow ones.
            "entropy" => 59.0,
            _ => 40.0,
        };
        assert!(max < most && min >= -1.0, "{method} keeps [{min}, {max}]");
    }
    let kept = choose(&Choice::default(), wide, &tailed, 8);
    assert_eq!((kept.min, kept.max), (-1.0, 60.0));
}

/// Its average is handed over; without one it keeps what was seen.
#[test]
fn a_moving_average_is_kept_as_far_as_it_was_seen() {
    let (range, histogram) = seen(&[-2.0, 3.0]);
    let method: Choice = "moving-average".parse().unwrap();
    assert!(method.needs_samples() && !method.needs_histogram());
    let kept = |averaged: Option<[f32; 2]>| {
        let averaged = averaged.map(|[min, max]| Range { min, max });
        let Range { min, max } = method.range(&Statistics {
            range,
            histogram: &histogram,
            averaged,
            bits: 8,
        });
        [min, max]
    };
    assert_eq!(kept(Some([-1.5, 2.5])), [-1.5, 2.5]);
    assert_eq!(kept(Some([0.5, 4.0])), [0.0, 3.0]);
    assert_eq!(kept(None), [-2.0, 3.0]);
}

#[test]
fn what_is_written_is_understood_or_refused_with_all_names() {
    for method in all() {
        assert_eq!(method.to_string().parse::<Choice>().unwrap(), method);
    }
    let with = |text: &str| text.parse::<Choice>().unwrap().to_string();
    assert_eq!(with("percentile"), "percentile:0.01,99.99");
    assert_eq!(with("percentile:0.5, 99"), "percentile:0.5,99");
    for bad in [
        "",
        "max",
        "MSE",
        "mse:",
        "mse:3",
        "minmax:1,2",
        "moving-average:0.9",
        "percentile:",
        "percentile:99",
        "percentile:99,1",
        "percentile:-1,50",
        "percentile:0,101",
        "percentile:nan,1",
        "percentile:0,nan",
        "percentile:1,2,3",
    ] {
        let error = bad.parse::<Choice>().unwrap_err().to_string();
        assert!(NAMES.iter().all(|name| error.contains(name)), "{error}");
    }
}
