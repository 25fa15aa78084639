//! Weights for inference: output channel by output channel, in fewer bits or not.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata, TensorPrimitive};

use crate::backend::host::HostMemory;
use crate::backend::host::kernels;
use crate::precision::{Channels, Precision};

/// A matrix in the number format of `precision`, output channel by output channel. In f32 its strides say so, in fewer bits
/// nothing does.
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
        Precision::F32 if channels == Channels::Rows => TensorPrimitive::Float(weight),
        Precision::F32 => {
            let columns = by_channel(&weight).into_owned();
            let transposed = B::tensor(columns, Shape::new([shape[1], shape[0]]));
            TensorPrimitive::Float(B::float_swap_dims(transposed, 0, 1))
        }
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
