//! Random numbers, programs of one kernel, and how they are judged.

use super::*;

/// Seeded numbers (xorshift).
pub struct Random(pub u64);

impl Random {
    pub fn u32(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    pub fn below(&mut self, n: u32) -> u32 {
        self.u32() % n
    }

    /// −1 … 1.
    pub fn f32(&mut self) -> f32 {
        (f64::from(self.u32()) / f64::from(u32::MAX) * 2.0 - 1.0) as f32
    }

    pub fn f32s(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.f32()).collect()
    }

    /// Any bytes, a third of them extreme.
    pub fn i8s(&mut self, n: usize) -> Vec<i8> {
        (0..n)
            .map(|_| match self.below(6) {
                0 => -128,
                1 => 127,
                _ => self.u32() as i8,
            })
            .collect()
    }

    pub fn i32s(&mut self, n: usize, magnitude: i32) -> Vec<i32> {
        (0..n).map(|_| self.u32() as i32 % magnitude).collect()
    }

    /// Around `real`, within a factor of 4.
    pub fn multipliers(&mut self, n: usize, real: f64) -> Vec<Multiplier> {
        (0..n)
            .map(|_| Multiplier::new(real * 4f64.powf(f64::from(self.f32()))).unwrap())
            .collect()
    }
}

/// A program of one kernel; tensor 0 is its input, the others are its outputs.
pub fn program(kernel: Kernel, input: (usize, DType), outputs: &[(usize, DType, bool)]) -> Program {
    let tensor = |elements: usize, dtype, variable| Tensor {
        name: String::new(),
        shape: vec![elements],
        dtype,
        quantization: None,
        constant: None,
        variable,
    };
    let mut tensors = vec![tensor(input.0, input.1, false)];
    tensors.extend(
        outputs
            .iter()
            .map(|&(n, dtype, variable)| tensor(n, dtype, variable)),
    );
    let ids: Vec<usize> = (1..tensors.len()).collect();
    let node = Node {
        index: 0,
        op: Op::Move(Move::Reshape),
        inputs: vec![Some(0)],
        outputs: vec![1],
        intermediates: Vec::new(),
    };
    Program {
        given: tensors.len(),
        graph: Graph {
            file: "test".into(),
            tensors,
            nodes: vec![node],
            inputs: vec![0],
            outputs: vec![1],
        },
        steps: vec![Step {
            node: 0,
            kernel,
            inputs: vec![0],
            outputs: ids,
        }],
    }
}

/// Runs a program, and holds the statistics that the device gathers against the values themselves.
pub fn run(device: &dyn Device, program: &Program, samples: usize, x: &Values) -> Vec<Values> {
    // What is not finite has no range.
    let finite = !matches!(x, Values::F32(x) if x.iter().any(|x| !x.is_finite()));
    let config = SessionConfig {
        batch: Some(samples + 1),
        keep: Keep::All,
        statistics: if finite {
            Statistics::Histograms
        } else {
            Statistics::Nothing
        },
        profile: false,
        feeds: vec![Feed::Direct],
    };
    let mut session = device.session(program, &config).unwrap();
    session.run(samples, std::slice::from_ref(x)).unwrap();
    let outputs = &program.steps[0].outputs;
    let read = |&id: &usize| session.read(id).unwrap();
    let all: Vec<Values> = outputs.iter().map(read).collect();
    for (&id, values) in outputs.iter().zip(&all) {
        // States are seen at every step, not only at the end.
        let (Values::F32(values), false) = (values, program.graph.tensors[id].variable) else {
            continue;
        };
        if !finite {
            continue;
        }
        let place = || format!("{:.200?} on {}", program.steps[0].kernel, device.name());
        let range = session.ranges().unwrap()[id].unwrap();
        let low = values.iter().copied().fold(f32::MAX, f32::min);
        let high = values.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!((range.min, range.max), (low, high), "{}", place());
        let histogram = session.histograms().unwrap()[id].clone().unwrap();
        assert_eq!(histogram.total(), values.len() as u64, "{}", place());
    }
    all
}

/// Whether every device gives what the plain CPU kernels give.
pub fn agree(program: &Program, samples: usize, x: &Values, devices: &[Box<dyn Device>]) {
    let want = run(&Cpu::definition(), program, samples, x);
    for device in devices {
        let got = run(device.as_ref(), program, samples, x);
        for (i, (got, want)) in got.iter().zip(&want).enumerate() {
            let place = || format!("output {i} of {:?} on {}", program.steps[0], device.name());
            let (Values::F32(got), Values::F32(want)) = (got, want) else {
                if got != want {
                    let bytes = got.bytes().iter().zip(want.bytes());
                    let first = bytes.clone().position(|(a, b)| a != b);
                    let differ = bytes.filter(|(a, b)| a != b).count();
                    let place: String = place().chars().take(600).collect();
                    panic!("{differ} bytes differ, the first at {first:?}: {place}");
                }
                continue;
            };
            assert_eq!(got.len(), want.len());
            let largest = want.iter().fold(1.0f32, |m, x| m.max(x.abs()));
            let tolerance = program.tolerance(program.steps[0].outputs[i]);
            let limit = device.tolerance() * tolerance * largest;
            for (at, (a, b)) in got.iter().zip(want).enumerate() {
                if (a - b).is_nan() || (a - b).abs() > limit {
                    let place: String = place().chars().take(600).collect();
                    panic!("{a} is not {b} within {limit} at {at}: {place}");
                }
            }
        }
    }
}
