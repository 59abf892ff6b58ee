//! The adapters of this machine.

use super::paths::{self, Options};

/// What kind of device an adapter drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterKind {
    /// A GPU with its own memory.
    Discrete,
    /// A GPU that shares the processor's memory.
    Integrated,
    /// A GPU behind a virtual machine.
    Virtual,
    /// Unknown.
    Other,
    /// A software rasterizer on the processor: right results, no speed.
    Cpu,
}

/// An adapter as `zeropoint devices` shows it; sizes in bytes.
#[derive(Clone, Debug, serde::Serialize)]
pub struct AdapterSummary {
    /// Name that `--adapter` is matched against.
    pub name: String,
    /// Vulkan, Metal or DX12.
    pub backend: String,
    /// What it is.
    pub kind: AdapterKind,
    /// Driver and its version.
    pub driver: String,
    /// Largest buffer.
    pub max_buffer_size: u64,
    /// Largest part of a buffer that a shader sees.
    pub max_storage_buffer_binding_size: u64,
    /// Memory that the invocations of a workgroup share.
    pub max_workgroup_memory: u32,
    /// Storage buffers that one shader may use.
    pub max_storage_buffers: u32,
    /// Subgroup operations.
    pub subgroups: bool,
    /// Half-precision arithmetic.
    pub shader_f16: bool,
    /// 64-bit integers.
    pub shader_int64: bool,
    /// Timestamps in command buffers.
    pub timestamp_queries: bool,
    /// Matrix units.
    pub cooperative_matrix: bool,
    /// Their matrices, as rows x columns x depth and types.
    pub matrices: String,
    /// How products are computed if nothing else is asked for.
    pub products: String,
    /// Smallest and largest number of invocations that run in step.
    pub subgroup_sizes: [u32; 2],
}

/// The adapters of this machine, the most capable first. Opens each, to see how it computes.
pub fn adapters() -> Vec<AdapterSummary> {
    let opened = |adapter| match paths::open(adapter, &Options::default()) {
        Ok(gpu) => gpu.summary().clone(),
        Err(e) => AdapterSummary {
            products: e.to_string(),
            ..summarize(adapter)
        },
    };
    enumerate().iter().map(opened).collect()
}

/// All adapters, the most capable first.
pub(super) fn enumerate() -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    // We never dispatch indirectly, and its validation would limit buffers to 4 GiB.
    descriptor
        .flags
        .remove(wgpu::InstanceFlags::VALIDATION_INDIRECT_CALL);
    // An error that can be handled, before the system runs out.
    descriptor.memory_budget_thresholds.for_resource_creation = Some(95);
    let instance = wgpu::Instance::new(descriptor);
    let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    adapters.sort_by_key(|a| kind(&a.get_info()));
    adapters
}

fn kind(info: &wgpu::AdapterInfo) -> AdapterKind {
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => AdapterKind::Discrete,
        wgpu::DeviceType::IntegratedGpu => AdapterKind::Integrated,
        wgpu::DeviceType::VirtualGpu => AdapterKind::Virtual,
        wgpu::DeviceType::Cpu => AdapterKind::Cpu,
        wgpu::DeviceType::Other => AdapterKind::Other,
    }
}

/// What an adapter tells about itself.
pub(super) fn summarize(adapter: &wgpu::Adapter) -> AdapterSummary {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    AdapterSummary {
        kind: kind(&info),
        name: info.name,
        backend: format!("{:?}", info.backend),
        driver: format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_owned(),
        max_buffer_size: limits.max_buffer_size,
        max_storage_buffer_binding_size: limits.max_storage_buffer_binding_size,
        max_workgroup_memory: limits.max_compute_workgroup_storage_size,
        max_storage_buffers: limits.max_storage_buffers_per_shader_stage,
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        shader_f16: features.contains(wgpu::Features::SHADER_F16),
        shader_int64: features.contains(wgpu::Features::SHADER_INT64),
        timestamp_queries: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        matrices: paths::matrices(adapter),
        products: String::new(),
        subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
        cooperative_matrix: features.contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
    }
}

/// What to say, and to advise, where no adapter fits.
pub(super) fn not_found(name: Option<&str>, adapters: &[wgpu::Adapter]) -> String {
    match name {
        Some(name) if !adapters.is_empty() => {
            let names: Vec<String> = adapters
                .iter()
                .map(|a| format!("'{}'", a.get_info().name))
                .collect();
            format!(
                "no adapter's name contains '{name}'; there are {}",
                names.join(", ")
            )
        }
        _ => "no GPU adapter was found; install a Vulkan driver, or use --device cpu".to_owned(),
    }
}
