//! What each sample did: the pass itself on every device, and the page and the text that `calibrate` makes of it.

use crate::{calibrate, example, shard, support};
use std::path::Path;
use zeropoint::calibrate::{Samples, each_sample, gather, moving_average, seen_by_sample};
use zeropoint::cpu::Cpu;
use zeropoint::data::{NpzWriter, Options};
use zeropoint::graph::{Activation, Binary, Graph, Node, Op, Tensor};
use zeropoint::kernel::{self, Device, Program, Range, Statistics};
use zeropoint::num::{DType, Values};
use zeropoint::{model, simplify, stream};

fn har() -> Program {
    let path = example("model.tflite");
    let name = path.display().to_string();
    let (_, graph) = simplify::load_for(model::read(&path).unwrap(), &name, &[]).unwrap();
    kernel::prepare(graph).unwrap()
}

fn samples(device: &dyn Device, program: &Program, data: &Path, batch: Option<usize>) -> Samples {
    let (mut set, feeds) = stream::open(data, &program.graph, &Options::default()).unwrap();
    let mut done = 0;
    let progress = |n| done = n;
    let all = each_sample(device, program, &mut set, &feeds, batch, progress).unwrap();
    assert_eq!((all.samples, done), (set.len(), set.len()));
    all
}

#[test]
fn each_sample_has_its_range_whatever_the_batch_and_all_together_the_range() {
    let folder = tempfile::tempdir().unwrap();
    let data = shard(folder.path(), 0, 9);
    let program = har();
    let mut devices: Vec<Box<dyn Device>> = vec![Box::new(Cpu::new())];
    devices.extend(support::gpu().map(|gpu| Box::new(gpu) as Box<dyn Device>));
    for device in devices {
        let device = device.as_ref();
        let all = samples(device, &program, &data, None);
        for batch in [1, 4] {
            let same = samples(device, &program, &data, Some(batch));
            assert!(same == all, "batch {batch} on {}", device.name());
        }
        let (mut set, feeds) = stream::open(&data, &program.graph, &Options::default()).unwrap();
        let options = zeropoint::calibrate::Options {
            batch: None,
            statistics: Statistics::Histograms,
            profile: false,
        };
        let together = gather(device, &program, &mut set, feeds, options, |_| {}).unwrap();
        let seen = seen_by_sample(&program);
        for (id, ranges) in all.ranges.iter().enumerate() {
            assert_eq!(ranges.len(), if seen.contains(&id) { 9 } else { 0 });
            if seen.contains(&id) {
                let union = ranges.iter().fold(Range::EMPTY, |r, &s| r.merge(s));
                assert_eq!(Some(union), together.ranges[id], "tensor {id}");
            }
        }
        // The states of the LSTMs are left out, their outputs are not.
        assert!(together.ranges[45].is_some() && all.ranges[45].is_empty());
        let average = moving_average(&all);
        assert_eq!(average.len(), all.ranges.len());
        assert!(average[0].unwrap().max < together.ranges[0].unwrap().max);
        // −0 and 0 are counted, also where a histogram's bins are wide.
        let input = together.histograms[0].as_ref().unwrap();
        let batch = set_values(&data);
        let zeros = batch.iter().filter(|&&x| x == 0.0).count();
        assert_eq!(input.zeros, Some(zeros as u64));
    }
}

fn set_values(data: &Path) -> Vec<f32> {
    let arrays = support::read_npz(data);
    match &arrays["input_0"].values {
        Values::F32(v) => v.clone(),
        other => panic!("{other:?}"),
    }
}

/// The page, stdout and stderr of a run over so many samples.
fn page(arguments: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("page.html").display().to_string();
    let data = example("calib.npz").display().to_string();
    let fixed = ["--data", &data, "--report", &to];
    let (code, out, err) = calibrate(&[&fixed, arguments].concat());
    assert_eq!(code, 0, "{err}");
    (std::fs::read_to_string(&to).unwrap(), out)
}

