//! Weights for inference: output channel by output channel, in fewer bits or not.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata, TensorPrimitive};

use crate::backend::host::HostMemory;
use crate::backend::host::kernels;
use crate::precision::{Channels, Precision};

/// A matrix in the number format of `precision`, output channel by output channel. In f32 its strides say so, in fewer bits
/// nothing does.
pub(in crate::backend) fn for_inference<B: HostMemory>(
    weight: FloatTensor<B>,
    channels: Channels,
    precision: Precision,
) -> TensorPrimitive<B> {
    let shape = weight.shape();
    let by_channel = |weight| match (channels, B::columns(weight)) {
        (Channels::Rows, _) => B::values(weight),
        (Channels::Columns, Some(columns)) => columns.into(),
        (Channels::Columns, None) => kernels::transpose(&B::values(weight), shape[1]).into(),
    };
    match precision {
        Precision::F32 if channels == Channels::Rows || B::columns(&weight).is_some() => {
            TensorPrimitive::Float(weight)
        }
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

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use burn_ndarray::NdArray;

    #[test]
    fn f32_lies_column_by_column_and_is_converted_once() {
        let values: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let rows = NdArray::<f32>::tensor(values.clone(), Shape::new([2, 3]));
        let converted = |weight, channels| match for_inference::<NdArray>(weight, channels, Precision::F32) {
            TensorPrimitive::Float(weight) => weight,
            TensorPrimitive::QFloat(_) => panic!("f32 was asked for"),
        };
        let address = |weight: &FloatTensor<NdArray>| NdArray::<f32>::columns(weight).map(<[f32]>::as_ptr);
        assert_eq!(address(&converted(rows.clone(), Channels::Rows)), None, "a table is read row by row");
        let columns = converted(rows, Channels::Columns);
        assert_eq!(NdArray::<f32>::columns(&columns), Some(&[0.0, 3.0, 1.0, 4.0, 2.0, 5.0][..]));
        assert_eq!(NdArray::<f32>::values(&columns).to_vec(), values);
        let again = converted(columns.clone(), Channels::Columns);
        assert_eq!(address(&again), address(&columns), "copied");
    }
}
