//! Tensors as slices: how ndarray and flex lend and take memory.

use std::borrow::Cow;

use burn::tensor::Shape;
use burn::tensor::ops::{FloatTensor, IntTensor, QuantizedTensor};

use super::kernels::Elements;
use crate::backend::{Backend, PackedWeight};

/// A backend whose tensors are plain memory of this process.
pub(in crate::backend) trait HostMemory: Backend {
    /// The values of an f32 tensor, row by row; copied only if they are not stored that way.
    fn values(tensor: &FloatTensor<Self>) -> Cow<'_, [f32]>;

    /// The values of an f32 matrix column by column, if they are stored that way.
    fn columns(tensor: &FloatTensor<Self>) -> Option<&[f32]>;

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
    fn with_packed<R>(tensor: &PackedWeight<Self>, read: impl FnOnce(Elements<'_>) -> R) -> R;
}

#[cfg(feature = "ndarray")]
mod ndarray_memory {
    use super::{
        Backend, Cow, Elements, FloatTensor, HostMemory, IntTensor, PackedWeight, QuantizedTensor, Shape,
    };
    use burn::tensor::TensorPrimitive;
    use burn::tensor::quantization::{QParams, QuantScheme};
    use burn_ndarray::{
        FloatNdArrayElement, IntNdArrayElement, NdArray, NdArrayQTensor, NdArrayTensor, SharedArray,
    };
    use ndarray::{ArcArray, ArrayViewD, IxDyn};

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
                None => Cow::Owned(row_by_row(&view)),
            }
        }

        fn columns(tensor: &FloatTensor<Self>) -> Option<&[f32]> {
            let NdArrayTensor::F32(storage) = tensor else { unreachable!("`applies` has seen f32") };
            storage.view().reversed_axes().to_slice()
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
            row_by_row(&array.view())
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

        fn with_packed<R>(tensor: &PackedWeight<Self>, read: impl FnOnce(Elements<'_>) -> R) -> R {
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
                _ => unreachable!("only what `bf16` and `int8` made is packed"),
            }
        }
    }

    /// The values in the order of their indices: a row at a time, which costs a fraction of one by one.
    fn row_by_row(view: &ArrayViewD<'_, f32>) -> Vec<f32> {
        let mut values = Vec::with_capacity(view.len());
        for row in view.rows() {
            match row.as_slice() {
                Some(row) => values.extend_from_slice(row),
                None => values.extend(row.iter()),
            }
        }
        values
    }

    fn array<T: Clone>(values: Vec<T>, shape: &Shape) -> SharedArray<T> {
        ArcArray::from_shape_vec(IxDyn(shape), values).expect("a kernel fills its whole shape")
    }
}

#[cfg(feature = "flex")]
mod flex_memory {
    use super::{Cow, Elements, FloatTensor, HostMemory, IntTensor, PackedWeight, QuantizedTensor, Shape};
    use burn::tensor::TensorPrimitive;
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

        fn columns(tensor: &FloatTensor<Self>) -> Option<&[f32]> {
            let transposed = tensor.layout().transpose(0, 1);
            let (start, end) = transposed.contiguous_offsets()?;
            Some(&tensor.storage()[start..end])
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

        fn with_packed<R>(tensor: &PackedWeight<Self>, read: impl FnOnce(Elements<'_>) -> R) -> R {
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

    /// Asserts that views are read in the order of their indices, with whole rows in memory and without.
    fn views_are_read_in_order<B: HostMemory>() {
        let tensor = B::tensor((0..24).map(|value| value as f32).collect(), Shape::new([2, 3, 4]));
        let [outer, inner] = [[0, 1], [1, 2]].map(|[a, b]| B::float_swap_dims(tensor.clone(), a, b));
        let index = |i: usize, j: usize, k: usize| (i * 12 + j * 4 + k) as f32;
        let expected = |sizes: [usize; 3], at: &dyn Fn(usize, usize, usize) -> f32| -> Vec<f32> {
            let indices = (0..24).map(|n| (n / (sizes[1] * sizes[2]), n / sizes[2] % sizes[1], n % sizes[2]));
            indices.map(|(a, b, c)| at(a, b, c)).collect()
        };
        let outer_expected = expected([3, 2, 4], &|a, b, c| index(b, a, c));
        let inner_expected = expected([2, 4, 3], &|a, b, c| index(a, c, b));
        assert_eq!(B::values(&outer).to_vec(), outer_expected);
        assert_eq!(B::values(&inner).to_vec(), inner_expected);
        assert_eq!(B::into_values(outer), outer_expected);
        assert_eq!(B::into_values(inner), inner_expected);
    }

    /// Asserts that a matrix is lent column by column if it lies so, and not if it does not.
    fn columns_are_lent<B: HostMemory>() {
        let values: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let rows = B::tensor(values.clone(), Shape::new([2, 3]));
        assert_eq!(B::columns(&rows), None);
        assert_eq!(B::columns(&B::float_swap_dims(rows, 0, 1)), Some(&values[..]));
    }

    #[cfg(feature = "ndarray")]
    #[test]
    fn ndarray_lends_and_takes_memory() {
        memory_is_handed_on::<burn_ndarray::NdArray>();
        columns_are_lent::<burn_ndarray::NdArray>();
        views_are_read_in_order::<burn_ndarray::NdArray>();
    }

    #[cfg(feature = "flex")]
    #[test]
    fn flex_lends_and_takes_memory() {
        memory_is_handed_on::<burn_flex::Flex>();
        columns_are_lent::<burn_flex::Flex>();
        views_are_read_in_order::<burn_flex::Flex>();
    }
}
