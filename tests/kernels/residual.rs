//! Products and depthwise convolutions with an addition and a clamp behind them, which a GPU may make one launch.

use super::case::Random;
use super::*;
use zeropoint::graph::{Binary, Unary};
use zeropoint::kernel::{BinaryF32, Broadcast};

/// x → kernel → 2, 2 + residual → 3, RELU6 → 4.
fn block(kernel: Kernel, inputs: usize, outputs: usize, bounds: (f32, f32)) -> Program {
    let tensor = |elements| Tensor {
        name: String::new(),
        shape: vec![elements],
        dtype: DType::F32,
        quantization: None,
        constant: None,
        variable: false,
    };
    let mut tensors = vec![tensor(inputs)];
    tensors.extend((0..4).map(|_| tensor(outputs)));
    let node = Node {
        index: 0,
        op: Op::Move(Move::Reshape),
        inputs: vec![Some(0), Some(1)],
        outputs: vec![4],
        intermediates: Vec::new(),
    };
    let add = Kernel::BinaryF32(BinaryF32 {
        op: Binary::Add,
        shape: Broadcast::same(outputs as u32),
        bounds,
    });
    let step = |kernel, inputs, output| Step {
        node: 0,
        kernel,
        inputs,
        outputs: vec![output],
    };
    Program {
        given: tensors.len(),
        graph: Graph {
            file: "test".into(),
            tensors,
            nodes: vec![node],
            inputs: vec![0, 1],
            outputs: vec![4],
        },
        steps: vec![
            step(kernel, vec![0], 2),
            step(add, vec![1, 2], 3),
            step(Kernel::UnaryF32(Unary::Relu6), vec![3], 4),
        ],
    }
}

/// The three tensors that are computed.
fn run(
    device: &dyn Device,
    program: &Program,
    keep: Keep,
    [x, residual]: [&[f32]; 2],
) -> Vec<Vec<f32>> {
    let samples = residual.len() / program.graph.elements(1);
    let config = SessionConfig {
        batch: Some(samples + 1),
        keep,
        statistics: Statistics::Histograms,
        profile: false,
        feeds: vec![Feed::Direct; 2],
    };
    let mut session = device.session(program, &config).unwrap();
    let inputs = [x, residual].map(|values| Values::F32(values.to_vec()));
    session.run(samples, &inputs).unwrap();
    let ids = if keep == Keep::All { 2..5 } else { 4..5 };
    let read = |id| match session.read(id).unwrap() {
        Values::F32(values) => values,
        other => panic!("{other:?}"),
    };
    let all: Vec<Vec<f32>> = ids.clone().map(read).collect();
    let (ranges, histograms) = (session.ranges().unwrap(), session.histograms().unwrap());
    for (id, values) in ids.zip(&all) {
        let range = ranges[id].unwrap();
        let low = values.iter().copied().fold(f32::MAX, f32::min);
        let high = values.iter().copied().fold(f32::MIN, f32::max);
        let name = device.name();
        assert_eq!((range.min, range.max), (low, high), "{id} on {name}");
        let total = histograms[id].as_ref().unwrap().total();
        assert_eq!(total, values.len() as u64, "{id} on {name}");
    }
    all
}

#[test]
fn products_with_a_residual() {
    let devices = support::devices();
    let mut random = Random(21);
    for i in 0..24 {
        let depthwise = i % 3 == 1;
        let mut shape = geometry(&mut random, depthwise);
        if i % 3 == 2 {
            let [rows, depth, units] = [70, 90, 80].map(|n| 1 + random.below(n));
            (shape.k_h, shape.k_w, shape.in_h, shape.out_h) = (1, 1, 1, 1);
            (shape.in_w, shape.out_w, shape.stride_w) = (rows, rows, 1);
            (shape.pad_top, shape.pad_left) = (0, 0);
            (shape.in_c, shape.group_in) = (depth, depth);
            (shape.out_c, shape.group_out) = (units, units);
        }
        let float = ConvF32 {
            shape,
            weights: random.f32s(shape.out_c as usize * shape.depth()),
            bias: random.f32s(shape.out_c as usize),
            bounds: bounds_f32(&mut random),
        };
        let samples = 1 + random.below(4) as usize;
        let (inputs, outputs) = (
            input_elements(&shape),
            shape.pixels() * shape.out_c as usize,
        );
        let kernel = match i % 3 {
            0 => Kernel::ConvF32(float),
            1 => Kernel::DepthwiseF32(float),
            _ => Kernel::FullyConnectedF32(FullyConnectedF32 {
                shape: FullyConnected {
                    rows: shape.pixels(),
                    depth: shape.depth(),
                    units: shape.out_c as usize,
                },
                weights: float.weights,
                bias: float.bias,
                bounds: float.bounds,
            }),
        };
        let bounds = bounds_f32(&mut random);
        let program = block(kernel, inputs, outputs, bounds);
        let mut x = random.f32s(samples * inputs);
        if i % 3 == 2 {
            // Rows that matrix units give up, beside others.
            x.iter_mut().skip(40).step_by(997).for_each(|x| *x *= 1e12);
        }
        let residual = random.f32s(samples * outputs);
        let data = [&x[..], &residual];
        let want = run(&Cpu::definition(), &program, Keep::All, data);
        for device in &devices {
            let device = device.as_ref();
            let place = || format!("{:.300?} on {}", program.steps[0].kernel, device.name());
            let got = run(device, &program, Keep::All, data);
            for (id, (got, want)) in (2..5).zip(got.iter().zip(&want)) {
                let largest = want.iter().fold(1.0f32, |m, x| m.max(x.abs()));
                let limit = device.tolerance() * program.tolerance(id) * largest;
                assert_eq!(got.len(), want.len());
                for (a, b) in got.iter().zip(want) {
                    assert!((a - b).abs() <= limit, "{a} {b} in {id}: {}", place());
                }
            }
            // Whatever the product was, what follows from it has no tolerance.
            let (low, high) = bounds;
            for (at, x) in got[0].iter().enumerate() {
                let sum = x + residual[at];
                let sum = if sum < low { low } else { sum.min(high) };
                assert_eq!(got[1][at].to_bits(), sum.to_bits(), "{at}: {}", place());
                let clamped = if sum < 0.0 { 0.0 } else { sum.min(6.0) };
                assert_eq!(got[2][at], clamped, "{at}: {}", place());
            }
            // Where tensors share buffers.
            let alone = run(device, &program, Keep::Outputs, data);
            assert!(alone[0] == got[2], "{}", place());
        }
    }
}
