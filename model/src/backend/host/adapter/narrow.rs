//! Weights in fewer bits.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{TensorMetadata, TensorPrimitive};

use crate::backend::host::HostMemory;
use crate::backend::host::kernels;
use crate::precision::{Channels, Precision};

/// A matrix in the number format of `precision`, output channel by output channel whatever its shape says.
pub(in crate::backend) fn narrow<B: HostMemory>(
    weight: FloatTensor<B>,
    channels: Channels,
    precision: Precision,
) -> TensorPrimitive<B> {
    let shape = weight.shape();
    let by_channel = |weight| match channels {
        Channels::Rows => B::values(weight),
        Channels::Columns => kernels::transpose(&B::values(weight), shape[1]).into(),
    };
    match precision {
        Precision::F32 => TensorPrimitive::Float(weight),
        Precision::Bf16 => {
            let bits = kernels::to_bf16(&by_channel(&weight));
            TensorPrimitive::Float(B::bf16(bits, shape))
        }
        Precision::Int8 => {
            let n_channels = if channels == Channels::Rows { shape[0] } else { shape[1] };
            let (values, scales) = kernels::quantize_rows(&by_channel(&weight), n_channels);
            TensorPrimitive::QFloat(B::int8(values, scales, shape))
        }
    }
}
