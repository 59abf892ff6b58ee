use super::*;
use crate::cpu::Cpu;
use crate::graph::{Binary, Graph, Move, Node, Op, Tensor, Unary};
use crate::kernel::{
    BinaryF32, Box8, Broadcast, ConvF32, Device, Feed, Keep, SessionConfig, Statistics, VIEW,
};
use crate::num::{DType, Histogram};
use proptest::prelude::*;

const OPEN: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// What a link of a random chain is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Conv {
        channels: u32,
    },
    Depthwise,
    Relu,
    /// Adds the tensor that the last convolution began with, if the shapes allow.
    Add,
    /// A slope for each channel.
    Slopes,
    /// Takes it off a number.
    Rest,
    /// Padding around the image.
    Pad,
    /// More channels.
    Widen,
}

fn kind() -> impl Strategy<Value = (Kind, [u32; 4])> {
    let kind = prop_oneof![
        (1u32..20).prop_map(|channels| Kind::Conv { channels }),
        Just(Kind::Depthwise),
        Just(Kind::Relu),
        Just(Kind::Add),
        Just(Kind::Slopes),
        Just(Kind::Rest),
        Just(Kind::Pad),
        Just(Kind::Widen),
    ];
    // Height and width of the filter, stride, dilation.
    (kind, [1u32..6, 1u32..6, 1u32..3, 1u32..3])
}

/// A box `[first, count]` in three dimensions, among 1.5.
fn boxed(dims: [u32; 3], inner: [[u32; 2]; 3], strides: [u32; 3]) -> Place {
    let mut place = Place {
        dims: [1; VIEW],
        boxes: vec![Box8 {
            input: 0,
            start: [0; VIEW],
            step: [1; VIEW],
            count: [1; VIEW],
            base: 0,
            strides: [0; VIEW],
        }],
        fill: Some([0, 0, 0xc0, 0x3f, 0, 0, 0, 0]),
    };
    let b = &mut place.boxes[0];
    for (i, d) in (VIEW - 3..VIEW).enumerate() {
        place.dims[d] = dims[i];
        [b.start[d], b.count[d]] = inner[i];
        b.strides[d] = strides[i] as i32;
    }
    place
}

/// A program of one chain from an image `[height, width, channels]`, with SAME padding.
fn program(image: [u32; 3], kinds: &[(Kind, [u32; 4])]) -> Program {
    let mut shapes = vec![image];
    let mut steps: Vec<Step> = Vec::new();
    let mut constants: Vec<Vec<f32>> = Vec::new();
    for &(kind, [k_h, k_w, stride, dilation]) in kinds {
        let [in_h, in_w, in_c] = shapes[shapes.len() - 1];
        let from = shapes.len() - 1;
        let convolution = |out_c: u32, group_in: u32, group_out: u32| {
            let (out_h, out_w) = (in_h.div_ceil(stride), in_w.div_ceil(stride));
            let pad = |out: u32, size: u32, k: u32| {
                ((out - 1) * stride + (k - 1) * dilation + 1).saturating_sub(size) / 2
            };
            let shape = ConvShape {
                batch: 1,
                in_h,
                in_w,
                in_c,
                out_h,
                out_w,
                out_c,
                k_h,
                k_w,
                stride_h: stride,
                stride_w: stride,
                dilation_h: dilation,
                dilation_w: dilation,
                pad_top: pad(out_h, in_h, k_h),
                pad_left: pad(out_w, in_w, k_w),
                group_in,
                group_out,
            };
            let number = |i: usize| ((i * 7919) % 101) as f32 * 0.01 - 0.45;
            let weights = (0..shape.depth() * out_c as usize).map(number).collect();
            let bias = (0..out_c as usize).map(number).collect();
            let kernel = ConvF32 {
                shape,
                weights,
                bias,
                bounds: (-4.0, 6.0),
            };
            ([out_h, out_w, out_c], kernel)
        };
        let (shape, kernel, inputs) = match kind {
            Kind::Conv { channels } => {
                let (shape, kernel) = convolution(channels, in_c, channels);
                (shape, Kernel::ConvF32(kernel), vec![from])
            }
            Kind::Depthwise => {
                let (shape, kernel) = convolution(in_c, 1, 1);
                (shape, Kernel::DepthwiseF32(kernel), vec![from])
            }
            Kind::Relu => (shapes[from], Kernel::UnaryF32(Unary::Relu), vec![from]),
            Kind::Add => {
                let n = shapes[from].iter().product();
                let add = BinaryF32 {
                    op: Binary::Sub,
                    shape: Broadcast::same(n),
                    bounds: OPEN,
                };
                let other = shapes.iter().position(|s| *s == shapes[from]);
                let inputs = vec![other.unwrap_or(from), from];
                (shapes[from], Kernel::BinaryF32(add), inputs)
            }
            Kind::Pad | Kind::Widen => {
                let (place, shape) = match kind {
                    Kind::Pad => {
                        let shape = [in_h + k_h + stride - 2, in_w + k_w + dilation - 2, in_c];
                        let inner = [[k_h - 1, in_h], [k_w - 1, in_w], [0, in_c]];
                        (boxed(shape, inner, [in_w * in_c, in_c, 1]), shape)
                    }
                    _ => {
                        let (pixels, out_c) = (in_h * in_w, in_c + k_w);
                        let inner = [[0, 1], [0, pixels], [k_h % k_w, in_c]];
                        let dims = [1, pixels, out_c];
                        (boxed(dims, inner, [0, in_c, 1]), [in_h, in_w, out_c])
                    }
                };
                (shape, Kernel::Place(place), vec![from])
            }
            Kind::Slopes | Kind::Rest => {
                let place = usize::from(kind == Kind::Slopes);
                let few = if place == 1 { in_c } else { 1 };
                let mut shape = Broadcast::same(in_h * in_w * in_c);
                shape.same_shape = false;
                shape.dims[4..].copy_from_slice(&[in_h * in_w * in_c / few, few]);
                shape.strides[1 - place][4..].copy_from_slice(&[few, 1]);
                shape.strides[place][5] = u32::from(few > 1);
                let op = [Binary::Sub, Binary::Prelu][place];
                let mut inputs = vec![from; 2];
                inputs[place] = kinds.len() + 1 + constants.len();
                constants.push((0..few).map(|i| 0.5 - i as f32).collect());
                let kernel = BinaryF32 {
                    op,
                    shape,
                    bounds: OPEN,
                };
                (shapes[from], Kernel::BinaryF32(kernel), inputs)
            }
        };
        steps.push(Step {
            node: 0,
            kernel,
            inputs,
            outputs: vec![shapes.len()],
        });
        shapes.push(shape);
    }
    let tensor = |shape: &[u32], constant: Option<Values>| Tensor {
        name: String::new(),
        shape: shape.iter().map(|&n| n as usize).collect(),
        dtype: DType::F32,
        quantization: None,
        constant,
        variable: false,
    };
    let images = shapes.iter().map(|&[h, w, c]| tensor(&[1, h, w, c], None));
    let constant = |v: &Vec<f32>| tensor(&[v.len() as u32], Some(Values::F32(v.clone())));
    let tensors: Vec<Tensor> = images.chain(constants.iter().map(constant)).collect();
    Program {
        given: tensors.len(),
        graph: Graph {
            file: "test".into(),
            tensors,
            nodes: vec![Node {
                index: 0,
                op: Op::Move(Move::Reshape),
                inputs: Vec::new(),
                outputs: Vec::new(),
                intermediates: Vec::new(),
            }],
            inputs: vec![0],
            outputs: vec![shapes.len() - 1],
        },
        steps,
    }
}

