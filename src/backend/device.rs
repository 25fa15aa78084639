//! Devices by the names that `--device` gives them.

use anyhow::{Result, bail};

#[cfg(any(feature = "ndarray", feature = "flex"))]
pub(super) fn cpu<D: Default>(backend: &str, device: Option<&str>) -> Result<D> {
    match device {
        None | Some("cpu") => Ok(D::default()),
        Some(other) => bail!("the {backend} backend has no device \"{other}\"\nhint: its only device is cpu"),
    }
}

/// Whether this build's libtorch finds an NVIDIA GPU.
pub(super) fn libtorch_has_cuda() -> bool {
    #[cfg(feature = "tch")]
    return tch::Cuda::is_available();
    #[cfg(not(feature = "tch"))]
    false
}

#[cfg(feature = "tch")]
pub(super) fn libtorch(device: Option<&str>) -> Result<burn_tch::LibTorchDevice> {
    use burn_tch::LibTorchDevice;
    match device {
        None if libtorch_has_cuda() => Ok(LibTorchDevice::Cuda(0)),
        None | Some("cpu") => Ok(LibTorchDevice::Cpu),
        Some("mps") => Ok(LibTorchDevice::Mps),
        Some(_) => Ok(LibTorchDevice::Cuda(index("tch", device, "cuda")?)),
    }
}

/// Free bytes of an NVIDIA GPU, as its driver tells; of the first, if none is named.
pub(super) fn nvidia_free_memory(device: Option<&str>) -> Option<u64> {
    #[cfg(any(feature = "tch", feature = "cuda"))]
    {
        let number = index("", device, "cuda").ok()?;
        let driver = nvml_wrapper::Nvml::init().ok()?;
        let gpu = driver.device_by_index(u32::try_from(number).ok()?).ok()?;
        gpu.memory_info().ok().map(|memory| memory.free)
    }
    #[cfg(not(any(feature = "tch", feature = "cuda")))]
    {
        let _ = device;
        None
    }
}

/// Whether wgpu finds anything but an adapter that computes on the CPU.
pub(super) fn wgpu_has_gpu() -> bool {
    #[cfg(feature = "wgpu")]
    return wgpu_adapters().iter().any(|kind| *kind != wgpu::DeviceType::Cpu);
    #[cfg(not(feature = "wgpu"))]
    false
}

/// The kind of each adapter that wgpu finds.
#[cfg(feature = "wgpu")]
fn wgpu_adapters() -> &'static [wgpu::DeviceType] {
    use burn_wgpu::graphics::{AutoGraphicsApi, GraphicsApi};
    static ADAPTERS: std::sync::OnceLock<Vec<wgpu::DeviceType>> = std::sync::OnceLock::new();
    ADAPTERS.get_or_init(|| {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = AutoGraphicsApi::backend().into();
        let backends = descriptor.backends;
        let adapters = pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
        adapters.iter().map(|adapter| adapter.get_info().device_type).collect()
    })
}

#[cfg(feature = "wgpu")]
pub(super) fn wgpu(backend: &str, device: Option<&str>) -> Result<burn_wgpu::WgpuDevice> {
    use burn_wgpu::WgpuDevice;
    use wgpu::DeviceType;

    if wgpu_adapters().is_empty() {
        bail!(
            "the {backend} backend finds no GPU\nhint: install the GPU's driver, or a Vulkan driver that computes on \
             the CPU (scripts/install-wgpu-cpu.sh), or use --backend ndarray"
        );
    }
    match device {
        None => Ok(WgpuDevice::DefaultDevice),
        Some("gpu") if wgpu_has_gpu() => Ok(WgpuDevice::DefaultDevice),
        Some("cpu") => {
            check_adapter(backend, DeviceType::Cpu, 0)?;
            Ok(WgpuDevice::Cpu)
        }
        Some(name) if name.starts_with("integrated:") => {
            let number = index(backend, device, "integrated")?;
            check_adapter(backend, DeviceType::IntegratedGpu, number)?;
            Ok(WgpuDevice::IntegratedGpu(number))
        }
        Some(_) => {
            let number = index(backend, device, "gpu")?;
            check_adapter(backend, DeviceType::DiscreteGpu, number)?;
            Ok(WgpuDevice::DiscreteGpu(number))
        }
    }
}

/// Checks that wgpu finds the adapter with this number among those of its kind.
#[cfg(feature = "wgpu")]
fn check_adapter(backend: &str, wanted: wgpu::DeviceType, number: usize) -> Result<()> {
    let adapters = wgpu_adapters();
    let of_kind = |kind: wgpu::DeviceType| adapters.iter().filter(|found| **found == kind).count();
    // CubeCL accepts an adapter of unknown kind for any requested kind.
    if number < of_kind(wanted) || number < of_kind(wgpu::DeviceType::Other) {
        return Ok(());
    }
    bail!(
        "the {backend} backend has no {wanted:?} {number}; it finds {adapters:?}\nhint: leave --device out for the \
         fastest"
    )
}

/// The number in `kind:N`.
#[cfg(any(feature = "tch", feature = "wgpu", feature = "cuda", feature = "rocm"))]
pub(super) fn index(backend: &str, device: Option<&str>, kind: &str) -> Result<usize> {
    let Some(device) = device else { return Ok(0) };
    let number = device.strip_prefix(kind).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    match number {
        Some("") => Ok(0),
        Some(number) if number.parse::<usize>().is_ok() => Ok(number.parse()?),
        _ => bail!("the {backend} backend has no device \"{device}\"\nhint: use {kind}:0"),
    }
}
