//! Tensors as slices: how ndarray and flex lend and take memory.

use std::borrow::Cow;

use burn::tensor::ops::{FloatTensor, IntTensor, QuantizedTensor};
use burn::tensor::{Shape, TensorPrimitive};

use super::kernels::Elements;
use crate::Backend;

/// A backend whose tensors are plain memory of this process.
pub(in crate::backend) trait HostMemory: Backend {
    /// The values of an f32 tensor, row by row; copied only if they do not lie so already.
    fn values(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]>;

    /// The values of an f32 tensor to write into; copied only if someone else still reads them.
    fn into_values(tensor: FloatTensor<Self>) -> Vec<f32>;

    /// A tensor that owns `values`.
    fn tensor(values: Vec<f32>, shape: Shape) -> FloatTensor<Self>;

    /// The values of an integer tensor.
    fn integers(tensor: IntTensor<Self>) -> Vec<i64>;

    /// A weight in the upper halves of f32.
    fn bf16(bits: Vec<u16>, shape: Shape) -> FloatTensor<Self>;

    /// A weight in 8 bits with the scales of its channels.
    fn int8(values: Vec<i8>, scales: Vec<f32>, shape: Shape) -> QuantizedTensor<Self>;

    /// Calls `read` with the elements of a tensor that [`bf16`](Self::bf16) or [`int8`](Self::int8) made.
    fn with_narrow<R>(tensor: &TensorPrimitive<Self>, read: impl FnOnce(Elements<'_>) -> R) -> R;
}

#[cfg(feature = "ndarray")]
mod ndarray_memory {
    use super::{
        Backend, Cow, Elements, FloatTensor, HostMemory, IntTensor, QuantizedTensor, Shape, TensorPrimitive,
    };
    use burn::tensor::quantization::{QParams, QuantScheme};
    use burn_ndarray::{
        FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayQTensor, NdArrayTensor, SharedArray,
    };
    use ndarray::{ArcArray, IxDyn};

    impl<E: FloatNdArrayElement, I: IntNdArrayElement> HostMemory for NdArray<E, I>
    where
        Self: Backend<
                FloatTensorPrimitive = NdArrayTensor,
                IntTensorPrimitive = NdArrayTensor,
                QuantizedTensorPrimitive = NdArrayQTensor,
            >,
        NdArrayTensor: From<SharedArray<E>> + From<SharedArray<I>>,
    {
        fn values(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]> {
            let NdArrayTensor::F32(storage) = tensor else { unreachable!("`applies` has seen f32") };
            let view = storage.view();
            match view.to_slice() {
                Some(values) => Cow::Borrowed(values),
                None => Cow::Owned(storage.view().iter().copied().collect()),
            }
        }

        fn into_values(tensor: FloatTensor<Self>) -> Vec<f32> {
            let NdArrayTensor::F32(storage) = tensor else { unreachable!("`applies` has seen f32") };
            let array = storage.into_owned();
            let len = array.len();
            if array.is_standard_layout() {
                let (values, offset) = array.into_owned().into_raw_vec_and_offset();
                if values.len() == len {
                    return values;
                }
                let start = offset.unwrap_or(0);
                return values[start..start + len].to_vec();
            }
            array.iter().copied().collect()
        }

        fn tensor(values: Vec<f32>, shape: Shape) -> FloatTensor<Self> {
            NdArrayTensor::from(array(values, &shape))
        }

        fn integers(tensor: IntTensor<Self>) -> Vec<i64> {
            match tensor {
                NdArrayTensor::I64(storage) => storage.view().iter().copied().collect(),
                NdArrayTensor::I32(storage) => storage.view().iter().map(|value| i64::from(*value)).collect(),
                other => unreachable!(
                    "token ids are i32 or i64, not {:?}",
                    burn::tensor::TensorMetadata::dtype(&other)
                ),
            }
        }

        /// ndarray has no bf16: the bits are held as integers.
        fn bf16(bits: Vec<u16>, shape: Shape) -> FloatTensor<Self> {
            NdArrayTensor::from(array(bits, &shape))
        }

        fn int8(values: Vec<i8>, scales: Vec<f32>, shape: Shape) -> QuantizedTensor<Self> {
            NdArrayQTensor {
                qtensor: NdArrayTensor::from(array(values, &shape)),
                scheme: QuantScheme::default(),
                qparams: scales.into_iter().map(|scales| QParams { scales }).collect(),
            }
        }

        fn with_narrow<R>(tensor: &TensorPrimitive<Self>, read: impl FnOnce(Elements<'_>) -> R) -> R {
            match tensor {
                TensorPrimitive::Float(NdArrayTensor::U16(bits)) => {
                    read(Elements::Bf16(bits.view().to_slice().expect("as it was made")))
                }
                TensorPrimitive::QFloat(NdArrayQTensor {
                    qtensor: NdArrayTensor::I8(values),
                    qparams,
                    ..
                }) => {
                    let scales: Vec<f32> = qparams.iter().map(|parameters| parameters.scales).collect();
                    read(Elements::Int8(values.view().to_slice().expect("as it was made"), &scales))
                }
                _ => unreachable!("only what `bf16` and `int8` made is narrow"),
            }
        }
    }

    fn array<T: Clone>(values: Vec<T>, shape: &Shape) -> SharedArray<T> {
        ArcArray::from_shape_vec(IxDyn(shape), values).expect("a kernel fills its whole shape")
    }
}

#[cfg(feature = "flex")]
mod flex_memory {
    use super::{Cow, Elements, FloatTensor, HostMemory, IntTensor, QuantizedTensor, Shape, TensorPrimitive};
    use burn::tensor::quantization::QuantScheme;
    use burn::tensor::{Bytes, DType, TensorData};
    use burn_flex::{Flex, FlexQTensor, FlexTensor};
    use half::slice::HalfFloatSliceExt;

    impl HostMemory for Flex {
        fn values(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]> {
            match tensor.as_slice::<f32>() {
                Some(values) => Cow::Borrowed(values),
                None => {
                    let contiguous = tensor.to_contiguous();
                    Cow::Owned(contiguous.as_slice::<f32>().expect("contiguous").to_vec())
                }
            }
        }

        fn into_values(tensor: FloatTensor<Self>) -> Vec<f32> {
            let contiguous = tensor.to_contiguous();
            // A second name for the same memory, which would force a copy.
            drop(tensor);
            contiguous.into_data().into_vec().expect("`applies` has seen f32")
        }

        fn tensor(values: Vec<f32>, shape: Shape) -> FloatTensor<Self> {
            FlexTensor::from_data(TensorData::new(values, shape))
        }

        fn integers(tensor: IntTensor<Self>) -> Vec<i64> {
            let contiguous = tensor.to_contiguous();
            match contiguous.dtype() {
                DType::I64 => contiguous.as_slice::<i64>().expect("contiguous").to_vec(),
                _ => contiguous
                    .as_slice::<i32>()
                    .expect("contiguous")
                    .iter()
                    .map(|value| i64::from(*value))
                    .collect(),
            }
        }

        fn bf16(bits: Vec<u16>, shape: Shape) -> FloatTensor<Self> {
            FlexTensor::from_data(TensorData::from_bytes(Bytes::from_elems(bits), shape, DType::BF16))
        }

        fn int8(values: Vec<i8>, scales: Vec<f32>, shape: Shape) -> QuantizedTensor<Self> {
            FlexQTensor::new(
                FlexTensor::from_data(TensorData::new(values, shape)),
                QuantScheme::default(),
                scales,
            )
        }

        fn with_narrow<R>(tensor: &TensorPrimitive<Self>, read: impl FnOnce(Elements<'_>) -> R) -> R {
            match tensor {
                TensorPrimitive::Float(bits) => {
                    let values = bits.as_slice::<burn::tensor::bf16>().expect("as it was made");
                    read(Elements::Bf16(values.reinterpret_cast()))
                }
                TensorPrimitive::QFloat(quantized) => {
                    let values = quantized.tensor().as_slice::<i8>().expect("as it was made");
                    read(Elements::Int8(values, quantized.scales()))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HostMemory, Shape};

    fn memory_is_handed_on<B: HostMemory>() {
        let values = vec![1.0; 1000];
        let address = values.as_ptr();
        let back = B::into_values(B::tensor(values, Shape::new([10, 100])));
        assert_eq!((back.as_ptr(), back.len()), (address, 1000), "copied");
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn ndarray_hands_memory_on() {
        memory_is_handed_on::<burn_ndarray::NdArray>();
    }

    #[cfg(feature = "flex")]
    #[test]
    fn flex_hands_memory_on() {
        memory_is_handed_on::<burn_flex::Flex>();
    }
}
