//! Choosing the backend: its type, with gradients or without, is named here and nowhere else.

mod device;
#[cfg(feature = "cubecl")]
mod kernel_cache;

use anyhow::{Result, bail};
use burn_autodiff::Autodiff;
use kiln_model::{AutodiffBackend, Backend};
use kiln_training::DeviceKind;

use self::device::*;
use crate::cli::common::BackendArgs;

/// Every backend Kiln knows, fastest first (wgpu and libtorch on a GPU), and whether this build has it.
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
    /// Its result.
    type Output;

    /// Runs it on a device of backend `B`, which is called `name`.
    fn run<B: Backend>(self, device: B::Device, name: &'static str) -> Result<Self::Output>;
}

/// Runs `job` on the backend and device that were asked for, or on the fastest one there is.
pub fn dispatch<J: Job>(args: &BackendArgs, job: J) -> Result<J::Output> {
    let name = choose(args.backend.as_deref())?;
    let device = args.device.as_deref();
    #[cfg(feature = "cubecl")]
    if matches!(name, "wgpu" | "vulkan" | "metal" | "cuda" | "rocm") {
        kernel_cache::keep();
    }
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

/// Something to do that needs gradients.
pub trait TrainingJob {
    /// Its result.
    type Output;

    /// Runs it on a device of backend `B`, which is called `name`.
    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<Self::Output>;
}

/// [`dispatch`] for a job that needs gradients.
pub fn dispatch_training<J: TrainingJob>(args: &BackendArgs, job: J) -> Result<J::Output> {
    dispatch(args, WithGradients(job))
}

struct WithGradients<J>(J);

impl<J: TrainingJob> Job for WithGradients<J> {
    type Output = J::Output;

    fn run<B: Backend>(self, device: B::Device, name: &'static str) -> Result<J::Output> {
        self.0.run::<Autodiff<B>>(device, name)
    }
}

/// Checks that the backend that was asked for is in this build.
pub fn check(args: &BackendArgs) -> Result<()> {
    choose(args.backend.as_deref()).map(drop)
}

/// Where tensors live on the backend that was asked for.
pub fn device_kind(args: &BackendArgs) -> Result<DeviceKind> {
    Ok(match (choose(args.backend.as_deref())?, args.device.as_deref()) {
        ("ndarray" | "flex", _) => DeviceKind::Host,
        ("tch", None) if !libtorch_has_cuda() => DeviceKind::HostComposed,
        ("tch", Some("cpu")) => DeviceKind::HostComposed,
        ("tch", device) => DeviceKind::LibtorchGpu(nvidia_free_memory(device)),
        ("cuda", device) => DeviceKind::Device(nvidia_free_memory(device)),
        _ => DeviceKind::Device(None),
    })
}

fn choose(asked: Option<&str>) -> Result<&'static str> {
    let built: Vec<&'static str> =
        BACKENDS.iter().filter(|(_, built, _)| *built).map(|(name, ..)| *name).collect();
    let Some(asked) = asked else {
        // On a CPU, the host backends are faster than libtorch and wgpu.
        let fastest = built.iter().find(|name| match **name {
            "tch" => libtorch_has_cuda(),
            "metal" | "vulkan" | "wgpu" => wgpu_has_gpu(),
            _ => true,
        });
        return match fastest.or(built.last()) {
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
