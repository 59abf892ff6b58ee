//! Pages of reports, whole, odd and hostile ones.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::example::{har, large, report};
use super::table::clamped;
use super::{debug_page, model_explorer, model_explorer_files};
use crate::debug::OpAtOutput;
use crate::num::Affine;
use std::path::Path;

/// For people who want to see it: `ZEROPOINT_DEBUG_PAGES=FOLDER` writes the pages of these tests there.
#[test]
fn pages_to_look_at() {
    if let Some(folder) = std::env::var_os("ZEROPOINT_DEBUG_PAGES") {
        let folder = Path::new(&folder);
        for (name, of) in [
            ("har", har()),
            ("large", large(200)),
            ("empty", report(Vec::new())),
        ] {
            std::fs::write(folder.join(format!("{name}.html")), debug_page(&of)).unwrap();
        }
        for (name, text) in model_explorer_files(&har()) {
            std::fs::write(folder.join(format!("{name}.json")), text).unwrap();
        }
    }
}

#[test]
fn everything_is_on_the_page() {
    let html = debug_page(&har());
    for word in [
        "UNIDIRECTIONAL_SEQUENCE_LSTM 6 alone makes 61 %",
        "SQNR of StatefulPartitionedCall:0</span><b>17.5 dB",
        "98.68 %</b><small>39 of 2 947 samples flip",
        "90.02 %</b><small>float 91.41 % (-1.39 points)",
        "id=\"graph\"",
        "the 3 worst together",
        "tables of activations",
        "What the rounding of each gate&#39;s weights adds"
            .replace("&#39;", "'")
            .as_str(),
        "sample 1204 alone makes the range",
        "channels use less than an eighth",
        "Leave this operator float",
        "<span class=\"badge fine\">clamped</span> nothing is cut off</li>",
        "3 with findings",
        "13 CUSTOM &#39;extra/debug_node&#39;",
        "10 193 of 9 184 112 integers differ",
        "2.1 % at the highest; what is cut off is red",
        "256 of 256 used, 2.1 % clamped",
        "Local RMSE by time step",
        "href=\"#o6\"",
    ] {
        assert!(html.contains(word), "no '{word}'");
    }
    // Nothing comes from elsewhere: the only addresses are names of XML.
    let elsewhere = html.matches("http").count();
    assert_eq!(
        elsewhere,
        html.matches("http://www.w3.org/2000/svg").count() + html.matches("http-equiv").count()
    );
    assert!(
        !html.contains("NaN,") && !html.contains("\"NaN"),
        "a picture with NaN"
    );
    assert!(html.len() < 5 << 20, "{} bytes", html.len());
}

#[test]
fn names_are_text() {
    let evil = "<script>alert(1)</script>\"' onload=x & \u{1b}";
    let mut r = har();
    r.float = evil.into();
    r.quantized = format!("a/{evil}");
    r.device = evil.into();
    r.verdict = vec![evil.into(), evil.into()];
    r.outputs[0].name = evil.into();
    r.unmatched = vec![evil.into()];
    r.hybrid[0].op_name = evil.into();
    r.hybrid[0].tensor_name = evil.into();
    r.waterfalls[0].name = evil.into();
    r.waterfalls[0].parts[0].source = evil.into();
    r.numerics.as_mut().unwrap().numerics = evil.into();
    let at = r.at_output.as_mut().unwrap();
    at.ops[0].name = evil.into();
    for op in &mut r.ops {
        op.op_name = evil.into();
        op.tensor_name = evil.into();
        op.health.iter_mut().for_each(|h| {
            h.found = evil.into();
            h.remedy = evil.into();
        });
        op.by_gate.iter_mut().for_each(|p| p.source = evil.into());
    }
    let html = debug_page(&r);
    assert_eq!(html.matches("<script").count(), 1, "our own");
    assert_eq!(
        html.matches("alert(1)").count(),
        html.matches("&lt;script&gt;alert(1)").count()
    );
    assert!(!html.contains("\"' onload") && !html.contains('\u{1b}'));
    let json: serde_json::Value = serde_json::from_str(&model_explorer(&r)).unwrap();
    assert!(json["results"].is_object());
}

