//! Which way products take on a device, decided once when it is opened.
//!
//! The portable ways, `dot4I8Packed` and plain f32, run everywhere. Matrix units are faster. They are taken only after
//! they have proved themselves on this very adapter: products of extreme values against results of the host.

use super::device::Gpu;
use super::matrix::Unit;
use super::tuning::{Tuner, Tuning};
use crate::graph::{Graph, Move, Node, Op, Tensor};
use crate::kernel::{
    ConvF32, ConvI8, Device, DeviceError, Feed, HALVES, Keep, Kernel, Program, SessionConfig,
    Statistics, Step,
};
use crate::num::{DType, Multiplier, Rounding, Values};

use super::product::plain;

/// How int8 products are computed. All ways give equal bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Int8Path {
    /// On matrix units where they prove exact, otherwise by dot products.
    #[default]
    Auto,
    /// By dot products of four bytes.
    Dot,
    /// On matrix units, or not at all.
    Matrix,
}

/// How float products are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloatPath {
    /// On matrix units where they prove accurate, otherwise in plain f32.
    #[default]
    Auto,
    /// In plain f32.
    Exact,
    /// On matrix units, each float as two halves, or not at all.
    Fast,
}

/// What to open, and how it shall compute.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Part of the adapter's name; the most capable one if not given.
    pub adapter: Option<String>,
    /// How int8 products are computed.
    pub int8: Int8Path,
    /// How float products are computed.
    pub float: FloatPath,
    /// How the tiles of products are chosen.
    pub tuning: Tuning,
    /// Whether shaders check their indices and loops as they run, and their shared memory starts as zeros. Slower; the
    /// results are equal.
    pub checked: bool,
}

/// The ways that were chosen: the matrix units to use, if any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Paths {
    pub int8: Option<Unit>,
    pub float: Option<Unit>,
}

impl Paths {
    /// How all products are computed, for people.
    pub fn products(self) -> String {
        let units = |unit: Option<Unit>, otherwise: &str| match unit {
            Some(Unit { size: n, .. }) => format!("{n}x{n}x{n} matrix units"),
            None => otherwise.to_owned(),
        };
        format!(
            "int8 by {}, float by {}",
            units(self.int8, "dot4I8Packed"),
            units(self.float, "f32")
        )
    }

    /// What runs on matrix units, for people; `None` if nothing does.
    pub fn describe(self) -> Option<String> {
        let what = match (self.int8, self.float) {
            (None, None) => return None,
            (Some(_), Some(_)) => "int8 and float",
            (Some(_), None) => "int8",
            (None, Some(_)) => "float",
        };
        let n = self.int8.or(self.float)?.size;
        Some(format!("{what} on {n}x{n}x{n} matrix units"))
    }
}

/// The matrix units of an adapter that multiply f16 and add f32, if a shader may use them.
pub(super) fn unit(adapter: &wgpu::Adapter) -> Option<Unit> {
    let needed = features();
    let (limits, info) = (adapter.limits(), adapter.get_info());
    let largest = adapter
        .cooperative_matrix_properties()
        .into_iter()
        .filter(|p| {
            p.ab_type == wgpu::CooperativeScalarType::F16
                && p.cr_type == wgpu::CooperativeScalarType::F32
                && p.m_size == p.n_size
                && p.n_size == p.k_size
                && !p.saturating_accumulation
        })
        .map(|p| p.m_size)
        .max()?;
    adapter.features().contains(needed).then_some(Unit {
        size: largest,
        subgroup: info.subgroup_max_size,
        invocations: limits.max_compute_invocations_per_workgroup,
        memory: limits.max_compute_workgroup_storage_size,
    })
}

/// What shaders with matrices need.
pub(super) fn features() -> wgpu::Features {
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX
        | wgpu::Features::SHADER_F16
        | wgpu::Features::SUBGROUP
}

