//! Choosing the backend: its type is named here and nowhere else.

use anyhow::{Result, bail};
use kiln_model::Backend;
use kiln_training::Place;

use crate::cli::BackendArgs;

/// Every backend Kiln knows, fastest first (libtorch on its GPU), and whether this build has it.
pub const BACKENDS: [(&str, bool, &str); 8] = [
    ("cuda", cfg!(feature = "cuda"), "NVIDIA GPUs, through CubeCL"),
    ("rocm", cfg!(feature = "rocm"), "AMD GPUs, through CubeCL"),
    ("metal", cfg!(feature = "metal"), "Apple GPUs, through wgpu"),
    ("vulkan", cfg!(feature = "vulkan"), "any GPU with Vulkan, through wgpu and SPIR-V"),
    (
        "wgpu",
        cfg!(all(feature = "wgpu", not(any(feature = "vulkan", feature = "metal")))),
        "any GPU, through wgpu",
    ),
    ("tch", cfg!(feature = "tch"), "libtorch: CPUs, NVIDIA and Apple GPUs"),
    ("flex", cfg!(feature = "flex"), "any CPU"),
    ("ndarray", cfg!(feature = "ndarray"), "any CPU"),
];

/// Something to do on a backend that is known only when the program runs.
pub trait Job {
    /// What it gives.
    type Output;

    /// Does it; `name` is what the backend is called.
    fn run<B: Backend>(self, device: B::Device, name: &'static str) -> Result<Self::Output>;
}

/// Runs `job` on the backend and device that were asked for, or on the fastest one there is.
pub fn dispatch<J: Job>(args: &BackendArgs, job: J) -> Result<J::Output> {
    let name = choose(args.backend.as_deref())?;
    let device = args.device.as_deref();
    match name {
        #[cfg(feature = "ndarray")]
        "ndarray" => job.run::<burn_ndarray::NdArray>(cpu(name, device)?, name),
        #[cfg(feature = "flex")]
        "flex" => job.run::<burn_flex::Flex>(cpu(name, device)?, name),
        #[cfg(feature = "tch")]
        "tch" => job.run::<burn_tch::LibTorch>(libtorch(device)?, name),
        #[cfg(feature = "wgpu")]
        "wgpu" | "vulkan" | "metal" => job.run::<burn_wgpu::Wgpu>(wgpu(name, device)?, name),
        #[cfg(feature = "cuda")]
        "cuda" => job.run::<burn_cuda::Cuda>(burn_cuda::CudaDevice::new(index(name, device, "cuda")?), name),
        #[cfg(feature = "rocm")]
        "rocm" => job.run::<burn_rocm::Rocm>(burn_rocm::RocmDevice::new(index(name, device, "rocm")?), name),
        _ => bail!("the {name} backend is not built in"),
    }
}

/// Checks that the backend that was asked for is in this build.
pub fn check(args: &BackendArgs) -> Result<()> {
    choose(args.backend.as_deref()).map(drop)
}

/// Where tensors live on the backend that was asked for.
pub fn place(args: &BackendArgs) -> Result<Place> {
    Ok(match (choose(args.backend.as_deref())?, args.device.as_deref()) {
        ("ndarray" | "flex", _) => Place::Host,
        ("tch", None) if !libtorch_has_cuda() => Place::HostComposed,
        ("tch", Some("cpu")) => Place::HostComposed,
        _ => Place::Device,
    })
}

fn choose(asked: Option<&str>) -> Result<&'static str> {
    let built: Vec<&'static str> =
        BACKENDS.iter().filter(|(_, built, _)| *built).map(|(name, ..)| *name).collect();
    let Some(asked) = asked else {
        // On a CPU, the host backends are faster than libtorch.
        let fastest = built.iter().find(|name| **name != "tch" || libtorch_has_cuda());
        return match fastest.or(built.first()) {
            Some(name) => Ok(name),
            None => bail!(
                "this build has no backend\nhint: build with `cargo build --release --features ndarray` (any CPU), \
                 or wgpu, vulkan, metal, tch, cuda, rocm, flex"
            ),
        };
    };
    match BACKENDS.iter().find(|(name, ..)| *name == asked) {
        Some((name, true, _)) => Ok(name),
        Some(_) => bail!(
            "the {asked} backend is not in this build, which has {}\nhint: build with `cargo build --release \
             --features {asked}`; README.md says what it needs installed",
            built.join(", ")
        ),
        None => {
            let names: Vec<&str> = BACKENDS.iter().map(|(name, ..)| *name).collect();
            bail!("unknown backend \"{asked}\"\nhint: use one of {}", names.join(", "))
        }
    }
}

#[cfg(any(feature = "ndarray", feature = "flex"))]
fn cpu<D: Default>(backend: &str, device: Option<&str>) -> Result<D> {
    match device {
        None | Some("cpu") => Ok(D::default()),
        Some(other) => bail!("the {backend} backend has no device \"{other}\"\nhint: its only device is cpu"),
    }
}

/// Whether this build's libtorch finds an NVIDIA GPU.
fn libtorch_has_cuda() -> bool {
    #[cfg(feature = "tch")]
    return tch::Cuda::is_available();
    #[cfg(not(feature = "tch"))]
    false
}

#[cfg(feature = "tch")]
fn libtorch(device: Option<&str>) -> Result<burn_tch::LibTorchDevice> {
    use burn_tch::LibTorchDevice;
    match device {
        None if libtorch_has_cuda() => Ok(LibTorchDevice::Cuda(0)),
        None | Some("cpu") => Ok(LibTorchDevice::Cpu),
        Some("mps") => Ok(LibTorchDevice::Mps),
        Some(_) => Ok(LibTorchDevice::Cuda(index("tch", device, "cuda")?)),
    }
}

#[cfg(feature = "wgpu")]
fn wgpu(backend: &str, device: Option<&str>) -> Result<burn_wgpu::WgpuDevice> {
    use burn_wgpu::WgpuDevice;
    match device {
        None | Some("gpu") => Ok(WgpuDevice::DefaultDevice),
        Some("cpu") => Ok(WgpuDevice::Cpu),
        Some(name) if name.starts_with("integrated:") => {
            Ok(WgpuDevice::IntegratedGpu(index(backend, device, "integrated")?))
        }
        Some(_) => Ok(WgpuDevice::DiscreteGpu(index(backend, device, "gpu")?)),
    }
}

/// The number in `kind:N`.
#[cfg(any(feature = "tch", feature = "wgpu", feature = "cuda", feature = "rocm"))]
fn index(backend: &str, device: Option<&str>, kind: &str) -> Result<usize> {
    let Some(device) = device else { return Ok(0) };
    let number = device.strip_prefix(kind).map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    match number {
        Some("") => Ok(0),
        Some(number) if number.parse::<usize>().is_ok() => Ok(number.parse()?),
        _ => bail!("the {backend} backend has no device \"{device}\"\nhint: use {kind}:0"),
    }
}
