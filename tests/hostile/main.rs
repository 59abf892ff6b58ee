//! Damaged models through the whole program: no input may make it panic, overflow, hang or ask for huge memory, and what
//! it does run must give every sample the same numbers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../support/mod.rs"]
mod support;

mod mutate;
mod tiny;

use mutate::{Random, mutate};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};
use zeropoint::check::{self, Target};
use zeropoint::cpu::Cpu;
use zeropoint::kernel::{self, Device, Feed, Keep, Program, SessionConfig, Statistics};
use zeropoint::model::{self, Model};
use zeropoint::num::{DType, Values};
use zeropoint::quantize::{self, Io};
use zeropoint::{graph, report};

/// Models that need more a sample are prepared, but not run.
const RUN_BYTES: usize = 64 << 20;
/// Longest that one model may take; shorter than patience, longer than a busy machine needs.
const LIMIT: Duration = Duration::from_secs(5);
/// Samples run: one thread gets two of them, so that they share a chunk.
const SAMPLES: usize = 3;

/// What is being tried and since when; a watch on another thread ends a test that hangs.
static NOW: LazyLock<Mutex<Vec<(String, Instant)>>> = LazyLock::new(|| {
    std::thread::spawn(|| {
        loop {
            std::thread::sleep(Duration::from_millis(500));
            for (what, since) in NOW.lock().unwrap().iter() {
                if since.elapsed() > 6 * LIMIT {
                    eprintln!("HANGS: {what}");
                    std::process::abort();
                }
            }
        }
    });
    Mutex::new(Vec::new())
});

/// Zeros of a type, as a data set would deliver them.
fn zeros(dtype: DType, n: usize) -> Option<Values> {
    Some(match dtype {
        DType::F32 => Values::F32(vec![0.0; n]),
        DType::I8 => Values::I8(vec![0; n]),
        DType::U8 => Values::U8(vec![0; n]),
        DType::Bool => Values::Bool(vec![0; n]),
        DType::I16 => Values::I16(vec![0; n]),
        DType::U16 => Values::U16(vec![0; n]),
        DType::I32 => Values::I32(vec![0; n]),
        DType::U32 => Values::U32(vec![0; n]),
        DType::I64 => Values::I64(vec![0; n]),
        DType::C64 => Values::C64(vec![[0.0; 2]; n]),
        DType::F16 => return None,
    })
}

/// Runs equal samples; every tensor must have its elements, the same for each sample.
fn run(device: &Cpu, program: &Program) {
    let graph = &program.graph;
    let inputs: Option<Vec<Values>> = graph
        .inputs
        .iter()
        .map(|&id| zeros(graph.tensors[id].dtype, SAMPLES * graph.elements(id)))
        .collect();
    let Some(inputs) = inputs else { return };
    let config = SessionConfig {
        batch: Some(SAMPLES),
        keep: Keep::All,
        statistics: Statistics::Ranges,
        profile: false,
        feeds: vec![Feed::Direct; inputs.len()],
    };
    let mut session = device.session(program, &config).unwrap();
    // Not finite is an honest answer.
    if session.run(SAMPLES, &inputs).is_err() {
        return;
    }
    for id in program.values() {
        let values = session.read(id).unwrap();
        let n = graph.elements(id);
        assert_eq!(values.len(), SAMPLES * n, "{}", graph.describe(id));
        let sample = n * graph.tensors[id].dtype.size();
        let (first, rest) = values.bytes().split_at(sample);
        for other in rest.chunks_exact(sample) {
            assert!(first == other, "{} differs by sample", graph.describe(id));
        }
    }
    session.ranges().unwrap();
}