/// The permission to use experimental features.
#[allow(unsafe_code, reason = "the one token wgpu asks for")]
pub(super) fn experimental() -> wgpu::ExperimentalFeatures {
    // SAFETY: the token acknowledges that wgpu's validation of cooperative matrices may have holes, through which a
    // shader could do what is undefined. Only shaders of this crate use them: their matrices are loaded from and stored
    // to workgroup arrays only, at places that constants keep inside (`matrix::Tile` sizes the arrays), in control flow
    // that is uniform, and each is validated by a test.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

/// The matrices of an adapter, for people.
pub(super) fn matrices(adapter: &wgpu::Adapter) -> String {
    let all = adapter.cooperative_matrix_properties();
    let names = all.iter().map(|p| {
        let (m, n, k) = (p.m_size, p.n_size, p.k_size);
        format!("{m}x{n}x{k} {:?} to {:?}", p.ab_type, p.cr_type)
    });
    let mut names: Vec<String> = names.collect();
    names.dedup();
    if names.is_empty() {
        return "none".into();
    }
    names.join(", ")
}

impl Options {
    /// The paths that need a proof.
    pub(super) fn candidates(&self, unit: Option<Unit>, software: bool) -> Paths {
        // Emulated matrices only cost time.
        let auto = unit.filter(|_| !software);
        Paths {
            int8: match self.int8 {
                Int8Path::Auto => auto,
                Int8Path::Dot => None,
                Int8Path::Matrix => unit,
            },
            float: match self.float {
                FloatPath::Auto => auto,
                FloatPath::Exact => None,
                FloatPath::Fast => unit,
            },
        }
    }

    /// What was asked for but cannot be had.
    pub(super) fn refusal(&self, chosen: Paths) -> Option<&'static str> {
        if self.int8 == Int8Path::Matrix && chosen.int8.is_none() {
            return Some("it has no matrix units that compute int8 exactly; use --int8-path auto");
        }
        if self.float == FloatPath::Fast && chosen.float.is_none() {
            return Some("it has no matrix units that compute floats accurately; use --float auto");
        }
        None
    }
}

/// Opens an adapter and takes the paths that prove themselves on it.
///
/// # Errors
/// If the driver refuses.
pub(super) fn open(adapter: &wgpu::Adapter, options: &Options) -> Result<Gpu, DeviceError> {
    let software = adapter.get_info().device_type == wgpu::DeviceType::Cpu;
    let candidates = options.candidates(unit(adapter), software);
    let mut gpu = match Gpu::request(adapter, candidates, options.checked) {
        // It may refuse only the features.
        Err(_) if candidates != Paths::default() => {
            Gpu::request(adapter, Paths::default(), options.checked)?
        }
        Err(e) => return Err(e),
        Ok(mut gpu) => {
            let proved = prove(&mut gpu, candidates);
            // Errors of what was tried stay with the device that had them.
            if gpu.check().is_err() {
                gpu = Gpu::request(adapter, proved, options.checked)?;
            }
            gpu.paths = proved;
            gpu
        }
    };
    gpu.describe_products();
    gpu.tuner = Tuner::of(options.tuning, &gpu);
    Ok(gpu)
}

/// The candidates that hold what they promise. A shader that is refused is an answer as well.
fn prove(gpu: &mut Gpu, candidates: Paths) -> Paths {
    let mut proved = Paths::default();
    if candidates.int8.is_some() {
        gpu.paths = Paths {
            float: None,
            ..candidates
        };
        proved.int8 = candidates.int8.filter(|_| int8_holds(gpu).unwrap_or(false));
    }
    if candidates.float.is_some() && gpu.check().is_ok() {
        gpu.paths = Paths {
            int8: None,
            ..candidates
        };
        proved.float = candidates
            .float
            .filter(|_| float_holds(gpu).unwrap_or(false));
    }
    proved
}

