//! The time of each part of a session's work, by timestamps that the device writes between compute passes.

use super::device::Gpu;
use crate::kernel::{DeviceError, Profile};

/// Passes that one set of queries holds; each has a beginning and an end.
const PASSES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;
/// Bytes of a timestamp.
const TICK: u64 = 8;

/// Feeding is part 0; step i is part 1 + 2·i, its statistics are the part after it.
pub(super) struct Clock {
    /// The part of each pass; the others take no time.
    passes: Vec<usize>,
    sets: Vec<wgpu::QuerySet>,
    ticks: wgpu::Buffer,
    staging: Option<wgpu::Buffer>,
    /// Seconds of each part over all runs.
    seconds: Vec<f64>,
    /// Seconds of a tick.
    period: f64,
}

/// The part of a step's kernel, or of its statistics; stage 0 feeds.
pub(super) fn part(stage: usize, statistics: bool) -> usize {
    match stage {
        0 => 0,
        _ => 2 * stage - 1 + usize::from(statistics),
    }
}

impl Clock {
    /// A clock for a program of so many steps, whose runs consist of passes of these parts.
    ///
    /// # Errors
    /// If the device has no timestamps, or no memory for them.
    pub fn new(gpu: &Gpu, steps: usize, passes: Vec<usize>) -> Result<Clock, DeviceError> {
        if !gpu
            .device
            .features()
            .contains(wgpu::Features::TIMESTAMP_QUERY)
        {
            return Err(gpu.failed(
                "it cannot measure the time of operators (no timestamp queries); profile with --device cpu",
            ));
        }
        let set = |passes: &[usize]| {
            gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("the profile"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * passes.len() as u32,
            })
        };
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        Ok(Clock {
            sets: passes.chunks(PASSES).map(set).collect(),
            ticks: gpu.buffer("the profile", 2 * TICK * passes.len() as u64, usage)?,
            passes,
            staging: None,
            seconds: vec![0.0; 1 + 2 * steps],
            period: f64::from(gpu.queue.get_timestamp_period()) * 1e-9,
        })
    }

    /// Seconds that one pass takes on the device; waits for it.
    ///
    /// # Errors
    /// If the device has no timestamps, or fails.
    pub fn time(
        gpu: &Gpu,
        record: impl FnOnce(&mut wgpu::ComputePass<'_>),
    ) -> Result<f64, DeviceError> {
        let mut clock = Clock::new(gpu, 0, vec![0])?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        record(
            &mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: None,
                timestamp_writes: Some(clock.writes(0)),
            }),
        );
        clock.resolve(&mut encoder);
        gpu.submit(encoder)?;
        clock.add(gpu)?;
        let seconds = clock.profile().feed;
        if seconds > 0.0 {
            Ok(seconds)
        } else {
            Err(gpu.failed("its clock stands still"))
        }
    }

    /// What a pass writes.
    pub fn writes(&self, pass: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let at = 2 * (pass % PASSES) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[pass / PASSES],
            beginning_of_pass_write_index: Some(at),
            end_of_pass_write_index: Some(at + 1),
        }
    }

    /// Records what brings the timestamps of all passes to where the host can read them.
    pub fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        for (i, (set, passes)) in self.sets.iter().zip(self.passes.chunks(PASSES)).enumerate() {
            let to = 2 * TICK * (i * PASSES) as u64;
            encoder.resolve_query_set(set, 0..2 * passes.len() as u32, &self.ticks, to);
        }
    }

    /// Adds the times of the run that was submitted last; waits for it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn add(&mut self, gpu: &Gpu) -> Result<(), DeviceError> {
        let bytes = 2 * TICK * self.passes.len() as u64;
        let ticks = gpu.read(&self.ticks, bytes, &mut self.staging)?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&ticks);
        for (&part, ticks) in self.passes.iter().zip(ticks.as_chunks::<2>().0) {
            // A clock that went backwards counts as nothing.
            let elapsed = ticks[1].saturating_sub(ticks[0]);
            self.seconds[part] += elapsed as f64 * self.period;
        }
        Ok(())
    }

    /// The times so far.
    pub fn profile(&self) -> Profile {
        let parts = |first: usize| self.seconds[1..].iter().skip(first).step_by(2).copied();
        Profile {
            workers: 1,
            feed: self.seconds[0],
            steps: parts(0).collect(),
            statistics: parts(1).collect(),
        }
    }
}
