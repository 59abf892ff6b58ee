//! `auto`: the search through the program, on the example, and what it promises.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/mod.rs"]
mod support;

use serde_json::Value;
use std::ops::ControlFlow;
use std::path::Path;
use support::{errors, har, zeropoint};
use zeropoint::cpu::Cpu;
use zeropoint::kernel::{Device, prepare};
use zeropoint::quantize::{self, Io, Options};
use zeropoint::tune::{Effort, Event, Outcome, Task, tune};
use zeropoint::{data, graph, model, simplify, stream};

/// Quantizes the example; what `--json` says.
fn quantized(to: &str, options: &[&str]) -> Value {
    let (model, data) = (har("model.tflite"), har("calib.npz"));
    let fixed = ["quantize", &model, "--data", &data, "-o", to, "--json"];
    let ran = zeropoint(&[&fixed[..], options].concat()).success();
    serde_json::from_slice(&ran.get_output().stdout).unwrap()
}

const FEW: [&str; 4] = ["--limit", "48", "--device", "cpu"];

#[test]
fn it_is_the_default_repeats_and_needs_no_data_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let first = quantized(&path("a.tflite"), &FEW);
    let search = &first["search"];
    assert_eq!(search["judged_on"], 12);
    assert_eq!(search["stopped"], false);
    assert!(search["candidates"].as_u64().unwrap() > 5, "{search}");
    let score = |name: &str| search[name].as_f64().unwrap();
    assert!(score("after") >= score("before") - 0.1, "{search}");
    // Another number of samples at once, and threads, change nothing.
    let named = ["--method", "auto", "--effort", "2", "--batch", "7"];
    quantized(&path("b.tflite"), &[&FEW[..], &named].concat());
    assert_eq!(bytes("a.tflite"), bytes("b.tflite"));
    assert_eq!(bytes("a.plan.json"), bytes("b.plan.json"));
    let (model, plan, again) = (har("model.tflite"), path("a.plan.json"), path("c.tflite"));
    zeropoint(&["quantize", &model, "--plan", &plan, "-o", &again]).success();
    assert_eq!(bytes("a.tflite"), bytes("c.tflite"));
    // Without effort it is the smallest and the largest value.
    let none = quantized(&path("d.tflite"), &[&FEW[..], &["--effort", "0"]].concat());
    assert!(none.get("search").is_none());
    quantized(
        &path("e.tflite"),
        &[&FEW[..], &["--method", "minmax"]].concat(),
    );
    assert_eq!(bytes("d.tflite"), bytes("e.tflite"));
}

#[test]
fn rules_keep_their_methods_and_weights_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let recipe = path("recipe.toml");
    let rules = "version = 1\n[[rule]]\nop = 'CONV_2D'\nmethod = 'percentile:5,95'\n\
                 [[rule]]\nop = 'FULLY_CONNECTED'\nmethod = 'moving-average'\n";
    std::fs::write(&recipe, rules).unwrap();
    let said = quantized(
        &path("rule.tflite"),
        &[&FEW[..], &["--recipe", &recipe]].concat(),
    );
    assert!(said["search"]["candidates"].as_u64().unwrap() > 5);
    let all = said["chosen"].as_array().unwrap();
    let by_rule = all.iter().filter(|c| c["method"] == "percentile:5,95");
    assert!(by_rule.count() >= 4, "{all:?}");
    assert!(
        all.iter().any(|c| c["method"] == "moving-average"),
        "{all:?}"
    );
    let minmax = quantized(
        &path("w.tflite"),
        &[&FEW[..], &["--weights", "minmax"]].concat(),
    );
    let steps = minmax["search"]["steps"].to_string();
    assert!(!steps.contains("weights by mse"), "{steps}");
    let scales = |said: &Value| said["plan"]["constants"].to_string();
    let fixed = ["--method", "minmax", "--weights"];
    let mse = quantized(&path("m.tflite"), &[&FEW[..], &fixed, &["mse"]].concat());
    let plain = quantized(&path("p.tflite"), &[&FEW[..], &fixed, &["minmax"]].concat());
    assert_ne!(scales(&mse), scales(&plain));
}