/// The whole way; returns how far it came.
fn pipeline(tree: &Model) -> Option<&'static str> {
    let bytes = model::to_bytes(tree).ok()?;
    let model = model::parse(&bytes).ok()?;
    let inspection = report::Inspection::new("hostile", &model, bytes.len() as u64);
    assert!(!report::inspect(&inspection).is_empty());
    let summary = report::Structure::new("hostile", &model, bytes.len() as u64, None);
    assert!(!report::structure(&[summary]).is_empty());
    for target in [
        Target::Tflm,
        Target::CmsisNn,
        Target::Nnapi,
        Target::Edgetpu,
    ] {
        check::check(&model, target);
    }
    let Ok(graph) = graph::load(&model, "hostile") else {
        return Some("read");
    };
    let ranges = tiny::ranges(graph.tensors.len());
    for io in [Io::Float, Io::Int8, Io::Uint8] {
        if quantize::check_float(&graph).is_ok()
            && let Ok(plan) = quantize::plan(&graph, &ranges, io)
            && let Ok(quantized) = quantize::apply(&model, &graph, &plan)
            && model::to_bytes(&quantized).is_ok()
        {
            // What is wrong with it may be found now, as the command line does.
            let _ = graph::load(&quantized, "quantized").and_then(kernel::prepare);
        }
    }
    let Ok(program) = kernel::prepare(graph) else {
        return Some("loaded");
    };
    if program.bytes_per_sample() >= RUN_BYTES {
        let config = SessionConfig {
            batch: None,
            keep: Keep::Outputs,
            statistics: Statistics::Nothing,
            profile: false,
            feeds: vec![Feed::Direct; program.graph.inputs.len()],
        };
        let _ = Cpu::new().session(&program, &config).is_ok();
        return Some("prepared");
    }
    run(&Cpu::new(), &program);
    run(&Cpu::definition(), &program);
    Some("run")
}

/// Most memory this process has asked for so far, in bytes; nothing where the system does not tell.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmPeak:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Tries `count` damaged forms of a model, each with one to three changes.
fn attack(name: &str, model: &Model, seed: u64, count: usize) {
    assert_eq!(pipeline(model), Some("run"), "{name} itself");
    let before = peak();
    let (mut failures, mut reached) = (Vec::new(), std::collections::BTreeMap::new());
    for i in 0..count {
        let mut random = Random(seed.wrapping_add(i as u64 * 0x1_0000_0001));
        let mut damaged = model.clone();
        // Mostly one change: what several have in common is that the first check refuses them.
        let changes: Vec<String> = (0..[1, 1, 1, 2, 3][i % 5])
            .filter_map(|_| mutate(&mut damaged, &mut random))
            .collect();
        let what = format!("{name} {i}: {}", changes.join("; "));
        let start = Instant::now();
        NOW.lock().unwrap().push((what.clone(), start));
        let result = catch_unwind(AssertUnwindSafe(|| pipeline(&damaged)));
        NOW.lock().unwrap().retain(|(other, _)| *other != what);
        match result {
            Ok(stage) => *reached.entry(stage.unwrap_or("refused")).or_insert(0) += 1,
            Err(_) => failures.push(format!("PANIC {what}")),
        }
        if start.elapsed() > LIMIT {
            failures.push(format!("{:?} for {what}", start.elapsed()));
        }
    }
    eprintln!("{name}: {count} damaged models {reached:?}");
    assert!(
        failures.is_empty(),
        "{} of {count}:\n{failures:#?}",
        failures.len()
    );
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(
            after - before < 4 << 30,
            "{name}: asked for {} MiB",
            (after - before) >> 20
        );
    }
    // Damage that never gets anywhere would test nothing but the first check.
    assert!(reached["run"] > count / 20, "{reached:?}");
}

fn har() -> Model {
    model::read(&support::root().join("examples/har/model.tflite")).unwrap()
}

#[test]
fn every_operator_float() {
    let model = tiny::all_operators();
    for (name, model) in tiny::each_operator(&model) {
        attack(&name, &model, 1, 1000);
    }
    attack("float", &model, 1, 1500);
}

#[test]
fn every_operator_int8() {
    let float = tiny::all_operators();
    for (seed, io) in [(2, Io::Float), (3, Io::Uint8)] {
        let model = tiny::int8(&float, io);
        for (name, model) in tiny::each_operator(&model) {
            attack(&format!("{name} {io:?}"), &model, seed, 500);
        }
        attack(&format!("int8 {io:?}"), &model, seed, 1000);
    }
}

#[test]
fn har_float() {
    attack("HAR float", &har(), 4, 80);
}