#[test]
fn a_page_shows_every_tensor_and_needs_nothing_else() {
    let (html, out) = page(&["--limit", "20"]);
    let sentence = out.lines().find(|l| l.starts_with("20 samples")).unwrap();
    assert!(html.contains("<strong>20 samples are enough"), "{sentence}");
    for word in [
        "made by UNIDIRECTIONAL_SEQUENCE_LSTM",
        "made by input",
        "histogram-mse-bruteforce",
        "moving-average",
        "percentile:0.01,99.99",
        "max 10.0000",
        "a state: not looked at",
    ] {
        assert!(html.contains(word), "no '{word}'");
    }
    // Two pictures a tensor, one of the two states.
    assert_eq!(html.matches("<section id=").count(), 15);
    assert_eq!(html.matches("<svg").count(), 15 + 11);
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    for outside in ["src=", "<script", "<link", "@import"] {
        assert!(!html.contains(outside), "{outside}");
    }
    // The same bytes whatever the batch.
    assert!(page(&["--limit", "20", "--batch", "3"]).0 == html);
    let (few, out) = page(&["--limit", "3"]);
    assert!(few.contains("too few to tell") && out.contains("too few to tell"));
}

#[test]
fn one_tensor_is_printed_by_name_or_number() {
    let data = example("calib.npz").display().to_string();
    let print = |which: &str, more: &[&str]| {
        let fixed = ["--data", &data, "--limit", "20", "--report-tensor", which];
        calibrate(&[&fixed, more].concat())
    };
    let (code, out, err) = print("0", &[]);
    assert_eq!(code, 0, "{err}");
    let (_, by_name, _) = print("serving_default_input:0", &[]);
    let tail = |text: &str| text.split_once("tensor 0").unwrap().1.to_owned();
    assert_eq!(tail(&out), tail(&by_name));
    for word in [
        "made by input",
        "█",
        "minmax",
        "max ",
        "by sample",
        "of the range away",
    ] {
        assert!(out.contains(word), "no '{word}' in: {out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 130), "{out}");
    let (_, out, _) = print("0", &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        json["detail"]["growth"]["points"].as_array().unwrap().len(),
        20
    );
    assert!(json["verdict"].as_str().unwrap().starts_with("20 samples"));
    let seen = &json["tensors"][0];
    assert_eq!(seen["values"], 20 * 128 * 6);
    assert!(seen["zeros"].is_u64() && seen["moments"]["mean"].is_f64());
    for bad in ["none", "1", "99999"] {
        let (code, out, err) = print(bad, &[]);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(bad), "{err}");
    }
}

#[test]
fn a_page_replaces_no_input_and_needs_data() {
    let data = example("calib.npz").display().to_string();
    let model = example("model.tflite").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("a.html").display().to_string();
    let merge = ["--data", &data, "--report", &to, "--merge", &to];
    for (arguments, word) in [
        (
            &["--data", &data, "--report", &model][..],
            "would be replaced",
        ),
        (&["--data", &data, "--report", &data], "would be replaced"),
        (&["--data", &data, "--report", &to, "-o", &to], "same file"),
        (&["--report", &to], "--data"),
        (
            &["--data", &data, "--report", &to, "--ranges-only"],
            "--ranges-only",
        ),
        (&merge, "--merge"),
    ] {
        let (code, out, err) = calibrate(arguments);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(word), "no '{word}' in: {err}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A folder gets a file with the model's name.
    let into = folder.path().display().to_string();
    let arguments = ["--data", &data, "--limit", "2", "--report", &into];
    assert_eq!(calibrate(&arguments).0, 0);
    assert!(folder.path().join("model.html").exists());
}

#[test]
fn channels_are_exact_and_do_not_depend_on_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let data = shard(folder.path(), 0, 5).display().to_string();
    let run = |more: &[&str]| {
        let fixed = ["--data", &data, "--per-channel", "--json"];
        let (code, out, err) = calibrate(&[&fixed, more].concat());
        assert_eq!(code, 0, "{err}");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        json["tensors"].clone()
    };
    let tensors = run(&[]);
    assert_eq!(run(&["--batch", "2"]), tensors);
    assert_eq!(
        run(&["--ranges-only"])[2]["channels"],
        tensors[2]["channels"]
    );
    for t in tensors.as_array().unwrap() {
        let channels = t["channels"].as_array().unwrap();
        let state = ["45", "36", "47", "48"].contains(&t["tensor"].to_string().as_str());
        assert_eq!(channels.is_empty(), state, "{t}");
        if state {
            continue;
        }
        let of = |key: &'static str| channels.iter().map(move |c| c[key].as_f64().unwrap());
        let range = |key: &str| t["range"][key].as_f64().unwrap();
        assert_eq!(of("min").fold(f64::INFINITY, f64::min), range("min"));
        assert_eq!(of("max").fold(f64::NEG_INFINITY, f64::max), range("max"));
        // All channels are equally long: the mean of their means is that of all.
        let mean = of("mean").sum::<f64>() / channels.len() as f64;
        let moments = &t["moments"];
        let off = (mean - moments["mean"].as_f64().unwrap()).abs();
        assert!(off <= moments["within"].as_f64().unwrap(), "{t}");
    }
    // 64 filters, one channel of the input.
    assert_eq!(tensors[0]["channels"].as_array().unwrap().len(), 1);
    let first = tensors
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["tensor"] == 40);
    assert_eq!(first.unwrap()["channels"].as_array().unwrap().len(), 64);
    let (_, out, _) = calibrate(&["--data", &data, "--per-channel"]);
    assert!(
        out.contains("tensor 45 'arith.constant29': a state"),
        "{out}"
    );
}

