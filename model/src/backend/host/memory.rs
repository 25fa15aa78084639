//! Tensors as slices: how ndarray and flex lend and take memory.

use std::borrow::Cow;

use burn::tensor::Shape;
use burn::tensor::ops::{FloatTensor, IntTensor};

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
}

#[cfg(feature = "ndarray")]
mod ndarray_memory {
    use super::{Backend, Cow, FloatTensor, HostMemory, IntTensor, Shape};
    use burn_ndarray::{FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayTensor, SharedArray};
    use ndarray::{ArcArray, IxDyn};

    impl<E: FloatNdArrayElement, I: IntNdArrayElement> HostMemory for NdArray<E, I>
    where
        Self: Backend<FloatTensorPrimitive = NdArrayTensor, IntTensorPrimitive = NdArrayTensor>,
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
            let array =
                ArcArray::from_shape_vec(IxDyn(&shape), values).expect("a kernel fills its whole shape");
            NdArrayTensor::from(array)
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
    }
}

#[cfg(feature = "flex")]
mod flex_memory {
    use super::{Cow, FloatTensor, HostMemory, IntTensor, Shape};
    use burn::tensor::{DType, TensorData};
    use burn_flex::{Flex, FlexTensor};

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
            let data = tensor.to_contiguous().into_data();
            data.into_vec().expect("`applies` has seen f32")
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
    }
}