#[test]
fn har_int8() {
    attack("HAR int8", &tiny::int8(&har(), Io::Float), 5, 50);
}

/// The message with which a changed model of one operator is refused.
fn refusal(operator: &str, change: impl FnOnce(&mut Model)) -> String {
    let float = tiny::all_operators();
    let mut models = tiny::each_operator(&float).into_iter();
    let (_, mut model) = models.find(|(name, _)| name == operator).unwrap();
    change(&mut model);
    let program = graph::load(&model, "changed").and_then(kernel::prepare);
    program.unwrap_err().to_string()
}

fn tensors(model: &mut Model) -> &mut Vec<model::Tensor> {
    let subgraph = &mut model.subgraphs.as_mut().unwrap()[0];
    subgraph.tensors.as_mut().unwrap()
}

fn inputs(model: &mut Model) -> &mut Vec<i32> {
    let subgraph = &mut model.subgraphs.as_mut().unwrap()[0];
    let operators = subgraph.operators.as_mut().unwrap();
    operators[0].inputs.as_mut().unwrap()
}

#[test]
fn a_scalar_is_no_sum_of_arrays() {
    let message = refusal("ADD", |m| {
        let output = tensors(m).last_mut().unwrap();
        output.shape = Some(Vec::new());
    });
    assert!(message.contains("do not broadcast to []"), "{message}");
}

#[test]
fn only_some_operators_take_a_constant_for_every_sample() {
    for operator in ["CONV_2D", "MEAN", "FULLY_CONNECTED", "SOFTMAX"] {
        let message = refusal(operator, |m| {
            let n: i32 = tensors(m)[0].shape.as_ref().unwrap().iter().product();
            let buffers = m.buffers.as_mut().unwrap();
            buffers.push(model::Buffer {
                data: Some(vec![0; 4 * n as usize]),
                ..model::Buffer::default()
            });
            let buffer = buffers.len() as u32 - 1;
            tensors(m)[0].buffer = buffer;
            // Something has to be fed.
            tensors(m).push(model::Tensor {
                shape: Some(vec![1]),
                ..model::Tensor::default()
            });
            let fed = tensors(m).len() as i32 - 1;
            m.subgraphs.as_mut().unwrap()[0].inputs = Some(vec![fed]);
        });
        assert!(
            message.contains("constant folding"),
            "{operator}: {message}"
        );
    }
}

#[test]
fn nothing_is_not_computed() {
    let message = refusal("RESHAPE", |m| {
        for tensor in tensors(m).iter_mut().filter(|t| t.buffer == 0) {
            tensor.shape = Some(vec![1, 0]);
        }
    });
    assert!(message.contains("no elements"), "{message}");
}

#[test]
fn zeros_do_not_hide_huge_dimensions() {
    let message = refusal("MEAN", |m| {
        tensors(m)[0].shape = Some(vec![0, i32::MAX, i32::MAX, i32::MAX]);
    });
    assert!(message.contains("2^31 elements"), "{message}");
}

#[test]
fn a_state_is_not_an_input() {
    let message = refusal("UNIDIRECTIONAL_SEQUENCE_LSTM", |m| {
        let inputs = inputs(m);
        inputs[0] = inputs[18];
    });
    assert!(message.contains("as input 0"), "{message}");
}

#[test]
fn years_of_work_are_refused() {
    let message = refusal("CONV_2D", |m| {
        let subgraph = &mut m.subgraphs.as_mut().unwrap()[0];
        let operator = &mut subgraph.operators.as_mut().unwrap()[0];
        operator.inputs.as_mut().unwrap().truncate(2);
        let filter = operator.inputs.as_ref().unwrap()[1] as usize;
        let image = Some(vec![1, 1 << 15, 1 << 15, 1]);
        for tensor in tensors(m) {
            tensor.shape.clone_from(&image);
            if tensor.buffer != 0 {
                tensor.shape = Some(vec![1, 65, 65, 1]);
            }
        }
        let buffer = tensors(m)[filter].buffer as usize;
        m.buffers.as_mut().unwrap()[buffer].data = Some(vec![0; 4 * 65 * 65]);
    });
    assert!(message.contains("multiplications"), "{message}");
}
