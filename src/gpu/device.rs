//! The opened device: creation of buffers and pipelines, submission, and what went wrong.

use super::adapter::{AdapterKind, AdapterSummary, enumerate, not_found, summarize};
use super::paths::{self, Options, Paths};
use super::roofline;
use super::session::GpuSession;
use super::shader::{self, Define};
use super::tuning::Tuner;
use crate::kernel::{Device, DeviceError, HALVES, Program, Roofline, Session, SessionConfig};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The first thing that went wrong outside of an error scope.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    fn keep_first(&self, what: String) {
        lock(&self.0).get_or_insert(what);
    }
}

/// Locks; a panic of another holder leaves nothing half-done here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What tells one pipeline from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PipelineKey {
    shader: &'static str,
    defines: Vec<Define>,
    constants: Vec<(&'static str, u64)>,
    writable: Vec<bool>,
}

/// A compiled shader and the layout of its bindings.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub compute: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// An opened adapter.
#[derive(Debug)]
pub struct Gpu {
    summary: AdapterSummary,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    pub(super) paths: Paths,
    pub(super) tuner: Tuner,
    checked: bool,
    failure: Failure,
    pipelines: Mutex<HashMap<PipelineKey, Pipeline>>,
}

impl Gpu {
    /// Opens the most capable adapter, or the most capable one whose name contains `name`, whatever the case.
    ///
    /// # Errors
    /// If there is no such adapter, or its driver refuses.
    pub fn open(name: Option<&str>) -> Result<Gpu, DeviceError> {
        Gpu::open_with(&Options {
            adapter: name.map(str::to_owned),
            ..Options::default()
        })
    }

    /// Opens an adapter with a choice of how it computes.
    ///
    /// # Errors
    /// If there is no such adapter, its driver refuses, or it cannot compute as asked.
    pub fn open_with(options: &Options) -> Result<Gpu, DeviceError> {
        let name = options.adapter.as_deref();
        let adapters = enumerate();
        let wanted = name.unwrap_or_default().to_lowercase();
        let found = adapters
            .iter()
            .find(|a| a.get_info().name.to_lowercase().contains(&wanted));
        let Some(adapter) = found else {
            return Err(DeviceError::NotFound(not_found(name, &adapters)));
        };
        let gpu = paths::open(adapter, options)?;
        match options.refusal(gpu.paths) {
            Some(why) => Err(gpu.failed(why)),
            None => Ok(gpu),
        }
    }

