//! Inputs on their way to the device: a ring of staging buffers, mapped ahead of their use. While the device copies and
//! computes one batch, the host writes the next; it waits only when the ring has come round.

use super::device::Gpu;
use crate::kernel::DeviceError;
use std::sync::mpsc::{Receiver, channel};

/// Batches on their way at once: one that is written, one that is copied, one that is computed.
const SLOTS: usize = 3;

/// See the module.
pub(super) struct Ring {
    slots: Vec<Slot>,
    next: usize,
}

struct Slot {
    buffer: wgpu::Buffer,
    /// The submission that copies from it, and the news that it is mapped again.
    used: Option<(wgpu::SubmissionIndex, Receiver<Mapped>)>,
}

type Mapped = Result<(), wgpu::BufferAsyncError>;

/// Data of an input: where it goes, its bytes, and bytes of a sample, which starts at a word.
pub(super) struct Part<'a> {
    pub to: &'a wgpu::Buffer,
    pub bytes: &'a [u8],
    pub sample: usize,
}

impl Part<'_> {
    /// Bytes with the padding of the samples.
    fn size(&self) -> usize {
        self.bytes.len() / self.sample.max(1) * self.sample.next_multiple_of(4)
    }
}

impl Ring {
    /// Room for batches of at most `bytes`, padding of samples included.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(gpu: &Gpu, bytes: u64) -> Result<Ring, DeviceError> {
        let slot = |_| {
            Ok(Slot {
                buffer: gpu.staging("the inputs", bytes)?,
                used: None,
            })
        };
        Ok(Ring {
            slots: (0..SLOTS).map(slot).collect::<Result<_, _>>()?,
            next: 0,
        })
    }

    /// Writes a batch and records its copies; waits until a slot is free. [`Ring::submitted`] must follow.
    ///
    /// # Errors
    /// If the device fails.
    pub fn upload(
        &mut self,
        gpu: &Gpu,
        parts: &[Part<'_>],
        encoder: &mut wgpu::CommandEncoder,
    ) -> Result<(), DeviceError> {
        let slot = &mut self.slots[self.next];
        let failed = |e: &dyn std::fmt::Display| gpu.failed(format!("uploading failed: {e}"));
        if let Some((submission, mapped)) = slot.used.take() {
            gpu.wait(Some(submission))?;
            match mapped.try_recv() {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return Err(failed(&e)),
                Err(e) => return Err(failed(&e)),
            }
        }
        let mut view = slot
            .buffer
            .get_mapped_range_mut(..)
            .map_err(|e| failed(&e))?;
        let mut at = 0;
        for part in parts {
            let size = part.size();
            write(view.slice(at..at + size), part);
            encoder.copy_buffer_to_buffer(&slot.buffer, at as u64, part.to, 0, size as u64);
            at += size;
        }
        drop(view);
        slot.buffer.unmap();
        Ok(())
    }

    /// Tells which submission carries out the copies that were recorded last.
    pub fn submitted(&mut self, submission: wgpu::SubmissionIndex) {
        let slot = &mut self.slots[self.next];
        let (sender, receiver) = channel();
        slot.buffer
            .map_async(wgpu::MapMode::Write, .., move |result| {
                // The receiver is gone only when the session has ended.
                let _ = sender.send(result);
            });
        slot.used = Some((submission, receiver));
        self.next = (self.next + 1) % SLOTS;
    }
}

/// Writes samples, each from a word on.
fn write(mut to: wgpu::WriteOnly<'_, [u8]>, part: &Part<'_>) {
    if part.sample.is_multiple_of(4) {
        to.copy_from_slice(part.bytes);
        return;
    }
    let stride = part.sample.next_multiple_of(4);
    for (i, sample) in part.bytes.chunks_exact(part.sample).enumerate() {
        to.slice(i * stride..i * stride + part.sample)
            .copy_from_slice(sample);
    }
}