/// Whether int8 products on the paths of `gpu` are those of the host, bit for bit.
///
/// # Errors
/// If the device cannot run them.
pub(super) fn int8_holds(gpu: &Gpu) -> Result<bool, DeviceError> {
    // The first is one sum just inside the exact range, the second is cut into pieces; 3 columns are beyond a tile.
    for depth in [1030, 2111] {
        let (x, w, units) = extremes(depth);
        let products: Vec<i32> = dots(&x, &w, depth, |a, b| i32::from(a) * i32::from(b));
        let zero_point = -37;
        let zeros = |filter: &[i8]| filter.iter().map(|&v| i32::from(v)).sum::<i32>() * zero_point;
        let filters: Vec<i32> = w.chunks_exact(depth).map(zeros).collect();
        // Row i meets filter i at exactly i - 60, so that no bit is hidden by the clamp or by rounding.
        let bias: Vec<i32> = (0..units)
            .map(|i| i as i32 - 60 - products[i * units + i] + filters[i])
            .collect();
        let one = Multiplier {
            mantissa: 1 << 30,
            shift: 1,
            rounding: Rounding::Double,
        };
        let want: Vec<i8> = products
            .iter()
            .enumerate()
            .map(|(at, sum)| {
                let channel = at % units;
                (sum + bias[channel] - filters[channel]).clamp(-128, 127) as i8
            })
            .collect();
        let kernel = Kernel::ConvI8(ConvI8 {
            shape: plain(units, depth, units),
            weights: w,
            bias,
            multipliers: vec![one; units],
            input_zero_point: zero_point,
            output_zero_point: 0,
            bounds: (-128, 127),
        });
        let got = result(gpu, kernel, DType::I8, units * units, Values::I8(x))?;
        if got != Values::I8(want) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether float products on the paths of `gpu` are those of the host within the tolerance, rows beyond f16 included.
///
/// # Errors
/// If the device cannot run them.
pub(super) fn float_holds(gpu: &Gpu) -> Result<bool, DeviceError> {
    let depth = 1111;
    let (x, w, units) = extremes(depth);
    // All mantissa bits, and rows of all magnitudes; the last is beyond f16 after its first values.
    let real = |i: usize, v: i8| (f32::from(v) + 0.1) / 128.0 + i as f32 * 1e-7;
    let magnitude = |row: usize| 2f32.powi(row as i32 % 40 - 20);
    let mut x: Vec<f32> = x.iter().enumerate().map(|(i, &v)| real(i, v)).collect();
    for (row, values) in x.chunks_exact_mut(depth).enumerate() {
        values.iter_mut().for_each(|v| *v *= magnitude(row));
    }
    x[(units - 1) * depth..][..64].fill(1e-20);
    let w: Vec<f32> = w.iter().enumerate().map(|(i, &v)| real(i, v)).collect();
    let want = dots(&x, &w, depth, |a, b| f64::from(a) * f64::from(b));
    let kernel = Kernel::ConvF32(ConvF32 {
        shape: plain(units, depth, units),
        weights: w,
        bias: vec![0.0; units],
        bounds: (f32::NEG_INFINITY, f32::INFINITY),
    });
    let tolerance = f64::from(HALVES * kernel.tolerance());
    let Values::F32(got) = result(gpu, kernel, DType::F32, units * units, Values::F32(x))? else {
        return Ok(false);
    };
    // Row by row, as the rows have different magnitudes.
    let mut rows = got.chunks_exact(units).zip(want.chunks_exact(units));
    Ok(rows.all(|(got, want)| {
        let limit = tolerance * want.iter().fold(0.0, |m: f64, y| m.max(y.abs()));
        got.iter()
            .zip(want)
            .all(|(&a, b)| (f64::from(a) - b).abs() <= limit)
    }))
}

/// Rows, as many filters of `depth`, and how many: all the extremes, signs that alternate, and everything between.
fn extremes(depth: usize) -> (Vec<i8>, Vec<i8>, usize) {
    let count = 83;
    let value = |row: usize, k: usize, factor: usize| match row % 6 {
        0 => -128,
        1 => 127,
        2 => [127, -127][k % 2],
        3 => [-128, 127, 1][k % 3],
        // A large sum whose lowest bits are anything.
        4 => 127 - (k * k * factor % 8) as i8,
        _ => ((row * 131 + k * k * factor + k / 7) % 256) as u8 as i8,
    };
    let matrix = |factor: usize, lowest: i8| -> Vec<i8> {
        (0..count * depth)
            .map(|i| value(i / depth, i % depth, factor).max(lowest))
            .collect()
    };
    (matrix(37, -128), matrix(53, -127), count)
}

/// Every row with every filter.
fn dots<T: Copy, S: std::iter::Sum>(
    x: &[T],
    w: &[T],
    depth: usize,
    product: impl Fn(T, T) -> S + Copy,
) -> Vec<S> {
    x.chunks_exact(depth)
        .flat_map(|row| {
            w.chunks_exact(depth).map(move |filter| {
                let pairs = row.iter().zip(filter);
                pairs.map(|(&a, &b)| product(a, b)).sum()
            })
        })
        .collect()
}

/// What the device makes of one kernel with one sample.
fn result(
    gpu: &Gpu,
    kernel: Kernel,
    dtype: DType,
    outputs: usize,
    x: Values,
) -> Result<Values, DeviceError> {
    let tensor = |elements| Tensor {
        name: String::new(),
        shape: vec![elements],
        dtype,
        quantization: None,
        constant: None,
        variable: false,
    };
    let program = Program {
        given: 2,
        graph: Graph {
            file: String::new(),
            tensors: vec![tensor(x.len()), tensor(outputs)],
            nodes: vec![Node {
                index: 0,
                op: Op::Move(Move::Reshape),
                inputs: vec![Some(0)],
                outputs: vec![1],
                intermediates: Vec::new(),
            }],
            inputs: vec![0],
            outputs: vec![1],
        },
        steps: vec![Step {
            node: 0,
            kernel,
            inputs: vec![0],
            outputs: vec![1],
        }],
    };
    let config = SessionConfig {
        batch: Some(1),
        keep: Keep::Outputs,
        statistics: Statistics::Nothing,
        profile: false,
        feeds: vec![Feed::Direct],
    };
    let mut session = gpu.session(&program, &config)?;
    session.run(1, &[x])?;
    session.read(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::tests::gpu;

    /// The demands on matrix units are met by the ways they replace: a proof that fails is their fault.
    #[test]
    fn proofs_hold_without_matrix_units() {
        if gpu().is_none() {
            return;
        }
        let plain = Options {
            int8: Int8Path::Dot,
            float: FloatPath::Exact,
            ..Options::default()
        };
        let gpu = Gpu::open_with(&plain).unwrap();
        assert_eq!(gpu.paths, Paths::default());
        assert!(int8_holds(&gpu).unwrap());
        assert!(float_holds(&gpu).unwrap());
    }

    #[test]
    fn matrix_units_are_used_as_asked_or_refused() {
        if gpu().is_none() {
            return;
        }
        for (int8, float, option) in [
            (Int8Path::Matrix, FloatPath::Exact, "--int8-path"),
            (Int8Path::Dot, FloatPath::Fast, "--float"),
        ] {
            let options = Options {
                checked: true,
                int8,
                float,
                ..Options::default()
            };
            match Gpu::open_with(&options) {
                Ok(gpu) => {
                    assert_eq!(gpu.paths.int8.is_some(), int8 == Int8Path::Matrix);
                    assert_eq!(gpu.paths.float.is_some(), float == FloatPath::Fast);
                    assert!(gpu.name().contains("matrix units"), "{}", gpu.name());
                    assert!(gpu.summary().products.contains("matrix units"));
                }
                Err(error) => assert!(error.to_string().contains(option), "{error}"),
            }
        }
    }
}
