//! Which precisions a backend can train in, and the types of mixed precision.

use burn::tensor::{DType, Tensor};

use crate::ComputePrecision;
use crate::backend::Backend;

/// Any that the device computes in; TF32 is a switch of some libraries.
pub(in crate::backend) fn set_compute_precision<B: Backend>(
    precision: ComputePrecision,
    device: &B::Device,
) -> bool {
    match precision {
        ComputePrecision::F32 => true,
        ComputePrecision::Tf32 => false,
        ComputePrecision::Bf16 => B::supports_dtype(device, DType::BF16),
    }
}

/// The type that sums of numbers of this type are computed in: f32 for those of 16 bits.
pub(super) fn wide(dtype: DType) -> DType {
    if matches!(dtype, DType::BF16 | DType::F16) { DType::F32 } else { dtype }
}

/// The tensor in the type that its sums are computed in.
pub(super) fn widen<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    let dtype = wide(tensor.dtype());
    tensor.cast(dtype)
}
