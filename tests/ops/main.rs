//! Every operator against LiteRT's reference kernels: models of one operator (and a few of several) over seeded grids,
//! made and run by `tests/litert/generate.py`; every integer of every tensor must be equal on every device.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod quantized;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use zeropoint::graph;
use zeropoint::kernel::{self, Device, Feed, Keep, Program, Range, SessionConfig, Statistics};
use zeropoint::model;
use zeropoint::num::{Histogram, Values};
use zeropoint::simplify;

#[derive(serde::Deserialize)]
struct Case {
    op: String,
    case: String,
    model: String,
    data: String,
    what: String,
    kind: String,
}

/// The folder with the cases, made once a run of this binary.
fn cases() -> Option<&'static (PathBuf, Vec<Case>)> {
    static CASES: OnceLock<Option<(PathBuf, Vec<Case>)>> = OnceLock::new();
    CASES
        .get_or_init(|| {
            let folder = support::root().join("target/litert-cases");
            let output = Command::new(support::python()?)
                .arg(support::root().join("tests/litert/generate.py"))
                .arg(&folder)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let index = std::fs::read_to_string(folder.join("index.json")).unwrap();
            Some((folder, serde_json::from_str(&index).unwrap()))
        })
        .as_ref()
}

/// The largest magnitude of floats.
fn largest(values: &Values) -> f32 {
    match values {
        Values::F32(v) => v.iter().fold(0.0, |m, x| m.max(x.abs())),
        _ => 0.0,
    }
}

/// What differs, or nothing. Floats may differ by the tolerance times their largest magnitude, or that of what they were
/// computed from, as sums may cancel out.
fn compare(got: &Values, want: &Values, tolerance: f32, source: f32) -> Option<String> {
    match (got, want) {
        (Values::F32(a), Values::F32(b)) => {
            // Below the smallest normal number a device may flush to zero.
            let limit = tolerance * largest(want).max(source).max(f32::MIN_POSITIVE);
            let worst = a
                .iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            (a.len() != b.len() || worst.is_nan() || worst > limit)
                .then(|| format!("floats differ by {worst}, limit {limit}"))
        }
        _ if got == want => None,
        _ => {
            let bytes = got.bytes().iter().zip(want.bytes());
            let differ = bytes.filter(|(a, b)| a != b).count();
            Some(format!(
                "{} {} against {} {}: {differ} bytes differ",
                got.len(),
                got.dtype(),
                want.len(),
                want.dtype()
            ))
        }
    }
}

/// The largest magnitude of the floats that a tensor is computed from.
fn source(
    program: &Program,
    id: usize,
    arrays: &std::collections::BTreeMap<String, support::Array>,
) -> f32 {
    let step = program.steps.iter().find(|s| s.outputs.contains(&id));
    let inputs = step.iter().flat_map(|s| &s.inputs);
    let values = inputs.filter_map(|id| arrays.get(&format!("tensor_{id}")));
    values.map(|a| largest(&a.values)).fold(0.0, f32::max)
}

