//! Damage to the tree of a model: each kind as a real file could have it, by mistake or by intent.

use zeropoint::model::{
    Buffer, BuiltinOptions as O, Model, Operator, QuantizationParameters, SparsityParameters,
    SubGraph, Tensor,
};

pub use crate::support::Random;

const INTEGERS: [i32; 22] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    -1,
    -2,
    -128,
    255,
    1000,
    1 << 16,
    1 << 20,
    1 << 24,
    1 << 28,
    1 << 30,
    i32::MAX,
    i32::MAX - 1,
    i32::MIN,
    i32::MIN + 1,
    46_341,
];
const FLOATS: [f32; 17] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    1e-45,
    1e-38,
    1e-20,
    1e-7,
    0.5,
    100.0,
    1e10,
    1e38,
    f32::MAX,
    f32::MIN,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
];
const ZERO_POINTS: [i64; 12] = [
    0,
    -128,
    127,
    255,
    -129,
    128,
    256,
    -32768,
    i32::MIN as i64,
    i32::MAX as i64,
    i64::MIN,
    i64::MAX,
];

/// Something of a list, if it has anything.
fn some<'a, T>(list: &'a mut Option<Vec<T>>, r: &mut Random) -> Option<&'a mut T> {
    let list = list.as_mut()?;
    let n = list.len();
    list.get_mut(r.below(n))
}

fn graph(model: &mut Model) -> Option<&mut SubGraph> {
    model.subgraphs.as_mut()?.first_mut()
}

/// Changes something; says what, or nothing where the model has no such thing.
pub fn mutate(model: &mut Model, r: &mut Random) -> Option<String> {
    match r.below(20) {
        0..4 => shape(some(&mut graph(model)?.tensors, r)?, r),
        4..6 => dimension_everywhere(model, r),
        6..8 => tensor(some(&mut graph(model)?.tensors, r)?, r),
        8..11 => quantization(model, r),
        11..13 => buffer(model, r),
        13..16 => {
            let tensors = graph(model)?.tensors.as_ref().map_or(0, Vec::len);
            wiring(some(&mut graph(model)?.operators, r)?, tensors, r)
        }
        16..18 => options(some(&mut graph(model)?.operators, r)?, r),
        18 => structure(model, r),
        _ => codes(model, r),
    }
}

fn list(list: &mut Option<Vec<i32>>, r: &mut Random) -> String {
    match r.below(9) {
        0 => *list = None,
        1 => *list = Some(Vec::new()),
        2 => *list = Some(vec![0, i32::MAX, i32::MAX, i32::MAX]),
        3 => {
            list.get_or_insert_default().push(r.pick(&INTEGERS));
        }
        4 => {
            list.get_or_insert_default().pop();
        }
        5 => {
            let list = list.get_or_insert_default();
            list.insert(0, 1);
        }
        6 => {
            let list = list.get_or_insert_default();
            let n = list.len();
            if n > 1 {
                list.swap(r.below(n), r.below(n));
            }
        }
        _ => {
            let value = r.pick(&INTEGERS);
            if let Some(slot) = some(list, r) {
                *slot = value;
            }
        }
    }
    format!("{list:?}")
}

fn shape(tensor: &mut Tensor, r: &mut Random) -> Option<String> {
    let now = list(&mut tensor.shape, r);
    Some(format!("shape of {:?}: {now}", tensor.name))
}

/// Shapes that still agree with each other get past more checks.
fn dimension_everywhere(model: &mut Model, r: &mut Random) -> Option<String> {
    let old = *some(&mut some(&mut graph(model)?.tensors, r)?.shape, r)?;
    let any = r.pick(&INTEGERS);
    let new = r.pick(&[0, 0, 1, 2, 7, 13, 100, any]);
    let resize = r.below(2) == 0;
    let mut buffers = model.buffers.take().unwrap_or_default();
    for tensor in graph(model)?.tensors.iter_mut().flatten() {
        let shape = tensor.shape.get_or_insert_default();
        let before = shape.clone();
        shape
            .iter_mut()
            .filter(|d| **d == old)
            .for_each(|d| *d = new);
        let elements = |s: &[i32]| s.iter().try_fold(1i32, |n, &d| n.checked_mul(d));
        if let (true, Some(a), Some(b), Some(buffer)) = (
            resize && tensor.buffer != 0,
            elements(&before).filter(|n| *n > 0),
            elements(shape).filter(|n| (0..1 << 18).contains(n)),
            buffers.get_mut(tensor.buffer as usize),
        ) && let Some(data) = &mut buffer.data
        {
            let size = data.len() / a as usize;
            data.resize(size * b as usize, 1);
        }
    }
    model.buffers = Some(buffers);
    Some(format!(
        "every dimension {old} is {new}, constants resized: {resize}"
    ))
}