/// The output and the statistics of two samples, and how many steps went in strips.
fn ran(program: &Program, bytes: usize) -> (Values, Vec<Option<Histogram>>, usize) {
    let config = SessionConfig {
        batch: None,
        keep: Keep::Outputs,
        statistics: Statistics::Histograms,
        profile: false,
        feeds: vec![Feed::Direct],
    };
    let cpu = Cpu::with_strips(bytes);
    let mut session = cpu.session(program, &config).unwrap();
    let n = 2 * program.graph.elements(0);
    let x = (0..n)
        .map(|i| ((i * 31) % 97) as f32 * 0.02 - 0.9)
        .collect();
    session.run(2, &[Values::F32(x)]).unwrap();
    let histograms = session.histograms().unwrap();
    let output = session.read(program.graph.outputs[0]).unwrap();
    let steps = &program.steps;
    let fast: Vec<Fast> = steps
        .iter()
        .map(|step| Fast::new(&program.graph, step, false))
        .collect();
    let mut kept = vec![false; program.graph.tensors.len()];
    kept[program.graph.outputs[0]] = true;
    let chains = chains(program, steps, &fast, &kept, 0..steps.len(), bytes);
    (
        output,
        histograms,
        chains.iter().flatten().map(Chain::steps).sum(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn strips_give_the_bits_of_whole_tensors(
        image in [1u32..30, 1u32..20, 1u32..12],
        kinds in prop::collection::vec(kind(), 1..7),
        bytes in 1usize..20_000,
    ) {
        let program = program(image, &kinds);
        let (whole, all, none) = ran(&program, usize::MAX / 2);
        prop_assert_eq!(none, 0);
        let (strips, seen, _) = ran(&program, bytes);
        prop_assert_eq!(strips, whole);
        prop_assert_eq!(seen, all);
    }
}

#[test]
fn padding_and_constants_go_in_strips_and_a_chain_begins_with_any_step() {
    let one = |kind| (kind, [3, 3, 2, 1]);
    for first in [Kind::Pad, Kind::Widen, Kind::Relu, Kind::Slopes, Kind::Rest] {
        let kinds = [
            one(first),
            one(Kind::Depthwise),
            one(Kind::Pad),
            one(Kind::Slopes),
        ];
        let program = program([40, 9, 5], &kinds);
        let (whole, all, _) = ran(&program, usize::MAX / 2);
        let (strips, seen, steps) = ran(&program, 5000);
        assert_eq!((steps, strips, seen), (4, whole, all), "{first:?}");
    }
}

#[test]
fn residual_blocks_go_in_strips_up_to_their_sum() {
    let (conv, add) = (Kind::Conv { channels: 8 }, Kind::Add);
    let k = [3, 3, 1, 1];
    let kinds = [
        (conv, k),
        (conv, k),
        (Kind::Depthwise, k),
        (add, k),
        (conv, k),
        (Kind::Relu, k),
    ];
    let program = program([24, 24, 8], &kinds);
    let (_, _, steps) = ran(&program, 4096);
    // The sum reads the image, which is there as a whole.
    assert_eq!(steps, 6);
}