fn run(
    devices: &[Box<dyn Device>],
    program: &Program,
    case: &Case,
    arrays: &std::collections::BTreeMap<String, support::Array>,
) -> Vec<String> {
    let graph = &program.graph;
    let inputs: Vec<Values> = (0..graph.inputs.len())
        .map(|i| arrays[&format!("input_{i}")].values.clone())
        .collect();
    let samples = arrays["input_0"].shape[0];
    // What is not finite has no range.
    let is_finite = |values: &Values| match values {
        Values::F32(values) => values.iter().all(|x| x.is_finite()),
        _ => true,
    };
    let finite = arrays.values().all(|array| is_finite(&array.values));
    let config = SessionConfig {
        batch: None,
        keep: Keep::All,
        statistics: match finite {
            true => Statistics::Histograms,
            false => Statistics::Nothing,
        },
        profile: false,
        feeds: vec![Feed::Direct; inputs.len()],
    };
    let mut failures = Vec::new();
    for device in devices {
        let mut fail = |what: String| {
            failures.push(format!(
                "{}/{} ({}) on {}: {what}",
                case.op,
                case.case,
                case.what,
                device.name()
            ));
        };
        let mut session = match device.session(program, &config) {
            Ok(session) => session,
            Err(error) if error.to_string().contains("has no shader yet") => {
                if !case.case.contains(CPU_ONLY) {
                    fail(error.to_string());
                }
                continue;
            }
            Err(error) => {
                fail(error.to_string());
                continue;
            }
        };
        if let Err(error) = session.run(samples, &inputs) {
            fail(error.to_string());
            continue;
        }
        let computed = program.values();
        assert!(!computed.is_empty());
        let (ranges, histograms) = match finite {
            true => (session.ranges().unwrap(), session.histograms().unwrap()),
            false => Default::default(),
        };
        for (name, want) in arrays {
            let Some(id) = name.strip_prefix("tensor_") else {
                continue;
            };
            let id: usize = id.parse().unwrap();
            if !computed.contains(&id) {
                // It was computed when the model was read.
                continue;
            }
            match session.read(id) {
                Ok(got) => {
                    if let (Values::F32(values), false) = (&got, graph.tensors[id].variable) {
                        let seen = (ranges[id], histograms[id].clone());
                        if finite && seen != statistics_of(values) {
                            fail(format!("{}: statistics are not of it", graph.describe(id)));
                        }
                    }
                    let tolerance = device.tolerance() * program.tolerance(id);
                    let source = source(program, id, arrays);
                    if let Some(difference) = compare(&got, &want.values, tolerance, source) {
                        fail(format!("{}: {difference}", graph.describe(id)));
                    }
                }
                Err(error) => fail(error.to_string()),
            }
        }
    }
    failures
}

/// The range and the histogram of values, counted one by one.
fn statistics_of(values: &[f32]) -> (Option<Range>, Option<Histogram>) {
    let range = values.iter().fold(Range::EMPTY, |range, &x| {
        range.merge(Range {
            min: x + 0.0,
            max: x + 0.0,
        })
    });
    let mut histogram = Histogram::new(range);
    histogram.count(values);
    (Some(range), Some(histogram))
}

/// What only the CPU does: the GPU has to refuse it by name.
const CPU_ONLY: &str = "_int64";

/// Runs all cases of one operator. `refused` names the cases that zeropoint refuses by design (or
/// quotes its refusal), with a reason.
fn judge(op: &str, refused: &[(&str, &str)]) {
    let Some((folder, cases)) = cases() else {
        return;
    };
    let devices = support::devices();
    let (mut failures, mut ran) = (Vec::new(), 0);
    for case in cases.iter().filter(|c| c.op == op) {
        let path = folder.join(&case.model);
        let model = model::read(&path).unwrap();
        let program = simplify::load(model, &case.model);
        let program = program.and_then(|(_, graph)| kernel::prepare(graph));
        let by_design = refused.iter().find(|(part, _)| case.case.contains(part));
        match (program, by_design) {
            // An operator that is not computed, and nothing else.
            (Ok(program), Some(_)) if program.steps.is_empty() => {}
            (Ok(_), Some((part, _))) => failures.push(format!(
                "{}: runs, but '{part}' should be refused",
                case.case
            )),
            (Err(_), Some(_)) => {}
            (Err(error), None)
                if refused
                    .iter()
                    .any(|(part, _)| error.to_string().contains(part)) => {}
            (Err(error), None) => failures.push(format!("{}: {error}", case.case)),
            (Ok(program), None) => {
                failures.extend(run(
                    &devices,
                    &program,
                    case,
                    &support::read_npz(&folder.join(&case.data)),
                ));
                ran += 1;
            }
        }
    }
    assert!(ran > 0, "no case of {op} ran");
    let shown: Vec<&String> = failures.iter().take(12).collect();
    assert!(
        failures.is_empty(),
        "{} of {ran} cases of {op} differ:\n{shown:#?}",
        failures.len()
    );
}