    /// Opens an adapter with what these paths need; none is taken yet.
    pub(super) fn request(
        adapter: &wgpu::Adapter,
        paths: Paths,
        checked: bool,
    ) -> Result<Gpu, DeviceError> {
        let summary = summarize(adapter);
        let limits = adapter.limits();
        let (matrices, experimental_features) = if paths == Paths::default() {
            Default::default()
        } else {
            (paths::features(), paths::experimental())
        };
        let useful = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP;
        let required_features = matrices | (adapter.features() & useful);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("zeropoint"),
            // The defaults are far below what devices have.
            required_limits: limits.clone(),
            required_features,
            experimental_features,
            ..Default::default()
        };
        let (device, queue) =
            pollster::block_on(adapter.request_device(&descriptor)).map_err(|e| {
                DeviceError::Failed {
                    device: summary.name.clone(),
                    what: format!("the driver refuses to open it: {e}"),
                }
            })?;
        let failure = Failure::default();
        let handler = failure.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
            handler.keep_first(e.to_string());
        }));
        let handler = failure.clone();
        device.set_device_lost_callback(move |reason, message| {
            handler.keep_first(format!("the device was lost ({reason:?}): {message}"));
        });
        Ok(Gpu {
            summary,
            device,
            queue,
            limits,
            paths: Paths::default(),
            tuner: Tuner::default(),
            checked,
            failure,
            pipelines: Mutex::default(),
        })
    }

    /// Whether the adapter is a software rasterizer, slower than the CPU device.
    pub fn is_software(&self) -> bool {
        self.summary.kind == AdapterKind::Cpu
    }

    /// What was opened.
    pub fn summary(&self) -> &AdapterSummary {
        &self.summary
    }

    /// What tells how fast it is from how fast another is.
    pub(super) fn identity(&self) -> String {
        let AdapterSummary {
            name,
            driver,
            backend,
            ..
        } = &self.summary;
        let checked = if self.checked { ", checked" } else { "" };
        format!("{name}, {driver}, {backend}{checked}")
    }

    /// Completes the summary once the paths are known.
    pub(super) fn describe_products(&mut self) {
        self.summary.products = self.paths.products();
    }

    pub(super) fn failed(&self, what: impl Into<String>) -> DeviceError {
        DeviceError::Failed {
            device: self.summary.name.clone(),
            what: what.into(),
        }
    }

    pub(super) fn out_of_memory(&self, what: &str, bytes: u64) -> DeviceError {
        DeviceError::OutOfMemory {
            device: self.summary.name.clone(),
            what: format!("{what} ({bytes} bytes)"),
        }
    }

    /// The first error that no scope caught, if there was one.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&self) -> Result<(), DeviceError> {
        match &*lock(&self.failure.0) {
            Some(what) => Err(self.failed(what.clone())),
            None => Ok(()),
        }
    }

    /// Creates a buffer of at least `bytes`.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn buffer(
        &self,
        what: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<wgpu::Buffer, DeviceError> {
        self.create(what, bytes, usage, false)
    }

    /// Creates a buffer that the host may write to at once, and copy from.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn staging(&self, what: &str, bytes: u64) -> Result<wgpu::Buffer, DeviceError> {
        let usage = wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC;
        self.create(what, bytes, usage, true)
    }

    fn create(
        &self,
        what: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
        mapped_at_creation: bool,
    ) -> Result<wgpu::Buffer, DeviceError> {
        let largest = if usage.contains(wgpu::BufferUsages::STORAGE) {
            let binding = self.limits.max_storage_buffer_binding_size;
            binding.min(self.limits.max_buffer_size)
        } else {
            self.limits.max_buffer_size
        };
        // Shaders that read whole vectors may touch the last one.
        let size = bytes.max(1).checked_next_multiple_of(16);
        let Some(size) = size.filter(|&size| size <= largest) else {
            return Err(self.out_of_memory(what, bytes));
        };
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(what),
            size,
            usage,
            mapped_at_creation,
        });
        let error = pollster::block_on(scope.pop());
        // After a loss allocations fail as well: the loss is the news.
        self.check()?;
        match error {
            Some(_) => Err(self.out_of_memory(what, bytes)),
            None => Ok(buffer),
        }
    }

    /// Creates a storage buffer and fills it; `bytes` are padded with zeros to words.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub(super) fn upload(&self, what: &str, bytes: &[u8]) -> Result<wgpu::Buffer, DeviceError> {
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_DST
            | wgpu::BufferUsages::COPY_SRC;
        let buffer = self.buffer(what, bytes.len() as u64, usage)?;
        self.write(&buffer, bytes);
        Ok(buffer)
    }

    /// Writes to the start of a buffer before the next submission; `bytes` are padded with zeros to words.
    pub(super) fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        let whole = bytes.len() / 4 * 4;
        self.queue.write_buffer(buffer, 0, &bytes[..whole]);
        if whole < bytes.len() {
            let mut last = [0u8; 4];
            last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
            self.queue.write_buffer(buffer, whole as u64, &last);
        }
    }

    /// The pipeline of a shader with these constants; `writable` tells which bindings after the first are written.
    ///
    /// # Errors
    /// If the shader does not compile, by its name.
    pub(super) fn pipeline(
        &self,
        shader: &'static str,
        defines: &[Define],
        constants: &[(&'static str, f64)],
        writable: Vec<bool>,
    ) -> Result<Pipeline, DeviceError> {
        let key = PipelineKey {
            shader,
            defines: defines.to_vec(),
            constants: constants.iter().map(|&(n, v)| (n, v.to_bits())).collect(),
            writable,
        };
        if let Some(pipeline) = lock(&self.pipelines).get(&key) {
            return Ok(pipeline.clone());
        }
        let subgroups = self.device.features().contains(wgpu::Features::SUBGROUP);
        let reduction = if subgroups {
            "SUBGROUPS"
        } else {
            "NO_SUBGROUPS"
        };
        let defines = [defines, &[(reduction, 1)]].concat();
        let text = shader::source(shader, &defines).map_err(|e| self.failed(e))?;
        let pipeline = self.compile(shader, text, constants, &key.writable)?;
        lock(&self.pipelines).insert(key, pipeline.clone());
        Ok(pipeline)
    }

    /// Compiles a text with entry point `main`.
    ///
    /// # Errors
    /// If the driver refuses it; the message names the shader.
    pub(super) fn compile(
        &self,
        name: &str,
        text: String,
        constants: &[(&str, f64)],
        writable: &[bool],
    ) -> Result<Pipeline, DeviceError> {
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let module = self.module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        });
        let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let storage = |(i, &writable): (usize, &bool)| {
            entry(
                i + 1,
                wgpu::BufferBindingType::Storage {
                    read_only: !writable,
                },
            )
        };
        let entries: Vec<_> = std::iter::once(entry(0, wgpu::BufferBindingType::Uniform))
            .chain(writable.iter().enumerate().map(storage))
            .collect();
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(name),
                entries: &entries,
            });
        let pipeline_layout = self
            .device
            .create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(name),
                bind_group_layouts: &[Some(&layout)],
                immediate_size: 0,
            });
        let compute = self
            .device
            .create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(name),
                layout: Some(&pipeline_layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants,
                    // All of it is written before it is read.
                    zero_initialize_workgroup_memory: self.checked,
                },
                cache: None,
            });
        let internal = pollster::block_on(internal.pop());
        let validation = pollster::block_on(validation.pop());
        // A driver may drop the device instead of reporting an error.
        let lost = self.check().err().map(|e| e.to_string());
        let errors = [internal, validation]
            .into_iter()
            .flatten()
            .map(|e| e.to_string());
        match errors.chain(lost).next() {
            Some(e) => Err(self.failed(format!("shader {name}: {e}"))),
            None => Ok(Pipeline { compute, layout }),
        }
    }

    /// A shader's module, with or without the checks that it carries out as it runs.
    fn module(&self, shader: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
        if self.checked {
            return self.device.create_shader_module(shader);
        }
        // SAFETY: only shaders of this program get here. Their loops have bounds that do not depend on data, and their
        // indices stay within what they index: the tests run all of them with checks and without, to equal results.
        // Where the driver can keep accesses within buffers by itself (Vulkan's robust access), wgpu lets it.
        #[allow(unsafe_code)]
        unsafe {
            let unchecked = wgpu::ShaderRuntimeChecks::unchecked();
            self.device.create_shader_module_trusted(shader, unchecked)
        }
    }

    /// Submits, and looks at what went wrong so far.
    ///
    /// # Errors
    /// The first error that no scope caught.
    pub(super) fn submit(
        &self,
        encoder: wgpu::CommandEncoder,
    ) -> Result<wgpu::SubmissionIndex, DeviceError> {
        let index = self.queue.submit([encoder.finish()]);
        self.check()?;
        Ok(index)
    }

    /// Waits for a submission, or for all.
    ///
    /// # Errors
    /// If the device was lost meanwhile.
    pub(super) fn wait(
        &self,
        submission: Option<wgpu::SubmissionIndex>,
    ) -> Result<(), DeviceError> {
        let polled = self.device.poll(wgpu::PollType::Wait {
            submission_index: submission,
            timeout: None,
        });
        self.check()?;
        polled
            .map(|_| ())
            .map_err(|e| self.failed(format!("waiting for it failed: {e}")))
    }

    /// Copies the first `bytes` of a buffer to the host; `staging` is kept for the next time.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn read(
        &self,
        buffer: &wgpu::Buffer,
        bytes: u64,
        staging: &mut Option<wgpu::Buffer>,
    ) -> Result<Vec<u8>, DeviceError> {
        let fits = staging.take().filter(|s| s.size() >= bytes);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let target = match fits {
            Some(target) => target,
            None => self.buffer("the staging buffer", bytes, usage)?,
        };
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, 0, &target, 0, bytes);
        let index = self.submit(encoder)?;
        let (sender, receiver) = std::sync::mpsc::channel();
        target.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            // The receiver is gone only when waiting failed.
            let _ = sender.send(result);
        });
        self.wait(Some(index))?;
        match receiver.try_recv() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(self.failed(format!("reading back failed: {e}"))),
            Err(_) => return Err(self.failed("reading back did not finish")),
        }
        let values = target
            .get_mapped_range(0..bytes)
            .map_err(|e| self.failed(format!("reading back failed: {e}")))?
            .to_vec();
        target.unmap();
        *staging = Some(target);
        Ok(values)
    }
}

impl Device for Gpu {
    fn name(&self) -> String {
        let checks = self.checked.then(|| "checked shaders".to_owned());
        let how: Vec<String> = self.paths.describe().into_iter().chain(checks).collect();
        if how.is_empty() {
            return self.summary.name.clone();
        }
        format!("{} ({})", self.summary.name, how.join(", "))
    }

    fn tolerance(&self) -> f32 {
        self.paths.float.map_or(1.0, |_| HALVES)
    }

    fn session<'a>(
        &'a self,
        program: &'a Program,
        config: &SessionConfig,
    ) -> Result<Box<dyn Session + 'a>, DeviceError> {
        self.check()?;
        Ok(Box::new(GpuSession::new(self, program, config)?))
    }

    fn roofline(&self) -> Option<Roofline> {
        roofline::measure(self).ok()
    }
}
