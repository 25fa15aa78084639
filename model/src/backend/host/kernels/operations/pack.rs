//! Weights packed for inference: output channel by output channel, in fewer bits or not.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata, TensorPrimitive};

use super::machine::elements::{quantize_rows, to_bf16};
use super::machine::transpose::transpose;
use super::tensor::{HostMemory, applies};
use crate::backend::PackedWeight;
use crate::precision::{Channels, Precision};

/// f64 has no kernels: it keeps its order, and has no formats of fewer bits.
pub(in crate::backend) fn pack<B: HostMemory>(
    weight: FloatTensor<B>,
    channels: Channels,
    precision: Precision,
) -> Option<PackedWeight<B>> {
    if applies::<B>(&weight) {
        Some(pack_f32::<B>(weight, channels, precision))
    } else {
        (precision == Precision::F32).then_some(TensorPrimitive::Float(weight))
    }
}

/// A matrix in the number format of `precision`, stored by output channel: in f32 that is visible in the
/// strides, in fewer bits it is implied.
fn pack_f32<B: HostMemory>(
    weight: FloatTensor<B>,
    channels: Channels,
    precision: Precision,
) -> PackedWeight<B> {
    let shape = weight.shape();
    let by_channel = |weight| match (channels, B::columns(weight)) {
        (Channels::Rows, _) => B::values(weight),
        (Channels::Columns, Some(columns)) => columns.into(),
        (Channels::Columns, None) => transpose(&B::values(weight), shape[1]).into(),
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
            let bits = to_bf16(&by_channel(&weight));
            TensorPrimitive::Float(B::bf16(bits, shape))
        }
        Precision::Int8 => {
            let n_channels = if channels == Channels::Rows { shape[0] } else { shape[1] };
            let (values, scales) = quantize_rows(&by_channel(&weight), n_channels);
            TensorPrimitive::QFloat(B::int8(values, scales, shape))
        }
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use burn_ndarray::NdArray;

    #[test]
    fn f32_lies_column_by_column_and_is_packed_once() {
        let values: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let rows = NdArray::<f32>::tensor(values.clone(), Shape::new([2, 3]));
        let packed = |weight, channels| match pack_f32::<NdArray>(weight, channels, Precision::F32) {
            TensorPrimitive::Float(weight) => weight,
            TensorPrimitive::QFloat(_) => panic!("f32 was asked for"),
        };
        let address = |weight: &FloatTensor<NdArray>| NdArray::<f32>::columns(weight).map(<[f32]>::as_ptr);
        assert_eq!(address(&packed(rows.clone(), Channels::Rows)), None, "a table is read row by row");
        let columns = packed(rows, Channels::Columns);
        assert_eq!(NdArray::<f32>::columns(&columns), Some(&[0.0, 3.0, 1.0, 4.0, 2.0, 5.0][..]));
        assert_eq!(NdArray::<f32>::values(&columns).to_vec(), values);
        let again = packed(columns.clone(), Channels::Columns);
        assert_eq!(address(&again), address(&columns), "copied");
    }
}