#[test]
fn what_cannot_be_searched_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (model, data, statistics) = (har("model.tflite"), har("calib.npz"), path("s.zpc"));
    let limit = ["--limit", "8", "--device", "cpu"];
    let calibrate = ["calibrate", &model, "--data", &data, "-o", &statistics];
    zeropoint(&[&calibrate[..], &limit].concat()).success();
    let to = path("never.tflite");
    let from = ["quantize", &model, "-o", &to];
    let by_file = [&from[..], &["--calibration", &statistics]].concat();
    let by_data = [&from[..], &["--data", &data], &limit].concat();
    for (arguments, options, word) in [
        (&by_file, &["--method", "auto"][..], "give --data"),
        (&by_file, &["--effort", "1"], "give --data"),
        (
            &by_data,
            &["--method", "mse", "--effort", "1"],
            "--method auto",
        ),
        (&by_data, &["--effort", "4"], "0..=3"),
        (&by_data, &["--method", "best"], "auto, minmax"),
        (
            &from.to_vec(),
            &["--scheme", "dynamic", "--effort", "1"],
            "leave out --effort",
        ),
        (
            &from.to_vec(),
            &["--scheme", "float16", "--weights", "mse"],
            "--weights",
        ),
    ] {
        let refused = zeropoint(&[&arguments[..], options].concat()).code(2);
        assert!(errors(&refused).contains(word), "{}", errors(&refused));
    }
    assert!(!Path::new(&to).exists());
    // Without a word about it, ranges are those that were seen, and it is said.
    let noted = zeropoint(&by_file).success();
    assert!(errors(&noted).contains("minmax"), "{}", errors(&noted));
    // A single sample cannot both propose and judge.
    let one = ["--limit", "1", "--device", "cpu"];
    let said = quantized(&path("one.tflite"), &one);
    assert_eq!(said["search"]["judged_on"], 0);
}

/// Runs the search on the example's first samples and stops it after so many events of judging.
fn searched(device: &dyn Device, samples: usize, stop: usize) -> (Options, Outcome) {
    let file = har("model.tflite");
    let read = model::read(Path::new(&file)).unwrap();
    let (float, graph) = simplify::load(read, &file).unwrap();
    let float = simplify::fuse(float, &graph);
    let graph = graph::load(&float, &file).unwrap();
    let program = prepare(graph.clone()).unwrap();
    let options = data::Options {
        limit: Some(samples),
        ..data::Options::default()
    };
    let path = har("calib.npz");
    let (mut set, feeds) = stream::open(Path::new(&path), &program.graph, &options).unwrap();
    let options = Options::new(Io::Float);
    let task = Task {
        float: &float,
        graph: &graph,
        program: &program,
        options: &options,
        fixed_weights: false,
        device,
        batch: None,
        effort: Effort::Usual,
    };
    let mut judged = 0;
    let found = tune(task, &mut set, feeds, &mut |event| {
        judged += usize::from(matches!(event, Event::Judged(..)));
        match judged >= stop {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    let found = found.unwrap();
    // What was found can be carried out.
    let plan = quantize::plan_by(&graph, &found.ranges, &found.histograms, &found.options).unwrap();
    quantize::apply(&float, &graph, &plan).unwrap();
    (options, found)
}

#[test]
fn a_stopped_search_gives_the_best_so_far() {
    let (_, stopped) = searched(&Cpu::new(), 32, 3);
    assert!(stopped.search.stopped);
    let (_, whole) = searched(&Cpu::new(), 32, usize::MAX);
    assert!(!whole.search.stopped);
    assert!(stopped.search.candidates < whole.search.candidates);
    assert_eq!(stopped.search.before, whole.search.before);
    // What it kept is where the whole search began, but for what is proposed anew at the end.
    let whole = &whole.search.steps;
    for (a, b) in stopped.search.steps.iter().zip(whole) {
        assert!(a.what == b.what || a.what.starts_with("proposed anew"));
    }
}

/// The integers are the same on every device; floats differ in their last bits, so scores do, too.
#[test]
fn a_gpu_finds_the_same() {
    let Some(gpu) = support::gpu() else {
        return;
    };
    let (_, ours) = searched(&Cpu::new(), 16, 28);
    let (_, theirs) = searched(&gpu, 16, 28);
    let what =
        |o: &Outcome| -> Vec<String> { o.search.steps.iter().map(|s| s.what.clone()).collect() };
    assert_eq!(what(&ours), what(&theirs));
    assert!((ours.search.after - theirs.search.after).abs() < 0.05);
    assert_eq!(ours.options.chosen.len(), theirs.options.chosen.len());
    for (id, chosen) in &ours.options.chosen {
        let other = &theirs.options.chosen[id];
        assert_eq!(chosen.method, other.method);
        let near = |a: f32, b: f32| (a - b).abs() <= 1e-3 * (chosen.range.max - chosen.range.min);
        assert!(near(chosen.range.min, other.range.min) && near(chosen.range.max, other.range.max));
    }
}

/// What is judged is what is written: an input of 8 bits before convolutions of 16 loses what a float one keeps.
#[test]
fn inputs_and_outputs_are_judged_as_they_will_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let convs = ["--skip-op", "CONV_2D", "--skip-scheme", "int16x8"];
    let before = |io: &str| {
        let options = [&FEW[..], &convs, &["--io", io, "--effort", "1"]].concat();
        let said = quantized(&path(io), &options);
        said["search"]["before"].as_f64().unwrap()
    };
    assert!(before("float") > before("int8") + 1.0);
}