/// A tensor of so many elements added to itself.
fn doubled(elements: usize) -> Program {
    let tensor = |name: &str| Tensor {
        name: name.into(),
        shape: vec![1, elements],
        dtype: DType::F32,
        quantization: None,
        constant: None,
        variable: false,
    };
    let node = Node {
        index: 0,
        op: Op::Binary(Binary::Add, Activation::None),
        inputs: vec![Some(0), Some(0)],
        outputs: vec![1],
        intermediates: Vec::new(),
    };
    let graph = Graph {
        file: "m.tflite".into(),
        tensors: vec![tensor("x"), tensor("sum")],
        nodes: vec![node],
        inputs: vec![0],
        outputs: vec![1],
    };
    kernel::prepare(graph).unwrap()
}

#[test]
fn a_sample_that_is_not_finite_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("huge.npz");
    let mut values = vec![0.5f32; 3 * 4];
    // Finite, but twice as much is not.
    values[9] = -2e38;
    let mut writer = NpzWriter::create(&data).unwrap();
    let values = Values::F32(values);
    writer.append("input_0", &[4], &values).unwrap();
    writer.finish().unwrap();
    let program = doubled(4);
    let (mut set, feeds) = stream::open(&data, &program.graph, &Options::default()).unwrap();
    let failed = each_sample(&Cpu::new(), &program, &mut set, &feeds, Some(2), |_| {});
    let error = failed.unwrap_err().to_string();
    for word in ["m.tflite", "tensor 1 'sum' of sample 2", "infinite"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn ranges_that_would_fill_the_memory_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("many.npz");
    // Two tensors of 8 bytes each, in 1 GiB.
    let most = (1usize << 30) / 16;
    let mut writer = NpzWriter::create(&data).unwrap();
    let values = Values::U8(vec![7; most + 1]);
    writer.append("input_0", &[1], &values).unwrap();
    writer.finish().unwrap();
    let program = doubled(1);
    let options = Options {
        limit: None,
        scale_offset: Some((1.0, 0.0)),
    };
    let (mut set, feeds) = stream::open(&data, &program.graph, &options).unwrap();
    let failed = each_sample(&Cpu::new(), &program, &mut set, &feeds, None, |_| {});
    let error = failed.unwrap_err().to_string();
    for word in ["many.npz", "1024 MiB", &format!("--limit {most}")] {
        assert!(error.contains(word), "{error}");
    }
}
