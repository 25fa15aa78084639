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
    let values = B::values(&weight);
    let (values, n_channels) = match channels {
        Channels::Rows => (values, shape[0]),
        Channels::Columns => (kernels::transpose(&values, shape[1]).into(), shape[1]),
    };
    match precision {
        Precision::F32 => TensorPrimitive::Float(weight.clone()),
        Precision::Bf16 => TensorPrimitive::Float(B::bf16(kernels::to_bf16(&values), shape)),
        Precision::Int8 => {
            let (values, scales) = kernels::quantize_rows(&values, n_channels);
            TensorPrimitive::QFloat(B::int8(values, scales, shape))
        }
    }
}
