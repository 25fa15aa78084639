//! Weights packed for inference on any backend: in fewer bits if it has the number format, and unpacked for
//! every use.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{DType, FloatDType, TensorPrimitive};

use crate::backend::{Backend, PackedWeight};
use crate::precision::{Channels, Precision};

/// bf16 where the device computes with it; 8-bit weights with a scale for each channel are left to native
/// kernels.
pub(in crate::backend) fn pack<B: Backend>(
    weight: FloatTensor<B>,
    _channels: Channels,
    precision: Precision,
) -> Option<PackedWeight<B>> {
    match precision {
        Precision::F32 => Some(TensorPrimitive::Float(weight)),
        Precision::Bf16 if B::supports_dtype(&B::float_device(&weight), DType::BF16) => {
            Some(TensorPrimitive::Float(B::float_cast(weight, FloatDType::BF16)))
        }
        Precision::Bf16 | Precision::Int8 => None,
    }
}

/// The weight in f32.
pub(in crate::backend) fn unpack<B: Backend>(weight: PackedWeight<B>) -> FloatTensor<B> {
    match weight {
        TensorPrimitive::Float(weight) => B::float_cast(weight, FloatDType::F32),
        TensorPrimitive::QFloat(weight) => B::dequantize(weight, FloatDType::F32),
    }
}
