//! The precisions that libtorch trains in.

use burn_tch::LibTorchDevice;

use super::{TorchBackend, aten};
use crate::ComputePrecision;

/// f32 and bf16 everywhere, TF32 on NVIDIA GPUs.
pub(in crate::backend) fn set_compute_precision<B: TorchBackend<Device = LibTorchDevice>>(
    precision: ComputePrecision,
    device: &LibTorchDevice,
) -> bool {
    let tf32 = precision == ComputePrecision::Tf32;
    if matches!(device, LibTorchDevice::Cuda(_)) {
        aten::allow_tf32(tf32);
        return true;
    }
    !tf32
}