fn tensor(tensor: &mut Tensor, r: &mut Random) -> Option<String> {
    match r.below(7) {
        0 | 1 => {
            tensor.type_ = r.pick(&[0, 1, 2, 3, 4, 6, 7, 9, 10, 13, 15, 18, 99, 127, -1, -128]);
        }
        2 => tensor.is_variable = !tensor.is_variable,
        3 => tensor.buffer = r.pick(&[0, 1, 2, 3, 4, 5, 6, 1000, u32::MAX]),
        4 => tensor.external_buffer = r.pick(&[1, u32::MAX]),
        5 => tensor.sparsity = Some(Box::<SparsityParameters>::default()),
        _ => {
            list(&mut tensor.shape_signature, r);
            tensor.name = None;
        }
    }
    Some(format!(
        "tensor {:?}: type {}, variable {}, buffer {}, external {}, sparse {}",
        tensor.name,
        tensor.type_,
        tensor.is_variable,
        tensor.buffer,
        tensor.external_buffer,
        tensor.sparsity.is_some()
    ))
}

fn quantization(model: &mut Model, r: &mut Random) -> Option<String> {
    let tensor = some(&mut graph(model)?.tensors, r)?;
    let q = tensor
        .quantization
        .get_or_insert_with(Box::<QuantizationParameters>::default);
    match r.below(8) {
        0 => q.scale = None,
        1 => q.zero_point = None,
        2 => q.quantized_dimension = r.pick(&INTEGERS),
        3 => q.scale = Some(vec![r.pick(&FLOATS); r.below(8)]),
        4 => q.zero_point = Some(vec![r.pick(&ZERO_POINTS); r.below(8)]),
        5 => {
            let value = r.pick(&FLOATS);
            *some(&mut q.scale, r)? = value;
        }
        6 => {
            let value = r.pick(&ZERO_POINTS);
            *some(&mut q.zero_point, r)? = value;
        }
        _ => {
            q.scale = Some(vec![r.pick(&FLOATS)]);
            q.zero_point = Some(vec![r.pick(&ZERO_POINTS)]);
        }
    }
    let start = |n: usize| n.min(4);
    Some(format!(
        "quantization of {:?}: {:?} … {:?} … along {}",
        tensor.name,
        q.scale.as_ref().map(|v| &v[..start(v.len())]),
        q.zero_point.as_ref().map(|v| &v[..start(v.len())]),
        q.quantized_dimension
    ))
}

fn buffer(model: &mut Model, r: &mut Random) -> Option<String> {
    let place = r.below(model.buffers.as_ref()?.len());
    let buffer: &mut Buffer = &mut model.buffers.as_mut()?[place];
    let mut what = "no data";
    match (r.below(8), &mut buffer.data) {
        (0, data) => *data = None,
        (1, Some(data)) => {
            data.pop();
            what = "a byte less";
        }
        (2, Some(data)) => {
            data.extend([0; 4]);
            what = "four bytes more";
        }
        (3, Some(data)) => {
            data.fill(0xff);
            what = "NaN";
        }
        (4, Some(data)) => {
            data.fill(0x80);
            what = "the lowest int8";
        }
        (5, Some(data)) => {
            let value = r.pick(&FLOATS);
            data.chunks_exact_mut(4)
                .for_each(|c| c.copy_from_slice(&value.to_le_bytes()));
            what = "one float everywhere";
        }
        (_, Some(data)) if data.len() >= 4 => {
            let (at, value) = (r.below(data.len() / 4) * 4, r.pick(&INTEGERS));
            data[at..at + 4].copy_from_slice(&value.to_le_bytes());
            return Some(format!("buffer {place}: {value} at byte {at}"));
        }
        (_, data) => *data = Some(Vec::new()),
    }
    Some(format!("buffer {place}: {what}"))
}

fn wiring(operator: &mut Operator, tensors: usize, r: &mut Random) -> Option<String> {
    let ids = [
        tensors as i32,
        tensors as i32 - 1,
        -1,
        -2,
        i32::MIN,
        i32::MAX,
    ];
    let id = if r.below(2) == 0 {
        r.pick(&ids)
    } else {
        r.below(tensors) as i32
    };
    let (name, ids) = match r.below(8) {
        0 => ("intermediates", &mut operator.intermediates),
        1 | 2 => ("outputs", &mut operator.outputs),
        _ => ("inputs", &mut operator.inputs),
    };
    match r.below(6) {
        0 => *ids = None,
        1 => ids.get_or_insert_default().push(id),
        2 => {
            ids.get_or_insert_default().pop();
        }
        _ => *some(ids, r)? = id,
    }
    let code = operator.opcode_index;
    Some(format!("{name} of an operator of code {code}: {ids:?}"))
}

