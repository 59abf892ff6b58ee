//! The time that a product takes in each tile: the launch of the real shape with about the real batch, on made-up numbers.
//!
//! Before a tile is timed, what it writes is compared with what the first one wrote. All should have the same bits; a
//! driver that compiles one of them to others is not given the choice.

use super::{Key, Tile, Tiles, Wanted};
use crate::gpu::buffers::Buffers;
use crate::gpu::clock::Clock;
use crate::gpu::device::Gpu;
use crate::gpu::launch::{Binding, Launch};
use crate::gpu::loaded::{Constants, Dispatch, Loaded};
use crate::gpu::matrix::{self, Numbers};
use crate::gpu::plan::Plan;
use crate::gpu::product::{Finish, Io, ProductF32, ProductI8};
use crate::gpu::ranges::Ranges;
use crate::graph::Graph;
use crate::kernel::{AllMoved, DeviceError, Program};
use crate::num::{Multiplier, Rounding};
use std::time::Instant;

/// How much faster than the reasoned tile another one must be to replace it: below is noise.
const MARGIN: f64 = 0.03;
/// Times of each tile, of which the best counts.
const ROUNDS: usize = 3;
/// A tile so much slower than the best is not timed again.
const HOPELESS: f64 = 1.3;
/// Seconds that a time must span by the device's own clock, and by the host's, which sees the submission as well.
const SPAN: [f64; 2] = [2e-4, 3e-3];
/// Most launches in one time.
const LAUNCHES: f64 = 64.0;
/// Bytes of results that are compared.
const COMPARED: u64 = 1 << 20;
/// Bytes of numbers that are made; the input repeats them.
const NUMBERS: u64 = 1 << 20;

/// The fastest tile of a product.
pub(super) struct Found {
    pub tile: Tile,
    /// Whether all were measured before the time was over.
    pub complete: bool,
}

/// Measures the candidates, the first of which is the reasoned one, until a certain time.
///
/// # Errors
/// What went wrong on the device. It stays usable unless it is lost.
pub(super) fn fastest(
    gpu: &Gpu,
    wanted: &Wanted,
    key: Key,
    candidates: &[Tile],
    until: Instant,
) -> Result<Found, DeviceError> {
    let filters = [
        wgpu::ErrorFilter::OutOfMemory,
        wgpu::ErrorFilter::Validation,
        wgpu::ErrorFilter::Internal,
    ];
    let scopes = filters.map(|filter| gpu.device.push_error_scope(filter));
    let found = Trial::new(gpu, wanted, key).and_then(|trial| trial.fastest(candidates, until));
    // The session needs the memory next.
    let freed = gpu.wait(None);
    // All scopes end, whatever the first says.
    let scopes = scopes.into_iter().rev();
    let errors: Vec<_> = scopes
        .filter_map(|scope| pollster::block_on(scope.pop()))
        .collect();
    match errors.first() {
        Some(error) => Err(gpu.failed(error.to_string())),
        None => freed.and(found),
    }
}

/// A product, ready to be launched.
struct Trial<'a> {
    gpu: &'a Gpu,
    wanted: &'a Wanted,
    key: Key,
    weights: Weights,
    plan: Plan,
    buffers: Buffers,
}

/// In the order of the file.
enum Weights {
    F32(Vec<f32>),
    I8(Vec<i8>),
}

/// Where its tensors are; the matrix units have one of their own behind these.
const INPUT: usize = 0;
const OUTPUT: usize = 1;

