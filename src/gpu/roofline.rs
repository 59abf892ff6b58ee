//! What an adapter can do at most, measured on it: chains of multiply-adds in registers, and a copy through memory.

use super::clock::Clock;
use super::device::Gpu;
use super::shader::{Source, embed};
use crate::kernel::{DeviceError, Roofline};

pub(super) const SHADERS: &[Source] = &[embed!("roofline/copy"), embed!("roofline/multiply")];

/// Invocations of a workgroup, in both shaders.
const WORKGROUP: u64 = 256;
/// Operations of one invocation of `roofline/multiply`: 128 rounds of 8 vectors of 4, a multiply-add being two.
const OPERATIONS: u64 = 128 * 8 * 4 * 2;
/// Measurements, of which the best counts.
const ROUNDS: usize = 3;

/// Measures both limits; some milliseconds on a GPU.
///
/// # Errors
/// If the device has no timestamps or fails.
pub(super) fn measure(gpu: &Gpu) -> Result<Roofline, DeviceError> {
    // A GPU is full with this, and software done soon.
    let (invocations, bytes): (u64, u64) = if gpu.is_software() {
        (1 << 12, 16 << 20)
    } else {
        (1 << 18, 256 << 20)
    };
    let bytes = bytes.min(gpu.limits.max_storage_buffer_binding_size);
    let usage = wgpu::BufferUsages::STORAGE;
    let buffer = |bytes| gpu.buffer("the roofline", bytes, usage);
    let (from, to, sums) = (buffer(bytes)?, buffer(bytes)?, buffer(16 * invocations)?);
    let parameters = [1.0f32, 0.0, 0.0, 0.0];
    let uniform = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let run = gpu.buffer("the roofline", 16, uniform)?;
    gpu.write(&run, bytemuck::cast_slice(&parameters));
    // 16 vectors of 16 bytes an invocation.
    let copies = bytes / 256;
    let operations = best(
        gpu,
        "roofline/multiply",
        &[&run, &sums],
        &[true],
        invocations,
    )?;
    let copy = best(
        gpu,
        "roofline/copy",
        &[&run, &from, &to],
        &[false, true],
        copies,
    )?;
    Ok(Roofline {
        operations_per_second: (invocations * OPERATIONS) as f64 / operations,
        bytes_per_second: (2 * 256 * copies) as f64 / copy,
    })
}

/// The shortest time of a shader, in seconds.
fn best(
    gpu: &Gpu,
    shader: &'static str,
    buffers: &[&wgpu::Buffer],
    writable: &[bool],
    invocations: u64,
) -> Result<f64, DeviceError> {
    let pipeline = gpu.pipeline(shader, &[], &[], writable.to_vec())?;
    let entries: Vec<_> = buffers
        .iter()
        .enumerate()
        .map(|(i, buffer)| wgpu::BindGroupEntry {
            binding: i as u32,
            resource: buffer.as_entire_binding(),
        })
        .collect();
    let bindings = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(shader),
        layout: &pipeline.layout,
        entries: &entries,
    });
    let mut shortest = f64::INFINITY;
    for _ in 0..ROUNDS {
        let time = Clock::time(gpu, |pass| {
            pass.set_pipeline(&pipeline.compute);
            pass.set_bind_group(0, &bindings, &[]);
            let groups = invocations.div_ceil(WORKGROUP);
            let widest = u64::from(gpu.limits.max_compute_workgroups_per_dimension);
            pass.dispatch_workgroups(groups.min(widest) as u32, groups.div_ceil(widest) as u32, 1);
        })?;
        shortest = shortest.min(time);
    }
    Ok(shortest)
}