const TANH: (&str, &str) = ("act_tanh", "LiteRT takes a fused TANH and ignores it");

const SIGN_BIT: (&str, &str) = ("sign_bit", "no converter writes it for an RNN");
const STEPS: (&str, &str) = ("is used twice", "several operators on one state");
const HYBRID: (&str, &str) = (
    "lookup_hybrid",
    "float out of int8 tables comes with dynamic range",
);
const TOP_K: [(&str, &str); 2] = [
    ("topk_v2_int8", "TOPK_V2 stays float"),
    ("topk_v2_int32", "TOPK_V2 stays float"),
];
const STORED: [(&str, &str); 2] = [
    (
        "floor_div_int8",
        "LiteRT divides the stored numbers, whatever their scales",
    ),
    (
        "floor_mod_int8",
        "LiteRT divides the stored numbers, whatever their scales",
    ),
];
const INT32: (&str, &str) = ("_int32", "functions of int32 other than those of shapes");

macro_rules! ops {
    ($($name:ident: $refused:expr;)*) => {
        $(#[test] fn $name() { judge(stringify!($name).trim_end_matches('_'), &$refused); })*
    };
}

ops! {
    add: [TANH];
    batch_matmul: [];
    binary: [STORED[0], STORED[1]];
    chain: [];
    conv_2d: [TANH];
    dense_runtime: [];
    depthwise_conv_2d: [TANH];
    dequantize: [];
    folded: [];
    fully_connected: [("weight_zp", "weights with a zero point, which no converter writes for int8")];
    gather: [HYBRID, TOP_K[0], TOP_K[1]];
    hybrid: [];
    int16_binary: [("power_kernel", "pot_scale_int16 with powers of two, an old kernel for LSTMs")];
    int16_conv_2d: [];
    int16_depthwise_conv_2d: [];
    int16_fully_connected: [];
    int16_matmul: [];
    int16_move: [];
    int16_pool: [];
    int16_reduce: [];
    int16_resize: [];
    int16_softmax: [];
    int16_transpose_conv: [];
    int16_unary: [];
    mean: [];
    move_: [];
    norm: [("local_response", "an operator of old networks that is not on the list")];
    pool: [];
    quantize: [];
    random: [];
    reduce: [];
    reshape: [];
    rnn: [SIGN_BIT];
    select: [];
    softmax: [];
    strided_slice: [];
    svdf: [STEPS, TANH];
    spectrum: [];
    transpose_conv: [TANH, ("weight_zp", "weights with a zero point, which no converter writes for int8")];
    unary: [INT32];
    unidirectional_sequence_lstm: [];
}

/// Shapes in the file do not count: with all of them gone but their ranks, they follow from the inputs.
#[test]
fn shapes_follow_from_the_inputs() {
    let Some((folder, cases)) = cases() else {
        return;
    };
    let mut loaded = 0;
    for case in cases {
        let model = model::read(&folder.join(&case.model)).unwrap();
        let Ok((_, want)) = simplify::load(model.clone(), &case.model) else {
            continue;
        };
        let mut open = model;
        let subgraph = &mut open.subgraphs.as_mut().unwrap()[0];
        let computed = subgraph.operators.iter().flatten();
        // A RESHAPE without an argument has its shape in the file alone.
        let computed = computed.filter(|o| o.inputs.as_ref().unwrap().len() > 1 || !is_reshape(o));
        let computed = computed.flat_map(|o| o.outputs.iter().flatten());
        for &id in computed {
            let tensor = &mut subgraph.tensors.as_mut().unwrap()[id as usize];
            tensor.shape.as_mut().unwrap().fill(-1);
        }
        let (_, got) = simplify::load(open, &case.model).unwrap();
        for (got, want) in got.tensors.iter().zip(&want.tensors) {
            assert_eq!(got.shape, want.shape, "{} ({})", case.case, case.what);
        }
        loaded += 1;
    }
    assert!(loaded > 2000, "{loaded} models");
}

fn is_reshape(operator: &model::Operator) -> bool {
    let options = &operator.builtin_options;
    matches!(
        options,
        None | Some(model::BuiltinOptions::ReshapeOptions(_))
    )
}

/// LiteRT reads an int32 bias of int16 as int64 where the options do not say what it is.
#[test]
fn bias_of_another_type_than_the_options_say() {
    let Some((folder, cases)) = cases() else {
        return;
    };
    let of_32_bits = |c: &&Case| c.op == "int16_conv_2d" && c.case == "conv_bias_32_normal";
    let case = cases.iter().find(of_32_bits).unwrap();
    let mut model = model::read(&folder.join(&case.model)).unwrap();
    assert!(graph::load(&model, &case.model).is_ok());
    for other in [0, 4, 9] {
        let subgraph = &mut model.subgraphs.as_mut().unwrap()[0];
        let operator = &mut subgraph.operators.as_mut().unwrap()[0];
        let Some(model::BuiltinOptions::Conv2DOptions(options)) = &mut operator.builtin_options
        else {
            panic!("no options");
        };
        options.quantized_bias_type = other;
        let error = graph::load(&model, &case.model).expect_err("it is refused");
        assert!(error.to_string().contains("quantized_bias_type"), "{error}");
    }
}

/// Forms of the LSTM that zeropoint does not have yet must be refused by name, not computed wrongly.
#[test]
fn lstm_variants_are_refused() {
    let Some((folder, cases)) = cases() else {
        return;
    };
    let mut seen = 0;
    for case in cases.iter().filter(|c| c.op == "lstm_variants") {
        let model = model::read(&folder.join(&case.model)).unwrap();
        let error = graph::load(&model, &case.model)
            .and_then(kernel::prepare)
            .expect_err(&case.case);
        assert!(
            error.to_string().contains("not supported yet"),
            "{}: {error}",
            case.case
        );
        seen += 1;
    }
    assert!(seen > 0, "no case");
}

/// MediaPipe's custom operator, which LiteRT does not have, is a TRANSPOSE_CONV whose output shape follows from its
/// input: the same cases, rewritten, must give what LiteRT gave for them.
#[test]
fn convolution_2d_transpose_bias() {
    let Some((folder, cases)) = cases() else {
        return;
    };
    let devices = support::devices();
    let (mut failures, mut ran) = (Vec::new(), 0);
    let float = |c: &&Case| c.op == "transpose_conv" && c.kind == "float";
    for case in cases.iter().filter(float) {
        let mut model = model::read(&folder.join(&case.model)).unwrap();
        let code = &mut model.operator_codes.as_mut().unwrap()[0];
        code.builtin_code = model::BuiltinOperator::Custom as i32;
        code.deprecated_builtin_code = model::BuiltinOperator::Custom as i8;
        code.custom_code = Some("Convolution2DTransposeBias".into());
        let operator = &mut model.subgraphs.as_mut().unwrap()[0];
        let operator = &mut operator.operators.as_mut().unwrap()[0];
        let Some(model::BuiltinOptions::TransposeConvOptions(options)) =
            operator.builtin_options.take()
        else {
            panic!("{}: no options", case.case)
        };
        let [_, weights, input, bias] = operator.inputs.as_ref().unwrap()[..] else {
            continue;
        };
        if options.fused_activation_function != 0 || bias < 0 {
            continue;
        }
        operator.inputs = Some(vec![input, weights, bias]);
        let words = [
            i32::from(options.padding) + 1,
            options.stride_w,
            options.stride_h,
        ];
        operator.custom_options = Some(words.into_iter().flat_map(i32::to_le_bytes).collect());
        let program = graph::load(&model, &case.model).and_then(kernel::prepare);
        let arrays = support::read_npz(&folder.join(&case.data));
        failures.extend(run(&devices, &program.unwrap(), case, &arrays));
        ran += 1;
    }
    assert!(ran > 10, "{ran} cases");
    assert!(failures.is_empty(), "{failures:#?}");
}