impl<'a> Trial<'a> {
    fn new(gpu: &'a Gpu, wanted: &'a Wanted, key: Key) -> Result<Trial<'a>, DeviceError> {
        let [inputs, outputs] = wanted.words();
        let shape = &wanted.shape;
        let given_up = shape.pixels() * (shape.out_c / shape.group_out) as usize;
        let plan = Plan {
            scratch: vec![inputs, outputs, given_up],
            ..Plan::default()
        };
        let buffers = Buffers::new(
            gpu,
            &plan,
            &Ranges::new(false, AllMoved::default()),
            key.samples,
        )?;
        let run = [key.samples as u32, 0, 0, 0];
        gpu.write(&buffers.run, bytemuck::cast_slice(&run));
        let trial = Trial {
            gpu,
            wanted,
            key,
            weights: weights(wanted),
            plan,
            buffers,
        };
        trial.fill(4 * (inputs * key.samples) as u64)?;
        Ok(trial)
    }

    /// Fills the input.
    fn fill(&self, bytes: u64) -> Result<(), DeviceError> {
        let numbers: Vec<u32> = (0..NUMBERS.min(bytes) as u32 / 4)
            .map(|i| match self.wanted.numbers {
                Numbers::Float => float(i).to_bits(),
                Numbers::Int8 => noise(i),
            })
            .collect();
        let from = self
            .gpu
            .upload("made-up numbers", bytemuck::cast_slice(&numbers))?;
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        for at in (0..bytes).step_by(NUMBERS as usize) {
            let part = NUMBERS.min(bytes - at);
            encoder.copy_buffer_to_buffer(&from, 0, &self.buffers.scratch[INPUT], at, part);
        }
        self.gpu.submit(encoder)?;
        Ok(())
    }

    fn fastest(&self, candidates: &[Tile], until: Instant) -> Result<Found, DeviceError> {
        let features = self.gpu.device.features();
        let device_clock = features.contains(wgpu::Features::TIMESTAMP_QUERY);
        let (mut tiles, mut expected, mut launches) = (Vec::new(), Vec::new(), 1);
        let mut in_time = true;
        for &tile in candidates {
            let dispatch = match self.load(tile) {
                Ok(dispatch) => dispatch,
                Err(e) if tiles.is_empty() => return Err(e),
                // The driver refuses this one.
                Err(_) => continue,
            };
            let (warm, bits) = self.warm_up(&dispatch, device_clock)?;
            if tiles.is_empty() {
                let span = SPAN[usize::from(!device_clock)];
                launches = (span / warm.max(1e-9)).ceil().clamp(1.0, LAUNCHES) as usize;
                expected = bits;
                tiles.push((tile, dispatch));
            } else if bits == expected {
                tiles.push((tile, dispatch));
            }
            in_time = Instant::now() < until;
            if !in_time {
                break;
            }
        }
        let mut best = vec![f64::INFINITY; tiles.len()];
        // In turns: what disturbs the device disturbs all.
        for _ in 0..ROUNDS {
            for (i, (_, dispatch)) in tiles.iter().enumerate() {
                let hopeless = best[i].is_finite() && best[i] > HOPELESS * least(&best);
                if hopeless || !in_time {
                    continue;
                }
                let time = self.time(dispatch, launches, device_clock)?;
                best[i] = best[i].min(time);
                in_time = Instant::now() < until;
            }
        }
        Ok(Found {
            tile: tiles[decide(&best)].0,
            complete: in_time,
        })
    }

    /// The first run in a tile: what it takes, and what it writes.
    fn warm_up(
        &self,
        dispatch: &Dispatch,
        device_clock: bool,
    ) -> Result<(f64, Vec<u8>), DeviceError> {
        let output = &self.buffers.scratch[OUTPUT];
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        // Nothing is left of the tile before.
        encoder.clear_buffer(output, 0, None);
        self.gpu.submit(encoder)?;
        let time = self.time(dispatch, 1, device_clock)?;
        let bytes = 4 * (self.wanted.words()[OUTPUT] * self.key.samples) as u64;
        let bits = self.gpu.read(output, bytes.min(COMPARED), &mut None)?;
        Ok((time, bits))
    }

    /// Seconds of so many launches.
    fn time(
        &self,
        dispatch: &Dispatch,
        launches: usize,
        device_clock: bool,
    ) -> Result<f64, DeviceError> {
        let record = |pass: &mut wgpu::ComputePass<'_>| {
            for _ in 0..launches {
                dispatch.record(self.gpu, pass, self.key.samples);
            }
        };
        if device_clock {
            return Clock::time(self.gpu, record);
        }
        let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
        record(&mut encoder.begin_compute_pass(&Default::default()));
        let begin = Instant::now();
        let submission = self.gpu.submit(encoder)?;
        self.gpu.wait(Some(submission))?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// The launch in a tile, ready to be recorded.
    fn load(&self, tile: Tile) -> Result<Dispatch, DeviceError> {
        let mut tiles = Tiles::reasoned(self.gpu.paths, self.key.samples);
        tiles.choose(self.key, tile);
        let program = Program {
            given: 0,
            graph: Graph {
                file: String::new(),
                tensors: Vec::new(),
                nodes: Vec::new(),
                inputs: Vec::new(),
                outputs: Vec::new(),
            },
            steps: Vec::new(),
        };
        let launch = self.launch(&tiles);
        let loaded = Loaded::new(
            self.gpu,
            &program,
            launch,
            0,
            None,
            &mut Constants::default(),
        )?;
        loaded.bind(self.gpu, &self.plan, &self.buffers)
    }

    fn launch(&self, tiles: &Tiles) -> Launch {
        let shape = self.wanted.shape;
        let channels = shape.out_c as usize;
        let [inputs, outputs] = self.wanted.words();
        let io = Io {
            input: Binding::ReadScratch(INPUT),
            in_stride: inputs as u32,
            output: Binding::Scratch {
                slot: OUTPUT,
                bytes_per_sample: 4 * outputs,
            },
        };
        match &self.weights {
            Weights::F32(weights) => ProductF32 {
                shape,
                weights,
                bias: &vec![0.1; channels],
                bounds: (f32::NEG_INFINITY, f32::INFINITY),
            }
            .launches(io, tiles)
            .swap_remove(0),
            Weights::I8(weights) => {
                // To about the range of int8, if inputs and weights are about 64.
                let shift = -5 - shape.depth().ilog2() as i32 / 2;
                let multiplier = Multiplier {
                    mantissa: 1 << 30,
                    shift,
                    rounding: Rounding::Double,
                };
                let product = ProductI8 {
                    shape,
                    weights,
                    bias: &vec![1; channels],
                    input_zero_point: -3,
                    finish: Finish::Multipliers {
                        multipliers: &vec![multiplier; channels],
                        output_zero_point: 2,
                        bounds: (-128, 127),
                    },
                };
                product.launch(io, self.wanted.packed, tiles)
            }
        }
    }
}