fn options(operator: &mut Operator, r: &mut Random) -> Option<String> {
    let (number, float, small) = (r.pick(&INTEGERS), r.pick(&FLOATS), r.below(256) as u8 as i8);
    let field = r.below(6);
    match operator.builtin_options.as_mut()? {
        _ if r.below(8) == 0 => operator.builtin_options = None,
        _ if r.below(16) == 0 => {
            operator.builtin_options = Some(O::AbsOptions(Box::default()));
        }
        O::Conv2DOptions(o) => match field {
            0 => o.padding = small % 4,
            1 => o.stride_h = number,
            2 => o.stride_w = number,
            3 => o.dilation_h_factor = number,
            4 => o.dilation_w_factor = number,
            _ => o.fused_activation_function = small % 8,
        },
        O::DepthwiseConv2DOptions(o) => match field {
            0 => o.padding = small % 4,
            1 => o.stride_h = number,
            2 => o.stride_w = number,
            3 => o.dilation_h_factor = number,
            4 => o.dilation_w_factor = number,
            _ => o.fused_activation_function = small % 8,
        },
        O::FullyConnectedOptions(o) => match field {
            0 => o.weights_format = small,
            1 => o.keep_num_dims = true,
            _ => o.fused_activation_function = small % 8,
        },
        O::UnidirectionalSequenceLstmOptions(o) => match field {
            0 => o.fused_activation_function = small % 8,
            1 => o.time_major = !o.time_major,
            2 => o.diagonal_recurrent_tensors = true,
            _ => o.cell_clip = float,
        },
        O::AddOptions(o) => o.fused_activation_function = small % 8,
        O::SoftmaxOptions(o) => o.beta = float,
        O::StridedSliceOptions(o) => match field {
            0 => o.begin_mask = number,
            1 => o.end_mask = number,
            2 => o.ellipsis_mask = number,
            3 => o.new_axis_mask = number,
            4 => o.shrink_axis_mask = number,
            _ => o.offset = true,
        },
        _ => operator.builtin_options = None,
    }
    Some(format!("options: {:?}", operator.builtin_options))
}

fn structure(model: &mut Model, r: &mut Random) -> Option<String> {
    let what = match r.below(14) {
        0 => {
            model.subgraphs = Some(Vec::new());
            "no subgraph"
        }
        1 => {
            let copy = graph(model)?.clone();
            model.subgraphs.as_mut()?.push(copy);
            "two subgraphs"
        }
        2 => {
            graph(model)?.operators = None;
            "no operators"
        }
        3 => {
            graph(model)?.tensors = None;
            "no tensors"
        }
        4 | 5 => {
            let operators = graph(model)?.operators.as_mut()?;
            let n = operators.len();
            if n > 1 {
                operators.swap(r.below(n), r.below(n));
            }
            "operators in another order"
        }
        6 => {
            let operators = graph(model)?.operators.as_mut()?;
            let copy = operators.get(r.below(operators.len()))?.clone();
            operators.push(copy);
            "an operator twice"
        }
        7 => {
            let operators = graph(model)?.operators.as_mut()?;
            let place = r.below(operators.len());
            (place < operators.len()).then(|| operators.remove(place))?;
            "an operator less"
        }
        8 => {
            list(&mut graph(model)?.inputs, r);
            "other inputs"
        }
        9 => {
            list(&mut graph(model)?.outputs, r);
            "other outputs"
        }
        10 => {
            model.buffers = None;
            "no buffers"
        }
        11 | 12 => {
            let type_ = r.pick(&[0, 2, 3, 4, 6, 7, 9, 15, 16]);
            let subgraph = graph(model)?;
            let tensors = subgraph.tensors.as_mut()?;
            subgraph.inputs.as_mut()?.push(tensors.len() as i32);
            tensors.push(Tensor {
                shape: Some(vec![2, r.pick(&[0, 1, 3, 1000])]),
                type_,
                ..Tensor::default()
            });
            "an input that nothing reads"
        }
        _ => {
            let maps = &mut some(&mut model.signature_defs, r)?.inputs;
            some(maps, r)?.tensor_index = u32::MAX;
            "a signature of no tensor"
        }
    };
    Some(what.into())
}

fn codes(model: &mut Model, r: &mut Random) -> Option<String> {
    if r.below(3) == 0 {
        let operator = some(&mut graph(model)?.operators, r)?;
        operator.opcode_index = r.pick(&[0, 1, 2, 3, 4, 5, 1000, u32::MAX]);
        return Some(format!("operator of code {}", operator.opcode_index));
    }
    let code = some(&mut model.operator_codes, r)?;
    match r.below(4) {
        0 => code.builtin_code = r.pick(&INTEGERS),
        1 => code.deprecated_builtin_code = r.below(256) as u8 as i8,
        2 => code.custom_code = Some("Mystery".into()),
        _ => code.version = r.pick(&INTEGERS),
    }
    Some(format!("{code:?}"))
}