/// Whatever is missing, NaN or out of bounds: a page comes out.
#[test]
fn odd_reports_have_pages() {
    let empty = debug_page(&report(Vec::new()));
    assert!(empty.contains("There is no verdict") && !empty.contains("id=\"graph\""));
    for odd in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -1.0,
        1e308,
        1e-320,
    ] {
        let mut r = har();
        for op in &mut r.ops {
            for s in op.local.iter_mut().chain([&mut op.cumulative]) {
                s.mean_squared_error = odd;
                s.rmse_over_scale = Some(odd);
                s.sqnr_db = Some(odd);
                s.cosine = Some(odd);
                s.equal_codes = Some(odd);
                s.max_abs_error = odd;
                s.channels.iter_mut().for_each(|c| {
                    c.mean_squared_error = odd;
                    c.max = odd;
                });
            }
            op.at_output = Some(OpAtOutput {
                alone_loss: odd,
                left_float_gain: Some(odd),
            });
            op.at_ends = [odd; 2];
            op.by_time.iter_mut().for_each(|x| *x = odd);
            op.by_gate.iter_mut().for_each(|p| p.error = odd);
            op.codes.iter_mut().for_each(|n| *n = 0);
            op.extremes.as_mut().unwrap().max.0 = odd;
        }
        let at = r.at_output.as_mut().unwrap();
        at.quantized.loss = odd;
        at.groups[0].alone_loss = odd;
        r.waterfalls[0].whole = odd;
        r.waterfalls[0].parts[1].error = odd;
        r.decisions.as_mut().unwrap().flips[0].parts_at = Some(1000);
        r.decisions.as_mut().unwrap().agreeing = 1 << 40;
        let html = debug_page(&r);
        for broken in [
            "width:NaN",
            "width:inf",
            "left:NaN",
            "--w:NaN",
            "points=\"NaN",
            "No picture",
        ] {
            assert!(!html.contains(broken), "{odd}: {broken}");
        }
        for (name, text) in model_explorer_files(&r) {
            serde_json::from_str::<serde_json::Value>(&text)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn a_page_of_many_operators_is_not_too_large() {
    let sixty = debug_page(&large(60));
    assert!(sixty.len() < 5 << 20, "{} bytes", sixty.len());
    let many = debug_page(&large(300));
    assert!(many.contains("Pictures are drawn for the 100 worst of 300 tensors"));
    assert_eq!(many.matches("Elements by code;").count(), 100);
    assert!(many.len() < 10 << 20, "{} bytes", many.len());
}

#[test]
fn model_explorer_gets_a_value_an_operator() {
    let r = har();
    let json: serde_json::Value = serde_json::from_str(&model_explorer(&r)).unwrap();
    let results = json["results"].as_object().unwrap();
    assert_eq!(results["6"]["value"], 15.8);
    assert_eq!(results["6"]["bgColor"], super::metric::LIGHT[8]);
    // 'RESHAPE' adds nothing.
    assert!(!results.contains_key("5"));
    let names: Vec<&str> = model_explorer_files(&r).iter().map(|f| f.0).collect();
    assert_eq!(
        names,
        [
            "local_sqnr",
            "cumulative_sqnr",
            "local_rmse",
            "alone_loss",
            "left_float_gain",
            "health"
        ]
    );
}

#[test]
fn zeros_behind_a_relu_are_not_clamped() {
    let mut relu = har().ops.swap_remove(2);
    relu.affine = Some(Affine {
        scale: 0.02,
        zero_point: -128,
    });
    relu.at_ends = [0.7, 0.01];
    let mut e = relu.extremes.unwrap();
    (e.min.0, e.max.0) = (0.0, 5.1);
    relu.extremes = Some(e);
    assert_eq!(clamped(&relu), Some([0.0; 2]));
    e.max.0 = 6.0;
    relu.extremes = Some(e);
    assert_eq!(clamped(&relu), Some([0.0, 0.01]));
    relu.extremes = None;
    assert_eq!(clamped(&relu), Some([0.0, 0.01]));
    relu.affine = None;
    assert_eq!(clamped(&relu), None);
}