/// Weights for a product: floats as of the input, integers whose sums are cut into pieces where those of the product are.
fn weights(wanted: &Wanted) -> Weights {
    let shape = &wanted.shape;
    let count = shape.out_c * shape.depth() as u32;
    if wanted.numbers == Numbers::Float {
        return Weights::F32((0..count).map(|i| float(!i)).collect());
    }
    let split = wanted.piece < matrix::steps(shape);
    // Sums of magnitudes below 2¹⁷ are not cut.
    let most = ((1 << 17) / shape.depth()).saturating_sub(1).clamp(1, 127) as u32;
    let one = |i: u32| match noise(!i) {
        _ if split => 127,
        bits => (bits % (2 * most + 1)) as i32 - most as i32,
    };
    Weights::I8((0..count).map(|i| one(i) as i8).collect())
}

/// Bits without a pattern.
fn noise(i: u32) -> u32 {
    let x = (i ^ (i >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Of either sign, 1/4 … 1/2: no sum overflows, no row is too small for matrix units.
fn float(i: u32) -> f32 {
    f32::from_bits(noise(i) & 0x807f_ffff | 0x3e80_0000)
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Which tile the times speak for: the first, unless another one is clearly faster.
pub(super) fn decide(times: &[f64]) -> usize {
    let best = (0..times.len()).min_by(|&a, &b| times[a].total_cmp(&times[b]));
    let clear = |&i: &usize| times[i] < times[0] * (1.0 - MARGIN);
    best.filter(clear).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::product::plain;
    use crate::gpu::tests::gpu;

    /// The host's clock, where the device has none, sees the same work and the way to the device.
    #[test]
    fn both_clocks_tell_a_time() {
        let Some(gpu) = gpu() else { return };
        let wanted = Wanted::float(plain(64, 64, 64));
        let key = Tiles::reasoned(gpu.paths, 4).key(&wanted).unwrap();
        let trial = Trial::new(&gpu, &wanted, key).unwrap();
        let reasoned = Tiles::reasoned(gpu.paths, 4).candidates(&wanted)[0];
        let dispatch = trial.load(reasoned).unwrap();
        let (host, bits) = trial.warm_up(&dispatch, false).unwrap();
        assert!(host > 0.0 && host < 60.0, "{host}");
        assert!(bits.iter().any(|&byte| byte != 0));
        if gpu.summary().timestamp_queries {
            let device = trial.time(&dispatch, 3, true).unwrap();
            assert!(device > 0.0 && device < 60.0, "{device}");
        }
    }

    #[test]
    fn made_up_weights_are_cut_into_pieces_where_the_products_are() {
        for depth in [8, 1100, 5000, 70_000] {
            let shape = plain(1, depth, 3);
            for w in [1, 127] {
                let wanted = Wanted::int8(shape, &vec![w; 3 * depth], false);
                let Weights::I8(made) = weights(&wanted) else {
                    panic!("int8 has int8 weights");
                };
                let split = |piece| piece < matrix::steps(&shape);
                let again = Wanted::int8(shape, &made, false);
                assert_eq!(split(again.piece), split(wanted.piece), "{depth} {w}");
            }
        }
    }
}
