//! A tensor times a number that is itself a tensor.

use burn::tensor::ops::FloatTensor;
use burn::tensor::{Shape, TensorMetadata};

use crate::backend::Backend;

/// `tensor · factor`, for a factor of shape `[1]`, in the type of the tensor.
pub(in crate::backend) fn scaled<B: Backend>(
    tensor: FloatTensor<B>,
    mut factor: FloatTensor<B>,
) -> FloatTensor<B> {
    let ones = vec![1; tensor.shape().num_dims()];
    if factor.dtype() != tensor.dtype() {
        factor = B::float_cast(factor, tensor.dtype().into());
    }
    B::float_mul(tensor, B::float_reshape(factor, Shape::from(ones)))
}
