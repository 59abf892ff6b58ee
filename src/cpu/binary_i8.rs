//! Fast int8 functions of two operands with broadcasting. What they give is defined in `cpu/add.rs` and, as tables of
//! pairs, in `cpu/binary.rs`.

use super::operands::Operands;
use super::requantize::scaled;
#[cfg(target_arch = "x86_64")]
use super::vnni;
use super::{add, bytes};
use crate::graph::Graph;
use crate::kernel::{AddI8, BinaryTable, Broadcast, ProductI8, Step};
use crate::num::{DType, Multiplier, Rounding, Values};

/// How a step is computed.
#[derive(Debug)]
pub enum BinaryI8 {
    /// The other operand is one number: what each byte of this one becomes.
    Bytes(usize, Box<[u8; 256]>),
    /// Vector by vector.
    #[cfg(target_arch = "x86_64")]
    Vnni(vnni::Pairs),
    /// In arithmetic that compilers vectorise.
    Plain,
}

impl BinaryI8 {
    /// For ADD and SUB; `None` if the definition has to do.
    pub fn of_sum(k: &AddI8, graph: &Graph, step: &Step) -> Option<Self> {
        if let Some((i, one)) = one_number(graph, step) {
            return Some(Self::bytes(i, one, |a, b| {
                add::one(k, a as i8, b as i8) as u8
            }));
        }
        #[cfg(target_arch = "x86_64")]
        if vnni::available()
            && let Some(pairs) = vnni::Pairs::sums(k)
        {
            return Some(Self::Vnni(pairs));
        }
        let [a, b] = k.input_multipliers;
        let fits = [a, b, k.output_multiplier]
            .iter()
            .all(|m| m.shift <= 0 && m.rounding == Rounding::Double);
        fits.then_some(Self::Plain)
    }

    /// For functions of bytes; `None` if the table has to do.
    pub fn of_table(k: &BinaryTable, graph: &Graph, step: &Step) -> Option<Self> {
        if graph.tensors[step.outputs[0]].dtype != DType::I8 {
            return None;
        }
        if let Some((i, one)) = one_number(graph, step) {
            let pair = |a: u8, b: u8| k.table[usize::from(a) << 8 | usize::from(b)];
            return Some(Self::bytes(i, one, pair));
        }
        let product = k.product?;
        #[cfg(target_arch = "x86_64")]
        if vnni::available()
            && let Some(pairs) = vnni::Pairs::products(&product)
        {
            return Some(Self::Vnni(pairs));
        }
        let Multiplier {
            shift, rounding, ..
        } = product.multiplier;
        (shift <= 0 && rounding == Rounding::Double).then_some(Self::Plain)
    }

    fn bytes(i: usize, one: u8, pair: impl Fn(u8, u8) -> u8) -> Self {
        let of = |x: usize| {
            if i == 0 {
                pair(x as u8, one)
            } else {
                pair(one, x as u8)
            }
        };
        Self::Bytes(i, Box::new(std::array::from_fn(of)))
    }

    /// The sums or differences of a chunk of samples.
    pub fn add(&self, k: &AddI8, x: Operands<'_>, y: &mut [i8], room: &mut [Vec<i8>; 2]) {
        self.run(&k.shape, x, y, room, |x, y| add::rows(k, x, y));
    }

    /// What a table gives for a chunk of samples.
    pub fn table(&self, k: &BinaryTable, x: Operands<'_>, y: &mut [i8], room: &mut [Vec<i8>; 2]) {
        self.run(&k.shape, x, y, room, |x, y| match &k.product {
            Some(product) => products(product, x, y),
            None => unreachable!("of_table makes nothing else of them"),
        });
    }

    fn run(
        &self,
        shape: &Broadcast<2>,
        x: Operands<'_>,
        y: &mut [i8],
        room: &mut [Vec<i8>; 2],
        plain: impl Fn([&[i8]; 2], &mut [i8]),
    ) {
        match self {
            Self::Bytes(i, table) => bytes::map(&**table, x.bytes(*i), bytemuck::cast_slice_mut(y)),
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(pairs) => by_sample(shape, x, y, room, |x, y| pairs.run(x, y)),
            Self::Plain => by_sample(shape, x, y, room, plain),
        }
    }
}

/// The operand beside which the other one is a constant of one element, and that element.
fn one_number(graph: &Graph, step: &Step) -> Option<(usize, u8)> {
    let constant = |i: usize| graph.tensors[step.inputs[i]].constant.as_ref();
    let byte = |i: usize| {
        let bytes = constant(i).map(Values::bytes)?;
        (bytes.len() == 1).then(|| bytes[0])
    };
    let full = |i: usize| {
        constant(i).is_none() && graph.elements(step.inputs[i]) == graph.elements(step.outputs[0])
    };
    [(0, 1), (1, 0)]
        .into_iter()
        .find_map(|(i, other)| byte(other).filter(|_| full(i)).map(|one| (i, one)))
}

/// Calls `f` with both operands of each sample, which then have the output's shape.
fn by_sample(
    shape: &Broadcast<2>,
    x: Operands<'_>,
    y: &mut [i8],
    room: &mut [Vec<i8>; 2],
    f: impl Fn([&[i8]; 2], &mut [i8]),
) {
    let n = y.len() / x.samples;
    let [first, second] = room;
    for (s, y) in y.chunks_exact_mut(n).enumerate() {
        let operand = |i: usize, room| {
            // What is spread is the same for all samples if it is a constant.
            let again = s > 0 && x.constant(i);
            spread(shape, i, x.sample(i, x.i8s(i), s), n, room, again)
        };
        let operands = [operand(0, &mut *first), operand(1, &mut *second)];
        f(operands, y);
    }
}

/// An operand in the shape of the output, of `n` elements. Copying bytes costs little beside computing with them, and
/// then only one way of computing is needed.
fn spread<'a>(
    shape: &Broadcast<2>,
    i: usize,
    x: &'a [i8],
    n: usize,
    room: &'a mut Vec<i8>,
    again: bool,
) -> &'a [i8] {
    if x.len() == n {
        return x;
    }
    if !again {
        let row = shape.dims[shape.dims.len() - 1] as usize;
        let step = shape.steps()[i];
        if room.len() < n {
            room.resize(n, 0);
        }
        shape.rows(|first, at| {
            let to = &mut room[first..first + row];
            match step {
                1 => to.copy_from_slice(&x[at[i]..][..row]),
                _ => to.fill(x[at[i]]),
            }
        });
    }
    &room[..n]
}

/// Products of operands of one shape, where the multiplier rounds twice and is not over 1.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
fn products(p: &ProductI8, [a, b]: [&[i8]; 2], y: &mut [i8]) {
    let [zero_a, zero_b] = p.input_zero_points;
    let (mantissa, right) = (p.multiplier.mantissa, -p.multiplier.shift as u32);
    let (zero, (low, high)) = (p.output_zero_point, p.bounds);
    for ((y, &a), &b) in y.iter_mut().zip(a).zip(b) {
        let product = (i32::from(a) - zero_a) * (i32::from(b) - zero_b);
        let q = scaled(product, mantissa, right).saturating_add(zero);
        *y = q.max(low).min(high) as i8;
    }
}
